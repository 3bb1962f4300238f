#!/usr/bin/env python3
"""Puts the page, its style and its scripts into one C++ source: embed.py OUTPUT PAGE STYLE SCRIPT...

The hashes in the page's Content-Security-Policy are those of exactly these bytes: an injected script would not run.
"""
import base64
import hashlib
import sys


def sha256(text):
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


output, page_file, style_file, *script_files = sys.argv[1:]
page = open(page_file, encoding="utf-8").read()
style = open(style_file, encoding="utf-8").read()
script = "".join(open(name, encoding="utf-8").read() for name in script_files)
assert "</script" not in script and "</style" not in style
page = page.replace("@STYLE_HASH@", sha256(style)).replace("@SCRIPT_HASH@", sha256(script))
page = page.replace("@STYLE@", style).replace("@SCRIPT@", script)

parts = []
for marker in ("@TEXT@", "@DATA@"):
    before, page = page.split(marker)
    parts.append(before)
parts.append(page)

with open(output, "w", encoding="utf-8") as out:
    out.write("// Made by embed.py.\n#include \"vmm/report/html_page.hpp\"\n\nnamespace stackrig::report {\n\n")
    out.write("const HtmlPage& html_page() {\n    static constexpr HtmlPage page{\n")
    for part in parts:
        # Adjacent literals, for compilers limit the length of one.
        pieces = [part[i:i + 8000] for i in range(0, len(part), 8000)]
        out.write("        " + "\n        ".join(f'R"__({piece})__"' for piece in pieces) + ",\n")
    out.write("    };\n    return page;\n}\n\n}  // namespace stackrig::report\n")
