"""Algorithms that use a trained network on a scan, readable beside their papers."""

from latentct.inferers.lsr import LatentReconstructionInferer
from latentct.inferers.refine import LatentPriorTV
from latentct.inferers.result import LatentReconstruction
from latentct.inferers.unet import UNetExtrapolation, UNetReconstructor

__all__ = [
    "LatentPriorTV",
    "LatentReconstruction",
    "LatentReconstructionInferer",
    "UNetExtrapolation",
    "UNetReconstructor",
]
