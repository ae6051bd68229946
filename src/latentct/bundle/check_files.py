"""Faults of a bundle's files: what is missing, what is too large, and what does not belong there."""

from __future__ import annotations

import functools
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from latentct.bundle.configs import read_config
from latentct.bundle.fault import Fault
from latentct.bundle.weights import weights_fault
from latentct.errors import InputError
from latentct.io.manifest import file_sha256

FILES = (
    "LICENSE",
    "configs/metadata.json",
    "configs/train.yaml",
    "configs/inference.yaml",
    "configs/evaluate.yaml",
    "configs/smoke.yaml",
    "configs/multi_gpu_train.yaml",
    "configs/logging.conf",
    "docs/README.md",
    "docs/data_license.txt",
)
SHIPPED = ("configs", "docs", "models")
LISTING = "large_files.yml"
LARGEST_BYTES = 25 * 1000**2
"""Larger files are kept elsewhere and listed in large_files.yml."""

_DIGITS = {"sha256": 64, "sha512": 128}
_KEYS = ("path", "url", "hash_val", "hash_type")


def file_faults(bundle: Path) -> list[Fault]:
    """List what is wrong with the files of a bundle, whatever stands in its configs."""
    fault = functools.partial(Fault, bundle.resolve().name)
    found = []
    for name in FILES:
        if not (bundle / name).is_file() or (bundle / name).stat().st_size == 0:
            found.append(fault(name, "", "is missing or empty; every bundle has this file."))
    for file in sorted(bundle.rglob("*.py")):
        found.append(fault(str(file.relative_to(bundle)), "", "is Python; a bundle has none, put it into the package."))
    for file in sorted((bundle / "models").glob("*.pt")):
        if reason := weights_fault(file):
            found.append(fault(f"models/{file.name}", "", f"{reason}."))
    return [*found, *_large_files(bundle, fault)]


def listed_files(bundle: Path) -> dict[str, dict[str, Any]]:
    """Return the entries of a bundle's large_files.yml by their path in the bundle; those without one are left out.

    Raises:
        InputError: If the file cannot be read.
    """
    if not (bundle / LISTING).is_file():
        return {}
    entries = read_config(bundle / LISTING).get("large_files")
    return {str(item["path"]): item for item in entries or [] if isinstance(item, dict) and item.get("path")}


def _large_files(bundle: Path, fault: Callable[[str, str, str], Fault]) -> Iterator[Fault]:
    try:
        listed = listed_files(bundle)
    except InputError as error:
        yield fault(LISTING, "", str(error))
        return
    for folder in SHIPPED:
        for file in sorted(path for path in (bundle / folder).rglob("*") if path.is_file()):
            name = str(file.relative_to(bundle))
            if file.stat().st_size > LARGEST_BYTES and name not in listed:
                megabytes = file.stat().st_size / 1000**2
                yield fault(
                    name, "", f"has {megabytes:.0f} MB, more than 25; list it in {LISTING} and take it out of git."
                )
    if (bundle / LISTING).is_file():
        for number, item in enumerate(read_config(bundle / LISTING).get("large_files") or []):
            for sentence in _entry_faults(bundle, item):
                yield fault(LISTING, f"large_files::{number}", sentence)


def _entry_faults(bundle: Path, item: Any) -> Iterator[str]:
    lacking = [key for key in _KEYS if not isinstance(item, dict) or not isinstance(item.get(key), str)]
    if lacking:
        yield f"has no {' and no '.join(lacking)}; an entry has {', '.join(_KEYS)}, all of them text."
        return
    path, kind = item["path"], item["hash_type"]
    if Path(path).is_absolute() or ".." in Path(path).parts:
        yield f"path '{path}' leads out of the bundle; name a file in it."
    if not item["url"].startswith("https://"):
        yield f"url '{item['url']}' is not https; give one that is."
    if kind not in _DIGITS:
        yield f"hash_type '{kind}' is unknown; use {' or '.join(_DIGITS)}."
    elif not re.fullmatch(f"[0-9a-f]{{{_DIGITS[kind]}}}", item["hash_val"]):
        yield f"hash_val is no {kind}, which has {_DIGITS[kind]} hexadecimal digits; hash the file again."
    elif kind == "sha256" and (bundle / path).is_file() and file_sha256(bundle / path) != item["hash_val"]:
        yield f"{path} has another SHA-256 than is listed; fetch it again or correct hash_val."
    if _in_git(bundle, path):
        yield f"{path} is in git too; take it out, because what is listed is fetched."


def _in_git(bundle: Path, path: str) -> bool:
    command = ["git", "-C", str(bundle), "ls-files", "--error-unmatch", "--", path]
    try:
        return subprocess.run(command, capture_output=True, timeout=10).returncode == 0
    except OSError:  # no git here, so nothing is in it
        return False
