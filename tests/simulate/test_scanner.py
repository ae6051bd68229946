"""The simulated scanner as a whole."""

import math
from dataclasses import replace

import pytest
import torch

from latentct.errors import InputError
from latentct.geometry import ConeBeam, FanBeam, Grid, ParallelBeam
from latentct.projectors import Projector, make_projector
from latentct.simulate import Scanner, make_scanner
from latentct.units import MU_WATER_70KEV, hu_to_mu

SCANS = {
    "parallel": ParallelBeam.equally_spaced(8, math.pi, 40, 5.0),
    "fan": FanBeam.equally_spaced(8, 2 * math.pi, 40, 9.0, 400.0, 700.0),
    "cone": ConeBeam.equally_spaced(4, 2 * math.pi, (6, 24), (9.0, 12.0), 400.0, 700.0),
}
PLANE, VOLUME = Grid((32, 36), (5.0, 5.0)), Grid((6, 20, 22), (5.0, 8.0, 8.0))
IDEAL = make_scanner(None, i0_photons=None, scatter_to_primary=0.0, water_degree=None)


def projector_of(name: str, backend: str = "numba") -> Projector:
    return make_projector(VOLUME if name == "cone" else PLANE, SCANS[name], backend)


def body(grid: Grid, n: int = 2) -> torch.Tensor:
    """Random soft tissue, bone and air, (n, 1, *grid.shape) in 1/mm."""
    generator = torch.Generator().manual_seed(3)
    return hu_to_mu(torch.rand(n, 1, *grid.shape, generator=generator) * 3000 - 1000, MU_WATER_70KEV)


def rod(grid: Grid, n: int = 2) -> torch.Tensor:
    """Shares of metal: a few pixels full and a rim half full, (n, 1, *grid.shape)."""
    share = torch.zeros(n, 1, *grid.shape)
    share[..., 9:14, 8:13] = 0.5
    share[..., 10:13, 9:12] = 1.0
    return share


@pytest.mark.parametrize("backend", ["numba", "torch"])
@pytest.mark.parametrize("name", SCANS)
def test_noise_off_and_one_energy_give_the_monochromatic_scan(name, backend):
    projector = projector_of(name, backend)
    x_mu, share = body(projector.grid), rod(projector.grid)
    torch.testing.assert_close(IDEAL.scan(x_mu, projector), projector(x_mu), rtol=1e-5, atol=1e-5)
    mixed = x_mu * (1 - share) + share * IDEAL.beam.reference_mu("iron")
    torch.testing.assert_close(IDEAL.scan(x_mu, projector, {"iron": share}), projector(mixed), rtol=1e-5, atol=1e-5)


def test_the_water_correction_is_exact_at_one_energy():
    projector = projector_of("fan")
    x_mu = body(PLANE)
    corrected = make_scanner(None, water_degree=4).noiseless()
    torch.testing.assert_close(corrected.scan(x_mu, projector), projector(x_mu), rtol=1e-5, atol=1e-5)


def test_every_energy_adds_to_what_the_beam_measures():
    """The scan is that of the beam along the paths through water, bone and two metals, which displace tissue."""
    projector, scanner = projector_of("fan"), make_scanner(water_degree=None).noiseless()
    x_mu, iron = body(PLANE), rod(PLANE)
    gold = iron.roll(10, dims=-1) * 0.5
    parts = scanner.materials_mu(x_mu, {"iron": iron, "gold": gold})
    assert list(parts) == ["water", "bone", "iron", "gold"]
    torch.testing.assert_close(parts["water"] + parts["bone"], x_mu * (1 - iron - gold))
    expected = scanner.beam.line_integrals({name: projector(part) for name, part in parts.items()})
    found = scanner.scan(x_mu, projector, {"iron": iron, "gold": gold})
    # materials are projected together and alone, which rounds differently, and behind gold next to nothing is left
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert (expected - projector(sum(parts.values()))).abs().max() > 1


def test_full_metal_leaves_no_tissue():
    x_mu, share = body(PLANE), rod(PLANE)
    parts = IDEAL.materials_mu(x_mu, {"titanium": share})
    assert (parts["water"] + parts["bone"])[share == 1].abs().max() == 0
    assert parts["titanium"].max().item() == pytest.approx(IDEAL.beam.reference_mu("titanium"))
    assert list(IDEAL.materials_mu(x_mu)) == ["water", "bone"]


def test_noise_comes_from_the_generator_and_goes_with_the_photons():
    projector, x_mu = projector_of("fan"), torch.full((1, 1, *PLANE.shape), MU_WATER_70KEV)
    scanner = make_scanner(water_degree=None, i0_photons=1e6, scatter_to_primary=0.0)

    def scan(scanner: Scanner, seed: int = 0) -> torch.Tensor:
        return scanner.scan(x_mu, projector, generator=torch.Generator().manual_seed(seed))

    assert torch.equal(scan(scanner), scan(scanner))
    assert not torch.equal(scan(scanner), scan(scanner, seed=1))
    expected = scan(scanner.noiseless())
    many, few = ((scan(replace(scanner, i0_photons=i0)) - expected) for i0 in (1e6, 1e4))
    assert (few.std() / many.std()).item() == pytest.approx(10, rel=0.3)
    counts = 1e6 * torch.exp(-expected)
    normalised = many / ((counts + scanner.electronic_photons**2).sqrt() / counts)
    assert normalised.std().item() == pytest.approx(1, rel=0.15)


