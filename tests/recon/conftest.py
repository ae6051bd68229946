"""The small scan that iterative methods are tested on."""

import math

import pytest

from latentct.geometry import Grid, ParallelBeam
from latentct.projectors import Projector, make_projector


@pytest.fixture(scope="session")
def projector() -> Projector:
    return make_projector(Grid((24, 24), (4.0, 4.0)), ParallelBeam.equally_spaced(40, math.pi, 40, 4.0))
