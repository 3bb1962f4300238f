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
        """The worker's answer; {"error", "kind"} when it has none.

        A host that does not start says nothing about the guest that was to run in it: it is started once more, and a second failure
        ends the whole run instead of counting as what the guest has shown."""
        for _ in range(2):
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            answer = self._read()
            if answer.get("kind") != "host":
                return answer
        raise RuntimeError(f"the host failed twice: {answer['error']}")

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=30)

    def _read(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"`stackrig ask` ended with status {self.process.wait()}; what it said stands above")
        return json.loads(line)
