"""Metal in images: where it is, and how it gets back into a corrected one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

BoolArray = npt.NDArray[np.bool_]


def segment_metal(x_hu: torch.Tensor, threshold_hu: float, edge_hu: float, share_of_peak: float) -> torch.Tensor:
    """Find the metal of each slice: bright seeds, grown to their edges, holes filled.

    Streaks about dense metal are brighter than light metal is, so that both limits rise with the brightest pixel, but
    only by a small share of it. A pixel is a piece of its own: a filling may be no larger.

    Args:
        x_hu: Slices (B, 1, H, W) in HU.
        threshold_hu: A piece of metal has a pixel above this.
        edge_hu: Pixels above this that touch a seed, directly or through others of their kind, belong to it: the edge
            pixels that metal covers in part.
        share_of_peak: Neither limit is below this share of the brightest pixel of the slice, 0 to 1.

    Returns:
        bool (B, 1, H, W), True = metal.
    """
    least_hu = x_hu.amax(dim=(1, 2, 3), keepdim=True) * share_of_peak
    seeds, candidates = x_hu > least_hu.clamp(min=threshold_hu), x_hu > least_hu.clamp(min=edge_hu)
    found = [_grown(s, c) for s, c in zip(seeds[:, 0].cpu().numpy(), candidates[:, 0].cpu().numpy(), strict=True)]
    return torch.from_numpy(np.stack(found))[:, None].to(x_hu.device)


def dilate(mask: torch.Tensor, spacing_mm: tuple[float, ...], distance_mm: float) -> torch.Tensor:
    """Add the pixels whose centre is at most ``distance_mm`` from one of the mask, bool (B, 1, H, W)."""
    if distance_mm <= 0 or not bool(mask.any()):
        return mask
    grown = [
        ndimage.distance_transform_edt(~m, sampling=spacing_mm) <= distance_mm if m.any() else m
        for m in mask[:, 0].cpu().numpy()
    ]
    return torch.from_numpy(np.stack(grown))[:, None].to(mask.device)


def reinsert_metal(x_mu: torch.Tensor, metal_mask: torch.Tensor, x_first_mu: torch.Tensor) -> torch.Tensor:
    """Put the metal of the uncorrected reconstruction back into a corrected one.

    Args:
        x_mu: Corrected slices (B, 1, H, W) in 1/mm.
        metal_mask: bool (B, 1, H, W), True = metal.
        x_first_mu: Uncorrected reconstruction of the complete data, of the same shape.
    """
    return torch.where(metal_mask, x_first_mu, x_mu)


def _grown(seeds: BoolArray, candidates: BoolArray) -> BoolArray:
    """Return the connected candidates (H, W) that hold a seed, corners counting as contact, without holes."""
    labels, _ = ndimage.label(candidates, structure=np.ones((3, 3)))
    filled: BoolArray = ndimage.binary_fill_holes(np.isin(labels, np.unique(labels[seeds])))
    return filled
