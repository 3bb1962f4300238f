# Asks a worker, through `stackrig ask`: many guest images in one start of the host.
import json
import subprocess
from pathlib import Path


class Rig:
    """One host with one worker. Use from one thread."""

    def __init__(self, program: Path, guests: list[Path], npt: bool = False):
        command = [str(program), "ask"] + (["--npt"] if npt else [])
        for guest in guests:
            command += ["--put", str(guest)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.headline = self._read()["host"]

    def ask(self, **request) -> dict:
        """The worker's answer; {"error", "kind"} when it has none."""
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self._read()

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=30)

    def _read(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"`stackrig ask` ended with status {self.process.wait()}; what it said stands above")
        return json.loads(line)
