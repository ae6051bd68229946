"""Weights in files: small to ship, safe to load."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import nn

from latentct.errors import InputError
from latentct.io.files import whole_file
from latentct.io.manifest import file_sha256


def export_half(checkpoint: str | os.PathLike[str], path: str | os.PathLike[str], key: str = "model") -> Path:
    """Write the network's weights of a checkpoint in half precision, whole or not at all.

    Of several processes that train together, all call this: the first writes, and the others wait for it.

    Args:
        checkpoint: file with a dictionary of state dictionaries, or one state dictionary.
        path: file to write, replaced if present.
        key: entry of the checkpoint.

    Returns:
        The path written.

    Raises:
        InputError: the checkpoint is missing or not readable.
    """
    together = torch.distributed.is_available() and torch.distributed.is_initialized()
    if not together or torch.distributed.get_rank() == 0:
        state = load_state(checkpoint, key)
        half = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
        save_whole(half, Path(path))
    if together:
        torch.distributed.barrier()
    return Path(path)


def save_whole(content: object, path: Path) -> None:
    """Save with torch, whole or not at all, making the folder where needed."""
    with whole_file(path) as partial:
        torch.save(content, partial)


def load_weights(network: nn.Module, path: str | os.PathLike[str], key: str = "model") -> nn.Module:
    """Load weights strictly into a network, whatever precision they are stored in, and return it in eval mode.

    Raises:
        InputError: the file is missing, is not a file of weights, or belongs to another network.
    """
    state = load_state(path, key)
    own = network.state_dict()
    different = sorted(set(state) ^ set(own)) or sorted(n for n in own if own[n].shape != state[n].shape)
    if different:
        raise InputError(
            f"weights {path} are not of this {type(network).__name__}: {len(different)} entries differ, the first is "
            f"'{different[0]}'; use the weights and the configuration of one bundle."
        )
    bad = [name for name, value in state.items() if value.is_floating_point() and not bool(value.isfinite().all())]
    if bad:
        raise InputError(
            f"weights {path} hold values that are not finite, first in '{bad[0]}'; train or fetch them again."
        )
    network.load_state_dict(state)
    return network.eval()


def weights_sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file of weights, by which a record says what its figures are of.

    Raises:
        InputError: the file is missing.
    """
    _refuse_missing(path)
    return file_sha256(path)


def load_state(path: str | os.PathLike[str], key: str) -> dict[str, torch.Tensor]:
    """Read a state dictionary with `weights_only=True`; of a checkpoint with several, the one at `key`."""
    _refuse_missing(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a file that is not its own
        raise InputError(
            f"{path} cannot be read as weights ({type(error).__name__}); give a .pt file of a state dictionary."
        ) from error
    state = content.get(key, content) if isinstance(content, dict) else content
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise InputError(f"{path} holds no state dictionary; give a .pt file with one, plain or under '{key}'.")
    return state


def refuse_overwriting(output_dir: str | os.PathLike[str], name: str, overwrite: bool) -> None:
    """Raise an InputError if results stand in a folder already and `overwrite` was not asked for."""
    if not overwrite and (Path(output_dir) / name).exists():
        raise InputError(f"{output_dir} already holds {name}; choose another output_dir, or pass --overwrite True.")


def _refuse_missing(path: str | os.PathLike[str]) -> None:
    if not Path(path).is_file():
        raise InputError(f"weights {path} do not exist; train the bundle first or give `ckpt_path`.")
