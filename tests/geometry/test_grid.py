"""The grid."""

import numpy as np
import pytest

from latentct.geometry import Grid


def test_centres_are_symmetric_about_the_given_centre():
    grid = Grid((3, 4), (2.0, 0.5), (10.0, -1.0))
    assert np.array_equal(grid.coordinates_mm(0), [8.0, 10.0, 12.0])
    assert np.array_equal(grid.coordinates_mm(1), [-1.75, -1.25, -0.75, -0.25])
    assert grid.coordinates_mm(1).dtype == np.float64
    assert grid.extent_mm == (6.0, 2.0)
    assert grid.origin_mm == (8.0, -1.75)


def test_a_grid_without_centre_sits_on_the_rotation_axis():
    assert Grid((2, 2, 2), (1.0, 1.0, 1.0)).center_mm == (0.0, 0.0, 0.0)
    assert Grid((5,) * 2, (1.0,) * 2).coordinates_mm(0)[2] == 0.0


def test_lists_of_a_config_make_an_equal_and_hashable_grid():
    assert hash(Grid([8, 9], [1, 2])) == hash(Grid((8, 9), (1.0, 2.0)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("shape", "spacing_mm", "center_mm"),
    [((4,), (1.0,), None), ((4, 4), (1.0,), None), ((4, 4), (1.0, 1.0), (0.0,)), ((4, 0), (1.0, 1.0), None)],
)
def test_inconsistent_grids_are_refused(shape, spacing_mm, center_mm):
    with pytest.raises(ValueError, match=r"grid|positive"):
        Grid(shape, spacing_mm, center_mm)


def test_a_negative_spacing_is_refused():
    with pytest.raises(ValueError, match="positive"):
        Grid((4, 4), (1.0, -1.0))


def test_coarser_and_finer_grids_cover_the_same_space():
    grid = Grid((4, 8), (3.0, 2.0), (5.0, -1.0))
    for other in (grid.coarser(2), grid.finer(3)):
        assert other.extent_mm == grid.extent_mm and other.center_mm == grid.center_mm
    assert grid.coarser(2).shape == (2, 4)
    assert grid.coarser(2).finer(2) == grid
