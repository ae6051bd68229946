"""Figures as older papers define them, only to be read beside the honest ones."""

import math

import torch

from latentct.metrics.image import psnr

X2CT_HU_MIN = -1000.0
X2CT_HU_MAX = 1500.0
"""Range of the images of the X2CT family: stored values 0 to 2500 are -1000 to 1500 HU."""
X2CT_PEAK = 4095.0
"""Peak that its PSNR divides by, although no value exceeds 2500."""


def legacy_x2ct(x_hat_hu: torch.Tensor, x_hu: torch.Tensor, region: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the PSNR of the X2CT family and the honest one of the same images and range, in dB.

    Both images are clipped to [-1000, 1500] HU. The legacy figure takes 4095 as the peak of images whose range is 2500,
    which adds 20 log10(4095 / 2500) = 4.29 dB whatever the images; old tables can be compared with it and with
    nothing else. Protocol: Ying et al. 2019 (X2CT-GAN), doi 10.1109/CVPR.2019.01087.

    Args:
        x_hat_hu: estimate, ``(H, W)`` or ``(B, 1, ...)``, HU.
        x_hu: reference of the same shape, HU.
        region: bool, broadcastable to the images; True = counted. The family's tables count the whole volume.

    Returns:
        ``legacy_x2ct_psnr`` (peak 4095) and ``psnr`` (peak 2500), each ``(B,)`` or a scalar tensor.
    """
    honest = psnr(x_hat_hu, x_hu, hu_min=X2CT_HU_MIN, hu_max=X2CT_HU_MAX, region=region)
    gain_db = 20.0 * math.log10(X2CT_PEAK / (X2CT_HU_MAX - X2CT_HU_MIN))
    return {"legacy_x2ct_psnr": honest + gain_db, "psnr": honest}
