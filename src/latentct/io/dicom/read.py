"""A DICOM CT series as an image in patient axes."""

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from latentct.errors import InputError
from latentct.io.dicom.axes import Turn, turn_of
from latentct.io.dicom.headers import shown
from latentct.io.dicom.pixels import check_decoder, decode, same_pixels, to_hu
from latentct.io.dicom.series import SeriesSummary, choose_series, find_series
from latentct.io.dicom.slices import Slice, slices_of
from latentct.io.dicom.stack import Stack, by_position, stacked
from latentct.io.image import CTImage

DEFAULT_LIMIT_BYTES = 8 << 30
_BYTES_PER_VOXEL = 10  # float32 and a mask, and copies of them while they are turned


@dataclass(frozen=True, eq=False)
class DicomSource:
    """What a derived series takes over from the one that was read.

    Attributes:
        slices: In stored order.
        turn: From stored order to patient axes.
        tilt_deg: Tilt of the gantry; the affine of the image is sheared by it.
    """

    slices: tuple[Slice, ...] = field(repr=False)
    turn: Turn
    tilt_deg: float


def read_series(
    source: str | os.PathLike[str] | SeriesSummary,
    series: int | str | None = None,
    *,
    limit_bytes: int = DEFAULT_LIMIT_BYTES,
) -> CTImage:
    """Read a CT series: files in any order, plain or enhanced, compressed or not.

    Slices are turned and flipped to patient axes and never resampled. A tilted gantry is read as it is: each slice is
    whole, the affine is sheared, and `source.tilt_deg` tells it. Copies of a slice with the same pixels are dropped.

    Args:
        source: Folder, or one file; or one of the series that `find_series` listed, whose headers are not read again.
        series: Which one where there are several: its number in `find_series`, or its SeriesInstanceUID.
        limit_bytes: Memory that the image may take, checked before any pixel is decoded.

    Raises:
        InputError: If there is not exactly one such series, it is damaged, oblique, unevenly spaced, holds two slices
            at one position, is too large, or needs a decoder that is not installed.
    """
    chosen = (
        source if isinstance(source, SeriesSummary) else choose_series(source, find_series(source), series, ("CT",))
    )
    slices = [one for path, header in chosen.files for one in slices_of(path, header)]
    _check_size(chosen.folder, slices, limit_bytes)
    for path, header in chosen.files:
        check_decoder(path, header)
    stack = stacked([_only(place) for place in by_position(slices)])
    turn = turn_of(stack.affine_lps_mm)
    stored_hu, stored_padding = _pixels(stack)
    x_hu, affine = turn.to_patient(stored_hu, stack.affine_lps_mm)
    padding = None
    if any(one.padding for one in stack.slices):
        padding = np.ascontiguousarray(turn.to_patient(stored_padding, stack.affine_lps_mm)[0], dtype=np.bool_)
    origin = DicomSource(stack.slices, turn, stack.tilt_deg)
    return CTImage(np.ascontiguousarray(x_hu, dtype=np.float32), affine, padding, origin)


def _check_size(folder: Path, slices: Sequence[Slice], limit_bytes: int) -> None:
    needed = _BYTES_PER_VOXEL * sum(one.shape[0] * one.shape[1] for one in slices)
    if needed > limit_bytes:
        raise InputError(
            f"{shown(folder)} needs {needed / 2**30:.1f} GiB for {len(slices)} slices, and {limit_bytes / 2**30:.1f} "
            "are allowed; give fewer slices or allow more."
        )


def _only(place: list[Slice]) -> Slice:
    if len(place) > 1 and not same_pixels(place):
        raise InputError(
            f"The series has {len(place)} different slices at one position, the first in {shown(place[0].path)}; give "
            "one phase or reconstruction at a time."
        )
    return place[0]


def _pixels(stack: Stack) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """HU and padding in stored order; a file of many frames is opened once."""
    shape = (len(stack.slices), *stack.slices[0].shape)
    x_hu, padding = np.empty(shape, np.float32), np.empty(shape, np.bool_)
    files = defaultdict(list)
    for place, one in enumerate(stack.slices):
        files[one.path].append((place, one))
    for members in files.values():
        for (place, one), stored in zip(members, decode([one for _, one in members]), strict=True):
            x_hu[place], padding[place] = to_hu(one, stored)
    if not np.isfinite(x_hu).all():
        raise InputError("The series holds HU that are not finite; its rescale values are wrong: export it again.")
    return x_hu, padding
