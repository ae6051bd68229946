"""What methods may see of a scan, and results that cannot be changed."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor

from latentct.engines import FrozenOutputs, HeldBack, ScanPrepareBatch
from latentct.errors import InputError
from latentct.geometry import ParallelBeam
from latentct.tasks import Metal, Truncation

SCAN = ParallelBeam.equally_spaced(6, math.pi, 10, 6.0)


def batch(per_slice: bool = False, **changes: Any) -> dict[str, Any]:
    """A volume of two slices whose rays are 1, 2, 3 ..., of which every second is measured."""
    affine = np.diag([6.0, 6.0, 5.0, 1.0])[[2, 1, 0, 3]]
    y = torch.arange(120.0).reshape(1, 2, 6, 10) + 1
    ray_mask = (y[0] % 2 == 0) if per_slice else (y[0, 0] % 2 == 0)
    item = {
        "image": MetaTensor(torch.zeros(1, 2, 8, 8), affine=affine),
        "sinogram": y,
        "ray_mask": ray_mask,
        "reference": torch.ones(1, 2, 8, 8),
        "body": torch.ones(1, 2, 8, 8, dtype=torch.bool),
        "patient": "p",
    }
    (loaded,) = DataLoader(Dataset([item | changes]), batch_size=1)
    return loaded


@pytest.mark.parametrize("per_slice", [False, True])
def test_measured_rays_and_geometry_are_given(per_slice):
    loaded = batch(per_slice)
    y = loaded["sinogram"].clone()
    prepare = ScanPrepareBatch(SCAN, Truncation(30.0))
    inputs, label, args, kwargs = prepare(loaded, "cpu")
    ray_mask = kwargs["ray_mask"]
    assert ray_mask.shape == ((2, 1, 6, 10) if per_slice else (6, 10))
    assert inputs.shape == (1, 1, 2, 6, 10)
    assert torch.equal(inputs, torch.where(y % 2 == 0, y, 0.0))
    assert torch.equal(prepare.measurement.y, inputs[0, 0][:, None])
    assert torch.equal(prepare.as_measured, prepare.measurement.y)
    assert args == ()
    assert label.shape == loaded.get("image", label).shape
    assert kwargs["projector"].scan is SCAN


def test_everything_else_leaves_the_batch():
    loaded = batch()
    ScanPrepareBatch(SCAN, Truncation(30.0))(loaded, "cpu")
    assert set(loaded) == {"ray_mask", "patient"}


def test_rays_through_metal_are_no_secret():
    prepare = ScanPrepareBatch(SCAN, Metal())
    prepare(batch(per_slice=True), "cpu")
    assert (prepare.as_measured > 0).all()
    assert (prepare.measurement.y == 0).any()


def test_scans_that_are_not_finite_are_refused():
    broken = torch.full((1, 2, 6, 10), torch.nan)
    with pytest.raises(InputError, match="the scan holds values that are not finite"):
        ScanPrepareBatch(SCAN, Truncation(30.0))(batch(sinogram=broken), "cpu")


def test_frozen_outputs_are_copies_that_cannot_be_written():
    x = torch.zeros(2, 1, 3, 3)
    frozen = FrozenOutputs({"fbp": x})
    x += 1
    assert not frozen["fbp"].any()
    frozen["fbp"].fill_(7)
    assert not frozen["fbp"].any()
    with pytest.raises(ValueError, match="read-only"):
        frozen.array("fbp")[0] = 1
    assert list(frozen) == ["fbp"]


def test_a_frozen_output_that_was_changed_all_the_same_is_not_read():
    frozen = FrozenOutputs({"fbp": torch.zeros(1, 1, 2, 2)})
    array = frozen.array("fbp")
    array.setflags(write=True)
    array[0, 0, 0, 0] = 1e-7
    with pytest.raises(RuntimeError, match="output of fbp was changed"):
        frozen["fbp"]


@pytest.mark.parametrize("key", [None, {}, {"fbp": torch.zeros(1)}])
def test_what_is_held_back_opens_for_frozen_outputs_only(key):
    held_back = HeldBack({"reference": 1})
    with pytest.raises(RuntimeError, match="until the outputs of all methods are frozen"):
        held_back.open(key)
    assert held_back.open(FrozenOutputs({})) == {"reference": 1}
