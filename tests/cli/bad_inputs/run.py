"""Commands run on hostile inputs in a process of their own, which is watched."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from select import select

import psutil

from .case import Case

LIMIT_S = 60
LIMIT_MB = 2048
WORK = "out/.result.work"
"""Finished slices of a long correction, with which a second call goes on after Ctrl-C or for want of memory or disk."""
PROJECT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Outcome:
    """What a command did.

    Attributes:
        code: exit code; -1 after a traceback, -2 if the process died or had to be ended.
        out: what it printed.
        err: what it printed as errors.
        trace: traceback, if there was one.
        seconds: how long it took.
        peak_mb: memory that it took at its peak.
        changed: whether the input is another one than before.
        left: what is in the folders of the output, of the process and of temporary files.
        fired: whether the fault took place.
    """

    code: int
    out: str = ""
    err: str = ""
    trace: str = ""
    seconds: float = 0.0
    peak_mb: float = 0.0
    changed: bool = False
    left: tuple[str, ...] = ()
    fired: bool = True


class Runner:
    """A process that runs commands, and is replaced when one ends it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.numbers = count()
        self.process: subprocess.Popen[str] | None = None

    def run(self, case: Case, *arguments: str, seed: int = 0, fault: dict | None = None) -> Outcome:
        """Run a command on a case.

        Args:
            case: INPUT among the arguments stands for what it makes.
            arguments: of the command line; FOLDER in them stands for the folder of this run, which holds `out`, where
                nothing but `result` and what its name begins with may be left, `good.nii.gz`, and the links `gone` to
                nothing, `ring` to itself and `link` to the input.
            seed: of the damage.
            fault: kind and time of a fault, see `tests.cli.bad_inputs.faults`.
        """
        if self.process is None:
            self.process = self._started()
        folder = str(self.folder / str(next(self.numbers)))
        if fault:
            fault = fault | {"below": str(self.folder)}
        request = {"case": case.name, "folder": folder, "arguments": arguments, "seed": seed, "fault": fault}
        print(json.dumps(request), file=self.process.stdin, flush=True)
        start = time.monotonic()
        problem = self._waited(start)
        answer = "" if problem else self.process.stdout.readline()
        if answer:
            return Outcome(**{**json.loads(answer), "left": tuple(json.loads(answer)["left"])})
        self.close()
        return Outcome(-2, trace=problem or "the process ended", seconds=time.monotonic() - start)

    def close(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdin.close()
            self.process.stdout.close()
        self.process = None

    def _started(self) -> subprocess.Popen[str]:
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(PROJECT / "src"), str(PROJECT)]),
            "OMP_NUM_THREADS": "1",
            "NUMBA_NUM_THREADS": "1",
            "MLFLOW_TRACKING_URI": f"sqlite:///{self.folder}/mlruns.db",
        }
        command = [sys.executable, "-m", "tests.cli.bad_inputs.worker"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        process = subprocess.Popen(command, cwd=PROJECT, env=environment, text=True, **pipes)
        assert process.stdout.readline() == "ready\n"
        return process

    def _waited(self, start: float) -> str:
        """Wait for an answer; return why there will be none."""
        watched = psutil.Process(self.process.pid)
        base = watched.memory_info().rss
        while not select([self.process.stdout], [], [], 0.1)[0]:
            if self.process.poll() is not None:
                return f"the process ended with code {self.process.returncode}"
            if time.monotonic() - start > LIMIT_S + 5:
                return f"it hung for {LIMIT_S} s"
            if watched.memory_info().rss - base > 2 * LIMIT_MB << 20:
                return f"it took more than {2 * LIMIT_MB} MB"
        return ""


def problems(outcome: Outcome, refused: bool | None, codes: tuple[int, ...] = (0, 2, 3)) -> list[str]:
    """Say what of an outcome breaks the rules of the command line."""
    found = []
    if outcome.trace:
        found.append(outcome.trace.strip())
    elif outcome.code not in codes:
        found.append(f"exit code {outcome.code}: {outcome.err[-300:]!r}")
    if outcome.code == 2 and not (outcome.err.startswith("latentct: ") and outcome.err.count("\n") == 1):
        found.append(f"not one line of error: {outcome.err!r}")
    if outcome.code == 2 and not all(character.isprintable() for character in outcome.err[:-1]):
        found.append(f"an error that cannot be printed: {outcome.err!r}")
    if any(name in outcome.out + outcome.err for name in ("DOE", "JANE", "SECRET")):
        found.append("it names the patient")
    if "Traceback" in outcome.err or "Warning" in outcome.err:
        found.append(f"it shows its inside: {outcome.err[-500:]!r}")
    is_done, may_go_on = (
        outcome.code in (0, 3),
        outcome.code == 130 or any(word in outcome.err for word in ("memory", "No space")),
    )
    if any(not ((is_done and one.startswith("out/result")) or (may_go_on and one == WORK)) for one in outcome.left):
        found.append(f"it left {outcome.left}")
    if outcome.changed:
        found.append("it changed its input")
    if outcome.seconds > LIMIT_S:
        found.append(f"it took {outcome.seconds:.0f} s")
    if outcome.peak_mb > LIMIT_MB:
        found.append(f"it took {outcome.peak_mb:.0f} MB")
    if refused is not None and refused != (outcome.code == 2) and outcome.code in codes:
        found.append(
            f"exit code {outcome.code}, and refused should be {refused}: {outcome.out[-300:]!r} {outcome.err!r}"
        )
    return found


def listed(found: dict[str, list[str]]) -> str:
    """Return the problems of several runs by their names, empty if there are none."""
    return "\n".join(f"{name}: {problem[-1500:]}" for name, of_one in found.items() for problem in of_one)
