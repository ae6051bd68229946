"""Bundles as folders: their configs, their faults, clean copies. Knows neither MONAI nor torch."""

from latentct.bundle.check import faults
from latentct.bundle.fault import Fault
from latentct.bundle.foreign import refuse_foreign_targets
from latentct.bundle.staging import StagedBundle, stage_bundle
from latentct.bundle.weights import verify_weights

__all__ = ["Fault", "StagedBundle", "faults", "refuse_foreign_targets", "stage_bundle", "verify_weights"]
