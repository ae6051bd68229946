"""The corrupted reconstructions that the encoder is trained on."""

import doctest
import math

import pytest
import torch

import latentct.engines.corruption
from latentct.engines import IncompleteReconstruction
from latentct.geometry import Grid, field_of_measurement_mask

GRID = Grid((64, 64), (8.0, 8.0))


def disk(radius_mm: float, x_mm: float = 0.0) -> torch.Tensor:
    """A water cylinder in the network range, smooth at its edge: (1, 1, H, W)."""
    y, x = (torch.from_numpy(GRID.coordinates_mm(a)).float() for a in (0, 1))
    return 0.25 * torch.sigmoid((radius_mm - torch.hypot(y[:, None], x[None, :] - x_mm)) / 3)[None, None]


@pytest.fixture
def corrupt() -> IncompleteReconstruction:
    torch.manual_seed(0)
    return IncompleteReconstruction(GRID, -1000.0, 3000.0, diameter_mm=(200.0, 200.0), n_views=90)


def truncated(corrupt: IncompleteReconstruction, x: torch.Tensor) -> torch.Tensor:
    return corrupt._truncated(x * corrupt.mu_per_x) / corrupt.mu_per_x


def scanned(corrupt: IncompleteReconstruction, x: torch.Tensor, n_views: int, arc_rad: float) -> torch.Tensor:
    return corrupt._scanned(x * corrupt.mu_per_x, n_views, arc_rad) / corrupt.mu_per_x


def test_a_body_within_the_field_stays_as_it_is(corrupt):
    x = disk(70)
    for _ in range(6):  # both extrapolations come up
        out = truncated(corrupt, x)
        inner = torch.from_numpy(field_of_measurement_mask(GRID, 110.0))
        assert (out - x)[..., inner].abs().max() < 0.01  # 40 HU
        assert (out - x).abs().mean() < 0.003


def test_a_wider_body_is_corrupted_outside(corrupt):
    arm = disk(35, x_mm=205)
    x = disk(150) + arm
    inside = torch.from_numpy(field_of_measurement_mask(GRID, 190.0))
    for _ in range(6):
        error = (truncated(corrupt, x) - x).abs()[0, 0]
        assert error[arm[0, 0] > 0.2].mean() > 0.05  # 200 HU
        assert error[inside].mean() < 0.02


@pytest.mark.parametrize(("name", "share"), [("adaptive_detruncation", 0.75), ("water_cylinder_extrapolation", 0.25)])
def test_both_extrapolations_and_all_diameters_are_drawn(monkeypatch, name, share):
    seen = []
    monkeypatch.setattr(
        latentct.engines.corruption,
        name,
        lambda y, mask, *_: (seen.append(int(mask[0].sum()) * 8.0), y)[1],  # width of the field, bins of 8 mm
    )
    torch.manual_seed(0)
    corrupt = IncompleteReconstruction(GRID, -1000.0, 3000.0, diameter_mm=(100.0, 300.0), n_views=4)
    for _ in range(200):
        corrupt._truncated(disk(180))
    assert len(seen) / 200 == pytest.approx(share, abs=0.1)
    assert min(seen) < 130
    assert max(seen) > 270
    assert sorted(seen)[len(seen) // 2] < 200  # small fields more often


def test_all_kinds_of_scans_are_drawn(corrupt, monkeypatch):
    drawn = []
    monkeypatch.setattr(corrupt, "_truncated", lambda x: (drawn.append("truncated"), x)[1])
    monkeypatch.setattr(corrupt, "_scanned", lambda x, n_views, arc_rad: (drawn.append((n_views, arc_rad)), x)[1])
    for _ in range(400):
        corrupt(disk(100))
    arcs = [case for case in drawn if case != "truncated" and case[1] < math.pi]
    sparse = [case for case in drawn if case != "truncated" and case[1] == math.pi]
    assert [len(kind) / 400 for kind in (arcs, sparse)] == pytest.approx([0.25, 0.25], abs=0.07)
    assert all(n_views == round(90 * arc_rad / math.pi) for n_views, arc_rad in arcs)
    low, high = min(arc for _, arc in arcs), max(arc for _, arc in arcs)
    assert math.pi / 3 <= low < 0.4 * math.pi
    assert 0.84 * math.pi < high <= 0.9 * math.pi
    assert 16 <= min(n for n, _ in sparse) < 25 < 85 < max(n for n, _ in sparse) <= 96


def test_a_shorter_arc_corrupts_more(corrupt):
    x = disk(150)
    errors = [(scanned(corrupt, x, 90, math.radians(arc)) - x).abs().mean() for arc in (180, 150, 110, 70)]
    assert errors == sorted(errors)
    assert errors[0] < 0.003 < 0.02 < errors[-1]


def test_arcs_begin_anywhere(corrupt):
    x = disk(150)
    outs = [scanned(corrupt, x, 45, math.pi / 2) for _ in range(3)]
    assert not any(torch.allclose(out, outs[0], atol=0.02) for out in outs[1:])


def test_fewer_views_corrupt_more_but_keep_the_level(corrupt):
    x = disk(150)
    body = x > 0.2
    outs = [scanned(corrupt, x, n_views, math.pi) for n_views in (90, 45, 16)]
    errors = [(out - x).abs().mean() for out in outs]
    assert errors == sorted(errors)
    assert errors[-1] > 3 * errors[0]
    for out in outs:
        assert out[body].mean() == pytest.approx(0.25, abs=0.005)  # 20 HU


def test_seed_decides(corrupt):
    outs = []
    for _ in range(2):
        torch.manual_seed(5)
        outs.append(corrupt(disk(180)))
    assert torch.equal(*outs)


@pytest.mark.parametrize("seed", [0, 1, 2])  # truncated, few views, a limited arc
def test_slices_are_each_their_own(corrupt, seed):
    torch.manual_seed(seed)
    both = corrupt(torch.cat([disk(180), disk(60)]))
    torch.manual_seed(seed)
    alone = corrupt(disk(60))
    assert both.shape == (2, 1, 64, 64)
    assert torch.allclose(both[1:], alone, atol=1e-5)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_range_and_gradient(corrupt, seed):
    torch.manual_seed(seed)
    out = corrupt((10 * torch.rand(1, 1, 64, 64)).requires_grad_())
    assert out.min() >= -0.25
    assert out.max() <= 1.25
    assert not out.requires_grad


def test_air_must_be_zero():
    with pytest.raises(ValueError, match="hu_min is -1024"):
        IncompleteReconstruction(GRID, -1024.0, 3000.0)


def test_doctest():
    assert doctest.testmod(latentct.engines.corruption) == (0, 3)
