#!/usr/bin/env python3
"""Disassembles the guest ELF and refuses what some supported host cannot run, or what the entry code must not hold.

Usage: check-instructions.py OBJDUMP GUEST_ELF
"""
import re
import subprocess
import sys

# Registers beyond the general ones would need FPU state that the guest neither saves nor enables.
VECTOR = re.compile(r"%(?:[xyz]mm|mm|st|k)\d|%st\b")
# Not in x86-64 baseline, or exiting to a place no VMM of ours serves.
FORBIDDEN = {"cpuid", "rdtsc", "rdtscp", "rdrand", "rdseed", "rdpid", "monitor", "mwait", "vmcall", "vmmcall", "invpcid",
             "xgetbv", "xsetbv", "tzcnt", "lzcnt", "popcnt", "andn", "bextr", "blsi", "blsr", "pdep", "pext", "mulx",
             "rorx", "sarx", "shlx", "shrx", "sysenter", "sysexit", "int1", "endbr64"}
LINE = re.compile(r"^\s*([0-9a-f]+):\t(?:[0-9a-f]{2} )+\s*\t?(\S+)?\s*(.*)$")


def main() -> int:
    objdump, elf = sys.argv[1:3]
    text = subprocess.run([objdump, "-d", elf], check=True, capture_output=True, text=True).stdout
    problems, count, function = [], 0, "?"
    for line in text.splitlines():
        header = re.match(r"^[0-9a-f]+ <(.+)>:$", line)
        if header:
            function = header.group(1)
            continue
        match = LINE.match(line)
        if not match or not match.group(2):
            continue
        count += 1
        address, mnemonic, operands = match.groups()
        words = {mnemonic} | ({operands.split()[0]} if mnemonic in ("rep", "repz", "lock") and operands else set())
        if VECTOR.search(operands) or words & FORBIDDEN:
            problems.append(f"{address} {function}: {mnemonic} {operands}")
        # Red zone: a store below RSP would be overwritten by the next interrupt.
        if re.match(r"mov", mnemonic) and re.search(r",-0x[0-9a-f]+\(%rsp\)$", operands):
            problems.append(f"{address} {function}: store below RSP: {mnemonic} {operands}")
    if count < 500:
        problems.append(f"only {count} instructions were read: the disassembly went wrong")
    print("\n".join(problems) if problems else f"guest: {count} instructions, all allowed")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
