"""Files that cannot be written, and users who lose patience, at a chosen moment."""

import errno
import os
import resource
import signal
import sys
from dataclasses import dataclass, field

_CHANGES = {"os.mkdir", "os.rename", "os.link", "os.symlink", "os.truncate", "tempfile.mkstemp", "tempfile.mkdtemp"}
_REMOVALS = {"os.remove", "os.rmdir", "shutil.rmtree"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_armed: list["Fault"] = []


@dataclass
class Fault:
    """What goes wrong, and when.

    Attributes:
        kind: "full": nothing new can be written; "read-only": nor removed; "interrupt": Ctrl-C as something new is
            written; "signal": Ctrl-C at a time; "short": no file may grow beyond a size.
        at: which change it is, from 1; seconds for "signal", bytes for "short".
        below: path that it concerns.
    """

    kind: str
    at: float
    below: str
    count: int = field(default=0, init=False)
    fired: bool = field(default=False, init=False)

    def arm(self) -> None:
        """Let it happen from here on."""
        _armed.append(self)
        if self.kind == "signal":
            signal.signal(signal.SIGALRM, self._interrupt)
            signal.setitimer(signal.ITIMER_REAL, self.at)
        if self.kind == "short":
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(self.at), resource.RLIM_INFINITY))
            self.fired = True

    def disarm(self) -> None:
        """Let it happen no longer."""
        _armed.clear()
        signal.setitimer(signal.ITIMER_REAL, 0)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def meets(self, event: str, path: str) -> None:
        """Count a change, and fail if it is the one.

        Raises:
            OSError: the disk is full or may not be written.
            KeyboardInterrupt: the user pressed Ctrl-C.
        """
        if self.kind in ("signal", "short") or not path.startswith(self.below):
            return
        if event in _REMOVALS and self.kind != "read-only":
            return
        self.count += 1
        if self.count < self.at or (self.kind == "interrupt" and self.fired):
            return
        self.fired = True
        if self.kind == "interrupt":
            raise KeyboardInterrupt
        number = errno.ENOSPC if self.kind == "full" else errno.EROFS
        raise OSError(number, os.strerror(number), path)

    def _interrupt(self, *_: object) -> None:
        self.fired = True
        os.kill(os.getpid(), signal.SIGINT)


def _hook(event: str, arguments: tuple) -> None:
    if not _armed or not arguments or isinstance(arguments[0], int):
        return
    if event in _CHANGES | _REMOVALS or (event == "open" and (arguments[2] or 0) & _WRITING):
        # shutil.rmtree and others name what is relative to an open folder, which has been counted by its full name
        _armed[0].meets(event, os.fsdecode(arguments[0]) if arguments[0] else "")


sys.addaudithook(_hook)
