from bisect import bisect_left

from hypothesis import given
from hypothesis import strategies as st

from shoal.state.ring import Ring
from shoal.types import NodeId
from tests.strategies import node_ids

many_ids = st.lists(node_ids, unique_by=lambda id: id[8:], min_size=1)


def _position(id: bytes) -> bytes:
    return id[8:]


def _ring(ids: list[NodeId]) -> Ring:
    """Each id in the slot of its place in the list."""
    ring = Ring([*ids])
    for slot in range(len(ids)):
        ring.add(slot)
    return ring


@given(many_ids)
def test_the_order_does_not_depend_on_who_came_first(ids: list[NodeId]) -> None:
    ordered = sorted(ids, key=_position)
    for some in (ids, ids[::-1]):
        assert [some[slot] for slot in _ring(some)] == ordered


@given(many_ids, st.integers(0, 5))
def test_many_at_once_come_to_stand_as_one_by_one(ids: list[NodeId], before: int) -> None:
    ring = Ring([*ids])
    ring.extend(range(min(before, len(ids))))
    ring.extend(range(min(before, len(ids)), len(ids)))
    assert list(ring) == list(_ring(ids))


@given(st.lists(st.integers(0, 2), min_size=20, max_size=40), st.data())
def test_a_few_more_come_to_stand_among_many_whose_ids_begin_alike(heads: list[int], data: st.DataObject) -> None:
    ids = [NodeId(bytes(8) + bytes((0, 0, 0, head)) + number.to_bytes(4)) for number, head in enumerate(heads)]
    ids = data.draw(st.permutations(ids))
    ring = Ring([*ids])
    ring.extend(range(len(ids) - 4))
    ring.extend(range(len(ids) - 4, len(ids)))
    assert [ids[slot] for slot in ring] == sorted(ids, key=_position)
    assert [ring.place(slot) for slot in ring] == list(range(len(ids)))


@given(many_ids)
def test_walking_the_ring_meets_everybody_once_and_comes_home(ids: list[NodeId]) -> None:
    ring = _ring(ids)
    walk = [ring.successor(0, places) for places in range(len(ids))]
    assert sorted(walk) == list(range(len(ids)))
    assert ring.successor(0, len(ids)) == 0
    assert [ring.places_between(0, slot) for slot in walk] == list(range(len(ids)))


@given(st.lists(node_ids, unique_by=lambda id: id[8:], min_size=2), st.data())
def test_who_goes_leaves_the_others_where_they_were(ids: list[NodeId], data: st.DataObject) -> None:
    ring = _ring(ids)
    gone = data.draw(st.sampled_from(ids))
    ring.place(data.draw(st.integers(0, len(ids) - 1)))  # what was looked up before must not mislead
    ring.remove(ids.index(gone))
    rest = sorted((id for id in ids if id != gone), key=_position)
    assert len(ring) == len(rest)
    for id in rest:
        place = bisect_left([_position(other) for other in rest], _position(id))
        assert ids[ring.successor(ids.index(id), 1)] == rest[(place + 1) % len(rest)]


def test_two_ids_with_one_random_half_are_told_apart() -> None:
    one, other = NodeId(bytes(8) + b"12345678"), NodeId(bytes(7) + b"\x01" + b"12345678")
    ring = _ring([one, other])
    assert {ring.place(0), ring.place(1)} == {0, 1}
    ring.remove(0)
    assert ring.successor(1, 1) == 1


@given(many_ids)
def test_a_head_names_the_first_member_that_has_it(ids: list[NodeId]) -> None:
    ring = _ring(ids)
    for id in ids:
        slot = ring.first_with(id.head)
        assert slot is not None
        assert ids[slot] == min((each for each in ids if each.head == id.head), key=_position)


@given(many_ids, node_ids)
def test_a_head_that_nobody_has_names_nobody(ids: list[NodeId], other: NodeId) -> None:
    ring = _ring([id for id in ids if id.head != other.head])
    assert ring.first_with(other.head) is None


@given(many_ids, st.integers(1, 3))
def test_members_in_slots_of_more_than_two_bytes_stand_where_others_do(ids: list[NodeId], before: int) -> None:
    low = min(before, len(ids))
    records: list[bytes] = [*ids[:low], *[b""] * (65_536 - low), *ids[low:]]
    slots = [*range(low), *range(65_536, len(records))]
    one_by_one, at_once = Ring(records), Ring(records)
    for slot in slots:
        one_by_one.add(slot)
    at_once.extend(slots[:low])
    at_once.extend(slots[low:])
    ordered = sorted(ids, key=_position)
    assert [records[slot] for slot in one_by_one] == [records[slot] for slot in at_once] == ordered
