import pytest

from shoal.types import MemberState
from shoal.wire.messages import Alive, Dead, Left, SyncRecord
from tests.swim.harness import STRANGER, Solo, info_of, node_id

ALIVE, SUSPECT, DEAD, LEFT = MemberState
LIFE = 160.0
SWEEP = 10.0


def _solo(**config: float) -> Solo:
    return Solo(**{"tombstone_life": LIFE, **config})  # type: ignore[arg-type]


@pytest.mark.parametrize("end", [Dead(node_id(1), 0, STRANGER), Left(node_id(1), 0)])
def test_a_tombstone_blocks_old_news_for_its_life_and_then_goes(end: Dead | Left) -> None:
    solo = _solo()
    solo.meet(1)
    solo.hear(end)
    state = solo.state(1)
    solo.sleep(LIFE - 0.1)
    solo.hear(Alive(info_of(1), 0))
    assert solo.state(1) is state
    solo.sleep(0.2)
    assert solo.state(1) is None
    assert solo.states() == {"me": ALIVE}


def test_tombstones_go_one_by_one_each_at_most_one_sweep_late() -> None:
    solo = _solo()
    for number in range(1, 6):
        solo.meet(number)
        solo.hear(Dead(node_id(number), 0, STRANGER))
        solo.sleep(3.0)
    for number in range(1, 6):
        ends = (number - 1) * 3.0 + LIFE
        solo.sleep_until(ends - 0.1)
        assert solo.state(number) is DEAD
    solo.sleep_until(4 * 3.0 + LIFE + SWEEP + 0.1)
    assert solo.states() == {"me": ALIVE}
    assert solo.core.next_deadline() is None


def test_sweeps_are_few_however_many_tombstones_there_are() -> None:
    solo = _solo()
    for number in range(1, 101):
        solo.meet(number)
        solo.hear(Dead(node_id(number), 0, STRANGER))
        solo.sleep(1.0)
    solo.sleep_until(LIFE - 0.5)
    sweeps = set()
    while (deadline := solo.core.next_deadline()) is not None:
        sweeps.add(deadline)
        solo.sleep_until(deadline)
    assert len(sweeps) <= 100.0 / SWEEP + 2


def test_a_member_that_comes_back_is_no_tombstone() -> None:
    solo = _solo()
    solo.meet(1)
    solo.hear(Dead(node_id(1), 0, STRANGER), Alive(info_of(1), 1))
    solo.sleep(2 * LIFE)
    assert solo.state(1) is ALIVE


def test_a_tombstone_that_gave_way_to_a_newer_run_is_none() -> None:
    solo = _solo()
    solo.meet(1)
    solo.hear(Dead(node_id(1), 0, STRANGER), Alive(info_of(11, "n1"), 0))
    solo.sleep(2 * LIFE)
    assert solo.states() == {"me": ALIVE, "n1": ALIVE}


def test_a_second_death_begins_a_new_life_as_a_tombstone() -> None:
    solo = _solo()
    solo.meet(1)
    solo.hear(Dead(node_id(1), 0, STRANGER))
    solo.sleep(LIFE / 2)
    solo.hear(Alive(info_of(1), 1), Dead(node_id(1), 1, STRANGER))
    solo.sleep(LIFE - 0.1)
    assert solo.state(1) is DEAD
    solo.sleep(SWEEP)
    assert solo.state(1) is None


def test_tombstones_are_bounded_in_number_and_the_oldest_go_first() -> None:
    solo = _solo(max_tombstones=16)
    for number in range(1, 21):
        solo.meet(number)
        solo.hear(Dead(node_id(number), 0, STRANGER))
    assert set(solo.states()) == {"me"} | {f"n{number}" for number in range(5, 21)}


def test_a_tombstone_does_not_get_younger_by_travelling() -> None:
    solo = _solo()
    solo.now = 1000.0
    solo.sync_from(STRANGER, SyncRecord(info_of(1), DEAD, 0, age=100.0))
    solo.sleep(LIFE - 100.0 - 0.1)
    assert solo.state(1) is DEAD
    solo.sleep(0.2)
    assert solo.state(1) is None


def test_an_old_tombstone_does_not_live_longer_beside_a_younger_one() -> None:
    solo = _solo()
    solo.now = 1000.0
    solo.meet(2)
    solo.hear(Dead(node_id(2), 0, STRANGER))
    solo.sync_from(STRANGER, SyncRecord(info_of(1), DEAD, 0, age=100.0))
    solo.sleep(LIFE - 100.0 + SWEEP + 0.1)
    assert (solo.state(1), solo.state(2)) == (None, DEAD)
    solo.sync_from(STRANGER, SyncRecord(info_of(3), DEAD, 0, age=LIFE - 1.0))
    solo.sleep(1.0 + SWEEP + 0.1)
    assert (solo.state(3), solo.state(2)) == (None, DEAD)


def test_where_the_forgotten_dead_were_is_remembered_until_somebody_is_there_again() -> None:
    solo = _solo()
    solo.meet(1, 2, 3)
    solo.hear(Dead(node_id(1), 0, STRANGER), Dead(node_id(2), 0, STRANGER), Left(node_id(3), 0))
    lost = solo.core._membership.deaths.tombstones.lost
    assert lost() == []
    solo.sleep(LIFE + SWEEP)
    assert lost() == [info_of(1).address, info_of(2).address], "who said goodbye does not come back"
    solo.meet(1)
    assert lost() == [info_of(2).address]


def test_what_is_remembered_of_the_forgotten_dead_is_bounded() -> None:
    solo = _solo(max_tombstones=16)
    for number in range(1, 1101):
        solo.meet(number)
        solo.hear(Dead(node_id(number), 0, STRANGER))
    solo.sleep(LIFE + SWEEP + 0.1)
    lost = solo.core._membership.deaths.tombstones.lost()
    assert (len(lost), lost[-1]) == (1024, info_of(1100).address)


@pytest.mark.parametrize("age", [LIFE, LIFE + 1.0, 1e9])
def test_a_tombstone_that_had_its_life_is_not_taken_over(age: float) -> None:
    solo = _solo()
    solo.now = 1000.0
    solo.sync_from(STRANGER, SyncRecord(info_of(1), LEFT, 0, age))
    assert solo.state(1) is None
