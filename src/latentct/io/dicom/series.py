"""Which series a folder holds."""

import os
import stat
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import Dataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    MediaStorageDirectoryStorage,
)

from latentct.errors import InputError
from latentct.io.dicom.ct_pd_elements import is_projection
from latentct.io.dicom.headers import HU_TYPES, read_header, shown, sop_class, text

_CT_CLASSES = (CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)
PROJECTIONS = "CT projections"
READABLE = ("CT", PROJECTIONS)
"""The kinds of series that become a scan."""
_DIRECTORY = MediaStorageDirectoryStorage


@dataclass(frozen=True, eq=False)
class SeriesSummary:
    """One series of a folder. What is shown of it names no patient.

    Attributes:
        number: Its place in the list of the folder, from 1; what `read_series` takes.
        kind: "CT", "CT projections" (DICOM-CT-PD), "localizer", "CT map" (a derived CT of other values
            than HU), or "not CT".
        series_number: Number that the scanner gave, or None.
        n_images: Files, or frames of enhanced files.
        shape: (rows, columns) of the first image, or None where it has none.
        uid: SeriesInstanceUID.
        files: Paths and headers.
    """

    number: int
    kind: str
    series_number: int | None
    n_images: int
    shape: tuple[int, int] | None
    uid: str = field(repr=False)
    files: tuple[tuple[Path, Dataset], ...] = field(repr=False)

    @property
    def folder(self) -> Path:
        """The folder of its first file."""
        return self.files[0][0].parent

    def __str__(self) -> str:
        """One line for a list."""
        size = f"{self.shape[0]} x {self.shape[1]}" if self.shape else "no pixels"
        scanner = "" if self.series_number is None else f", series number {self.series_number}"
        return f"{self.number}: {self.kind}, {self.n_images} images of {size}{scanner}"


def find_series(folder: str | os.PathLike[str]) -> list[SeriesSummary]:
    """List the DICOM series in a folder and the folders below it, or in one file.

    File names do not matter, and what is not DICOM is passed over. Links to files are followed, links to folders not.

    Returns:
        The series ordered by the numbers of the scanner; localizers are a series apart, even under the same UID.

    Raises:
        InputError: If the path does not exist, a file cannot be opened or is damaged, or nothing is DICOM.
    """
    groups = defaultdict(list)
    for path in _files(Path(folder)):
        header = read_header(path)
        if header is not None and sop_class(header) != _DIRECTORY:
            groups[text(header, "SeriesInstanceUID"), _kind(header)].append((path, header))
    if not groups:
        raise InputError(f"{shown(Path(folder))} holds no DICOM file; give the folder of a CT series.")
    found = [_summary(0, kind, uid, files) for (uid, kind), files in groups.items()]
    found.sort(key=lambda one: (one.kind not in READABLE, one.series_number or 0, one.uid, one.kind))
    return [_summary(place, one.kind, one.uid, list(one.files)) for place, one in enumerate(found, 1)]


def choose_series(
    source: str | os.PathLike[str],
    found: Sequence[SeriesSummary],
    series: int | str | None = None,
    kinds: Sequence[str] = READABLE,
) -> SeriesSummary:
    """Choose among the series of a folder.

    Args:
        source: Folder or file in which they were found, for messages.
        found: What `find_series` listed.
        series: Number or SeriesInstanceUID of one, which may be left out where there is one of these kinds.
        kinds: Which kinds can be read.

    Raises:
        InputError: If there is no such series, or there are several.
    """
    readable = [one for one in found if one.kind in kinds]
    named = [one for one in readable if series is None or series in (one.number, one.uid)]
    if len(named) == 1:
        return named[0]
    listed = "; ".join(map(str, found[:20])) + ("; ..." if len(found) > 20 else "")
    folder = shown(Path(source))
    if not readable:
        raise InputError(f"{folder} holds no CT series but: {listed}; give the folder of a CT series.")
    problem = "several CT series" if series is None else "no CT series of that number"
    raise InputError(f"{folder} holds {problem}; name one by its number in this list: {listed}.")


def _files(folder: Path) -> list[Path]:
    """Regular files only: a pipe or a device would block whoever opens it."""
    if not folder.exists():
        raise InputError(f"{shown(folder)} does not exist; give a folder of DICOM files.")
    if not folder.is_dir():
        return [folder] if _is_regular(folder) else []

    def refuse(error: OSError) -> None:
        raise InputError(f"{shown(Path(error.filename))} cannot be listed ({error.strerror}); check its permissions.")

    walked = os.walk(folder, onerror=refuse)
    return sorted(path for root, _, names in walked for name in names if _is_regular(path := Path(root, name)))


def _is_regular(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:  # a link to nowhere, or to itself
        return False


def _kind(header: Dataset) -> str:
    if is_projection(header):
        return PROJECTIONS
    if sop_class(header) not in _CT_CLASSES or text(header, "Modality") not in ("CT", ""):
        return "not CT"
    if "LOCALIZER" in text(header, "ImageType").upper():
        return "localizer"
    return "CT" if text(header, "RescaleType").upper() in HU_TYPES else "CT map"


def _summary(number: int, kind: str, uid: str, files: list[tuple[Path, Dataset]]) -> SeriesSummary:
    n_images = sum(_number(header, "NumberOfFrames") or 1 for _, header in files)
    header = files[0][1]
    rows, columns = _number(header, "Rows"), _number(header, "Columns")
    shape = (rows, columns) if rows and columns else None
    return SeriesSummary(number, kind, _number(header, "SeriesNumber"), n_images, shape, uid, tuple(files))


def _number(header: Dataset, keyword: str) -> int | None:
    """An integer for the list; a damaged one is refused when the series is read."""
    digits = text(header, keyword)
    return int(digits) if digits.isdecimal() and len(digits) < 10 else None
