"""The lease in an SQLite file."""

from pathlib import Path

import pytest

from shoal.store.lease import SqliteLease


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_one_owner_holds_a_lease_until_it_is_released(tmp_path: Path) -> None:
    one, other = SqliteLease(tmp_path / "lease"), SqliteLease(tmp_path / "lease")

    assert one.acquire("a")
    assert not other.acquire("b")
    assert other.acquire("a"), "every member of the side that holds it has it"
    one.release("b")
    assert not other.acquire("b"), "only its owner gives it back"
    one.release("a")
    assert other.acquire("b")


def test_a_lease_that_nobody_keeps_ends(tmp_path: Path) -> None:
    clock = Clock()
    lease = SqliteLease(tmp_path / "lease", life=60.0, clock=clock)
    assert lease.acquire("a")

    clock.now += 59.0
    assert not lease.acquire("b")
    clock.now += 2.0
    assert lease.acquire("b")


def test_leases_of_other_names_do_not_matter(tmp_path: Path) -> None:
    assert SqliteLease(tmp_path / "lease", "one").acquire("a")
    assert SqliteLease(tmp_path / "lease", "two").acquire("b")


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        SqliteLease(tmp_path / "nowhere" / "lease").acquire("a")
