#!/usr/bin/env python3
"""A real run with every report at once: all of them agree, and each holds what it should of the counterexample.

Usage: check-run.py STACKRIG SOURCE_ROOT
"""
import json
import os
import pathlib
import pty
import re
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

ROOT = sys.argv.pop()
STACKRIG = os.path.abspath(sys.argv.pop())
FILES = ["scenarios/seed/c7-reserve-holder-rescheduled.toml", "scenarios/seed/c2-user-thread-keeps-one-page.toml"]


def run(*arguments, **environment):
    return subprocess.run([STACKRIG, "run", *FILES, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120, env={**os.environ, **environment})


class Together(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        at = pathlib.Path(cls.folder.name)
        files = {name: at / name for name in ("jsonl", "junit", "html", "perfetto")}
        cls.said = run("--format", "ktap", *(word for name, file in files.items() for word in ("--" + name, str(file))),
                       GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(at / "summary"))
        cls.text = {name: file.read_text() for name, file in files.items() | {("summary", at / "summary")}}

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_everything_was_as_expected(self):
        self.assertEqual((self.said.returncode, self.said.stderr), (0, ""))
        self.assertTrue(self.said.stdout.startswith("KTAP version 1\n1..3\n# host: "))
        self.assertIn("\nok 2 - c7-reserve-holder-rescheduled # XFAIL INV-19\n", self.said.stdout)
        self.assertIn("1 expected violation", self.text["summary"])

    def test_the_violation_is_told_alike(self):
        lines = [json.loads(line) for line in self.text["jsonl"].splitlines()]
        self.assertEqual([line["t"] for line in lines], ["host", "run", "run", "violation", "run", "summary"])
        found = lines[3]
        self.assertEqual((found["id"], found["thread"], found["vcpu"]), ("INV-19", "B", 0))
        self.assertTrue(found["src_file"].startswith("guest/stack/"), found["src_file"])
        source = pathlib.Path(ROOT, FILES[0]).read_text().splitlines()
        self.assertIn(found["step"], source[found["line"] - 1], "file and line lead to the step")
        case = ElementTree.fromstring(self.text["junit"]).find(".//testcase[@name='c7-reserve-holder-rescheduled']")
        self.assertIn("=> " + found["sym"], case.find("system-out").text)

    def test_the_pictures_have_the_whole_run(self):
        data = json.loads(re.search(r'id="data">(.*?)</script>', self.text["html"], re.S)[1])
        self.assertEqual([d["name"] for d in data["details"]], ["c7-reserve-holder-rescheduled"], "a pass has no pictures unless asked")
        moments = data["details"][0]["timeline"]["moments"]
        stops = [m["stop"] for m in moments]
        self.assertEqual(stops, list(range(stops[0], stops[0] + len(stops))), "no stop is missing")
        self.assertEqual(moments[-1]["violated"], ["INV-19"])
        self.assertEqual([m["cause"] for m in moments if m["kind"] == "event"], ["event timer", "event device"])
        self.assertLess(len(self.text["html"]), 2 << 20)
        trace = json.loads(self.text["perfetto"])["traceEvents"]
        self.assertEqual([e["name"] for e in trace if e["ph"] == "i"], ["event timer", "event device", "INV-19 broken"])


class Text(unittest.TestCase):
    def test_piped_it_has_no_colours_and_fits_a_mail(self):
        said = run("--verbose").stdout
        self.assertNotIn("\x1b", said)
        block = said[said.index("\nc7-reserve-holder-rescheduled:"):]
        for line in block[:block.index("trace hash")].splitlines()[2:]:
            self.assertLessEqual(len(line), 72, line)
        for part in ("INV-19 one user of the reserve is enough", "the mail: ", "guest/stack/", "\nA     [#RRR]", "\n   => ", "  decisions\n", "-> hit user_mark"):
            self.assertIn(part, block)

    def test_what_the_numbers_mean_is_said(self):
        said = run().stdout
        self.assertIn("\nDeepest use of a user thread's stack, in bytes, seen at a stop. Around\nthe hooks (entry, wait, exit) 4096 are mapped; how deep kernel and loop\n"
                      "go is the scenarios' choice.\n", said)
        self.assertRegex(said, r"\n\d+ stops; \d+ times an invariant had something to examine\. A pass\nsupports the scheme in this model kernel, for the events, places and\n"
                               r"CPUs that the scenarios name, with sequentially consistent memory; it\nsays nothing about other schedules\.\n\Z")

    def coloured(self, **environment):
        try:
            parent, child = pty.openpty()
        except OSError as error:  # a chroot without /dev/pts
            self.skipTest(str(error))
        process = subprocess.Popen([STACKRIG, "run", FILES[1], "--quiet", "--verbose"], cwd=ROOT, stdout=child, stderr=subprocess.DEVNULL,
                                   env={**os.environ, "TERM": "xterm", **environment})
        os.close(child)
        out = b""
        try:
            while piece := os.read(parent, 65536):
                out += piece
        except OSError:
            pass  # how a terminal says that the other side is gone
        self.assertEqual(process.wait(60), 0)
        return b"\x1b[" in out

    def test_colours_are_for_terminals_that_want_them(self):
        plain = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        os.environ.clear()
        os.environ.update(plain)
        self.assertTrue(self.coloured())
        self.assertFalse(self.coloured(NO_COLOR="1"))
        self.assertFalse(self.coloured(TERM="dumb"))


if __name__ == "__main__":
    unittest.main()
