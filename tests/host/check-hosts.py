#!/usr/bin/env python3
"""What a user of the hosts sees: several workers, bit-exact replays, the doctor, and exit code 3 with words when a host cannot be had.

Usage: check-hosts.py STACKRIG SOURCE_ROOT
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = sys.argv.pop()
STACKRIG = os.path.abspath(sys.argv.pop())
SCENARIO = "scenarios/seed/c7-reserve-holder-rescheduled.toml"
FEW = [SCENARIO, "scenarios/seed/c2-user-thread-keeps-one-page.toml", "scenarios/seed/c4-pages-come-home.toml"]


def rig(*words, program=STACKRIG, **environment):
    return subprocess.run([program, *words], cwd=ROOT, capture_output=True, text=True, timeout=200, check=False, env={**os.environ, **environment})


class Workers(unittest.TestCase):
    def test_the_output_is_the_same_whatever_their_number(self):
        with tempfile.TemporaryDirectory() as folder:
            said, names = [], []
            for jobs in "1", "2":
                lines = pathlib.Path(folder, jobs)
                run = rig("run", *FEW, "--host", "virtual", "-j", jobs, "--jsonl", str(lines))
                self.assertEqual((run.returncode, run.stderr), (0, ""))
                said.append(run.stdout)
                rows = [json.loads(line) for line in lines.read_text().splitlines()]
                names.append(sorted((row["name"], row["trace_hash"]) for row in rows if row["t"] == "run"))
        self.assertEqual(said[0], said[1])
        self.assertEqual(names[0], names[1])
        self.assertEqual(len(names[0]), 4)


class BitExact(unittest.TestCase):
    def test_twice_gives_the_same_ticks(self):
        runs = [rig("replay", SCENARIO, "--bit-exact", "--trace") for _ in range(2)]
        for run in runs:
            self.assertEqual((run.returncode, run.stderr), (1, ""), "a violation is what this scenario is about")
        self.assertEqual(runs[0].stdout, runs[1].stdout)
        ticks = [int(tick) for tick in re.findall(r" tsc=(\d+)$", runs[0].stdout, re.M)]
        self.assertGreater(len(ticks), 30)
        self.assertEqual(ticks, sorted(set(ticks)), "time goes on")
        plain = rig("replay", SCENARIO, "--host", "virtual")
        self.assertEqual((plain.returncode, plain.stderr), (1, ""))
        self.assertEqual(plain.stdout.splitlines()[-1], runs[0].stdout.splitlines()[-1], "the same stops and the same trace as without")

    def test_the_check_of_determinism_takes_in_the_ticks(self):
        run = rig("replay", SCENARIO, "--bit-exact", "--check-determinism")
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        self.assertIn("host: virtual (QEMU TCG with SVM under icount, kvm-amd npt=0), because --bit-exact asks for it", run.stdout)
        self.assertRegex(run.stdout, r"deterministic: \d+ stops, trace [0-9a-f]{16} twice, and the TSC at each stop")

    def test_what_it_cannot_be_together_with_is_said(self):
        self.assertEqual(rig("replay", SCENARIO, "--bit-exact", "--gdb", "0").returncode, 2)


class Doctor(unittest.TestCase):
    def test_every_host_is_there_and_the_virtual_ones_keep_every_rule(self):
        run = rig("doctor", "--json")
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        hosts = json.loads(run.stdout)
        self.assertEqual(list(hosts), ["local", "virtual npt=1", "virtual npt=0"])
        for flavour in "virtual npt=1", "virtual npt=0":
            self.assertTrue(hosts[flavour]["sufficient"])
            rules = [item for item in hosts[flavour]["items"] if item["name"].startswith("rule.")]
            self.assertEqual(len(rules), 17)
            self.assertEqual([item for item in rules if not item["ok"]], [])
        stale = {name: [item["ok"] for item in host.get("items", []) if item["name"] == "tlb.stale"] for name, host in hosts.items()}
        self.assertEqual((stale["virtual npt=1"], stale["virtual npt=0"]), ([False], [True]))

    def test_the_text_names_the_scenarios_that_a_gap_costs(self):
        text = rig("doctor", "--host", "virtual").stdout
        self.assertRegex(text, r"tlb\.stale: .*\n    -> skipped there, each counted: .*hz-c1-stale-for-real")
        self.assertTrue(text.endswith("\n./rig run would use: virtual npt=0\n"), text)


class Failures(unittest.TestCase):
    """Each ends with exit code 3 and says what to do."""

    def expect(self, run, *parts):
        self.assertEqual(run.returncode, 3, run.stdout + run.stderr)
        for part in parts:
            self.assertIn(part, run.stderr)

    def test_no_qemu(self):
        self.expect(rig("run", SCENARIO, "--host", "virtual", PATH="/nowhere"), "qemu-system-x86_64", "apt-get install qemu-system-x86")

    def test_no_kernel(self):
        build = pathlib.Path(STACKRIG).parent
        with tempfile.TemporaryDirectory() as folder:
            for name in ("stackrig", "guest/guest.elf"):
                pathlib.Path(folder, name).parent.mkdir(exist_ok=True)
                shutil.copy2(build / name, pathlib.Path(folder, name))
            self.expect(rig("run", SCENARIO, "--host", "virtual", program=f"{folder}/stackrig"), "the virtual host has no kernel", "fetch-kernel.sh")

    def test_an_insufficient_local_kvm(self):
        local = json.loads(rig("doctor", "--json", "--host", "local").stdout)["local"]
        if local.get("sufficient"):
            self.skipTest("the local KVM is good")
        self.expect(rig("run", SCENARIO, "--host", "local"), "/dev/kvm", "--host virtual")


if __name__ == "__main__":
    unittest.main(verbosity=1)
