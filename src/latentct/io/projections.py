"""Projections of a patient with their geometry: a folder, or one file.

Of a cone beam, a folder holds `geometry.yaml` and one or more `.npy` files, each with one view (V, U) or several
(A, V, U), joined in the order of their names; of a parallel or fan beam, with one slice (A, U) or several (S, A, U). An
NPZ or HDF5 file holds the array `projections` and the text `geometry`; an NPY or HDF5 file may have its geometry beside
it, `scan.yaml` beside `scan.npy`. MetaImage projections (`.mha`, `.mhd`) with a geometry of RTK are described in
`latentct.io.rtk`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentct.errors import InputError
from latentct.geometry import ConeBeam, Grid, Scan, Scan2D, VectorConeBeam
from latentct.io.files import whole_file
from latentct.io.hdf5 import SUFFIXES as HDF5
from latentct.io.hdf5 import read_hdf5, write_hdf5
from latentct.io.metaimage import SUFFIXES as METAIMAGE
from latentct.io.numpy_files import GEOMETRY, read_folder, read_npy, read_npz
from latentct.io.rtk import GEOMETRY as RTK_GEOMETRY
from latentct.io.rtk import read_rtk
from latentct.io.scan_geometry import ScanGeometry, write_geometry
from latentct.io.sizes import check_shape
from latentct.units import MU_WATER_70KEV

LEAST_TRANSMISSION = 1e-6
"""What a pixel that saw nothing is taken to have seen, as a share of i0: line integrals end at 13.8."""
RANGE = (-1.0, 30.0)
"""Line integrals of patients, with room for noise and metal."""


@dataclass(frozen=True)
class Projections:
    """Line integrals of one patient and where they were measured.

    Attributes:
        y: line integrals ``-ln(I / I0)``, float32, finite: of a cone beam (A, V, U), of slices (S, A, U).
        geometry: where source and detector were.
    """

    y: NDArray[np.float32]
    geometry: ScanGeometry


def read_projections(path: str | os.PathLike[str], mu_water: float = MU_WATER_70KEV) -> Projections:
    """Read a folder or a file, by its name.

    Args:
        path: see above.
        mu_water: attenuation of water in 1/mm at the beam's effective energy, where the format does not tell it.

    Raises:
        InputError: there is no such path, a part is missing or bad, the shapes of projections and geometry differ, or
            values are not finite or no line integrals.
    """
    path = Path(path)
    geometry, array = _read_file(path, mu_water) if path.is_file() else _read_folder(path, mu_water)
    return projections_of(array, geometry, f"projections {path}")


def projections_of(array: NDArray[Any], geometry: ScanGeometry, name: str) -> Projections:
    """Check what a detector measured, and turn it into line integrals.

    Args:
        array: of a cone beam (A, V, U), of slices (S, A, U) or of one slice (A, U).
        geometry: with `i0` where the array holds intensities.
        name: what the messages call the array.

    Raises:
        InputError: the shapes differ, or values are not finite or no line integrals.
    """
    check_shape(array.shape, geometry, name)
    array = array[None] if array.ndim == 2 else array
    if array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        raise InputError(
            f"{name} hold values that are not finite numbers; interpolate dead pixels or leave a view out."
        )
    y = _line_integrals(array.astype(np.float64), geometry.i0)
    if y.min() < RANGE[0] or y.max() > RANGE[1]:
        raise InputError(
            f"{name} reach from {y.min():.3g} to {y.max():.3g}, but line integrals -ln(I / I0) within "
            f"[{RANGE[0]:g}, {RANGE[1]:g}] are expected; give 'quantity: intensities' and the right i0 for what a "
            "detector reads."
        )
    return Projections(y.astype(np.float32), replace(geometry, i0=None))


def write_projections(path: str | os.PathLike[str], projections: Projections, note: str = "") -> None:
    """Write line integrals and their geometry.

    Args:
        path: an NPZ or HDF5 file, an NPY file, whose geometry is written beside it, or a folder.
        projections: what to write.
        note: one line for people, which heads the text of the geometry as a comment.
    """
    path = Path(path)
    if path.suffix == ".npz":
        with whole_file(path) as partial:
            partial.write_bytes(npz_bytes(projections, note))
    elif path.suffix in HDF5:
        write_hdf5(path, projections.y, _geometry_text(projections, note))
    elif path.suffix == ".npy":
        _write_array(path, path.with_suffix(".yaml"), projections, note)
    else:
        _write_array(path / "projections.npy", path / GEOMETRY, projections, note)


def npz_bytes(projections: Projections, note: str = "") -> bytes:
    """Return the content of the NPZ file of line integrals and their geometry, headed by a note as a comment."""
    file = BytesIO()
    np.savez_compressed(file, projections=projections.y, geometry=np.array(_geometry_text(projections, note)))
    return file.getvalue()


def _write_array(array: Path, geometry: Path, projections: Projections, note: str) -> None:
    with whole_file(array) as partial, partial.open("wb") as file:
        np.save(file, projections.y)
    with whole_file(geometry) as partial:
        partial.write_text(_geometry_text(projections, note), encoding="utf-8")


def _geometry_text(projections: Projections, note: str) -> str:
    comment = f"# {note}\n" if note else ""
    return comment + write_geometry(replace(projections.geometry, i0=None))


def check_scan(scan: Scan, grid: Grid, n_views: tuple[int, int], name: str, least_share: float = 0.05) -> None:
    """Refuse a scan that a few-view method for volumes on `grid` cannot use.

    Args:
        scan: where source and panel are.
        grid: volume that is to be reconstructed, about the isocentre.
        n_views: least and largest number of views.
        name: what the messages call the scan.
        least_share: share of the volume that every view must see.

    Raises:
        InputError: it is no cone beam, there are too few or too many views, a source stands in the volume, or a view
            does not see it.
    """
    fewest, most = n_views
    if isinstance(scan, Scan2D):
        raise InputError(f"{name}: a parallel or fan beam was found, but cone-beam views are expected; give those.")
    size = " x ".join(f"{length_mm:.0f}" for length_mm in grid.extent_mm)
    if not fewest <= scan.n_views <= most:
        raise InputError(
            f"{name}: {scan.n_views} views were found, but {fewest} to {most} are expected; choose among the views, or "
            "use a method for many."
        )
    refuse_source_inside(grid, scan, name)
    shares = _seen_shares(grid, scan)
    worst = int(shares.argmin())
    if shares[worst] < least_share:
        raise InputError(
            f"{name}: view {worst} sees {100 * shares[worst]:.0f} % of the volume of {size} mm about the isocentre, "
            f"but at least {100 * least_share:.0f} % is expected; correct its distances, angle and offset."
        )


def refuse_source_inside(grid: Grid, scan: ConeBeam | VectorConeBeam, name: str) -> None:
    """Refuse a scan whose source stands within the volume, from where no ray goes through all of it.

    Args:
        grid: volume that is to be reconstructed.
        scan: where the sources are.
        name: what the message calls the scan.

    Raises:
        InputError: the source of a view does.
    """
    inside = np.flatnonzero(_source_is_inside(grid, scan))
    if inside.size:
        size = " x ".join(f"{length_mm:.0f}" for length_mm in grid.extent_mm)
        raise InputError(
            f"{name}: the source of view {inside[0]} stands within the volume of {size} mm about the isocentre; give "
            "the distances in mm."
        )


def _seen_shares(grid: Grid, scan: ConeBeam | VectorConeBeam) -> NDArray[np.float64]:
    """Return which share of a volume casts its shadow on the panel, view by view, (A,) in [0, 1]."""
    from latentct.projectors.shadow import cast_shadow  # torch, which those who only read files do without

    shape = tuple(min(n, 24) for n in grid.shape)
    coarse = Grid(shape, tuple(mm / n for mm, n in zip(grid.extent_mm, shape, strict=True)), grid.center_mm)
    return np.asarray(cast_shadow(coarse, scan).visible.double().mean(dim=(1, 2, 3)))


def _source_is_inside(grid: Grid, scan: ConeBeam | VectorConeBeam) -> NDArray[np.bool_]:
    vectors = scan.vectors() if isinstance(scan, ConeBeam) else scan
    low = np.array([grid.coordinates_mm(axis)[0] for axis in (2, 1, 0)])
    high = np.array([grid.coordinates_mm(axis)[-1] for axis in (2, 1, 0)])
    source_mm = np.asarray(vectors.source_mm)
    return np.asarray(((low <= source_mm) & (source_mm <= high)).all(axis=1))


def _read_file(path: Path, mu_water: float) -> tuple[ScanGeometry, NDArray[Any]]:
    if path.suffix in HDF5:
        return read_hdf5(path)
    if path.suffix in METAIMAGE:
        return read_rtk(path, mu_water)
    return read_npy(path) if path.suffix == ".npy" else read_npz(path)


def _read_folder(path: Path, mu_water: float) -> tuple[ScanGeometry, NDArray[Any]]:
    is_rtk = (path / RTK_GEOMETRY).is_file() and not (path / GEOMETRY).is_file()
    return read_rtk(path, mu_water) if is_rtk else read_folder(path)


def _line_integrals(array: NDArray[np.float64], i0: float | None) -> NDArray[np.float64]:
    return array if i0 is None else -np.log(np.maximum(array / i0, LEAST_TRANSMISSION))
