"""Outputs that cannot be written, disks that fill up, users who press Ctrl-C, and two runs at once."""

import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from latentct.io.nifti import write_volume

from . import dicom, nifti, numpy_files
from .case import Case
from .run import Runner, listed, problems

IMAGE, SERIES, RAYS = nifti.WHOLE, dicom.WHOLE, numpy_files.WHOLE
OUTPUTS = {
    "there already": "FOLDER/good.nii.gz",
    "a folder that is there": "FOLDER/in",
    "the input": "INPUT",
    "below a file": "FOLDER/good.nii.gz/result{}",
    "a link to nothing": "FOLDER/gone",
    "a link to itself": "FOLDER/ring",
    "a link to the input": "FOLDER/link",
    "below a link to nothing": "FOLDER/ring/result{}",
    "of the kernel": "/proc/result{}",
    "below a device": "/dev/null/result{}",
    "too long a name": "FOLDER/out/" + "a" * 300 + "{}",
    "too long a path": "FOLDER/out" + "/a" * 3000 + "{}",
    "here": ".",
    "everything": "/",
}


@pytest.fixture(scope="module")
def commands(bundle) -> list[tuple[Case, str, list[str]]]:
    """Inputs that are whole, the ending of the output, and the command that makes it."""
    of_bundle = ["--bundle", str(bundle), "--device", "cpu"]
    return [
        (IMAGE, "", ["correct", "INPUT", "OUTPUT", *of_bundle]),
        (SERIES, "", ["correct", "INPUT", "OUTPUT", *of_bundle]),
        (RAYS, "", ["correct", "INPUT", "OUTPUT", *of_bundle]),
        (IMAGE, ".npz", ["simulate", "INPUT", "OUTPUT"]),
        (IMAGE, ".h5", ["simulate", "INPUT", "OUTPUT"]),
        (IMAGE, "", ["simulate", "INPUT", "OUTPUT"]),
        (IMAGE, ".nii.gz", ["simulate", "INPUT", "OUTPUT", "--task", "truncation", "--field-mm", "200"]),
        (SERIES, "", ["simulate", "INPUT", "OUTPUT", "--task", "truncation", "--field-mm", "200", "--image"]),
        (RAYS, ".nii.gz", ["reconstruct", "INPUT", "OUTPUT"]),
        (IMAGE, ".json", ["evaluate", "INPUT", "FOLDER/good.nii.gz", "--json", "OUTPUT"]),
    ]


def writing(arguments: list[str], output: str) -> list[str]:
    return [output if word == "OUTPUT" else word for word in arguments]


@pytest.mark.parametrize("output", OUTPUTS)
def test_outputs_that_may_not_be_written_are_refused(runner, commands, output):
    found = {}
    for case, ending, arguments in commands:
        argv = writing(arguments, OUTPUTS[output].format(ending))
        for more in ([], ["--overwrite"]) if output == "the input" else ([],):
            found[" ".join([*argv, *more])[:200]] = problems(runner.run(case, *argv, *more), refused=True)
    assert listed(found) == ""


@pytest.mark.parametrize("output", ["FOLDER/in/result", "FOLDER/link/result", "FOLDER/in", "FOLDER"])
def test_a_series_stays_as_it_is(runner, commands, output):
    found = {}
    for case, _, arguments in commands:
        if case is SERIES:
            argv = [*writing(arguments, output), "--overwrite"]
            found[arguments[0]] = problems(runner.run(case, *argv), refused=True)
    assert listed(found) == ""


@pytest.mark.parametrize("kind", ["full", "read-only", "interrupt"])
def test_a_fault_at_any_change_of_the_file_system_leaves_nothing_half_done(runner, commands, kind):
    found, fired = {}, 0
    for case, ending, arguments in commands:
        argv = writing(arguments, f"FOLDER/out/result{ending}")
        for at in [1] if kind == "read-only" else [1, 2, 3, 5, 8, 13, 21]:
            outcome = runner.run(case, *argv, fault={"kind": kind, "at": at})
            fired += outcome.fired
            found[f"{case.name} {arguments[0]} {ending} at {at}"] = after_fault(outcome, kind)
            if not outcome.fired:
                break
    assert fired > len(commands) * (kind != "read-only")
    assert listed(found) == ""


def after_fault(outcome, kind: str) -> list[str]:
    """Say what breaks the rules after a fault."""
    expected = (0,) if not outcome.fired else (130,) if kind == "interrupt" else (0, 2, 3)
    return problems(outcome, None, expected)


@pytest.mark.parametrize("size", [3000, 50_000])
def test_a_disk_that_fills_up_within_a_file_leaves_nothing_half_done(runner, commands, size):
    found = {}
    for case, ending, arguments in commands:
        argv = writing(arguments, f"FOLDER/out/result{ending}")
        outcome = runner.run(case, *argv, fault={"kind": "short", "at": size})
        found[f"{case.name} {arguments[0]} {ending}"] = problems(outcome, None)
    assert listed(found) == ""


def test_what_was_interrupted_is_taken_up_again(runner, commands, tmp_path):
    case, _, arguments = commands[0]
    argv = writing(arguments, str(tmp_path / "result"))
    codes = [runner.run(case, *argv, fault={"kind": "interrupt", "at": at}).code for at in (3, 6, 9)]
    assert 130 in codes
    outcome = runner.run(case, *argv, "--overwrite")
    assert problems(outcome, False, (0,)) == []
    assert [path.name for path in tmp_path.iterdir()] == ["result"]


def test_of_two_runs_into_one_folder_one_wins_and_the_other_is_told(runner, commands, tmp_path_factory):
    (image, _, arguments), (series, _, _) = commands[:2]
    other = Runner(tmp_path_factory.mktemp("other"))
    try:
        other.run(series, "info", "INPUT")
        for number in range(3):
            folder = tmp_path_factory.mktemp(f"both{number}")
            argv = writing(arguments, str(folder / "result"))
            with ThreadPoolExecutor() as pool:
                jobs = [pool.submit(one.run, case, *argv) for one, case in ((runner, image), (other, series))]
                outcomes = [job.result() for job in jobs]
            assert sorted(outcome.code for outcome in outcomes) == [0, 2], outcomes
            assert [problem for outcome in outcomes for problem in problems(outcome, None)] == []
            assert [path.name for path in folder.iterdir()] == ["result"]
            of_image = outcomes[0].code == 0
            assert (folder / "result" / "dicom").is_dir() is not of_image
            assert (folder / "result" / "image.nii.gz").is_file() is of_image
    finally:
        other.close()


def test_a_process_that_is_interrupted_leaves_no_result(bundle, tmp_path):
    """As from a terminal: a signal to a process that corrects a long scan."""
    affine_lps_mm = np.zeros((4, 4))
    affine_lps_mm[[2, 1, 0, 3], [0, 1, 2, 3]] = (5.0, 10.0, 10.0, 1.0)
    write_volume(tmp_path / "scan.nii.gz", np.tile(nifti.body_hu().T, (40, 1, 1)), affine_lps_mm)
    out = tmp_path / "out" / "result"
    argv = ["correct", str(tmp_path / "scan.nii.gz"), str(out), "--bundle", str(bundle), "--device", "cpu"]
    command = [sys.executable, "-m", "latentct.cli.main", *argv]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    while process.poll() is None and not list(out.parent.glob(".result.work/slices_*")):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == 130, errors
    assert "Traceback" not in errors and "goes on from the slices that are done" in errors
    assert [path.name for path in out.parent.iterdir()] == [".result.work"]
