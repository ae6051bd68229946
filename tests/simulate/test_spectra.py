"""Spectra of X-ray tubes."""

import numpy as np
import pytest
import torch

from latentct.errors import InputError
from latentct.simulate import Beam, Spectrum, attenuation_mu, monochromatic, tube_spectrum

#: Mean energy and first half-value layer that SpekPy itself gives behind 7 mm of aluminium.
SPEKPY = {70: (45.347, 4.232), 100: (55.950, 5.983), 120: (61.524, 6.993), 150: (68.994, 8.325)}
FINEST = 1000


def kerma(spectrum: Spectrum, al_mm: float) -> float:
    """Energy a little air takes from the beam, with its absorption per photon energy by NIST, in any unit."""
    table_kev = (10, 15, 20, 30, 40, 50, 60, 80, 100, 150)
    absorption = (4.742, 1.334, 0.5389, 0.1537, 0.06833, 0.04098, 0.03041, 0.02407, 0.02325, 0.02496)
    energies = np.array(spectrum.energies_kev)
    muen = np.exp(np.interp(np.log(energies), np.log(table_kev), np.log(absorption)))
    return float((spectrum.weights * energies * muen * np.exp(-attenuation_mu("aluminium", energies) * al_mm)).sum())


@pytest.mark.parametrize("kvp", SPEKPY)
def test_mean_energy_and_half_value_layer_are_those_of_spekpy(kvp):
    mean_kev, half_value_layer_mm = SPEKPY[kvp]
    spectrum = tube_spectrum(kvp, al_mm=7.0, n_bins=FINEST)
    assert spectrum.mean_kev == pytest.approx(mean_kev, rel=2e-3)
    assert kerma(spectrum, half_value_layer_mm) / kerma(spectrum, 0) == pytest.approx(0.5, rel=5e-3)


def test_no_photon_has_more_energy_than_the_voltage_gives():
    spectrum = tube_spectrum(120, n_bins=FINEST)
    assert max(spectrum.energies_kev) == 119.5
    assert min(spectrum.energies_kev) > 15
    assert sum(spectrum.weights) == pytest.approx(1)


def test_filters_and_voltage_harden():
    soft = tube_spectrum(120, al_mm=3.0)
    assert soft.mean_kev < tube_spectrum(120).mean_kev < tube_spectrum(120, cu_mm=0.5).mean_kev
    assert tube_spectrum(80).mean_kev < tube_spectrum(120).mean_kev


@pytest.mark.parametrize("kvp", [80, 120, 140])
def test_few_bins_give_the_line_integrals_of_many(kvp):
    few, many = Beam(tube_spectrum(kvp)), Beam(tube_spectrum(kvp, n_bins=FINEST))
    assert len(few.spectrum.energies_kev) <= 40
    assert few.spectrum.mean_kev == pytest.approx(many.spectrum.mean_kev)
    longest = {"water": 10.0, "bone": 8.0, "titanium": 8.0, "iron": 12.0}
    for name, end in longest.items():
        path = torch.linspace(0.01, end, 50, dtype=torch.float64)
        for paths in ({name: path}, {name: path} | {"water": 3 + path * (name == "water")}):
            torch.testing.assert_close(few.line_integrals(paths), many.line_integrals(paths), rtol=1e-3, atol=0)


def test_few_bins_keep_the_edge_of_opaque_gold():
    few, many = Beam(tube_spectrum(120)), Beam(tube_spectrum(120, n_bins=FINEST))
    paths = {"water": torch.full((3,), 3.0), "gold": torch.tensor([2.0, 8.0, 20.0])}
    torch.testing.assert_close(few.line_integrals(paths), many.line_integrals(paths), rtol=5e-3, atol=0)


def test_weights_are_normalised():
    spectrum = Spectrum([40, 60], [1, 3])
    assert spectrum.weights == (0.25, 0.75)
    assert spectrum.mean_kev == 55
    assert hash(spectrum) == hash(Spectrum((40.0, 60.0), (0.25, 0.75)))
    assert monochromatic(70.0) == Spectrum([70], [5])


@pytest.mark.parametrize("energies, weights", [((), ()), ((50.0,), (1.0, 2.0)), ((50.0,), (0.0,)), ((0.0,), (1.0,))])
def test_what_is_no_spectrum_is_refused(energies, weights):
    with pytest.raises(ValueError, match="spectrum"):
        Spectrum(energies, weights)


def test_negative_weights_are_refused():
    with pytest.raises(ValueError, match="spectrum"):
        Spectrum((50.0, 60.0), (2.0, -1.0))


@pytest.mark.parametrize("settings", [{"al_mm": 0.5}, {"cu_mm": -0.1}, {"n_bins": 0}, {"kvp": 125}])
def test_wrong_settings_are_refused_by_name(settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        tube_spectrum(**{"kvp": 120, **settings})
