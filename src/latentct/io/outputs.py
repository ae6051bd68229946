"""What a command writes: nothing of the user's is replaced unasked, and a result is whole or not there."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from latentct.errors import InputError
from latentct.io.folders import refuse_existing


def check_output(output: Path, *inputs: Path, overwrite: bool = False) -> None:
    """Refuse, before any work is done, an output that would replace something, or change an input.

    Args:
        output: File or folder to be written.
        inputs: Files or folders that are read.
        overwrite: Whether what is there may be replaced.

    Raises:
        InputError: There is something already and `overwrite` is false, or one of output and input lies in the other.
    """
    refuse_existing(output, overwrite)
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
        InputError: Something is there already and `overwrite` is false, or nothing can be written there.
    """
    refuse_existing(output, overwrite)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        # A name of its own: two runs that write the same do not mix.
        partial = Path(tempfile.mkdtemp(prefix=f".{output.name}.", suffix=".partial", dir=output.parent))
    except OSError as error:
        raise _unwritable(output, error) from error
    try:
        new, old = partial / "new", partial / "old"
        new.mkdir()
        old.mkdir()
        yield new / output.name
        targets = {one: output.with_name(one.name) for one in sorted(new.iterdir())}
        for target in targets.values():
            refuse_existing(target, overwrite)
        for one, target in targets.items():
            if os.path.lexists(target):
                target.rename(old / target.name)
            one.rename(target)
    except OSError as error:
        raise _unwritable(output, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _unwritable(output: Path, error: OSError) -> InputError:
    return InputError(f"{output} cannot be written ({error.strerror or error}); choose another place.")
