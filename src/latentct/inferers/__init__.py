"""Algorithms that use a trained network on a scan, readable beside their papers."""

from latentct.inferers.lsr import LatentReconstruction, LatentReconstructionInferer

__all__ = ["LatentReconstruction", "LatentReconstructionInferer"]
