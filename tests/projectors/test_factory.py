"""The choice of a backend."""

import importlib.util

import pytest
from tests.projectors.cases import PLANE_GRID, SCANS, VOLUME_GRID

from latentct.projectors import make_projector
from latentct.projectors.cpu_cone import NumbaConeProjector
from latentct.projectors.cpu_plane import NumbaPlaneProjector
from latentct.projectors.tomosipo_cuda import TomosipoProjector
from latentct.projectors.torch_reference import TorchProjector


def test_auto_takes_numba_on_the_cpu():
    assert isinstance(make_projector(PLANE_GRID, SCANS["fan_flat"]), NumbaPlaneProjector)
    assert isinstance(make_projector(VOLUME_GRID, SCANS["cone_tumbling"]), NumbaConeProjector)


def test_auto_takes_tomosipo_on_a_gpu_only_where_it_is_installed(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert isinstance(make_projector(PLANE_GRID, SCANS["parallel"], device="cuda:0"), TorchProjector)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    assert isinstance(make_projector(PLANE_GRID, SCANS["parallel"], device="cuda:0"), TomosipoProjector)
    assert isinstance(make_projector(PLANE_GRID, SCANS["fan_flat"], device="cuda:0"), TorchProjector)
    assert isinstance(make_projector(VOLUME_GRID, SCANS["cone"], device="mps"), TorchProjector)


def test_what_cannot_be_served_is_refused():
    with pytest.raises(ValueError, match="nuba"):
        make_projector(PLANE_GRID, SCANS["parallel"], backend="nuba")
    with pytest.raises(ValueError, match="2-D grid"):
        make_projector(VOLUME_GRID, SCANS["parallel"])
    with pytest.raises(ValueError, match="FanBeam"):
        make_projector(PLANE_GRID, SCANS["fan_flat"], backend="tomosipo")
