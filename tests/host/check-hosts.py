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

# What the probe and the self-test say of capabilities that are there, and of those that a KVM in software lacks.
SEEN = {
    "int3.kernel": "vector 3 taken",
    "syscall.64": "CS 0x8 and SS 0x10 at LSTAR, the guest reads CS as 0x8",
    "inject.nmi": "vector 2 taken, to return to 0x10000",
    "dirty_log": "pages 0x[0-9a-f]+ logged after a write to page 0x30",
    "slot.readonly": r"write of 0x1 \(1 byte\) at 0x100000, where no writable memory is at RIP 0x10008",
    "smep": r"#PF with error code 0x11",
    "rule.step.sti": r"\d+ steps, each to the next boundary",
    "rule.walk": r"\d+ boundaries from the entry point to the end",
    "rule.clean": "the guest saw no trap flag but its own",
    "rule.nmi": r"\d+ boundaries: \d+ exact, \d+ one instruction late in a shadow, 0 that cannot take it",
    "rule.irq": r"\d+ boundaries: \d+ exact, 0 one instruction late in a shadow, \d+ that cannot take it",
}
SEEN_INSTEAD = {
    "int3.kernel": "at RIP 0x[0-9a-f]+ instead of the handler of vector 3",
    "syscall.64": "at RIP 0x[0-9a-f]+ instead of HLT before 0x12003",
    "step.iretq": "at RIP 0x[0-9a-f]+ instead of a step to 0x11000",
    "inject.nmi": "instead of the handler of vector 2, to return to 0x[0-9a-f]+",
    "inject.irq": "at RIP 0x[0-9a-f]+ instead of an open window at 0x10003",
}


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
        self.assertRegex(said[0], r"\Ahost: virtual \(QEMU TCG with SVM, Linux 6\S*, kvm-amd npt=0\), because --host virtual asks for it\n")
        self.assertEqual(said[0], said[1])
        self.assertEqual(names[0], names[1])
        self.assertEqual(len(names[0]), 4)


    def test_one_that_cannot_be_had_is_done_without(self):
        with tempfile.TemporaryDirectory() as folder:
            build = pathlib.Path(STACKRIG).parent
            for name in "guest", "host", "vmm":  # all but the saved states: those of this machine must not be found
                os.symlink(build / name, pathlib.Path(folder, name))
            shutil.copy2(STACKRIG, folder)
            qemu = pathlib.Path(folder, "qemu-system-x86_64")
            qemu.write_text(f'#!/bin/sh\nmkdir {folder}/started 2>/dev/null && exec {shutil.which("qemu-system-x86_64")} "$@"\necho only once\nexit 1\n')
            qemu.chmod(0o755)
            run = rig("run", *FEW, "--host", "virtual", "-j", "2", program=f"{folder}/stackrig", PATH=f"{folder}:{os.environ['PATH']}")
        self.assertEqual(run.returncode, 0, run)
        self.assertTrue(run.stderr.endswith("note: one worker less: the virtual host is gone: QEMU exited with status 1. What was finished before is kept; "
                                            "start again.\nQEMU said:\nonly once\n\n"), run.stderr)
        self.assertIn("\n4 scenarios: ", run.stdout)


class BitExact(unittest.TestCase):
    def test_twice_gives_the_same_ticks(self):
        runs = [rig("replay", SCENARIO, "--bit-exact", "--trace") for _ in range(2)]
        for run in runs:
            self.assertEqual((run.returncode, run.stderr), (0, ""), "the violation is the one that this scenario expects")
        self.assertEqual(runs[0].stdout, runs[1].stdout)
        ticks = [int(tick) for tick in re.findall(r" tsc=(\d+)$", runs[0].stdout, re.M)]
        self.assertGreater(len(ticks), 30)
        self.assertEqual(ticks, sorted(set(ticks)), "time goes on")
        plain = rig("replay", SCENARIO, "--host", "virtual")
        self.assertEqual((plain.returncode, plain.stderr), (0, ""))
        self.assertEqual(plain.stdout.splitlines()[-2:], runs[0].stdout.splitlines()[-2:], "the same stops and the same trace as without")

    def test_the_check_of_determinism_takes_in_the_ticks(self):
        run = rig("replay", SCENARIO, "--bit-exact", "--check-determinism")
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        self.assertIn("host: virtual (QEMU TCG with SVM under icount, kvm-amd npt=0), because --bit-exact asks for it", run.stdout)
        self.assertRegex(run.stdout, r"deterministic: \d+ stops, trace [0-9a-f]{16} twice, and the TSC at each stop")

    def test_what_it_cannot_be_together_with_is_said(self):
        self.assertEqual(rig("replay", SCENARIO, "--bit-exact", "--gdb", "0").returncode, 2)


