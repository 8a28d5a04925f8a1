"""The state of one node in a directory: taken in at once, and written by a thread of its own, now and then."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Final

from shoal.errors import ClosedError, ConfigError, ShoalError
from shoal.keys import ClusterKey
from shoal.persistence import EventFacts, OwnState, SavedEvent, SavedPeer, SavedState
from shoal.store.database import MAX_EVENTS, RIGHTS, Database, SaveError, UnreadableError
from shoal.store.directory import NO_RIGHTS, StateDirectory

__all__ = ["DirectoryStore", "read_events"]

_PAUSE: Final = 0.5
"""Seconds between two writes that nobody waits for."""
_RETRY: Final = 30.0
"""Seconds between two tries to write where that failed."""
_LAST_WRITE: Final = 2.0
"""Seconds that closing waits for the last write."""
_FILE: Final = "state.db"
_ASIDE: Final = "state.db.unreadable"

_log = logging.getLogger("shoal.store")


class DirectoryStore:
    """A `StateStore` on the file `state.db` in a directory that this process holds alone.

    What is given is what shall be there; what is written is the newest of it. Where the disk does not take it, it is
    held in memory, with one warning, and tried again every 30 seconds. A file that cannot be read is set aside.
    """

    def __init__(self, path: Path | str, *, clock: Callable[[], float] = time.time) -> None:
        self._path = Path(path)
        self._clock = clock
        self._directory: StateDirectory | None = None
        self._database: Database | None = None
        self._thread: threading.Thread | None = None
        #: Held while it is opened and closed, so that neither overtakes the other.
        self._life = threading.Lock()
        self._change = threading.Condition()
        self._own: OwnState | None = None
        self._peers: Mapping[str, SavedPeer] | None = None
        self._keys: tuple[Sequence[ClusterKey], Sequence[bytes]] | None = None
        self._events: deque[SavedEvent] = deque(maxlen=MAX_EVENTS)
        #: The same and those that are written, of earlier runs too.
        self._recent: deque[SavedEvent] = deque(maxlen=MAX_EVENTS)
        #: Names of what is newer here than on the disk.
        self._dirty: set[str] = set()
        self._waiting: list[Future[bool]] = []
        self._is_ending = False
        self._has_failed = False

    # Life

    def open(self) -> SavedState:
        """As `StateStore.open`; raises `ClosedError` if it was closed before."""
        with self._life:
            if self._is_ending:
                raise ClosedError(f"the state in {self._path} is closed")
            state = SavedState()
            try:
                self._directory = StateDirectory.take(self._path)
                self._database, state = self._open_file()
            except OSError as error:
                self._failed(error)
            except ShoalError:
                self._release()
                raise
            self._recent.extend(state.events)
            self._thread = threading.Thread(target=self._work, name=f"shoal store {self._path}", daemon=True)
            self._thread.start()
            return state

    def close(self) -> None:
        """As `StateStore.close`."""
        with self._life:
            with self._change:
                self._is_ending = True
                self._change.notify()
            if self._thread is not None:
                self._thread.join(_LAST_WRITE)
                self._thread = None

    # What is to be kept

    def save_own(self, own: OwnState) -> None:
        """As `StateStore.save_own`."""
        with self._change:
            is_renamed = self._own is None or self._own.name != own.name
            self._own = own
            self._is_dirty("own")
        if is_renamed and self._directory is not None:
            self._directory.describe(own.name)

    def save_peers(self, peers: Mapping[str, SavedPeer]) -> None:
        """As `StateStore.save_peers`."""
        with self._change:
            if peers != self._peers:
                self._peers = peers
                self._is_dirty("peers")

    def save_keys(self, keys: Sequence[ClusterKey], configured: Sequence[bytes]) -> None:
        """As `StateStore.save_keys`."""
        with self._change:
            self._keys = (tuple(keys), tuple(configured))
            self._is_dirty("keys")

    def add_events(self, events: Sequence[EventFacts]) -> None:
        """As `StateStore.add_events`."""
        now = self._clock()
        new = [SavedEvent(now, *event) for event in events]
        with self._change:
            self._events.extend(new)
            self._recent.extend(new)
            self._is_dirty("events")

    def events(self) -> tuple[SavedEvent, ...]:
        """As `StateStore.events`."""
        with self._change:
            return tuple(self._recent)

    def flush(self) -> Future[bool]:
        """As `StateStore.flush`."""
        done: Future[bool] = Future()
        with self._change:
            if self._is_ending or self._thread is None:
                done.set_result(not self._dirty)
            else:
                self._waiting.append(done)
                self._change.notify()
        return done

    def _is_dirty(self, what: str) -> None:
        self._dirty.add(what)
        self._change.notify()

    # The thread

    def _work(self) -> None:
        is_ending = False
        while not is_ending:
            with self._change:
                self._change.wait_for(lambda: self._dirty or self._waiting or self._is_ending)
                if not self._waiting:  # Nobody waits: let more come together.
                    pause = _RETRY if self._has_failed else _PAUSE
                    self._change.wait_for(lambda: self._waiting or self._is_ending, pause)
                waiting, self._waiting = self._waiting, []
                is_ending = self._is_ending
            is_saved = self._write()
            for done in waiting:
                done.set_result(is_saved)
        if self._database is not None:
            self._database.close()
        self._release()

    def _release(self) -> None:
        if self._directory is not None:
            self._directory.release()

    def _write(self) -> bool:
        """Write what is newer here; whether all of it is on the disk."""
        try:
            database = self._database or self._open_again()
        except (OSError, ShoalError) as error:
            self._failed(error)
            return False
        with self._change:
            what, self._dirty = self._dirty, set()
            own, peers, keys, events = self._own, self._peers, self._keys, list(self._events)
            self._events.clear()
        if not what:
            return True
        try:
            with database.transaction():
                if "own" in what and own is not None:
                    database.write_own(own)
                if "peers" in what and peers is not None:
                    database.write_peers(peers)
                if "keys" in what and keys is not None:
                    database.write_keys(*keys)
                database.write_events(events)
        except OSError as error:
            self._take_back(what, events)
            self._failed(error)
            return False
        except UnreadableError as error:
            self._take_back(what, events)
            self._start_afresh(error)
            return self._write()
        if self._has_failed:
            self._has_failed = False
            _log.info("%s: the state is saved again", self._path, extra={"event": "state_saved_again"})
        return True

    def _take_back(self, what: set[str], events: list[SavedEvent]) -> None:
        with self._change:
            self._dirty |= what
            newer = list(self._events)
            self._events.clear()
            self._events.extend((*events, *newer))

    def _open_again(self) -> Database:
        """The file could not be made before, or was damaged: everything is to be written."""
        if self._directory is None:
            self._directory = StateDirectory.take(self._path)
        self._database, _ = self._open_file()
        with self._change:
            self._dirty |= {"own", "peers", "keys"}
        return self._database

    def _start_afresh(self, error: UnreadableError) -> None:
        """The file was damaged while it was open."""
        if self._database is not None:
            self._database.close()
            self._database = None
        try:
            self._set_aside(error)
        except OSError as why:
            self._failed(why)

    def _failed(self, error: Exception) -> None:
        if not self._has_failed:
            self._has_failed = True
            _log.warning(
                "%s: the state cannot be saved and is held in memory only: %s; it is tried again every %g seconds%s",
                self._path,
                error,
                _RETRY,
                _remedy(error),
                extra={"event": "state_not_saved", "path": str(self._path), "reason": str(error)},
            )

    # The file

    def _open_file(self) -> tuple[Database, SavedState]:
        try:
            return self._open_as_it_is()
        except UnreadableError as error:
            self._set_aside(error)
        try:
            return self._open_as_it_is()
        except UnreadableError as error:
            raise SaveError(f"a new {_FILE} cannot be read: {error}", "take another directory") from error

    def _open_as_it_is(self) -> tuple[Database, SavedState]:
        path = self._path / _FILE
        try:
            database = Database(path)
        except (PermissionError, IsADirectoryError) as error:
            if not os.path.lexists(path):
                problem = f"{_FILE} cannot be made there: {error.strerror}; {NO_RIGHTS}"
                raise ConfigError("state_dir", str(self._path), problem) from error
            raise UnreadableError(error.strerror) from error
        try:
            return database, database.read()
        except BaseException:
            database.close()
            raise

    def _set_aside(self, error: UnreadableError) -> None:
        """Keep the file under another name, in the place of an earlier one, for somebody to look at."""
        try:
            for ending in ("", "-wal", "-shm"):
                source, target = self._path / (_FILE + ending), self._path / (_ASIDE + ending)
                if os.path.lexists(source):
                    os.replace(source, target)
        except OSError as why:
            problem = f"{_FILE} cannot be read ({error}) nor renamed to {_ASIDE} ({why.strerror})"
            raise SaveError(problem, RIGHTS if isinstance(why, PermissionError) else f"move {_FILE} away") from error
        _log.warning(
            "%s cannot be read: %s; it is kept as %s, and this node starts without what it had saved",
            self._path / _FILE,
            error,
            _ASIDE,
            extra={"event": "state_set_aside", "path": str(self._path / _ASIDE), "reason": str(error)},
        )


def _remedy(error: Exception) -> str:
    if isinstance(error, ShoalError):  # It names its own.
        return ""
    return f", {error.remedy if isinstance(error, SaveError) else 'see that the disk has room'}"


def read_events(path: Path | str) -> tuple[SavedEvent, ...]:
    """The events that are saved in a state directory, the oldest first, whether or not a node runs on it.

    Raises `ConfigError` for a directory without a state, and for one whose state cannot be read.
    """
    file = Path(path) / _FILE
    try:
        if not file.is_file():
            raise ConfigError("state_dir", str(path), "no node has kept its state there; name another directory")
        return Database.read_events(file)
    except (OSError, UnreadableError) as error:
        raise ConfigError("state_dir", str(path), f"its {_FILE} cannot be read: {error}") from None
