"""An image compared with a reference, in HU."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentct.correction.body import body_mask
from latentct.errors import InputError
from latentct.geometry.masks import field_of_measurement_mask
from latentct.io.image import CTImage
from latentct.io.sizes import check_free
from latentct.metrics import mae_hu, masked_mean, psnr, rmse_hu, ssim, summarise
from latentct.workflow.evaluate_images import counted_voxels, image_hash, refuse_other_grid
from latentct.workflow.parts import Progress, parts_of

REGIONS = ("body", "all", "field")
WAVE = 16
ONE_PATIENT = (
    "All slices are of one patient and not independent: standard deviations and 95 % intervals (bootstrap of the mean) "
    "are over slices, and say nothing of other patients."
)


@dataclass(frozen=True)
class Evaluation:
    """How far a result is from a reference.

    Attributes:
        hu_range: Lower and upper end of the range of PSNR and SSIM.
        hashes: SHA-256 of `result` and `reference`.
        shape: Voxels (D, H, W).
        spacing_mm: Their distances.
        n_padding: Voxels that are padding in one of the images and counted nowhere.
        slices: Scores of each slice by region and metric, (D,); NaN where the region is empty.
        largest_hu: Largest absolute difference by region.
    """

    hu_range: tuple[float, float]
    hashes: dict[str, str]
    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    n_padding: int
    slices: dict[str, dict[str, NDArray[np.float64]]]
    largest_hu: dict[str, float]

    def summary(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Return mean, standard deviation and interval over slices, by region and metric."""
        return {region: {name: _over_slices(v) for name, v in of.items()} for region, of in self.slices.items()}

    def as_json(self) -> dict[str, Any]:
        """Return everything in numbers and words for a file; what is no number is None."""
        return {
            "images": {"sha256": self.hashes, "shape": self.shape, "spacing_mm": self.spacing_mm},
            "psnr_ssim_range_hu": self.hu_range,
            "n_voxels_of_padding_left_out": self.n_padding,
            "about": ONE_PATIENT,
            "regions": _strict(self.summary()),
            "largest_difference_hu": _strict(self.largest_hu),
            "slices": _strict({region: {k: v.tolist() for k, v in of.items()} for region, of in self.slices.items()}),
        }


def evaluate(
    result: CTImage,
    reference: CTImage,
    *,
    hu_range: tuple[float, float],
    region: str = "body",
    field_mm: float | None = None,
    progress: Progress = iter,
) -> Evaluation:
    """Score a result slice by slice.

    Args:
        result: What is judged.
        reference: What it should be, on the same voxels.
        hu_range: Lower and upper end of the range of PSNR and SSIM; the other scores take all HU as they are.
        region: "body" of the reference, "all" voxels, or "field", all voxels within the field.
        field_mm: Diameter of a circle about the middle of the image, inside and outside of which is scored too.
        progress: Shows how far it is.

    Raises:
        InputError: The images do not have the same voxels, a number does not make sense, or there is no memory.
    """
    _check(hu_range, region, field_mm)
    refuse_other_grid(result, reference)
    check_free(12 * reference.x_hu.size, "comparing the images takes", "give fewer slices")
    counted = counted_voxels(result, reference)
    regions = {name: mask & counted for name, mask in _regions(reference, region, field_mm).items()}
    parts: dict[str, list[dict[str, Tensor]]] = {name: [] for name in regions}
    for part in progress(parts_of(len(counted), WAVE)):
        x_hat_hu, x_hu = (torch.from_numpy(image.x_hu[part])[:, None] for image in (result, reference))
        for name, mask in regions.items():
            parts[name].append(_scores(x_hat_hu, x_hu, torch.from_numpy(mask[part])[:, None], hu_range))
    difference_hu = np.abs(result.x_hu - reference.x_hu)
    return Evaluation(
        hu_range,
        {"result": image_hash(result), "reference": image_hash(reference)},
        counted.shape,
        reference.spacing_mm,
        int((~counted).sum()),
        {name: {key: _joined(of, key) for key in of[0]} for name, of in parts.items()},
        {name: float(difference_hu[mask].max(initial=-math.inf)) for name, mask in regions.items()},
    )


def _scores(x_hat_hu: Tensor, x_hu: Tensor, mask: Tensor, hu_range: tuple[float, float]) -> dict[str, Tensor]:
    """Return the scores (B,) of slices (B, 1, H, W)."""
    hu_min, hu_max = hu_range
    return {
        "mae_hu": mae_hu(x_hat_hu, x_hu, mask),
        "rmse_hu": rmse_hu(x_hat_hu, x_hu, mask),
        "bias_hu": masked_mean(x_hat_hu - x_hu, mask),
        "psnr": psnr(x_hat_hu, x_hu, hu_min=hu_min, hu_max=hu_max, region=mask),
        "ssim": ssim(x_hat_hu, x_hu, hu_min=hu_min, hu_max=hu_max, region=mask),
    }


def _regions(reference: CTImage, region: str, field_mm: float | None) -> dict[str, NDArray[np.bool_]]:
    """Return masks that broadcast to (D, H, W), by name."""
    grid = reference.grid
    base = np.ones((1, 1, 1), dtype=np.bool_)
    if region == "body":
        base = body_mask(reference.x_hu, grid.spacing_mm[1:])
    if field_mm is None:
        return {region: base}
    inside = field_of_measurement_mask(grid, field_mm)[None]
    if region == "field":
        return {region: inside}
    return {region: base, f"{region} inside field": base & inside, f"{region} outside field": base & ~inside}


def _check(hu_range: tuple[float, float], region: str, field_mm: float | None) -> None:
    low, high = hu_range
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(f"--range is {low:g} {high:g}, but two HU are expected, the lower first; correct it.")
    if region not in REGIONS:
        raise InputError(f"--region is {region!r}, which is not known; choose one of {', '.join(REGIONS)}.")
    if region == "field" and field_mm is None:
        raise InputError("--region field needs --field-mm; give the diameter of the field.")
    if field_mm is not None and not 0 < field_mm < math.inf:
        raise InputError(f"--field-mm is {field_mm:g}, but a diameter above 0 is expected; correct it.")


def _joined(scores: list[dict[str, Tensor]], key: str) -> NDArray[np.float64]:
    return torch.cat([one[key] for one in scores]).double().numpy()


def _over_slices(values: NDArray[np.float64]) -> dict[str, Any]:
    """Summarise a metric; a slice that is equal to its reference has an infinite PSNR, and so has the mean then."""
    finite = np.where(np.isinf(values), np.nan, values)
    summary = summarise(finite)
    n_equal = int(np.isinf(values).sum())
    if n_equal:
        summary |= {"mean": math.inf, "sd": math.nan, "ci95": [math.nan, math.inf]}
    return {key: summary[key] for key in ("mean", "sd", "ci95")} | {"n_slices": int((~np.isnan(values)).sum())}


def _strict(value: Any) -> Any:
    """Return what JSON can hold: None for what is no finite number."""
    if isinstance(value, dict):
        return {key: _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
