#!/usr/bin/env python3
"""What the program says: each `$ command` of tests/golden/cli/*.txt, run by a shell, gives exactly the text below it.

Usage: check-transcripts.py STACKRIG SOURCE_ROOT. `[2]` behind a command's text is its exit status. A file's commands share one
folder, which begins with the tree's scenarios, docs and tests in it. Nothing here needs a KVM.
After an intended change: STACKRIG_UPDATE_GOLDEN=1 with the same arguments, then read the diff.
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(sys.argv.pop()).resolve()
STACKRIG = os.path.abspath(sys.argv.pop())
GOLDEN = ROOT / "tests/golden/cli"
BLOCK = re.compile(r"^\$ (.*)\n", re.MULTILINE)


def say(command, folder):
    """What a terminal would show."""
    script = f'rig() {{ "{STACKRIG}" "$@"; }}\n' + re.sub(r"\./rig\b", "rig", command)
    done = subprocess.run(["sh", "-c", script], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
                          env={**os.environ, "NO_COLOR": "1"})
    text = done.stdout + ("" if done.stdout.endswith("\n") or not done.stdout else "\n")
    return text + (f"[{done.returncode}]\n" if done.returncode else "")


def transcript(text):
    """The same commands with what they say now."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("scenarios", "docs", "tests"):
            os.symlink(ROOT / name, os.path.join(folder, name))
        return "\n".join(f"$ {command}\n{say(command, folder)}" for command in BLOCK.findall(text))


class Transcripts(unittest.TestCase):
    maxDiff = None

    def test_each_command_says_what_it_said(self):
        files = sorted(GOLDEN.glob("*.txt"))
        self.assertGreater(len(files), 1)
        for file in files:
            with self.subTest(file=file.name):
                before = file.read_text()
                now = transcript(before)
                if os.environ.get("STACKRIG_UPDATE_GOLDEN"):
                    file.write_text(now)
                self.assertEqual(before, now)

    def test_each_command_has_its_help_here(self):
        text = (GOLDEN / "help.txt").read_text()
        listed = re.findall(r"^  ([a-z]+) {2,}", say("./rig --help", ROOT), re.MULTILINE)
        self.assertGreater(len(listed), 10)
        for command in listed:
            self.assertIn(f"\n$ ./rig {command} --help\n", text)

    def test_help_fits_a_terminal(self):
        for line in (GOLDEN / "help.txt").read_text().splitlines():
            self.assertLessEqual(len(line), 80, line)


if __name__ == "__main__":
    unittest.main()
