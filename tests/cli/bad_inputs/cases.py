"""All hostile inputs, by name."""

from functools import cache

from . import dicom, geometries, hdf5, metaimage, nifti, numpy_files, places
from .case import Case

GROUPS = {
    "dicom": dicom.CASES,
    "nifti": nifti.CASES,
    "numpy": numpy_files.CASES,
    "hdf5": hdf5.CASES,
    "metaimage": metaimage.CASES,
    "geometry": geometries.CASES,
    "places": places.CASES,
}


@cache
def _all() -> dict[str, Case]:
    return {case.name: case for cases in GROUPS.values() for case in cases}


def by_name(name: str) -> Case:
    """Return the case of a name."""
    return _all()[name]
