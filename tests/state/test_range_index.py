from hypothesis import given
from hypothesis import strategies as st

from shoal.state.range_index import RangeIndex
from shoal.types import NodeId
from tests.strategies import U64, node_ids

SALT = 0x9E3779B97F4A7C15

terms = st.dictionaries(node_ids, U64, max_size=40)
bounds = st.binary(max_size=16)


def _index(terms: dict[NodeId, int]) -> RangeIndex:
    return RangeIndex(list(terms), list(terms.values()))


def _salted(total: int) -> int:
    return (total * SALT % 2**64) >> 32


@given(terms, bounds, bounds)
def test_a_span_has_the_ids_between_its_bounds(terms: dict[NodeId, int], start: bytes, end: bytes) -> None:
    index = _index(terms)
    span = index.span(start, end)
    expected = sorted(id for id in terms if id >= start and (not end or id < end))
    assert [index.id(position) for position in span] == expected
    assert index.values(span, SALT) == [_salted(terms[id]) for id in expected]
    assert index.fingerprint(span, SALT) == _salted(sum(terms[id] for id in expected))


@given(terms.filter(bool), st.integers(1, 20), bounds)
def test_parts_of_a_split_are_adjacent_nearly_equal_and_found_again_by_their_bounds(
    terms: dict[NodeId, int],
    parts: int,
    end: bytes,
) -> None:
    index = _index(terms)
    span = index.span(b"", end)
    if not span:
        return
    pieces = index.split(span, parts, end)
    start, sizes = b"", []
    for bound, part in pieces:
        assert index.span(start, bound) == part
        sizes.append(len(part))
        start = bound
    assert sum(sizes) == len(span)
    assert start == end
    assert max(sizes) - min(sizes) <= 1 or len(pieces) < parts


@given(terms, st.lists(st.tuples(node_ids, U64 | st.none()), max_size=10))
def test_changes_give_the_index_that_would_be_made_anew(
    terms: dict[NodeId, int], changes: list[tuple[NodeId, int | None]]
) -> None:
    index = _index(terms)
    for id, term in [*changes, *((id, None) for id in sorted(terms)[:3])]:
        index.set(id, term)
        terms = {**terms, id: term} if term is not None else {key: value for key, value in terms.items() if key != id}
    fresh, everything = _index(terms), range(len(terms))
    assert len(index) == len(fresh)
    assert index.values(everything, SALT) == fresh.values(everything, SALT)
    assert [index.id(at) for at in everything] == [fresh.id(at) for at in everything]
    assert index.total == fresh.total == sum(terms.values()) % 2**64
