"""Where the bundles are that come with the package."""

from __future__ import annotations

from pathlib import Path

import latentct
from latentct.errors import InputError


def installed_bundle(name: str) -> Path:
    """Return the folder of a bundle: in the installed package, or in the checkout that the package runs from.

    Raises:
        InputError: The installation has no such bundle.
    """
    package = Path(latentct.__file__).resolve().parent
    for folder in (package / "bundles", package.parents[1] / "bundles"):
        if (folder / name / "configs" / "inference.yaml").is_file():
            return folder / name
    raise InputError(f"the bundle {name} is not installed with latentct; name its folder with --bundle.")
