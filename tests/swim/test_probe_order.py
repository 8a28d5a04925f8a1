from collections import Counter
from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.state.precedence import pack
from shoal.state.table import MemberTable
from shoal.swim.probe_order import ProbeOrder
from shoal.types import MemberState
from tests.swim.harness import RECORDS, info_of

OWN = 0


def _table(numbers: Iterable[int]) -> MemberTable:
    """Each node in the slot of its number."""
    table = MemberTable(b"shoal", RECORDS)
    for number in numbers:
        table.add(info_of(number), pack(0, MemberState.ALIVE), 0.0)
    return table


def _numbers(slots: Iterable[int | None]) -> list[int]:
    return [slot for slot in slots if slot is not None]


@pytest.mark.parametrize("members", [2, 3, 10, 50])
def test_each_pass_probes_everybody_else_once(members: int) -> None:
    order = ProbeOrder(_table(range(members)), Random(1))
    for _ in range(5):
        found = _numbers(order.next(OWN) for _ in range(members - 1))
        assert sorted(found) == list(range(1, members))


def test_passes_differ_in_order() -> None:
    order = ProbeOrder(_table(range(20)), Random(1))
    passes = {tuple(_numbers(order.next(OWN) for _ in range(19))) for _ in range(5)}
    assert len(passes) == 5


@given(st.integers(2, 12), st.randoms(use_true_random=False))
def test_two_probes_of_one_member_are_less_than_two_passes_apart(others: int, random: Random) -> None:
    order = ProbeOrder(_table(range(others + 1)), random)
    last: dict[int, int] = {}
    for turn, number in enumerate(_numbers(order.next(OWN) for _ in range(8 * others))):
        assert turn - last.get(number, -1) <= 2 * others - 1
        last[number] = turn


def test_nobody_is_probed_where_nobody_else_is() -> None:
    order = ProbeOrder(_table([0]), Random(1))
    assert [order.next(OWN) for _ in range(3)] == [None, None, None]
    assert ProbeOrder(_table([]), Random(1)).next(OWN) is None


def test_suspects_are_probed_and_the_dead_and_the_left_are_not() -> None:
    table = _table(range(5))
    order = ProbeOrder(table, Random(1))
    order.next(OWN)
    for slot, state in enumerate((MemberState.SUSPECT, MemberState.DEAD, MemberState.LEFT), start=1):
        table.set_belief(slot, pack(0, state), 0.0)
    for _ in range(4):
        order.next(OWN)
    assert set(_numbers(order.next(OWN) for _ in range(10))) == {1, 4}


@given(st.integers(1, 9), st.randoms(use_true_random=False))
def test_a_new_member_is_probed_in_this_pass_or_the_next_and_nobody_twice_for_it(turns: int, random: Random) -> None:
    table = _table(range(10))
    order = ProbeOrder(table, random)
    before = _numbers(order.next(OWN) for _ in range(turns))
    new = table.add(info_of(77), pack(0, MemberState.ALIVE), 0.0)
    order.insert(new)
    rest = _numbers(order.next(OWN) for _ in range(9 - turns))
    if new in rest:
        rest += _numbers([order.next(OWN)])
    assert sorted({*before, *rest} - {new}) == list(range(1, 10))
    assert len(before + rest) == len(set(before + rest))


def test_a_new_member_comes_in_at_any_place() -> None:
    places = Counter[int]()
    for seed in range(400):
        table = _table(range(5))
        order = ProbeOrder(table, Random(seed))
        order.next(OWN)
        new = table.add(info_of(77), pack(0, MemberState.ALIVE), 0.0)
        order.insert(new)
        found = _numbers(order.next(OWN) for _ in range(9))
        places[found.index(new)] += 1
    assert min(places[place] for place in range(4)) > 20


def test_members_that_come_and_go_do_not_make_the_pass_longer_and_longer() -> None:
    table = _table(range(3))
    order = ProbeOrder(table, Random(1))
    for number in range(100, 2000):
        slot = table.add(info_of(number), pack(0, MemberState.ALIVE), 0.0)
        order.insert(slot)
        table.remove(slot)
    assert len(order._order) < 50
    assert sorted(_numbers(order.next(OWN) for _ in range(4))) == [1, 1, 2, 2]
