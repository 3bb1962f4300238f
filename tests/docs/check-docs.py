#!/usr/bin/env python3
"""The documents keep their word: each link and path leads somewhere, each command line runs.

A command line is an indented or fenced line, or code in backticks, that begins with `./rig`. A concrete one is run and must exit 0 or
1 (a scenario may be meant to fail); of one with placeholders (FILE, PATH..., [--option]) the subcommand and its options must exist.
They run in a folder that has the tree in it and each scenario that a document prints in full, under its name. The examples of --help
are commands, too. What .ci/run runs is not run again; `bench` takes minutes and is taken as if it had a placeholder.
"""
import os
import re
import shlex
import subprocess
import sys
import tempfile
import textwrap
import unittest

STACKRIG, ROOT = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
DOCUMENTS = ["README.md"] + sorted(f"docs/{name}" for name in os.listdir(os.path.join(ROOT, "docs")) if name.endswith(".md"))
HELP = "tests/golden/cli/help.txt"
PATH = re.compile(r"(?<![\w/.-])(?:scenarios|docs|vmm|guest|guest_asm|tests)(?:/[\w.*{}-]+)+/?")
LINK = re.compile(r"\]\(([^)#]+)\)")
COMMAND = re.compile(r"^(?: {4,}|)(\./rig(?: [^`\n]*)?)$|`(\./rig(?: [^`]*)?)`", re.MULTILINE)
PLACEHOLDER = re.compile(r"\b[A-Z]{2,}\b(?!-\d)|\.\.\.|\[")


def text_of(document):
    with open(os.path.join(ROOT, document), encoding="utf-8") as file:
        return file.read()


def commands():
    seen = set()
    for document in DOCUMENTS + [HELP]:
        for match in COMMAND.finditer(text_of(document)):
            line = (match.group(1) or match.group(2)).split("  #")[0].strip().replace("\\|", "|")
            if line not in seen:
                seen.add(line)
                yield document, line


def printed_scenarios():
    """Name -> text of each whole scenario in an indented block."""
    blocks = (textwrap.dedent(block) for document in DOCUMENTS for block in re.findall(r"(?:(?:^    [^\n]*)?\n)+", text_of(document), re.MULTILINE))
    return {re.search(r'^name *= "(.*)"', block, re.MULTILINE)[1]: block for block in blocks if re.match(r"\s*schema *= 1\n", block)}


def rig(arguments, folder=ROOT):
    if arguments[0] == "mutants":  # ./rig passes it on
        return subprocess.run([sys.executable, os.path.join(ROOT, "tests/self/mutants.py"), *arguments[1:]], capture_output=True, text=True, check=False)
    return subprocess.run([STACKRIG, *arguments], cwd=folder, capture_output=True, text=True, timeout=120, check=False)


class Documents(unittest.TestCase):
    def test_links_lead_somewhere(self):
        for document in DOCUMENTS:
            for target in LINK.findall(text_of(document)):
                if "://" not in target:
                    with self.subTest(document=document, target=target):
                        self.assertTrue(os.path.exists(os.path.join(ROOT, os.path.dirname(document), target)))

    def test_paths_exist(self):
        found = 0
        for document in DOCUMENTS:
            for path in PATH.findall(text_of(document)):
                if "*" in path or "{" in path:
                    continue
                found += 1
                with self.subTest(document=document, path=path):
                    whole = os.path.join(ROOT, path.rstrip("./"))
                    sources = [whole, whole + ".cpp", whole + ".hpp", whole + ".toml"]
                    self.assertTrue(any(os.path.exists(p) for p in sources) or os.path.exists(os.path.join(ROOT, "docs", path)))
        self.assertGreater(found, 30, "the documents were not read")

    def test_what_the_readme_shows_is_what_one_sees(self):
        """But for numbers, which another compiler changes. STACKRIG_UPDATE_GOLDEN=1 writes it anew."""
        def blurred(words):
            return re.sub(r" +", " ", re.sub(r"0x[0-9a-f]+|\d+", "#", words))
        text = shown = text_of("README.md")
        seed = rig(["run", "scenarios/seed"]).stdout
        for line, name in re.findall(r"^    (ok +(\S+) .* stops .*)$", text, re.MULTILINE):
            shown = shown.replace(line, re.search(rf"^(?:ok|NOT OK) +{name} .*$", seed, re.MULTILINE)[0])
        before, command, sample, after = re.fullmatch(r"(.*looks like this \(`\./rig ([^`]*)`\):\n\n)(.*?)(\n\n## .*)", shown, re.DOTALL).groups()
        seen = re.search(r"^  INV-\d+ .*?(?=\n\n  code )", rig(shlex.split(command)).stdout, re.DOTALL | re.MULTILINE)[0]
        shown = before + textwrap.indent(seen, "    ") + after
        if os.environ.get("STACKRIG_UPDATE_GOLDEN"):
            with open(os.path.join(ROOT, "README.md"), "w", encoding="utf-8") as file:
                file.write(shown)
        self.assertEqual(blurred(text_of("README.md")), blurred(shown))

    def test_a_scenario_with_an_id_behind_it_is_about_that_id(self):
        found = 0
        for document in DOCUMENTS:
            for path, name in re.findall(r"(scenarios/[\w/-]+\.toml)\s+\(((?:INV|LIVE|ASM|CLASS)-\d+|I\d+)\b", text_of(document)):
                found += 1
                with self.subTest(document=document, path=path, name=name):
                    self.assertIn(f'"{name}"', text_of(path))
        self.assertGreater(found, 15, "the documents were not read")

    def test_commands_run(self):
        with open(os.path.join(ROOT, ".ci/run"), encoding="utf-8") as file:
            in_ci = {line.strip() for line in file}
        lines = list(commands())
        self.assertGreater(len(lines), 25, "the documents were not read")
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        for name in ("build", "docs", "scenarios", "tests"):
            os.symlink(os.path.join(ROOT, name), os.path.join(scratch.name, name))
        scenarios = printed_scenarios()
        self.assertEqual(set(scenarios), {"two-ticks"})
        for name, text in scenarios.items():
            with open(os.path.join(scratch.name, name + ".toml"), "w", encoding="utf-8") as file:
                file.write(text)
        for document, line in lines:
            words = shlex.split(line)[1:]
            if line in in_ci or not words:
                continue
            with self.subTest(document=document, line=line):
                if PLACEHOLDER.search(line) or words[0] == "bench" or len(words) == 1:
                    help_text = rig([words[0], "--help"])
                    self.assertEqual(help_text.returncode, 0, help_text.stderr)
                    for option in re.findall(r"(?<!\w)--?[a-z][\w-]*", " ".join(words[1:])):
                        self.assertRegex(help_text.stdout, rf"{re.escape(option)}\b")
                else:
                    run = rig(words, scratch.name)
                    self.assertIn(run.returncode, (0, 1), run.stdout[-2000:] + run.stderr[-2000:])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
