"""Masks that follow from the geometry, their combination and the registry."""

import math

import numpy as np
import pytest
import torch

from latentct.errors import InputError
from latentct.geometry import ConeBeam, Grid, truncation_ray_mask
from latentct.projectors import make_projector
from latentct.tasks import TASKS, Combination, DeadPixels, LimitedAngle, SparseView, Truncation, make_task

CONE = ConeBeam.equally_spaced(8, 2 * math.pi, (6, 10), (4.0, 4.0), 300.0, 500.0)


def mask_of(task, projector):
    y = torch.zeros(2, 1, *projector.scan.sinogram_shape)
    ray_mask = task.ray_mask(y, projector)
    assert ray_mask.dtype == torch.bool
    assert ray_mask.shape == projector.scan.sinogram_shape
    return ray_mask


def test_truncation(projector):
    expected = truncation_ray_mask(projector.scan, 150.0)
    assert np.array_equal(mask_of(Truncation(150.0), projector).numpy(), expected)


def test_limited_angle_is_an_arc_that_may_pass_the_full_turn(projector):
    angles_rad = np.asarray(projector.scan.angles_rad)
    views = mask_of(LimitedAngle(math.pi / 2, math.pi / 4), projector).all(dim=1).numpy()
    assert np.array_equal(views, (angles_rad > math.pi / 4 - 1e-6) & (angles_rad < 3 * math.pi / 4 - 1e-6))
    views = mask_of(LimitedAngle(math.pi / 2, -math.pi / 4), projector).any(dim=1).numpy()
    assert np.array_equal(views, (angles_rad < math.pi / 4 - 1e-6) | (angles_rad > 7 * math.pi / 4 - 1e-6))


@pytest.mark.parametrize("n_views", [1, 7, 32])
def test_sparse_views_are_spread_evenly(projector, n_views):
    views = mask_of(SparseView(n_views), projector).all(dim=1).nonzero().flatten()
    assert len(views) == n_views
    steps = torch.cat([views, views[:1] + projector.scan.n_views]).diff()
    assert steps.max() - steps.min() <= 1


def test_dead_pixels_are_the_same_in_all_views_and_drawn_from_a_seed(projector):
    mask = mask_of(DeadPixels((3, 50), 0.1, seed=1), projector)
    assert not mask[:, [3, 50]].any()
    assert torch.equal(mask, mask[:1].expand_as(mask))
    assert 0.02 < (~mask[0]).float().mean() < 0.25
    assert torch.equal(mask, mask_of(DeadPixels((3, 50), 0.1, seed=1), projector))
    assert not torch.equal(mask, mask_of(DeadPixels((3, 50), 0.1, seed=2), projector))


def test_panels_have_masks_of_their_shape():
    projector = make_projector(Grid((4, 10, 10), (4.0, 4.0, 4.0)), CONE)
    for task in (Truncation(15.0), LimitedAngle(2.0), SparseView(3), DeadPixels((1,), 0.1)):
        mask_of(task, projector)
    assert mask_of(SparseView(4), projector).all(dim=(1, 2)).sum() == 4


def test_a_combination_leaves_what_all_leave(projector):
    tasks = [Truncation(200.0), SparseView(40), DeadPixels((50,))]
    expected = mask_of(tasks[0], projector) & mask_of(tasks[1], projector) & mask_of(tasks[2], projector)
    assert torch.equal(mask_of(Combination(tasks), projector), expected)


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (Truncation(5000.0), "diameter_mm=5000.0"),
        (Truncation(0.1), "leaves 0 of"),
        (LimitedAngle(7.0), "arc_rad=7.0"),
        (LimitedAngle(0.0), "leaves 0 of"),
        (SparseView(0), "n_views=0"),
        (SparseView(9999), "n_views=9999"),
        (DeadPixels(), "nothing to correct"),
        (DeadPixels((400,)), r"columns \[400\]"),
        (Combination([SparseView(1), LimitedAngle(1.0, 1.0)]), "leave no ray together"),
    ],
)
def test_tasks_that_do_nothing_or_leave_nothing_are_refused(projector, task, words):
    with pytest.raises(InputError, match=words):
        mask_of(task, projector)


def test_registry_knows_every_task_by_its_name():
    assert set(TASKS) == {"truncation", "metal", "limited_angle", "sparse_view", "dead_pixels", "combination"}
    assert all(task.name == name for name, task in TASKS.items())
    assert make_task("limited_angle", arc_rad=2.0).arc_rad == 2.0
    with pytest.raises(InputError, match="'helical' is not known; choose one of truncation"):
        make_task("helical")
    with pytest.raises(InputError, match="no tasks"):
        make_task("combination", tasks=[])
