"""NIfTI volumes in patient axes: (z, y, x) arrays in the DICOM LPS world of CONVENTIONS.md."""

import gzip
import os
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentct.errors import InputError
from latentct.geometry import Grid
from latentct.io.quiet import refusing
from latentct.io.sizes import check_memory

SUFFIXES = (".nii", ".nii.gz")
SPACINGS_MM = (1e-3, 1000.0)
MAX_POSITION_MM = 1e5
LARGEST_HU = 1e6
LARGEST_AXIS = 32767
MIN_VOLUME = 0.1
"""Of the cell that three unit vectors along the axes span; 1 at right angles."""
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
    image = _open(path)
    axes = _turn(image.affine, "SPL")[:, 0].argsort()
    depth, height, width = (image.shape[axis] for axis in axes)
    dz, dy, dx = (round(float(image.header.get_zooms()[axis]), 4) for axis in axes)
    return NiftiInfo((depth, height, width), (dz, dy, dx))


def read_volume(path: str | os.PathLike[str]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Read a volume in patient axes.

    Returns:
        `x_hu` of shape (D, H, W), whose indices grow towards superior, posterior and patient left, and the 4 x 4 affine
        from voxel indices (z, y, x) to LPS mm in the order (x, y, z).

    Raises:
        InputError: If the file is missing, is not NIfTI, does not hold one finite 3-D volume, or one that is too large.
    """
    image = _open(path)
    check_memory(image.shape, f"the voxels of {os.fspath(path)}")
    with _parsing(path):
        if len(image.shape) > 3:
            image = image.slicer[(..., *([0] * (len(image.shape) - 3)))]
        image = image.as_reoriented(_turn(image.affine, "SPL"))
        x_hu = np.asarray(image.dataobj, dtype=np.float32)
    if not (x_hu.min() >= -LARGEST_HU and x_hu.max() <= LARGEST_HU):  # nor NaN
        raise InputError(
            f"{os.fspath(path)} holds values that are not finite or beyond {LARGEST_HU:g} HU; replace them by HU, e.g. "
            "-1000 for air."
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

    if max(x_hu.shape) > LARGEST_AXIS:
        raise InputError(
            f"{x_hu.shape} voxels do not fit NIfTI, whose axes end at {LARGEST_AXIS}; choose fewer, larger ones."
        )
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


def _parsing(path: str | os.PathLike[str]) -> AbstractContextManager[None]:
    return refusing(f"{os.fspath(path)} cannot be read as NIfTI", "give a whole .nii or .nii.gz file", "nibabel.global")


def _open(path: str | os.PathLike[str]) -> Any:
    """Read the header of a volume; trailing axes of length one may be left."""
    import nibabel as nib

    if not os.path.isfile(path):  # noqa: PTH113 - a name that is too long is no file either
        raise InputError(f"{os.fspath(path)} does not exist; give the path of a NIfTI file.")
    with _parsing(path):
        image: Any = nib.load(os.fspath(path))
        shape, numbers, affine = tuple(image.shape), image.get_data_dtype(), image.affine
    if len(shape) < 3 or set(shape[3:]) - {1} or min(shape) < 1:
        raise InputError(
            f"{os.fspath(path)} has shape {shape} but one 3-D volume is expected; split or stack it first."
        )
    if numbers.kind not in "iuf":
        raise InputError(f"{os.fspath(path)} holds voxels that are not numbers; write HU as int16 or float32.")
    _check_world(affine, path)
    return image


def _check_world(affine: NDArray[np.float64], path: str | os.PathLike[str]) -> None:
    low_mm, high_mm = SPACINGS_MM
    spacing_mm = np.linalg.norm(affine[:3, :3], axis=0)
    if not (np.isfinite(affine).all() and spacing_mm.min() >= low_mm and spacing_mm.max() <= high_mm):
        raise InputError(
            f"{os.fspath(path)} has an affine whose voxels are not {low_mm:g} to {high_mm:g} mm wide; export it again."
        )
    if abs(np.linalg.det(affine[:3, :3] / spacing_mm)) < MIN_VOLUME or np.abs(affine[:3, 3]).max() > MAX_POSITION_MM:
        raise InputError(
            f"{os.fspath(path)} has an affine whose axes coincide, or that lies beyond any scanner; export it again."
        )


def _turn(affine: NDArray[np.float64], codes: str) -> NDArray[np.float64]:
    """The nibabel orientation transform from an affine's axes to `codes`."""
    from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

    return ornt_transform(io_orientation(affine), axcodes2ornt(tuple(codes)))
