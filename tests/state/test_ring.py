from bisect import bisect_left

from hypothesis import given
from hypothesis import strategies as st

from shoal.state.ring import Ring
from shoal.types import NodeId
from tests.strategies import node_ids


def _ring(ids: list[NodeId]) -> Ring:
    ring = Ring()
    for id in ids:
        ring.add(id)
    return ring


@given(st.lists(node_ids, unique_by=lambda id: id[8:], min_size=1))
def test_the_order_does_not_depend_on_who_came_first(ids: list[NodeId]) -> None:
    one, other = _ring(sorted(ids)), _ring(sorted(ids, reverse=True))
    assert [one.successor(id, 1) for id in ids] == [other.successor(id, 1) for id in ids]


@given(st.lists(node_ids, unique_by=lambda id: id[8:], min_size=1))
def test_walking_the_ring_meets_everybody_once_and_comes_home(ids: list[NodeId]) -> None:
    ring = _ring(ids)
    start = ids[0]
    walk = [ring.successor(start, places) for places in range(len(ids))]
    assert sorted(walk) == sorted(ids)
    assert ring.successor(start, len(ids)) == start
    assert [ring.places_between(start, id) for id in walk] == list(range(len(ids)))


@given(st.lists(node_ids, unique_by=lambda id: id[8:], min_size=2), st.data())
def test_who_goes_leaves_the_others_where_they_were(ids: list[NodeId], data: st.DataObject) -> None:
    ring = _ring(ids)
    gone = data.draw(st.sampled_from(ids))
    ring.remove(gone)
    rest = sorted((id for id in ids if id != gone), key=lambda id: id[8:])
    assert len(ring) == len(rest)
    for id in rest:
        place = bisect_left([other[8:] for other in rest], id[8:])
        assert ring.successor(id, 1) == rest[(place + 1) % len(rest)]


def test_two_ids_of_one_position_are_told_apart() -> None:
    one, other = NodeId(bytes(8) + b"12345678"), NodeId(bytes(7) + b"\x01" + b"12345678")
    ring = _ring([one, other])
    ring.remove(one)
    assert ring.successor(other, 1) == other
