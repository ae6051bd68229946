"""Refuse to run when a patient, or a file, is on both sides of a split."""

import os
from collections.abc import Iterable, Mapping
from typing import Any

from latentct.errors import InputError
from latentct.io.manifest import load_manifest

Manifest = Mapping[str, Any] | str | os.PathLike[str]

SEEN_SPLITS = ("training", "validation")
"""Splits whose patients a trained network has seen: to fit it, or to choose its best weights."""


def check_splits(items: Iterable[Mapping[str, Any]]) -> None:
    """Check that no patient and no file is in two splits.

    The file counts too, by its SHA-256, because one scan may be listed under two pseudonyms.

    Args:
        items: Volumes with `id`, `patient`, `split` and `sha256`: the volumes of a manifest, or the items that
            `latentct.io.manifest.datalist` returns for several splits together.

    Raises:
        InputError: At the first volume whose patient or file is in another split too.
    """
    first_of: dict[tuple[str, str], Mapping[str, Any]] = {}
    for item in items:
        for key in ("patient", "sha256"):
            first = first_of.setdefault((key, item[key]), item)
            if first["split"] != item["split"]:
                raise InputError(
                    f"{_what(key, item)} is in both '{first['split']}' (volume '{first['id']}') and "
                    f"'{item['split']}' (volume '{item['id']}'); move all volumes of a patient to one split."
                )


def check_overlap(
    tested: Iterable[Mapping[str, Any]], trained_on: Manifest, seen_splits: Iterable[str] = SEEN_SPLITS
) -> None:
    """Check that nothing that is tested on was trained on, when the two come from different manifests.

    Args:
        tested: Items of `latentct.io.manifest.datalist` with `id`, `patient` and `sha256`.
        trained_on: Manifest of the training, as a path or as `load_manifest` returns it.
        seen_splits: Its splits that the training read.

    Raises:
        InputError: If the manifest is bad, or at the first tested volume whose patient or file was seen in training.
    """
    manifest = trained_on if isinstance(trained_on, Mapping) else load_manifest(trained_on)
    splits = set(seen_splits)
    seen = {
        (key, volume[key]): volume
        for volume in manifest["volumes"]
        if volume["split"] in splits
        for key in ("patient", "sha256")
    }
    for item in tested:
        for key in ("patient", "sha256"):
            if (key, item[key]) in seen:
                volume = seen[key, item[key]]
                raise InputError(
                    f"{_what(key, item)} (volume '{item['id']}') is tested on but was seen in training as volume "
                    f"'{volume['id']}' of split '{volume['split']}' of manifest '{manifest['name']}'; leave it out."
                )


def _what(key: str, item: Mapping[str, Any]) -> str:
    return f"patient '{item['patient']}'" if key == "patient" else f"the file with SHA-256 {item['sha256'][:12]}..."
