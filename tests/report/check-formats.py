#!/usr/bin/env python3
"""Every report format is read by a reader that knows nothing of the rig, and says what went in.

Usage: check-formats.py RENDER, the program that renders results (tests/report/render.cpp).
"""
import base64
import collections
import hashlib
import html.parser
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

from results import GOOD, VERDICTS, hostile, result, swept, timeline, violation

RENDER = sys.argv.pop()


def render(results):
    """Name of format -> text."""
    with tempfile.TemporaryDirectory() as folder:
        text = "".join(json.dumps(r) + "\n" for r in results)
        subprocess.run([RENDER, folder], input=text.encode(), check=True)
        return {path.name: path.read_bytes().decode() for path in pathlib.Path(folder).iterdir()}


def clean(text):
    """What a format that cannot hold a text holds instead: no control characters."""
    return re.sub("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff]", "\ufffd", text)


def one_line(text):
    return clean(text).replace("\n", " ").replace("\t", " ")


class TapReader:
    """A consumer of KTAP version 1, after Documentation/dev-tools/ktap.rst."""

    RESULT = re.compile(r"(ok|not ok) (\d+)(?: - ([^#]*))?(?: ?# ([A-Z]+)(?: (.*))?)?$")

    def __init__(self, text):
        lines = text.split("\n")
        assert lines.pop() == "", "the last line is not finished"
        assert lines.pop(0) == "KTAP version 1", "no version line"
        plan = re.fullmatch(r"1\.\.(\d+)", lines.pop(0))
        assert plan, "no plan"
        self.plan, self.results, self.diagnostics = int(plan[1]), [], 0
        for line in lines:
            if line.startswith("# ") or line == "#":
                self.diagnostics += 1
                continue
            match = self.RESULT.fullmatch(line)
            assert match, f"not KTAP: {line!r}"
            assert int(match[2]) == len(self.results) + 1, f"numbers are not in order: {line!r}"
            self.results.append((match[1] == "ok", match[3].strip(), match[4]))
        assert len(self.results) == self.plan, "the plan is not kept"


