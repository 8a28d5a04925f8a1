"""What is saved, what survives, and what a disk that is full, damaged or taken does to it."""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
import stat
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from shoal.errors import ClosedError, ConfigError, StateInUseError
from shoal.keys import ClusterKey
from shoal.persistence import OwnState, SavedEvent, SavedPeer, SavedState
from shoal.store import database, directory_store
from shoal.store.database import MAX_EVENTS, MIGRATIONS, Database, UnreadableError
from shoal.store.directory_store import DirectoryStore, read_events
from shoal.types import Address, MemberState, NodeId, Tags
from tests.clusters import waited_for

ID = NodeId.parse("019a8f3e-7c00-7000-8000-00000000000a")
OWN = OwnState("shoal", "gpu-7", ID, Tags(zone="a"), Tags(zone="b"))
B = Address("192.0.2.1", 7946)
PEERS = {
    "b": SavedPeer(B, Tags(zone="a", rack="7")),
    "d": SavedPeer(Address("gpu-3.example", 7946)),
    "c": SavedPeer(Address("2001:db8::2", 7947), state=MemberState.DEAD),
}
KEY, OTHER = ClusterKey(bytes(32)), ClusterKey(bytes(31) + b"\x01")
EVENT = ("MemberDamped", "b", ID, B, "came back 4 times")
KILLS = int(os.environ.get("STORE_KILLS", "300"))
"""How often the writer is killed: a few hundred cost some seconds of CPU."""
ROOT = Path(__file__).parents[2]

posix = pytest.mark.skipif(sys.platform == "win32", reason="rights and limits of Unix")


def reopened(path: Path) -> SavedState:
    store = DirectoryStore(path)
    try:
        return store.open()
    finally:
        store.close()


def save(path: Path, own: OwnState = OWN) -> None:
    store = DirectoryStore(path)
    store.open()
    store.save_own(own)
    store.close()


