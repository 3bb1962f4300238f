#!/usr/bin/env python3
"""gdb itself attaches to a guest that stands at a place: registers, symbols, memory, breakpoints, watchpoints, steps, the end.

Usage: check-gdb.py STACKRIG GUEST.ELF SOURCE_ROOT. Exits 77 when there is no gdb here.
"""
import os
import re
import shutil
import socket
import subprocess
import sys
import unittest

STACKRIG, GUEST, ROOT = (os.path.abspath(a) for a in sys.argv[1:4])
del sys.argv[1:4]
ROUND_TRIP = "scenarios/seed/c5-no-wait-when-the-cache-is-full.toml"
SAVED_IP = 0xffffc90000010000 - 40  # pt_regs.ip at the top of A's stack, which is in slot 1
REFUTED = "scenarios/seed/c7-reserve-holder-rescheduled.toml"


class Guest:
    """A guest that stands at a place, and the port it can be reached at."""

    def __init__(self, file, place):
        self.process = subprocess.Popen([STACKRIG, "inspect", file, "--at", place, "--gdb", "0"], cwd=ROOT, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True)
        self.said = ""
        for line in self.process.stdout:
            self.said += line
            if match := re.search(r"target remote :(\d+)", line):
                self.port = int(match[1])
                self.said += self.process.stdout.readline()  # the last it says before gdb comes
                return
        self.process.stdout.close()
        self.process.wait(30)
        raise RuntimeError(self.said)

    def gdb(self, *commands):
        """What gdb says to each command."""
        script = ["set pagination off", "set confirm off", f"directory {ROOT}", f"target remote :{self.port}"]
        for command in commands:
            script += [f"echo \\n@@{command}\\n", command]
        said = subprocess.run(["gdb", "-nx", "-batch", *(word for line in script for word in ("-ex", line)), GUEST], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=120)
        parts = (said.stdout + "\n").split("\n@@")
        return [part.split("\n", 1)[1] for part in parts[1:]]

    def __enter__(self):
        return self

    def __exit__(self, failed, *_):
        if failed:
            self.process.kill()  # it would wait for a gdb that never comes
        with self.process.stdout:
            self.rest = self.process.stdout.read()
        self.code = self.process.wait(30)


class Gdb(unittest.TestCase):
    def test_a_port_that_is_taken_is_named(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            said = subprocess.run([STACKRIG, "inspect", ROUND_TRIP, "--gdb", str(port)], cwd=ROOT, capture_output=True, text=True, timeout=100)
        self.assertEqual(said.returncode, 2, said)
        self.assertIn(f"to port {port}; choose another one", said.stderr)

    def test_a_counterexample_can_be_looked_at(self):
        with Guest(REFUTED, "mark(enter.short)") as guest:
            self.assertIn("A     [#RRR]", guest.said)
            self.assertRegex(guest.said, r"The guest stands there. In another terminal, from this folder:\n    gdb \S+ -ex 'directory \S+' -ex 'target remote :\d+'\n")
            self.assertIn("`monitor` draws the picture; each CPU is a thread; `continue` goes on with the schedule, up to what the oracle finds.", guest.said)
            rip, bt, memory, monitor, threads = guest.gdb("p $cs", "bt 2", "p/x *(unsigned int*)&kernel_state", "monitor", "info threads")
        self.assertEqual(guest.code, 0)
        self.assertIn("= 16", rip)
        self.assertIn("entry_exit.cpp", bt)
        self.assertIn("= 0x47525453", memory, "KernelState's magic number")
        self.assertIn("A     [#RRR]", monitor)
        self.assertIn("(cpu0)", threads)

    def test_the_run_goes_on_under_gdb(self):
        with Guest(ROUND_TRIP, "A user") as guest:
            mode, hit, where, before, step, after, changed, left, over = guest.gdb(
                "p $cs", "break do_syscall_64", "continue", "p/x $rip", "stepi", "p/x $rip", "set var $r15 = 0x1234", "p/x $r15", "delete")
        self.assertIn("= 51", mode, "user mode")
        self.assertIn("Breakpoint 1", hit)
        self.assertIn("do_syscall_64", where)
        self.assertNotEqual(before, after)
        self.assertIn("= 0x1234", left)

    def test_writes_are_watched(self):
        with Guest(ROUND_TRIP, "A user") as guest:
            _, hit, mode = guest.gdb(f"watch *(unsigned long*){SAVED_IP}", "continue", "p $cs")
        self.assertRegex(hit, r"(?s)Old value = .*New value = ", "the next entry pushes another user RIP")
        self.assertIn("= 16", mode)

    def test_a_violation_stops_the_run_and_does_not_end_it(self):
        with Guest(REFUTED, "A user") as guest:
            _, violation, _, bt = guest.gdb("break panic", "continue", "continue", "bt 3")
        self.assertRegex(violation, r"INV-19 at stop \d+, cpu0 thread B enter\+0x[0-9a-f]+: B enters by device on cpu0 and needs the reserve, but A still holds")
        self.assertIn("INV-19 at stop ", guest.rest, "the terminal of the rig has it, too")
        self.assertIn("entry_exit.cpp", bt, "the kernel gives up right behind the violation")

    def test_the_end_of_the_schedule_is_the_end_of_the_program(self):
        with Guest(ROUND_TRIP, "A user") as guest:
            self.assertIn("exited normally", guest.gdb("continue")[0])
        self.assertEqual(guest.code, 0)

    def test_a_debugger_that_vanishes_leaves_nothing_behind(self):
        with Guest(ROUND_TRIP, "A user") as guest:
            with socket.create_connection(("127.0.0.1", guest.port)) as line:
                line.sendall(b"+$g#00$g#67")
                answer = b""
                while answer.count(b"#") < 1:
                    answer += line.recv(4096)
        self.assertTrue(answer.startswith(b"-+$"), "a packet with a wrong checksum is asked for again")
        self.assertEqual(len(answer.split(b"$")[1].split(b"#")[0]), 2 * 536)
        self.assertEqual(guest.code, 0)

    def test_a_place_that_is_not_reached_is_said(self):
        with self.assertRaises(RuntimeError) as error:
            Guest(ROUND_TRIP, "mark(panic)")
        self.assertRegex(str(error.exception), r'error: "mark\(panic\)" was not reached: the run ended after \d+ stops\. The place "end" stands where it did\n')


if __name__ == "__main__":
    if shutil.which("gdb") is None:
        print("no gdb here: --gdb was not tried")
        sys.exit(77)
    unittest.main()
