# Generic mutation of the schemes and the entry code: statements deleted, doubled, swapped, conditions negated, off by one.
import collections
import hashlib
import json
import random
import re
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import work
from guest_build import ROOT, BuildFailed

FILES = ("guest/stack/entry_exit.cpp", "guest/stack/pages.cpp", "guest/stack/reserve.cpp", "guest/stack/waiters.cpp",
         "guest/kernel/entry_common.cpp", "guest_asm/entry_64.S", "guest_asm/switch.S")
BATCH = 64  # images that a host holds at a time
EXPLAINED = ROOT / "tests/self/survivors.txt"
STATEMENT = re.compile(r"^\s+(?!return|const |static |auto |case |default|using |break|continue|u32 |u64 |Thread\*|PerCpu\*|FrameStash|Queue|Flush |SpinLock|Cache)[\w:>.*()\-]+.*;\s*(//.*)?$")
INSTRUCTION = re.compile(r"^\s+(pushq|popq|movq|movl|swapgs|call|cld|xorl|addq|testb|testl|testq|cmpq|j\w+)\b")
MARK = re.compile(r"^\s+(mark|taken|given)\(")  # what the rig is told, no part of the scheme
CONDITION = re.compile(r"\b(if|while) \((.*)\) \{$")
OFF_BY_ONE = ((" < extra", " <= extra"), (" <= extra", " < extra"), ("i = 1;", "i = 2;"), ("count == 0", "count == 1"), ("count > 0", "count > 1"), (" + 1", " + 2"))


ASSIGNMENT = re.compile(r"^\s+(?:write_once\((?P<a>[^,()]+), (?P<b>[^()]*)\)|(?P<c>[\w.>\[\]-]+) [|&]?= (?P<d>[^()]*));")
MOVE = re.compile(r"^\s+mov[ql]\s+(?P<from>[^\s].*), (?P<to>%\w+|%gs:\w+|[\w() %$+-]*\(%\w+\))\s*(/\*.*)?$")


def is_idempotent(line: str) -> bool:
    """To do it twice in a row is to do it once: a value stored that does not depend on where it goes, a comparison."""
    assignment = ASSIGNMENT.match(line)
    if assignment:
        target, value = (assignment["a"] or assignment["c"]), (assignment["b"] or assignment["d"])
        return target not in value and not re.search(r"\+\+|--", line)
    move = MOVE.match(line)
    if move:
        return move["to"] not in move["from"]
    return re.match(r"^\s+(cld|cmp[ql]|test[bql]|local_irq_\w+\(\);)|^\s+xorl\s+(%\w+), \2\s", line + " ") is not None


REGISTERS = {name: f"r{i}" for i in range(8, 16) for name in (f"r{i}", f"r{i}d")} | {
    prefix + letter: letter for letter in ("ax", "bx", "cx", "dx", "si", "di", "bp", "sp") for prefix in "re"}


def touches(line: str):
    """(registers read, registers written, whether memory, whether flags) of one instruction of the assembler files; None if unsure."""
    match = re.match(r"^\s+(mov[ql]|xorl|testb|testl|testq|cmpq|addq)\s+(.*?)\s*(/\*.*)?$", line)
    if not match:
        return None
    name, operands = match[1], re.split(r",\s*(?![^(]*\))", match[2])
    registers = lambda text: {REGISTERS.get(r, r) for r in re.findall(r"%(\w+)", text) if r != "gs"}
    target = operands[-1]
    plain = re.fullmatch(r"%\w+", target) is not None
    writes = registers(target) if plain and not name.startswith(("test", "cmp")) else set()
    reads = set().union(*map(registers, operands)) - (writes if name.startswith("mov") and registers(operands[0]).isdisjoint(writes) else set())
    return reads, writes, "(" in match[2] or "%gs" in match[2] or "PERCPU" in match[2], not name.startswith("mov")


def may_change_places(one: str, other: str) -> bool:
    """Two instructions that neither make nor spoil what the other uses."""
    a, b = touches(one), touches(other)
    return (a is not None and b is not None and not (a[2] and b[2]) and not (a[3] and b[3])
            and a[1].isdisjoint(b[0] | b[1]) and b[1].isdisjoint(a[0] | a[1]))


@dataclass
class Mutant:
    """One change of one line, named by what the line said, so that it is the same one after other lines have moved."""
    path: str
    line: int
    what: str
    before: str
    lines: list[str] = field(repr=False)
    occurrence: int = 1
    showed: work.Showed = field(default_factory=work.Showed)
    by: str = ""
    broken: bool = False
    same: bool = False  # the compiler makes the same image of it

    @property
    def name(self) -> str:
        return f"{self.path}: {self.what}: {self.before}" + (f" #{self.occurrence}" if self.occurrence > 1 else "")


