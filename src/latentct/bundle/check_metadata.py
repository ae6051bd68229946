"""Faults of a bundle's metadata.json: its schema, its version, the packages it names."""

from __future__ import annotations

import functools
import importlib.metadata
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from latentct.bundle.configs import project_root, read_config, with_shared_entries
from latentct.bundle.fault import Fault
from latentct.errors import InputError

SCHEMA = Path(__file__).with_name("metadata.schema.json")
FILE = "configs/metadata.json"


def metadata_faults(bundle: Path) -> list[Fault]:
    """List what is wrong with the metadata; a file that is missing or no JSON is told elsewhere."""
    fault = functools.partial(Fault, bundle.resolve().name, FILE)
    try:
        metadata = read_config(bundle / FILE)
    except InputError:
        return []
    found = [fault(key, sentence) for key, sentence in (*_against_schema(metadata), *_versions(metadata))]
    try:
        with_shared_entries(metadata, project_root(bundle))
    except InputError as error:
        found.append(fault("", str(error)))
    return found


def _against_schema(metadata: dict[str, Any]) -> Iterator[tuple[str, str]]:
    from jsonschema import Draft202012Validator  # not at the top: it takes a tenth of a second

    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    for error in Draft202012Validator(schema).iter_errors(metadata):
        yield "::".join(str(part) for part in error.absolute_path), f"{error.message[:200]}; follow the schema."


def _versions(metadata: dict[str, Any]) -> Iterator[tuple[str, str]]:
    version, changelog = metadata.get("version"), metadata.get("changelog")
    if isinstance(changelog, dict) and version not in changelog:
        yield "version", f"version {version} is not in the changelog; add what is new in it."
    required = metadata.get("required_packages_version")
    named = {f"required_packages_version::{name}": (name, value) for name, value in _items(required)}
    for key, package in {"monai_version": "monai", "pytorch_version": "torch", "numpy_version": "numpy"}.items():
        named[key] = (package, metadata.get(key))
    for key, (package, value) in named.items():
        if isinstance(value, str) and (sentence := _not_installed(package, value)):
            yield key, sentence


def _not_installed(package: str, version: str) -> str | None:
    try:
        installed = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return f"{package} {version} is not installed; install it, or remove it from the metadata."
    same = installed.split(".")[:2] == version.split(".")[:2]
    return None if same else f"{package} is {version} here and {installed} in this environment; make them agree."


def _items(value: Any) -> Any:
    return value.items() if isinstance(value, dict) else ()
