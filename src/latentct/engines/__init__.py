"""What MONAI's engines and Ignite's handlers lack, and only that."""

from latentct.engines.alignment import AlignmentLoss, FrozenEncoder, RegressionInferer
from latentct.engines.checkpoint import AverageState, BestWeights, TrainingCheckpoint
from latentct.engines.comparison import Example, MethodComparison
from latentct.engines.corruption import IncompleteReconstruction
from latentct.engines.critic import PatchCritic
from latentct.engines.diffusion import (
    JointPrepareBatch,
    LatentPairs,
    LatentPrepareBatch,
    Noising,
    SamplingInferer,
    freeze,
    stacked,
    standardise_latents,
    trainable,
)
from latentct.engines.distributed import SynchronisedTraining, join_processes
from latentct.engines.few_view import FewViewComparison
from latentct.engines.few_view_report import FewViewReport, LastResult, VolumeExample
from latentct.engines.few_view_scan import PatientPrepareBatch, few_view_items
from latentct.engines.fields import CutFields
from latentct.engines.handlers import shared_handler
from latentct.engines.measurement import FrozenOutputs, HeldBack, Measurement, ScanPrepareBatch
from latentct.engines.pipeline import run_stages
from latentct.engines.randomness import SeededEpochs
from latentct.engines.reuse import FoundBySearch, Remembered, WithNetwork
from latentct.engines.unet import FirstReconstructionError, FirstReconstructions, SameDraws, ScannedPrepareBatch
from latentct.engines.vae import (
    AutocastInferer,
    AutoencoderPrepareBatch,
    BodyError,
    GradientClipping,
    KLWarmUp,
    warmup_cosine,
)
from latentct.engines.views import FewViewPrepareBatch
from latentct.engines.weights import export_half, load_weights, refuse_overwriting, weights_sha256

__all__ = [
    "AlignmentLoss",
    "AutocastInferer",
    "AutoencoderPrepareBatch",
    "AverageState",
    "BestWeights",
    "BodyError",
    "CutFields",
    "Example",
    "FewViewComparison",
    "FewViewPrepareBatch",
    "FewViewReport",
    "FirstReconstructionError",
    "FirstReconstructions",
    "FoundBySearch",
    "FrozenEncoder",
    "FrozenOutputs",
    "GradientClipping",
    "HeldBack",
    "IncompleteReconstruction",
    "JointPrepareBatch",
    "KLWarmUp",
    "LastResult",
    "LatentPairs",
    "LatentPrepareBatch",
    "Measurement",
    "MethodComparison",
    "Noising",
    "PatchCritic",
    "PatientPrepareBatch",
    "RegressionInferer",
    "Remembered",
    "SameDraws",
    "SamplingInferer",
    "ScanPrepareBatch",
    "ScannedPrepareBatch",
    "SeededEpochs",
    "SynchronisedTraining",
    "TrainingCheckpoint",
    "VolumeExample",
    "WithNetwork",
    "export_half",
    "few_view_items",
    "freeze",
    "join_processes",
    "load_weights",
    "refuse_overwriting",
    "run_stages",
    "shared_handler",
    "stacked",
    "standardise_latents",
    "trainable",
    "warmup_cosine",
    "weights_sha256",
]