class Doctor(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.said = rig("doctor", "--json")
        cls.hosts = json.loads(cls.said.stdout)

    def test_every_host_is_there_and_the_virtual_ones_keep_every_rule(self):
        self.assertEqual((self.said.returncode, self.said.stderr), (0, ""))
        hosts = self.hosts
        self.assertEqual(list(hosts), ["local", "virtual npt=1", "virtual npt=0"])
        for flavour in "virtual npt=1", "virtual npt=0":
            self.assertTrue(hosts[flavour]["sufficient"])
            rules = [item for item in hosts[flavour]["items"] if item["name"].startswith("rule.")]
            self.assertEqual(len(rules), 17)
            self.assertEqual([item for item in rules if not item["ok"]], [])
        stale = {name: [item["ok"] for item in host.get("items", []) if item["name"] == "tlb.stale"] for name, host in hosts.items()}
        self.assertEqual((stale["virtual npt=1"], stale["virtual npt=0"]), ([False], [True]))

    def test_what_was_seen_is_said_of_each_capability(self):
        for flavour in "virtual npt=1", "virtual npt=0":
            seen = {item["name"]: item["detail"] for item in self.hosts[flavour]["items"]}
            for name, said in SEEN.items():
                self.assertRegex(seen[name], rf"\A{said}\Z")
            self.assertEqual(seen["tlb.stale"], "nested paging, and the new page is read" if flavour == "virtual npt=1" else "shadow paging, and the old page is read")

    def test_what_was_seen_instead_is_said_of_a_kvm_in_software(self):
        missing = {item["name"]: item["detail"] for item in self.hosts["local"].get("items", []) if not item["ok"]}
        if not SEEN_INSTEAD.keys() <= missing.keys():
            self.skipTest("the local KVM, if there is one, has the semantics of VMX or SVM")
        for name, said in SEEN_INSTEAD.items():
            self.assertRegex(missing[name], said)

    def test_the_text_names_the_scenarios_that_a_gap_costs(self):
        text = rig("doctor", "--host", "virtual").stdout
        self.assertRegex(text, r"tlb\.stale: .*\n    -> skipped there, each counted: .*hz-c1-stale-for-real")
        self.assertTrue(text.endswith("\n./rig run would use: virtual npt=0\n"), text)


class Exec(unittest.TestCase):
    def test_how_a_program_ended_is_passed_on(self):
        self.assertEqual(rig("exec", "/bin/sh", "-c", "exit 7").returncode, 7)
        killed = rig("exec", "/bin/sh", "-c", "kill -SEGV $$")
        self.assertEqual((killed.returncode, killed.stderr), (128 + 11, "the program was killed by SIGSEGV\n"))


class Failures(unittest.TestCase):
    """Each ends with exit code 3 and says what to do."""

    def expect(self, run, *parts):
        self.assertEqual(run.returncode, 3, run.stdout + run.stderr)
        for part in parts:
            self.assertIn(part, run.stderr)

    def test_no_qemu(self):
        self.expect(rig("run", SCENARIO, "--host", "virtual", PATH="/nowhere"), "error: execvp: ENOENT (No such file or directory) for qemu-system-x86_64. Install it: apt-get install qemu-system-x86\n")

    def test_no_kernel(self):
        build = pathlib.Path(STACKRIG).parent
        with tempfile.TemporaryDirectory() as folder:
            for name in ("stackrig", "guest/guest.elf"):
                pathlib.Path(folder, name).parent.mkdir(exist_ok=True)
                shutil.copy2(build / name, pathlib.Path(folder, name))
            self.expect(rig("run", SCENARIO, "--host", "virtual", program=f"{folder}/stackrig"), "the virtual host has no kernel", "fetch-kernel.sh")

    def test_a_worker_whose_front_end_is_gone(self):
        out, closed = os.pipe()
        os.close(out)
        request = b'{"do": "probe"}'
        with os.fdopen(closed, "wb") as nobody:
            worker = subprocess.run([STACKRIG, "worker", "--guest", "guest.elf"], input=len(request).to_bytes(4, "little") + request, stdout=nobody,
                                    stderr=subprocess.PIPE, timeout=60, check=False)
        self.assertEqual((worker.returncode, worker.stderr.decode()), (3, "error: write: EPIPE (Broken pipe) to the front end\n"))

    def test_an_insufficient_local_kvm(self):
        local = json.loads(rig("doctor", "--json", "--host", "local").stdout)["local"]
        if local.get("sufficient"):
            self.skipTest("the local KVM is good")
        self.expect(rig("run", SCENARIO, "--host", "local"), "/dev/kvm", "--host virtual")


if __name__ == "__main__":
    unittest.main(verbosity=1)
