"""When the view of a partition has come to rest."""

import pytest

from shoal.swim.partition.settling import Settled, Settling, settle_time


@pytest.mark.parametrize(("members", "seconds"), [(5, 7), (10, 10), (20, 13), (50, 17), (100, 20), (1000, 30)])
def test_settle_times_are_the_recommended_ones(members: int, seconds: int) -> None:
    assert round(settle_time(members)) == seconds


def test_a_view_that_does_not_change_is_stable_after_the_settle_time() -> None:
    settling = Settling(100, now=50.0)

    assert settling.at(69.9) is Settled.NOT_YET
    assert settling.due == 70.0
    assert settling.at(settling.due) is Settled.STABLE


def test_each_change_starts_the_time_again() -> None:
    settling = Settling(100, now=0.0)
    settling.note_change(10.0)

    assert settling.at(29.0) is Settled.NOT_YET
    assert settling.at(30.0) is Settled.STABLE


def test_a_view_that_changes_for_three_quarters_of_the_time_more_is_unstable() -> None:
    settling = Settling(100, now=0.0)
    for now in range(0, 35, 5):
        settling.note_change(float(now))
        assert settling.at(float(now)) is Settled.NOT_YET

    assert settling.due == 35.0
    assert settling.at(35.0) is Settled.UNSTABLE
