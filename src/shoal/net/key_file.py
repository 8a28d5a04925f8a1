"""Keys from the file that a configuration names."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

from shoal.config import ClusterConfig
from shoal.errors import ConfigError
from shoal.keys import HIDDEN, ClusterKey, parse_keys

__all__ = ["configured_keys"]

_MAX_SIZE = 65_536
"""Bytes; a key takes 45 of them."""

_log = logging.getLogger("shoal.net")


def configured_keys(config: ClusterConfig) -> tuple[ClusterKey, ...]:
    """The keys that `config` holds or names, the first one sealing; none means no encryption.

    Raises `ConfigError` for a file that cannot be read or holds no key. Warns of one that others can read.
    """
    if config.key_file is None:
        return config.keys
    path = Path(config.key_file)
    lines = [line.partition("#")[0].strip() for line in _read(path).splitlines()]
    try:
        keys = parse_keys(line for line in lines if line)
    except ConfigError as error:
        raise ConfigError("key_file", config.key_file, str(error)) from None
    if not keys:
        raise ConfigError("key_file", config.key_file, "there is no key in it; make one with `shoal keygen`")
    return keys


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(_MAX_SIZE + 1)
    except OSError as error:
        _refuse_key(str(path))
        problem = f"cannot be read: {error.strerror or error}; make one with `shoal keygen`, or correct the path"
        raise ConfigError("key_file", str(path), problem) from None
    if len(text) > _MAX_SIZE:
        raise ConfigError("key_file", str(path), f"is larger than {_MAX_SIZE} bytes, so it is no key file")
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        _log.warning("key_file = %r: other users may read it; chmod 600 %s", str(path), path)
    return text.decode("utf-8", errors="replace")


def _refuse_key(path: str) -> None:
    """A key where a path belongs must not come back in a message."""
    try:
        ClusterKey.parse(path)
    except ConfigError:
        return
    raise ConfigError("key_file", HIDDEN, "is a key and no path; give it as keys, or put it into a file") from None
