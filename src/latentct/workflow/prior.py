"""The trained model of a task, ready to correct."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

from latentct.bundle import stage_bundle
from latentct.bundle.installed import installed_bundle
from latentct.errors import InputError
from latentct.serving import Corrector, load_corrector
from latentct.serving.slices import SliceCorrector

BUNDLES = {
    "truncation": "lsr_truncation",
    "metal": "lsr_metal",
    "limited-angle": "lsr_limited_angle",
    "sparse-view": "lsr_sparse_view",
}
FEW_VIEWS = "clsdm_sparse_view"


def load_prior(
    name: str, device: str | None = None, bundle: Path | None = None, n_samples: int | None = None
) -> Corrector:
    """Load a bundle.

    Args:
        name: its name, where `bundle` is None.
        device: where to compute, e.g. "cpu" or "cuda:0"; None: on a GPU where there is one.
        bundle: folder of a bundle to take instead, e.g. one that was trained here, or a version of the registry.
        n_samples: further searches, or samples of a volume, whose spread tells how uncertain the result is; None: as
            the bundle has it.

    Raises:
        InputError: there is no such bundle, it lacks something, or there is no such device.
    """
    _check_device(device)
    corrector = _loaded(name, installed_bundle(name) if bundle is None else bundle, device)
    if n_samples is not None:
        method = corrector.method
        (method.inferer if isinstance(method, SliceCorrector) else method.sampler).n_samples = n_samples
    return corrector


def _loaded(name: str, folder: Path, device: str | None) -> Corrector:
    if (folder / "models" / "sha256.json").is_file():
        return load_corrector(folder, device)
    with tempfile.TemporaryDirectory(prefix="latentct-") as scratch:
        return load_corrector(stage_bundle(folder, Path(scratch) / name).root, device)


def _check_device(device: str | None) -> None:
    """Refuse a device before anything is read."""
    if device is None:
        return
    try:
        torch.empty(0, device=device).cpu()
    except (RuntimeError, AssertionError) as error:  # torch raises either for a device it cannot compute on
        raise InputError(
            f"--device is {device}, which this machine's torch cannot use; give cpu, or cuda with a CUDA device."
        ) from error
