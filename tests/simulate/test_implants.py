"""Outlines of implants and their volume fractions."""

import math

import pytest
import torch

from latentct.geometry import Grid
from latentct.simulate.implants import SIZES_MM2, Implant, draw_implant, kinds_of_size, size_class
from latentct.simulate.outlines import KINDS

SQUARE = Implant("square", lambda y, x: (abs(y) < 3) & (abs(x) < 5), 6.0, 60.0)


def chance(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("spacing_mm", [0.7, 4.0])
@pytest.mark.parametrize("size_mm2", SIZES_MM2)
def test_the_fraction_has_the_wanted_area_on_fine_and_coarse_grids(size_mm2, spacing_mm):
    n = round(200 / spacing_mm)
    grid = Grid((n, n), (spacing_mm, spacing_mm))
    for kind in kinds_of_size(size_mm2):
        fraction = draw_implant(kind, size_mm2, generator=chance(3)).fraction(grid, (1.3, -2.1), 0.7)
        assert fraction.min() >= 0 and fraction.max() <= 1
        assert float(fraction.sum()) * spacing_mm**2 == pytest.approx(size_mm2, rel=0.05), kind


@pytest.mark.parametrize("kind", KINDS)
def test_the_radius_holds_the_whole_outline(kind):
    for seed in range(5):
        outline = KINDS[kind].draw(chance(seed))
        side_mm = torch.linspace(-2, 2, 801, dtype=torch.float64).numpy() * outline.radius_mm
        inside = outline.distance_mm(side_mm[:, None], side_mm[None, :]) < 0
        y, x = inside.nonzero()
        assert max((side_mm[y] ** 2 + side_mm[x] ** 2) ** 0.5) <= outline.radius_mm


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_have_sizes_to_be_drawn_in(kind):
    assert any(kind in kinds_of_size(size_mm2) for size_mm2 in SIZES_MM2)


def test_draws_follow_the_generator():
    one, same, other = (draw_implant("plate", 450.0, generator=chance(seed)) for seed in (1, 1, 2))
    grid = Grid((40, 40), (2.0, 2.0))
    images = [implant.fraction(grid, (0.0, 0.0), 0.0) for implant in (one, same, other)]
    assert torch.equal(images[0], images[1])
    assert not torch.equal(images[0], images[2])


def test_pixels_at_an_edge_are_covered_in_part():
    fraction = SQUARE.fraction(Grid((5, 5), (4.0, 4.0)), (0.0, 0.0), 0.0)
    assert torch.equal(fraction[2], torch.tensor([0.0, 0.75, 1.0, 0.75, 0.0]))
    assert torch.equal(fraction[:, 2], torch.tensor([0.0, 0.25, 1.0, 0.25, 0.0]))


def test_center_is_in_world_coordinates():
    fraction = SQUARE.fraction(Grid((20, 30), (1.0, 1.0), (50.0, -20.0)), (54.0, -25.0), 0.0)
    rows, columns = fraction.nonzero(as_tuple=True)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (11, 16, 5, 14)


def test_turns_from_x_towards_y():
    """Half of a bar along +x, turned by a quarter, lies along +y: in the later rows."""
    bar = Implant("bar", lambda y, x: (abs(y) < 1) & (x > 0) & (x < 8), 9.0, 16.0)
    rows, columns = bar.fraction(Grid((20, 20), (1.0, 1.0)), (0.0, 0.0), math.pi / 2).nonzero(as_tuple=True)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (10, 17, 9, 10)


def test_in_a_volume_it_is_a_prism():
    plane, volume = Grid((9, 9), (2.0, 2.0)), Grid((6, 9, 9), (3.0, 2.0, 2.0))
    in_plane = SQUARE.fraction(plane, (0.0, 0.0), 0.4)
    fraction = SQUARE.fraction(volume, (0.0, 0.0), 0.4, z_range_mm=(-4.5, 3.0))
    for z, part in enumerate((0.0, 0.5, 1.0, 1.0, 0.0, 0.0)):
        assert torch.allclose(fraction[z], part * in_plane)


def test_outside_the_grid_there_is_nothing():
    assert SQUARE.fraction(Grid((9, 9), (2.0, 2.0)), (0.0, 100.0), 0.0).sum() == 0


@pytest.mark.parametrize(("area_mm2", "number"), [(0.0, 0), (15.0, 1), (25.0, 1), (70.0, 2), (400.0, 4), (5000.0, 5)])
def test_size_classes(area_mm2, number):
    assert size_class(area_mm2) == number
