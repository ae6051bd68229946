"""What the scores of metal artefact reduction are made of.

All take slices ``(B, 1, H, W)`` and bool masks of that shape and return one value a slice, ``(B,)``, NaN where there is
nothing to measure.
"""

from collections.abc import Callable

import torch
from torch.nn import functional

Measure = Callable[[torch.Tensor], torch.Tensor]

_WINDOW_IS_INSIDE = 0.999


def dilate(mask: torch.Tensor, pixels: int) -> torch.Tensor:
    """Grow masks by a square that reaches ``pixels`` to every side."""
    side = 2 * pixels + 1
    return functional.max_pool2d(mask.float(), side, stride=1, padding=pixels) > 0


def flattest_window(x_hu: torch.Tensor, candidates: torch.Tensor, side_px: int) -> torch.Tensor:
    """Return, as masks, the square of least standard deviation that lies within the candidates; none if none does."""
    half = side_px // 2
    side = 2 * half + 1
    values = x_hu.double()
    mean, mean_square, share = (
        functional.avg_pool2d(image, side, stride=1, padding=half)
        for image in (values, values.square(), candidates.double())
    )
    inside = share > _WINDOW_IS_INSIDE
    variance = torch.where(inside, mean_square - mean.square(), torch.inf).flatten(1)
    centre = torch.zeros_like(variance, dtype=torch.bool).scatter_(1, variance.argmin(dim=1, keepdim=True), True)
    return dilate(centre.view_as(candidates) & inside, half)


def deviation_hu(x_hu: torch.Tensor, region: torch.Tensor) -> torch.Tensor:
    """Return the standard deviation inside the region in HU."""
    return _each(x_hu, region, lambda values: values.std(correction=0))


def gradient_quantile(x_hu: torch.Tensor, region: torch.Tensor, quantile: float) -> torch.Tensor:
    """Return a quantile of the length of Sobel's gradient inside the region, in HU a pixel."""
    smooth, difference = x_hu.new_tensor([1.0, 2.0, 1.0]) / 4, x_hu.new_tensor([-1.0, 0.0, 1.0]) / 2
    kernels = torch.stack([torch.outer(smooth, difference), torch.outer(difference, smooth)])[:, None]
    gradient = functional.conv2d(functional.pad(x_hu, (1,) * 4, mode="replicate"), kernels)
    return _each(gradient.norm(dim=1, keepdim=True), region, lambda values: values.quantile(quantile))


def streak_amplitude_hu(error_hu: torch.Tensor, region: torch.Tensor, share: float) -> torch.Tensor:
    """Return the mean of the highest minus that of the lowest ``share`` of the errors inside the region, in HU."""

    def amplitude(values: torch.Tensor) -> torch.Tensor:
        n = max(1, round(share * len(values)))
        ordered = values.sort().values
        return ordered[-n:].mean() - ordered[:n].mean()

    return _each(error_hu, region, amplitude)


def integrity_loss(found: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Return how much of a structure is lost or invented, from 0 (kept) to 1 (lost).

    The mean of the relative error of its area, at most 1, and one minus the Dice coefficient.
    """
    n_found, n_truth, n_both = (mask.flatten(1).sum(dim=1).double() for mask in (found, truth, found & truth))
    area_error = ((n_found - n_truth).abs() / n_truth).clamp(max=1)
    loss = (area_error + 1 - 2 * n_both / (n_found + n_truth)) / 2
    return torch.where(n_truth > 0, loss, torch.nan)


def water_equivalent_error(
    x_hat_hu: torch.Tensor,
    x_hu: torch.Tensor,
    region: torch.Tensor,
    spacing_mm: tuple[float, float],
    dense_slope: float,
    least_mm: float,
) -> torch.Tensor:
    """Return the mean relative error of the water-equivalent thickness of the region, which is a proton's range.

    Rays run along the rows and along the columns. The stopping power relative to water is ``1 + hu / 1000`` below water
    and ``1 + dense_slope * hu`` above it, never negative.

    Args:
        x_hat_hu: estimate, (B, 1, H, W), HU.
        x_hu: reference, (B, 1, H, W), HU.
        region: what is counted, bool (B, 1, H, W).
        spacing_mm: (dy, dx) of the pixels.
        dense_slope: stopping power an HU above water.
        least_mm: rays through less water than this in the reference do not count.
    """
    power_hat, power = (
        torch.where(region, 1 + torch.where(hu < 0, hu / 1000, hu * dense_slope), 0).clamp(min=0).double()
        for hu in (x_hat_hu, x_hu)
    )
    thickness_hat, thickness = (
        torch.cat([p.sum(dim=-2) * spacing_mm[0], p.sum(dim=-1) * spacing_mm[1]], dim=-1) for p in (power_hat, power)
    )
    return _each((thickness_hat / thickness - 1).abs(), thickness > least_mm, torch.mean)


def _each(images: torch.Tensor, regions: torch.Tensor, measure: Measure) -> torch.Tensor:
    """Apply a measure to the values inside each slice's region; NaN where it is empty."""
    nothing = images.new_tensor(torch.nan)
    values = [image[region] for image, region in zip(images, regions, strict=True)]
    return torch.stack([measure(inside) if len(inside) else nothing for inside in values])
