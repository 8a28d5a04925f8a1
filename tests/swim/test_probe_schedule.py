from collections import Counter
from random import Random

import pytest

from shoal.state.precedence import pack
from shoal.state.table import MemberTable
from shoal.swim.probe_order import ProbeOrder
from shoal.swim.probe_schedule import OneByOne
from shoal.types import MemberState, NodeId
from tests.swim.harness import RECORDS, info_of, node_id

OWN = node_id(0)


def _table(members: int) -> MemberTable:
    table = MemberTable(b"shoal", RECORDS)
    for number in range(members):
        table.add(info_of(number), pack(0, MemberState.ALIVE), 0.0)
    return table


class _Turns(OneByOne):
    """One that is asked when it is due."""

    def next(self, own_id: NodeId) -> NodeId | None:
        return next(iter(self.take(own_id, self.due, 1.0)), None)


def _schedule(table: MemberTable, neighbours: int) -> _Turns:
    schedule = _Turns(table, ProbeOrder(table, Random(1)), neighbours, Random(2))
    schedule.start(0.0, 1.0)
    return schedule


def _after(table: MemberTable, places: int) -> NodeId:
    """Who stands so many places after us on the ring."""
    own = table.slot_of(OWN)
    assert own is not None
    return table.id(table.ring.successor(own, places))


def _believe(table: MemberTable, id: NodeId, state: MemberState) -> None:
    slot = table.slot_of(id)
    assert slot is not None
    table.set_belief(slot, pack(0, state), 0.0)


def test_without_neighbours_it_is_the_shuffled_order() -> None:
    table = _table(20)
    order = ProbeOrder(table, Random(1))
    schedule = _schedule(table, 0)
    slots = [order.next(table.slot_of(OWN)) for _ in range(40)]
    assert [schedule.next(OWN) for _ in range(40)] == [table.id(slot) for slot in slots if slot is not None]


@pytest.mark.parametrize("neighbours", [1, 2, 3])
def test_each_neighbour_is_probed_once_a_turn(neighbours: int) -> None:
    table = _table(50)
    schedule = _schedule(table, neighbours)
    turns = [[schedule.next(OWN) for _ in range(neighbours + 1)] for _ in range(10)]
    expected = [_after(table, places) for places in range(1, neighbours + 1)]
    assert all(turn[:neighbours] == expected for turn in turns)


def test_everybody_is_still_probed() -> None:
    schedule = _schedule(_table(20), 1)
    assert {schedule.next(OWN) for _ in range(2 * 19)} == {node_id(number) for number in range(1, 20)}


def test_everybody_has_one_neighbour_that_probes_it() -> None:
    table = _table(30)
    watched = Counter(_schedule(table, 1).next(node_id(number)) for number in range(30))
    assert set(watched.values()) == {1}


def test_a_suspect_is_passed_over_and_its_watch_taken_over() -> None:
    table = _table(20)
    first, second = _after(table, 1), _after(table, 2)
    _believe(table, first, MemberState.SUSPECT)
    assert _schedule(table, 1).next(OWN) == second


def test_where_all_others_are_suspect_the_shuffled_order_goes_on() -> None:
    table = _table(4)
    for number in range(1, 4):
        _believe(table, node_id(number), MemberState.SUSPECT)
    schedule = _schedule(table, 2)
    assert {schedule.next(OWN) for _ in range(9)} == {node_id(1), node_id(2), node_id(3)}


def test_nobody_is_probed_where_nobody_else_is() -> None:
    schedule = _schedule(_table(1), 1)
    assert [schedule.next(OWN) for _ in range(4)] == [None] * 4


def test_a_node_that_is_in_nobody_s_view_probes_in_shuffled_order() -> None:
    schedule = _schedule(_table(5), 1)
    assert {schedule.next(node_id(99)) for _ in range(10)} == {node_id(number) for number in range(5)}


def test_whom_a_suspect_watched_is_inherited_by_the_member_before_it() -> None:
    table = _table(20)
    first, second, third = (_after(table, places) for places in (1, 2, 3))
    schedule = _schedule(table, 1)
    _believe(table, first, MemberState.SUSPECT)
    assert schedule.inherited(first, OWN) == [second]
    _believe(table, third, MemberState.SUSPECT)
    assert schedule.inherited(third, OWN) == []
    _believe(table, second, MemberState.SUSPECT)
    assert schedule.inherited(second, OWN) == [_after(table, 4)]


def test_without_neighbours_nothing_is_inherited() -> None:
    table = _table(5)
    first = _after(table, 1)
    _believe(table, first, MemberState.SUSPECT)
    assert _schedule(table, 0).inherited(first, OWN) == []


def test_a_turn_comes_in_each_interval_after_a_random_moment_of_the_first() -> None:
    schedule = _schedule(_table(5), 1)
    begin = schedule.due
    assert 0.0 < begin < 1.0
    for turn in range(1, 5):
        schedule.take(OWN, schedule.due + 0.3, 1.0)
        assert schedule.due == pytest.approx(begin + turn)


def test_a_node_that_slept_for_turns_does_not_make_up_for_them() -> None:
    schedule = _schedule(_table(5), 1)
    schedule.take(OWN, 100.0, 1.0)
    assert schedule.due == 101.0


def test_what_others_send_changes_nothing() -> None:
    schedule = _schedule(_table(5), 1)
    due = schedule.due
    schedule.heard(_after(schedule._table, 1), OWN, 0.0, 1.0)
    assert schedule.due == due
