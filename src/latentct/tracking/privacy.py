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

#: Keys of a configuration whose values say where the data of a user lie, whatever the folders are called.
PLACE_KEYS = ("dataset_dir", "output_dir", "projections")
#: As much of a text behind a path's first character is searched for its end.
LONGEST_PATH = 1000

_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_PATH_STOPS = r"\s'\",;\[\](){}<>"
_ABSOLUTE = rf"(?<![\w:/.~@}}-])(?:~?/|[A-Za-z]:[\\/])[^{_PATH_STOPS}]*[\\/][^{_PATH_STOPS}]*"
_PATH_STOP = re.compile(f"[{_PATH_STOPS}]")
_PATH_END = re.compile(r"[\s'\",;:.()\[\]{}<>\\/]|$")
_IMAGE_FILE = re.compile(r"[^\s'\"\[\](){},]+\.(?:nii\.gz|nii|dcm|nrrd|mha|mhd)\b", re.IGNORECASE)


class Redactor:
    """Replace absolute paths by `<path>`, image files by `<image>` and known identifiers by `<patient>`.

    An absolute path is one whose first folder exists on this machine, so that a fragment such as the `/models/model.pt`
    in `@bundle_root + '/models/model.pt'` stays readable. Names of files may hold blanks: what is on this disk tells
    where an absolute path ends.

    Args:
        identifiers: patient or volume identifiers to hide; those under three characters are left alone.
        places: relative paths to hide with all that lies below them, wherever they stand as a path.

    Example:
        >>> redact = Redactor(["pt_042"])
        >>> redact("no file /tmp/scans/pt_042.nii.gz, patient pt_042")
        'no file <path>, patient <patient>'
    """

    def __init__(self, identifiers: Iterable[str] = (), places: Iterable[str] = ()) -> None:
        names = _alternatives(name for name in identifiers if len(name) >= SHORTEST_IDENTIFIER)
        self._names = re.compile(rf"(?<!\w)(?:{names})(?!\w)") if names else None
        self._places = frozenset(places)
        below = _alternatives(self._places)
        relative = rf"|(?P<place>(?<![\w/.-])(?:{below})[/\\][^{_PATH_STOPS}]*)" if below else ""
        self._paths = re.compile(_ABSOLUTE + relative)

    def __call__(self, text: str) -> str:
        """Return the text without paths and identifiers."""
        if _is_absolute(text) or text in self._places:
            return self._without_names(_shorten(text))
        text = self._without_paths(_QUOTED.sub(_redact_quoted, text))
        return self._without_names(_IMAGE_FILE.sub("<image>", text))

    def tree(self, value: Any) -> Any:
        """Return the same nesting of dicts and lists with every string redacted; objects become their type's name."""
        if isinstance(value, Mapping):
            return {str(key): self.tree(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.tree(item) for item in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        return self(str(value)) if isinstance(value, str | Path) else type(value).__name__

    def _without_paths(self, text: str) -> str:
        """Shorten paths within a text, as far as they reach on this disk and to the next blank behind that."""
        kept, position = [], 0
        for match in self._paths.finditer(text):
            is_path = match.groupdict().get("place") or _is_absolute(match[0])
            if match.start() < position or not is_path:
                continue
            end = match.start() + (_on_disk(text[match.start() :][:LONGEST_PATH]) or len(match[0]))
            while end < len(text) and not _PATH_STOP.match(text[end]):
                end += 1
            kept += [text[position : match.start()], _shorten(text[match.start() : end])]
            position = end
        return "".join([*kept, text[position:]])

    def _without_names(self, text: str) -> str:
        return self._names.sub("<patient>", text) if self._names else text


def identifiers(volumes: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return every patient and volume identifier among the volumes of a manifest."""
    return {str(volume[key]) for volume in volumes for key in IDENTIFYING_KEYS if key in volume}


def places(config: Mapping[str, Any]) -> set[str]:
    """Return where a configuration says the user's data lie; expressions are no places."""
    values = [str(config.get(key) or "") for key in PLACE_KEYS]
    return {value for value in values if len(value) >= SHORTEST_IDENTIFIER and not value.startswith(("$", "@", "%"))}


def _alternatives(words: Iterable[str]) -> str:
    return "|".join(map(re.escape, sorted(set(words), key=len, reverse=True)))


def _on_disk(text: str) -> int:
    """Return the length of the longest beginning of a text that is a file or folder here."""
    ends = [match.start() for match in _PATH_END.finditer(text)]
    return next((end for end in reversed(ends) if end and _exists(text[:end])), 0)


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):  # too long a name, or a null byte
        return False


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
