"""Data manifests: JSON lists of volumes with patient, split, licence and hash.

A manifest says what belongs to a data set and how to recognise it; the files themselves stay where the user keeps
them. Every path in it is relative to the data set's folder, given as `dataset_dir` or by the variable LATENTCT_DATA.
The format is described in `manifest.schema.json` beside this file.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from latentct.errors import InputError

DATA_VARIABLE = "LATENTCT_DATA"
SPLITS = ("training", "validation", "test")
_SCHEMA_FILE = Path(__file__).with_name("manifest.schema.json")


def load_manifest(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a manifest, together with those it includes, and check it.

    Args:
        path: JSON file that follows `manifest.schema.json`.

    Returns:
        The manifest with keys `name`, `description` and `volumes`; the volumes of included manifests come first.

    Raises:
        InputError: If a file is missing, is not JSON or breaks the schema, if two volumes share an id, or if a patient
            appears in two splits.
    """
    manifest = _load(Path(path), ())
    _refuse_repeated_ids(manifest["volumes"], path)
    _refuse_patient_in_two_splits(manifest["volumes"], path)
    return manifest


def datalist(
    manifest: dict[str, Any] | str | os.PathLike[str],
    split: str,
    dataset_dir: str | os.PathLike[str] | None = None,
    check_hash: bool = False,
) -> list[dict[str, Any]]:
    """List the volumes of one split as MONAI datasets take them.

    Args:
        manifest: What `load_manifest` returns, or the path of a manifest.
        split: One of `SPLITS`.
        dataset_dir: Folder the manifest's paths are relative to; by default the one named by LATENTCT_DATA.
        check_hash: Also read every file and compare its SHA-256 with the manifest's.

    Returns:
        One dictionary a volume in the manifest's order: the volume's entry, with `image` as an absolute path. An
        optional entry that some of them lack is left out of all, so that items can be collated.

    Raises:
        InputError: If the manifest is bad, the split is unknown or empty, or a file is missing or not the one listed.
    """
    if not isinstance(manifest, dict):
        manifest = load_manifest(manifest)
    if split not in SPLITS:
        raise InputError(f"split '{split}' is unknown; choose one of {', '.join(SPLITS)}.")
    volumes = [volume for volume in manifest["volumes"] if volume["split"] == split]
    if not volumes:
        present = sorted({volume["split"] for volume in manifest["volumes"]})
        raise InputError(
            f"manifest '{manifest['name']}' has no volume in split '{split}'; it has {', '.join(present) or 'none'}."
        )
    folder = _dataset_folder(dataset_dir)
    common = set.intersection(*(set(volume) for volume in volumes))
    items = [
        {key: value for key, value in volume.items() if key in common} | {"image": str(folder / volume["image"])}
        for volume in volumes
    ]
    _refuse_missing_files(items, manifest["name"], folder)
    if check_hash:
        check_hashes(items)
    return items


def long_volumes(items: Iterable[dict[str, Any]], groups: Iterable[str], least_mm: float) -> list[dict[str, Any]]:
    """Keep the volumes of some groups that are long enough along z to be reconstructed as volumes.

    Args:
        items: What `datalist` returns.
        groups: Groups of the manifest to keep.
        least_mm: Least length along z in mm.

    Raises:
        InputError: If none is left.
    """
    items, wanted = list(items), set(groups)
    kept = [v for v in items if v["group"] in wanted and v["shape"][0] * v["spacing_mm"][0] >= least_mm]
    if not kept:
        raise InputError(
            f"none of {len(items)} volumes is of {', '.join(sorted(wanted))} and at least {least_mm:g} mm long; choose "
            "other groups or a shorter length."
        )
    return kept


def check_hashes(items: Iterable[dict[str, Any]]) -> None:
    """Compare the SHA-256 of every file with its manifest.

    Args:
        items: What `datalist` returns.

    Raises:
        InputError: At the first file that is not the one listed.
    """
    for item in items:
        found = file_sha256(item["image"])
        if found != item["sha256"]:
            raise InputError(
                f"{item['image']} has SHA-256 {found[:12]}... but the manifest lists {item['sha256'][:12]}... for "
                f"volume '{item['id']}'; fetch the file again, or build the manifest anew if the change is meant."
            )


def file_sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file's bytes in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def manifest_sha256(manifest: dict[str, Any] | str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a manifest's volumes, whatever the layout of its file, to record with a run."""
    if not isinstance(manifest, dict):
        manifest = load_manifest(manifest)
    text = json.dumps(manifest["volumes"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _load(path: Path, including: tuple[Path, ...]) -> dict[str, Any]:
    """Read one file and what it includes; `including` is the chain of files that led here."""
    if path.resolve() in including:
        raise InputError(
            f"manifest {path} includes itself through {including[-1].name}; remove one of the two includes."
        )
    content = _read_json(path)
    _validate(content, path)
    chain = (*including, path.resolve())
    volumes = [volume for name in content.get("include", []) for volume in _load(path.parent / name, chain)["volumes"]]
    return {
        "name": content["name"],
        "description": content.get("description", ""),
        "volumes": volumes + content.get("volumes", []),
    }


def _read_json(path: Path) -> Any:
    if not path.is_file():
        raise InputError(
            f"manifest {path} does not exist; give the path of a JSON file, or make one with 'latentct manifest build'."
        )
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"manifest {path} is not valid JSON ({error}); correct it or build it anew.") from error


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(json.loads(_SCHEMA_FILE.read_text(encoding="utf-8")))


def _validate(content: Any, path: Path) -> None:
    from jsonschema.exceptions import best_match

    error = best_match(_validator().iter_errors(content))
    if error is not None:
        raise InputError(
            f"manifest {path} breaks the schema at {error.json_path}: {error.message[:200]}; correct that entry."
        )


def _refuse_repeated_ids(volumes: list[dict[str, Any]], path: str | os.PathLike[str]) -> None:
    seen: set[str] = set()
    for volume in volumes:
        if volume["id"] in seen:
            raise InputError(
                f"manifest {os.fspath(path)} lists id '{volume['id']}' twice; give every volume its own id."
            )
        seen.add(volume["id"])


def _refuse_patient_in_two_splits(volumes: list[dict[str, Any]], path: str | os.PathLike[str]) -> None:
    split_of: dict[str, str] = {}
    for volume in volumes:
        first = split_of.setdefault(volume["patient"], volume["split"])
        if first != volume["split"]:
            raise InputError(
                f"manifest {os.fspath(path)} has patient '{volume['patient']}' in both '{first}' and "
                f"'{volume['split']}'; move all volumes of a patient to one split."
            )


def _dataset_folder(dataset_dir: str | os.PathLike[str] | None) -> Path:
    given = os.fspath(dataset_dir) if dataset_dir else os.environ.get(DATA_VARIABLE, "")
    if not given:
        raise InputError(
            f"no data folder was given; pass dataset_dir or set {DATA_VARIABLE} to the folder the paths start from."
        )
    folder = Path(given).expanduser().absolute()
    if not folder.is_dir():
        raise InputError(
            f"data folder {folder} does not exist; pass dataset_dir or set {DATA_VARIABLE} to an existing folder."
        )
    return folder


def _refuse_missing_files(items: list[dict[str, Any]], name: str, folder: Path) -> None:
    missing = [item["image"] for item in items if not Path(item["image"]).is_file()]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(items)} files of manifest '{name}' are missing, the first is {missing[0]}; "
            f"check that {folder} is the data set's folder."
        )
