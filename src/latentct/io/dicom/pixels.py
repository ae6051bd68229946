"""Pixels of slices, decoded into HU."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array
from pydicom.uid import RLELossless

from latentct.errors import InputError
from latentct.io.dicom.code_stream import claimed_shape
from latentct.io.dicom.headers import damaged, quiet, shown
from latentct.io.dicom.slices import Slice


def decode(slices: list[Slice]) -> list[NDArray[np.integer]]:
    """Decode slices of one file into their stored values, one array (rows, columns) each.

    Raises:
        InputError: If the file is damaged, or no decoder for its compression is installed.
    """
    path, header = slices[0].path, slices[0].header
    check_decoder(path, header)
    try:
        with quiet():
            whole = dcmread(path)
            _check_code_streams(slices[0], whole)
            frames = [pixel_array(whole, index=one.frame, raw=True, decoding_plugin=_plugin(whole)) for one in slices]
    except InputError:
        raise
    except Exception as error:  # a damaged file does anything to a decoder
        raise damaged(path, "its pixels cannot be decoded") from error
    for one, frame in zip(slices, frames, strict=True):
        if frame.shape != one.shape:
            raise damaged(path, "its pixels are not as many as its header says")
    return frames


def _plugin(whole: Dataset) -> str:
    """The decoder of pydicom itself for RLE, since that of pylibjpeg panics on damaged files."""
    return "pydicom" if whole.file_meta.TransferSyntaxUID == RLELossless else ""


def _check_code_streams(one: Slice, whole: Dataset) -> None:
    """Refuse frames that claim another size than the header, before a decoder takes memory for it."""
    if not whole.file_meta.TransferSyntaxUID.is_compressed:
        return
    n_frames = int(whole.get("NumberOfFrames") or 1)
    for frame in generate_frames(whole.PixelData, number_of_frames=n_frames):
        if claimed_shape(frame) not in (None, one.shape):
            raise damaged(one.path, "its pixels are not as many as its header says")


def check_decoder(path: Path, header: Dataset) -> None:
    """Refuse a file that cannot be decoded here.

    Raises:
        InputError: If its transfer syntax is unknown, or needs a package that is not installed.
    """
    syntax = header.file_meta.get("TransferSyntaxUID", "")
    try:
        with quiet():
            available = get_decoder(syntax).is_available
    except Exception as error:
        raise InputError(
            f"{shown(path)} has pixels in a transfer syntax that is not known for CT; "
            "convert it to Explicit VR Little Endian."
        ) from error
    if not available:
        raise InputError(
            f"{shown(path)} is compressed as {syntax.name}, and its decoder is not installed; "
            "run pip install 'latentct[dicom-jpeg]'."
        )


def to_hu(one: Slice, stored: NDArray[np.integer]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return a slice in HU and where it is padding."""
    low, high = one.padding or (1, 0)
    with np.errstate(over="ignore"):  # who reads all slices refuses what is not finite
        x_hu = (stored * one.slope + one.intercept).astype(np.float32)
    return x_hu, (stored >= low) & (stored <= high)


def same_pixels(slices: list[Slice]) -> bool:
    """Tell whether slices hold the same HU."""
    first, *others = (to_hu(one, decode([one])[0])[0] for one in slices)
    return all(np.array_equal(first, other) for other in others)