class TestKeeping:
    def test_a_new_directory_is_made_and_has_nothing(self, tmp_path: Path) -> None:
        assert reopened(tmp_path / "new" / "deep") == SavedState()

    def test_what_was_given_is_there_after_a_restart(self, tmp_path: Path) -> None:
        store = DirectoryStore(tmp_path, clock=lambda: 1234.5)
        store.open()
        store.save_own(OWN)
        store.save_peers(PEERS)
        store.save_keys([OTHER, KEY], [bytes(KEY.id)])
        store.add_events([EVENT])
        store.close()
        state = reopened(tmp_path)
        assert (state.own, state.peers) == (OWN, PEERS)
        assert (state.keys, state.configured_keys) == ((OTHER, KEY), (bytes(KEY.id),))
        assert state.events == (SavedEvent(1234.5, *EVENT),)

    def test_the_newest_takes_the_place_of_what_was_there(self, tmp_path: Path) -> None:
        store = DirectoryStore(tmp_path)
        store.open()
        store.save_peers(PEERS)
        assert store.flush().result(10)
        newer = {"b": SavedPeer(B, Tags(zone="b")), "e": SavedPeer(Address("192.0.2.5", 5))}
        store.save_peers(newer)
        store.save_keys([KEY], [])
        store.save_keys([OTHER], [])
        store.close()
        state = reopened(tmp_path)
        assert state.peers == newer
        assert state.keys == (OTHER,)

    def test_peers_that_are_present_come_first_then_the_dead_then_those_who_left(self, tmp_path: Path) -> None:
        store = DirectoryStore(tmp_path)
        store.open()
        store.save_peers({str(state): SavedPeer(B, state=state) for state in reversed(MemberState)})
        store.close()
        assert list(reopened(tmp_path).peers) == ["alive", "suspect", "dead", "left"]

    def test_what_nobody_waits_for_is_written_too(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(directory_store, "_PAUSE", 0.01)
        store = DirectoryStore(tmp_path)
        store.open()
        store.save_own(OWN)
        waited_for(lambda: not store._dirty)
        store.close()

    def test_events_are_bounded_and_so_is_the_file(self, tmp_path: Path) -> None:
        store = DirectoryStore(tmp_path)
        store.open()
        for turn in range(40):
            store.add_events([("MemberJoined", f"{turn} {'x' * 100}", ID, B, "")] * 400)
            assert store.flush().result(10)
        store.close()
        assert len(reopened(tmp_path).events) == MAX_EVENTS
        assert reopened(tmp_path).events[-1].member.startswith("39 ")
        assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 4 << 20

    def test_events_of_earlier_runs_and_of_this_one_are_told_whether_written_or_not(self, tmp_path: Path) -> None:
        for name in ("first", "second"):
            store = DirectoryStore(tmp_path)
            store.open()
            store.add_events([("MemberJoined", name, ID, B, "")])
            store.close()
        store = DirectoryStore(tmp_path)
        store.open()
        store.add_events([("MemberLeft", "third", ID, B, "")])
        assert [event.member for event in store.events()] == ["first", "second", "third"]
        store.add_events([("MemberLeft", "more", ID, B, "")] * 2 * MAX_EVENTS)
        assert {event.member for event in store.events()} == {"more"}
        assert len(store.events()) == MAX_EVENTS
        store.close()

    def test_events_are_read_beside_the_node_that_holds_the_directory_and_after_its_end(self, tmp_path: Path) -> None:
        store = DirectoryStore(tmp_path, clock=lambda: 1234.5)
        store.open()
        store.add_events([EVENT])
        assert store.flush().result(10)
        saved = (SavedEvent(1234.5, *EVENT),)
        assert read_events(tmp_path) == saved
        store.add_events([EVENT])
        store.close()
        assert read_events(tmp_path) == saved * 2
        assert reopened(tmp_path).events == saved * 2

    def test_events_are_read_after_a_kill(self, tmp_path: Path) -> None:
        script = textwrap.dedent(f"""
            import os, signal
            from shoal.store.directory_store import DirectoryStore
            from shoal.types import Address, NodeId
            store = DirectoryStore({str(tmp_path)!r})
            store.open()
            store.add_events([("MemberJoined", "b", NodeId(bytes(16)), Address("192.0.2.1", 1), "")])
            assert store.flush().result(10)
            os.kill(os.getpid(), signal.SIGKILL)
        """)
        subprocess.run([sys.executable, "-c", script], cwd=ROOT, timeout=60, check=False)
        assert [event.member for event in read_events(tmp_path)] == ["b"]

    def test_a_directory_without_a_state_is_named_and_not_made(self, tmp_path: Path) -> None:
        path = tmp_path / "missing"
        with pytest.raises(ConfigError, match=r"no node has kept its state there; name another directory"):
            read_events(path)
        assert not path.exists()

    @pytest.mark.parametrize("damage", [b"no database at all, but long enough to be one" * 100, b""])
    def test_a_state_that_is_none_is_told_and_left_alone(self, tmp_path: Path, damage: bytes) -> None:
        (tmp_path / "state.db").write_bytes(damage)
        with pytest.raises(ConfigError, match=r"its state\.db cannot be read"):
            read_events(tmp_path)
        assert (tmp_path / "state.db").read_bytes() == damage

    def test_a_store_is_opened_once(self, tmp_path: Path) -> None:
        store = DirectoryStore(tmp_path)
        store.open()
        store.close()
        store.close()
        assert store.flush().result(1)
        with pytest.raises(ClosedError):
            store.open()

    @posix
    def test_nobody_else_may_read_it(self, tmp_path: Path) -> None:
        path = tmp_path / "state"
        store = DirectoryStore(path)
        store.open()
        store.save_keys([KEY], [])
        assert store.flush().result(10)
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.iterdir()}
        store.close()
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert {"state.db", "state.db-wal", "lock"} <= modes.keys()
        assert set(modes.values()) == {0o600}


class TestMigrations:
    def test_peers_of_the_first_version_are_those_that_were_alive_without_tags(self, tmp_path: Path) -> None:
        Database(tmp_path / "state.db", migrations=MIGRATIONS[:1]).close()
        with closing(sqlite3.connect(tmp_path / "state.db")) as file, file:
            file.execute("INSERT INTO peers VALUES ('b', '192.0.2.1', 7946)")
        assert reopened(tmp_path).peers == {"b": SavedPeer(B)}
        assert reopened(tmp_path).peers == {"b": SavedPeer(B)}

    def test_events_of_earlier_versions_are_read_with_and_without_a_migration(self, tmp_path: Path) -> None:
        Database(tmp_path / "state.db", migrations=MIGRATIONS[:1]).close()
        with closing(sqlite3.connect(tmp_path / "state.db")) as file, file:
            row = (1234.5, "MemberDamped", "b", bytes(ID), *B)
            file.execute("INSERT INTO events (at, kind, member, id, host, port) VALUES (?, ?, ?, ?, ?, ?)", row)
        saved = (SavedEvent(1234.5, "MemberDamped", "b", ID, B),)
        assert read_events(tmp_path) == saved
        assert reopened(tmp_path).events == saved
        assert read_events(tmp_path) == saved

    def test_an_older_file_is_brought_up_to_date_with_all_that_is_in_it(self, tmp_path: Path) -> None:
        save(tmp_path)
        later = (*MIGRATIONS, "CREATE TABLE further (x INTEGER); INSERT INTO further VALUES (7)")
        file = Database(tmp_path / "state.db", migrations=later)
        assert file.read().own == OWN
        file.close()
        with closing(sqlite3.connect(tmp_path / "state.db")) as opened:
            assert opened.execute("PRAGMA user_version").fetchone() == (len(later),)
            assert opened.execute("SELECT x FROM further").fetchone() == (7,)

    def test_a_migration_that_fails_changes_nothing(self, tmp_path: Path) -> None:
        save(tmp_path)
        with pytest.raises(OSError, match="no such table"):
            Database(tmp_path / "state.db", migrations=(*MIGRATIONS, "DROP TABLE own; DROP TABLE missing"))
        assert reopened(tmp_path).own == OWN

    def test_a_file_of_a_later_version_is_not_touched(self, tmp_path: Path) -> None:
        save(tmp_path)
        Database(tmp_path / "state.db", migrations=(*MIGRATIONS, "SELECT 1")).close()
        with pytest.raises(UnreadableError, match=f"it is of version {len(MIGRATIONS) + 1}, and this"):
            Database(tmp_path / "state.db")


