#!/usr/bin/env python3
"""Whoever is killed, whenever: nothing finished is lost, nothing is left behind, and what happened is said.

Usage: kill-soak.py STACKRIG SOURCE_ROOT [--kills N] [--seed S] [--verbose]
Until N kills (default 20) have hit somebody, runs scenarios or a sweep on the virtual host and, at a random moment, kills QEMU, the program inside it, or
the launcher, the first start (which saves a machine state) included. Then looks: the exit code and the words, the results in the
JSON Lines file, processes, files. A killed sweep is resumed and must end as one that nobody disturbed. Prints what it counted.
The same seed gives the same kills; how far each run had come is up to the machine.
"""
import argparse
import collections
import ctypes
import json
import os
import pathlib
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

SCENARIOS = ["scenarios/seed/c2-user-thread-keeps-one-page.toml", "scenarios/seed/c3-null-syscall-round-trip.toml",
             "scenarios/seed/c4-pages-come-home.toml"]
COMMANDS = {
    "run": ["run", *SCENARIOS],
    "run -j2": ["run", *SCENARIOS, "-j", "2"],
    "sweep": ["sweep", SCENARIOS[1], "--events", "nmi", "--at", "enter_from_user_mode"],
}
VICTIMS = ["QEMU", "worker", "launcher"]
PATIENCE_S = 180
TRIES_PER_KILL = 5  # a kill that comes too early or too late is none
SAID = ["the virtual host is gone", "the worker ended before it answered", "the worker gave no answer", "is not used, the virtual host is booted instead",
        "QEMU closed its monitor", "to QEMU's monitor", "QEMU refused"]
pidfd_open, pidfd_getfd = 434, 438  # <asm-generic/unistd.h>
libc = ctypes.CDLL(None, use_errno=True)


class Rig:
    """A build of its own, so that its saved states and its processes can be told from all others."""

    def __init__(self, stackrig, root):
        build = pathlib.Path(stackrig).resolve().parent
        self.root, self.home = root, pathlib.Path(tempfile.mkdtemp(prefix="kill-soak-"))
        for name in ("stackrig", "guest/guest.elf", "vmm/x86/guest.lines", "vmm/host/agent"):
            (self.home / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(build / name, self.home / name)
        os.symlink(build / "host", self.home / "host")
        self.temp, self.out = self.home / "tmp", self.home / "out"
        self.temp.mkdir()
        self.out.mkdir()

    def start(self, words):
        return subprocess.Popen([self.home / "stackrig", *words, "--host", "virtual"], cwd=self.root, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, env={**os.environ, "TMPDIR": str(self.temp)})

    def processes(self):
        """All that run with this home, by pid: argument 0."""
        found = {}
        for entry in os.listdir("/proc"):
            try:
                words = pathlib.Path("/proc", entry, "cmdline").read_bytes().split(b"\0") if entry.isdigit() else []
            except OSError:
                continue
            if any(str(self.home).encode() in word for word in words):
                found[int(entry)] = words[0].decode()
        return found

    def qemus(self):
        return [pid for pid, name in self.processes().items() if "qemu" in name]

    def leftovers(self):
        """What must not be there when the launcher is gone; the kernel needs a moment for processes."""
        for _ in range(100):
            if not (processes := self.processes()):
                break
            time.sleep(0.05)
        files = [str(path) for path in self.temp.iterdir()]
        states = self.home / "host-states"
        files += [str(path) for path in states.iterdir() if path.name != "lock" and not path.name.startswith("npt")] if states.exists() else []
        return [f"process {pid} {name}" for pid, name in processes.items()] + files


def kill_worker(launcher, qemu):
    """Tells the agent to kill its job, over the launcher's own socket. False when there is none (any more)."""
    handle = libc.syscall(pidfd_open, launcher, 0)
    done = False
    for name in os.listdir(f"/proc/{launcher}/fd"):
        if not os.path.realpath(f"/proc/{launcher}/fd/{name}").rpartition("/")[2].startswith("socket:"):
            continue
        fd = libc.syscall(pidfd_getfd, handle, int(name), 0)
        if fd < 0:
            continue
        # Of the sockets there, only the port's other side takes frames; QEMU's monitor takes this for noise.
        done = libc.send(fd, struct.pack("<III", 0x31475253, 7, 0), 12, 0x4040) == 12 or done
        os.close(fd)
    os.close(handle)
    return done


def kill(rig, victim, launcher, dice):
    """True when there was somebody to kill."""
    if launcher.poll() is not None:
        return False
    if victim == "launcher":
        launcher.send_signal(dice.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT]))
        return True
    try:
        qemu = dice.choice(sorted(rig.qemus()) or [0])
        if qemu == 0:
            return False
        if victim == "worker":
            return kill_worker(launcher.pid, qemu)
        os.kill(qemu, signal.SIGKILL)
        return True
    except OSError:
        return False


def lines_of(path):
    """The JSON lines, and whether the last one is cut off."""
    text = path.read_text() if path.exists() else ""
    whole, _, rest = text.rpartition("\n")
    return [json.loads(line) for line in whole.splitlines()], rest != ""


def judge_run(lines, code, output, names):
    """What is wrong with a run that was not itself killed."""
    rows = [line for line in lines if line["t"] == "run"]
    if not lines:
        return [] if code == 3 else [f"exit code {code} and no line"]
    wrong = [] if sorted(row["name"] for row in rows) == names else [f"results of {sorted(row['name'] for row in rows)}"]
    errors = sum(row["verdict"] == "ERROR" for row in rows)
    if code != (3 if errors else 0):
        wrong.append(f"exit code {code} with {errors} errors")
    if errors > 2:
        wrong.append(f"one kill cost {errors} results")
    return wrong