def mutants_of(path: str) -> list[Mutant]:
    lines = (ROOT / path).read_text().splitlines()
    pattern = INSTRUCTION if path.endswith(".S") else STATEMENT
    found = []

    def add(i, what, replaced):
        found.append(Mutant(path, i + 1, what, " ".join(lines[i].split("//")[0].split("/*")[0].split()), replaced))

    for i, line in enumerate(lines):
        if pattern.match(line) and not MARK.match(line):
            blank = [] if path.endswith(".S") else ["    ;"]
            add(i, "deleted", lines[:i] + blank + lines[i + 1:])
            if not re.search(r"\bj\w+\b|: ", line) and not is_idempotent(line):
                add(i, "doubled", lines[:i + 1] + lines[i:])
            if i + 1 < len(lines) and pattern.match(lines[i + 1]) and not MARK.match(lines[i + 1]) and not may_change_places(line, lines[i + 1]):
                add(i, "swapped with the next", lines[:i] + [lines[i + 1], line] + lines[i + 2:])
        condition = CONDITION.search(line)
        if condition and not path.endswith(".S"):
            negated = f"{line[:condition.start()]}{condition[1]} (!({condition[2]})) {{"
            add(i, "negated", lines[:i] + [negated] + lines[i + 1:])
        if not path.endswith(".S"):
            for a, b in OFF_BY_ONE:
                if a in line:
                    add(i, "off by one", lines[:i] + [line.replace(a, b, 1)] + lines[i + 1:])
    return found


def all_mutants() -> list[Mutant]:
    found = [mutant for path in FILES for mutant in mutants_of(path)]
    seen = {}
    for mutant in found:
        key = (mutant.path, mutant.what, mutant.before)
        seen[key] = mutant.occurrence = seen.get(key, 0) + 1
    return found


def explained() -> dict[str, str]:
    """Survivors with the reason why nothing can be seen of them: blocks of a name and an indented reason."""
    reasons, name = {}, None
    for line in EXPLAINED.read_text().splitlines():
        if line.startswith("#") or not line.strip():
            continue
        if line.startswith(" "):
            reasons[name] = f"{reasons[name]} {line.strip()}".strip()
        else:
            name = line
            reasons[name] = ""
    return reasons


class Journal:
    """Each mutant's end as it comes, one JSON object a line, so that a run that was ended can be gone on with."""

    def __init__(self, path: str, basis: str):
        """`basis`: what the results hold for. Error: ValueError, when the file's are for something else."""
        self.path = path
        self.known = {}
        if not path:
            return
        text = Path(path).read_text() if Path(path).exists() else ""
        whole = text[:text.rfind("\n") + 1] or json.dumps({"basis": basis}) + "\n"  # the last line may be cut off
        first, *lines = whole.splitlines()
        if json.loads(first) != {"basis": basis}:
            raise ValueError(f"{path} was written for another guest, program or set of trials; name a new file")
        Path(path).write_text(whole)
        self.known = {record["name"]: record for record in map(json.loads, lines)}

    def recall(self, mutant: Mutant) -> bool:
        record = self.known.get(mutant.name)
        if record is not None:
            mutant.by, mutant.broken, mutant.same = record["by"], record["broken"], record["same"]
        return record is not None

    def note(self, mutant: Mutant):
        if self.path:
            with open(self.path, "a") as file:
                file.write(json.dumps({"name": mutant.name, "by": mutant.by, "broken": mutant.broken, "same": mutant.same}) + "\n")


def build_one(build, folder, unchanged, numbered):
    number, mutant = numbered
    scratch = build.scratch(folder / f"g{number}")
    (scratch / mutant.path).write_text("\n".join(mutant.lines) + "\n")
    try:
        elf = build.make(scratch, [mutant.path])
    except BuildFailed:
        mutant.broken = True
        return number, None
    mutant.same = elf.read_bytes() == unchanged
    return number, None if mutant.same else elf


def try_one(rig, elf, mutant, trials):
    """Up to the first trial that shows anything."""
    for trial in trials:
        mutant.showed = work.try_on(rig, elf, trial, stop_at=work.ANYTHING)
        if mutant.showed.killed:
            mutant.by = trial.title
            return


