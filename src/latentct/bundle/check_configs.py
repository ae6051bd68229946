"""Faults of a bundle's configs, each file by itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from latentct.bundle.configs import leaves, read_config
from latentct.bundle.expressions import is_expression, is_import, is_short, leading_texts
from latentct.bundle.foreign import foreign
from latentct.errors import InputError

_FLOAT_TEXT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)[eE][+-]?\d+")
_OUTSIDE = re.compile(r"^(/|~|[A-Za-z]:[\\/])")


def config_faults(bundle: Path) -> Iterator[tuple[str, str, str]]:
    """Give file, key and sentence of every fault that a config shows by itself."""
    for file in sorted((bundle / "configs").glob("*.*")):
        if file.suffix in {".yaml", ".json"}:
            for key in duplicate_keys(file):
                yield file.name, key, "is given twice, and the last counts; remove one."
            try:
                config = read_config(file)
            except InputError as error:
                yield file.name, "", str(error)
                continue
            for key, value in leaves(config).items() if file.suffix == ".yaml" else ():
                for sentence in leaf_faults(key, value):
                    yield file.name, key, sentence


def leaf_faults(key: str, value: Any) -> Iterator[str]:
    """Give what is wrong with one value of a config, by itself."""
    if not isinstance(value, str):
        return
    if reason := foreign(key, value):
        yield f"{reason}; a bundle is made of this project's own parts."
    if _FLOAT_TEXT.fullmatch(value):
        yield f"'{value}' is text for YAML; write 1.0e-4, with a point and a sign."
    try:
        texts = leading_texts(value) if is_expression(value) else [value]
        if is_expression(value) and not is_import(value) and not is_short(value):
            yield f"'{value[:60]}' is more than one call on one line; put it into a function of the package."
    except SyntaxError:  # told by `foreign`
        return
    if outside := [text for text in texts if _OUTSIDE.match(text)]:
        yield f"'{outside[0]}' is a path of one machine; name files from the project's root, or take a key for it."


def duplicate_keys(file: Path) -> list[str]:
    """List the keys that stand twice in one entry of a YAML or JSON file, by their ids; none if it is no YAML."""
    import yaml

    try:  # JSON is YAML too
        return list(_duplicates(yaml.compose(file.read_text(encoding="utf-8"), yaml.CSafeLoader)))
    except (OSError, ValueError, yaml.YAMLError):
        return []


def _duplicates(node: Any, prefix: str = "") -> Iterator[str]:
    """Walk the nodes of a YAML document: pairs of nodes in a mapping, nodes in a list."""
    seen = set()
    content = node.value if node is not None and not isinstance(node.value, str) else []
    for number, part in enumerate(content):
        name, inner = (part[0].value, part[1]) if isinstance(part, tuple) else (str(number), part)
        if name in seen:
            yield f"{prefix}{name}"
        seen.add(name)
        yield from _duplicates(inner, f"{prefix}{name}::")
