"""Every way the configs of a bundle are read: the complete ones alone, any other as a layer on those it goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from latentct.bundle.configs import (
    CONFIGS,
    entry,
    in_stages,
    project_root,
    read_config,
    read_layers,
    with_shared_entries,
)

COMPLETE = ("train.yaml", "inference.yaml")
STAGES = ("train_autoencoder.yaml", "train_alignment.yaml", "train_diffusion.yaml")
LAYERED_ON = {"evaluate.yaml": STAGES[:1], "train_ldm.yaml": STAGES[2:], "multi_gpu_train.yaml": STAGES}
"""What a config of a bundle trained in stages is a layer on; other layers go on every stage and on train.yaml. What
multi_gpu_train.yaml refers to is of the stages; train.yaml only passes its name on."""


def config_stacks(bundle: Path) -> list[list[Path]]:
    """List the stacks of a bundle's configs, the complete ones first."""
    folder = bundle / "configs"
    complete = [*COMPLETE, *(STAGES if in_stages(bundle) else ())]
    stacks = [[folder / name] for name in complete]
    for file in sorted(folder.glob("*.yaml")):
        if file.name not in complete:
            bases = LAYERED_ON.get(file.name, ("train.yaml", *STAGES)) if in_stages(bundle) else ("train.yaml",)
            stacks += [[folder / base, file] for base in bases]
    return stacks


def run_id(stack: list[Path]) -> str:
    """Return the run id of a stack: that of its last config that has one."""
    by_config = {files[-1]: name for name, files in CONFIGS.items()}
    return next(by_config[file.name] for file in reversed(stack) if file.name in by_config)


def read_stack(stack: list[Path]) -> dict[str, Any]:
    """Read a stack with the bundle's metadata, and all that it shares with other files or within itself in place.

    Raises:
        InputError: If a file cannot be read, or what is shared does not exist.
    """
    bundle = stack[0].parents[1]
    meta = read_config(bundle / "configs" / "metadata.json")
    return _local(with_shared_entries({**read_layers(stack), "_meta_": meta}, project_root(bundle)))


def plain(config: dict[str, Any], key: str) -> Any:
    """Return an entry of a config with all plain references in place; None if there is no such entry.

    References that lead nowhere, or back to themselves, stay as they are.
    """
    try:
        return _plain(config, entry(config, key), ())
    except KeyError:
        return None


def components(config: Any, key: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every entry with a `_target_`, by its id."""
    if isinstance(config, dict) and isinstance(config.get("_target_"), str):
        yield key, config
    for name, value in config.items() if isinstance(config, dict) else enumerate(config):
        if isinstance(value, dict | list):
            yield from components(value, f"{key}::{name}" if key else str(name))


def _local(config: dict[str, Any]) -> dict[str, Any]:
    """Put what a config takes from itself, `%key`, in place; what leads nowhere stays."""

    def put(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: put(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [put(inner) for inner in value]
        if isinstance(value, str) and value.startswith("%"):
            try:
                return entry(config, value[1:])
            except KeyError:
                return value
        return value

    return {key: put(value) for key, value in config.items()}


def _plain(config: dict[str, Any], value: Any, within: tuple[str, ...]) -> Any:
    if isinstance(value, dict):
        return {key: _plain(config, inner, within) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(config, inner, within) for inner in value]
    if not isinstance(value, str) or not value.startswith("@") or value in within:
        return value
    try:
        return _plain(config, entry(config, value[1:]), (*within, value))
    except KeyError:
        return value
