"""Line integrals of a beam of many energies."""

import math

import pytest
import torch

from latentct.errors import InputError
from latentct.simulate import Beam, Material, Spectrum, attenuation_mu, monochromatic, polychromatic, tube_spectrum

TUBE = Beam(tube_spectrum(120))


def test_two_energies_by_hand():
    """A quarter of the photons have 40 keV; summed energies weigh them 40 to 180."""
    paths = {"water": torch.tensor([1.5]), "titanium": torch.tensor([0.7])}
    passed = [
        math.exp(
            -sum(float(path) * attenuation_mu(name, kev) / attenuation_mu(name, 70) for name, path in paths.items())
        )
        for kev in (40.0, 60.0)
    ]
    for integrating, shares in ((True, (40 / 220, 180 / 220)), (False, (0.25, 0.75))):
        beam = Beam(Spectrum((40, 60), (1, 3)), reference_kev=70, energy_integrating=integrating)
        expected = shares[0] * passed[0] + shares[1] * passed[1]
        assert beam.transmission(paths).item() == pytest.approx(expected, rel=1e-5)
        assert beam.line_integrals(paths).item() == pytest.approx(-math.log(expected), rel=1e-5)


def test_at_one_energy_the_reference_paths_add_up():
    paths = {"water": torch.rand(2, 1, 5, 7) * 8, "iron": torch.rand(2, 1, 5, 7) * 90}
    y = Beam(monochromatic(70)).line_integrals(paths)
    torch.testing.assert_close(y, paths["water"] + paths["iron"], rtol=1e-6, atol=0)


def test_thin_objects_see_the_mean_and_thick_ones_the_hardest_photons():
    path = torch.tensor([1e-6, 0.1, 1.0, 5.0, 10.0], dtype=torch.float64)
    slope = TUBE.line_integrals({"water": path}) / path
    assert (slope.diff() < 0).all()
    shares = torch.tensor(TUBE.spectrum.weights) * torch.tensor(TUBE.spectrum.energies_kev)
    ratios = torch.from_numpy(attenuation_mu("water", TUBE.spectrum.energies_kev)) / TUBE.reference_mu("water")
    assert slope[0].item() == pytest.approx(float((shares.double() * ratios).sum() / shares.sum()), rel=1e-5)


def test_thick_metal_does_not_underflow():
    """200 mm of gold: no float32 holds its transmission, but its line integral is finite and exact to rounding."""
    path = torch.tensor([200 * TUBE.reference_mu("gold")])
    y = TUBE.line_integrals({"gold": path})
    torch.testing.assert_close(y.double(), TUBE.line_integrals({"gold": path.double()}), rtol=1e-5, atol=0)
    assert y.item() > 200


def test_the_number_of_rays_at_once_does_not_matter(monkeypatch):
    paths = {name: torch.rand(3, 1, 4, 5, dtype=torch.float64).requires_grad_() for name in ("bone", "copper")}
    whole = TUBE.line_integrals(paths)
    slopes = torch.autograd.grad(whole.sum(), list(paths.values()))
    monkeypatch.setattr(polychromatic, "RAYS_AT_ONCE", 7)
    torch.testing.assert_close(TUBE.line_integrals(paths), whole)
    torch.testing.assert_close(torch.autograd.grad(TUBE.line_integrals(paths).sum(), list(paths.values())), slopes)


def test_gradients_are_those_of_finite_differences():
    paths = [torch.linspace(0, end, 6, dtype=torch.float64).requires_grad_() for end in (8.0, 3.0, 4.0)]

    def line_integrals(water, bone, iron):
        return TUBE.line_integrals({"water": water, "bone": bone, "iron": iron})

    assert torch.autograd.gradcheck(line_integrals, paths)


def test_a_material_of_ones_own():
    steel = Material("steel", 7.9, (("Fe", 0.7), ("Cr", 0.3)))
    y = TUBE.line_integrals({steel: torch.tensor([2.0])})
    assert (
        TUBE.line_integrals({"titanium": torch.tensor([2.0])}) > y > TUBE.line_integrals({"iron": torch.tensor([2.0])})
    )


def test_wrong_paths_are_refused():
    with pytest.raises(ValueError, match="one material"):
        TUBE.line_integrals({})
    with pytest.raises(InputError, match="marble"):
        TUBE.line_integrals({"marble": torch.ones(2)})
