#!/usr/bin/env python3
"""`run` with report files that cannot be: refused before anything runs, in words.

Usage: check-outputs.py STACKRIG SOURCE_ROOT
"""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = sys.argv.pop()
STACKRIG = os.path.abspath(sys.argv.pop())
SCENARIO = "scenarios/seed/c2-user-thread-keeps-one-page.toml"


def run(*arguments):
    return subprocess.run([STACKRIG, "run", SCENARIO, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60)


class Refused(unittest.TestCase):
    def refused(self, arguments, words):
        said = run(*arguments)
        self.assertEqual((said.returncode, said.stdout), (2, ""), said)
        self.assertEqual(said.stderr, words)

    def test_a_folder_that_is_not_there(self):
        self.refused(["--junit", "/no/such/folder/x.xml"],
                     "error: /no/such/folder/x.xml: cannot be written: ENOENT (No such file or directory)\n")

    def test_one_file_for_two_reports(self):
        with tempfile.TemporaryDirectory() as folder:
            file = f"{folder}/report"
            self.refused(["--jsonl", file, "--junit", file], f"error: {file}: named for two reports; each needs a file of its own\n")

    def test_an_older_report_is_kept_when_the_run_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            old = pathlib.Path(folder, "old.xml")
            old.write_text("old")
            self.assertEqual(run("--junit", old, "--jsonl", "/no/such/folder/x").returncode, 2)
            self.assertEqual(old.read_text(), "old")


if __name__ == "__main__":
    unittest.main()
