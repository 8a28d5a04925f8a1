"""A directory that one process at a time holds, by a lock that the system takes back when the process dies."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Final, Self

from shoal.errors import ConfigError, StateInUseError

__all__ = ["NO_RIGHTS", "StateDirectory", "is_full"]

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


_LOCKED_BYTE: Final = 1 << 20
"""Behind all that is in the file, so that others can read who holds it."""
NO_RIGHTS: Final = "let this node's user write there, or take another directory"
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO})


def is_full(error: OSError) -> bool:
    """Whether the disk is to blame, and not how it is used."""
    return error.errno in _FULL


class StateDirectory:
    """The directory, made if it is not there, and this process's hold on it."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor: int | None = descriptor

    @classmethod
    def take(cls, path: Path) -> Self:
        """Hold it.

        Raises `StateInUseError`, which names the holder, `ConfigError` for a path that cannot be used, and `OSError`
        when the disk is full.
        """
        descriptor = None
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
            _lock(descriptor)
        except OSError as error:
            holder = "" if descriptor is None else _read(descriptor)
            if descriptor is not None:
                os.close(descriptor)
            if is_full(error):
                raise
            if error.errno in (errno.EAGAIN, errno.EACCES, errno.EDEADLK) and descriptor is not None:
                raise StateInUseError(
                    f"state_dir = {str(path)!r} is in use by {holder or 'another process'}; end it, or take another"
                    " directory"
                ) from None
            problem = f"cannot be used: {error.strerror or error}; {_remedy(error)}"
            raise ConfigError("state_dir", str(path), problem) from error
        held = cls(path, descriptor)
        held.describe("")
        return held

    def describe(self, name: str) -> None:
        """Write down who holds it, for those who are refused; best effort."""
        if self._descriptor is None:
            return
        try:
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            os.write(self._descriptor, f"process {os.getpid()}{f', node {name}' if name else ''}".encode())
        except OSError:  # the disk is full; the lock itself needs no room
            return

    def release(self) -> None:
        """Let go; may be called again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _remedy(error: OSError) -> str:
    if isinstance(error, FileExistsError | NotADirectoryError):
        return "it names no directory, take another path"
    return NO_RIGHTS if isinstance(error, PermissionError) else "take another directory"


def _read(descriptor: int) -> str:
    os.lseek(descriptor, 0, os.SEEK_SET)
    text = os.read(descriptor, 512).decode(errors="replace")
    return "".join(character if character.isprintable() else "?" for character in text)
