"""What MONAI's engines and Ignite's handlers lack, and only that."""

from latentct.engines.checkpoint import TrainingCheckpoint
from latentct.engines.corruption import TruncatedReconstruction
from latentct.engines.vae import (
    AutocastInferer,
    AutoencoderPrepareBatch,
    BodyError,
    GradientClipping,
    KLWarmUp,
    warmup_cosine,
)
from latentct.engines.weights import export_half, load_weights

__all__ = [
    "AutocastInferer",
    "AutoencoderPrepareBatch",
    "BodyError",
    "GradientClipping",
    "KLWarmUp",
    "TrainingCheckpoint",
    "TruncatedReconstruction",
    "export_half",
    "load_weights",
    "warmup_cosine",
]
