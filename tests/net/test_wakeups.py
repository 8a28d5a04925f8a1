"""Wake-ups that nodes share, on a clock of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from shoal.config import ClusterConfig
from shoal.net.wakeups import Wakeup, timer_slack
from tests.net.loops import VirtualClockLoop

SLACK = 0.25


class Sleeper:
    """Somebody who writes down when it was woken, and for when that was meant."""

    def __init__(self, loop: VirtualClockLoop, slack: float = SLACK) -> None:
        self.loop = loop
        self.woken: list[tuple[float, float]] = []
        self.then: Callable[[], None] = lambda: None
        self.wakeup = Wakeup(loop, self._wake, slack)

    def sleep_until(self, deadline: float) -> None:
        self.wakeup.set(deadline, self.loop.time())

    def _wake(self, at: float) -> None:
        self.woken.append((self.loop.time(), at))
        self.then()

    @property
    def times(self) -> list[float]:
        return [time for time, _ in self.woken]


@pytest.fixture
async def loop() -> VirtualClockLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualClockLoop)
    return loop


@pytest.mark.parametrize(("probe_timeout", "slack"), [(0.5, 0.1), (3.0, 0.1), (0.2, 0.04), (0.005, 0.001)])
async def test_short_timings_are_not_spent_on_slack(probe_timeout: float, slack: float) -> None:
    config = ClusterConfig(probe_interval=5.0, probe_timeout=probe_timeout, timer_slack=0.1)

    assert timer_slack(config) == pytest.approx(slack)


async def test_without_slack_it_comes_on_time_and_once(loop: VirtualClockLoop) -> None:
    sleeper = Sleeper(loop, slack=0.0)
    sleeper.sleep_until(1.1)

    await asyncio.sleep(5)

    assert sleeper.woken == [(1.1, 1.1)]


async def test_with_slack_it_comes_at_the_next_shared_moment(loop: VirtualClockLoop) -> None:
    sleepers = {deadline: Sleeper(loop) for deadline in (1.01, 1.2, 1.25, 1.26)}
    for deadline, sleeper in sleepers.items():
        sleeper.sleep_until(deadline)

    await asyncio.sleep(5)

    assert [sleeper.woken for sleeper in sleepers.values()] == [[(1.25, 1.25)]] * 3 + [[(1.5, 1.5)]]


async def test_those_who_share_a_moment_share_the_loops_timer(loop: VirtualClockLoop) -> None:
    armed = loop.timers_armed
    sleepers = [Sleeper(loop) for _ in range(100)]
    for number, sleeper in enumerate(sleepers):
        sleeper.sleep_until(1 + number / 1000)

    assert loop.timers_armed == armed + 2  # at 1 and at 1.25
    await asyncio.sleep(5)
    assert {tuple(sleeper.times) for sleeper in sleepers} == {(1.0,), (1.25,)}


async def test_what_is_due_already_does_not_wait_for_a_shared_moment(loop: VirtualClockLoop) -> None:
    sleeper = Sleeper(loop)
    await asyncio.sleep(1.1)

    sleeper.sleep_until(1.05)
    await asyncio.sleep(0.01)

    assert sleeper.times == [1.1]


async def test_a_sum_of_times_that_misses_the_moment_by_a_bit_does_not_wait_for_the_next(
    loop: VirtualClockLoop,
) -> None:
    sleeper = Sleeper(loop, slack=0.1)
    sleeper.sleep_until(0.1 + 0.2)  # 0.30000000000000004

    await asyncio.sleep(5)

    assert sleeper.times == pytest.approx([0.3])


@pytest.mark.parametrize("later", [0.5, 3.0])
async def test_another_deadline_takes_the_place_of_the_first(loop: VirtualClockLoop, later: float) -> None:
    sleeper = Sleeper(loop)
    sleeper.sleep_until(1.0)
    sleeper.sleep_until(later)

    await asyncio.sleep(5)

    assert sleeper.times == [later]


async def test_a_cancelled_one_does_not_come_and_the_others_of_its_moment_do(loop: VirtualClockLoop) -> None:
    first, second = Sleeper(loop), Sleeper(loop)
    first.sleep_until(1.0)
    second.sleep_until(1.0)
    first.wakeup.cancel()
    first.wakeup.cancel()

    await asyncio.sleep(5)

    assert (first.times, second.times) == ([], [1.0])


async def test_who_is_woken_may_cancel_another_of_the_same_moment(loop: VirtualClockLoop) -> None:
    first, second = Sleeper(loop), Sleeper(loop)
    first.sleep_until(1.0)
    second.sleep_until(1.0)
    first.then = second.wakeup.cancel

    await asyncio.sleep(5)

    assert (first.times, second.times) == ([1.0], [])


async def test_who_asks_to_be_woken_at_once_while_being_woken_leaves_the_loop_a_turn(loop: VirtualClockLoop) -> None:
    first, second = Sleeper(loop), Sleeper(loop)
    first.then = lambda: first.sleep_until(1.0) if len(first.woken) < 3 else None
    first.sleep_until(1.0)
    second.sleep_until(1.0)

    await asyncio.sleep(5)

    assert (first.times, second.times) == ([1.0] * 3, [1.0])


async def test_who_fails_keeps_nobody_else_from_waking(loop: VirtualClockLoop) -> None:
    failures: list[dict[str, object]] = []
    loop.set_exception_handler(lambda _loop, context: failures.append(context))
    first, second = Sleeper(loop), Sleeper(loop)
    first.sleep_until(1.0)
    second.sleep_until(1.0)

    def fail() -> None:
        raise ValueError("a bug")

    first.then = fail
    await asyncio.sleep(5)

    assert second.times == [1.0]
    assert [str(context["exception"]) for context in failures] == ["a bug"]
