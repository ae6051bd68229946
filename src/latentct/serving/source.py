"""Where the bytes of a scan come from: the request itself, or a folder that the server opens to requests."""

from __future__ import annotations

import base64
import binascii
import os
import re
import stat
from pathlib import Path
from urllib.parse import unquote, urlsplit

from latentct.errors import InputError
from latentct.serving.limits import check_size
from latentct.serving.request import ScanRequest

ROOT = "LATENTCT_SERVE_ROOT"
_SUFFIXES = {".npz": "npz", ".nii": "nifti", ".nii.gz": "nifti"}


def read_source(request: ScanRequest) -> tuple[bytes, str, str]:
    """Return the content of the file of a request, its format, and what messages call it.

    Raises:
        InputError: it is no base64, lies outside the folder, is too large or of no known kind.
    """
    if request.scan_base64 is not None:
        return _decoded(request.scan_base64), str(request.format), "scan_base64"
    assert request.scan_uri is not None
    path = _confined(request.scan_uri)
    kind = request.format or next((kind for end, kind in _SUFFIXES.items() if path.name.lower().endswith(end)), None)
    if kind is None:
        raise InputError(f"scan_uri ends in none of {', '.join(_SUFFIXES)}; give format, npz or nifti.")
    return _content(path), kind, "scan_uri"


def _decoded(text: str) -> bytes:
    check_size(len(text) * 3 // 4, "scan_base64")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError("scan_base64 is no base64; encode the content of the file without line breaks.") from error


def _confined(uri: str) -> Path:
    """Return the file of a URI or path, which must lie in the folder once all links are followed."""
    folder = os.environ.get(ROOT)
    if not folder:
        raise InputError(f"scan_uri is not served, because the server opens no folder ({ROOT}); send scan_base64.")
    root, relative = Path(folder).resolve(), _path(uri)
    outside = InputError("scan_uri leads to no file in the folder that the server opens; give a path within it.")
    try:
        path = (root / relative).resolve(strict=True)
    except (OSError, ValueError, RuntimeError) as error:  # missing, a null character, a circle of links
        raise outside from error
    if not path.is_relative_to(root) or not path.is_file():
        raise outside
    return path


def _path(uri: str) -> str:
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", uri):
        return uri
    parts = urlsplit(uri)
    if parts.scheme.lower() != "file" or parts.netloc not in ("", "localhost"):
        raise InputError("scan_uri is of another scheme than file: of this machine; give a file: URI or a path.")
    return unquote(parts.path)


def _content(path: Path) -> bytes:
    """Read a file once, so that what is checked is what is used."""
    # A link or a pipe put in its place since then is refused: never followed, never waited for.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise InputError("scan_uri leads to no file in the folder that the server opens; give a path within it.")
        check_size(status.st_size, "scan_uri")
        return file.read(status.st_size)
