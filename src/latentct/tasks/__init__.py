"""What may be missing from a scan, as ray masks, and the classical ways to reconstruct in spite of it."""

from latentct.tasks.base import Task
from latentct.tasks.combination import Combination
from latentct.tasks.first import first_reconstruction
from latentct.tasks.geometric import DeadPixels, LimitedAngle, SparseView, Truncation
from latentct.tasks.metal import Metal
from latentct.tasks.reconstructors import NMAR, CorrectionFBP, FirstReconstruction, LinearInterpolation, Reconstructor
from latentct.tasks.registry import TASKS, make_task

__all__ = [
    "NMAR",
    "TASKS",
    "Combination",
    "CorrectionFBP",
    "DeadPixels",
    "FirstReconstruction",
    "LimitedAngle",
    "LinearInterpolation",
    "Metal",
    "Reconstructor",
    "SparseView",
    "Task",
    "Truncation",
    "first_reconstruction",
    "make_task",
]
