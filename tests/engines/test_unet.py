"""The inputs that the U-Net of a task is trained on."""

import doctest
import math

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.data import MetaTensor

import latentct.engines.unet
from latentct.engines import FirstReconstructionError, FirstReconstructions, SameDraws, ScannedPrepareBatch
from latentct.errors import InputError
from latentct.geometry import Grid, ParallelBeam
from latentct.projectors import make_projector
from latentct.recon import fbp
from latentct.simulate import make_scanner
from latentct.tasks import Truncation, first_reconstruction
from latentct.transforms.implants import SliceMetal
from latentct.units import MU_WATER_70KEV

GRID = Grid((64, 64), (8.0, 8.0))
IDEAL = {"kvp": None, "i0_photons": None, "electronic_photons": 0.0, "scatter_to_primary": 0.0, "water_degree": None}


def disk(radius_mm: float) -> torch.Tensor:
    """A water cylinder in the network range, smooth at its edge: (1, 1, H, W)."""
    y, x = (torch.from_numpy(GRID.coordinates_mm(a)).float() for a in (0, 1))
    return 0.25 * torch.sigmoid((radius_mm - torch.hypot(y[:, None], x[None, :])) / 3)[None, None]


def scans(**settings: object) -> FirstReconstructions:
    return FirstReconstructions(GRID, -1000.0, 3000.0, n_views=(60, 60), **settings)


def test_a_scan_without_a_task_and_the_complete_one_show_the_slice():
    x = torch.cat([disk(180), disk(90)])
    for out in scans(bin_mm=4.0)(x):
        assert out.shape == x.shape
        assert (out - x).abs().mean() < 0.003
        assert out[x > 0.24].mean() == pytest.approx(0.25, abs=0.002)  # 8 HU


def test_the_target_is_the_complete_scan_of_the_beam_without_noise_and_metal():
    x = disk(150)
    scanner = make_scanner(**IDEAL | {"kvp": 120.0, "i0_photons": 1e3, "scatter_to_primary": 0.3})
    settings = {"scanner": scanner, "task": Truncation(150.0), "complete_views": 90, "arc_rad": (2.0, 2.0)}
    scan = ParallelBeam.equally_spaced(90, math.pi, 364, 2.0)
    y = scanner.noiseless().scan(4 * MU_WATER_70KEV * x, make_projector(GRID, scan))
    expected = fbp(y, GRID, scan) / MU_WATER_70KEV / 4
    assert torch.allclose(scans(**settings)(x)[1], expected, atol=1e-5)
    assert (scans(complete_views=90)(x)[1] - expected)[x > 0.24].abs().max() > 0.005  # of another beam
    implants = Implants()
    assert torch.allclose(scans(**settings, implants=implants)(x)[1], expected, atol=1e-5)
    assert implants.cases


def test_a_task_leaves_rays_out_and_the_rest_is_first_reconstructed():
    task, x = Truncation(150.0), disk(180)
    scan = ParallelBeam.equally_spaced(60, math.pi, 364, 2.0)
    projector = make_projector(GRID, scan)
    y = projector(4 * MU_WATER_70KEV * x)
    expected = first_reconstruction(y, task.ray_mask(y, projector), GRID, scan) / MU_WATER_70KEV / 4
    out, complete = scans(task=task)(x)
    assert torch.allclose(out, expected, atol=1e-5)
    assert (out - x)[x > 0.1].abs().mean() > 0.005  # 20 HU
    assert (complete - x)[x > 0.1].abs().mean() < 0.003


def test_views_and_arcs_are_drawn_from_their_ranges():
    torch.manual_seed(0)
    draws = FirstReconstructions(GRID, -1000.0, 3000.0, n_views=(24, 72), arc_rad=(math.pi / 2, math.pi))
    drawn = [draws._draw_scan() for _ in range(200)]
    arcs = [scan.angles_rad[1] * scan.n_views for scan in drawn]
    assert all(scan.angles_rad[0] == 0 and scan.n_bins == 364 and scan.bin_mm == 2.0 for scan in drawn)
    assert math.pi / 2 <= min(arcs) < 0.55 * math.pi
    assert 0.95 * math.pi < max(arcs) <= math.pi + 1e-9
    per_half_turn = [math.pi / scan.angles_rad[1] for scan in drawn]
    assert 23 <= min(per_half_turn) < 30
    assert 66 < max(per_half_turn) <= 73


