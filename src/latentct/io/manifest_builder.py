"""Make a manifest from a folder of NIfTI files, with or without a table that describes them."""

import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latentct.errors import InputError
from latentct.io.files import whole_file
from latentct.io.manifest import file_sha256
from latentct.io.nifti import has_nifti_suffix, read_info

_FROM_TABLE = (
    "id",
    "patient",
    "split",
    "group",
    "source",
    "licence",
    "complete_slices",
    "body_truncated",
    "metal",
    "notes",
)

Progress = Callable[[list[dict[str, Any]]], Iterable[dict[str, Any]]]


@dataclass(frozen=True)
class VolumeDefaults:
    """What is written for a volume where no table says otherwise."""

    split: str
    group: str = "unknown"
    source: str = "unknown"
    licence: str = "unknown"


def build_manifest(
    folder: str | os.PathLike[str],
    defaults: VolumeDefaults,
    name: str,
    description: str = "",
    rows: list[dict[str, Any]] | None = None,
    validation_fraction: float = 0.0,
    progress: Progress = iter,
) -> dict[str, Any]:
    """List the NIfTI files of a folder with their hash, shape and spacing.

    Args:
        folder: Data set's folder; the manifest's paths are relative to it.
        defaults: Split, group, source and licence of volumes that no row describes.
        name: Name of the manifest.
        description: One sentence or more about the data set.
        rows: What `read_table` returns; then exactly its files are listed. By default every NIfTI file below `folder`,
            each its own patient, with the id taken from its path.
        validation_fraction: Share of the training patients that is moved to the validation split, see `is_validation`.
        progress: Wraps the list of rows while it is worked through, e.g. `tqdm`.

    Returns:
        The manifest, ready for `write_manifest`.

    Raises:
        InputError: If there is no NIfTI file, one cannot be read, or one is not the file that the table lists.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"folder {folder} does not exist; give the folder that holds the NIfTI files.")
    rows = _rows_of_folder(folder) if rows is None else rows
    volumes = [_volume(folder, row, defaults) for row in progress(rows)]
    for volume in volumes:
        if volume["split"] == "training" and is_validation(volume["patient"], validation_fraction):
            volume["split"] = "validation"
    return {"name": name, "description": description, "volumes": volumes}


def is_validation(patient: str, fraction: float) -> bool:
    """Decide by a hash of the pseudonym whether a training patient is held out for validation.

    A patient's side depends on nothing else, so it stays when others come or go, and across manifests.

    >>> [is_validation(f"patient_{i}", 0.5) for i in range(4)]
    [False, False, False, True]
    """
    digest = hashlib.sha256(f"latentct{patient}".encode()).hexdigest()
    return int(digest[:8], 16) / 16**8 < fraction


def read_table(path: str | os.PathLike[str], groups: Collection[str] = ()) -> list[dict[str, Any]]:
    """Read a JSON table that describes files: a list of objects, or an object whose `volumes` is one.

    Each row has `file`, relative to the data set's folder, and may have `id, patient, split, group, source, licence,
    complete_slices, body_truncated, metal, notes, sha256`; other entries are ignored.

    Args:
        path: JSON file.
        groups: Keep only rows of these groups; by default all.

    Raises:
        InputError: If the file is missing or has another form, or if no row is left.
    """
    if not Path(path).is_file():
        raise InputError(f"table {os.fspath(path)} does not exist; give a JSON file with one row a volume.")
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"table {os.fspath(path)} is not valid JSON ({error}); correct it.") from error
    rows = content.get("volumes") if isinstance(content, dict) else content
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and isinstance(row.get("file"), str) for row in rows
    ):
        raise InputError(
            f"table {os.fspath(path)} must be a list of objects that each name a 'file'; add that entry to every row."
        )
    rows = [row for row in rows if not groups or row.get("group") in groups]
    if not rows:
        raise InputError(f"table {os.fspath(path)} has no row of group {', '.join(groups)}; name a group that it has.")
    return rows


def write_manifest(manifest: dict[str, Any], path: str | os.PathLike[str], force: bool = False) -> None:
    """Write a manifest, one line a volume, so that a change shows as the lines of the volumes it touches.

    Raises:
        InputError: If the file exists and `force` is not set.
    """
    if Path(path).exists() and not force:
        raise InputError(f"{os.fspath(path)} exists already; choose another name or pass --force to replace it.")
    head = {key: value for key, value in manifest.items() if key != "volumes"}
    lines = ",\n".join(f"    {json.dumps(volume, ensure_ascii=False)}" for volume in manifest["volumes"])
    text = json.dumps(head, indent=2, ensure_ascii=False).removesuffix("\n}") + f',\n  "volumes": [\n{lines}\n  ]\n}}\n'
    with whole_file(Path(path)) as partial:
        partial.write_text(text, encoding="utf-8")


def _rows_of_folder(folder: Path) -> list[dict[str, Any]]:
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if has_nifti_suffix(path))
    if not files:
        raise InputError(f"folder {folder} holds no .nii or .nii.gz file; give the folder that holds the NIfTI files.")
    return [{"file": file} for file in files]


def _volume(folder: Path, row: dict[str, Any], defaults: VolumeDefaults) -> dict[str, Any]:
    path = folder / row["file"]
    info = read_info(path)
    sha256 = file_sha256(path)
    if row.get("sha256", sha256) != sha256:
        raise InputError(
            f"{path} has SHA-256 {sha256[:12]}... but the table lists {row['sha256'][:12]}...; fetch the file again."
        )
    identifier = row["file"].lower().removesuffix(".gz").removesuffix(".nii").replace("/", "_")
    identifier = row["file"][: len(identifier)].replace("/", "_")
    described = {key: row[key] for key in _FROM_TABLE if key in row}
    volume = (
        {"id": identifier, "image": row["file"], "patient": described.get("id", identifier)}
        | vars(defaults)
        | described
    )
    return volume | {"sha256": sha256, "spacing_mm": list(info.spacing_mm), "shape": list(info.shape)}
