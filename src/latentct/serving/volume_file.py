"""Volumes in NIfTI files that nobody vouches for: the header is read and compared before any voxel."""

from __future__ import annotations

import gzip
import zlib
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentct.errors import InputError
from latentct.serving.limits import MAX_PIXELS, MAX_SLICES, check_count, check_size

LARGEST_HU = 1e5
LARGEST_OFFSET = 10**6
"""Bytes before the voxels, which are skipped."""


def read_nifti(content: bytes, name: str) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return the voxels of a NIfTI file in HU as stored, and their affine to RAS mm; texts in the header are not read.

    Args:
        content: of the file, compressed by gzip or not.
        name: what the messages call it.

    Raises:
        InputError: it is no NIfTI file, or holds no single finite 3-D volume of a size that is served.
    """
    import nibabel.arrayproxy
    from nibabel.spatialimages import HeaderDataError
    from nibabel.wrapstruct import WrapStructError

    stream: Any = gzip.GzipFile(fileobj=BytesIO(content)) if content[:2] == b"\x1f\x8b" else BytesIO(content)
    try:
        header = _header(stream, name)
        shape = _checked_shape(header, name)
        affine = np.asarray(header.get_best_affine(), dtype=np.float64)
        array_proxy: Any = nibabel.arrayproxy.ArrayProxy
        voxels = np.asanyarray(array_proxy(stream, header, mmap=False)).reshape(shape)
    except InputError:
        raise
    except (HeaderDataError, WrapStructError, OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(
            f"{name} cannot be read as NIfTI ({type(error).__name__}); send a .nii or .nii.gz file."
        ) from error
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise InputError(f"{name}: the header places no voxels in space; correct its affine.")
    if np.isfinite(voxels).all() and abs(voxels).max() > LARGEST_HU:
        raise InputError(f"{name} holds values beyond {LARGEST_HU:g}, but HU are expected; convert them.")
    if not np.isfinite(voxels).all():
        raise InputError(
            f"{name} holds values that are not finite; replace NaN and infinity by HU, e.g. -1000 for air."
        )
    return voxels.astype(np.float32), affine


def _header(stream: Any, name: str) -> Any:
    import nibabel as nib

    start = stream.read(4)
    sizes = {int.from_bytes(start, "little"), int.from_bytes(start, "big")}
    if not sizes & {348, 540}:
        raise InputError(f"{name} is no NIfTI file; send the content of a .nii or .nii.gz file.")
    stream.seek(0)
    kind: Any = nib.Nifti1Header if 348 in sizes else nib.Nifti2Header
    return kind.from_fileobj(stream)


def _checked_shape(header: Any, name: str) -> tuple[int, ...]:
    """Return the shape without trailing axes of one, if it and the kind of numbers are served."""
    shape = tuple(int(n) for n in header.get_data_shape())
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) != 3 or min(shape) < 1 or sorted(shape)[1] < 16:
        raise InputError(
            f"{name} has shape {shape}, but one 3-D volume with slices of at least 16 x 16 is expected; send one."
        )
    check_count(max(shape), max(MAX_PIXELS, MAX_SLICES), "voxels along a side", name)
    check_size(4 * shape[0] * shape[1] * shape[2], name)
    if header.get_data_dtype().kind not in "iuf" or not 352 <= header.get_data_offset() <= LARGEST_OFFSET:
        raise InputError(f"{name} holds no plain numbers after its header; send HU as integers or floats in one file.")
    return shape
