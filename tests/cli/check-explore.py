#!/usr/bin/env python3
"""From a sweep to its counterexample and back: what sweep, replay, shrink and soak say and write, on the host that would be used.

Usage: check-explore.py STACKRIG SOURCE_ROOT
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
SWEPT = "scenarios/explore/sweep-literal-sleeper-holds-the-cache.toml"
# Fixed stacks that an int3 in the deepest function overflows, which nothing does by itself.
TIGHT = """
schema = 1
name   = "tight"
why    = "Sixteen kilobytes are not enough for everything."
[guest]
scheme = "fixed"
[guest.depth]
int3 = "4K"
[threads.A]
program = ["syscall null deep 15K", "syscall null deep 15K", "spin"]
[run]
schedule = ["run A until user", "run"]
"""


def rig(*arguments):
    return subprocess.run([STACKRIG, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, timeout=500)


def on_a_terminal(test, *arguments):
    """What a terminal is shown beside the output."""
    try:
        parent, child = pty.openpty()
    except OSError as error:  # a chroot without /dev/pts
        test.skipTest(str(error))
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen([STACKRIG, *arguments, *(("--out", folder) if arguments[0] == "sweep" else ())], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=child)
        os.close(child)
        said = b""
        try:
            while piece := os.read(parent, 65536):
                said += piece
        except OSError:
            pass  # how a terminal says that the other side is gone
        process.wait(60)
    os.close(parent)
    return said.decode()


class Sweep(unittest.TestCase):
    ARGUMENTS = ("sweep", SWEPT, "--events", "tick", "--at", "user_main")

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.at = pathlib.Path(cls.folder.name)
        cls.arguments = (*cls.ARGUMENTS, "--quiet", "--jsonl", cls.at / "jsonl", "--out", cls.at / "cx")
        cls.said = rig(*cls.arguments, "--html", cls.at / "html", "--junit", cls.at / "junit")
        cls.found = next((cls.at / "cx").glob("*.toml"), None)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_it_ends_with_its_finding_and_one_command(self):
        self.assertEqual((self.said.returncode, self.said.stderr), (0, ""), self.said)
        self.assertIn("  1 decision, 1-minimal, replayed 100 of 100\n", self.said.stdout)
        self.assertIn(f"\n  ./rig replay {self.found}\n", self.said.stdout)
        self.assertTrue(self.said.stdout.endswith("INV-21 violated, as expected\n"))
        self.assertIn("100.0 % of the applicable placements were executed.\n", self.said.stdout)

    def test_the_map_says_the_same_as_the_counts(self):
        data = json.loads(re.search(r'id="data">(.*?)</script>', (self.at / "html").read_text(), re.S)[1])
        sweep = data["details"][0]["sweep"]
        finding = sweep["findings"][0]
        self.assertEqual(finding["file"], str(self.found))
        self.assertEqual(len(finding["seen_at"]["tick"]), finding["count"])
        self.assertEqual({sweep["map"]["tick"][i] for i in finding["seen_at"]["tick"]}, {"F"})
        executed = sum(cells["tick"]["executed"] for cells in sweep["coverage"].values())
        self.assertEqual(sum(letter in "reoF" for letter in sweep["map"]["tick"]), executed)
        inside = [place for place in sweep["places"] if place]
        self.assertEqual(len(inside), len(sweep["map"]["tick"].replace(" ", "")))
        self.assertEqual({re.sub(r"(\+0x[0-9a-f]+)?( #\d+)?$", "", place) for place in inside}, {"A user_main", "B user_main"})
        case = ElementTree.parse(self.at / "junit").find(".//testcase")
        self.assertIn("Covered: ", case.find("system-out").text)

    def test_the_run_that_shows_it_is_in_the_report(self):
        shown = json.loads(re.search(r'id="data">(.*?)</script>', (self.at / "html").read_text(), re.S)[1])["details"][0]["shown"]
        self.assertEqual([(run["name"], run["verdict"], [v["id"] for v in run["violations"]]) for run in shown], [(self.found.stem, "expected violation", ["INV-21"])])
        self.assertGreater(len(shown[0]["timeline"]["moments"]), 20)
        self.assertTrue(any(line["source"] for line in shown[0]["violations"][0]["code"]), "no source lines")
        self.assertEqual(shown[0]["replay"], f"./rig run {self.found} --verbose")

    def test_resumed_it_says_the_same_and_runs_nothing_again(self):
        before = (self.at / "jsonl").read_text().count('"t":"part"')
        again = rig(*self.arguments, "--resume")
        self.assertEqual(again.stdout, self.said.stdout)
        self.assertEqual((self.at / "jsonl").read_text().count('"t":"part"'), before)
        other = rig(*self.arguments, "--pairs", "fast", "--resume")
        self.assertEqual(other.returncode, 2)
        self.assertIn("is of another sweep (scenario, guest or events differ): it cannot be resumed", other.stderr)

    def test_the_counterexample_replays_and_is_a_scenario(self):
        said = rig("replay", self.found, "--times", 3)
        self.assertEqual(said.returncode, 0, said)
        self.assertIn(", the same 3 of 3 times\nthe trace is the recorded one\n", said.stdout)
        self.assertRegex(rig("replay", self.found, "--check-determinism").stdout, r"deterministic: \d+ stops, trace \w+ twice\n")
        self.assertIn("INV-21 violated, as expected", rig("run", self.found).stdout)
        changed = self.at / "cx-changed.toml"
        changed.write_text(re.sub(r'trace = "[0-9a-f]*"', 'trace = "0123456789abcdef"', self.found.read_text()).replace(self.found.stem, "cx-changed"))
        said = rig("replay", changed)
        self.assertEqual(said.returncode, 1, said)
        self.assertIn("the trace is NOT the recorded one\n", said.stdout)

    def test_the_place_of_the_finding_can_be_gone_to(self):
        said = rig("replay", self.found, "--to", "mark(loop.irq_on)")
        self.assertEqual(said.returncode, 0, said)
        self.assertIn(" mark loop.irq_on\ncpu0  kernel mode, IF=1, B: exit work (timer)\n", said.stdout)

    def test_shrinking_leaves_what_is_needed(self):
        wide = self.at / "wide.toml"
        text = self.found.read_text().replace(self.found.stem, "wide")
        wide.write_text(text.replace("decisions = [", 'decisions = ["fail allocation #900", '))
        said = rig("shrink", wide, "--out", self.at / "cx2")
        self.assertEqual(said.returncode, 0, said)
        self.assertRegex(said.stdout, r"1 of 2 decisions left, 1-minimal, found in \d+ runs\n  \./rig replay ")
        harmless = self.at / "harmless.toml"
        harmless.write_text(re.sub(r"decisions = \[.*?\]\n", 'decisions = ["fail allocation #900"]\n', text, flags=re.DOTALL))
        said = rig("shrink", harmless)
        self.assertEqual((said.returncode, said.stderr.count("wide with its decision shows no failure: there is nothing to shrink")), (2, 1), said)

    def test_shrinking_is_about_decisions(self):
        said = rig("shrink", "scenarios/seed/c7-two-irqs-in-a-row.toml")
        self.assertEqual((said.returncode, said.stderr.count("c7-two-irqs-in-a-row.toml has no decisions, so there is nothing to leave out: shrink takes away what `decisions` in "
                                                             "[run] lists, not steps of the schedule")), (2, 1), said)


class Clean(unittest.TestCase):
    def test_a_clean_run_says_so(self):
        said = rig("replay", "scenarios/seed/c7-two-irqs-in-a-row.toml")
        self.assertEqual(said.returncode, 0, said)
        self.assertIn("clean: nothing was violated\n", said.stdout)

    def test_a_schedule_that_cannot_be_carried_out_is_the_scenarios_error(self):
        with tempfile.TemporaryDirectory() as folder:
            late = pathlib.Path(folder, "late.toml")
            late.write_text(TIGHT.replace('"tight"', '"late"').replace('"spin"]', '"exit"]').replace('"run A until user", "run"', '"run A until exits", "run A until user"'))
            run = rig("run", late)
            replay = rig("replay", late)
        self.assertEqual((run.returncode, " ".join(run.stdout.split()).count('"user" cannot be reached any more: cpu0 is idle, A has exited.')), (2, 1), run)
        self.assertEqual(replay.returncode, 2, replay)
        self.assertIn('off schedule: "user" cannot be reached any more: cpu0 is idle, A has exited. Only an event could change that\n', replay.stdout)

    def test_an_event_that_fits_nowhere_is_named(self):
        said = rig("sweep", "scenarios/schemes/fixed-null-syscall.toml", "--events", "alloc,nmi", "--at", "call")
        self.assertEqual(said.returncode, 0, said)
        self.assertRegex(said.stdout, r"  n/a +\d+  alloc    no page is asked for here\n")
        self.assertIn("  alloc was applicable nowhere here: nothing is said about it.\n", said.stdout)

    def test_a_trace_has_a_line_for_each_stop_and_registers_when_asked_for(self):
        said = rig("replay", "scenarios/seed/c7-two-irqs-in-a-row.toml", "--trace")
        stops = int(re.search(r"^(\d+) stops, trace", said.stdout, re.M)[1])
        lines = re.findall(r"^ +(\d+) cpu0 .*$", said.stdout, re.M)
        self.assertEqual([int(line) for line in lines], list(range(1, stops + 1)))
        self.assertRegex(said.stdout, r"(?m)^ +\d+ cpu0 idle +choice +next thread A, cpu 0 -> \d+ +schedule\+0x[0-9a-f]+$")
        self.assertRegex(said.stdout, r"(?m)^ +\d+ cpu0 A +mark +enter\.begin thread A, entry device +enter\+0x[0-9a-f]+$")
        self.assertLessEqual(max(map(len, said.stdout.splitlines()[1:])), 110)
        registers = rig("replay", "scenarios/seed/c7-two-irqs-in-a-row.toml", "--registers")
        self.assertEqual(len(re.findall(r"^ +rflags=0x[0-9a-f]+ cs=0x[0-9a-f]+ cr3=0x[0-9a-f]+ gs=0x[0-9a-f]+ nmi_masked=[01] rax=", registers.stdout, re.M)), stops)

    def test_an_expected_violation_is_no_failure(self):
        said = rig("replay", "scenarios/seed/c7-reserve-holder-rescheduled.toml")
        self.assertEqual(said.returncode, 0, said)
        self.assertIn("the file holds no trace to compare this one with; the violation is the one that it expects\n", said.stdout)
        variant = rig("replay", "scenarios/seed/c7-reserve-holder-rescheduled.toml", "--variant", "nope")
        self.assertEqual((variant.returncode, variant.stderr.count('c7-reserve-holder-rescheduled.toml has no variant "nope", but proposed')), (2, 1), variant)

    def test_a_place_is_looked_at_or_said_not_to_be_reached(self):
        said = rig("inspect", "scenarios/seed/c7-two-irqs-in-a-row.toml", "--at", "A user")
        self.assertRegex(said.stdout, r'\nc7-two-irqs-in-a-row, stop \d+, in step 1 \("run A until user"\)\n')
        said = rig("inspect", "scenarios/seed/c7-two-irqs-in-a-row.toml", "--at", "mark(panic)")
        self.assertRegex(said.stderr, r'\Aerror: "mark\(panic\)" was not reached: the run of c7-two-irqs-in-a-row ended after \d+ stops in step \d+\. The place "end" shows where\n\Z')

    def test_a_counterexample_expects_what_fires_on_the_way(self):
        with tempfile.TemporaryDirectory() as folder:
            deeper = pathlib.Path(folder, "deeper.toml")
            deeper.write_text(pathlib.Path(ROOT, SWEPT).read_text().replace('violation = "INV-21"', 'violation = "INV-17", also = ["INV-21", "INV-20"]'))
            said = rig("sweep", deeper, "--events", "tick", "--at", "user_main", "--quiet", "--out", folder)
            self.assertEqual(said.returncode, 0, said)
            self.assertIn("\n  on the way to it: INV-21, INV-20\n  decision: inject irq(timer) with need_resched at B user_main\n"
                          "  1 decision, 1-minimal, replayed 100 of 100\n", said.stdout)
            found, = pathlib.Path(folder).glob("cx-inv-17-*.toml")
            self.assertIn('\nexpect   = { violation = "INV-17", also = ["INV-21", "INV-20"] }\n', found.read_text())
            self.assertIn("the trace is the recorded one\n", rig("replay", found).stdout)
            self.assertIn("INV-17 violated, as expected", rig("run", found).stdout)

    def test_a_sweep_begins_with_a_clean_run(self):
        said = rig("sweep", "scenarios/seed/c7-reserve-holder-rescheduled.toml", "--events", "nmi")
        self.assertEqual(said.returncode, 2, said)
        self.assertIn(" without any event already ends as FAIL: INV-19 is violated. A sweep needs a run that is clean by itself; "
                      "where the file has a variant that is to pass, --variant NAME sweeps that one", said.stderr)

    def test_a_soak_counts_and_says_how_to_go_on(self):
        said = rig("soak", "scenarios/schemes/fixed-null-syscall.toml", "--runs", 20)
        self.assertEqual(said.returncode, 0, said)
        self.assertIn("1 scenario of the repaired scheme and of fixed stacks, seed 1, one or two events each time\n", said.stdout)
        self.assertRegex(said.stdout, r"\d+ injected runs, seed 1, rounds 0 to \d+: 0 alarms\n  \d+ executed, \d+ of them rejoined the run without events, "
                                      r"\d+ ended off the schedule, 0 out of their budget, 0 not delivered exactly\n  \d+ ended at a predicate of the scenario, "
                                      r"which speaks of the run without events\n  \d+ stops judged; \d+ s, \d+ runs a second with 1 worker\n")
        self.assertRegex(said.stdout, r"more of the same stream: \./rig soak --seed 1 --first-round \d+\n")

    def test_a_soak_shows_what_must_not_be(self):
        with tempfile.TemporaryDirectory() as folder:
            tight = pathlib.Path(folder, "tight.toml")
            tight.write_text(TIGHT)
            said = rig("soak", tight, "--runs", 20)
        self.assertEqual(said.returncode, 1, said)
        self.assertRegex(said.stdout, r"\nALARM INV-3 in tight, round 0 \(\d+ times\): #DF on cpu0 at 0x\w+: \d+ bytes below the top, beyond the 16 KiB of A's stack, "
                                      r'.*\n  cpu0 thread A \S+\n  first by "inject bp at A \S+ #\d+"\nstop \d+ on cpu0: ')

    def test_the_doctor_names_the_host(self):
        self.assertIn("\n./rig run would use: ", rig("doctor").stdout)

    def test_progress_is_for_terminals(self):
        for arguments, words in (((*Sweep.ARGUMENTS, "--quiet"), ""), (Sweep.ARGUMENTS, r"\r\x1b\[K\d+ of \d+ boundaries, \d+ runs/s, \d+ s left"),
                                 (("soak", "scenarios/schemes/fixed-null-syscall.toml", "--runs", "20"), r"\r\x1b\[K1 of 1 visits, \d+ runs, 0 alarms")):
            said = on_a_terminal(self, *arguments)
            self.assertRegex(said, words or r"\A\Z")

    def test_requests_that_are_none_are_told_so(self):
        requests = 'hello\n{"do": "dance"}\n{"do": "gdb-packet", "packet": "g"}\n'
        said = subprocess.run([STACKRIG, "ask"], cwd=ROOT, input=requests, capture_output=True, text=True, timeout=100)
        self.assertEqual([json.loads(line).get("error") for line in said.stdout.splitlines()[1:]], [
            "the line is no JSON object",
            'the worker does not know the request "dance", but probe, run, inspect, gdb, gdb-packet, sweep, sample, replay and shrink',
            'a packet of gdb, and no guest that stands for it: "do": "gdb" comes first'])


if __name__ == "__main__":
    unittest.main()
