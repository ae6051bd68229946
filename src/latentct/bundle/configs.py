"""Configs of a bundle as MONAI reads and layers them, without MONAI: what a run reads, and which keys it has."""

from __future__ import annotations

import functools
import json
import pickle
import re
from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from latentct.errors import InputError

CONFIGS = {
    "training": ("train.yaml",),
    "training_unet": ("train.yaml", "train_unet.yaml"),
    "training_completion": ("train.yaml", "train_completion.yaml"),
    "training_autoencoder": ("train_autoencoder.yaml",),
    "training_alignment": ("train_alignment.yaml",),
    "training_diffusion": ("train_diffusion.yaml",),
    "training_ldm": ("train_diffusion.yaml", "train_ldm.yaml"),
    "evaluating": ("train.yaml", "evaluate.yaml"),
    "inference": ("inference.yaml",),
}
IN_STAGES = {"evaluating": ("train_autoencoder.yaml", "evaluate.yaml")}
"""The same for bundles trained in stages, whose train.yaml is no training itself."""

_SHARED = re.compile(r"%(.+?\.(?:json|ya?ml))(?:::(.+))?", re.IGNORECASE)


def in_stages(bundle: Path) -> bool:
    """Whether a bundle's train.yaml runs stages that are configs of their own."""
    return (bundle / "configs" / "train_autoencoder.yaml").is_file()


def config_files(bundle: Path, run_id: str, layers: Iterable[str] = ()) -> list[Path]:
    """List the config files of a run, the complete one first.

    Raises:
        InputError: If the run id is unknown or the bundle lacks one of the files.
    """
    if run_id not in CONFIGS:
        raise InputError(
            f"run id '{run_id}' is unknown{did_you_mean(run_id, CONFIGS)}; choose one of {', '.join(CONFIGS)}."
        )
    folder = bundle / "configs"
    names = IN_STAGES.get(run_id, CONFIGS[run_id]) if in_stages(bundle) else CONFIGS[run_id]
    files = [folder / name for name in (*names, *(f"{layer}.yaml" for layer in layers))]
    for file in files:
        if not file.is_file():
            present = ", ".join(sorted(path.stem for path in folder.glob("*.yaml"))) or "no config"
            raise InputError(
                f"{file} does not exist (that folder has {present}); give a bundle's folder and its layers."
            )
    return files


def read_config(file: Path) -> dict[str, Any]:
    """Read one YAML or JSON file of a bundle.

    Raises:
        InputError: If the file is missing, is not valid, or holds no entries.
    """
    import yaml  # not at the top: `latentct --help` does without

    try:
        content = pickle.loads(_parsed(file.read_text(encoding="utf-8"), file.suffix))
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}); give an existing config.") from error
    except (ValueError, yaml.YAMLError) as error:
        raise InputError(f"{file} is no valid {file.suffix[1:].upper()}: {' '.join(str(error).split())}.") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise InputError(f"{file} must hold entries `key: value` with text as keys; found something else.")
    return content


@functools.lru_cache(maxsize=64)
def _parsed(text: str, suffix: str) -> bytes:
    """Parse a text once, though each of many stacks reads it; as bytes, so that nobody changes what others read."""
    import yaml

    return pickle.dumps(json.loads(text) if suffix == ".json" else yaml.load(text, yaml.CSafeLoader))


def read_layers(files: Iterable[Path]) -> dict[str, Any]:
    """Read configs on top of one another: a deep key `a::b` goes into the entry below, `+key` adds to it.

    Raises:
        InputError: If a file cannot be read, or goes into an entry that those below do not have.
    """
    config: dict[str, Any] = {}
    for file in files:
        for key, value in read_config(file).items():
            try:
                _merge(config, key, value)
            except LookupError as error:
                below = "the config it is a layer on"
                raise InputError(f"{file}: '{key}' goes into an entry that {below} does not have.") from error
            except TypeError as error:
                raise InputError(
                    f"{file}: '{key}' adds to an entry of another kind; both must be lists, or dicts."
                ) from error
    return config


def entry(config: Any, key: str) -> Any:
    """Return the entry of a config at a key like `train::handlers::0`.

    Raises:
        KeyError: If there is none.
    """
    for part in _parts(key):
        try:
            config = config[part if isinstance(config, dict) else int(part)]
        except (LookupError, TypeError, ValueError) as error:
            raise KeyError(key) from error
    return config


def with_shared_entries(config: Any, root: Path = Path()) -> Any:
    """Return a copy of a config with the entries in place that it reads from files of other bundles, `%file::key`.

    MONAI does so after overrides; before them, keys of what is shared can be overridden like a bundle's own. What a
    shared entry shares itself is put in place too.

    Args:
        config: content of a config.
        root: folder that the files are named from: the project's root, where MONAI runs.

    Raises:
        InputError: If a file or an entry does not exist, or an entry is made of itself.
    """
    return _resolved(config, functools.cache(lambda file: read_config(root / file)), ())


def is_shared(value: str) -> re.Match[str] | None:
    """Match a text that stands for an entry of another file; groups are the file and the key."""
    return _SHARED.fullmatch(value.replace("#", "::"))


def project_root(bundle: Path) -> Path:
    """Return the folder that a bundle's configs name files from: the one that holds `bundles`."""
    return bundle.resolve().parent.parent


def ids(config: Any, prefix: str = "") -> Iterator[str]:
    """Every id of a config, nested ones joined by `::` as MONAI writes them."""
    for key, value in _pairs(config):
        yield f"{prefix}{key}"
        yield from ids(value, f"{prefix}{key}::")


def leaves(config: Any) -> dict[str, Any]:
    """Everything in a config that is neither a dict nor a list, by its id."""
    found: dict[str, Any] = {}
    for key, value in _pairs(config):
        nested = isinstance(value, dict | list)
        found |= {f"{key}::{name}": leaf for name, leaf in leaves(value).items()} if nested else {str(key): value}
    return found


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ` (did you mean '...'?)` with the nearest known name, or nothing."""
    nearest = get_close_matches(name, sorted(known), 1)
    return f" (did you mean '{nearest[0]}'?)" if nearest else ""


def _resolved(config: Any, read: Callable[[str], Any], within: tuple[str, ...]) -> Any:
    if isinstance(config, dict):
        return {key: _resolved(value, read, within) for key, value in config.items()}
    if isinstance(config, list):
        return [_resolved(value, read, within) for value in config]
    match = is_shared(config) if isinstance(config, str) else None
    if not match:
        return config
    if config in within:
        raise InputError(f"'{config}' is made of itself; name the file that has the entry itself.")
    try:
        content = entry(read(match[1]), match[2]) if match[2] else read(match[1])
    except KeyError as error:
        raise InputError(f"'{config}' names an entry that {match[1]} does not have; correct the key.") from error
    return _resolved(content, read, (*within, config))


def _merge(config: dict[str, Any], key: str, value: Any) -> None:
    add, key = key.startswith("+"), key.removeprefix("+")
    *parents, last = _parts(key)
    holder: Any = entry(config, "::".join(parents)) if parents else config
    name: Any = last if isinstance(holder, dict) else int(last)
    if not add or (isinstance(holder, dict) and name not in holder):
        holder[name] = value
    elif isinstance(value, dict) and isinstance(holder[name], dict):
        holder[name].update(value)
    elif isinstance(value, list) and isinstance(holder[name], list):
        holder[name].extend(value)
    else:
        raise TypeError(key)


def _parts(key: str) -> list[str]:
    return key.replace("#", "::").split("::")


def _pairs(config: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(config, dict):
        return config.items()
    return enumerate(config) if isinstance(config, list) else ()