class Trials:
    """Scenarios first, for sweeps take longer; among each, first what has killed most so far."""

    def __init__(self):
        self.scenarios = work.scenario_trials()
        self.sweeps = work.sweep_trials()
        self.kills = collections.Counter()

    def in_order(self):
        often_first = lambda trial: -self.kills[trial.title]
        return sorted(self.scenarios, key=often_first) + sorted(self.sweeps, key=often_first)

    def basis(self) -> bytes:
        return "".join(f"{trial.file} {trial.variant} {trial.text}" for trial in self.scenarios + self.sweeps).encode()


def try_batch(options, build, batch, elves, trials, journal, say):
    """`batch`: numbered mutants, those in `elves` with an image."""
    from mutants import on_all_hosts

    def run(rig, item):
        number, mutant = item
        try_one(rig, str(elves[number]), mutant, trials.in_order())
        trials.kills[mutant.by] += 1
        journal.note(mutant)
        say(f"{mutant.by or '-':<40} {mutant.name}")

    on_all_hosts(build.build / "stackrig", elves, [item for item in batch if item[0] in elves], options.jobs, run)
    for number, mutant in batch:
        if number not in elves:
            journal.note(mutant)


def basis_of(build, unchanged: bytes, trials: Trials) -> str:
    """All that results depend on: the guest, the program, the trials."""
    return hashlib.sha256(unchanged + (build.build / "stackrig").read_bytes() + trials.basis()).hexdigest()


def score(options, build, folder: Path) -> int:
    from mutants import build_all, say
    start = time.monotonic()
    chosen = all_mutants()
    total = len(chosen)
    random.Random(options.seed).shuffle(chosen)
    chosen = chosen[:options.sample] if options.sample else chosen
    if options.quick:
        reasons = explained()
        left_out = [m for m in chosen if reasons.get(m.name, "").startswith("equivalent:")]
        chosen = [m for m in chosen if m not in left_out]
        say(f"{len(left_out)} mutants are explained as equivalent, and not tried")
    unchanged = build.make(build.scratch(folder / "unchanged"), []).read_bytes()
    trials = Trials()
    journal = Journal(options.journal, basis_of(build, unchanged, trials))
    todo = [mutant for mutant in chosen if not journal.recall(mutant)]
    if options.journal:
        say(f"{len(chosen) - len(todo)} mutants are in {options.journal} already")
    trials.kills.update(mutant.by for mutant in chosen if mutant.by)
    for first in range(0, len(todo), BATCH):
        batch = list(enumerate(todo[first:first + BATCH]))
        here = lambda text, first=first: say(f"{time.monotonic() - start:5.0f} s  {len(chosen) - len(todo) + first:>4} of {len(chosen)} done  {text}")
        elves = build_all(batch, lambda item: build_one(build, folder, unchanged, item), options.jobs)
        here(f"{len(elves)} of {len(batch)} make another image, {sum(m.same for _, m in batch)} the same one")
        try_batch(options, build, batch, elves, trials, journal, here)
    return conclude(options, total, chosen, [m for m in chosen if not m.broken and not m.same], time.monotonic() - start)


def conclude(options, total, chosen, done, seconds) -> int:
    reasons = explained()
    survivors = [m for m in done if not m.by]
    equivalent = [m for m in survivors if reasons.get(m.name, "").startswith("equivalent:")]
    known = [m for m in survivors if m.name in reasons]
    killed = len(done) - len(survivors)
    against = len(done) - len(equivalent)
    percent = 100 * killed / against if against else 100
    if options.json:
        print(json.dumps({"killed": killed, "built": len(done), "equivalent": len(equivalent), "percent": percent,
                          "survivors": [{"name": m.name, "line": m.line, "reason": reasons.get(m.name, "")} for m in survivors]}, indent=1))
    else:
        for path in FILES:
            here = [m for m in done if m.path == path]
            print(f"{path:<34} {sum(bool(m.by) for m in here):>4} of {len(here):>4} killed")
        print(f"\n{len(chosen)} of {total} mutants, seed {options.seed}: {sum(m.broken for m in chosen)} cannot be built, {sum(m.same for m in chosen)} make the "
              f"same image; of the other {len(done)} {killed} killed, {len(survivors)} survived, "
              f"{len(equivalent)} of them equivalent: {percent:.1f} % of the others killed; {seconds:.0f} s")
        for m in survivors:
            print(f"  {m.path}:{m.line} {m.what}: {m.before}\n      {reasons.get(m.name, 'NOT EXPLAINED in tests/self/survivors.txt')}")
    return 0 if percent >= 90 and len(known) == len(survivors) else 1
