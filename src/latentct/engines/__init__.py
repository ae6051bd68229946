"""What MONAI's engines and Ignite's handlers lack, and only that."""

from latentct.engines.checkpoint import BestWeights, TrainingCheckpoint
from latentct.engines.comparison import Example, MethodComparison, ScanPrepareBatch, truncation_corrections
from latentct.engines.corruption import IncompleteReconstruction
from latentct.engines.vae import (
    AutocastInferer,
    AutoencoderPrepareBatch,
    BodyError,
    GradientClipping,
    KLWarmUp,
    warmup_cosine,
)
from latentct.engines.weights import export_half, load_weights, refuse_overwriting

__all__ = [
    "AutocastInferer",
    "AutoencoderPrepareBatch",
    "BestWeights",
    "BodyError",
    "Example",
    "GradientClipping",
    "KLWarmUp",
    "MethodComparison",
    "ScanPrepareBatch",
    "TrainingCheckpoint",
    "IncompleteReconstruction",
    "export_half",
    "load_weights",
    "refuse_overwriting",
    "truncation_corrections",
    "warmup_cosine",
]
