"""The SQLite file in which the state of one node lies; one thread at a time may use it."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from shoal.errors import ConfigError
from shoal.keys import ClusterKey
from shoal.persistence import OwnState, SavedEvent, SavedPeer, SavedState
from shoal.types import Address, MemberState, NodeId, Tags

__all__ = ["MAX_EVENTS", "MIGRATIONS", "RIGHTS", "Database", "SaveError", "UnreadableError"]

MAX_EVENTS: Final = 1000
"""Events that are kept; the oldest go first."""
_EVENTS: Final = "SELECT at, kind, member, id, host, port, detail FROM events ORDER BY number"
_EARLIER_EVENTS: Final = "SELECT at, kind, member, id, host, port, '' FROM events ORDER BY number"
"""Before the third version."""
_MAX_PAGES: Final = 4096
"""Pages of the file: 16 MiB, several times what it ever holds."""
_MAX_JOURNAL: Final = 1 << 20
_PATIENCE: Final = 2.0
"""Seconds to wait for somebody else who looks into the file, such as `sqlite3`."""

_TABLES: Final = {"own", "peers", "keys", "configured_keys", "events"}
"""By which a file of ours is known, whatever its version."""
_ROOM: Final = "see that the disk has room"
RIGHTS: Final = "let this node's user write there"
_REMEDIES: Final = {
    sqlite3.SQLITE_BUSY: "end what else has the file open",
    sqlite3.SQLITE_READONLY: RIGHTS,
    sqlite3.SQLITE_CANTOPEN: RIGHTS,
    sqlite3.SQLITE_PERM: RIGHTS,
}
_STATES: Final = {str(state): state for state in MemberState}

MIGRATIONS: Final[tuple[str, ...]] = (
    """
    CREATE TABLE own (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        cluster TEXT NOT NULL, name TEXT NOT NULL, id BLOB NOT NULL, tags TEXT NOT NULL, configured TEXT NOT NULL
    );
    CREATE TABLE peers (name TEXT PRIMARY KEY, host TEXT NOT NULL, port INTEGER NOT NULL);
    CREATE TABLE keys (place INTEGER PRIMARY KEY, secret BLOB NOT NULL);
    CREATE TABLE configured_keys (place INTEGER PRIMARY KEY, id BLOB NOT NULL);
    CREATE TABLE events (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        at REAL NOT NULL, kind TEXT NOT NULL, member TEXT NOT NULL, id BLOB NOT NULL, host TEXT NOT NULL,
        port INTEGER NOT NULL
    );
    """,
    """
    ALTER TABLE peers ADD COLUMN tags TEXT NOT NULL DEFAULT '{}';
    ALTER TABLE peers ADD COLUMN state TEXT NOT NULL DEFAULT 'alive';
    """,
    "ALTER TABLE events ADD COLUMN detail TEXT NOT NULL DEFAULT ''",
)
"""What leads from each version of the file to the next; the first makes it."""


class UnreadableError(Exception):
    """The file is no database of ours, is damaged, or was written by a later version."""


class SaveError(OSError):
    """The state cannot be written."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.remedy = remedy
        """What helps, as a request."""


