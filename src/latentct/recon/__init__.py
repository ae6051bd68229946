"""Reconstruction without learning: ``(y, projector, ray_mask) -> x_mu``."""

from latentct.recon.fbp import FilteredBackProjection, fbp
from latentct.recon.filters import FILTER_NAMES
from latentct.recon.sirt import Sirt, sirt

__all__ = ["FILTER_NAMES", "FilteredBackProjection", "Sirt", "fbp", "sirt"]
