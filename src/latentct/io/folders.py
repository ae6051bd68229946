"""Folders that are whole or not there."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from latentct.errors import InputError


@contextmanager
def whole_folder(folder: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Give a temporary folder beside `folder` to write to; it becomes `folder` at the end, and is removed on an error.

    Args:
        folder: Where the result goes; the folders above it are made where needed.
        overwrite: Replace what is there, once the new one is whole.

    Raises:
        InputError: If something is there already and `overwrite` is false, or nothing can be written there.
    """
    target = Path(folder)
    refuse_existing(target, overwrite)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # A name of its own: two runs into one folder do not mix.
        partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent))
    except OSError as error:
        raise InputError(f"{target} cannot be written ({error.strerror}); choose another folder.") from error
    try:
        content = partial / "content"
        content.mkdir()
        yield content
        refuse_existing(target, overwrite)
        if target.exists():
            target.rename(partial / "old")
        content.rename(target)
    except OSError as error:
        raise InputError(f"{target} cannot be written ({error.strerror}); choose another folder.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def refuse_existing(target: Path, overwrite: bool) -> None:
    """Raise an InputError if something is there that must not be replaced."""
    if not overwrite and os.path.lexists(target):
        raise InputError(f"{target} exists already; choose another name or allow it to be overwritten (--overwrite).")
