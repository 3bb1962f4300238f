#!/usr/bin/env python3
"""Every scenario on two kinds of host: the same verdicts, the same traces. What is known to differ is listed here, with the reason.

Usage: compare-hosts.py STACKRIG SOURCE_ROOT [PATH...]
Runs PATH (default: scenarios) on the virtual host with npt=0 and with npt=1, prints each difference with both traces where they part,
and exits 1 if there is one that nobody expects.
"""
import itertools
import json
import os
import subprocess
import sys
import tempfile

STACKRIG, ROOT = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
PATHS = sys.argv[3:] or ["scenarios"]
FLAVOURS = {"npt=0": [], "npt=1": ["--npt"]}
# Name of the run -> what may differ, and why.
KNOWN = {
    "hz-a2-windows-fit-in-one-page[page-fault]":
        ("trace", "RF in the frame of a #PF, read into a register: KVM sets it (SDM 3B 18.3.1.1), TCG delivering the fault itself does not"),
    "hz-c1-stale-for-real":
        ("verdict", "needs a host whose stale translations stay until INVLPG: shadow page tables (npt=0) do, TCG's nested paging does not"),
}


def results(flags):
    with tempfile.TemporaryDirectory() as folder:
        lines = os.path.join(folder, "lines")
        run = subprocess.run([STACKRIG, "run", *PATHS, "--host", "virtual", "--quiet", "--jsonl", lines, *flags], cwd=ROOT, capture_output=True,
                             text=True, timeout=600, check=False)
        with open(lines, encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
    if run.returncode not in (0, 1):
        sys.exit(run.stdout + run.stderr)
    return {row["name"]: row for row in rows if row["t"] == "run"}


def trace(row, flags):
    name, _, variant = row["name"].partition("[")
    words = [STACKRIG, "replay", row["file"], "--trace", "--force", "--host", "virtual", *flags]
    if variant:
        words += ["--variant", variant.rstrip("]")]
    run = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    return [line for line in run.stdout.splitlines() if not line.startswith("host:")]


def parting(row):
    """The first stop at which the traces differ, and three before it."""
    a, b = (trace(row, flags) for flags in FLAVOURS.values())
    for i, (x, y) in enumerate(itertools.zip_longest(a, b, fillvalue="(no more)")):
        if x != y:
            return "\n".join(["    " + line for line in a[max(0, i - 3):i]] + [f"    npt=0: {x}", f"    npt=1: {y}"])
    return "    (the printed traces are equal)"


def main():
    shadow, nested = (results(flags) for flags in FLAVOURS.values())
    unexpected = 0
    for name in sorted(shadow.keys() | nested.keys()):
        a, b = shadow.get(name), nested.get(name)
        if a and b and all(a[key] == b[key] for key in ("verdict", "stops", "trace_hash")):
            continue
        what, known = KNOWN.get(name, (None, None))
        if what == "trace" and (a["verdict"], a["stops"]) != (b["verdict"], b["stops"]):
            known = None
        print(f"{name}: " + " / ".join(f"{row['verdict']}, {row['stops']} stops, trace {row['trace_hash']}" if row else "absent" for row in (a, b)))
        print(f"    known: {known}" if known else parting(a or b))
        unexpected += known is None
    print(f"{len(shadow)} runs on npt=0, {len(nested)} on npt=1: {unexpected} unexpected difference{'' if unexpected == 1 else 's'}")
    sys.exit(1 if unexpected or not shadow else 0)


main()
