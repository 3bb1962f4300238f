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


def violation(id="INV-19", text="A second one is needed.", **more):
    return {"id": id, "text": text, "where": "cpu0 thread B enter+0x26d", "step": "run B until mark(enter.short)", "stop": 32,
            "picture": "A [#RRR]\nB [#...]\n", "line": 7} | more


def result(number=0, verdict="pass", **more):
    r = {"file": f"scenarios/made/up-{number}.toml", "name": f"up-{number}", "why": "Because.", "claims": ["C7"], "hazards": [],
         "verdict": verdict, "reason": "" if verdict in GOOD else f"it is a {verdict}", "expected": "", "violations": [],
         "landings": [], "examined": [{"id": "INV-1", "evaluated": 9, "applicable": 4}], "depths": [], "notes": [], "console": [],
         "stops": 28, "trace_hash": "fedcba9876543210", "seconds": 0.125, "line": 7}
    if verdict in ("FAIL", "expected violation"):
        r["violations"] = [violation()]
    if verdict == "expected violation":
        r["expected"] = "INV-19"
    return r | more


def hostile():
    """One of each verdict for each hostile text, in every field that is free text."""
    results = []
    for i, text in enumerate(HOSTILE):
        verdict = VERDICTS[i % len(VERDICTS)]
        results.append(result(i, verdict, name=text, file=text, why=text, reason=text, notes=[text], console=[text],
                              landings=[{"event": text, "where": text, "exact": False, "detail": text}]))
        if results[-1]["violations"]:
            results[-1]["violations"] = [violation(text=text, where=text, step=text, picture=text + "\n")]
    return results
