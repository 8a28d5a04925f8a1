from random import Random

from hypothesis import given
from hypothesis import strategies as st

from shoal.state.digest import ViewDigest
from shoal.types import NodeId
from tests.strategies import node_ids

KEY = b"shoal"
U64 = st.integers(0, 2**64 - 1)
pairs = st.tuples(node_ids, U64)
views = st.dictionaries(node_ids, U64, max_size=8).map(lambda view: list(view.items()))


def _digest(view: list[tuple[NodeId, int]], key: bytes = KEY) -> int:
    digest = ViewDigest(key)
    for id, belief in view:
        digest.add(id, belief)
    return digest.value


def test_an_empty_view_has_the_digest_0() -> None:
    assert ViewDigest(KEY).value == 0


@given(views, st.randoms(use_true_random=False))
def test_the_digest_of_a_view_does_not_depend_on_the_order(view: list[tuple[NodeId, int]], random: Random) -> None:
    shuffled = view[:]
    random.shuffle(shuffled)
    assert _digest(shuffled) == _digest(view)
    assert 0 <= _digest(view) < 2**64


@given(views, views)
def test_what_came_and_went_leaves_no_trace(view: list[tuple[NodeId, int]], passing: list[tuple[NodeId, int]]) -> None:
    digest = ViewDigest(KEY)
    terms = [digest.add(id, belief) for id, belief in view + passing]
    for term in terms[len(view) :]:
        digest.remove(term)
    assert digest.value == _digest(view)


@given(pairs, pairs)
def test_different_pairs_have_different_digests(one: tuple[NodeId, int], other: tuple[NodeId, int]) -> None:
    assert (_digest([one]) == _digest([other])) is (one == other)


@given(pairs)
def test_a_pair_counted_twice_does_not_cancel(pair: tuple[NodeId, int]) -> None:
    assert len({_digest([]), _digest([pair]), _digest([pair, pair])}) == 3


@given(pairs, st.binary(max_size=200), st.binary(max_size=200))
def test_clusters_have_digests_of_their_own(pair: tuple[NodeId, int], key: bytes, other: bytes) -> None:
    assert (_digest([pair], key) == _digest([pair], other)) is (key == other)
