"""Attenuation of materials."""

import numpy as np
import pytest

from latentct.errors import InputError
from latentct.simulate import MATERIALS, METALS, Material, attenuation_mu
from latentct.units import MU_WATER_70KEV

#: Mass attenuation with coherent scattering in cm2/g, published by NIST (XCOM, doi 10.18434/T48G6X).
ENERGIES_KEV = (20.0, 30.0, 40.0, 50.0, 60.0, 80.0, 100.0, 150.0)
PUBLISHED = {
    "water": (0.8096, 0.3756, 0.2683, 0.2269, 0.2059, 0.1837, 0.1707, 0.1505),
    "bone": (4.001, 1.331, 0.6655, 0.4242, 0.3148, 0.2229, 0.1855, 0.1480),
    "aluminium": (3.441, 1.128, 0.5685, 0.3681, 0.2778, 0.2018, 0.1704, 0.1378),
    "titanium": (15.85, 4.972, 2.214, 1.213, 0.7661, 0.4052, 0.2721, 0.1649),
    "iron": (25.68, 8.176, 3.629, 1.958, 1.205, 0.5952, 0.3717, 0.1964),
    "copper": (33.79, 10.92, 4.862, 2.613, 1.593, 0.7630, 0.4584, 0.2217),
    "gold": (78.83, 27.52, 12.98, 7.256, 4.528, 2.185, 5.158, 1.860),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_attenuation_is_that_of_nist(name):
    expected_mu = np.array(PUBLISHED[name]) * MATERIALS[name].density_g_cm3 / 10
    np.testing.assert_allclose(attenuation_mu(name, ENERGIES_KEV), expected_mu, rtol=2e-3)


def test_between_the_rows_of_the_table_too():
    """Water at 70 keV is the constant of the package; 45 keV lies between rows of the table and of NIST."""
    assert attenuation_mu("water", 70.0) == pytest.approx(MU_WATER_70KEV, rel=5e-4)
    between = np.exp(np.interp(np.log(47.0), np.log([40, 50]), np.log([3.629, 1.958]))) * 0.7874
    assert attenuation_mu("iron", 47.0) == pytest.approx(between, rel=5e-3)


def test_gold_turns_opaque_at_its_edge():
    """NIST: 2.137 below and 8.904 cm2/g above the K edge at 80.725 keV."""
    below, above = attenuation_mu("gold", [80.7, 80.75])
    assert below == pytest.approx(2.137 * 1.932, rel=5e-3)
    assert above == pytest.approx(8.904 * 1.932, rel=5e-3)


def test_a_mixture_is_the_sum_of_its_parts():
    salt_water = Material("salt water", 1.1, (("H", 0.1), ("O", 0.8), ("Na", 0.1)))
    parts = [
        share * attenuation_mu(Material(element, 1.1, ((element, 1.0),)), 50.0)
        for element, share in salt_water.mass_fractions
    ]
    assert attenuation_mu(salt_water, 50.0) == pytest.approx(sum(parts))


def test_every_material_is_known_over_the_diagnostic_range_and_metals_are_denser_than_bone():
    energies_kev = np.linspace(10, 150, 29).reshape(1, 29)
    for name in MATERIALS:
        assert attenuation_mu(name, energies_kev).shape == (1, 29)
    for name in METALS:
        assert attenuation_mu(name, 70.0) > 2 * attenuation_mu("bone", 70.0)


def test_wrong_input_is_refused():
    with pytest.raises(InputError, match=r"'unobtainium'.*titanium"):
        attenuation_mu("unobtainium", 70.0)
    with pytest.raises(InputError, match="'Xx'"):
        attenuation_mu(Material("x", 1.0, (("Xx", 1.0),)), 70.0)
    for energy_kev in (9.0, 151.0, float("nan")):
        with pytest.raises(InputError, match="keV"):
            attenuation_mu("water", energy_kev)
    with pytest.raises(ValueError, match="sum to 1"):
        Material("half", 1.0, (("H", 0.5),))
    with pytest.raises(ValueError, match="density"):
        Material("nothing", 0.0, (("H", 1.0),))
