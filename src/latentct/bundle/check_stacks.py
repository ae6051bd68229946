"""Faults of a bundle's configs as the runs layer them: what is missing, leads nowhere, or cannot be made."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from latentct.bundle.check_files import listed_files
from latentct.bundle.configs import did_you_mean, ids, in_stages, leaves
from latentct.bundle.expressions import is_expression
from latentct.bundle.foreign import foreign
from latentct.bundle.stacks import components, config_stacks, plain, read_stack, run_id
from latentct.bundle.targets import target_fault
from latentct.bundle.weights import named_weights
from latentct.errors import InputError

OVERRIDDEN = ("manifest", "dataset_dir", "split", "output_dir", "seed", "experiment_name", "run_name", "device")
"""Keys that every run takes."""
REQUIRED = {
    "train": (
        *("bundle_root", "device", "dataset_dir", "network_def"),
        *("train::trainer", "train::trainer::max_epochs", "train::dataset", "train::inferer"),
    ),
    "infer": ("bundle_root", "device", "dataset_dir", "network_def", "dataset", "inferer", "evaluator"),
}
"""Ids that MONAI requires of a complete config, by the type of its workflow."""
SAME_MEANING = {
    False: ("train.yaml", "inference.yaml", ("network_def", "hu_min", "hu_max", "grid")),
    True: ("train_autoencoder.yaml", "inference.yaml", ("autoencoder_def", "hu_min", "hu_max", "grid")),
}
"""Entries that mean the same in training and inference, whatever they refer to; by whether there are stages."""
SAME_TEXT = ("task", "scan", "scanner", "implants", "inferer", "simulation", "comparison")
"""Entries that are written alike in evaluation and inference, where both have them."""

_REFERENCE = re.compile(r"@\w*(?:::\w*)*")


def stack_faults(bundle: Path) -> Iterator[tuple[str, str, str]]:
    """Give files, key and sentence of every fault that shows when a bundle's configs are layered."""
    loaded: dict[str, dict[str, Any]] = {}
    for stack in config_stacks(bundle):
        name = " + ".join(file.name for file in stack)
        try:
            config = read_stack(stack)
        except InputError as error:
            if all(file.is_file() for file in stack):  # that one is missing is told elsewhere
                yield name, "", str(error)
            continue
        loaded[stack[-1].name] = config
        without_meta = {key: value for key, value in config.items() if key != "_meta_"}
        for faults in (
            _required(stack, config),
            _references(without_meta, set(ids(config))),
            _weights(bundle, without_meta),
            _components(without_meta),
        ):
            yield from ((name, key, sentence) for key, sentence in faults)
    yield from _disagreements(bundle, loaded)


def _components(config: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for key, component in components(config):
        arguments = frozenset(name for name in component if not name.startswith("_"))
        target = component["_target_"]
        if not foreign("_target_", target) and (
            reason := target_fault(target, arguments)
        ):  # foreign ones are told elsewhere
            yield key, f"{reason}; correct it."


def _required(stack: list[Path], config: dict[str, Any]) -> Iterator[tuple[str, str]]:
    name = run_id(stack)
    if not config.get("run"):
        yield "run", "is missing or empty; list what the run does."
    elif config.get(name) != config["run"]:
        yield name, f'is not what `run` is; write {name}: "%run".'
    needed = [*OVERRIDDEN]
    if len(stack) == 1 and name == "inference":
        needed += REQUIRED["infer"]
    elif len(stack) == 1 and not (stack[0].name == "train.yaml" and in_stages(stack[0].parents[1])):
        needed += REQUIRED["train"]
    known = set(ids(config))
    for key in dict.fromkeys(needed):
        if key not in known:
            yield (
                key,
                f"is missing{did_you_mean(key, known)}; every {'config' if key in OVERRIDDEN else name} has this key.",
            )


def _references(config: dict[str, Any], known: set[str]) -> Iterator[tuple[str, str]]:
    for key, value in leaves(config).items():
        if not isinstance(value, str):
            continue
        if value.startswith("%"):
            yield key, f"'{value}' names no entry; correct it."
        text = value.replace("#", "::")
        for reference in _REFERENCE.findall(text) if is_expression(text) else [text] * bool(_REFERENCE.fullmatch(text)):
            if _absolute(reference[1:], key) not in known:
                yield key, f"'{reference}' names no entry{did_you_mean(reference[1:], known)}; correct it."


def _absolute(reference: str, key: str) -> str:
    """Make a reference relative to its own place, `::name` or `::::name`, one from the top."""
    name = reference.lstrip(":")
    levels = (len(reference) - len(name)) // 2
    return "::".join([*key.split("::")[: -levels or None], name]) if levels else name


def _weights(bundle: Path, config: dict[str, Any]) -> Iterator[tuple[str, str]]:
    try:
        fetched = listed_files(bundle)
    except InputError:  # told elsewhere
        return
    for key, value in leaves(config).items():
        file = named_weights(value, bundle)
        if file and not file.is_file() and f"models/{file.name}" not in fetched:
            yield key, f"weights {file.parent.parent.name}/models/{file.name} do not exist; train or fetch them."


def _disagreements(bundle: Path, loaded: Mapping[str, dict[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """Give file, key and sentence of what two runs should share and do not."""
    first, second, keys = SAME_MEANING[in_stages(bundle)]
    if first in loaded and second in loaded:
        for key in keys:
            one, other = plain(loaded[first], key), plain(loaded[second], key)
            yield from _differences(first, second, key, one, other)
    evaluation, inference = loaded.get("evaluate.yaml", {}), loaded.get("inference.yaml", {})
    for key in SAME_TEXT:
        if key in evaluation and key in inference:
            yield from _differences("evaluate.yaml", "inference.yaml", key, evaluation[key], inference[key])


def _differences(first: str, second: str, key: str, one: Any, other: Any) -> Iterator[tuple[str, str, str]]:
    if one != other:
        sides = leaves({key: one}), leaves({key: other})
        where = next((name for name in (*sides[0], *sides[1]) if sides[0].get(name) != sides[1].get(name)), key)
        found = [repr(side.get(where))[:40] for side in sides]
        yield second, where, f"is {found[1]}, but {found[0]} in {first}; they describe one model or one scan."
