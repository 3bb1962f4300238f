#!/usr/bin/env python3
# ./rig mutants: is every bug that was put into the guest on purpose found, and by the check that ought to find it?
import argparse
import json
import os
import queue
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import work
from guest_build import ROOT, BuildFailed, GuestBuild, apply_patch
from rig_client import Rig
from seeded import MODES, Outcome, read_bugs


def arguments():
    parser = argparse.ArgumentParser(prog="./rig mutants", description="Puts known bugs into the guest, runs it, and prints which were "
                                     "found, in which mode, and by which invariant. Exit 0: every one by the invariant its patch names, and in no weaker mode than it names.")
    parser.add_argument("--quick", action="store_true", help="each bug only on the trial that its patch names; --generic: without the mutants that survivors.txt calls equivalent")
    parser.add_argument("--generic", action="store_true", help="generic mutations of guest/stack and the entry code instead of seeded bugs")
    parser.add_argument("--bug", action="append", default=[], metavar="NAME", help="only this one (again for more)")
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count() or 1, help="hosts that run side by side (default: one per CPU)")
    parser.add_argument("--json", action="store_true", help="the results as JSON, on standard output")
    parser.add_argument("--journal", default="", metavar="FILE", help="--generic: keep each result in FILE as it comes, and go on from what it holds")
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="--generic: only N of the mutants (default: all)")
    parser.add_argument("--seed", type=int, default=1, help="--generic: which ones are sampled, and in which order (default: 1)")
    return parser.parse_args()


def say(text=""):
    print(text, file=sys.stderr, flush=True)


def build_all(items, make, jobs):
    """{name: elf}; `make(item)` builds one, and notes by itself if it cannot be built."""
    with ThreadPoolExecutor(jobs) as pool:
        return {name: elf for name, elf in pool.map(make, items) if elf is not None}


