"""The weights that ship with the few-view bundle."""

import math
from pathlib import Path

import pytest
import torch

from latentct.geometry import ConeBeam
from latentct.projectors import make_projector
from latentct.units import hu_to_mu, mu_to_hu

from .. import checks

BUNDLE = Path("bundles/clsdm_sparse_view")
WEIGHTS = ("model.pt", "ldm.pt")


@pytest.fixture(scope="module")
def parser():
    return checks.parse([BUNDLE / "configs" / name for name in ("train_autoencoder.yaml", "evaluate.yaml")])


def test_both_files_together_are_small_and_in_half_precision():
    assert sum((BUNDLE / "models" / name).stat().st_size for name in WEIGHTS) < 25e6
    for name in WEIGHTS:
        state = torch.load(BUNDLE / "models" / name, weights_only=True)
        assert {value.dtype for value in state.values() if value.is_floating_point()} == {torch.float16}


@pytest.mark.parametrize("name", ["clsdm", "ldm"])
def test_they_fit_the_networks_of_the_configuration(parser, name):
    network = parser.get_parsed_content(f"{name}_weighted")
    assert not network.training
    assert float(network.latent_scale.min()) > 0 and not bool((network.latent_scale == 1).all())


def test_eight_views_of_a_cylinder_give_the_cylinder(parser):
    grid, mu_water = parser.get_parsed_content("grid"), parser.get_parsed_content("mu_water")
    z, y, x = (torch.tensor(grid.coordinates_mm(axis), dtype=torch.float32) for axis in range(3))
    inside = (z.abs() < 80)[:, None, None] & (torch.hypot(y[:, None], x[None, :]) < 80)
    x_hu = torch.where(inside, 0.0, -1000.0)[None, None]
    scan = ConeBeam.equally_spaced(8, math.pi, (96, 96), (6.0, 8.0), sod_mm=800.0, sdd_mm=1200.0)
    projector = make_projector(grid, scan)
    measured = projector(hu_to_mu(x_hu, mu_water))
    method = parser.get_parsed_content("clsdm_consistent")
    found_hu = mu_to_hu(method(measured, projector, torch.ones_like(measured, dtype=torch.bool)), mu_water)
    assert float((found_hu - x_hu)[0, 0][inside].abs().mean()) < 60
    assert float((found_hu - x_hu)[0, 0][~inside].abs().mean()) < 15
