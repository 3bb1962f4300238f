# Builds changed guests: the build's own compiler calls, on a scratch copy of guest/ and guest_asm/.
import json
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("guest", "guest_asm")


class BuildFailed(Exception):
    """The changed guest does not compile, or the change does not apply."""


class GuestBuild:
    """What the build knows about guest.elf: one compiler call per object, and the link."""

    def __init__(self, build: Path):
        self.build = build
        commands = json.loads((build / "compile_commands.json").read_text())
        self.objects = {}  # path in the tree -> (object in the build, arguments)
        for entry in commands:
            if "guest.elf.p" in entry["output"]:
                path = str((build / entry["file"]).resolve().relative_to(ROOT))
                self.objects[path] = (entry["output"], entry["command"].split())
        text = subprocess.run(["ninja", "-C", str(build), "-t", "commands", "guest/guest.elf"], capture_output=True, text=True, check=True).stdout
        self.link = text.splitlines()[-1].split()

    def scratch(self, folder: Path) -> Path:
        """A fresh copy of the sources to be changed."""
        shutil.rmtree(folder, ignore_errors=True)
        for name in SOURCES:
            shutil.copytree(ROOT / name, folder / name)
        return folder

    def make(self, folder: Path, changed: list[str]) -> Path:
        """guest.elf of a scratch copy in which `changed` differ from the tree: only what they reach is compiled anew."""
        everything = any(path not in self.objects for path in changed)  # a header: whoever includes it
        replaced = {}
        for path in self.objects if everything else changed:
            before, arguments = self.objects[path]
            after = folder / (Path(before).name)
            self._run(self._compile(arguments, folder, path, after))
            replaced[before] = str(after)
        elf = folder / (folder.name + ".elf")
        link = [replaced.get(word, word) for word in self.link]
        link[link.index("-o") + 1] = str(elf)
        self._run(link + ["-Wl,-S"])  # no debug information: nobody reads it, and many of these travel
        return elf

    @staticmethod
    def _compile(arguments, folder, path, after):
        out = []
        words = iter(arguments)
        for word in words:
            if word in ("-MQ", "-MF"):
                next(words)
            elif word == "-o":
                next(words)
                out += ["-o", str(after)]
            elif word == "-c":
                next(words)
                out += ["-c", str(folder / path)]
            elif word not in ("-MD", "-g", "-Werror"):  # a bug may well leave something unused
                out.append(word)
        at = next(i for i, word in enumerate(out) if word.startswith("-I"))
        return out[:at] + [f"-I{folder}", f"-I{folder}/guest", f"-I{folder}/guest_asm", "-w"] + out[at:]

    def _run(self, command):
        done = subprocess.run(command, cwd=self.build, capture_output=True, text=True)
        if done.returncode != 0:
            raise BuildFailed(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit status {done.returncode}")


def apply_patch(folder: Path, patch: Path) -> list[str]:
    """Applies a patch to a scratch copy; the files it changed."""
    done = subprocess.run(["patch", "-p1", "--no-backup-if-mismatch", "--fuzz=0", "-i", str(patch)], cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        raise BuildFailed(f"{patch.name} does not apply: {' '.join(done.stdout.split())}")
    return [line.split()[1][2:] for line in patch.read_text().splitlines() if line.startswith("+++ b/")]
