"""The order of arrivals against a plain list of them."""

from hypothesis import given
from hypothesis import strategies as st

from shoal.state.arrivals import Arrivals

steps = st.lists(st.lists(st.integers(0, 5), max_size=4), max_size=20)


@given(steps)
def test_whoever_was_at_a_position_gets_what_came_after_it_once_and_in_order(batches: list[list[int]]) -> None:
    arrivals = Arrivals()
    arrivals.follow()
    begin = arrivals.position
    came: list[int] = []
    positions = {begin: 0}
    for batch in batches:
        arrivals.note(batch)
        came += batch
        positions[arrivals.position] = len(came)

    for position, before in positions.items():
        for until, behind in positions.items():
            expected = list(dict.fromkeys(came[before:behind])) if before <= behind else None
            assert arrivals.since(position, until) == expected


@given(steps)
def test_no_position_counts_any_more_once_nobody_follows(batches: list[list[int]]) -> None:
    arrivals = Arrivals()
    arrivals.follow()
    given_out = {arrivals.position}
    for batch in batches:
        arrivals.note(batch)
        given_out.add(arrivals.position)
    arrivals.forget()
    arrivals.note([1, 2, 3])
    assert len(arrivals) == 0

    arrivals.follow()

    assert all(arrivals.since(position, arrivals.position) is None for position in given_out)
    assert arrivals.since(arrivals.position, arrivals.position) == []


def test_what_is_not_followed_takes_no_room_and_has_no_past() -> None:
    arrivals = Arrivals()
    arrivals.note(range(100))
    assert len(arrivals) == 0
    assert arrivals.since(1, 1) is None


def test_of_too_many_arrivals_the_older_half_is_forgotten() -> None:
    arrivals = Arrivals()
    arrivals.follow()
    begin = arrivals.position
    arrivals.note(range(65_536))
    assert arrivals.since(begin, arrivals.position) is not None

    arrivals.note([70_000])

    assert len(arrivals) == 32_768
    assert arrivals.since(begin, arrivals.position) is None
    assert arrivals.since(arrivals.position - 2, arrivals.position) == [65_535, 70_000]
