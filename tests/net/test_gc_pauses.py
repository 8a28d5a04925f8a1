"""Garbage collections, timed by a clock of the test's own."""

import gc
from collections.abc import Iterator

import pytest

from shoal.net.gc_pauses import GcPauses


class Clock:
    """Moves on with each look."""

    def __init__(self) -> None:
        self.now = 0.0
        self.step = 0.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pauses(clock: Clock) -> Iterator[GcPauses]:
    gc.disable()
    pauses = GcPauses(clock)
    pauses.start()
    yield pauses
    pauses.stop()
    gc.enable()


def test_the_longest_collection_is_told_once(pauses: GcPauses, clock: Clock) -> None:
    for step in (0.5, 2.0, 1.0):
        clock.step = step
        gc.collect()
    assert pauses.take_longest() == 2.0
    assert pauses.take_longest() == 0.0


def test_nothing_is_measured_after_the_end(pauses: GcPauses, clock: Clock) -> None:
    pauses.stop()
    pauses.stop()
    clock.step = 1.0
    gc.collect()
    assert pauses.take_longest() == 0.0


def test_a_collection_that_was_under_way_at_the_start_does_not_count(clock: Clock) -> None:
    pauses = GcPauses(clock)
    pauses._on_phase("stop", {})
    assert pauses.take_longest() == 0.0
