# What guests are tried on: scenarios with their variants, and sweeps; and what an answer says about a changed guest.
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from guest_build import ROOT

WORKLOADS = ROOT / "tests/self/workloads"
PART = 250  # boundaries asked for at a time, so that a kill ends the sweep early
ANYTHING = "anything"  # for stop_at


@dataclass(frozen=True)
class Trial:
    """A scenario file, a variant of it or "", and whether it is swept."""
    file: str
    variant: str
    text: str = field(repr=False)
    sweep: bool = False
    alloc: bool = False
    pairs: bool = False

    @property
    def title(self) -> str:
        name = Path(self.file).stem
        return f"{name}[{self.variant}]" if self.variant else name

    @property
    def mode(self) -> str:
        return "scenario" if not self.sweep else "pairs" if self.pairs else "alloc" if self.alloc else "sweep"


@dataclass
class Showed:
    """What one trial showed of a guest: ids of violated invariants, or another complaint; both empty: nothing."""
    ids: set[str] = field(default_factory=set)
    complaint: str = ""
    runs: int = 0

    @property
    def killed(self) -> bool:
        return bool(self.ids or self.complaint)


def scenario_trials() -> list[Trial]:
    return [trial for trial in trials_in(ROOT / "scenarios") + trials_in(WORKLOADS) if not trial.sweep]


def sweep_trials() -> list[Trial]:
    return [trial for trial in trials_in(WORKLOADS) if trial.sweep]


def trials_in(folder: Path) -> list[Trial]:
    trials = []
    for path in sorted(folder.rglob("*.toml")):
        text = path.read_text()
        document = tomllib.loads(text)
        sweep = document.get("explore", {}).get("sweep")
        alloc = sweep is not None and sweep["events"] == ["alloc"]
        pairs = sweep is not None and sweep.get("pairs", "none") != "none"
        for variant in ["", *document.get("variants", {})]:
            trials.append(Trial(str(path.relative_to(ROOT)), variant, text, sweep is not None, alloc, pairs))
    return trials


def try_on(rig, guest: str | None, trial: Trial, stop_at: str | None = None) -> Showed:
    """Runs one trial. `guest`: name of an image, None for the tree's. `stop_at`: a sweep ends once this id, or ANYTHING, has been seen."""
    request = {"file": trial.file, "text": trial.text, "variant": trial.variant}
    if guest is not None:
        request["guest"] = guest
    if not trial.sweep:
        return _of_run(rig.ask(do="run", **request))
    return _sweep(rig, request, trial, stop_at)


def _of_run(answer: dict) -> Showed:
    if "error" in answer:
        return _of_error(answer)
    if answer["verdict"] in ("pass", "expected violation", "skip"):
        return Showed(runs=1)
    ids = {v["id"] for v in answer["violations"] if v["id"] != answer["expected"]}
    return Showed(ids, "" if ids else f"{answer['verdict']}: {answer['reason']}", 1)


def _of_error(answer: dict) -> Showed:
    """A file that names a place which this guest lacks says nothing about it; a worker that died does."""
    return Showed() if "unknown place" in answer["error"] or "unknown symbol" in answer["error"] else Showed(complaint=answer["error"])


def _sweep(rig, request: dict, trial: Trial, stop_at: str | None) -> Showed:
    sweep = tomllib.loads(trial.text)["explore"]["sweep"]
    plan = {"events": sweep["events"], "at": sweep.get("at", []), "user": sweep.get("user", True), "pairs": sweep.get("pairs", "none")}
    showed = Showed()
    first, boundaries = 0, 1
    while first < boundaries:
        answer = rig.ask(do="sweep", plan=plan, first=first, count=PART, patience_s=120, **request)
        if "error" in answer:
            showed.complaint = answer["error"]
            return showed
        boundaries = answer["boundaries"]
        first += PART
        showed.runs += answer["runs"]
        for finding in answer["findings"]:
            if finding["invariant"]:
                showed.ids.add(finding["invariant"])
            else:
                showed.complaint = f"{finding['verdict']}: {finding['text']}"
        if stop_at in showed.ids or (stop_at == ANYTHING and showed.killed):
            break
    return showed