def test_scanner_measures():
    x = disk(150)
    torch.manual_seed(0)
    plain, ideal, noisy, other = (
        scans(scanner=scanner)(x)[0]
        for scanner in (None, make_scanner(**IDEAL), *[make_scanner(**IDEAL | {"i0_photons": 1e4})] * 2)
    )
    assert torch.allclose(ideal, plain, atol=1e-5)
    assert (noisy - plain)[x > 0.2].std() > 0.001
    assert not torch.allclose(noisy, other, atol=1e-3)


class Recorder:
    """A scanner that keeps what it is asked for and measures air."""

    def __init__(self) -> None:
        self.asked: list[tuple[torch.Tensor, dict[str, torch.Tensor]]] = []

    def scan(self, x_mu, projector, metal=None, generator=None):
        self.asked.append((x_mu, metal))
        return len(self.asked) * torch.ones(len(x_mu), 1, *projector.scan.sinogram_shape)


class Implants:
    """Gold in the first slice, iron in the second and last, nothing in the third, which has no room."""

    def __init__(self) -> None:
        self.cases = []

    def __call__(self, x_hu, body, grid, case):
        self.cases.append(case)
        assert x_hu.shape == body.shape == grid.shape
        assert np.array_equal(body, x_hu > -500)
        n = len(self.cases)
        if n == 3:
            raise InputError("no room")
        return SliceMetal(torch.full(grid.shape, n / 10), "gold" if n == 1 else "iron", 1, "plate")


def test_every_slice_is_scanned_with_its_own_metal():
    recorder, implants = Recorder(), Implants()
    x = torch.cat([disk(r) for r in (180, 150, 120, 90)])
    slices = scans(scanner=recorder, implants=implants)
    y = slices._measured(4 * MU_WATER_70KEV * x, make_projector(GRID, slices._draw_scan()))
    found = {next(iter(metal), ""): (x_mu, metal) for x_mu, metal in recorder.asked}
    assert set(found) == {"gold", "iron", ""}
    for material, which, fractions in (("gold", [0], [0.1]), ("iron", [1, 3], [0.2, 0.4])):
        x_mu, metal = found[material]
        assert torch.allclose(x_mu, 4 * MU_WATER_70KEV * x[which])
        assert metal[material].shape == x_mu.shape
        assert metal[material][:, 0, 0, 0].tolist() == pytest.approx(fractions)
    assert found[""][1] == {}
    assert torch.allclose(found[""][0], 4 * MU_WATER_70KEV * x[2:3])
    scanned = [next(iter(metal), "") for _, metal in recorder.asked]
    assert [float(part.mean()) for part in y] == [1 + scanned.index(m) for m in ("gold", "iron", "", "iron")]
    assert len({case.seed for case in implants.cases}) == 4


def test_range_gradient_and_kind_of_tensor():
    x = MetaTensor(10 * torch.rand(1, 1, 64, 64)).requires_grad_()
    for out in scans(task=Truncation(60.0))(x):
        assert type(out) is torch.Tensor
        assert not out.requires_grad
    first, complete = scans(task=Truncation(60.0))(x)
    assert (first.min(), first.max()) == (-0.25, 1.25)
    assert complete.max() > 2


def test_batch_is_first_and_complete():
    inputs, target = ScannedPrepareBatch(lambda x: (x + 1, x + 2), key="slice")(
        {"slice": torch.zeros(2, 1, 4, 4)}, "cpu", dtype=torch.float64
    )
    assert (inputs.dtype, target.dtype) == (torch.float64, torch.float64)
    assert (inputs.unique().item(), target.unique().item()) == (1, 2)


def test_error_of_the_input_by_hand():
    image = torch.tensor([[[[0.0, 0.25], [0.5, 0.25]]]])
    off = torch.tensor([[[[1.0, 0.01], [-0.02, 0.0]]]])
    output = {"label": image, "image": image + off, "pred": image + 1}
    assert FirstReconstructionError(-1000.0, 3000.0)(output) == pytest.approx(40.0, rel=1e-4)


def test_every_validation_draws_the_same_and_training_goes_on():
    drawn: list[float] = []
    evaluator = Engine(lambda *_: drawn.append(float(torch.rand(()))))
    SameDraws(7).attach(evaluator)
    torch.manual_seed(1)
    expected = [float(torch.rand(())) for _ in range(3)]
    torch.manual_seed(1)
    found = []
    for _ in range(3):
        found.append(float(torch.rand(())))
        evaluator.run(range(2))
    assert found == expected
    assert drawn[:2] == drawn[2:4] == drawn[4:]
    assert drawn[0] != drawn[1]


def test_doctest():
    assert doctest.testmod(latentct.engines.unet) == (0, 3)
