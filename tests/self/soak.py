#!/usr/bin/env python3
# A soak with a tally goes on where the last one ended, adds up, and is not mixed with another stream.
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from guest_build import ROOT

PROGRAM = Path(os.environ.get("STACKRIG_BUILD", ROOT / "build")) / "stackrig"
SCENARIO = str(ROOT / "scenarios/schemes/fixed-null-syscall.toml")


def soak(tally, runs, seed=1):
    return subprocess.run([PROGRAM, "soak", "--runs", str(runs), "--seed", str(seed), "--tally", tally, SCENARIO], cwd=ROOT, capture_output=True, text=True, timeout=120)


def main():
    with tempfile.TemporaryDirectory() as folder:
        tally = str(Path(folder) / "tally.json")
        for times in (1, 2):
            done = soak(tally, 1)
            assert done.returncode == 0, done.stdout + done.stderr
            kept = json.loads(Path(tally).read_text())
            assert kept["next_visit"] == times and kept["runs"] == 200 * times and kept["alarms"] == 0, kept
            assert f"rounds {times - 1} to {times - 1}" in done.stdout, done.stdout
            assert done.stdout.endswith(f"{tally}: {200 * times} runs with seed 1 in all, 0 alarms\n"), done.stdout
        other = soak(tally, 1, seed=2)
        assert other.returncode == 2 and f"{tally} is no tally of a soak of 1 scenarios with seed 2" in other.stderr, other.stdout + other.stderr
        assert json.loads(Path(tally).read_text()) == kept


if __name__ == "__main__":
    sys.exit(main())
