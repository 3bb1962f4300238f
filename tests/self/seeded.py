# The seeded bugs: patches with a header, and what became of each.
from dataclasses import dataclass, field
from pathlib import Path

from guest_build import ROOT
from work import Showed, Trial

BUGS = ROOT / "tests/self/bugs"
# The weakest first.
MODES = ("scenario", "sweep", "alloc", "pairs")
FAMILIES = ("mapping", "ordering", "flushing", "ledger", "reserve", "waiting", "nesting", "NMI", "life-cycle", "accounting",
            "cpu-up-down", "entry-asm", "2024")
KEYS = ("Family", "Invariant", "Mode", "Seen")


@dataclass(frozen=True)
class Bug:
    """One patch. `seen`: the trial under which it is to be killed, "scenarios/x.toml" or "scenarios/x.toml[variant]"."""
    name: str
    patch: Path = field(repr=False)
    breaks: str
    family: str
    invariant: str
    mode: str
    seen: str

    def is_seen_by(self, trial: Trial) -> bool:
        return self.seen == (f"{trial.file}[{trial.variant}]" if trial.variant else trial.file)


@dataclass
class Outcome:
    """What the trials of each mode showed of a bug."""
    bug: Bug
    by_mode: dict[str, Showed] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)  # id -> title of the trial that showed it first
    named_in: dict[str, str] = field(default_factory=dict)  # mode -> title of the trial in which the named invariant fired
    broken: str = ""  # it could not be built

    def note(self, trial: Trial, showed: Showed):
        total = self.by_mode.setdefault(trial.mode, Showed())
        total.runs += showed.runs
        total.complaint = total.complaint or showed.complaint
        if self.bug.invariant in showed.ids:
            self.named_in.setdefault(trial.mode, trial.title)
        for one in showed.ids | ({"-"} if showed.complaint else set()):
            self.first.setdefault(one, trial.title)
        total.ids |= showed.ids

    def named(self, mode: str | None = None) -> bool:
        """Did the named invariant fire?"""
        return any(self.bug.invariant in s.ids for m, s in self.by_mode.items() if mode in (None, m))

    def weaker(self) -> str:
        """The trial of a weaker mode than the one its patch names that was enough; "" when there is none."""
        modes = MODES[:MODES.index(self.bug.mode)]
        return next((self.named_in[mode] for mode in modes if mode in self.named_in), "")

    def killed(self) -> bool:
        return any(s.killed for s in self.by_mode.values())

    def story(self) -> str:
        """Which id fired first where; a complaint that is no id, in short."""
        named = self.first.get(self.bug.invariant)
        if named:
            return named
        complaints = [s.complaint.splitlines()[0][:100] for s in self.by_mode.values() if s.complaint]
        return "; ".join([f"{one}: {title}" for one, title in self.first.items()] + complaints[:1]) or "nothing"

    def verdict(self) -> str:
        if self.broken:
            return "BROKEN"
        return "killed" if self.named() else "MISATTRIBUTED" if self.killed() else "SURVIVED"


def read_bug(path: Path) -> Bug:
    """Header: what it breaks, in plain text, then `Key: value` lines, then the diff. ValueError says what is wrong with it."""
    lines = path.read_text().split("\n--- a/", 1)[0].splitlines()
    values = dict(line.split(": ", 1) for line in lines if line.split(": ", 1)[0] in KEYS)
    missing = [key for key in KEYS if key not in values]
    if missing:
        raise ValueError(f"{path}: the header lacks {', '.join(missing)}")
    if values["Mode"] not in MODES or values["Family"] not in FAMILIES:
        raise ValueError(f"{path}: Mode is one of {', '.join(MODES)}; Family one of {', '.join(FAMILIES)}")
    text = " ".join(line for line in lines if line.split(": ", 1)[0] not in KEYS).strip()
    return Bug(path.stem, path, text, values["Family"], values["Invariant"], values["Mode"], values["Seen"])


def read_bugs() -> list[Bug]:
    return [read_bug(path) for path in sorted(BUGS.glob("*.patch"))]
