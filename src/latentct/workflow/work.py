"""Slices that are done, kept beside the result until it is whole, so that a second call continues.

Nothing is ever half written: each part is a file of its own that gets its name when it is complete. The folder is
hidden, `.NAME.work` beside the result NAME, and goes when the result is there.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from latentct.errors import InputError
from latentct.io.files import whole_file

Part = Mapping[str, NDArray[Any]]
_FINGERPRINT = "fingerprint"


class Work:
    """Parts of a result by the range of slices that they cover.

    Args:
        folder: where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def done(self, slices: slice) -> bool:
        """Whether the part of these slices is there."""
        return self._file(slices).is_file()

    def keep(self, slices: slice, part: Part) -> None:
        """Keep the part of these slices."""
        with whole_file(self._file(slices)) as partial, partial.open("wb") as file:
            np.savez(file, **dict[str, Any](part))

    def part(self, slices: slice) -> dict[str, NDArray[Any]]:
        """Return what was kept of these slices."""
        with np.load(self._file(slices), allow_pickle=False) as file:
            return dict(file)

    def any_done(self) -> bool:
        """Whether there is anything that a second call could go on from."""
        return any(self.folder.glob("*.npz"))

    def _file(self, slices: slice) -> Path:
        return self.folder / f"slices_{slices.start:05d}_{slices.stop:05d}.npz"


@contextmanager
def open_work(output: Path, fingerprint: str) -> Iterator[Work]:
    """Give the work folder of a result, with what an interrupted call of the same kind left there.

    When the block ends the folder is gone. When it is interrupted, or fails for want of memory or disk, what was done
    is kept, as far as there is anything; bad input leaves nothing.

    Args:
        output: where the result goes.
        fingerprint: of the input and the settings; parts of others are dropped.

    Raises:
        InputError: another process is working on this result, or nothing can be written beside it.
    """
    folder = output.with_name(f".{output.name}.work")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / "lock", blocking=False)
        lock.acquire()
    except Timeout as error:
        raise InputError(
            f"{output} is being made by another process; wait for it, or choose another folder."
        ) from error
    except OSError as error:
        if not Work(folder).any_done():
            shutil.rmtree(folder, ignore_errors=True)
        raise InputError(f"{output} cannot be written ({error.strerror}); choose another folder.") from error
    work = Work(folder)
    kept = False
    try:
        _drop_others(folder, fingerprint)
        yield work
    except InputError:
        raise
    except BaseException:
        kept = work.any_done()
        raise
    finally:
        lock.release()
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)


def _drop_others(folder: Path, fingerprint: str) -> None:
    """Drop parts of other input or settings."""
    file = folder / _FINGERPRINT
    if file.is_file() and file.read_text(encoding="ascii") == fingerprint:
        return
    for part in folder.glob("slices_*"):
        part.unlink()
    with whole_file(file) as partial:
        partial.write_text(fingerprint, encoding="ascii")
