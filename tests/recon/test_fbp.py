"""Filtered back-projection: amplitude, position, linearity, in every geometry."""

import math

import numpy as np
import pytest
import torch

from latentct.geometry import ConeBeam, FanBeam, Grid, ParallelBeam
from latentct.projectors import make_projector
from latentct.recon import FILTER_NAMES, FilteredBackProjection, fbp
from latentct.units import MU_WATER_70KEV, mu_to_hu

GRID = Grid((150, 160), (1.6, 1.6))
FAN = {"n_bins": 420, "bin_mm": 1.6, "sod_mm": 570.0, "sdd_mm": 1040.0}
HALF = {**FAN, "n_bins": 250}
SHORT_RAD = math.pi + 2 * 0.33

SCANS: dict[str, ParallelBeam | FanBeam] = {
    "parallel_180": ParallelBeam.equally_spaced(360, math.pi, 300, 1.0),
    "parallel_360": ParallelBeam.equally_spaced(720, 2 * math.pi, 300, 1.0, start_rad=1.0),
    "parallel_200": ParallelBeam.equally_spaced(400, math.radians(200), 300, 1.0),
    "parallel_quarter_offset": ParallelBeam.equally_spaced(720, 2 * math.pi, 300, 1.0, offset_mm=0.25),
    "parallel_displaced": ParallelBeam.equally_spaced(720, 2 * math.pi, 180, 1.0, offset_mm=50.0),
    "fan_flat_full": FanBeam.equally_spaced(720, 2 * math.pi, **FAN),
    "fan_flat_short": FanBeam.equally_spaced(480, SHORT_RAD, **FAN, start_rad=-0.7),
    "fan_flat_displaced": FanBeam.equally_spaced(720, 2 * math.pi, **HALF, offset_mm=-120.0),
    "fan_curved_full": FanBeam.equally_spaced(720, 2 * math.pi, **FAN, curved=True),
    "fan_curved_short": FanBeam.equally_spaced(480, SHORT_RAD, **FAN, curved=True),
    "fan_curved_270": FanBeam.equally_spaced(540, 1.5 * math.pi, **FAN, curved=True),
    "fan_curved_displaced": FanBeam.equally_spaced(720, 2 * math.pi, **HALF, curved=True, offset_mm=120.0),
}


def water_cylinder(scan: ParallelBeam | FanBeam, center_mm: tuple[float, float], radius_mm: float) -> torch.Tensor:
    """Return the line integrals (1, 1, A, U) of a water cylinder with its axis at (x, y), in closed form.

    Args:
        scan: Parallel or fan beam.
        center_mm: Position (x, y) of the axis in mm.
        radius_mm: Radius in mm.
    """
    t = np.asarray(scan.angles_rad)[:, None]
    if isinstance(scan, ParallelBeam):
        direction_rad, distance_mm = t, scan.u_mm()
    else:
        direction_rad, distance_mm = t - scan.fan_angles_rad(), scan.sod_mm * np.sin(scan.fan_angles_rad())
    from_axis_mm = distance_mm - center_mm[0] * np.cos(direction_rad) - center_mm[1] * np.sin(direction_rad)
    y = 2 * MU_WATER_70KEV * np.sqrt(np.maximum(radius_mm**2 - from_axis_mm**2, 0.0))
    return torch.from_numpy(y).float()[None, None]


def distance_mm(grid: Grid, center_mm: tuple[float, float]) -> torch.Tensor:
    """Return the distance of each pixel to the point (x, y)."""
    y_mm, x_mm = np.meshgrid(grid.coordinates_mm(0), grid.coordinates_mm(1), indexing="ij")
    return torch.from_numpy(np.hypot(x_mm - center_mm[0], y_mm - center_mm[1]))


@pytest.mark.parametrize("name", SCANS)
@pytest.mark.parametrize(("center_mm", "radius_mm"), [((0.0, 0.0), 100.0), ((25.0, -15.0), 80.0)])
def test_water_cylinder_comes_back_at_0_hu(name: str, center_mm: tuple[float, float], radius_mm: float) -> None:
    x_mu = fbp(water_cylinder(SCANS[name], center_mm, radius_mm), GRID, SCANS[name])[0, 0]
    x_hu = mu_to_hu(x_mu, MU_WATER_70KEV)
    distance = distance_mm(GRID, center_mm)
    interior_hu = x_hu[distance < radius_mm - 5]
    assert interior_hu.abs().max() < 5.0
    assert abs(interior_hu.mean().item()) < 1.0
    air_hu = x_hu[(distance > radius_mm + 5) & (distance_mm(GRID, (0.0, 0.0)) < 115)]
    assert abs(air_hu.mean().item() + 1000) < 1.0


