from hypothesis import given
from hypothesis import strategies as st

from shoal.wire.replay import WINDOW, ReplayWindow

numbers = st.lists(st.one_of(st.integers(0, 3 * WINDOW), st.integers(0, 2**32 - 1)), max_size=60)


@given(numbers)
def test_each_number_is_taken_once_unless_too_far_behind(arriving: list[int]) -> None:
    window, taken = ReplayWindow(), set[int]()
    for number in arriving:
        highest = max(taken, default=-1)
        wanted = number not in taken and number > highest - WINDOW
        assert window.admits(number) is wanted
        if wanted:
            assert window.take(number) is (number > highest)
            taken.add(number)
    assert window.highest == max(taken, default=-1)


def test_the_window_has_the_width_that_it_says() -> None:
    window = ReplayWindow()
    window.take(WINDOW)
    assert window.admits(1)
    assert not window.admits(0)


@given(st.integers(0, 2**32 - 1), numbers)
def test_nothing_up_to_a_skipped_number_is_taken(skipped: int, arriving: list[int]) -> None:
    window = ReplayWindow()
    window.skip(skipped)
    for number in (skipped, *arriving):
        if window.admits(number):
            assert number > skipped
            window.take(number)


def test_asking_changes_nothing() -> None:
    window = ReplayWindow()
    assert window.admits(7)
    assert window.admits(7)
