"""What a command writes: nothing of the user's is replaced unasked, and a result is whole or not there."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from latentct.errors import InputError


def check_output(output: Path, *inputs: Path, overwrite: bool = False) -> None:
    """Refuse, before any work is done, an output that would replace something, or change an input.

    Args:
        output: File or folder to be written.
        inputs: Files or folders that are read.
        overwrite: Whether what is there may be replaced.

    Raises:
        InputError: There is something already and `overwrite` is false, or one of output and input lies in the other.
    """
    _refuse_nameless(output)
    _refuse_existing(output, overwrite)
    target = Path(os.path.realpath(output))
    for one in inputs:
        source = Path(os.path.realpath(one))
        if target.is_relative_to(source) or source.is_relative_to(target):
            raise InputError(
                f"{output} is, holds or lies in the input {one}, which must stay as it is; choose another."
            )


@contextmanager
def whole_output(output: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give a path of the same name in a temporary folder; what is written there, and beside it, is moved at the end.

    Args:
        output: Where the result goes, a file, a folder, or a file with others beside it; the folders above it are made
            where needed.
        overwrite: Replace what is there, once the new one is whole.

    Raises:
        InputError: Something is there already and `overwrite` is false or it is of another kind, or nothing can be
            written there.
    """
    _refuse_nameless(output)
    _refuse_existing(output, overwrite)
    above = [folder for folder in (output.parent, *output.parent.parents) if not folder.exists()]
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        # A name of its own: two runs that write the same do not mix.
        partial = Path(tempfile.mkdtemp(prefix=f".{output.name}.", suffix=".partial", dir=output.parent))
    except OSError as error:
        _remove_empty(above)
        raise _unwritable(output, error) from error
    try:
        new, old = partial / "new", partial / "old"
        new.mkdir()
        old.mkdir()
        yield new / output.name
        targets = {one: output.with_name(one.name) for one in sorted(new.iterdir())}
        for one, target in targets.items():
            _refuse_existing(target, overwrite)
            _refuse_other_kind(one, target)
        for one, target in targets.items():
            _put(one, target, old / target.name)
    except OSError as error:
        raise _unwritable(output, error) from error
    finally:
        _remove(partial)
        _remove_empty(above)


def _refuse_existing(target: Path, overwrite: bool) -> None:
    """Raise an InputError if something is there that must not be replaced."""
    if not overwrite and os.path.lexists(target):
        raise InputError(f"{target} exists already; choose another name or allow it to be overwritten (--overwrite).")


def _put(new: Path, target: Path, old: Path) -> None:
    """Move a file or folder to its place; what was there goes once the new one is in its place."""
    if not target.is_dir() or target.is_symlink():
        new.replace(target)
        return
    target.rename(old)
    try:
        new.rename(target)
    except BaseException:
        old.rename(target)
        raise


def _remove(folder: Path) -> None:
    """Remove a folder, all of it, before a Ctrl-C that comes meanwhile is heard."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except KeyboardInterrupt:
        _remove(folder)
        raise


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with suppress(OSError):  # something is in it
            folder.rmdir()


def _refuse_nameless(output: Path) -> None:
    if output.name in ("", ".."):
        raise InputError(f"{output} has no name of its own; name a file or a folder.")


def _refuse_other_kind(one: Path, target: Path) -> None:
    """Raise an InputError where a file would replace a folder with all that is in it, or a folder a file."""
    if os.path.lexists(target) and target.is_dir() != one.is_dir():
        kinds = ("folder", "file") if target.is_dir() else ("file", "folder")
        raise InputError(f"{target} is a {kinds[0]} and is not replaced by a {kinds[1]}; choose another name.")


def _unwritable(output: Path, error: OSError) -> InputError:
    return InputError(f"{output} cannot be written ({error.strerror or error}); choose another place.")
