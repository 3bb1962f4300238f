#!/usr/bin/env python3
"""bench on the host that would be used: figures by name, and JSON that a program can read.

Usage: check-bench.py STACKRIG
"""
import json
import os
import subprocess
import sys
import unittest

STACKRIG = os.path.abspath(sys.argv.pop())


def bench(*arguments):
    return subprocess.run([STACKRIG, "bench", *arguments], capture_output=True, text=True, timeout=500)


class Bench(unittest.TestCase):
    def test_json_is_json_and_the_host_is_named_beside_it(self):
        said = bench("--json", "--only", "bare_exit")
        self.assertEqual(said.returncode, 0, said)
        self.assertRegex(said.stderr, r"^host: ")
        figures = json.loads(said.stdout)["benchmarks"]
        self.assertEqual([figure["name"] for figure in figures], ["bare_exit"])
        self.assertGreater(figures[0]["real_time"], 0)

    def test_a_figure_that_is_not_there_is_no_success(self):
        said = bench("--only", "nonsense")
        self.assertEqual(said.returncode, 2, said)
        self.assertIn("Failed to match any benchmarks against regex: nonsense\n", said.stdout + said.stderr)

    def test_a_person_reads_the_host_first(self):
        said = bench("--only", "bare_exit")
        self.assertEqual(said.returncode, 0, said)
        self.assertRegex(said.stdout, r"^host: ")
        self.assertIn("bare_exit", said.stdout)


unittest.main()
