"""Results as the worker sends them, made up for tests of the reports."""

VERDICTS = ["pass", "expected violation", "FAIL", "XPASS", "SKIP", "VACUOUS", "INCOMPLETE", "TIMEOUT", "ERROR"]
GOOD = {"pass", "expected violation"}

# What breaks writers that escape by hand: markup, quotes, ends of CDATA and comments, terminal escapes, NUL, directives,
# workflow commands, other newlines, right-to-left marks, and characters beyond the basic plane.
HOSTILE = [
    "a<b>&amp;\"c'", "]]>", "--><!--", "# SKIP not really", "ok 1 - me", "::error::owned", "a%0Ab%25,c:d",
    "line\nbreak", "tab\there", "cr\rhere", "\x1b[31mred", "nul\x00", "\u2028sep\u0085", "\u202ertl", "\ufffe\uffff", "\U0001f9e8",
    "``` fence ````", "</script><script>alert(1)</script>", "../../etc", "it's $(id)", "-rf", " lead", "x" * 3000,
]


def registers(cpu=0, **more):
    return {"cpu": cpu, "rip": "ffffffff8010959d", "rsp": "ffffc90000017ee8", "rflags": "46", "cs": 16, "cr2": "0", "cr3": "15f000",
            "gs": "ffff888000164000", "nmi_masked": False, "gpr": [f"{n:x}" for n in range(16)]} | more


def timeline(stops, cpus=1, text="B"):
    """One thread on each CPU, and `text` wherever a text may be."""
    cpu = [{"regs": registers(n), "context": "entry", "symbol": text, "stack": text, "thread": text, "doing": text, "cache": [],
            "reserve": [4096 + n], "hands": [], "stale": [text]} for n in range(cpus)]
    thread = [{"name": text, "kind": "user", "state": text, "doing": text, "pages": [["8000000000161063", "own"]] + [["0", ""]] * 3,
               "slot": n, "guards": 0, "depth": 280, "own": True, "cpu": n} for n in range(cpus)]
    return {"left_out": 0, "cpus": cpu, "threads": thread,
            "moments": [{"stop": stop, "step": 0, "cpu": stop % cpus, "kind": "mark", "cause": text, "target": -1, "c": list(range(cpus)),
                         "t": list(range(cpus)), "free": 0, "violated": []} for stop in stops]}


def code(text="f(x);"):
    return [{"address": f"{0xffffffff8010959d + 4 * (i - 1):x}", "label": f"enter+{0x269 + 4 * i:#x}", "text": text,
             "file": "guest/stack/entry_exit.cpp", "line": 75 + i, "source": text} for i in range(3)]


def violation(id="INV-19", text="A second one is needed.", **more):
    return {"id": id, "object": "reserve of cpu0", "text": text, "where": "cpu0 thread B enter+0x26d", "step": "run B until mark(enter.short)", "stop": 32,
            "picture": "A [#RRR]\nB [#...]\n", "line": 7, "moment": timeline([32]), "before": registers(), "before_stop": 31, "code": code(text), "access": text} | more


def result(number=0, verdict="pass", **more):
    r = {"file": f"scenarios/made/up-{number}.toml", "name": f"up-{number}", "why": "Because.", "claims": ["C7"], "hazards": [],
         "verdict": verdict, "reason": "" if verdict in GOOD else f"it is a {verdict}", "expected": "", "violations": [],
         "reading": "mail", "ending": "", "landings": [], "examined": [{"id": "INV-1", "evaluated": 9, "applicable": 4}], "depths": [], "notes": [], "console": [],
         "stops": 28, "trace_hash": "fedcba9876543210", "seconds": 0.125, "line": 7, "steps": ["run A until user", "run B until mark(enter.short)"], "last_step": 1}
    if verdict in ("FAIL", "expected violation"):
        r["violations"] = [violation()]
    if verdict == "expected violation":
        r["expected"] = "INV-19"
    return r | more


def swept(boundaries=120, events=("irq", "nmi"), text="enter", **more):
    """A sweep in which the first event fails at boundaries 20 to 24 and 40, in functions of ten boundaries each."""
    places = [f"A {text}{i // 10}+{i % 10:#x} #1" if i % 60 < 50 else "" for i in range(boundaries)]
    letters = {event: "".join(" " if not places[i] else "-rreo"[(i + k) % 5] for i in range(boundaries)) for k, event in enumerate(events)}
    bad = [20, 21, 22, 23, 24, 40]
    letters[events[0]] = "".join("F" if i in bad else c for i, c in enumerate(letters[events[0]]))
    cell = {"executed": 8, "rejoined": 4, "off_schedule": 2, "incomplete": 0, "host_skipped": 0, "na": {text: 2}, "pruned": {}}
    none = {**cell, "executed": 0, "rejoined": 0, "off_schedule": 0}
    finding = {"verdict": "violation", "invariant": "INV-19", "object": text, "also": [], "text": text, "where": text, "picture": text + "\n",
               "decisions": [text], "trace_hash": "fedcba9876543210", "count": 6, "boundary": 20, "seen_at": {events[0]: bad}, "file": "out/cx/found.toml"}
    sweep = {"boundaries": boundaries, "first": 0, "count": boundaries, "runs": 99, "foreseen": 0, "unproved": 0, "stops": 999, "allocations": 0,
             "coverage": {f"{text}{f}": {event: cell if f != 3 else none for event in events} for f in range(boundaries // 10)},
             "places": places, "map": letters, "findings": [finding], "unmet": "", "all_met": True,
             "trunk_seconds": 0.5, "seconds": 0.5}
    return result(0, "FAIL", name="swept", violations=[violation(stop=0, step=text, text=text)], steps=[], landings=[], sweep=sweep) | more


def hostile():
    """One of each verdict for each hostile text, in every field that is free text."""
    results = []
    for i, text in enumerate(HOSTILE):
        verdict = VERDICTS[i % len(VERDICTS)]
        results.append(result(i, verdict, name=text, file=text, why=text, reason=text, notes=[text], console=[text],
                              landings=[{"event": text, "where": text, "exact": False, "detail": text, "address": "400007", "code": code(text)}]))
        if results[-1]["violations"]:
            results[-1]["violations"] = [violation(text=text, where=text, step=text, picture=text + "\n")]
    return results
