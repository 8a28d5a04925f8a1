"""Files that hold a secret."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path
from typing import Final

from shoal.errors import ConfigError

__all__ = ["read_public", "read_secret"]

_MAX_SIZE: Final = 65_536
"""Bytes; far more than any secret has."""

_log = logging.getLogger("shoal.net")


def read_secret(setting: str, path: str, remedy: str) -> str:
    """The text of the file that `setting` names; warns of one that others can read.

    Raises `ConfigError` with `remedy` for a file that cannot be read, and without for one that is no text or too large.
    """
    text, mode = _read(setting, path, remedy)
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        _log.warning("%s = %r: other users may read it; chmod 600 %s", setting, path, path)
    return text


def read_public(setting: str, path: str, remedy: str, max_size: int = _MAX_SIZE) -> str:
    """The same of a file that everybody may read, of `max_size` bytes at most."""
    return _read(setting, path, remedy, max_size)[0]


def _read(setting: str, path: str, remedy: str, max_size: int = _MAX_SIZE) -> tuple[str, int]:
    try:
        with Path(path).open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(max_size + 1)
    except (OSError, ValueError) as error:
        cause = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ConfigError(setting, path, f"cannot be read: {cause}; {remedy}, or correct the path") from None
    if len(data) > max_size:
        raise ConfigError(setting, path, f"is larger than {max_size} bytes, so it is another file")
    return data.decode("utf-8", errors="replace"), mode
