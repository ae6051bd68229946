"""Say which code, which configuration and which data a run comes from."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from latentct.io.manifest import file_sha256

PACKAGES = ("latentct", "torch", "monai", "pytorch-ignite", "numpy", "mlflow")
#: First characters of a config entry that is an expression, a reference or MONAI's own key.
_NOT_A_VALUE = ("$", "@", "%", "_")


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested dicts and lists to one level, keys joined by dots.

    Example:
        >>> flatten({"lsr": {"mae": 1.5, "ci95": [1.0, 2.0]}})
        {'lsr.mae': 1.5, 'lsr.ci95.0': 1.0, 'lsr.ci95.1': 2.0}
    """
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, list | tuple):
            value = {str(index): item for index, item in enumerate(value)}
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def manifest_tags(manifest: str | Path | None, volumes: list[dict[str, Any]]) -> dict[str, str]:
    """Return the name and SHA-256 of a manifest's file and of the volumes it lists, those of included files too."""
    if manifest is None:
        return {}
    listed = json.dumps(volumes, sort_keys=True).encode()
    return {
        "manifest.name": Path(manifest).name,
        "manifest.sha256": file_sha256(manifest),
        "manifest.volumes_sha256": hashlib.sha256(listed).hexdigest(),
    }


def git_state(folder: Path = Path(__file__).parent) -> dict[str, str]:
    """Return `git.commit` and `git.dirty` of the code in a folder; empty outside a repository or without git."""
    try:
        tracked = _git(folder, "ls-files")
        commit = _git(folder, "rev-parse", "HEAD")
        changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"git.commit": commit, "git.dirty": str(bool(changes)).lower()} if tracked else {}


def package_versions() -> dict[str, str]:
    """Return `version.<package>` of the packages that decide a result and are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[f"version.{name}"] = version(name)
        except PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, str]:
    """Return `hardware.cpu`, `hardware.cores`, `hardware.memory_gib` and, with CUDA, `hardware.gpus`."""
    import psutil  # type: ignore[import-untyped]
    import torch

    found = {
        "hardware.cpu": _cpu_model(),
        "hardware.cores": str(os.cpu_count()),
        "hardware.memory_gib": f"{psutil.virtual_memory().total / 2**30:.0f}",
    }
    cards = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    if cards:
        found["hardware.gpus"] = ", ".join(f"{card.name} ({card.total_memory / 2**30:.0f} GiB)" for card in cards)
    return found


def calling_config() -> dict[str, Any] | None:
    """Return the bundle configuration whose parser is building an object now, after layers and overrides.

    A config cannot refer to itself as a whole, so the parser is looked for among the callers; None when the object is
    made by plain Python.
    """
    from monai.bundle import ConfigParser

    frame = inspect.currentframe()
    while frame is not None:
        owner = frame.f_locals.get("self")
        if isinstance(owner, ConfigParser) and isinstance(owner.config, dict):
            return owner.config
        frame = frame.f_back
    return None


def config_params(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a reader compares runs by: the plain values at the top of a config, the bundle's name and version.

    Expressions and references are not values and are left out: they stand in the artifact with the whole config.
    """
    meta = config.get("_meta_", {})
    params = {f"bundle.{key}": meta[key] for key in ("name", "version") if key in meta}
    for key, value in config.items():
        expression = isinstance(value, str) and value.startswith(_NOT_A_VALUE)
        if isinstance(value, bool | int | float | str) and not key.startswith("_") and not expression:
            params[key] = value
    return params


def _cpu_model() -> str:
    information = Path("/proc/cpuinfo")  # Linux only; elsewhere Python knows the family at least
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=10).stdout.strip()
