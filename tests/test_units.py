"""Hounsfield units and attenuation."""

import numpy as np
import pytest
import torch

from latentct.units import MU_WATER_70KEV, hu_to_mu, mu_to_hu


def test_water_and_air():
    assert hu_to_mu(0.0, MU_WATER_70KEV) == pytest.approx(0.01929)
    assert hu_to_mu(-1000.0, MU_WATER_70KEV) == 0.0
    assert mu_to_hu(2 * MU_WATER_70KEV, MU_WATER_70KEV) == pytest.approx(1000.0)


@pytest.mark.parametrize("kind", [np.array, torch.tensor])
def test_round_trip_keeps_the_kind(kind):
    x_hu = kind([-1000.0, -3.5, 0.0, 2976.0])
    back = mu_to_hu(hu_to_mu(x_hu, 0.0183), 0.0183)
    assert type(back) is type(x_hu)
    assert np.allclose(np.asarray(back), np.asarray(x_hu), atol=1e-3)
