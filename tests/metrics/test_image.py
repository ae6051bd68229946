"""Image metrics: values that can be worked out by hand, and scikit-image as a second opinion."""

import math

import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from latentct.metrics import mae_hu, masked_mean, psnr, rmse_hu, ssim

HU_MIN, HU_MAX = -1000.0, 1000.0


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    smooth = torch.linspace(-1200, 1300, 48).view(1, 1, 1, 48).expand(3, 1, 40, 48)
    x_hu = smooth + 200 * torch.randn(3, 1, 40, 48, generator=generator)
    return x_hu + 80 * torch.randn(3, 1, 40, 48, generator=generator), x_hu


def test_mae_and_rmse_count_the_region_only() -> None:
    x_hu = torch.zeros(4, 4)
    x_hat_hu = torch.tensor([30.0, -10.0, 500.0, 500.0]).expand(4, 4)
    region = torch.tensor([True, True, False, False]).expand(4, 4)
    assert mae_hu(x_hat_hu, x_hu, region).item() == pytest.approx(20.0)
    assert rmse_hu(x_hat_hu, x_hu, region).item() == pytest.approx(math.sqrt(500.0))


def test_values_outside_the_region_may_be_nan() -> None:
    x_hat_hu = torch.tensor([[1.0, float("nan")]])
    assert mae_hu(x_hat_hu, torch.zeros(1, 2), torch.tensor([[True, False]])).item() == 1.0


@pytest.mark.parametrize("metric", ["mae", "rmse", "psnr", "ssim"])
def test_batch_equals_one_by_one(metric: str, pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    def evaluate(a: torch.Tensor, b: torch.Tensor, region: torch.Tensor) -> torch.Tensor:
        if metric in ("mae", "rmse"):
            return {"mae": mae_hu, "rmse": rmse_hu}[metric](a, b, region)
        return {"psnr": psnr, "ssim": ssim}[metric](a, b, hu_min=HU_MIN, hu_max=HU_MAX, region=region)

    a, b = pair
    region = torch.rand(3, 1, 40, 48, generator=torch.Generator().manual_seed(1)) > 0.5
    batch = evaluate(a, b, region)
    assert batch.shape == (3,)
    singles = torch.stack([evaluate(a[i, 0], b[i, 0], region[i, 0]) for i in range(3)])
    torch.testing.assert_close(batch, singles, rtol=1e-5, atol=0)
    shared = evaluate(a, b, region[0, 0])
    torch.testing.assert_close(shared[0], batch[0], rtol=1e-5, atol=0)


def test_empty_region_gives_nan_for_that_item_only(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    a, b = pair
    region = torch.ones(3, 1, 40, 48, dtype=torch.bool)
    region[1] = False
    for values in (mae_hu(a, b, region), psnr(a, b, hu_min=HU_MIN, hu_max=HU_MAX, region=region)):
        assert torch.isnan(values).tolist() == [False, True, False]


def test_masked_mean_of_a_volume() -> None:
    values = torch.arange(16.0).view(2, 1, 2, 2, 2)
    assert masked_mean(values, torch.ones(2, 2, 2, dtype=torch.bool)).tolist() == [3.5, 11.5]


def test_psnr_agrees_with_scikit_image(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    a, b = pair
    region = torch.ones(40, 48, dtype=torch.bool)
    values = psnr(a, b, hu_min=HU_MIN, hu_max=HU_MAX, region=region)
    for value, a_hu, b_hu in zip(values, a.clamp(HU_MIN, HU_MAX), b.clamp(HU_MIN, HU_MAX), strict=True):
        expected = peak_signal_noise_ratio(b_hu[0].numpy(), a_hu[0].numpy(), data_range=HU_MAX - HU_MIN)
        assert value.item() == pytest.approx(expected, abs=1e-3)


def test_ssim_agrees_with_scikit_image(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    a, b = (x.double() for x in pair)
    interior = torch.zeros(40, 48, dtype=torch.bool)
    interior[5:-5, 5:-5] = True
    values = ssim(a, b, hu_min=HU_MIN, hu_max=HU_MAX, region=interior)
    for value, a_hu, b_hu in zip(values, a.clamp(HU_MIN, HU_MAX), b.clamp(HU_MIN, HU_MAX), strict=True):
        expected = structural_similarity(
            b_hu[0].numpy() - HU_MIN,
            a_hu[0].numpy() - HU_MIN,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=HU_MAX - HU_MIN,
        )
        assert value.item() == pytest.approx(expected, abs=1e-9)


def test_ssim_of_volumes_agrees_with_scikit_image() -> None:
    generator = torch.Generator().manual_seed(0)
    b = torch.linspace(-1200, 1300, 20).expand(2, 1, 16, 18, 20) + 200 * torch.randn(
        2, 1, 16, 18, 20, generator=generator
    )
    a = b + 80 * torch.randn(2, 1, 16, 18, 20, generator=generator)
    interior = torch.zeros(16, 18, 20, dtype=torch.bool)
    interior[5:-5, 5:-5, 5:-5] = True
    values = ssim(a.double(), b.double(), hu_min=HU_MIN, hu_max=HU_MAX, region=interior)
    for value, a_hu, b_hu in zip(values, a.clamp(HU_MIN, HU_MAX), b.clamp(HU_MIN, HU_MAX), strict=True):
        expected = structural_similarity(
            b_hu[0].double().numpy() - HU_MIN,
            a_hu[0].double().numpy() - HU_MIN,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=HU_MAX - HU_MIN,
        )
        assert value.item() == pytest.approx(expected, abs=1e-9)


def test_ssim_in_float32_is_close_to_float64(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    a, b = pair
    region = torch.ones(40, 48, dtype=torch.bool)
    single = ssim(a, b, hu_min=HU_MIN, hu_max=HU_MAX, region=region)
    double = ssim(a.double(), b.double(), hu_min=HU_MIN, hu_max=HU_MAX, region=region)
    torch.testing.assert_close(single.double(), double, rtol=0, atol=1e-4)
    assert ssim(b, b, hu_min=HU_MIN, hu_max=HU_MAX, region=region).tolist() == pytest.approx([1.0] * 3, abs=1e-5)


def test_values_beyond_the_range_are_clipped() -> None:
    x_hu = torch.full((16, 16), 1000.0)
    region = torch.ones(16, 16, dtype=torch.bool)
    assert psnr(x_hu + 500, x_hu, hu_min=HU_MIN, hu_max=HU_MAX, region=region).item() == math.inf
    assert ssim(x_hu + 500, x_hu, hu_min=HU_MIN, hu_max=HU_MAX, region=region).item() == pytest.approx(1.0)
