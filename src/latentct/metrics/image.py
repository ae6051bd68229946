"""Image metrics in HU: absolute and squared error, PSNR and SSIM.

Every function takes one slice ``(H, W)``, a batch of slices ``(B, 1, H, W)`` or of volumes ``(B, 1, D, H, W)``, and
returns one value an item, so that the caller averages over what belongs to a patient and then over patients. The region
is a bool mask that broadcasts to the images; an empty one gives NaN.
"""

import torch

from latentct.metrics.gaussian import blur
from latentct.metrics.masked import masked_mean

_SSIM_SIGMA_PX = 1.5
_SSIM_RADIUS_PX = 5
_SSIM_K1 = 0.01
_SSIM_K2 = 0.03


def mae_hu(x_hat_hu: torch.Tensor, x_hu: torch.Tensor, region: torch.Tensor) -> torch.Tensor:
    """Return the mean absolute error inside the region, in HU.

    Args:
        x_hat_hu: estimate, ``(H, W)`` or ``(B, 1, ...)``, HU.
        x_hu: reference of the same shape, HU.
        region: bool, broadcastable to the images; True = counted.

    Returns:
        ``(B,)`` or a scalar tensor, HU; NaN where the region is empty.
    """
    return masked_mean((x_hat_hu - x_hu).abs(), region)


def rmse_hu(x_hat_hu: torch.Tensor, x_hu: torch.Tensor, region: torch.Tensor) -> torch.Tensor:
    """Return the root of the mean squared error inside the region, in HU; arguments as ``mae_hu``."""
    return masked_mean((x_hat_hu - x_hu).square(), region).sqrt()


def psnr(
    x_hat_hu: torch.Tensor, x_hu: torch.Tensor, *, hu_min: float, hu_max: float, region: torch.Tensor
) -> torch.Tensor:
    """Return the peak signal-to-noise ratio inside the region, in dB.

    Both images are clipped to the range first; ``psnr = 20 log10((hu_max - hu_min) / rmse)``.

    Args:
        x_hat_hu: estimate, ``(H, W)`` or ``(B, 1, ...)``, HU.
        x_hu: reference of the same shape, HU.
        hu_min: lower end of the range, HU.
        hu_max: upper end of the range, HU; the peak is ``hu_max - hu_min``.
        region: bool, broadcastable to the images; True = counted.

    Returns:
        ``(B,)`` or a scalar tensor, dB; infinite for equal images, NaN where the region is empty.
    """
    error_hu = rmse_hu(x_hat_hu.clamp(hu_min, hu_max), x_hu.clamp(hu_min, hu_max), region)
    return 20.0 * torch.log10((hu_max - hu_min) / error_hu)


def ssim(
    x_hat_hu: torch.Tensor, x_hu: torch.Tensor, *, hu_min: float, hu_max: float, region: torch.Tensor
) -> torch.Tensor:
    """Return the structural similarity of slices or of volumes: its map averaged inside the region.

    Gaussian window of 11 pixels along each axis (11 x 11 x 11 for volumes) and sigma 1.5 pixels, population covariance,
    K1 = 0.01, K2 = 0.03 (Wang, Bovik, Sheikh and Simoncelli 2004, doi 10.1109/TIP.2003.819861). Both images are
    clipped to the range and counted from ``hu_min``, because the luminance term needs intensities of one sign; the data
    range is ``hu_max - hu_min``. At the border the outermost pixels are repeated.

    Args:
        x_hat_hu: estimate, ``(H, W)``, ``(B, 1, H, W)`` or ``(B, 1, D, H, W)``, HU.
        x_hu: reference of the same shape, HU.
        hu_min: lower end of the range, HU.
        hu_max: upper end of the range, HU.
        region: bool, broadcastable to the images; True = counted.

    Returns:
        ``(B,)`` or a scalar tensor, at most 1; NaN where the region is empty.
    """
    a, b = ((x.clamp(hu_min, hu_max) - hu_min) / (hu_max - hu_min) for x in (x_hat_hu, x_hu))
    mean_a, mean_b = _blur(a), _blur(b)
    var_a = _blur(a * a) - mean_a * mean_a
    var_b = _blur(b * b) - mean_b * mean_b
    covariance = _blur(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + _SSIM_K1**2) / (mean_a**2 + mean_b**2 + _SSIM_K1**2)
    contrast = (2 * covariance + _SSIM_K2**2) / (var_a + var_b + _SSIM_K2**2)
    return masked_mean(luminance * contrast, region)


def _blur(x: torch.Tensor) -> torch.Tensor:
    return blur(x, _SSIM_SIGMA_PX, _SSIM_RADIUS_PX, n_axes=max(2, x.ndim - 2))
