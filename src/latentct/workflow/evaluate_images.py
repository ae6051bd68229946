"""Two images of the same voxels, whatever they came as."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from latentct.errors import InputError
from latentct.io.image import CTImage
from latentct.io.inputs import read_input
from latentct.workflow.outputs import DICOM, IMAGE, SUMMARY
from latentct.workflow.simulate_geometry import SAME_PLACE_MM, largest_distance_mm


def read_image(path: Path) -> CTImage:
    """Read a NIfTI file, a DICOM folder, or the image in a folder of `latentct correct`.

    Raises:
        InputError: There is no image.
    """
    image = read_input(_in_results(path))
    if not isinstance(image, CTImage):
        raise InputError(f"{path} holds projections, but an image is expected; run `latentct reconstruct` on it first.")
    return image


def refuse_other_grid(result: CTImage, reference: CTImage) -> None:
    """Raise an InputError unless the voxels of two images stand at the same places; nothing is resampled."""
    shapes = [" x ".join(map(str, image.x_hu.shape)) for image in (result, reference)]
    if result.x_hu.shape != reference.x_hu.shape:
        raise InputError(
            f"RESULT has {shapes[0]} voxels and REFERENCE {shapes[1]}, but the same are expected; resample one of them."
        )
    apart_mm = largest_distance_mm(result.affine_lps_mm, reference.affine_lps_mm, result.x_hu.shape)
    if not apart_mm <= SAME_PLACE_MM:
        raise InputError(
            f"RESULT and REFERENCE have voxels up to {apart_mm:.3g} mm apart, but {SAME_PLACE_MM:g} mm are allowed; "
            "resample one of them."
        )


def image_hash(image: CTImage) -> str:
    """Return the SHA-256 of shape and HU, which tells images apart and tells of no patient."""
    digest = hashlib.sha256(repr(image.x_hu.shape).encode())
    digest.update(np.ascontiguousarray(image.x_hu, dtype="<f4").data)
    return digest.hexdigest()


def counted_voxels(result: CTImage, reference: CTImage) -> NDArray[np.bool_]:
    """Return the voxels that are padding in neither image, (D, H, W)."""
    counted = np.ones(result.x_hu.shape, dtype=np.bool_)
    for image in (result, reference):
        if image.padding is not None:
            counted &= ~image.padding
    return counted


def _in_results(path: Path) -> Path:
    if not (path / SUMMARY).is_file():
        return path
    for name in (DICOM, IMAGE):
        if (path / name).exists():
            return path / name
    raise InputError(f"{path} holds neither {DICOM} nor {IMAGE}; run `latentct correct` again.")
