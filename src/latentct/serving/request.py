"""What a client may ask, and how a request that asks something else is refused."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from latentct.errors import InputError
from latentct.serving.limits import MAX_REQUESTS, MAX_TEXT, check_count

SOURCES = ("sinogram", "scan_uri", "scan_base64")
FORMATS = ("npz", "nifti")
ANSWERS = ("lists", "npz", "nifti")


class ScanRequest(BaseModel):
    """One scan to correct.

    Attributes:
        sinogram: line integrals as nested lists, (S, A, U) or (A, U); of a cone beam (A, V, U).
        scan_uri: `file:` URI or path of an NPZ or NIfTI file below the folder that the server opens to requests.
        scan_base64: content of such a file.
        format: `npz` or `nifti`; of a URI its ending says it.
        geometry: text of a geometry file, see `latentct.io.scan_geometry`, of the complete scan; without it the
            bundle's own. An NPZ file has its geometry in it.
        ray_mask: measured rays as nested lists of booleans, (A, U); without it those that the bundle's task leaves.
        answer: `lists`, `npz` or `nifti`; without it lists for lists, and the format of a file otherwise.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    sinogram: list[Any] | None = None
    scan_uri: str | None = None
    scan_base64: str | None = None
    format: str | None = None
    geometry: str | None = None
    ray_mask: list[Any] | None = None
    answer: str | None = None


def read_requests(data: Any) -> list[ScanRequest]:
    """Return requests as a client sent them.

    Args:
        data: list of dictionaries, or of requests already read.

    Raises:
        InputError: Naming the first thing that is wrong; it repeats names of keys, never contents.
    """
    if not isinstance(data, list):
        raise InputError(f"inputs is {_kind(data)}, but a list of scans is expected; send {{'inputs': [{{...}}]}}.")
    check_count(len(data), MAX_REQUESTS, "scans", "inputs")
    return [_read(item, f"inputs[{i}]" if len(data) > 1 else "the request") for i, item in enumerate(data)]


def _read(item: Any, name: str) -> ScanRequest:
    if isinstance(item, ScanRequest):
        item = item.model_dump(exclude_none=True)
    if not isinstance(item, dict):
        raise InputError(
            f"{name} is {_kind(item)}, but an object with one of {', '.join(SOURCES)} is expected; send one."
        )
    _refuse_unknown(item, name)
    try:
        request = ScanRequest.model_validate(item)
    except ValidationError as error:
        field = str(error.errors(include_input=False, include_url=False)[0]["loc"][0])
        expected = "a nested list" if field in ("sinogram", "ray_mask") else "text"
        raise InputError(
            f"{field} of {name} is {_kind(item[field])}, but {expected} is expected; correct it."
        ) from None
    _refuse_combination(request, name)
    return request


def _refuse_unknown(item: dict[Any, Any], name: str) -> None:
    for key in item:
        if key not in ScanRequest.model_fields:
            nearest = get_close_matches(str(key)[:100], list(ScanRequest.model_fields), 1)
            hint = f" (did you mean '{nearest[0]}'?)" if nearest else ""
            known = ", ".join(ScanRequest.model_fields)
            raise InputError(f"'{str(key)[:40]}' of {name} is no known key{hint}; use {known}.")


def _refuse_combination(request: ScanRequest, name: str) -> None:
    given = [source for source in SOURCES if getattr(request, source) is not None]
    if len(given) != 1:
        found, sources = " and ".join(given) or "no scan", ", ".join(SOURCES)
        raise InputError(f"{name} has {found}, but exactly one of {sources} is expected; send one scan.")
    _refuse_choice(request.format, FORMATS, "format", name)
    _refuse_choice(request.answer, ANSWERS, "answer", name)
    if request.scan_base64 is not None and request.format is None:
        raise InputError(f"format of {name} is missing, but scan_base64 needs it; give one of {', '.join(FORMATS)}.")
    if request.sinogram is not None and request.format is not None:
        raise InputError(f"format of {name} goes with scan_uri and scan_base64 only; leave it out.")
    if request.geometry is not None and len(request.geometry) > MAX_TEXT:
        raise InputError(
            f"geometry of {name} has {len(request.geometry)} characters, but at most {MAX_TEXT} are read; shorten it."
        )


def _refuse_choice(value: str | None, choices: Sequence[str], key: str, name: str) -> None:
    if value is not None and value not in choices:
        raise InputError(f"{key} of {name} is not known; choose one of {', '.join(choices)}.")


def _kind(value: Any) -> str:
    """Return what JSON calls a value."""
    kinds: dict[type, str] = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number" if isinstance(value, int | float) else "something else")
