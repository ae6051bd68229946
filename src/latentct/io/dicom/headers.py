"""Headers of DICOM files: read without pixels and without a word, and their values checked one by one."""

import math
import os
from contextlib import AbstractContextManager
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.filereader import read_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian

from latentct.errors import InputError
from latentct.io.dicom.ct_pd_elements import is_projection, reduced
from latentct.io.quiet import quiet as quiet_parser

HU_TYPES = ("", "HU", "US")  # RescaleType; US is "unspecified", which scanners write for HU
_PREAMBLE = 128


def shown(path: Path) -> str:
    """Return a path that can be printed wherever it comes from; bytes that are not UTF-8 become question marks."""
    return os.fsencode(path).decode("utf-8", "replace")


def quiet() -> AbstractContextManager[None]:
    """Keep pydicom and its decoders from warning and logging."""
    return quiet_parser("pydicom", "pylibjpeg", "openjpeg")


def read_header(path: Path) -> Dataset | None:
    """Read the header of a file, without its pixels and without private elements but for those of DICOM-CT-PD.

    Returns:
        The header, or None where the file is not DICOM.

    Raises:
        InputError: If the file cannot be opened, or begins as DICOM and cannot be read on.
    """
    try:
        if not _begins_as_dicom(path):
            return None
        with quiet():
            return _parsed(path)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{shown(path)} cannot be opened ({error.strerror}); check its permissions.") from error
    except Exception as error:  # whatever a damaged file does to the parser
        raise damaged(path, "its header cannot be read") from error


def damaged(path: Path, what: str) -> InputError:
    """Return the error for a file that is DICOM and not whole."""
    return InputError(f"{shown(path)} is damaged: {what}; copy it again from the archive or take it out of the folder.")


def floats(header: Dataset, keyword: str, count: int, path: Path) -> tuple[float, ...]:
    """Return the finite numbers of an element.

    Raises:
        InputError: If the element is missing, holds another count of values, or values that are not finite numbers.
    """
    try:
        with quiet():
            value = header[keyword].value
            numbers = tuple(float(item) for item in (value if count > 1 else [value]))
    except Exception:
        numbers = ()
    if len(numbers) != count or not all(math.isfinite(number) for number in numbers):
        expected = "one finite number" if count == 1 else f"{count} finite numbers"
        raise InputError(f"{shown(path)} has no valid {keyword}; a CT slice needs {expected} there: export it again.")
    return numbers


def integer(header: Dataset, keyword: str, path: Path, default: int | None = None) -> int:
    """Return the integer of an element, or the default where the element is missing or empty.

    Raises:
        InputError: If the element is missing and there is no default, or is not an integer.
    """
    if default is not None and not has_value(header, keyword):
        return default
    (number,) = floats(header, keyword, 1, path)
    return int(number)


def text(header: Dataset, keyword: str) -> str:
    """Return an element as text, values joined by backslashes; empty where it is missing or unreadable."""
    try:
        with quiet():
            value = header[keyword].value
            return "\\".join(str(item) for item in value) if _is_list(value) else str(value or "").strip()
    except Exception:
        return ""


def has_value(header: Dataset, keyword: str) -> bool:
    """Tell whether an element is there and not empty."""
    return bool(text(header, keyword))


def sop_class(header: Dataset) -> str:
    """Return the UID of the kind of object, which some anonymisers leave in the file's own header only."""
    return text(header, "SOPClassUID") or text(header.file_meta, "MediaStorageSOPClassUID")


def sop_instance(header: Dataset) -> str:
    """Return the UID of the object, from where it is left."""
    return text(header, "SOPInstanceUID") or text(header.file_meta, "MediaStorageSOPInstanceUID")


def _is_list(value: object) -> bool:
    return not isinstance(value, str) and hasattr(value, "__iter__")


def _begins_as_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(_PREAMBLE + 4)[_PREAMBLE:] == b"DICM"


def _parsed(path: Path) -> Dataset:
    if read_file_meta_info(path).get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        raise InputError(
            f"{shown(path)} has the transfer syntax Deflated Explicit VR, whose size is unknown before it is unpacked; "
            "convert it to Explicit VR Little Endian."
        )
    header = dcmread(path, stop_before_pixels=True)
    if is_projection(header):
        return reduced(header)
    header.remove_private_tags()
    return header
