#!/usr/bin/env python3
"""Turns the assembly of offsets.cpp into a header of #defines: make-offsets.py COMPILER... -- SOURCE OUTPUT"""
import re
import subprocess
import sys

split = sys.argv.index("--")
command, (source, output) = sys.argv[1:split], sys.argv[split + 1:]
text = subprocess.run(command + ["-S", "-o", "-", source], check=True, capture_output=True, text=True).stdout
defines = re.findall(r"->(\w+) \$?(-?\d+)", text)
if not defines:
    sys.exit("make-offsets: the compiler's output holds no offsets")
with open(output, "w") as header:
    header.write("/* Generated from guest_asm/offsets.cpp. */\n")
    for name, value in defines:
        header.write(f"#define {name} {value}\n")