class TestDamage:
    @pytest.mark.parametrize(
        "damage",
        [
            lambda file: file.write_bytes(b"no database at all" * 100),
            lambda file: file.write_bytes(file.read_bytes()[:5000]),
            lambda file: file.write_bytes(file.read_bytes()[:4096] + os.urandom(len(file.read_bytes()) - 4096)),
            lambda file: sqlite3.connect(file).executescript("UPDATE own SET id = x'00'"),
            lambda file: sqlite3.connect(file).executescript("DROP TABLE own"),
            lambda file: sqlite3.connect(file).executescript(
                "INSERT INTO peers VALUES ('b', '192.0.2.1', 7946, '{}', 'asleep')"
            ),
            lambda file: (file.unlink(), file.mkdir()),
            lambda file: (file.unlink(), sqlite3.connect(file).executescript("CREATE TABLE own (x)")),
            lambda file: (
                file.unlink(),
                sqlite3.connect(file).executescript("CREATE TABLE own (x); PRAGMA user_version = 1"),
            ),
        ],
        ids=[
            "text",
            "cut off",
            "overwritten",
            "a bad value",
            "a missing table",
            "no state",
            "a directory",
            "foreign",
            "foreign with a version",
        ],
    )
    def test_a_file_that_cannot_be_read_is_set_aside_with_one_warning(
        self, damage: object, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        save(tmp_path)
        damage(tmp_path / "state.db")  # type: ignore[operator]
        assert reopened(tmp_path).own is None
        (warning,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert "state.db cannot be read" in warning.getMessage()
        assert (tmp_path / "state.db.unreadable").exists()
        save(tmp_path)
        assert reopened(tmp_path).own == OWN

    def test_one_that_cannot_be_set_aside_either_is_left_alone_and_the_cause_is_told(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "state.db").write_bytes(b"no database at all" * 100)
        (tmp_path / "state.db.unreadable").mkdir()
        store = DirectoryStore(tmp_path)
        assert store.open() == SavedState()
        store.save_own(OWN)
        assert not store.flush().result(10)
        (warning,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
        assert "state.db cannot be read (file is not a database) nor renamed to state.db.unreadable (" in warning
        assert warning.endswith("tried again every 30 seconds, move state.db away")
        (tmp_path / "state.db").unlink()
        assert store.flush().result(10)
        store.close()
        assert reopened(tmp_path).own == OWN

    def test_only_the_last_one_is_kept(self, tmp_path: Path) -> None:
        for turn in range(3):
            (tmp_path / "state.db").write_bytes(b"%d" % turn * 1000)
            reopened(tmp_path)
        assert (tmp_path / "state.db.unreadable").read_bytes() == b"2" * 1000

    def test_a_file_damaged_while_it_is_open_is_made_again_with_all_that_was_given(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = DirectoryStore(tmp_path)
        store.open()
        store.save_own(OWN)
        store.save_peers(PEERS)
        assert store.flush().result(10)
        write, damages = Database.write_events, iter([sqlite3.DatabaseError("database disk image is malformed")])

        def damaged(file: Database, events: object) -> None:
            for error in damages:
                error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
                raise error
            write(file, events)  # type: ignore[arg-type]

        monkeypatch.setattr(Database, "write_events", damaged)
        store.add_events([EVENT])
        assert store.flush().result(10)
        store.close()
        state = reopened(tmp_path)
        assert (state.own, state.peers, len(state.events)) == (OWN, PEERS, 1)


class TestFullDisk:
    def test_it_is_held_in_memory_with_one_warning_and_saved_when_there_is_room(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "shoal.store")
        store = DirectoryStore(tmp_path)
        store.open()
        with monkeypatch.context() as full:

            def refuse(_database: Database, _own: OwnState) -> None:
                raise sqlite3.OperationalError("database or disk is full")

            full.setattr(Database, "write_own", refuse)
            store.save_own(OWN)
            assert not store.flush().result(10)
            store.add_events([EVENT])
            assert not store.flush().result(10)
        assert store.flush().result(10)
        store.close()
        state = reopened(tmp_path)
        assert (state.own, len(state.events)) == (OWN, 1)
        assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
        assert "database or disk is full; it is tried again every 30 seconds, see that the disk has room" in caplog.text

    def test_who_holds_the_file_is_no_lack_of_room(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(database, "_PATIENCE", 0.01)
        store = DirectoryStore(tmp_path)
        store.open()
        with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            store.save_own(OWN)
            assert not store.flush().result(10)
        assert "database is locked; it is tried again every 30 seconds, end what else has the file open" in caplog.text
        assert store.flush().result(10)
        store.close()

    @posix
    def test_a_process_at_its_limit_of_file_sizes_goes_on(self, tmp_path: Path) -> None:
        code = f"""
            import resource, signal
            from shoal.store.directory_store import DirectoryStore
            from tests.store.test_directory_store import EVENT, OWN
            store = DirectoryStore({str(tmp_path)!r})
            store.open()
            store.save_own(OWN)
            assert store.flush().result(10)
            resource.setrlimit(resource.RLIMIT_FSIZE, (65536, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
            for _ in range(10):
                store.add_events([EVENT] * 1000)
                if not store.flush().result(10):
                    break
            else:
                raise AssertionError("the limit was not met")
            store.close()
        """
        subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=60)
        assert reopened(tmp_path).own == OWN

    def test_a_directory_that_cannot_be_made_for_lack_of_room_is_no_obstacle(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def full(*_args: object, **_more: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr(Path, "mkdir", full)
            store = DirectoryStore(tmp_path / "new")
            assert store.open() == SavedState()
        store.save_own(OWN)
        assert store.flush().result(10)
        store.close()
        assert reopened(tmp_path / "new").own == OWN
        assert "No space left" in caplog.text


class TestOneHolder:
    def test_the_second_is_refused_and_told_who_holds_it(self, tmp_path: Path) -> None:
        first, second = DirectoryStore(tmp_path), DirectoryStore(tmp_path)
        first.open()
        first.save_own(OWN)
        with pytest.raises(StateInUseError, match=f"in use by process {os.getpid()}, node gpu-7; end it"):
            second.open()
        second.close()
        first.close()
        assert reopened(tmp_path).own == OWN

    def test_the_hold_dies_with_the_process(self, tmp_path: Path) -> None:
        code = f"""
            import sys, time
            from shoal.store.directory_store import DirectoryStore
            store = DirectoryStore({str(tmp_path)!r})
            store.open()
            sys.stdout.write("open\\n")
            sys.stdout.flush()
            time.sleep(600)
        """
        holder = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
        with holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "open\n"
            with pytest.raises(StateInUseError, match=f"process {holder.pid}"):
                DirectoryStore(tmp_path).open()
            holder.kill()
            holder.wait()
        assert reopened(tmp_path) == SavedState()

    def test_a_path_that_cannot_be_a_directory_is_a_mistake(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(ConfigError, match=r"cannot be used: File exists; it names no directory, take another path"):
            DirectoryStore(tmp_path / "file").open()
        with pytest.raises(ConfigError, match=r"cannot be used: Not a directory; it names no directory, take another"):
            DirectoryStore(tmp_path / "file" / "below").open()

    @pytest.mark.parametrize(("name", "what"), [("lock", "cannot be used"), ("state.db", "cannot be made there")])
    def test_a_directory_in_which_nothing_can_be_made_is_a_mistake_that_is_told_at_once(
        self, name: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        make = os.open

        def refuse(path: Any, *args: Any) -> int:
            if Path(path).name == name:
                raise PermissionError(errno.EACCES, "Permission denied")
            return make(path, *args)

        with monkeypatch.context() as patched:
            patched.setattr(os, "open", refuse)
            remedy = "let this node's user write there, or take another directory"
            with pytest.raises(ConfigError, match=f"{what}: Permission denied; {remedy}"):
                DirectoryStore(tmp_path).open()
        assert not caplog.records
        assert reopened(tmp_path) == SavedState()


@posix
def test_nothing_that_was_reported_as_saved_is_lost_however_often_the_writer_is_killed(tmp_path: Path) -> None:
    kills = [sys.executable, "-m", "tests.store.kills", str(tmp_path), str(KILLS)]
    ended = subprocess.run(kills, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    assert not (tmp_path / "state.db.unreadable").exists()
