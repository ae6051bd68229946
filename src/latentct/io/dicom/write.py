"""A corrected image as a DICOM series derived from the one that was read."""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import generate_uid

from latentct.errors import InputError
from latentct.io.dicom.derived import Kind, NewUids, derived_header, new_uids, set_geometry, set_pixels
from latentct.io.dicom.headers import floats, has_value, quiet
from latentct.io.dicom.read import DicomSource
from latentct.io.dicom.slices import Slice
from latentct.io.image import CTImage
from latentct.io.outputs import whole_output

# DICOM has no code for a correction of projections, so the image is coded as what it is after it: reconstructed.
_RECONSTRUCTED = ("113962", "Filtered Back Projection")
_MASKED = ("113047", "Pixel by pixel mask")
_USUAL_PADDING = -2000
_INT16 = np.iinfo(np.int16)


def write_series(
    image: CTImage,
    folder: str | os.PathLike[str],
    derivation: str,
    *,
    synthesised: NDArray[np.floating[Any]] | None = None,
    overwrite: bool = False,
) -> None:
    """Write an image, and which of its pixels rest on synthesised rays, as series derived from its source.

    The files are plain CT images, `image_0001.dcm` and on, uncompressed, in the orientation of the source. HU are
    rounded to integers, and clipped where they span more than 65536. The map is a CT series of its own in percent
    (RescaleType PCT), `synthesised_0001.dcm` and on: it has the geometry of the image, so any viewer that fuses two
    series lays one over the other, which few do with fractional segmentations; `read_series` does not take it for an
    image in HU.

    Args:
        image: What to write. `source` is that of `read_series`; its grid may be another one along the same axes.
        folder: Appears when it is whole.
        derivation: What was done to the image, in words that name no patient.
        synthesised: Shape of the image, share of each pixel that rests on synthesised rays, from 0 to 1.
        overwrite: Replace a folder that is there.

    Raises:
        InputError: If the folder is there already or cannot be written, or the image was not read from DICOM.
    """
    source = image.source
    if not isinstance(source, DicomSource):
        raise InputError("The image was not read from DICOM, so no DICOM series can be derived from it; write NIfTI.")
    uids = new_uids(source.slices[0].header)
    with whole_output(Path(folder), overwrite=overwrite) as partial:
        partial.mkdir()
        kind = Kind("latentct", 1, derivation, _RECONSTRUCTED, "HU")
        stored, intercept, padding = _stored_hu(image)
        _write(partial, "image", stored, intercept, padding, image, kind, uids)
        if synthesised is not None:
            percent = np.rint(np.clip(synthesised, 0, 1) * 100).astype(np.int16)
            words = f"Percentage of each pixel that rests on synthesised rays. {derivation}"
            kind = Kind("latentct synthesised", 2, words, _MASKED, "PCT")
            _write(partial, "synthesised", percent, 0, None, image, kind, uids)


def _write(
    folder: Path,
    name: str,
    stored: NDArray[np.int16],
    intercept: int,
    padding: int | None,
    image: CTImage,
    kind: Kind,
    uids: NewUids,
) -> None:
    source: Any = image.source
    volume, affine = source.turn.to_stored(stored, image.affine_lps_mm)
    nearest = _nearest(source.slices, affine, len(volume))
    series_uid = generate_uid(None)
    for place, (pixels, one) in enumerate(zip(volume, nearest, strict=True)):
        new = derived_header(one, kind, uids, series_uid, place + 1)
        set_geometry(new, affine, place, _thickness_mm(one))
        set_pixels(new, pixels, intercept, kind.rescale_type, padding)
        if kind.rescale_type == "PCT":
            new.WindowCenter, new.WindowWidth = 50, 100
        _save(new, folder / f"{name}_{place + 1:04d}.dcm")


def _save(new: Dataset, path: Path) -> None:
    with quiet():
        new.save_as(path, enforce_file_format=True)


def _stored_hu(image: CTImage) -> tuple[NDArray[np.int16], int, int | None]:
    """Integers for HU, the intercept that makes them fit, and the one that marks padding."""
    keep = np.ones(image.x_hu.shape, bool) if image.padding is None else ~image.padding
    low, high = (float(end) for end in (image.x_hu[keep].min(), image.x_hu[keep].max())) if keep.any() else (0.0, 0.0)
    has_padding = not keep.all()
    padding_hu = min(_USUAL_PADDING, math.floor(low) - 1)
    if has_padding:
        low = padding_hu
    intercept = 0
    if high > _INT16.max:
        intercept = math.ceil(high) - int(_INT16.max)
    elif low < _INT16.min:
        intercept = math.floor(low) - int(_INT16.min)
    hu = np.where(keep, image.x_hu, padding_hu) if has_padding else image.x_hu
    stored = np.clip(np.rint(hu - intercept), _INT16.min, _INT16.max).astype(np.int16)
    return stored, intercept, padding_hu - intercept if has_padding else None


def _nearest(slices: tuple[Slice, ...], affine: NDArray[np.float64], n_slices: int) -> list[Slice]:
    """The slice of the source that lies nearest to each new one."""
    normal = np.cross(*slices[0].directions)
    have_mm = np.array([one.position_mm @ normal for one in slices])
    first_mm, step_mm = affine[:3, 3] @ normal, affine[:3, 0] @ normal
    return [slices[int(np.abs(have_mm - (first_mm + place * step_mm)).argmin())] for place in range(n_slices)]


def _thickness_mm(one: Slice) -> float | None:
    if not has_value(one.values, "SliceThickness"):
        return None
    return floats(one.values, "SliceThickness", 1, one.path)[0]
