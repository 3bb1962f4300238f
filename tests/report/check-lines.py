#!/usr/bin/env python3
"""The table of source lines says what addr2line says of the guest's DWARF, for every row, and holds the source's own lines; and the
program that makes it says what it cannot make one of.

Usage: check-lines.py GUEST.ELF GUEST.LINES SOURCE_ROOT MAKE_LINES ELF_WITHOUT_DWARF
"""
import pathlib
import shutil
import subprocess
import sys

elf, table, root, make_lines, bare = sys.argv[1:]
addr2line = shutil.which("addr2line")
if addr2line is None:
    print("no addr2line here")
    sys.exit(77)

files, rows, texts = [], [], []
for line in pathlib.Path(table).read_text().splitlines()[1:]:
    kind, rest = line.split(" ", 1)
    if kind == "F":
        files.append(rest)
    elif kind == "L":
        address, file, number = rest.split(" ")
        rows.append((address, files[int(file)], number))
    elif kind == "S":
        file, number, text = rest.split(" ", 2)
        texts.append((files[int(file)], int(number), text))

said = subprocess.run([addr2line, "-e", elf], input="".join(row[0] + "\n" for row in rows), capture_output=True, text=True, check=True)
problems = []
for (address, file, number), other in zip(rows, said.stdout.splitlines(), strict=True):
    path, line = other.split(" ")[0].rsplit(":", 1)
    if not path.endswith(file) or line != number:
        problems.append(f"{address}: {file}:{number} here, {other} by addr2line")
for file, number, text in texts:
    if pathlib.Path(root, file).read_text().splitlines()[number - 1].strip() != text.rstrip():
        problems.append(f"{file}:{number} is not {text!r}")
for arguments, meant in (([], "usage: make-lines GUEST.ELF SOURCE_ROOT OUTPUT"),
                         ([bare, root, "unused"], f"{bare} has no debug information: no DWARF information"),
                         ([elf, root, "/nonexistent/guest.lines"], "/nonexistent/guest.lines cannot be written")):
    refused = subprocess.run([make_lines, *arguments], capture_output=True, text=True, check=False)
    if (refused.returncode, refused.stderr) != (1, f"make-lines: {meant}\n"):
        problems.append(f"make-lines {arguments}: {refused.returncode}, {refused.stderr!r} instead of {meant!r}")
if len(rows) < 1000 or len(texts) < 500:
    problems.append(f"only {len(rows)} rows and {len(texts)} lines: is this the guest?")
print("\n".join(problems[:20]) or f"{len(rows)} rows agree")
sys.exit(bool(problems))
