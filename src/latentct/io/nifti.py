"""NIfTI volumes in patient axes: (z, y, x) arrays in the DICOM LPS world of CONVENTIONS.md."""

import gzip
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentct.errors import InputError
from latentct.geometry import Grid

SUFFIXES = (".nii", ".nii.gz")
LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class NiftiInfo:
    """Shape (D, H, W) and voxel size (dz, dy, dx) in mm of a volume once it is turned to patient axes."""

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]


def read_info(path: str | os.PathLike[str]) -> NiftiInfo:
    """Read shape and spacing from a header, without the voxels.

    Raises:
        InputError: If the file is missing, is not NIfTI, or does not hold one 3-D volume.
    """
    image = _to_spl(_open(path), path)
    depth, height, width = (int(n) for n in image.shape)
    dz, dy, dx = (round(float(size), 4) for size in image.header.get_zooms()[:3])
    return NiftiInfo((depth, height, width), (dz, dy, dx))


def read_volume(path: str | os.PathLike[str]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Read a volume in patient axes.

    Returns:
        `x_hu` of shape (D, H, W), whose indices grow towards superior, posterior and patient left, and the 4 x 4 affine
        from voxel indices (z, y, x) to LPS mm in the order (x, y, z).

    Raises:
        InputError: If the file is missing, is not NIfTI, or does not hold one finite 3-D volume.
    """
    image = _to_spl(_open(path), path)
    x_hu = np.asarray(image.dataobj, dtype=np.float32)
    if not np.isfinite(x_hu).all():
        raise InputError(
            f"{os.fspath(path)} holds values that are not finite; replace NaN and infinity by HU, e.g. -1000 for air."
        )
    return x_hu, LPS_FROM_RAS @ image.affine


def write_volume(path: str | os.PathLike[str], x_hu: NDArray[Any], affine_lps_mm: NDArray[np.float64]) -> None:
    """Write a volume as int16 NIfTI, making its folder where needed; HU are rounded and clipped to int16.

    Args:
        path: File ending in `.nii` or `.nii.gz`.
        x_hu: Shape (D, H, W), HU.
        affine_lps_mm: From voxel indices (z, y, x) to LPS mm, as `read_volume` returns it.
    """
    import nibabel as nib

    Path(path).parent.mkdir(parents=True, exist_ok=True)
    nib.save(_image(x_hu, affine_lps_mm), os.fspath(path))


def nifti_bytes(x_hu: NDArray[Any], affine_lps_mm: NDArray[np.float64]) -> bytes:
    """Return what `write_volume` would write to a `.nii.gz` file; the same bytes for the same volume."""
    return gzip.compress(_image(x_hu, affine_lps_mm).to_bytes(), mtime=0)


def _image(x_hu: NDArray[Any], affine_lps_mm: NDArray[np.float64]) -> Any:
    import nibabel as nib

    limits = np.iinfo(np.int16)
    voxels = np.clip(np.rint(x_hu), limits.min, limits.max).astype(np.int16)
    image = nib.Nifti1Image(voxels, LPS_FROM_RAS @ affine_lps_mm)
    image.header.set_xyzt_units("mm")
    return image.as_reoriented(_turn(image.affine, "LPS"))


def grid_affine_lps_mm(grid: Grid, isocenter_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> NDArray[np.float64]:
    """Return the affine of a volume on a grid, from voxel indices (z, y, x) to LPS mm.

    Args:
        grid: where the voxels are, (z, y, x).
        isocenter_mm: position (x, y, z) of the grid's origin in the patient's world.
    """
    affine = np.zeros((4, 4))
    affine[[2, 1, 0, 3], [0, 1, 2, 3]] = (*grid.spacing_mm, 1.0)
    affine[:3, 3] = np.asarray(grid.origin_mm[::-1]) + isocenter_mm
    return affine


def has_nifti_suffix(path: str | os.PathLike[str]) -> bool:
    """Tell by its name whether a file is NIfTI."""
    return os.fspath(path).lower().endswith(SUFFIXES)


def _open(path: str | os.PathLike[str]) -> Any:
    import nibabel as nib
    from nibabel.filebasedimages import ImageFileError

    if not Path(path).is_file():
        raise InputError(f"{os.fspath(path)} does not exist; give the path of a NIfTI file.")
    try:
        return nib.load(os.fspath(path))
    except (ImageFileError, OSError, EOFError) as error:
        raise InputError(
            f"{os.fspath(path)} cannot be read as NIfTI ({error}); give a .nii or .nii.gz file."
        ) from error


def _to_spl(image: Any, path: str | os.PathLike[str]) -> Any:
    """Turn and flip the stored axes to S, P, L; trailing axes of length one are dropped."""
    shape = tuple(image.shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) != 3:
        raise InputError(
            f"{os.fspath(path)} has shape {tuple(image.shape)} but one 3-D volume is expected; split or stack it first."
        )
    if len(image.shape) > 3:
        image = image.slicer[(..., *([0] * (len(image.shape) - 3)))]
    return image.as_reoriented(_turn(image.affine, "SPL"))


def _turn(affine: NDArray[np.float64], codes: str) -> NDArray[np.float64]:
    """The nibabel orientation transform from an affine's axes to `codes`."""
    from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

    return ornt_transform(io_orientation(affine), axcodes2ornt(tuple(codes)))