def test_scatter_lowers_line_integrals_behind_the_object():
    projector, x_mu = projector_of("fan"), torch.full((1, 1, *PLANE.shape), MU_WATER_70KEV)
    scanner = make_scanner(water_degree=None, i0_photons=None, scatter_to_primary=0.2)
    y, clean = scanner.scan(x_mu, projector), scanner.noiseless().scan(x_mu, projector)
    behind = clean > 0.1
    assert (torch.exp(clean - y)[behind] - 1).median().item() == pytest.approx(0.2, rel=1e-3)


@pytest.mark.parametrize("name", SCANS)
def test_oversampled_bins_average_intensities(name):
    """A bin half behind opaque metal sees half the light; the mean of logarithms would see far less."""
    projector = projector_of(name)
    share, nothing = rod(projector.grid, 1), torch.zeros(1, 1, *projector.grid.shape)
    single, oversampled = (
        replace(IDEAL, detector_oversampling=n).scan(nothing, projector, {"gold": 20 * share}) for n in (1, 4)
    )
    assert oversampled.shape == single.shape
    edge = oversampled[(oversampled > 0.1) & (oversampled < 3)]
    assert len(edge) > 0
    assert (single - oversampled).max() > 20
    if name == "parallel":
        first_view = oversampled[0, 0, 0]
        rim = first_view[(first_view > 0) & (first_view < math.log(4) + 1e-3)]
        assert all(min(abs(math.exp(-y) - k / 4) for k in (1, 2, 3, 4)) < 1e-3 for y in rim.tolist())


def test_without_metal_edges_oversampling_changes_little():
    projector, x_mu = projector_of("fan"), torch.full((1, 1, *PLANE.shape), MU_WATER_70KEV)
    single, oversampled = (replace(IDEAL, detector_oversampling=n).scan(x_mu, projector) for n in (1, 2))
    assert (single - oversampled).abs().mean() < 0.02


def test_gradients_of_the_whole_scan():
    """With many energies, metal, scatter, finer bins and the water correction, by finite differences."""
    grid = Grid((4, 4), (20.0, 20.0))
    projector = make_projector(grid, FanBeam.equally_spaced(2, 3.0, 4, 30.0, 400.0, 700.0), "torch")
    scanner = make_scanner(i0_photons=None, scatter_to_primary=0.1, detector_oversampling=2, n_energies=5)
    x_mu = hu_to_mu(torch.linspace(-600, 1400, 16, dtype=torch.float64), MU_WATER_70KEV).reshape(1, 1, 4, 4)
    share = torch.zeros_like(x_mu)
    share[..., 1, 2] = 0.3
    share.requires_grad_()
    scan = lambda x_mu, share: scanner.scan(x_mu, projector, {"titanium": share})  # noqa: E731
    assert torch.autograd.gradcheck(scan, (x_mu.requires_grad_(), share), eps=1e-7, atol=1e-5, rtol=1e-4)


def test_the_factory_passes_every_number_on():
    settings = {
        "i0_photons": 123.0,
        "electronic_photons": 4.0,
        "scatter_to_primary": 0.3,
        "scatter_width_mm": 7.0,
        "detector_oversampling": 2,
        "mu_water": 0.0192,
    }
    scanner = make_scanner(
        80, al_mm=9.0, cu_mm=0.2, n_energies=12, reference_kev=60, energy_integrating=False, water_degree=2, **settings
    )
    assert {name: getattr(scanner, name) for name in settings} == settings
    assert scanner.beam.reference_kev == 60
    assert not scanner.beam.energy_integrating
    assert max(scanner.beam.spectrum.energies_kev) < 80
    assert scanner.beam.spectrum.mean_kev > make_scanner(80).beam.spectrum.mean_kev
    assert len(scanner.water_correction.coefficients) == 2
    short = make_scanner(water_path_mm=100.0).water_correction
    assert short.y_max < make_scanner().water_correction.y_max / 3
    assert make_scanner(None, energy_kev=50.0).beam.spectrum.energies_kev == (50.0,)


def test_noiseless_keeps_beam_and_correction():
    scanner = make_scanner(detector_oversampling=2)
    expected = replace(scanner, i0_photons=None, scatter_to_primary=0.0)
    assert scanner.noiseless() == expected
    assert scanner.noiseless().water_correction is scanner.water_correction


@pytest.mark.parametrize(
    "setting",
    [
        {"energy_kev": 0.0},
        {"mu_water": -0.02},
        {"i0_photons": 0.0},
        {"electronic_photons": -1.0},
        {"scatter_to_primary": -0.1},
        {"scatter_width_mm": 0.0},
        {"water_degree": 0},
        {"water_path_mm": 0.0},
        {"detector_oversampling": 0},
        {"al_mm": 0.0},
        {"kvp": 121.0},
    ],
)
def test_wrong_settings_are_refused_by_name(setting):
    with pytest.raises(InputError, match=next(iter(setting))):
        make_scanner(**setting)
