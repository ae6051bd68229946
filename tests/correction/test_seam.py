"""The join of synthesised and measured rays: continuous, local, and exact where measured."""

import numpy as np
import pytest
import torch
from torch import Tensor

from latentct.correction.seam import smooth_seam

BIN_MM, FIT_MM, FEATHER_MM = 2.0, 8.0, 40.0  # 4 bins are fitted, 20 are feathered
VIEWS, BINS = 5, 120


def mask(*measured: tuple[int, int]) -> Tensor:
    """Measured from each first bin to before each last one, in every view."""
    m = torch.zeros(VIEWS, BINS, dtype=torch.bool)
    for first, last in measured:
        m[:, first:last] = True
    return m


def join(y: Tensor, y_hat: Tensor, ray_mask: Tensor) -> Tensor:
    return smooth_seam(y, y_hat, ray_mask, BIN_MM, FIT_MM, FEATHER_MM)


@pytest.fixture
def truth() -> Tensor:
    """Smooth projections (2, 1, A, U), different in every view."""
    u = torch.linspace(-1, 1, BINS, dtype=torch.float64)
    offsets = torch.linspace(-0.2, 0.2, 2 * VIEWS, dtype=torch.float64).reshape(2, 1, VIEWS, 1)
    return 5 * (1 - (u - offsets) ** 2).clamp_min(0.0)


BIN = torch.arange(BINS, dtype=torch.float64)
WRONGS = {
    "level": lambda: 0.7 + 0 * BIN,
    "line": lambda: 0.3 - 0.02 * BIN,
    "curve": lambda: 0.4 + 0.1 * torch.cos(BIN / 25),
}
MASKS = {
    "field": mask((40, 80)),
    "one side": mask((0, 70)),
    "metal": mask((0, 50), (60, BINS)),
    "several gaps": mask((10, 30), (34, 50), (75, 76), (90, 118)),
}
wrong = pytest.mark.parametrize("error", WRONGS.values(), ids=WRONGS)
masked = pytest.mark.parametrize("ray_mask", MASKS.values(), ids=MASKS)


@masked
@wrong
def test_measured_rays_stay_bit_for_bit(truth, error, ray_mask):
    y = torch.where(ray_mask, truth, torch.nan).float()
    out = join(y, (truth + error()).float(), ray_mask)
    assert torch.equal(out[..., ray_mask], y[..., ray_mask])
    assert bool(out.isfinite().all())


@masked
def test_right_synthesis_is_not_touched(truth, ray_mask):
    assert torch.allclose(join(truth, truth, ray_mask), truth, atol=1e-12)


@pytest.mark.parametrize("side", ["left", "right"])
def test_synthesis_off_by_a_line_is_continuous_in_level_and_slope(truth, side):
    ray_mask = mask((0, 60)) if side == "left" else mask((60, BINS))
    y_hat = truth + 0.5 - 0.03 * (BIN - 60)
    out = join(truth, y_hat, ray_mask)
    edge, step = (59, 1) if side == "left" else (60, -1)
    remaining = (out - truth)[..., edge + step]  # the jump
    assert remaining.abs().max() < 0.03 * 0.5
    # a jump would make a curvature of 0.5 at the edge, a kink one of 0.03
    curvature = (out - truth).diff(n=2).abs()[..., edge - 4 : edge + 4].amax(dim=-1)
    assert curvature.max() < 0.015


def test_slope_is_matched_as_well(truth):
    """A pure kink: right at the edge, wrong in slope; shifting the level alone would leave it."""
    ray_mask = mask((0, 60))
    y_hat = truth + 0.05 * (BIN - 59)
    out = join(truth, y_hat, ray_mask)
    assert ((out - truth)[..., 60].abs() < 0.5 * 0.05).all()
    assert ((out - truth)[..., 60:64].diff()[..., 0].abs() < 0.05).all()


@wrong
def test_nothing_changes_beyond_the_feather(truth, error):
    ray_mask, y_hat = mask((40, 80)), truth + error()
    out = join(truth, y_hat, ray_mask)
    changed = ((out - y_hat).abs() > 1e-9).any(dim=(0, 1, 2)).nonzero().flatten()
    reach = int(FEATHER_MM / BIN_MM)
    assert changed.min() > 40 - 1 - reach
    assert changed.max() < 79 + 1 + reach
    assert changed.min() < 40 - reach / 2
    assert changed.max() > 79 + reach / 2


