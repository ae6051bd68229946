"""The first reconstruction for any mask, and the scan of the views that remain."""

import math

import numpy as np
import pytest
import torch

from latentct.correction import adaptive_detruncation
from latentct.geometry import ParallelBeam
from latentct.recon import fbp
from latentct.tasks import Combination, DeadPixels, LimitedAngle, SparseView, Truncation, first_reconstruction
from latentct.tasks.first import scan_of_views


def first(y, ray_mask, projector):
    return first_reconstruction(torch.where(ray_mask, y, torch.nan), ray_mask, projector.grid, projector.scan)


def test_complete_data_give_the_plain_reconstruction(projector, body_mu):
    y = projector(body_mu)
    x = first(y, torch.ones(y.shape[2:], dtype=torch.bool), projector)
    assert torch.equal(x, fbp(y, projector.grid, projector.scan))


def test_truncated_data_are_extrapolated(projector, body_mu):
    y = projector(body_mu)
    mask = Truncation(120.0).ray_mask(y, projector)
    expected = fbp(adaptive_detruncation(y, mask, projector.scan), projector.grid, projector.scan)
    torch.testing.assert_close(first(y, mask, projector), expected)


@pytest.mark.parametrize(
    ("task", "share"),
    [
        (SparseView(30), 0.5),
        (DeadPixels((20, 60), 0.05), 0.15),
        (Combination([SparseView(60), DeadPixels((50,))]), 0.25),
    ],
)
def test_amplitude_is_right_and_better_than_zeros(projector, body_mu, task, share):
    y = projector(body_mu)
    mask = task.ray_mask(y, projector)
    reference = fbp(y, projector.grid, projector.scan)
    inside = body_mu > 0
    x = first(y, mask, projector)
    zeros = fbp(torch.where(mask, y, 0), projector.grid, projector.scan)
    assert x[inside].mean() == pytest.approx(float(reference[inside].mean()), rel=0.02)
    assert (x - reference)[inside].abs().mean() < share * (zeros - reference)[inside].abs().mean()


def test_a_limited_arc_is_weighted_as_itself(projector, body_mu):
    y = projector(body_mu)
    mask = LimitedAngle(2 * math.pi / 3, 0.5).ray_mask(y, projector)
    views = mask.any(dim=1)
    seen = scan_of_views(projector.scan, views.nonzero().flatten())
    assert torch.equal(first(y, mask, projector), fbp(y[:, :, views], projector.grid, seen))


def test_an_arc_beyond_the_full_turn_stays_one_arc():
    scan = ParallelBeam.equally_spaced(36, 2 * math.pi, 8, 1.0)
    seen = scan_of_views(scan, torch.tensor([0, 1, 2, 33, 34, 35]))
    on_arc = np.sort(seen.angles_rad)
    assert np.ptp(on_arc) == pytest.approx(5 * math.tau / 36)
    assert np.exp(1j * np.asarray(seen.angles_rad)) == pytest.approx(
        np.exp(1j * np.asarray(scan.angles_rad)[[0, 1, 2, 33, 34, 35]])
    )


def test_each_slice_may_have_its_own_mask(projector, body_mu):
    y = projector(body_mu)
    mask = torch.ones(y.shape, dtype=torch.bool)
    mask[0, :, :, 30:35], mask[1, :, :, 60:64] = False, False
    mask &= Truncation(170.0).ray_mask(y, projector)
    mask[:, :, ::2] = False
    x = first(y, mask, projector)
    for i in range(2):
        torch.testing.assert_close(x[i : i + 1], first(y[i : i + 1], mask[i, 0], projector), rtol=1e-4, atol=1e-6)
