import pytest

from shoal.demo.acts import script
from shoal.demo.sightings import Sight, Sighting
from shoal.demo.timeline import Spread, Timeline


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timeline(clock: Clock) -> Timeline:
    return Timeline(clock)


def test_a_spread_tells_the_first_the_middle_and_the_last() -> None:
    assert Spread.of({"a": 3.0, "b": 1.0, "c": 1.5}) == Spread(1.0, 1.5, 3.0, "b", "a")


def test_the_median_of_two_is_between_them() -> None:
    spread = Spread.of({"a": 1.0, "b": 2.0})
    assert spread is not None
    assert spread.median == 1.5


def test_there_is_no_spread_of_nothing() -> None:
    assert Spread.of({}) is None


def test_time_counts_from_the_beginning(clock: Clock, timeline: Timeline) -> None:
    clock.now += 2.5
    assert timeline.now() == 2.5


def test_delays_count_from_the_deed(clock: Clock, timeline: Timeline) -> None:
    _, kill, *_ = script(["a", "b", "c"])
    clock.now += 10.0
    performance = timeline.begin(kill)
    timeline.add([Sighting(12.0, "a", Sight.FAILED, "b", "run"), Sighting(13.5, "c", Sight.FAILED, "b", "run")])
    verdict = timeline.verdict(performance)
    assert verdict.is_fulfilled
    assert verdict.delays == {"a": 2.0, "c": 3.5}


def test_repeated_reports_are_remembered_once(timeline: Timeline) -> None:
    first = Sighting(1.0, "a", Sight.JOINED, "b", "run", from_snapshot=True)
    again = Sighting(1.1, "a", Sight.JOINED, "b", "run")
    assert timeline.add([first, again]) == [first]
    assert timeline.sightings == [first]


def test_a_restarted_observer_reports_everything_anew(timeline: Timeline) -> None:
    joined = Sighting(1.0, "a", Sight.JOINED, "b", "run")
    timeline.add([joined])
    timeline.begin_view("a")
    assert timeline.add([joined]) == [joined]


def test_everybody_who_was_reported_is_known_by_name(timeline: Timeline) -> None:
    timeline.add([Sighting(1.0, "a", Sight.JOINED, "c", "run"), Sighting(1.0, "b", Sight.JOINED, "a", "run")])
    assert timeline.member_names() == ["c", "a"]
