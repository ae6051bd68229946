"""Algorithms that use a trained network on a scan, readable beside their papers."""

from latentct.inferers.clsdm import FewViewInferer, FewViewReconstruction, RegressionReconstructor
from latentct.inferers.consistency import ProjectionConsistency
from latentct.inferers.lsr import LatentReconstructionInferer
from latentct.inferers.refine import LatentPriorTV
from latentct.inferers.result import LatentReconstruction
from latentct.inferers.unet import UNetCompletion, UNetExtrapolation, UNetReconstructor
from latentct.inferers.volume import correct_volume

__all__ = [
    "FewViewInferer",
    "FewViewReconstruction",
    "LatentPriorTV",
    "LatentReconstruction",
    "LatentReconstructionInferer",
    "ProjectionConsistency",
    "RegressionReconstructor",
    "UNetCompletion",
    "UNetExtrapolation",
    "UNetReconstructor",
    "correct_volume",
]
