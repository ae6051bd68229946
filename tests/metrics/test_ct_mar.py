"""The eight scores: each answers to what it is named after and leaves the others alone."""

import math

import pytest
import torch

from latentct.metrics import CT_MAR_SCORES, CtMarCase, CtMarProtocol, ct_mar_scores
from latentct.metrics.gaussian import blur

METAL_HU = 8000.0


@pytest.fixture(scope="module")
def case() -> CtMarCase:
    """A head of soft tissue with texture, a bone ring and a metal pin; the uncorrected image has streaks and noise."""
    generator = torch.Generator().manual_seed(0)
    row, column = torch.meshgrid(torch.arange(64.0) - 31.5, torch.arange(64.0) - 31.5, indexing="ij")
    radius = torch.hypot(row, column)[None, None]
    body, metal = radius < 28, (torch.hypot(row + 6, column - 4) < 3)[None, None]
    x_hu = torch.where(body, 40.0, -1000.0)
    x_hu[(radius > 22) & (radius < 25)] = 900.0
    x_hu += 5 * torch.randn(x_hu.shape, generator=generator)
    uncorrected_hu = x_hu + 120 * torch.cos(column / 2) + 60 * torch.randn(x_hu.shape, generator=generator)
    return CtMarCase(x_hu, torch.where(metal, METAL_HU, uncorrected_hu), body, metal, spacing_mm=(4.0, 4.0))


@pytest.fixture(scope="module")
def perfect_hu(case: CtMarCase) -> torch.Tensor:
    return torch.where(case.metal, METAL_HU, case.x_hu)


def scores(x_hat_hu: torch.Tensor, case: CtMarCase) -> dict[str, float]:
    return {name: value.item() for name, value in ct_mar_scores(x_hat_hu, case).items()}


def test_the_reference_with_its_metal_scores_zero(case: CtMarCase, perfect_hu: torch.Tensor) -> None:
    result = scores(perfect_hu, case)
    assert list(result) == [*CT_MAR_SCORES, "total"]
    assert all(value == pytest.approx(0, abs=1e-5) for value in result.values())


def test_the_uncorrected_image_scores_four_in_what_is_relative_to_it(case: CtMarCase) -> None:
    result = scores(case.uncorrected_hu, case)
    assert [result[name] for name in ("rmse", "noise", "streaks", "ssim")] == [4.0] * 4
    worse = scores(case.uncorrected_hu + 3 * (case.uncorrected_hu - case.x_hu), case)
    assert [worse[name] for name in ("rmse", "noise", "streaks", "ssim")] == [4.0] * 4


def test_half_the_artefact_is_half_the_score(case: CtMarCase) -> None:
    result = scores((case.uncorrected_hu + case.x_hu) / 2, case)
    assert result["rmse"] == pytest.approx(2.0, rel=1e-4)
    assert result["streaks"] == pytest.approx(2.0, rel=1e-4)


def test_errors_in_and_beside_the_metal_and_outside_the_body_do_not_count(
    case: CtMarCase, perfect_hu: torch.Tensor
) -> None:
    around = torch.nn.functional.max_pool2d(case.metal.float(), 5, stride=1, padding=2) > 0
    x_hat_hu = torch.where(around & ~case.metal, perfect_hu - 300, perfect_hu)
    x_hat_hu = torch.where(case.body, x_hat_hu, -500.0)
    result = scores(x_hat_hu, case)
    assert [result[name] for name in ("rmse", "streaks", "bone", "metal", "proton_range")] == [0.0] * 5


@pytest.mark.parametrize(("sigma_px", "score"), [(0.4, 1), (0.5, 2), (0.75, 3), (1.0, 4), (2.0, 4)])
def test_a_blur_scores_as_published(case: CtMarCase, sigma_px: float, score: int) -> None:
    blurred = blur(case.x_hu, sigma_px, max(1, round(4 * sigma_px)))
    assert scores(blurred, case)["sharpness"] == pytest.approx(score, abs=1e-4)


def test_lost_bone_and_lost_metal(case: CtMarCase, perfect_hu: torch.Tensor) -> None:
    no_bone = scores(torch.where(case.metal, METAL_HU, perfect_hu.clamp(max=100)), case)
    assert (no_bone["bone"], no_bone["metal"]) == (4.0, 0.0)
    no_metal = scores(case.x_hu, case)
    assert (no_metal["bone"], no_metal["metal"]) == (0.0, 4.0)
    upper = torch.arange(64)[:, None] < 32
    half_bone = scores(torch.where(upper & ~case.metal, perfect_hu.clamp(max=100), perfect_hu), case)
    assert half_bone["bone"] == pytest.approx(4 * (1 / 2 + 1 / 3) / 2, abs=0.05)


def test_metal_is_what_exceeds_the_brightest_tissue_by_250_hu(case: CtMarCase) -> None:
    around = torch.nn.functional.max_pool2d(case.metal.float(), 5, stride=1, padding=2) > 0
    brightest_hu = case.x_hu[case.body & ~around].max()
    below, above = (torch.where(case.metal, brightest_hu + rise_hu, case.x_hu) for rise_hu in (249, 251))
    assert (scores(below, case)["metal"], scores(above, case)["metal"]) == (4.0, 0.0)


def test_proton_range_wrong_by_one_percent_scores_two(case: CtMarCase) -> None:
    soft = CtMarCase(torch.full_like(case.x_hu, -100.0), case.uncorrected_hu, case.body, case.metal, (4.0, 2.0))
    assert scores(soft.x_hu - 9.0, soft)["proton_range"] == pytest.approx(2.0, rel=1e-3)
    assert scores(soft.x_hu + 18.0, soft)["proton_range"] == pytest.approx(4.0, rel=1e-3)


def test_noise_is_excess_noise_of_a_soft_square(case: CtMarCase, perfect_hu: torch.Tensor) -> None:
    smooth = scores(torch.where(perfect_hu.abs() < 140, 40.0, perfect_hu), case)
    assert smooth["noise"] == 0.0
    noise_hu = torch.randn(perfect_hu.shape, generator=torch.Generator().manual_seed(1))
    noisy, noisier = (scores(perfect_hu + sd * noise_hu, case)["noise"] for sd in (15, 30))
    assert 0 < noisy < noisier < 4


def test_slices_are_scored_one_by_one_and_what_is_absent_is_nan(case: CtMarCase) -> None:
    boneless_hu = case.x_hu.clamp(max=100)
    both = CtMarCase(
        torch.cat([case.x_hu, boneless_hu]),
        *(torch.cat([image, image]) for image in (case.uncorrected_hu, case.body, case.metal)),
        spacing_mm=(4.0, 4.0),
    )
    result = ct_mar_scores(both.uncorrected_hu, both)
    alone = scores(case.uncorrected_hu, case)
    assert {name: values[0].item() for name, values in result.items()} == pytest.approx(alone)
    assert math.isnan(result["bone"][1].item())
    present = [result[name][1].item() for name in CT_MAR_SCORES if name != "bone"]
    assert result["total"][1].item() == pytest.approx(sum(present) / 7)


def test_the_protocol_can_be_changed(case: CtMarCase, perfect_hu: torch.Tensor) -> None:
    off_hu = torch.where(case.metal, perfect_hu, perfect_hu + 5)
    default = ct_mar_scores(off_hu, case)["proton_range"]
    stricter = ct_mar_scores(off_hu, case, CtMarProtocol(worst_range_error=0.01))["proton_range"]
    torch.testing.assert_close(stricter, 2 * default)
