"""The simulated scan of a volume."""

import math

import numpy as np
import pytest
import torch

from latentct.errors import InputError
from latentct.geometry import FanBeam, Grid, ParallelBeam
from latentct.projectors import make_projector
from latentct.recon import fbp
from latentct.simulate import make_scanner
from latentct.tasks import Metal, Truncation
from latentct.transforms import RandImplants, SimulateScand
from latentct.units import MU_WATER_70KEV, mu_to_hu

SCAN = FanBeam.equally_spaced(60, 2 * math.pi, 90, 4.0, sod_mm=500.0, sdd_mm=800.0)
TRUNCATION = Truncation(80.0)
IDEAL = {"i0_photons": None, "scatter_to_primary": 0.0}


@pytest.fixture
def head(make_volume):
    """Three slices of water with a disk of bone in each, 6 mm pixels."""
    grid = Grid((40, 40), (6.0, 6.0))
    radius = np.hypot(*np.meshgrid(grid.coordinates_mm(0), grid.coordinates_mm(1)))
    x_hu = np.where(radius < 80, 0.0, -1000.0) + 900.0 * (radius < 25)
    return make_volume(np.stack([x_hu] * 3), (5.0, 6.0, 6.0), filename_or_obj="folder/head.nii.gz")


def of_scan(volume, sha256="abc", **settings):
    return SimulateScand("image", SCAN, mu_water=MU_WATER_70KEV, **settings)({"image": volume, "sha256": sha256})


def test_without_scanner_the_scan_is_the_projection_and_the_reference_its_fbp(head):
    out = of_scan(head, task=TRUNCATION)
    x_mu = MU_WATER_70KEV * (1 + head.array[0][:, None] / 1000)
    projector = make_projector(Grid((40, 40), (6.0, 6.0)), SCAN)
    y = projector(torch.from_numpy(x_mu))
    assert torch.allclose(out["sinogram"][0], y[:, 0], atol=1e-5)
    expected = mu_to_hu(fbp(y, projector.grid, SCAN), MU_WATER_70KEV)
    assert torch.allclose(out["reference"][0], expected[:, 0], atol=0.1)
    assert torch.equal(out["ray_mask"], TRUNCATION.ray_mask(y, projector))
    assert out["ray_mask"].shape == SCAN.sinogram_shape
    assert not {"metal", "metal_size", "metal_material"} & set(out)
    assert out["sinogram"][:, :, ~out["ray_mask"]].max() > 0.5  # the reference keeps them


def test_what_is_darker_than_air_counts_as_air(make_volume):
    out = of_scan(make_volume(np.full((1, 40, 40), -3024.0), (5.0, 6.0, 6.0)), task=TRUNCATION)
    assert torch.equal(out["sinogram"], torch.zeros_like(out["sinogram"]))


def test_parallel_beams_serve_too_and_the_volume_stays(head):
    scan = ParallelBeam.equally_spaced(6, math.pi, 60, 5.0)
    out = SimulateScand("image", scan, TRUNCATION, MU_WATER_70KEV)({"image": head})
    assert out["sinogram"].shape == (1, 3, 6, 60)
    assert out["image"] is head


def test_an_ideal_scanner_changes_nothing(head):
    plain = of_scan(head, task=TRUNCATION)
    ideal = of_scan(head, task=TRUNCATION, scanner=make_scanner(kvp=None, water_degree=None, **IDEAL))
    assert torch.allclose(ideal["sinogram"], plain["sinogram"], atol=1e-5)
    assert torch.allclose(ideal["reference"], plain["reference"], atol=0.1)


def test_metal_is_in_the_scan_and_not_in_the_reference(head):
    scanner = make_scanner(**IDEAL)
    clean = of_scan(head, task=TRUNCATION, scanner=scanner)
    out = of_scan(head, task=Metal(mu_water=MU_WATER_70KEV), scanner=scanner, implants=RandImplants())
    assert torch.equal(out["reference"], clean["reference"])
    assert out["metal"].shape == (1, 3, 40, 40)
    assert sorted(set(out["metal_size"])) == sorted(out["metal_size"])  # three slices, three sizes
    assert len(out["metal_material"]) == 3
    through = make_projector(Grid((40, 40), (6.0, 6.0)), SCAN)(out["metal"][0][:, None])[:, 0] > 0
    difference = out["sinogram"][0] - clean["sinogram"][0]
    assert (difference[through] > 0).float().mean() > 0.95
    assert difference[~through].abs().max() < 1e-5


def test_the_mask_of_metal_is_one_a_slice(head):
    settings = {"scanner": make_scanner(**IDEAL), "implants": RandImplants([450.0], ["iron"])}
    out = of_scan(head, task=Metal(mu_water=MU_WATER_70KEV), **settings)
    assert out["ray_mask"].shape == out["sinogram"].shape[1:]
    assert out["ray_mask"].dtype == torch.bool
    through = make_projector(Grid((40, 40), (6.0, 6.0)), SCAN)(out["metal"][0][:, None])[:, 0]
    assert not out["ray_mask"][through > 6.0].any()  # a whole pixel of metal
    assert out["ray_mask"].float().mean() > 0.6


def test_the_reference_has_neither_noise_nor_scatter(head):
    noisy = of_scan(head, task=TRUNCATION, scanner=make_scanner(i0_photons=1e4, scatter_to_primary=0.1))
    clean = of_scan(head, task=TRUNCATION, scanner=make_scanner(**IDEAL))
    assert torch.equal(noisy["reference"], clean["reference"])
    assert (noisy["sinogram"] - clean["sinogram"]).std() > 0.005


def test_scans_are_the_same_again_and_for_every_task(head):
    settings = {"scanner": make_scanner(), "implants": RandImplants()}
    first = of_scan(head, task=Metal(mu_water=MU_WATER_70KEV), **settings)
    torch.manual_seed(1)
    again = of_scan(head, task=TRUNCATION, **settings)
    assert torch.equal(first["sinogram"], again["sinogram"])
    assert torch.equal(first["metal"], again["metal"])
    for change in ({"seed": 1}, {"sha256": "abd"}):
        other = of_scan(head, task=TRUNCATION, **settings, **change)
        assert not torch.equal(first["metal"], other["metal"])
        assert not torch.equal(first["sinogram"], other["sinogram"])


def test_noise_differs_from_slice_to_slice(head):
    y = of_scan(head, task=TRUNCATION, scanner=make_scanner(i0_photons=1e4))["sinogram"][0]
    assert not torch.allclose(y[0], y[1], atol=1e-3)


def test_without_a_hash_the_file_name_decides(head, make_volume):
    simulate = SimulateScand("image", SCAN, TRUNCATION, MU_WATER_70KEV, make_scanner())
    elsewhere = make_volume(head.array[0], (5.0, 6.0, 6.0), filename_or_obj="/other/place/head.nii.gz")
    renamed = make_volume(head.array[0], (5.0, 6.0, 6.0), filename_or_obj="folder/neck.nii.gz")
    here, there, other = (simulate({"image": volume})["sinogram"] for volume in (head, elsewhere, renamed))
    assert torch.equal(here, there)
    assert not torch.equal(here, other)


def test_implants_without_scanner_are_refused():
    with pytest.raises(InputError, match="implants need a scanner"):
        SimulateScand("image", SCAN, TRUNCATION, MU_WATER_70KEV, implants=RandImplants())
