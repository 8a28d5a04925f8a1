from shoal.state.precedence import pack
from shoal.state.table import MemberTable
from shoal.swim.neighbours import Neighbours
from shoal.types import MemberState
from tests.swim.harness import RECORDS, info_of


def _table(members: int) -> MemberTable:
    table = MemberTable(b"shoal", RECORDS)
    for number in range(members):
        table.add(info_of(number), pack(0, MemberState.ALIVE), 0.0)
    return table


def test_neighbours_are_counted_both_ways_round_the_ring() -> None:
    table = _table(5)
    ring = list(table.ring)
    for place, slot in enumerate(ring):
        assert [Neighbours(table).find(slot, number) for number in (1, 2, -1, -2)] == [
            ring[(place + number) % 5] for number in (1, 2, -1, -2)
        ]


def test_two_members_are_neighbours_on_both_sides() -> None:
    table = _table(2)
    one, other = table.ring
    assert [Neighbours(table).find(one, number) for number in (1, -1)] == [other, other]
    assert Neighbours(table).find(one, 2) is None


def test_who_is_not_alive_is_nobodys_neighbour() -> None:
    table = _table(5)
    ring = list(table.ring)
    table.set_belief(ring[1], pack(0, MemberState.SUSPECT), 0.0)
    table.set_belief(ring[4], pack(0, MemberState.SUSPECT), 0.0)
    assert [Neighbours(table).find(ring[0], number) for number in (1, -1, 2, 3)] == [ring[2], ring[3], ring[3], None]


def test_the_next_one_alive_may_be_damped_and_is_no_suspect() -> None:
    table = _table(5)
    ring = list(table.ring)
    table.set_damped(ring[1], True)
    table.set_belief(ring[4], pack(0, MemberState.SUSPECT), 0.0)
    assert [Neighbours(table).find_alive(ring[0], step) for step in (1, -1)] == [ring[1], ring[3]]


def test_where_all_others_are_suspect_nobody_is_next() -> None:
    table = _table(3)
    own, *others = table.ring
    for slot in others:
        table.set_belief(slot, pack(0, MemberState.SUSPECT), 0.0)
    assert Neighbours(table).find_alive(own, 1) is None


def test_who_is_in_no_view_has_no_neighbours() -> None:
    neighbours = Neighbours(_table(5))
    assert neighbours.find(None, 1) is None
    assert neighbours.find_alive(None, 1) is None