class HtmlReader(html.parser.HTMLParser):
    """What a page would fetch or run, and its texts."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.blocks, self.outside, self.handlers, self.policy, self.text, self.open = collections.defaultdict(list), [], [], "", "", None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("src", "href", "action", "data", "srcset", "poster") and not (value or "").startswith(("#", "data:")):
                self.outside.append((tag, name, value))
            if name.startswith("on") or name == "style":
                self.handlers.append((tag, name))
            if name == "content" and ("http-equiv", "Content-Security-Policy") in attributes:
                self.policy = value
        if tag in ("script", "style"):
            self.open = tag
            self.blocks[tag].append("")

    def handle_endtag(self, tag):
        self.open = None if tag == self.open else self.open

    def handle_data(self, data):
        if self.open:
            self.blocks[self.open][-1] += data
        else:
            self.text += data


def check_trace(test, events):
    """The rules of the Trace Event Format that a viewer relies on."""
    needed = {"M": {"args"}, "X": {"dur"}, "C": {"args"}, "i": {"s"}, "s": {"id"}, "f": {"id", "bp"}}
    flows, ends, names = collections.Counter(), collections.defaultdict(int), set()
    for event in events:
        test.assertLessEqual({"name", "cat", "ph", "ts", "pid", "tid"} | needed[event["ph"]], set(event), event)
        test.assertTrue(all(isinstance(event[key], int) and event[key] >= 0 for key in ("ts", "pid", "tid")), event)
        if event["ph"] == "M":
            test.assertIn(event["name"], ("process_name", "thread_name"))
            names.add((event["pid"], event["tid"] if event["name"] == "thread_name" else 0))
        elif event["ph"] == "X":
            track = event["pid"], event["tid"]
            test.assertIn(track, names, "a track without a name")
            test.assertGreaterEqual(event["ts"], ends[track], "slices of a track overlap")
            test.assertGreater(event["dur"], 0)
            ends[track] = event["ts"] + event["dur"]
        elif event["ph"] == "C":
            test.assertTrue(all(isinstance(value, int) for value in event["args"].values()), event)
        elif event["ph"] == "i":
            test.assertIn(event["s"], ("t", "p", "g"))
        else:
            flows[event["id"]] += 1 if event["ph"] == "s" else -1
    test.assertFalse([flow for flow, open_ends in flows.items() if open_ends], "a flow without its other end")


def unescape_command(text):
    """A workflow command as the runner reads it: name, properties, data."""
    match = re.fullmatch(r"::(\w+) ((?:[^:,=]+=[^:,]*,?)*)::(.*)", text)
    assert match, f"no workflow command: {text!r}"
    decode = lambda s: s.replace("%3A", ":").replace("%2C", ",").replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")
    properties = {key: decode(value) for key, value in (pair.split("=", 1) for pair in match[2].split(","))}
    return match[1], properties, decode(match[3])


class Formats(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.results = [result(i, verdict) for i, verdict in enumerate(VERDICTS)] + hostile()
        cls.out = render(cls.results)

    def test_ktap(self):
        tap = TapReader(self.out["ktap"])
        self.assertEqual(len(tap.results), len(self.results))
        for (ok, name, directive), r in zip(tap.results, self.results):
            self.assertEqual(ok, r["verdict"] in GOOD | {"SKIP"}, r["verdict"])
            self.assertEqual(name, one_line(r["name"]).replace("#", "_").strip())
            expected = {"pass": None, "FAIL": None, "expected violation": "XFAIL", "SKIP": "SKIP", "TIMEOUT": "TIMEOUT"}
            self.assertEqual(directive, expected.get(r["verdict"], "ERROR"))
        self.assertGreater(tap.diagnostics, 50)

    def test_junit(self):
        root = ElementTree.fromstring(self.out["junit"])
        self.assertEqual(root.tag, "testsuites")
        self.assertEqual(root.get("timestamp"), "2026-01-02T03:04:05Z")
        kinds = {"FAIL": "failure", "XPASS": "failure", "SKIP": "skipped", "VACUOUS": "error", "INCOMPLETE": "error",
                 "TIMEOUT": "error", "ERROR": "error"}
        count = collections.Counter(kinds.get(r["verdict"], "good") for r in self.results)
        for kind, attribute in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            self.assertEqual(int(root.get(attribute)), count[kind])
            self.assertEqual(sum(int(s.get(attribute)) for s in root), count[kind])
        cases = {(c.get("name"), c.get("file")): c for c in root.iter("testcase")}
        self.assertEqual(len(cases), len(self.results))
        self.assertEqual(int(root.get("tests")), len(self.results))
        for r in self.results:
            case = cases[one_line(r["name"]), one_line(r["file"])]
            self.assertEqual((case.get("line"), case.get("time")), ("7", "0.125"))
            kind = kinds.get(r["verdict"])
            self.assertEqual([e.tag for e in case if e.tag != "system-out"], [kind] if kind else [])
            if kind in ("failure", "error"):
                self.assertEqual(case[0].get("message"), one_line(r["reason"]))
                self.assertIn("./rig run", case[0].text, "GitLab shows nothing but the text: the command must be in it")
        for suite in root:
            self.assertEqual(suite.get("hostname"), "m\ufffd\ufffd")
            self.assertEqual([p.get("value") for p in suite.iter("property")],
                             ['host: a <test> & "nothing" else', "0123456789abcdef"])

    def test_jsonl(self):
        lines = [json.loads(line) for line in self.out["jsonl"].splitlines() if line]
        self.assertEqual(self.out["jsonl"].count("\n"), len(lines), "one object a line")
        self.assertTrue(all(line["v"] == 1 for line in lines))
        self.assertEqual((lines[0]["t"], lines[-1]["t"]), ("host", "summary"))
        runs = [line for line in lines if line["t"] == "run"]
        self.assertEqual([run["name"] for run in runs], [r["name"] for r in self.results])
        self.assertEqual({tuple(run) for run in runs}, {tuple(runs[0])}, "keys keep their order")
        self.assertEqual(runs[0]["trace_hash"], "fedcba9876543210", "64-bit numbers travel as hex strings")
        found = [line for line in lines if line["t"] == "violation"]
        self.assertEqual([v["invariant"] for v in found], [v["text"] for r in self.results for v in r["violations"]])
        self.assertEqual({tuple(v) for v in found}, {tuple(found[0])}, "keys keep their order")
        self.assertEqual({key: found[0][key] for key in ("vcpu", "rip", "sym", "off", "src_file", "src_line", "rsp", "trace_hash")},
                         {"vcpu": 0, "rip": "ffffffff8010959d", "sym": "B", "off": "0", "src_file": "guest/stack/entry_exit.cpp",
                          "src_line": 76, "rsp": "ffffc90000017ee8", "trace_hash": "fedcba9876543210"})
        self.assertEqual([(p["va"], p["pfn"], p["owner"]) for p in found[0]["pt"][:2]],
                         [("ffffc90000007000", "161", "own"), ("ffffc90000006000", "0", "")])
        self.assertEqual(lines[-1]["scenarios"], len(self.results))
        self.assertEqual(sum(lines[-1]["verdicts"].values()), len(self.results))

    def test_jsonl_of_a_sweep_says_what_was_covered(self):
        lines = [json.loads(line) for line in render([swept(events=("irq", "nmi"))])["jsonl"].splitlines()]
        covered = [line for line in lines if line["t"] == "coverage"]
        self.assertEqual([(c["window"], c["kind"]) for c in covered[:3]], [("enter0", "irq"), ("enter0", "nmi"), ("enter1", "irq")])
        self.assertEqual({key: covered[0][key] for key in ("placements", "executed", "na")}, {"placements": 10, "executed": 8, "na": {"enter": 2}})
        found = [line for line in lines if line["t"] == "violation"]
        self.assertEqual([v["decisions"] for v in found], [[{"what": "enter"}]])
        self.assertEqual(found[0]["replay"], "./rig sweep scenarios/made/up-0.toml")

    def test_text_of_a_sweep_fits_a_mail(self):
        words = "a sentence that is much longer than a line of a mail may be, as reasons are"
        text = render([swept(text=words)])["text"]
        self.assertIn("  n/a ", text)
        self.assertNotIn("at stop 0", text)
        for line in text[text.index("Covered: "):text.index("trace hash")].splitlines():
            self.assertLessEqual(len(line), 72)

    def test_html_of_a_sweep_is_small(self):
        text = render([swept(2000, ("alloc", "device", "irq", "mc", "nmi", "tick"), text="syscall_exit_to_user_mode")])["report.html"]
        self.assertLess(len(text), 2 << 20)
        data = json.loads(HtmlReader(text).blocks["script"][0])
        self.assertEqual(len(data["details"][0]["sweep"]["places"]), 2000)

    def test_html_is_one_closed_file(self):
        page = HtmlReader(self.out["report.html"])
        self.assertEqual(page.outside, [], "something is fetched")
        self.assertEqual(page.handlers, [], "code in attributes")
        self.assertEqual(len(page.blocks["style"]), 1)
        data, script = page.blocks["script"]
        for kind, text in (("script-src", script), ("style-src", page.blocks["style"][0])):
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            self.assertIn(f"{kind} 'sha256-{digest}'", page.policy)
        self.assertIn("default-src 'none'", page.policy)
        self.assertNotIn("unsafe", page.policy)
        self.assertNotIn("<", data, "nothing in the data may end its element")
        data = json.loads(data)
        self.assertEqual([r["n"] for r in data["results"]], [r["name"] for r in self.results])
        wanted = [r["name"] for r in self.results if r["violations"] or r["verdict"] not in GOOD | {"SKIP"}]
        self.assertEqual(collections.Counter(d["name"] for d in data["details"]), collections.Counter(wanted))
        self.assertIn("C7  three reserve pages per CPU are enough", page.text, "without scripts there is the text")

    def test_html_of_many_long_failures_stays_small_and_says_what_is_missing(self):
        text = render([result(i, "FAIL", violations=[violation(picture="x" * 400000)]) for i in range(60)])["report.html"]
        self.assertLess(len(text), 20 << 20)
        data = json.loads(HtmlReader(text).blocks["script"][0])
        self.assertGreater(data["not_shown"], 0)
        self.assertEqual(data["not_shown"] + len(data["details"]), 60)

    def test_html_of_one_failure_is_small(self):
        text = render([result(0, "FAIL", timeline=timeline(range(600), cpus=4))])["report.html"]
        self.assertLess(len(text), 2 << 20)

    def test_trace(self):
        recorded = timeline(range(5, 25), cpus=2)
        recorded["moments"][3] |= {"kind": "ipi", "target": 1}
        recorded["moments"][6] |= {"kind": "event", "cpu": 1}
        recorded["moments"][-1]["violated"] = ["INV-19"]
        recorded["threads"].append({**recorded["threads"][0], "cpu": -1, "state": "blocked for stack pages"})
        recorded["moments"][9]["t"][0] = 2
        trace = json.loads(render([result(), result(1, "FAIL", timeline=recorded), result(2, "FAIL", timeline=recorded)] + hostile())["trace.json"])
        self.assertEqual(set(trace), {"traceEvents", "displayTimeUnit", "otherData"})
        self.assertEqual(trace["otherData"]["clock"], "one stop of a run is one microsecond")
        self.assertEqual(trace["displayTimeUnit"], "ns")
        check_trace(self, trace["traceEvents"])
        mine = [e for e in trace["traceEvents"] if e["pid"] in (1, 2)]
        self.assertEqual([e["args"]["name"] for e in mine if e["name"] == "process_name"], ["up-1", "up-1, its threads"])
        self.assertEqual(sum(e["dur"] for e in mine if e["cat"] == "context"), 2 * 20, "each CPU is somewhere at every stop")
        self.assertEqual([(e["name"], e["ts"], e["dur"]) for e in mine if e["cat"] == "state" and e["tid"] == 1],
                         [("on cpu0", 5, 9), ("blocked for stack pages", 14, 1), ("on cpu0", 15, 10)])
        self.assertEqual([(e["ph"], e["ts"], e["tid"]) for e in mine if e["cat"] == "ipi"], [("s", 8, 1), ("f", 11, 2)])
        self.assertEqual([(e["name"], e["ts"]) for e in mine if e["ph"] == "i"], [("B", 11), ("INV-19 broken", 24)])

    def test_annotations(self):
        commands = [unescape_command(line) for line in self.out["annotations"].rstrip("\n").split("\n")]
        kinds = collections.Counter(name for name, _, _ in commands)
        self.assertEqual(set(kinds), {"error", "warning", "notice"})
        self.assertLessEqual(max(kinds.values()), 10, "GitHub shows no more of a kind")
        bad = [r for r in self.results if r["verdict"] not in GOOD | {"SKIP"}]
        shown = len(commands) - 1
        self.assertTrue(commands[-1][2].startswith(f"{len(bad) - shown} more"), commands[-1])
        first = next(r for r in bad if r["verdict"] == "FAIL")
        self.assertEqual(commands[0][:2], ("error", {"file": first["file"], "line": "7", "title": "INV-19: up-2"}))
        files = {r["file"] for r in bad}
        for name, properties, data in commands[:-1]:
            self.assertIn(properties["file"], {clean(file) for file in files})
            self.assertIn("./rig run ", data)

    def test_annotations_are_one_per_distinct_violation(self):
        many = [result(i, "FAIL") for i in range(30)] + [result(30, "FAIL", violations=[violation("INV-9")])]
        lines = render(many)["annotations"].splitlines()
        self.assertEqual([unescape_command(line)[0] for line in lines], ["error", "error", "notice"])
        self.assertEqual(lines[-1], "::notice title=stackrig::29 more not as expected: the same violations again, or beyond what is shown here; the log has them all")

    def test_summary_page(self):
        page = self.out["summary.md"]
        self.assertNotIn("<script", re.sub(r"(?ms)^(`{3,})text$.*?^\1$", "", page), "markup outside of a fence")
        opened = 0
        fence = None
        for line in page.splitlines():
            ticks = re.match("`{3,}", line)
            if fence is None and ticks:
                fence, opened = ticks[0], opened + 1
            elif fence and line == fence:
                fence = None
        self.assertIsNone(fence, "a fence is left open: a text broke out of it")
        bad = [r for r in self.results if r["verdict"] not in GOOD | {"SKIP"}]
        self.assertEqual(opened, 1 + len(bad))
        long = render([result(i, "FAIL", violations=[violation(picture="x" * 50000)]) for i in range(40)])["summary.md"]
        self.assertLessEqual(len(long.encode()), 1 << 20)
        self.assertTrue(long.endswith("\n(More failures than this page can hold: the log and the reports have them all.)\n"), long[-200:])

    def test_replay_commands_survive_a_shell(self):
        for line in (json.loads(line) for line in self.out["jsonl"].splitlines()):
            if line["t"] == "run" and "\0" not in line["file"]:
                said = subprocess.run(["sh", "-c", line["replay"].replace("./rig", "printf '%s\\n'", 1)], capture_output=True)
                self.assertEqual(said.stdout.decode(), f"run\n{line['file']}\n--verbose\n")

    def test_ten_thousand_results_stay_small(self):
        out = render([result(i, "FAIL" if i % 100 == 0 else "pass") for i in range(10000)])
        for name, text in out.items():
            self.assertLess(len(text.encode()), 20 << 20, name)
        self.assertEqual(len(list(ElementTree.fromstring(out["junit"]).iter("testcase"))), 10000)


if __name__ == "__main__":
    unittest.main()
