from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.state.precedence import MAX_INCARNATION, incarnation_of, pack, state_of, supersedes
from shoal.types import MemberState

ALIVE, SUSPECT, DEAD, LEFT = MemberState
BELIEFS = list(product(range(3), MemberState))

states = st.sampled_from(MemberState)
beliefs = st.builds(pack, st.integers(0, MAX_INCARNATION), states)


@given(st.integers(0, MAX_INCARNATION), states)
def test_a_belief_is_unpacked_as_it_was_packed(incarnation: int, state: MemberState) -> None:
    belief = pack(incarnation, state)
    assert (incarnation_of(belief), state_of(belief)) == (incarnation, state)
    assert isinstance(state_of(belief), MemberState)
    assert 0 <= belief < 2**64


@pytest.mark.parametrize("incoming", BELIEFS)
@pytest.mark.parametrize("current", BELIEFS)
def test_a_higher_incarnation_wins_then_the_later_state_and_left_is_final(
    incoming: tuple[int, MemberState], current: tuple[int, MemberState]
) -> None:
    wins = current[1] is not LEFT and incoming > current
    assert supersedes(pack(*incoming), pack(*current)) is wins


@pytest.mark.parametrize(
    ("incoming", "current", "difference"),
    [  # SWIM §4.2: the least by which the incoming incarnation must be above the current one
        (ALIVE, SUSPECT, 1),
        (ALIVE, ALIVE, 1),
        (SUSPECT, SUSPECT, 1),
        (SUSPECT, ALIVE, 0),
        (DEAD, ALIVE, 0),  # as in memberlist; SWIM's confirm needs no incarnation
        (DEAD, SUSPECT, 0),
    ],
)
def test_the_table_of_swim_holds(incoming: MemberState, current: MemberState, difference: int) -> None:
    assert supersedes(pack(5 + difference, incoming), pack(5, current))
    assert not supersedes(pack(5 + difference - 1, incoming), pack(5, current))


@given(beliefs, beliefs)
def test_of_two_different_beliefs_one_wins_unless_both_are_left(one: int, other: int) -> None:
    wins = supersedes(one, other) + supersedes(other, one)
    both_final = state_of(one) is LEFT and state_of(other) is LEFT
    one_final_and_behind = LEFT in {state_of(one), state_of(other)} and wins == 0
    assert wins == 1 or one == other or both_final or one_final_and_behind


@given(st.lists(beliefs.filter(lambda belief: state_of(belief) is not LEFT), min_size=1))
def test_without_a_goodbye_every_order_of_news_ends_in_the_same_belief(news: list[int]) -> None:
    current = news[0]
    for incoming in news:
        current = incoming if supersedes(incoming, current) else current
    assert current == max(news)


def test_at_one_incarnation_the_states_order() -> None:
    for lower, higher in pairwise(MemberState):
        assert supersedes(pack(1, higher), pack(1, lower))