class Database:
    """One open file. Methods that write raise `SaveError` when they cannot; then nothing was changed."""

    def __init__(self, path: Path, *, migrations: Sequence[str] = MIGRATIONS) -> None:
        """Open or make it. Raises `UnreadableError` for one that is of no use, and `OSError` for a full disk."""
        # Made here, because SQLite would let others read it; it holds keys. Its journals get the same rights.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        os.chmod(path, 0o600)
        self._connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
        self._peers: dict[str, SavedPeer] = {}
        try:
            self._prepare(migrations)
        except BaseException:
            self._connection.close()
            raise

    def read(self) -> SavedState:
        """All that is there. Raises `UnreadableError`."""
        try:
            state = self._read()
        except (sqlite3.Error, ValueError, TypeError, ConfigError) as error:
            raise UnreadableError(str(error)) from error
        return state

    @classmethod
    def read_events(cls, path: Path) -> tuple[SavedEvent, ...]:
        """The events in a file that somebody else may have open. Raises `UnreadableError`."""
        try:
            # Writable, or SQLite could not look into the journal that a killed process left behind.
            with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", timeout=_PATIENCE, uri=True)) as file:
                file.execute("PRAGMA query_only = ON")
                (version,) = file.execute("PRAGMA user_version").fetchone()
                if not 1 <= version <= len(MIGRATIONS):
                    raise UnreadableError(f"it is of version {version}, and this program knows {len(MIGRATIONS)}")
                return tuple(map(_event_of, file.execute(_EARLIER_EVENTS if version < 3 else _EVENTS)))
        except (sqlite3.Error, ValueError, TypeError, ConfigError) as error:
            raise UnreadableError(str(error)) from error

    def write_own(self, own: OwnState) -> None:
        """Who the node is; to be called in `transaction`, as all that writes."""
        row = (own.cluster, own.name, bytes(own.id), json.dumps(own.tags), json.dumps(own.configured))
        self._connection.execute("REPLACE INTO own VALUES (1, ?, ?, ?, ?, ?)", row)

    def write_peers(self, peers: Mapping[str, SavedPeer]) -> None:
        """Whom it knows, in the place of the last; only what differs is written."""
        execute = self._connection.executemany
        execute("DELETE FROM peers WHERE name = ?", [(name,) for name in self._peers.keys() - peers.keys()])
        changed = [_peer_row(name, peer) for name, peer in peers.items() if self._peers.get(name) != peer]
        execute("REPLACE INTO peers (name, host, port, tags, state) VALUES (?, ?, ?, ?, ?)", changed)
        self._peers = dict(peers)

    def write_keys(self, keys: Sequence[ClusterKey], configured: Sequence[bytes]) -> None:
        """Its keyring."""
        self._connection.execute("DELETE FROM keys")
        self._connection.execute("DELETE FROM configured_keys")
        self._connection.executemany("INSERT INTO keys VALUES (?, ?)", enumerate(key.secret for key in keys))
        self._connection.executemany("INSERT INTO configured_keys VALUES (?, ?)", enumerate(map(bytes, configured)))

    def write_events(self, events: Iterable[SavedEvent]) -> None:
        """What happened; beyond `MAX_EVENTS` the oldest are forgotten."""
        rows = [(one.at, one.kind, one.member, bytes(one.id), *one.address, one.detail) for one in events]
        self._connection.executemany(
            "INSERT INTO events (at, kind, member, id, host, port, detail) VALUES (?, ?, ?, ?, ?, ?, ?)", rows
        )
        self._connection.execute(
            "DELETE FROM events WHERE number <= (SELECT max(number) FROM events) - ?", (MAX_EVENTS,)
        )

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, and on the disk at its end."""
        peers = self._peers
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._peers = peers
            with suppress(sqlite3.Error):
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
            raise _named(error) from error

    def close(self) -> None:
        """Close the file."""
        with suppress(sqlite3.Error):
            self._connection.close()

    def _prepare(self, migrations: Sequence[str]) -> None:
        execute = self._connection.execute
        try:
            version = self._checked_version(len(migrations))
            execute("PRAGMA secure_delete = ON")
            execute(f"PRAGMA max_page_count = {_MAX_PAGES}")
            execute("PRAGMA journal_mode = WAL")
            execute("PRAGMA synchronous = FULL")
            execute(f"PRAGMA journal_size_limit = {_MAX_JOURNAL}")
            for number, script in enumerate(migrations[version:], version + 1):
                self._connection.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;")
        except sqlite3.Error as error:
            raise _named(error) from error

    def _checked_version(self, newest: int) -> int:
        """The version of the file, 0 for an empty one. Raises `UnreadableError` for one that is not ours or damaged."""
        execute = self._connection.execute
        (verdict,) = execute("PRAGMA quick_check(1)").fetchone()
        (version,) = execute("PRAGMA user_version").fetchone()
        tables = {name for (name,) in execute("SELECT name FROM sqlite_master")}
        if verdict != "ok":
            raise UnreadableError(verdict)
        if version > newest:
            raise UnreadableError(f"it is of version {version}, and this program knows {newest}")
        is_ours = tables >= _TABLES if version else not tables
        if not is_ours:
            raise UnreadableError("it is a database of something else")
        return int(version)

    def _read(self) -> SavedState:
        execute = self._connection.execute
        own = execute("SELECT cluster, name, id, tags, configured FROM own").fetchone()
        self._peers = dict(map(_peer_of, execute("SELECT name, host, port, tags, state FROM peers")))
        return SavedState(
            own=None if own is None else _own_of(*own),
            peers=dict(sorted(self._peers.items(), key=lambda item: item[1].state)),
            keys=tuple(ClusterKey(secret) for (secret,) in execute("SELECT secret FROM keys ORDER BY place")),
            configured_keys=tuple(id for (id,) in execute("SELECT id FROM configured_keys ORDER BY place")),
            events=tuple(map(_event_of, execute(_EVENTS))),
        )


def _peer_row(name: str, peer: SavedPeer) -> tuple[str, str, int, str, str]:
    return name, *peer.address, json.dumps(peer.tags), str(peer.state)


def _peer_of(row: tuple[str, str, int, str, str]) -> tuple[str, SavedPeer]:
    name, host, port, tags, state = row
    if (known := _STATES.get(state)) is None:
        raise ValueError(f"the peer {name!r} is {state!r}, which is no state of a member")
    return name, SavedPeer(Address.parse(str(Address(host, port))), Tags(json.loads(tags)), known)


def _event_of(row: tuple[float, str, str, bytes, str, int, str]) -> SavedEvent:
    at, kind, member, id, host, port, detail = row
    return SavedEvent(at, kind, member, NodeId(id), Address(host, port), detail)


def _own_of(cluster: str, name: str, id: bytes, tags: str, configured: str) -> OwnState:
    if len(id) != NodeId.SIZE:
        raise ValueError(f"the id of the last run has {len(id)} bytes")
    return OwnState(cluster, name, NodeId(id), Tags(json.loads(tags)), Tags(json.loads(configured)))


def _named(error: sqlite3.Error) -> SaveError | UnreadableError:
    """Whether the file itself is wrong, or the disk or somebody who holds it."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return UnreadableError(str(error))
    return SaveError(str(error), _REMEDIES.get(code, _ROOM))