class Soak:
    def __init__(self, rig, options):
        self.rig, self.options, self.dice = rig, options, random.Random(options.seed)
        self.hits = 0
        self.counts, self.failures, self.took, self.reference = collections.Counter(), [], {}, {}

    def finish(self, launcher):
        output, _ = launcher.communicate(timeout=PATIENCE_S)
        return launcher.returncode, output

    def words(self, command, jsonl, *more):
        out = ["--out", str(self.rig.out)] if command == "sweep" else []
        return [*COMMANDS[command], "--jsonl", str(jsonl), *out, *more]

    def undisturbed(self):
        """How long each command takes, and what it says, when nobody is killed. The first one saves the host's state besides."""
        for command in [next(iter(COMMANDS)), *COMMANDS]:
            jsonl = self.rig.home / "undisturbed.jsonl"
            begin = time.monotonic()
            code, output = self.finish(self.rig.start(self.words(command, jsonl)))
            self.took[command] = time.monotonic() - begin
            self.reference[command] = self.essence(lines_of(jsonl)[0])
            if code != 0 or self.rig.leftovers():
                sys.exit(f"{command}: exit code {code} though nobody was killed; left: {self.rig.leftovers()}\n{output}")

    @staticmethod
    def essence(lines):
        """What must be the same however often it was interrupted: results by name, or the boundaries done, each once."""
        runs = {line["name"]: (line["verdict"], line["trace_hash"]) for line in lines if line["t"] == "run"}
        parts = sorted(at for line in lines if line["t"] == "part" for at in range(line["first"], line["first"] + line["count"]))
        return runs, parts, sum(line["runs"] for line in lines if line["t"] == "part"), [line["exit"] for line in lines if line["t"] == "summary"]

    def once(self, number):
        command, victim = self.dice.choice(list(COMMANDS)), self.dice.choice(VICTIMS)
        first_start = self.dice.random() < 0.25
        jsonl = self.rig.home / f"{number}.jsonl"
        if first_start:
            for state in (self.rig.home / "host-states").glob("npt*"):
                state.unlink()
        moment = self.dice.random() * 0.9 * self.took[command]
        launcher = self.rig.start(self.words(command, jsonl))
        time.sleep(moment)
        hit = kill(self.rig, victim, launcher, self.dice)
        code, output = self.finish(launcher)
        lines, cut = lines_of(jsonl)
        wrong = [f"left behind: {what}" for what in self.rig.leftovers()]
        if victim == "launcher" and hit:
            outcome = "launcher killed" if code < 0 else "launcher had just ended"
        else:
            outcome = self.outcome(victim if hit else "nobody", code, output)
            wrong += ["a line is cut off"] if cut else []
            wrong += judge_run(lines, code, output, sorted(self.reference[command][0])) if command != "sweep" else []
            wrong += [] if code in (0, 3) else [f"exit code {code}"]
            wrong += [] if code == 0 or any(words in output for words in SAID) else ["it does not say what happened"]
        if command == "sweep" and jsonl.exists():
            wrong += self.resumed(jsonl)
        jsonl.unlink(missing_ok=True)
        self.counts[outcome] += 1
        self.hits += hit
        if wrong:
            self.failures.append(f"kill {number}: {command}, {victim} after {moment:.2f} s{', first start' if first_start else ''}: {'; '.join(wrong)}\n{output}")
        if self.options.verbose:
            print(f"{number}: {command}, {victim} after {moment:.2f} s: {outcome} {wrong or ''}", flush=True)

    @staticmethod
    def outcome(victim, code, output):
        if victim == "nobody":
            return "too late or too early to hit it"
        made_good = "made good, with a note" if "note: what was lost with it is done once more" in output else "nothing was lost"
        return f"{victim} killed: " + {0: made_good, 3: "said, exit code 3"}.get(code, f"exit code {code}")

    def resumed(self, jsonl):
        code, output = self.finish(self.rig.start(self.words("sweep", jsonl, "--resume")))
        lines, _ = lines_of_resumed(jsonl)
        runs, parts, count, exits = self.essence(lines)
        expected = self.reference["sweep"]
        self.counts["sweeps resumed"] += 1
        if code != 0 or (parts, count, exits[-1:]) != (expected[1], expected[2], expected[3][-1:]):
            return [f"resumed, it ends with {code}, {len(parts)} boundaries (of {len(expected[1])}) in {count} runs (of {expected[2]})\n{output}"]
        return [f"left behind by the resumed one: {what}" for what in self.rig.leftovers()]


def lines_of_resumed(path):
    """A line that was cut off by a kill stays where it is; the sweep goes on behind it."""
    lines, cut = [], 0
    for line in path.read_text().splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            cut += 1
    return lines, cut


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("stackrig")
    parser.add_argument("root")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    rig = Rig(options.stackrig, options.root)
    try:
        soak = Soak(rig, options)
        soak.undisturbed()
        number = 0
        while soak.hits < options.kills and number < TRIES_PER_KILL * options.kills:
            soak.once(number)
            number += 1
    finally:
        shutil.rmtree(rig.home)
    for outcome, count in sorted(soak.counts.items()):
        print(f"{count:5} {outcome}")
    print(f"{soak.hits} kills with seed {options.seed}: {len(soak.failures)} failures")
    print("\n".join(soak.failures))
    if soak.failures or soak.hits < options.kills:
        sys.exit(f"{soak.hits} of {options.kills} kills hit somebody, in {TRIES_PER_KILL} tries for each")


main()
