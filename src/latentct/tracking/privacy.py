"""Keep file paths and patients out of what is recorded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

#: Suffixes of files whose own name says nothing of a patient, so that the name is kept and only the folder goes.
PLAIN_SUFFIXES = frozenset({".json", ".yaml", ".yml", ".pt"})
#: Entries of a manifest's volume that identify somebody.
IDENTIFYING_KEYS = ("id", "patient")
#: Shorter identifiers would also match ordinary numbers in a message.
SHORTEST_IDENTIFIER = 3

_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_ABSOLUTE = re.compile(r"(?<![\w:/.~@}-])(?:~?/|[A-Za-z]:[\\/])[^\s'\",;\[\](){}<>]*[\\/][^\s'\",;\[\](){}<>]*")
_IMAGE_FILE = re.compile(r"[^\s'\"\[\](){},]+\.(?:nii\.gz|nii|dcm|nrrd|mha|mhd)\b", re.IGNORECASE)


class Redactor:
    """Replace absolute paths by `<path>`, image files by `<image>` and known identifiers by `<patient>`.

    An absolute path is one whose first folder exists on this machine, so that a fragment such as the `/models/model.pt`
    in `@bundle_root + '/models/model.pt'` stays readable.

    Args:
        identifiers: patient or volume identifiers to hide; those under three characters are left alone.

    Example:
        >>> redact = Redactor(["pt_042"])
        >>> redact("no file /tmp/scans/pt_042.nii.gz, patient pt_042")
        'no file <image>, patient <patient>'
    """

    def __init__(self, identifiers: Iterable[str] = ()) -> None:
        names = sorted({name for name in identifiers if len(name) >= SHORTEST_IDENTIFIER}, key=len, reverse=True)
        self._names = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, names))})(?!\w)") if names else None

    def __call__(self, text: str) -> str:
        """Return the text without paths and identifiers."""
        if _is_absolute(text):
            return self._without_names(_shorten(text))
        text = _QUOTED.sub(_redact_quoted, text)
        text = _IMAGE_FILE.sub("<image>", text)
        text = _ABSOLUTE.sub(lambda match: _shorten(match[0]) if _is_absolute(match[0]) else match[0], text)
        return self._without_names(text)

    def tree(self, value: Any) -> Any:
        """Return the same nesting of dicts and lists with every string redacted; objects become their type's name."""
        if isinstance(value, Mapping):
            return {str(key): self.tree(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.tree(item) for item in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        return self(str(value)) if isinstance(value, str | Path) else type(value).__name__

    def _without_names(self, text: str) -> str:
        return self._names.sub("<patient>", text) if self._names else text


def identifiers(volumes: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return every patient and volume identifier among the volumes of a manifest."""
    return {str(volume[key]) for volume in volumes for key in IDENTIFYING_KEYS if key in volume}


def _is_absolute(text: str) -> bool:
    windows = PureWindowsPath(text)
    if windows.drive and windows.root:
        return True
    parts = Path(text).parts
    if len(parts) < 3 or "\n" in text:
        return False
    return parts[0] == "~" or (parts[0] == "/" and Path("/", parts[1]).exists())


def _shorten(path: str) -> str:
    name = re.split(r"[\\/]", path)[-1]
    return f"<path>/{name}" if Path(name).suffix in PLAIN_SUFFIXES else _IMAGE_FILE.sub("<image>", "<path>")


def _redact_quoted(match: re.Match[str]) -> str:
    inner = match[1] if match[1] is not None else match[2]
    return match[0].replace(inner, _shorten(inner)) if inner and _is_absolute(inner) else match[0]
