"""Hostile inputs through whole commands: each is read or refused in one line, in time, in memory, and without a trace.

`tests/cli/bad_inputs` has the inputs. A failure names its case; `Runner.run(by_name(case), *arguments)` repeats it.
"""

import pytest

from .cases import GROUPS
from .run import Runner, listed, problems

IMAGES = ("dicom", "nifti")
RAYS = ("numpy", "hdf5", "metaimage", "geometry")
N_READ = 8
"""Of the cases of a group that may be read, how many are corrected: each is a search."""


def all_problems(runner: Runner, cases, *arguments) -> str:
    found = {}
    for case in cases:
        outcome = runner.run(case, *arguments)
        # what `info` reads may still not be what another command is for
        refused = case.refused if arguments[0] == "info" else case.refused or None
        found[case.name] = problems(outcome, refused)
    return listed(found)


def test_there_are_hundreds_of_different_cases():
    names = [case.name for cases in GROUPS.values() for case in cases]
    assert len(names) == len(set(names)) >= 600
    assert sum(case.refused is True for cases in GROUPS.values() for case in cases) >= 250


@pytest.mark.parametrize("group", GROUPS)
def test_info_reads_or_refuses(runner, group):
    assert all_problems(runner, GROUPS[group], "info", "INPUT") == ""


@pytest.mark.parametrize("group", GROUPS)
def test_correct_corrects_or_refuses(runner, bundle, group):
    bad = [case for case in GROUPS[group] if case.refused]
    open_ended = [case for case in GROUPS[group] if not case.refused]
    some = open_ended[:: max(1, len(open_ended) // N_READ)]
    arguments = ("correct", "INPUT", "FOLDER/out/result", "--bundle", str(bundle), "--device", "cpu")
    assert all_problems(runner, [*bad, *some], *arguments) == ""


@pytest.mark.parametrize("group", IMAGES)
def test_simulate_simulates_or_refuses(runner, group):
    arguments = ("simulate", "INPUT", "FOLDER/out/result.npz", "--task", "sparse-view", "--views", "30")
    assert all_problems(runner, GROUPS[group][::2], *arguments) == ""


@pytest.mark.parametrize("group", RAYS)
def test_reconstruct_reconstructs_or_refuses(runner, group):
    assert all_problems(runner, GROUPS[group], "reconstruct", "INPUT", "FOLDER/out/result.nii.gz") == ""


@pytest.mark.parametrize("group", IMAGES)
def test_evaluate_compares_or_refuses(runner, group):
    arguments = ("evaluate", "INPUT", "FOLDER/good.nii.gz", "--json", "FOLDER/out/result.json")
    assert all_problems(runner, GROUPS[group][1::2], *arguments) == ""
