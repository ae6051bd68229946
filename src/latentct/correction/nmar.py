"""Normalised metal artefact reduction: interpolation of projections that a prior image has made flat."""

from __future__ import annotations

from collections.abc import Callable

import torch

from latentct.correction.interpolation import linear_interpolation
from latentct.correction.tissue import smooth, tissue_thresholds_hu
from latentct.projectors import Projector
from latentct.units import MU_WATER_70KEV, hu_to_mu, mu_to_hu

Reconstruct = Callable[[torch.Tensor], torch.Tensor]
"""From complete line integrals (B, 1, A, U) to slices (B, 1, H, W) in 1/mm."""


def nmar(
    y: torch.Tensor,
    ray_mask: torch.Tensor,
    projector: Projector,
    reconstruct: Reconstruct,
    mu_water: float = MU_WATER_70KEV,
    *,
    smoothing_mm: float = 1.0,
    floor: float = 0.5,
) -> torch.Tensor:
    """Fill the metal trace as NMAR does.

    The image of the linearly interpolated data, in which metal is gone, is segmented into air, soft tissue and bone
    (`tissue_prior`); its projections ``p`` divide the measured ones, the quotient is interpolated linearly and
    multiplied again: Meyer, Raupach, Lell, Schmidt and Kachelriess 2010, doi 10.1118/1.3484090. Where the prior has
    little or nothing a quotient is noise, so that ``(y + floor) / (p + floor)`` is interpolated instead: the same for
    rays through the body, one for rays through air.

    Args:
        y: Line integrals (B, 1, A, U); what is not measured is not read.
        ray_mask: bool (A, U) or (B, 1, A, U), True = measured.
        projector: The projection ``A`` from the grid of the prior image.
        reconstruct: Makes the image of the interpolated data, on that grid.
        mu_water: Attenuation of water in 1/mm at the energy of the scan.
        smoothing_mm: Standard deviation of the Gaussian that the image is smoothed by before it is segmented.
        floor: Line integral below which rays count as air; 0.5 are 26 mm of water. Both defaults were
            the best on simulated scans of training patients.

    Returns:
        Line integrals of the same shape, ``y`` bit for bit where measured.
    """
    x_mu = reconstruct(linear_interpolation(y, ray_mask))
    y_prior = projector(tissue_prior(x_mu, projector.grid.spacing_mm, mu_water, smoothing_mm)).clamp(min=0)
    return normalised_interpolation(y, ray_mask, y_prior, floor)


def normalised_interpolation(
    y: torch.Tensor, ray_mask: torch.Tensor, y_prior: torch.Tensor, floor: float
) -> torch.Tensor:
    """Interpolate ``(y + floor) / (y_prior + floor)`` and multiply again; arguments as of `nmar`.

    Args:
        y: Line integrals (B, 1, A, U).
        ray_mask: bool, True = measured.
        y_prior: Line integrals of the prior, not negative.
        floor: Added to both, positive.
    """
    level = y_prior + floor
    y_hat = linear_interpolation((y + floor) / level, ray_mask) * level - floor
    return torch.where(ray_mask, y, y_hat)


def tissue_prior(
    x_mu: torch.Tensor, spacing_mm: tuple[float, ...], mu_water: float, smoothing_mm: float
) -> torch.Tensor:
    """Replace air by nothing and soft tissue by water and keep the bone.

    Args:
        x_mu: Slices (B, 1, H, W) in 1/mm.
        spacing_mm: Size of a pixel, (y, x).
        mu_water: Attenuation of water in 1/mm.
        smoothing_mm: Standard deviation of the Gaussian smoothing.

    Returns:
        Prior image (B, 1, H, W) in 1/mm. Bone has the values of the smoothed image, streaks being weaker there.
    """
    smooth_hu = smooth(mu_to_hu(x_mu, mu_water), spacing_mm, smoothing_mm)
    air_hu, bone_hu = tissue_thresholds_hu(smooth_hu)
    soft = torch.where(smooth_hu < air_hu, 0.0, mu_water)
    return torch.where(smooth_hu > bone_hu, hu_to_mu(smooth_hu, mu_water), soft)
