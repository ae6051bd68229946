"""Eight scores of metal artefact reduction, after the AAPM CT-MAR grand challenge; 0 is best, 4 is uncorrected.

The challenge (Haneda et al. 2025, doi 10.1002/mp.70050; Peters et al. 2025, doi 10.1002/mp.70020) scores the error,
noise, sharpness, streaks, structural similarity, bone, metal and proton range of an image from 0 to 4 each and weighs
them equally. Its published numbers are kept; see `CtMarProtocol`.

Ours, because the description leaves it open: error, noise, streaks and similarity are linear from 0 (the reference) to
4 (the uncorrected image of the same slice), and bone and metal from 0 (kept) to 4 (all lost), instead of through fixed
tables, which belong to the challenge's own cases; where each is measured is written in `ct_mar_scores`. The totals
compare methods scored here, and not with the challenge's list.
"""

from dataclasses import dataclass

import numpy as np
import torch

from latentct.metrics import ct_mar_measures as measures
from latentct.metrics.gaussian import blur
from latentct.metrics.image import rmse_hu, ssim

CT_MAR_SCORES = ("rmse", "noise", "sharpness", "streaks", "ssim", "bone", "metal", "proton_range")
WORST = 4.0


@dataclass(frozen=True)
class CtMarProtocol:
    """The numbers of the scores; those marked ours are not in the challenge's description.

    Attributes:
        metal_dilation_px: How far the metal is grown before it is left out of the tissue.
        ssim_hu_min: Lower end of the range of SSIM; the range is 5000 HU, where it begins is ours.
        ssim_hu_max: Its upper end.
        sobel_quantile: Quantile of the gradient that stands for sharpness.
        blurs_px: Standard deviations in pixels of the blurs of the reference that score 1, 2, 3 and 4.
        streak_share: Share of the errors at either end that stands for streaks.
        bone_hu: What exceeds it is bone.
        metal_margin_hu: What exceeds the brightest tissue of the reference by it is metal.
        worst_range_error: Relative error of the proton range that scores 4.
        noise_side_mm: Side of the square in which noise is measured; ours, as is its place, the flattest soft tissue.
        soft_hu: Range of soft tissue for that; ours.
        dense_slope: Relative stopping power an HU above water, 1.7 for bone of 1550 HU; ours.
        least_water_mm: Thinnest rays whose range counts; ours.
    """

    metal_dilation_px: int = 2
    ssim_hu_min: float = -1000.0
    ssim_hu_max: float = 4000.0
    sobel_quantile: float = 0.9
    blurs_px: tuple[float, float, float, float] = (0.4, 0.5, 0.75, 1.0)
    streak_share: float = 0.05
    bone_hu: float = 150.0
    metal_margin_hu: float = 250.0
    worst_range_error: float = 0.02
    noise_side_mm: float = 20.0
    soft_hu: tuple[float, float] = (-150.0, 150.0)
    dense_slope: float = 0.00045
    least_water_mm: float = 10.0


@dataclass(frozen=True)
class CtMarCase:
    """The slices of a metal case that do not depend on the method.

    Attributes:
        x_hu: Reference (B, 1, H, W) in HU; what it shows where the metal is does not matter.
        uncorrected_hu: Reconstruction of the scan as measured, (B, 1, H, W), HU; it scores 4.
        body: bool (B, 1, H, W), True in the patient.
        metal: bool (B, 1, H, W), True in the metal.
        spacing_mm: (dy, dx) of the pixels.
    """

    x_hu: torch.Tensor
    uncorrected_hu: torch.Tensor
    body: torch.Tensor
    metal: torch.Tensor
    spacing_mm: tuple[float, float]


