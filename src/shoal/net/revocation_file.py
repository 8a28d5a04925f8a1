"""The file with what an authority took back, read at the start and whenever it has changed since."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from typing import Final

from shoal.errors import ConfigError
from shoal.net.secret_file import read_public
from shoal.wire.certificates import Authority
from shoal.wire.revocations import MAX_REVOCATIONS, Revocation

__all__ = ["REREAD_INTERVAL", "RevocationFile", "read_revocations"]

REREAD_INTERVAL: Final = 10.0
"""Seconds between two looks at the file."""

_MAX_SIZE: Final = 1 << 20
"""Bytes of the largest file: `MAX_REVOCATIONS` of 147 bytes, and comments."""
_REMEDY: Final = "`shoal keys revoke` writes one, and an empty file holds none"

_log = logging.getLogger("shoal.net")


def read_revocations(path: str, authority: Authority) -> list[Revocation]:
    """What stands in the file. Raises `ConfigError` unless all of it is by the authority."""
    try:
        found = Revocation.parse_all(read_public("revocations", path, _REMEDY, _MAX_SIZE))
    except ConfigError as error:
        if error.field == "revocations":
            raise
        raise ConfigError("revocations", path, f"{error.field} {Revocation.REMEDY}") from None
    if len(found) > MAX_REVOCATIONS:
        raise ConfigError(
            "revocations",
            path,
            f"holds {len(found)} of them, and {MAX_REVOCATIONS} is the most; leave out those whose certificates have "
            "expired",
        )
    for number, revocation in enumerate(found, 1):
        if not authority.has_revoked(revocation):
            raise ConfigError(
                "revocations", path, f"number {number} in it is not by this node's authority, or for another cluster"
            )
    return found


class RevocationFile:
    """Looks at the file now and then, and hands on what is new; a file that has become bad changes nothing."""

    __slots__ = ("_authority", "_is_reading", "_next", "_on_news", "_path", "_seen")

    def __init__(self, path: str, authority: Authority, on_news: Callable[[], object]) -> None:
        """`on_news` is called on the event loop's thread, after `authority` has learned of more."""
        self._path = path
        self._authority = authority
        self._on_news = on_news
        self._next = 0.0
        self._is_reading = False
        self._seen: object = None

    def look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read it in a thread if it is time to; called on the event loop's thread, as often as you like."""
        now = loop.time()
        if self._is_reading or now < self._next:
            return
        self._is_reading, self._next = True, now + REREAD_INTERVAL
        loop.run_in_executor(None, self._read_if_changed).add_done_callback(self._take)

    def _read_if_changed(self) -> list[Revocation]:
        seen = _mark(self._path)
        if seen == self._seen:
            return []
        self._seen = seen
        return read_revocations(self._path, self._authority)

    def _take(self, reading: asyncio.Future[list[Revocation]]) -> None:
        self._is_reading = False
        if reading.cancelled():
            return
        error = reading.exception()
        if isinstance(error, ConfigError):
            _log.warning("%s; what was read before counts on", error, extra={"event": "revocations_unreadable"})
        elif error is not None:
            raise error
        elif self._authority.learn(reading.result()):
            self._on_news()


def _mark(path: str) -> object:
    """What is another after the file has changed."""
    try:
        status = os.stat(path)
    except OSError as error:
        return error.errno
    return status.st_ino, status.st_size, status.st_mtime_ns
