"""A lease in an SQLite file: for tests, and for groups whose members share a disk that locks properly."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

__all__ = ["SqliteLease"]

_TABLE: Final = "CREATE TABLE IF NOT EXISTS lease (name TEXT PRIMARY KEY, owner TEXT NOT NULL, until REAL NOT NULL)"
_PATIENCE: Final = 5.0
"""Seconds that one call waits for the file while another process writes it."""


class SqliteLease:
    """One named lease in one file; see `shoal.swim.partition.lease.Lease`. Any number of leases may share the file."""

    def __init__(
        self, path: Path | str, name: str = "shoal", *, life: float = 120.0, clock: Callable[[], float] = time.time
    ) -> None:
        """Hold the lease `name` in `path`, which is made when it is not there.

        A lease that is not kept or released ends `life` seconds after it was taken, by the wall clocks of those who
        ask; it must exceed the settle times of both sides together, or the second side gets it too.
        """
        self._path = path
        self._name = name
        self._life = life
        self._clock = clock

    def check(self) -> None:
        """Raises `OSError` when the file cannot be used."""
        with self._open():
            pass

    def acquire(self, owner: str) -> bool:
        """Take or keep it; False when another owner has it. Raises `OSError` when the file cannot be used."""
        now = self._clock()
        with self._open() as database:
            row = database.execute("SELECT owner, until FROM lease WHERE name = ?", (self._name,)).fetchone()
            if row is not None and row[0] != owner and row[1] > now:
                return False
            database.execute("REPLACE INTO lease VALUES (?, ?, ?)", (self._name, owner, now + self._life))
        return True

    def release(self, owner: str) -> None:
        """Give it back, if this owner has it. Raises `OSError` when the file cannot be used."""
        with self._open() as database:
            database.execute("DELETE FROM lease WHERE name = ? AND owner = ?", (self._name, owner))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """The file in one transaction that no other process's can overlap."""
        try:
            with closing(sqlite3.connect(self._path, timeout=_PATIENCE, isolation_level=None)) as database:
                database.execute("BEGIN IMMEDIATE")
                database.execute(_TABLE)
                yield database
                database.execute("COMMIT")
        except sqlite3.Error as error:
            raise OSError(f"the lease file {self._path} cannot be used: {error}; check its path and rights") from error
