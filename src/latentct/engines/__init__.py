"""What MONAI's engines and Ignite's handlers lack, and only that."""

from latentct.engines.checkpoint import BestWeights, TrainingCheckpoint
from latentct.engines.comparison import Example, MethodComparison
from latentct.engines.corruption import IncompleteReconstruction
from latentct.engines.measurement import FrozenOutputs, HeldBack, Measurement, ScanPrepareBatch
from latentct.engines.reuse import FoundBySearch, Remembered
from latentct.engines.unet import FirstReconstructionError, FirstReconstructions, SameDraws, ScannedPrepareBatch
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
    "FirstReconstructionError",
    "FirstReconstructions",
    "FoundBySearch",
    "FrozenOutputs",
    "GradientClipping",
    "HeldBack",
    "IncompleteReconstruction",
    "KLWarmUp",
    "Measurement",
    "MethodComparison",
    "Remembered",
    "SameDraws",
    "ScanPrepareBatch",
    "ScannedPrepareBatch",
    "TrainingCheckpoint",
    "export_half",
    "load_weights",
    "refuse_overwriting",
    "warmup_cosine",
]
