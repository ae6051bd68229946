"""A process that runs commands on hostile inputs, one after the other, and says what came of each.

It reads one request a line from standard input and writes one answer a line to where its standard output was; see
`Request` and `Outcome` in `tests.cli.bad_inputs.run`.
"""

import ctypes
import faulthandler
import hashlib
import json
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from functools import cache
from pathlib import Path
from typing import Any

from . import nifti
from .faults import Fault

_LIMIT_S = 60


def main() -> None:
    """Answer requests until there are no more."""
    answers = os.fdopen(os.dup(1), "w")
    _import_all()
    print("ready", file=answers, flush=True)
    from .cases import by_name

    for line in sys.stdin:
        request = json.loads(line)
        fault = Fault(**request["fault"]) if request["fault"] else None
        case = by_name(request["case"])
        print(json.dumps(_run(case, Path(request["folder"]), request, fault)), file=answers, flush=True)


def _import_all() -> None:
    """Import what commands import when they run, and load a bundle once, so that no case pays for it."""
    import monai.bundle  # noqa: F401

    import latentct.cli.main
    import latentct.findings
    import latentct.io.dicom
    import latentct.io.inputs
    import latentct.workflow.correct
    import latentct.workflow.evaluate
    import latentct.workflow.prior
    import latentct.workflow.reconstruct
    import latentct.workflow.simulate

    latentct.workflow.prior.load_corrector = cache(latentct.workflow.prior.load_corrector)


def _run(case: Any, folder: Path, request: dict[str, Any], fault: Fault | None) -> dict[str, Any]:
    for name in ("in", "out", "cwd", "tmp"):
        (folder / name).mkdir(parents=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        given = case.make(folder / "in", random.Random(f"{case.name} {request['seed']}"))
    (folder / "good.nii.gz").write_bytes(nifti.packed())
    for name, target in (("gone", "nowhere"), ("ring", "ring"), ("link", "in")):
        (folder / name).symlink_to(target)
    argv = [str(given) if word == "INPUT" else word.replace("FOLDER", str(folder)) for word in request["arguments"]]
    before, home = _not_to_be_changed(folder), Path.cwd()
    os.chdir(folder / "cwd")
    tempfile.tempdir = str(folder / "tmp")
    try:
        outcome = _called(argv, fault)
    finally:
        os.chdir(home)
        tempfile.tempdir = None
    outcome["changed"] = _not_to_be_changed(folder) != before
    outcome["left"] = sorted(
        str(path.relative_to(folder)) for place in ("out", "cwd", "tmp") for path in (folder / place).iterdir()
    )
    outcome["fired"] = fault is None or fault.fired
    shutil.rmtree(folder)
    return outcome


def _called(argv: list[str], fault: Fault | None) -> dict[str, Any]:
    """Call the command line as the shell would, and return how it ended."""
    from latentct.cli.main import main as command_line

    _forget_peak()
    faulthandler.dump_traceback_later(_LIMIT_S, exit=True)
    trace, code, start, base = "", -1, time.monotonic(), _memory_mb("VmRSS")
    with tempfile.TemporaryFile(dir="/tmp") as out, tempfile.TemporaryFile(dir="/tmp") as err:
        with _Redirected(out.fileno(), err.fileno()):
            sys.argv = ["latentct", *argv]
            try:
                if fault:
                    fault.arm()
                command_line()
            except SystemExit as stop:
                code = stop.code if isinstance(stop.code, int) else int(bool(stop.code))
            except BaseException:  # a traceback, for whoever calls the command
                trace = traceback.format_exc()
            finally:
                if fault:
                    fault.disarm()
        printed = [_content(file) for file in (out, err)]
    faulthandler.cancel_dump_traceback_later()
    peak = _memory_mb("VmHWM") - base
    return {
        "code": code, "out": printed[0], "err": printed[1], "trace": trace, "seconds": time.monotonic() - start,
        "peak_mb": peak,
    }  # fmt: skip


class _Redirected:
    """Standard output and error, of Python and of what is beneath it, into files."""

    def __init__(self, *targets: int) -> None:
        self.targets = targets

    def __enter__(self) -> None:
        self.kept = [os.dup(number) for number in (1, 2)]
        for number, target in zip((1, 2), self.targets, strict=True):
            os.dup2(target, number)

    def __exit__(self, *_: object) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        ctypes.CDLL(None).fflush(None)
        for number, kept in zip((1, 2), self.kept, strict=True):
            os.dup2(kept, number)
            os.close(kept)


def _content(file: Any) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")


def _not_to_be_changed(folder: Path) -> str:
    """Return a hash of all names, links and contents below a folder but where commands may write."""
    digest = hashlib.sha256()
    for root, folders, names in os.walk(folder):
        if Path(root) == folder:
            folders[:] = set(folders) - {"out", "cwd", "tmp"}
        folders.sort()
        for path in sorted(Path(root, name) for name in folders + names):
            digest.update(os.fsencode(path))
            if path.is_symlink():
                digest.update(os.fsencode(path.readlink()))
            elif path.is_file():
                with path.open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _forget_peak() -> None:
    """Let the kernel count the peak of memory anew."""
    Path("/proc/self/clear_refs").write_text("5")


def _memory_mb(key: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key + ":")) / 1024


if __name__ == "__main__":
    main()
