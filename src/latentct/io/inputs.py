"""A user's scan, whatever it came as: a DICOM series, a NIfTI file, or projections with their geometry."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from latentct.errors import InputError
from latentct.io.hdf5 import SUFFIXES as HDF5
from latentct.io.image import CTImage
from latentct.io.metaimage import SUFFIXES as METAIMAGE
from latentct.io.nifti import has_nifti_suffix, read_volume
from latentct.io.numpy_files import GEOMETRY
from latentct.io.projections import Projections, read_projections
from latentct.io.rtk import GEOMETRY as RTK_GEOMETRY

if TYPE_CHECKING:
    from latentct.io.dicom import SeriesSummary

PROJECTION_FILES = frozenset({".npz", ".npy", *HDF5, *METAIMAGE})


def read_input(source: str | os.PathLike[str] | SeriesSummary, series: int | None = None) -> CTImage | Projections:
    """Read a scan by what its name, or the folder's content, says that it is.

    Args:
        source: NIfTI file; file or folder of projections, see `latentct.io.projections`; else a folder or file of
            DICOM, images or DICOM-CT-PD, or one of the series that `latentct.io.dicom.find_series` listed, whose
            headers are not read again.
        series: which DICOM series, see `latentct.io.dicom.read_series`; of other input there is none to choose.

    Raises:
        InputError: there is no such path, or it cannot be read as what it is.
    """
    if not isinstance(source, str | os.PathLike):
        return _read_dicom(source)
    path = Path(source)
    if is_dicom(path):
        from latentct.io.dicom import choose_series, find_series

        return _read_dicom(choose_series(path, find_series(path), series))
    if series is not None:
        raise InputError(f"{path} is no DICOM, so that there is no series to choose; leave --series out.")
    if not has_nifti_suffix(path):
        return read_projections(path)
    x_hu, affine_lps_mm = read_volume(path)
    return CTImage(x_hu, affine_lps_mm)


def is_dicom(path: Path) -> bool:
    """Whether `read_input` looks for DICOM: in everything that is neither NIfTI nor projections by its name.

    Raises:
        InputError: there is no such path.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist; give a DICOM folder, a NIfTI file, or projections with a geometry.")
    of_projections = any((path / name).is_file() for name in (GEOMETRY, RTK_GEOMETRY))
    return not (has_nifti_suffix(path) or of_projections or path.suffix.lower() in PROJECTION_FILES)


def _read_dicom(series: SeriesSummary) -> CTImage | Projections:
    if series.kind == "CT projections":
        from latentct.io.dicom.ct_pd import read_ct_pd

        return read_ct_pd(series)
    from latentct.io.dicom import read_series

    return read_series(series)
