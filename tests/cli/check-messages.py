#!/usr/bin/env python3
"""Every message that a user can meet is read by a test: each sentence in the sources of the scenario checker is in a golden text of
tests/golden/scenario, in a unit test, or in the tables of docs/scenario-format.md; each one in those of every other folder of vmm/ is
in a golden text or in another test, the catalogue of the oracle in the document that is made of it.

Usage: check-messages.py SOURCE_ROOT. A sentence is a string literal of three words or more; what is between its placeholders must be
found in that order.
"""
import functools
import pathlib
import re
import sys
import unittest

ROOT = pathlib.Path(sys.argv.pop()).resolve()
TOKEN = re.compile(r'//[^\n]*|R"\((.*?)\)"|"((?:[^"\\\n]|\\.)*)"|\'(?:[^\'\\]|\\.)+\'|(\S)', re.DOTALL)
PLACEHOLDER = re.compile(r"\{[^{}]*\}")
KEYWORDS = re.compile(r"(?!.*\b(a|an|the|is|in|to|no|this|for)\b)[a-z][a-z_0-9]*( [a-z][a-z_0-9]*)+")  # of the grammar: "run inject fail"
ESCAPES = {"\\r": "", "\\033": "", "\\n": "\n", "\\\"": '"', "\\\\": "\\", "\\t": "\t"}

# Word lists and layouts, which tests of their own hold to what they are about; and a program for those who work on the virtual host.
NO_MESSAGES = {"vmm/scenario/" + name for name in ("format.cpp", "schema.cpp", "skeleton.cpp", "vocabulary.cpp")} | {
    "vmm/report/scenario_schema.cpp", "vmm/host/tools/vrun.cpp"}
# Words for a machine, by how they begin: the virtual host's kernel, and readers of JUnit's XML.
FOR_MACHINES = ("quiet loglevel=4 console=ttyS0 ", 'tests="{}" failures=', "<testcase name=", "<testsuite name=")
# Folders whose sentences are in tests anywhere.
SPOKEN = ("vmm/cli", "vmm/host", "vmm/explore", "vmm/engine", "vmm/report", "vmm/oracle", "vmm/machine", "vmm/kvm", "vmm/x86", "vmm/base")
# What may stand in a document instead, which a unit test holds to what the program makes it of.
DOCUMENTS = {"vmm/oracle": ("docs/invariants.md",)}
# What no test can bring about without a rig, a guest or a machine that is broken in a particular way.
NEEDS_SOMETHING_BROKEN = {
    # a rig that is not deterministic
    "(the recorded stops are alike; a register that is not shown differs)",
    "NONDET: two runs differ, for the first time here:",
    "NONDET: a counterexample did not replay {} of {} times",
    '"{}", run from a snapshot, gave trace {:016x} after {} stops; run from boot in a fresh VM, {:016x} after {}: the rig is not deterministic',
    "the boundary at {} was not restored exactly: {}",
    # a run that the rig cannot make
    "BROKEN OFF {}, seed {}, round {}: {}",
    "{} visit{} broken off by an error of the rig, and counted as an alarm each where a tally is kept; see above",
    "{} visits in this soak were broken off, so the rest would be no better",
    ", then {} {} stops later",
    # a KVM that differs from every one at hand
    "the host ran over a boundary behind {}: it cannot step exactly",
    "KVM_CAP_READONLY_MEM is absent",
    "the CPU seems to take it, with IF=0 or in a shadow",
    # a library that does not work
    "Capstone does not start: {}. Install libcapstone4.",
}


def sentences(path):
    """(line, text) of each literal that is prose; neighbours are one, as the compiler has it."""
    source = path.read_text()
    # The compiler's messages, if any: nothing but a consteval function throws a bare text.
    source = re.sub(r"^\s*#[^\n]*|\bstatic_assert\([^\n]*|\bthrow \"[^\n]*", "", source, flags=re.MULTILINE)
    text, line = None, 0
    for token in TOKEN.finditer(source):
        literal = token[2] if token[2] is not None else token[1]
        if token[0].startswith("//"):
            continue
        if literal is not None:
            literal = re.sub(r"\\(?:033|.)", lambda m: ESCAPES.get(m[0], m[0]), literal)
            text, line = (literal, source.count("\n", 0, token.start()) + 1) if text is None else (text + literal, line)
        elif text is not None:
            yield from ((line, part.removeprefix("[K").strip()) for part in text.split("\n") if is_prose(part))
            text = None


def is_prose(text):
    return len(re.findall(r"(?<!\S)\(?[A-Za-z][\w'-]+", PLACEHOLDER.sub("", text))) >= 3 and not KEYWORDS.fullmatch(text)


def squeezed(text):
    return re.sub(r"\s+", " ", text)


def is_in(text, corpus):
    parts = [re.escape(squeezed(part)) for part in PLACEHOLDER.split(text.replace("{{", "{").replace("}}", "}")) if re.search(r"\w", part)]
    return re.search(".{0,400}?".join(parts), corpus) is not None


def corpus(*patterns):
    text = "\n".join(path.read_text() for pattern in patterns for path in sorted(ROOT.glob(pattern)) if path.name != pathlib.Path(__file__).name)
    text = re.sub(r'"\s*\n\s*[rf]*"', "", text)  # neighbours are one in Python, too
    for written, meant in (('\\"', '"'), ("\\n", " "), (r"\.", "."), (r"\(", "("), (r"\)", ")")):  # in literals, and in patterns
        text = text.replace(written, meant)
    return squeezed(text)


class Messages(unittest.TestCase):
    maxDiff = None

    def unread(self, folder, read):
        return {squeezed(text): f"{path.relative_to(ROOT)}:{line}" for path in sorted((ROOT / folder).rglob("*.[ch]pp"))
                if str(path.relative_to(ROOT)) not in NO_MESSAGES for line, text in sentences(path)
                if not text.startswith(FOR_MACHINES) and not is_in(text, read)}

    @staticmethod
    @functools.cache
    def read(folder):
        return corpus("tests/golden/**/*.txt", "tests/**/*_test.cpp", "tests/**/*.py", *DOCUMENTS.get(folder, ()))

    def check(self, unread):
        known = {squeezed(text) for text in NEEDS_SOMETHING_BROKEN}
        self.assertEqual({text: where for text, where in unread.items() if text not in known}, {}, "no test reads these")

    def test_of_the_scenario_checker(self):
        self.check(self.unread("vmm/scenario", corpus("tests/golden/scenario/*.txt", "tests/unit/scenario/*_test.cpp", "docs/scenario-format.md")))

    def test_of_what_every_other_folder_says(self):
        for folder in SPOKEN:
            with self.subTest(folder=folder):
                self.check(self.unread(folder, self.read(folder)))

    def test_what_needs_something_broken_is_said_and_unread(self):
        unread = {text for folder in SPOKEN for text in self.unread(folder, self.read(folder))}
        self.assertEqual({text for text in NEEDS_SOMETHING_BROKEN if squeezed(text) not in unread}, set(), "nobody says these any more, or a test reads them")


if __name__ == "__main__":
    unittest.main()
