"""How close a reconstruction comes to the reference, region by region."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentct import keys as K
from latentct.correction.metal import dilate
from latentct.engines.measurement import Measurement
from latentct.geometry import Grid, field_of_measurement_mask
from latentct.metrics import mae_hu, mae_sinogram, projection_residual, psnr, rmse_hu, ssim
from latentct.metrics.ct_mar import CtMarCase, ct_mar_scores
from latentct.metrics.legacy import legacy_x2ct
from latentct.transforms import body_mask
from latentct.units import mu_to_hu

METAL_MARGIN_MM = 2.0
METAL_MARGIN_PX = 1.5
"""How far from metal the errors of a metal task begin to count, whichever is more: the pixels that touch metal, corners
included, hold the overshoot of its edge, the same for every method because metal is put back into all of them."""


@dataclass(frozen=True)
class Truth:
    """What the S slices of a volume are scored against.

    Attributes:
        image_hu: the slices that were scanned, (S, 1, H, W).
        reference_hu: what the complete, undisturbed scan shows, (S, 1, H, W).
        y: complete line integrals, (S, 1, A, U).
        body: bool (S, 1, H, W), True in the body.
        region: bool (S, 1, H, W), True in the body and away from metal: where errors count.
        metal: share of metal (S, 1, H, W) in [0, 1]; None without metal.
        inside: bool (S, 1, H, W), True in the field of measurement; None where the task has none.
    """

    image_hu: Tensor
    reference_hu: Tensor
    y: Tensor
    body: Tensor
    region: Tensor
    metal: Tensor | None
    inside: Tensor | None


def truth_of(contents: Mapping[str, Any], grid: Grid, diameter_mm: float | None) -> Truth:
    """Return the truth from the entries of a batch that were held back.

    Args:
        contents: entries of a batch of one volume.
        grid: of its slices.
        diameter_mm: diameter of the field of measurement; None without one.
    """
    image_hu = _slices(contents[K.IMAGE])
    body = region = _body(contents, image_hu, grid)
    metal = inside = None
    if isinstance(contents.get(K.METAL), Tensor):  # a manifest says in words which metal a volume has anyway
        metal = _slices(contents[K.METAL])
        margin_mm = max(METAL_MARGIN_MM, METAL_MARGIN_PX * max(grid.spacing_mm))
        region = body & ~dilate(metal > 0, grid.spacing_mm, margin_mm)
    if diameter_mm is not None:
        inside = torch.from_numpy(field_of_measurement_mask(grid, diameter_mm)).expand(body.shape)
    reference_hu, y = _slices(contents[K.REFERENCE]), _slices(contents[K.SINOGRAM])
    return Truth(image_hu, reference_hu, y, body, region, metal, inside)


def image_scores(x_hu: Tensor, truth: Truth, hu_min: float, hu_max: float) -> dict[str, Tensor]:
    """Return the scores that every task has, (S,) each, within the body and away from metal.

    `legacy_x2ct_psnr` is that of old tables, of whole slices, and `honest_x2ct_psnr` the right one beside it.

    Args:
        x_hu: slices (S, 1, H, W) in HU.
        truth: what they should be.
        hu_min: lower end of the range of PSNR and SSIM.
        hu_max: its upper end.
    """
    reference_hu, region = truth.reference_hu, truth.region
    old = legacy_x2ct(x_hu, reference_hu, torch.ones_like(region))
    return {
        "rmse_hu": rmse_hu(x_hu, reference_hu, region),
        "mae_hu": mae_hu(x_hu, reference_hu, region),
        "psnr": psnr(x_hu, reference_hu, hu_min=hu_min, hu_max=hu_max, region=region),
        "ssim": ssim(x_hu, reference_hu, hu_min=hu_min, hu_max=hu_max, region=region),
        "honest_x2ct_psnr": old["psnr"],
        "legacy_x2ct_psnr": old["legacy_x2ct_psnr"],
    }


def truncation_scores(x_hu: Tensor, y_hat: Tensor, ray_mask: Tensor, truth: Truth) -> dict[str, Tensor]:
    """Return the scores inside and outside the field of measurement, (S,) each.

    Args:
        x_hu: slices (S, 1, H, W) in HU.
        y_hat: completed line integrals (S, 1, A, U).
        ray_mask: bool (A, U) or (S, 1, A, U), True = measured.
        truth: what they should be, with the field of measurement.
    """
    assert truth.inside is not None
    inside, outside = truth.inside, truth.body & ~truth.inside
    return {
        "mae_inside_hu": mae_hu(x_hu, truth.reference_hu, inside),
        "mae_outside_hu": mae_hu(x_hu, truth.reference_hu, outside),
        "mae_sinogram": mae_sinogram(y_hat, truth.y, ray_mask),
        "mae_inside_image_hu": mae_hu(x_hu, truth.image_hu, inside),
        "mae_outside_image_hu": mae_hu(x_hu, truth.image_hu, outside),
    }


def metal_scores(x_hu: Tensor, uncorrected_hu: Tensor, truth: Truth, grid: Grid) -> dict[str, Tensor]:
    """Return the eight scores of the CT-MAR challenge and their mean, 0 best and 4 uncorrected, (S,) each.

    Args:
        x_hu: slices (S, 1, H, W) in HU, metal put back.
        uncorrected_hu: reconstruction of the scan as measured.
        truth: what they should be, with the metal.
        grid: of the slices.
    """
    assert truth.metal is not None
    dy_mm, dx_mm = grid.spacing_mm
    case = CtMarCase(truth.reference_hu, uncorrected_hu, truth.body, truth.metal >= 0.5, (dy_mm, dx_mm))
    return {f"ct_mar_{name}": score for name, score in ct_mar_scores(x_hu, case).items()}


def _body(contents: Mapping[str, Any], image_hu: Tensor, grid: Grid) -> Tensor:
    if K.BODY in contents:
        return _slices(contents[K.BODY]).bool()
    return torch.from_numpy(body_mask(np.asarray(image_hu[:, 0]), grid.spacing_mm))[:, None]


def _slices(volume: Any) -> Tensor:
    """Return a batch of one volume (1, 1, D, H, W) as slices (D, 1, H, W)."""
    tensor = torch.as_tensor(getattr(volume, "array", volume)).cpu()
    return tensor[0, 0][:, None]


def volume_scores(
    x_mu: Tensor,
    measurement: Measurement,
    mu_water: float,
    hu_range: tuple[float, float],
    reference_hu: Tensor | None = None,
    body: Tensor | None = None,
) -> dict[str, Tensor]:
    """Return the scores of few-view reconstructions, (B,) each.

    The residual is that of the measured rays, relative to them; the others need the reference: PSNR and SSIM of the
    whole volume, and the mean absolute error in the body.

    Args:
        x_mu: volumes (B, 1, D, H, W) in 1/mm.
        measurement: the views that they were made from.
        mu_water: attenuation of water in 1/mm.
        hu_range: lower and upper end of the range of PSNR and SSIM.
        reference_hu: what they should be, in HU; None where it is not known.
        body: the patients in the reference, bool of its shape.
    """
    y_hat = measurement.projector(x_mu.to(measurement.y))
    scores = {"residual": projection_residual(y_hat, measurement.y, measurement.ray_mask)}
    if reference_hu is None or body is None:
        return scores
    x_hu, whole, (hu_min, hu_max) = mu_to_hu(x_mu, mu_water), torch.ones_like(body), hu_range
    return {
        "psnr": psnr(x_hu, reference_hu, hu_min=hu_min, hu_max=hu_max, region=whole),
        "ssim": ssim(x_hu, reference_hu, hu_min=hu_min, hu_max=hu_max, region=whole),
        "mae_hu": mae_hu(x_hu, reference_hu, body),
        **scores,
    }
