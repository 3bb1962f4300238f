#!/usr/bin/env python3
"""A folder of vmm/ includes only from folders above it in DESIGN's list, from guest/abi, and from its own.

Also: linux/kvm.h and ioctl() live in vmm/kvm alone, and nothing below cli/ ends the process or prints.
Usage: check-layers.py SOURCE_ROOT
"""
import pathlib
import re
import sys

LAYERS = ["base", "kvm", "x86", "machine", "engine", "oracle", "scenario", "explore", "report", "host", "cli"]
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
ENDS_OR_PRINTS = re.compile(r"\b(std::exit|::exit|std::abort|::abort|std::_Exit|quick_exit)\s*\(|std::cout|std::cerr|\bprintf\s*\(|fmt::print")


def check(root: pathlib.Path) -> list[str]:
    problems, seen = [], 0
    for path in sorted((root / "vmm").rglob("*.?pp")):
        layer = path.relative_to(root / "vmm").parts[0]
        # The agent is a program of its own inside the virtual host, tools are mains: neither is a layer.
        program = any(part in ("agent", "tools") for part in path.relative_to(root / "vmm").parts)
        allowed = LAYERS[: LAYERS.index(layer) + 1]
        for number, line in enumerate(path.read_text().splitlines(), 1):
            seen += 1
            where = f"{path.relative_to(root)}:{number}"
            match = INCLUDE.match(line)
            if match:
                name = match.group(2)
                if name.startswith("vmm/") and name.split("/")[1] not in allowed:
                    problems.append(f"{where}: {layer} must not include {name}: it lies below")
                if name.startswith("guest/") and not name.startswith("guest/abi/"):
                    problems.append(f"{where}: only guest/abi is shared with the VMM, not {name}")
                if name == "linux/kvm.h" and layer != "kvm":
                    problems.append(f"{where}: linux/kvm.h belongs to vmm/kvm alone")
            if layer != "kvm" and re.search(r"(?<![\w\"])ioctl\s*\(", line.split("//")[0]):
                problems.append(f"{where}: ioctl() belongs to vmm/kvm alone")
            if layer != "cli" and not program and ENDS_OR_PRINTS.search(line.split("//")[0]):
                problems.append(f"{where}: only cli/ may print or end the process")
    if seen == 0:
        problems.append("no source was read: is this the source root?")
    return problems


if __name__ == "__main__":
    found = check(pathlib.Path(sys.argv[1]))
    print("\n".join(found) if found else "layers: ok")
    sys.exit(1 if found else 0)
