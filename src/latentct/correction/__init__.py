"""Correction of projections without learning: ``(y, ray_mask) -> y``."""

from latentct.correction.detruncation import (
    adaptive_detruncation,
    cosine_extrapolation,
    water_cylinder_extrapolation,
    zero_fill,
)

__all__ = ["adaptive_detruncation", "cosine_extrapolation", "water_cylinder_extrapolation", "zero_fill"]
