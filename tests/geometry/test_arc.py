"""What arc the views of a scan cover, whatever their order."""

import math
from dataclasses import replace

import numpy as np
import pytest

from latentct.geometry import FanBeam, ParallelBeam
from latentct.geometry.arc import arc_of, on_one_arc


def parallel(n: int, arc_deg: float, start_deg: float = 0.0) -> ParallelBeam:
    return ParallelBeam.equally_spaced(n, math.radians(arc_deg), 100, 4.0, start_rad=math.radians(start_deg))


def fan(n: int, arc_deg: float, start_deg: float = 0.0) -> FanBeam:
    return FanBeam.equally_spaced(n, math.radians(arc_deg), 200, 4.0, 500.0, 1000.0, start_rad=math.radians(start_deg))


@pytest.mark.parametrize(
    ("scan", "covered_deg", "missing_deg", "line_step_deg"),
    [
        (parallel(180, 180), 180, 0, 1),
        (parallel(178, 178), 180, 0, 1),  # two steps that a filtered back-projection bridges
        (parallel(120, 120), 120, 60, 1),
        (parallel(120, 120, start_deg=300), 120, 60, 1),
        (parallel(240, 240), 180, 0, 1),
        (parallel(360, 360), 180, 0, 1),
        (parallel(30, 360), 180, 0, 12),  # views half a turn apart see the same lines
        (parallel(31, 360), 180, 0, 180 / 31),  # and these the lines between
        (parallel(16, 180), 180, 0, 11.25),
        (fan(360, 360), 360, 0, 0.5),
        (fan(36, 360, start_deg=77), 360, 0, 5),
        (fan(240, 240), 240, 0, 1),
        (fan(226, 226), 226, 0, 1),
        (fan(200, 200), 200, 27.16, 1),
        (fan(120, 120, start_deg=-50), 120, 107.16, 1),
    ],
)
def test_arcs(scan, covered_deg, missing_deg, line_step_deg):
    arc = arc_of(scan, 200.0)
    assert math.degrees(arc.covered_rad) == pytest.approx(covered_deg, abs=0.01)
    assert math.degrees(arc.missing_rad) == pytest.approx(missing_deg, abs=0.01)
    assert math.degrees(arc.line_step_rad) == pytest.approx(line_step_deg)


def test_short_scan_of_a_fan_depends_on_the_object():
    scan = fan(205, 205)
    assert arc_of(scan, 100.0).missing_rad == 0
    assert arc_of(scan, 200.0).missing_rad == pytest.approx(math.pi + 2 * math.asin(0.4) - math.radians(205))


def test_two_arcs_have_what_is_between_them_missing():
    whole = parallel(180, 180)
    angles = np.array(whole.angles_rad)
    scan = replace(whole, angles_rad=(*angles[:60], *angles[90:150]))
    assert math.degrees(arc_of(scan, 200.0).missing_rad) == pytest.approx(60)


def test_uneven_views_are_no_short_arc():
    angles_rad = np.mod(np.arange(40) * 2.399963, math.pi)
    assert arc_of(ParallelBeam(tuple(angles_rad), 100, 4.0), 200.0).missing_rad == 0


@pytest.mark.parametrize("scan", [parallel(120, 120, start_deg=310), fan(200, 200, start_deg=-100)])
def test_order_and_turn_of_views_do_not_matter(scan):
    rng = np.random.default_rng(0)
    order = rng.permutation(scan.n_views)
    angles_rad = np.array(scan.angles_rad)[order] + 2 * math.pi * rng.integers(-1, 2, scan.n_views)
    shuffled = replace(scan, angles_rad=tuple(angles_rad))
    expected, found = arc_of(scan, 200.0), arc_of(shuffled, 200.0)
    for name in ("covered_rad", "needed_rad", "step_rad", "line_step_rad", "is_turn"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name))
    index, along_rad = on_one_arc(shuffled.angles_rad)
    assert (np.diff(along_rad) > 0).all() and np.ptp(along_rad) == pytest.approx(np.ptp(scan.angles_rad))
    np.testing.assert_allclose(np.exp(1j * along_rad), np.exp(1j * angles_rad[index]))