def test_shift_fades_without_a_bump(truth):
    ray_mask = mask((0, 60))
    shift = truth + 0.7 - join(truth, truth + 0.7, ray_mask)
    beyond = shift[..., 60:80]
    assert bool((beyond.diff() < 0).all())
    assert beyond[..., 9].numpy() == pytest.approx(0.35, abs=0.01)  # half way it is a half


def test_a_gap_with_two_edges_is_joined_at_both(truth):
    ray_mask = mask((0, 50), (60, BINS))
    error = torch.where(BIN < 55, 0.4, -0.2)
    out = join(truth, truth + error, ray_mask) - truth
    assert out[..., 50].abs().max() < 0.02
    assert out[..., 59].abs().max() < 0.02
    assert out.diff().abs()[..., 54].max() > 0.3  # the synthesis itself is kept inside the gap


@pytest.mark.parametrize("width", [1, 2, 5, 30])
def test_a_wrong_level_fades_from_both_edges(truth, width):
    ray_mask = mask((0, 50), (50 + width, BINS))
    out = join(truth, truth + 0.5, ray_mask) - truth
    middle = out[..., 50 : 50 + width]
    assert middle.abs().max() <= 0.5 + 1e-9  # both shifts never add up to more than is wrong
    if width <= 20:  # two half cosines that cross a narrow gap make one whole
        assert middle.abs().max() < 1e-9


def test_isolated_measured_bins_give_their_level(truth):
    ray_mask = mask((60, 61))
    error = 0.6
    out = join(truth, truth + error, ray_mask)
    shift = truth + error - out
    assert shift[..., [59, 61]].numpy() == pytest.approx(0.6, abs=0.01)
    assert shift[..., 60].numpy() == pytest.approx(0.6)
    assert shift[..., [35, 85]].abs().max() < 1e-9


def test_noise_of_an_isolated_pair_makes_no_wild_slope(truth):
    noisy = truth + 0.05 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for ray_mask in (mask((60, 62)), mask((58, 59), (61, 62))):
        assert (join(noisy, truth, ray_mask) - truth).abs().max() < 1.0


def test_views_without_a_measured_ray_are_the_synthesis(truth):
    ray_mask = mask((40, 80))
    ray_mask[1] = ray_mask[3] = False
    y_hat = truth + 0.5
    out = join(truth, y_hat, ray_mask)
    assert torch.equal(out[:, :, [1, 3]], y_hat[:, :, [1, 3]])
    assert not torch.equal(out[:, :, 2], y_hat[:, :, 2])


def test_nothing_measured_and_everything_measured(truth):
    y_hat = truth + 0.5
    assert torch.equal(join(truth, y_hat, mask()), y_hat)
    assert torch.equal(join(truth, y_hat, mask((0, BINS))), truth)


def test_mirrored_rays_are_joined_alike(truth):
    ray_mask, y_hat = mask((30, 80)), truth + WRONGS["curve"]()
    out = join(truth, y_hat, ray_mask)
    mirrored = join(truth.flip(-1), y_hat.flip(-1), ray_mask.flip(-1))
    assert torch.allclose(mirrored.flip(-1), out, atol=1e-12)


def test_each_view_and_slice_is_its_own(truth):
    ray_mask, y_hat = mask((30, 80)), truth + WRONGS["line"]()
    ray_mask[2] = mask((50, 60))[0]
    out = join(truth, y_hat, ray_mask)
    for view in range(VIEWS):
        alone = join(truth[1:, :, view : view + 1], y_hat[1:, :, view : view + 1], ray_mask[view : view + 1])
        assert np.allclose(alone[0, 0, 0], out[1, 0, view], atol=1e-12)


def test_widths_are_in_mm(truth):
    fine, coarse = (
        smooth_seam(truth, truth + 0.5, mask((40, 80)), bin_mm, FIT_MM, FEATHER_MM) - truth - 0.5
        for bin_mm in (1.0, 4.0)
    )
    assert [int((s.abs() > 1e-9)[0, 0, 0, 80:].sum()) for s in (fine, coarse)] == [39, 9]


def test_each_slice_may_have_its_own_mask(truth):
    ray_mask = torch.stack([mask((0, 50), (60, BINS)), mask((30, 80))])[:, None]
    y, y_hat = torch.where(ray_mask, truth, torch.nan), truth + WRONGS["curve"]()
    out = join(y, y_hat, ray_mask)
    for i in range(2):
        alone = join(y[i : i + 1], y_hat[i : i + 1], ray_mask[i, 0])
        assert torch.allclose(out[i : i + 1], alone, atol=1e-12)
