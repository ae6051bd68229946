"""Random views of a cone-beam machine."""

import math
from collections import Counter

import numpy as np
import pytest
import torch

from latentct.geometry import ConeBeam, few_view_cbct
from latentct.simulate import RandomViews

N_DRAWS = 600


@pytest.fixture(scope="module")
def scans() -> list[ConeBeam]:
    views = RandomViews(few_view_cbct(4), n_views=(2, 16))
    generator = torch.Generator().manual_seed(0)
    return [views.draw(generator) for _ in range(N_DRAWS)]


def arc_rad(scan: ConeBeam) -> float | None:
    """Return the arc of equally spaced views and None for others; two views leave it to one step."""
    steps = np.diff(scan.angles_rad)
    return float(steps[0] * scan.n_views) if np.allclose(steps, steps[0]) and scan.n_views > 2 else None


def test_only_the_angles_differ_from_the_machine(scans):
    machine = few_view_cbct(4)
    for scan in scans:
        assert (scan.sod_mm, scan.sdd_mm, scan.pixel_mm) == (machine.sod_mm, machine.sdd_mm, machine.pixel_mm)
        assert (scan.detector_shape, scan.offset_mm) == (machine.detector_shape, machine.offset_mm)


def test_every_count_in_the_range_is_drawn_about_as_often(scans):
    counts = Counter(scan.n_views for scan in scans)
    assert set(counts) == set(range(2, 17))
    assert min(counts.values()) > 0.4 * N_DRAWS / 15
    assert max(counts.values()) < 1.7 * N_DRAWS / 15


def test_the_three_kinds_have_the_stated_shares(scans):
    arcs = [arc_rad(scan) for scan in scans if scan.n_views > 2]
    half = sum(arc is not None and math.isclose(arc, math.pi, rel_tol=1e-6) for arc in arcs) / len(arcs)
    full = sum(arc is not None and math.isclose(arc, 2 * math.pi, rel_tol=1e-6) for arc in arcs) / len(arcs)
    assert half == pytest.approx(0.5, abs=0.07)
    assert full == pytest.approx(0.25, abs=0.06)
    assert 1 - half - full == pytest.approx(0.25, abs=0.06)


def test_starts_and_random_angles_cover_the_turn(scans):
    first = [scan.angles_rad[0] for scan in scans if arc_rad(scan) is not None]
    random = [angle for scan in scans if arc_rad(scan) is None and scan.n_views > 2 for angle in scan.angles_rad]
    for angles in (first, random):
        shares = np.histogram(angles, bins=4, range=(0, 2 * math.pi))[0] / len(angles)
        assert shares.sum() == pytest.approx(1.0)
        assert shares.min() > 0.17


def test_the_generator_decides_alone():
    views = RandomViews(few_view_cbct(4))
    assert views.draw(torch.Generator().manual_seed(3)) == views.draw(torch.Generator().manual_seed(3))
    assert views.draw(torch.Generator().manual_seed(3)) != views.draw(torch.Generator().manual_seed(4))


def test_one_count_and_a_range_that_makes_no_sense():
    scan = RandomViews(few_view_cbct(4), n_views=(5, 5)).draw(torch.Generator().manual_seed(0))
    assert scan.n_views == 5
    for n_views in ((0, 4), (6, 2)):
        with pytest.raises(ValueError, match="least and a largest"):
            RandomViews(few_view_cbct(4), n_views=n_views)
