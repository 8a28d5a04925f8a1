"""A view that is taken in at once does what its rows do one by one."""

from array import array
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.events import MemberJoined
from shoal.snapshot import Snapshot
from shoal.state.precedence import incarnation_of, pack, state_of
from shoal.swim.stats import Drop
from shoal.types import MemberState, NodeInfo
from shoal.wire.messages import Alive, Dead, Left, SyncRecord
from tests.swim.harness import OWN, RECORDS, STRANGER, Solo, address_of, info_of, node_id

ALIVE, SUSPECT, DEAD, LEFT = MemberState
STRANGERS = range(1000, 1100)

Rows = Sequence[tuple[NodeInfo, int, float]]


def _snapshot(rows: Rows) -> Snapshot:
    return Snapshot(
        array("Q", [belief for _, belief, _ in rows]),
        array("d", [age for _, _, age in rows]),
        [RECORDS.pack(info) for info, _, _ in rows],
    )


def _merge(solo: Solo, rows: Rows, news_age: float = 10.0) -> list[int]:
    left = solo.core._membership.merge(_snapshot(rows), STRANGER, solo.now, news_age=news_age)
    solo.stall(0.0)
    return left


def _alive(numbers: Sequence[int]) -> Rows:
    return [(info_of(number), pack(0, ALIVE), 60.0) for number in numbers]


def test_strangers_come_in_at_once_and_are_told_of_one_by_one() -> None:
    solo = Solo()
    assert _merge(solo, _alive(STRANGERS)) == []
    assert {member.name for member in solo.core.members()} == {"me", *(f"n{number}" for number in STRANGERS)}
    assert {event.member for event in solo.events(MemberJoined)} == set(solo.core.members()) - {solo.core.local}


def test_nobody_is_told_of_them_where_nobody_listens() -> None:
    solo = Solo()
    solo.core.is_heard = lambda: False
    _merge(solo, _alive(STRANGERS))
    assert solo.events(MemberJoined) == []
    assert len(solo.core.members()) == 101


def test_strangers_are_probed_like_others() -> None:
    solo = Solo()
    _merge(solo, _alive(STRANGERS))
    order = solo.core._membership._order
    assert {order.next(0) for _ in STRANGERS} == set(range(1, 101))


@pytest.mark.parametrize(("news_age", "told"), [(10.0, 0), (60.0, 50)])
def test_only_those_who_joined_lately_are_gossiped(news_age: float, told: int) -> None:
    solo = Solo()
    before = len(solo.core._context.queue)
    _merge(solo, _alive(STRANGERS[:50]), news_age)
    assert len(solo.core._context.queue) - before == told


def test_a_view_that_is_known_changes_nothing() -> None:
    solo = Solo()
    _merge(solo, _alive(STRANGERS))
    generation = solo.core.generation
    assert _merge(solo, _alive(STRANGERS)) == []
    assert solo.core.generation == generation
    assert solo.dropped[Drop.STALE] == 100


def test_a_full_table_takes_in_no_more() -> None:
    solo = Solo(max_members=50)
    _merge(solo, _alive(STRANGERS))
    assert len(solo.core.members()) == 50
    assert solo.dropped[Drop.TABLE_FULL] == 51


rows = st.lists(
    st.tuples(
        st.builds(
            info_of,
            st.integers(OWN - 2, OWN + 12),
            st.sampled_from(["me", None, None, None, "n101", "n1003"]),
            at=st.sampled_from([None, None, None, address_of(OWN), address_of(102), address_of(1005)]),
        ),
        st.builds(pack, st.integers(0, 2), st.sampled_from(MemberState)),
        st.sampled_from([0.0, 60.0, 1e9]),
    ),
    max_size=25,
    unique_by=lambda row: row[0].id,
)


def _prepared() -> Solo:
    """Knows members in every state, of which the rows speak too."""
    solo = Solo(max_members=110)
    solo.meet(*range(101, 108))
    solo.hear(Alive(info_of(103), 1), Dead(node_id(104), 0, STRANGER), Left(node_id(105), 0))
    solo.sleep(30.0)
    return solo.quiet()


@given(rows, st.integers(0, 25))
@settings(max_examples=150)
def test_a_view_at_once_does_what_its_rows_do_one_by_one(some: Rows, place: int) -> None:
    every = [*some[:place], *_alive(STRANGERS), *some[place:]]
    at_once, one_by_one = _prepared(), _prepared()
    left = _merge(at_once, every)
    for number in sorted(range(len(every)), key=lambda number: number in left):
        info, belief, age = every[number]
        record = SyncRecord(info, state_of(belief), incarnation_of(belief), age)
        one_by_one.core._membership.apply_record(record, STRANGER, one_by_one.now, is_news=age <= 10.0)
    one_by_one.stall(0.0)

    assert set(at_once.core.members()) == set(one_by_one.core.members())
    assert at_once.core.digest == one_by_one.core.digest
    assert at_once.dropped == one_by_one.dropped
    assert {repr(event) for event in at_once.events()} == {repr(event) for event in one_by_one.events()}
    queues = [solo.core._context.queue.pick(10**9, 0, 10**9, 0.0) for solo in (at_once, one_by_one)]
    assert sorted(queues[0]) == sorted(queues[1])
