"""Weight files of a staged bundle and their hashes, which say whether they are still those that were staged."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from latentct.errors import InputError

HASHES = "sha256.json"


def sha256(file: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_hashes(root: Path) -> dict[str, str]:
    """Hash every file of a bundle's `models/`, and keep the hashes there in `sha256.json`.

    Returns:
        SHA-256 by name of the file.
    """
    hashes = {file.name: sha256(file) for file in _weight_files(root)}
    (root / "models" / HASHES).write_text(json.dumps(hashes, indent=4) + "\n", encoding="utf-8")
    return hashes


def verify_weights(root: Path) -> None:
    """Compare the weights of a staged bundle with the hashes that were taken when it was staged.

    Raises:
        InputError: If a file is missing, is another one, or is not listed.
    """
    listing = root / "models" / HASHES
    try:
        expected = dict(json.loads(listing.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{listing} cannot be read ({type(error).__name__}); stage the bundle again.") from error
    found = {file.name: file for file in _weight_files(root)}
    for name in sorted({*expected, *found}):
        if name not in found:
            raise InputError(f"{root / 'models' / name} is missing, but {HASHES} lists it; stage the bundle again.")
        if name not in expected:
            raise InputError(f"{found[name]} is not listed in {HASHES}; remove it or stage the bundle again.")
        if sha256(found[name]) != expected[name]:
            raise InputError(f"{found[name]} is not the file whose SHA-256 is in {HASHES}; stage the bundle again.")


def _weight_files(root: Path) -> list[Path]:
    return sorted(path for path in (root / "models").iterdir() if path.name != HASHES)