def ct_mar_scores(
    x_hat_hu: torch.Tensor, case: CtMarCase, protocol: CtMarProtocol = CtMarProtocol()
) -> dict[str, torch.Tensor]:
    """Score slices with metal by the eight scores and their mean.

    The tissue is the body less the dilated metal.

    * ``rmse``: error in the tissue.
    * ``noise``: standard deviation beyond the reference's, in the square of soft tissue where that is flattest.
    * ``sharpness``: 90 % quantile of the gradient in the tissue, against that of the reference and of its blurs.
    * ``streaks``: mean of the highest less mean of the lowest 5 % of the errors in the tissue.
    * ``ssim``: one minus the SSIM in the tissue, outside of which the image is given the reference's values.
    * ``bone``: what exceeds 150 HU in the tissue, by area and overlap.
    * ``metal``: what exceeds the reference's brightest tissue by 250 HU in the body, against the true metal, likewise.
    * ``proton_range``: thickness of the tissue in water, along rows and columns.

    Args:
        x_hat_hu: Corrected slices (B, 1, H, W), HU, metal put back.
        case: Reference, uncorrected image and masks.
        protocol: The numbers.

    Returns:
        `CT_MAR_SCORES` and ``total``, their mean, each (B,) in [0, 4]. A score with nothing to measure, as bone in a
        slice without, is NaN and does not count in the mean.
    """
    found, worst = (_measure(x, case, protocol) for x in (x_hat_hu, case.uncorrected_hu))
    relative = {name: _linear(found[name], worst[name]) for name in ("rmse", "noise", "streaks", "ssim")}
    scores = relative | {
        "sharpness": _sharpness(x_hat_hu, case, protocol),
        "bone": WORST * found["bone"],
        "metal": WORST * found["metal"],
        "proton_range": _linear(
            found["proton_range"], torch.full_like(found["proton_range"], protocol.worst_range_error)
        ),
    }
    ordered = {name: scores[name].double() for name in CT_MAR_SCORES}
    return ordered | {"total": torch.stack(list(ordered.values())).nanmean(dim=0)}


def _measure(x_hat_hu: torch.Tensor, case: CtMarCase, protocol: CtMarProtocol) -> dict[str, torch.Tensor]:
    """Return every measure but sharpness in its own unit, 0 = as the reference."""
    tissue = _tissue(case, protocol)
    flat = _flat_square(case, tissue, protocol)
    brightest_hu = torch.where(tissue, case.x_hu, -torch.inf).amax(dim=(-2, -1), keepdim=True)
    window = {"hu_min": protocol.ssim_hu_min, "hu_max": protocol.ssim_hu_max}
    bone_hat, bone = (tissue & (x > protocol.bone_hu) for x in (x_hat_hu, case.x_hu))
    metal_hat = case.body & (x_hat_hu > brightest_hu + protocol.metal_margin_hu)
    return {
        "rmse": rmse_hu(x_hat_hu, case.x_hu, tissue),
        "noise": (measures.deviation_hu(x_hat_hu, flat) - measures.deviation_hu(case.x_hu, flat)).clamp(min=0),
        "streaks": measures.streak_amplitude_hu(x_hat_hu - case.x_hu, tissue, protocol.streak_share),
        "ssim": 1 - ssim(torch.where(tissue, x_hat_hu, case.x_hu), case.x_hu, region=tissue, **window),
        "bone": measures.integrity_loss(bone_hat, bone),
        "metal": measures.integrity_loss(metal_hat, case.metal),
        "proton_range": measures.water_equivalent_error(
            x_hat_hu, case.x_hu, tissue, case.spacing_mm, protocol.dense_slope, protocol.least_water_mm
        ),
    }


def _tissue(case: CtMarCase, protocol: CtMarProtocol) -> torch.Tensor:
    return case.body & ~measures.dilate(case.metal, protocol.metal_dilation_px)


def _flat_square(case: CtMarCase, tissue: torch.Tensor, protocol: CtMarProtocol) -> torch.Tensor:
    """Return the square of soft tissue in which the reference varies least, the same for every method."""
    lowest_hu, highest_hu = protocol.soft_hu
    soft = tissue & (case.x_hu > lowest_hu) & (case.x_hu < highest_hu)
    side_px = max(3, round(protocol.noise_side_mm / max(case.spacing_mm)))
    return measures.flattest_window(case.x_hu, soft, side_px)


def _sharpness(x_hat_hu: torch.Tensor, case: CtMarCase, protocol: CtMarProtocol) -> torch.Tensor:
    """Return 0 for an image as sharp as the reference or sharper, 1 to 4 for one as the reference blurred."""
    tissue = _tissue(case, protocol)
    ladder = [case.x_hu] + [blur(case.x_hu, sigma_px, max(1, round(4 * sigma_px))) for sigma_px in protocol.blurs_px]
    steps = torch.stack([measures.gradient_quantile(x, tissue, protocol.sobel_quantile) for x in ladder])
    found = measures.gradient_quantile(x_hat_hu, tissue, protocol.sobel_quantile)
    score = np.arange(len(ladder) - 1, -1, -1)
    values = [
        np.interp(f, s[::-1], score) for f, s in zip(found.numpy(force=True), steps.numpy(force=True).T, strict=True)
    ]
    return torch.tensor(values, device=found.device)


def _linear(found: torch.Tensor, worst: torch.Tensor) -> torch.Tensor:
    """Return 0 for nothing and 4 for ``worst`` or more; nothing found is 0 even where the worst is nothing too."""
    return torch.where(found == 0, 0, WORST * (found / worst).clamp(max=1))
