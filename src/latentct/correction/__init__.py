"""Correction of projections without learning: ``(y, ray_mask) -> y``."""

from latentct.correction.detruncation import (
    adaptive_detruncation,
    cosine_extrapolation,
    water_cylinder_extrapolation,
    zero_fill,
)
from latentct.correction.interpolation import linear_interpolation
from latentct.correction.metal import reinsert_metal
from latentct.correction.nmar import nmar

__all__ = [
    "adaptive_detruncation",
    "cosine_extrapolation",
    "linear_interpolation",
    "nmar",
    "reinsert_metal",
    "water_cylinder_extrapolation",
    "zero_fill",
]