@pytest.mark.parametrize("name", ["parallel_180", "fan_flat_short", "fan_curved_full"])
def test_discrete_cylinder_through_the_projector(name: str) -> None:
    """The staircase of its rim makes fine streaks; "hann" leaves them out of the question."""
    projector = make_projector(GRID, SCANS[name])
    distance = distance_mm(GRID, (10.0, -5.0))
    x_mu = MU_WATER_70KEV * (distance < 80).float()[None, None]
    x_hat_mu = FilteredBackProjection("hann")(projector.forward(x_mu), projector, None)
    x_hat_hu = mu_to_hu(x_hat_mu[0, 0], MU_WATER_70KEV)[distance < 70]
    assert abs(x_hat_hu.mean().item()) < 1.0
    assert x_hat_hu.abs().max() < 5.0


@pytest.mark.parametrize("name", SCANS)
def test_a_point_lands_on_its_voxel(name: str) -> None:
    """A thin cylinder 40 mm off the axis: the centre of mass comes back to a tenth of a voxel, mirrored nowhere."""
    center_mm = (40.2, -21.0)
    x_mu = fbp(water_cylinder(SCANS[name], center_mm, 3.0), GRID, SCANS[name], "hann")[0, 0].double()
    near = distance_mm(GRID, center_mm) < 9
    mass = torch.where(near, x_mu, 0.0)
    x_mm = (mass.sum(0) * torch.from_numpy(GRID.coordinates_mm(1))).sum() / mass.sum()
    y_mm = (mass.sum(1) * torch.from_numpy(GRID.coordinates_mm(0))).sum() / mass.sum()
    assert (x_mm.item(), y_mm.item()) == pytest.approx(center_mm, abs=0.12)
    assert mass.sum().item() * 1.6**2 == pytest.approx(MU_WATER_70KEV * math.pi * 9, rel=0.03)
    assert mass.max() == x_mu.max()


@pytest.mark.parametrize("name", FILTER_NAMES)
def test_every_filter_keeps_the_level(name: str) -> None:
    scan = SCANS["fan_curved_full"]
    x_mu = fbp(water_cylinder(scan, (0.0, 0.0), 100.0), GRID, scan, name)[0, 0]
    interior_hu = mu_to_hu(x_mu, MU_WATER_70KEV)[distance_mm(GRID, (0.0, 0.0)) < 90]
    assert abs(interior_hu.mean().item()) < 1.0


def test_views_in_any_order_give_the_same_slice() -> None:
    scan = SCANS["fan_flat_short"]
    order = np.random.default_rng(1).permutation(scan.n_views)
    shuffled = FanBeam(tuple(np.asarray(scan.angles_rad)[order]), **FAN)
    y = water_cylinder(scan, (25.0, -15.0), 80.0)
    torch.testing.assert_close(fbp(y[:, :, order], GRID, shuffled), fbp(y, GRID, scan), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["parallel_180", "parallel_displaced", "fan_curved_short"])
def test_batch_equals_one_by_one_bit_for_bit(name: str) -> None:
    y = torch.rand(3, 2, *SCANS[name].sinogram_shape, generator=torch.Generator().manual_seed(0))
    batch = fbp(y, GRID, SCANS[name])
    assert batch.shape == (3, 2, 150, 160)
    for item, channel in ((0, 0), (2, 1)):
        single = fbp(y[item : item + 1, channel : channel + 1], GRID, SCANS[name])
        assert torch.equal(batch[item, channel], single[0, 0])


def test_linear_and_leaves_its_argument_alone() -> None:
    scan = SCANS["fan_flat_full"]
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.rand(1, 1, *scan.sinogram_shape, generator=generator) for _ in range(2))
    before = a.clone()
    mixed = fbp(2 * a - 3 * b, GRID, scan)
    torch.testing.assert_close(mixed, 2 * fbp(a, GRID, scan) - 3 * fbp(b, GRID, scan), rtol=0, atol=2e-5)
    assert torch.equal(a, before)


def test_float64_and_float32_agree() -> None:
    scan = ParallelBeam.equally_spaced(60, math.pi, 120, 2.0)
    grid = Grid((40, 40), (4.0, 4.0))
    y = water_cylinder(scan, (5.0, 5.0), 60.0)
    torch.testing.assert_close(fbp(y.double(), grid, scan).float(), fbp(y, grid, scan), rtol=0, atol=1e-6)


def test_reconstructor_counts_unmeasured_rays_as_zero() -> None:
    scan = ParallelBeam.equally_spaced(60, math.pi, 120, 2.0)
    projector = make_projector(Grid((40, 40), (4.0, 4.0)), scan)
    y = water_cylinder(scan, (5.0, 5.0), 60.0)
    ray_mask = (torch.from_numpy(scan.u_mm()).abs() < 50).expand(60, 120)
    spoilt = torch.where(ray_mask, y, torch.nan)
    x_mu = FilteredBackProjection("hann")(spoilt, projector, ray_mask)
    assert torch.equal(x_mu, fbp(y * ray_mask, projector.grid, scan, "hann"))


def test_cone_beam_is_refused() -> None:
    class ConeProjector:
        scan = ConeBeam((0.0,), (2, 2), (1.0, 1.0), 500.0, 1000.0)

    with pytest.raises(TypeError, match="ConeBeam"):
        FilteredBackProjection()(torch.zeros(1, 1, 1, 2, 2), ConeProjector(), None)  # type: ignore[arg-type]
