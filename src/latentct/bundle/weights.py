"""Weight files of a bundle: which a config names, what they hold, and whether they are still those that were staged."""

from __future__ import annotations

import json
import pickletools
import re
import zipfile
from pathlib import Path
from typing import Any

from latentct.bundle.configs import project_root
from latentct.errors import InputError
from latentct.io.manifest import file_sha256

HASHES = "sha256.json"

_OWN = re.compile(r"\$@bundle_root \+ '/models/([\w.-]+)'")
_OF_TENSORS = re.compile(
    r"collections OrderedDict|torch\._utils _rebuild_\w+|torch \w+Storage|torch\.storage \w+Storage"
)


def named_weights(value: Any, bundle: Path) -> Path | None:
    """Return the file of weights that a value of a config stands for; None if it stands for none.

    These are plain paths that end in .pt or .ts, from the project's root, and `$@bundle_root + '/models/<name>'`.
    """
    if not isinstance(value, str):
        return None
    if own := _OWN.fullmatch(value):
        return (bundle / "models" / own[1]).resolve()
    plain = value.endswith((".pt", ".ts")) and not value.startswith(("$", "@", "%"))
    return (project_root(bundle) / value).resolve() if plain else None


def weights_fault(file: Path) -> str | None:
    """Say why a file is not plain weights as `torch.save` writes them, or None; it is read, but nothing is loaded."""
    if not zipfile.is_zipfile(file):
        return "is no zip as torch.save writes it; save a state dictionary"
    with zipfile.ZipFile(file) as archive:
        pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            return "has no data.pkl as torch.save writes it; save a state dictionary"
        content = archive.read(pickles[0])
    try:
        for operation, argument, _ in pickletools.genops(content):
            plain = operation.name == "GLOBAL" and _OF_TENSORS.fullmatch(str(argument))
            if operation.name in {"GLOBAL", "STACK_GLOBAL", "INST"} and not plain:
                return (
                    f"would load '{argument or operation.name}', which is no part of tensors; save a state dictionary"
                )
    except ValueError:
        return "holds a pickle that cannot be read; save a state dictionary again"
    return None


def write_hashes(root: Path) -> dict[str, str]:
    """Hash every file of a bundle's `models/`, and keep the hashes there in `sha256.json`.

    Returns:
        SHA-256 by name of the file.
    """
    hashes = {file.name: file_sha256(file) for file in _weight_files(root)}
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
        if file_sha256(found[name]) != expected[name]:
            raise InputError(f"{found[name]} is not the file whose SHA-256 is in {HASHES}; stage the bundle again.")


def _weight_files(root: Path) -> list[Path]:
    return sorted(path for path in (root / "models").iterdir() if path.name != HASHES)
