"""Reconstruction without learning: ``(y, projector, ray_mask) -> x_mu``."""

from latentct.recon.by_views import ByViewCount
from latentct.recon.completed import CompletedFBP, Reconstructor
from latentct.recon.fbp import FilteredBackProjection, fbp, plane_scan
from latentct.recon.fdk import FDK, fdk
from latentct.recon.filters import FILTER_NAMES
from latentct.recon.sirt import Sirt, sirt
from latentct.recon.tv import TotalVariation, tv

__all__ = [
    "FDK",
    "FILTER_NAMES",
    "ByViewCount",
    "CompletedFBP",
    "FilteredBackProjection",
    "Reconstructor",
    "Sirt",
    "TotalVariation",
    "fbp",
    "fdk",
    "plane_scan",
    "sirt",
    "tv",
]