def on_all_hosts(program, elves, items, jobs, run):
    """Calls run(rig, item) for every item, on `jobs` hosts that each hold every image."""
    todo = queue.SimpleQueue()
    for item in items:
        todo.put(item)
    problems = []

    def labour():
        try:
            rig = Rig(program, list(elves.values()))
            while True:
                try:
                    item = todo.get_nowait()
                except queue.Empty:
                    break
                run(rig, item)
            rig.close()
        except Exception as problem:  # told by the main thread
            problems.append(problem)

    threads = [threading.Thread(target=labour) for _ in range(min(jobs, len(items)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]


def build_bug(build, folder, outcome):
    bug = outcome.bug
    try:
        scratch = build.scratch(folder / bug.name)
        return bug.name, build.make(scratch, apply_patch(scratch, bug.patch))
    except BuildFailed as problem:
        outcome.broken = str(problem)
        return bug.name, None


def try_bug(rig, elf, outcome, trials, quick):
    """The named trial first. `quick`: it alone; otherwise every mode until the named invariant has fired in it."""
    bug = outcome.bug
    ordered = sorted(trials, key=lambda trial: not bug.is_seen_by(trial))
    for trial in ordered[:1] if quick else ordered:
        if not outcome.named(trial.mode):
            outcome.note(trial, work.try_on(rig, elf, trial, stop_at=bug.invariant))


def check_headers(bugs, trials):
    for bug in bugs:
        if not any(bug.is_seen_by(trial) for trial in trials):
            raise ValueError(f"{bug.patch}: there is no {bug.seen}")
        trial = next(t for t in trials if bug.is_seen_by(t))
        if trial.mode != bug.mode:
            raise ValueError(f"{bug.patch}: {bug.seen} is run in mode {trial.mode}, not {bug.mode}")


def cell(outcome, mode):
    showed = outcome.by_mode.get(mode)
    if showed is None:
        return "."
    if outcome.bug.invariant in showed.ids:
        return "killed"
    return "+".join(sorted(showed.ids)) or ("(no id)" if showed.complaint else "-")


def matrix(outcomes, quick, seconds):
    modes = [mode for mode in MODES if any(mode in o.by_mode for o in outcomes)]
    wide = max(len(o.bug.name) for o in outcomes)
    lines = [f"{'bug':<{wide}}  {'family':<11} {'names':<8} " + " ".join(f"{mode:<10}" for mode in modes) + " first shown by"]
    for o in sorted(outcomes, key=lambda o: (o.bug.family, o.bug.name)):
        cells = " ".join(f"{cell(o, mode):<10}" for mode in modes)
        first = o.first.get(o.bug.invariant, "")
        lines.append(f"{o.bug.name:<{wide}}  {o.bug.family:<11} {o.bug.invariant:<8} {cells} {first}")
    count = lambda verdict: sum(o.verdict() == verdict for o in outcomes)
    lines += ["", f"{len(outcomes)} seeded bugs{' (quick)' if quick else ''}: {count('killed')} killed by the named invariant, {count('MISATTRIBUTED')} killed by another, "
              f"{count('SURVIVED')} survived, {count('BROKEN')} not built; {sum(s.runs for o in outcomes for s in o.by_mode.values())} runs in {seconds:.0f} s"]
    for o in outcomes:
        if o.verdict() == "BROKEN":
            lines.append(f"  {o.bug.name}: {o.broken}")
        elif o.verdict() != "killed":
            lines.append(f"  {o.verdict()} {o.bug.name} names {o.bug.invariant}; {o.story()}")
        elif o.weaker():
            lines.append(f"  WEAKER {o.bug.name} names mode {o.bug.mode}; {o.weaker()} is enough")
    lines.append(". not tried; - nothing found; other cells: what fired instead of the named invariant.")
    return "\n".join(lines)


def as_json(outcome):
    return {"bug": outcome.bug.name, "family": outcome.bug.family, "invariant": outcome.bug.invariant, "mode": outcome.bug.mode, "verdict": outcome.verdict(),
            "modes": {m: {"ids": sorted(s.ids), "complaint": s.complaint, "runs": s.runs} for m, s in outcome.by_mode.items()}, "first": outcome.first}


def seeded(options, build, folder):
    start = time.monotonic()
    bugs = [bug for bug in read_bugs() if not options.bug or bug.name in options.bug]
    trials = work.scenario_trials() + work.sweep_trials()
    check_headers(bugs, trials)
    if not bugs:
        raise ValueError(f"there is no bug {', '.join(options.bug)}")
    outcomes = [Outcome(bug) for bug in bugs]
    elves = build_all(outcomes, lambda o: build_bug(build, folder, o), options.jobs)
    say(f"{len(elves)} guests built in {time.monotonic() - start:.1f} s")
    # A bug's kill is worth something only where the tree's own guest is clean.
    used = {trial.title: trial for trial in trials for bug in bugs if bug.is_seen_by(trial) or not options.quick}
    unpatched = []

    def run(rig, item):
        if isinstance(item, work.Trial):
            showed = work.try_on(rig, None, item)
            if showed.killed:
                unpatched.append(f"{item.title}: {', '.join(sorted(showed.ids)) or showed.complaint}")
        elif item.bug.name in elves:
            try_bug(rig, str(elves[item.bug.name]), item, trials, options.quick)
            say(f"{item.verdict():<14} {item.bug.name:<32} {item.bug.invariant:<8} {item.story()}")

    sweeps = [trial for trial in used.values() if trial.sweep]
    on_all_hosts(build.build / "stackrig", elves, [*sweeps, *outcomes, *(t for t in used.values() if not t.sweep)], options.jobs, run)
    if options.json:
        print(json.dumps({"bugs": [as_json(o) for o in outcomes], "unpatched": unpatched}, indent=1))
    else:
        print(matrix(outcomes, options.quick, time.monotonic() - start))
        print(f"The guest without any bug, on the same {len(used)} trials: {'clean' if not unpatched else 'NOT CLEAN: ' + '; '.join(unpatched)}")
    return 0 if not unpatched and all(o.verdict() == "killed" and not o.weaker() for o in outcomes) else 1


def main():
    options = arguments()
    build = GuestBuild(Path(os.environ.get("STACKRIG_BUILD", ROOT / "build")).resolve())
    try:
        with tempfile.TemporaryDirectory(prefix="mutants-", dir=build.build) as folder:
            if options.generic:
                import generic
                return generic.score(options, build, Path(folder))
            return seeded(options, build, Path(folder))
    except ValueError as problem:
        say(f"mutants: {problem}")
        return 2
    except (RuntimeError, OSError) as problem:
        say(f"mutants: {problem}")
        return 3


if __name__ == "__main__":
    sys.exit(main())
