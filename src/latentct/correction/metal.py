"""Metal in images: where it is, and how it gets back into a corrected one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

FloatArray = npt.NDArray[np.floating]
BoolArray = npt.NDArray[np.bool_]


def segment_metal(
    x_hu: torch.Tensor,
    spacing_mm: tuple[float, ...],
    threshold_hu: float,
    edge_hu: float,
    smallest_mm2: float = 0.0,
) -> torch.Tensor:
    """Find the metal of each slice: bright seeds, grown to their edges, specks left out, holes filled.

    Args:
        x_hu: Slices (B, 1, H, W) in HU.
        spacing_mm: Size of a pixel, (y, x).
        threshold_hu: A piece of metal has a pixel above this.
        edge_hu: Pixels above this that touch a seed, directly or through others of their kind, belong to it: the edge
            pixels that metal covers in part.
        smallest_mm2: Pieces of less area are specks.

    Returns:
        bool (B, 1, H, W), True = metal.
    """
    found = np.stack(
        [_segment_slice(x, spacing_mm, threshold_hu, edge_hu, smallest_mm2) for x in x_hu[:, 0].cpu().numpy()]
    )
    return torch.from_numpy(found)[:, None].to(x_hu.device)


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


def _segment_slice(
    x_hu: FloatArray, spacing_mm: tuple[float, ...], threshold_hu: float, edge_hu: float, smallest_mm2: float
) -> BoolArray:
    labels, n_pieces = ndimage.label(x_hu > edge_hu, structure=np.ones((3, 3)))
    if not n_pieces:
        return np.zeros(x_hu.shape, dtype=bool)
    pieces = np.arange(1, n_pieces + 1)
    is_metal = ndimage.maximum(x_hu, labels, pieces) > threshold_hu
    is_metal &= np.bincount(labels.ravel(), minlength=n_pieces + 1)[1:] * np.prod(spacing_mm) >= smallest_mm2
    filled: BoolArray = ndimage.binary_fill_holes(np.isin(labels, pieces[is_metal]))
    return filled
