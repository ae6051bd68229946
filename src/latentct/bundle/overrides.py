"""Values that a command line sets in the configs of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from latentct.bundle.configs import did_you_mean, ids, read_layers, with_shared_entries
from latentct.errors import InputError

OF_MONAI = ("logging_file", "meta_file", "tracking")
"""Options that are no keys of a config."""
_SET_BY_COMMAND = ("bundle_root", "config_file", "run_id")


def parse_overrides(arguments: Iterable[str]) -> dict[str, Any]:
    """Turn `--key value` and `--key=value` into a dictionary, with values read as `python -m monai.bundle` reads them.

    Raises:
        InputError: If an argument is no option, or sets what the command itself sets.
    """
    from fire.parser import DefaultParseValue  # not at the top: `latentct --help` does without

    overrides: dict[str, Any] = {}
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        key, has_value, text = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or not key:
            raise InputError(f"argument '{argument}' is not understood; overrides are written --key value.")
        if key in _SET_BY_COMMAND:
            raise InputError(f"--{key} cannot be overridden; it follows from the bundle and the run id you name.")
        if not has_value:
            text = rest.pop(0) if rest and not rest[0].startswith("--") else "True"
        overrides[key] = DefaultParseValue(text)
    return overrides


def refuse_unknown_keys(overrides: Mapping[str, Any], files: list[Path], root: Path = Path()) -> None:
    """Refuse overrides of keys that the configs do not have, which MONAI would accept without a word.

    Args:
        overrides: values by key.
        files: configs, each a layer on those before.
        root: folder that the configs name shared files from.

    Raises:
        InputError: Names the first unknown key and the nearest known one.
    """
    known = {*OF_MONAI, *ids(with_shared_entries(read_layers(files), root))}
    for key in overrides:
        if key.replace("#", "::") not in known:
            configs = ", ".join(file.name for file in files)
            raise InputError(f"override --{key} is no key of {configs}{did_you_mean(key, known)}; correct the name.")
