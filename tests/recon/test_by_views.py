"""Settings by number of views."""

import math

import pytest
import torch

from latentct.geometry import Grid, ParallelBeam
from latentct.projectors import make_projector
from latentct.recon import ByViewCount


def constant(value: float):
    return lambda y, projector, ray_mask: y.new_full((1, 1, *projector.grid.shape), value)


@pytest.mark.parametrize(("n_views", "chosen"), [(1, 2), (2, 2), (5, 4), (6, 8), (10, 8), (12, 16), (40, 16)])
def test_the_nearest_count_in_ratio_serves(n_views, chosen):
    method = ByViewCount((2, 4, 8, 16), [constant(float(n)) for n in (2, 4, 8, 16)])
    projector = make_projector(Grid((4, 4), (1.0, 1.0)), ParallelBeam.equally_spaced(n_views, math.pi, 4, 1.0))
    y = torch.zeros(1, 1, n_views, 4)
    assert float(method(y, projector, torch.ones_like(y, dtype=torch.bool)).mean()) == chosen


def test_one_reconstructor_a_count_is_needed():
    with pytest.raises(ValueError, match="1 reconstructors do not belong to view counts"):
        ByViewCount((2, 4), [constant(1.0)])
