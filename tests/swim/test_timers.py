from functools import partial
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from shoal.swim.timers import Timer, Timers


def _record(log: list[object], what: object) -> partial[None]:
    def act(what: object, _now: float) -> None:
        log.append(what)

    return partial(act, what)


def test_nothing_is_due_without_timers() -> None:
    timers = Timers()
    timers.fire(1e9)
    assert timers.next_deadline() is None
    assert len(timers) == 0


def test_a_timer_fires_once_when_its_time_has_come_and_is_told_the_time() -> None:
    timers, log = Timers(), list[float]()
    timers.at(1.0, log.append)
    timers.fire(0.9)
    assert log == []
    timers.fire(1.5)
    timers.fire(2.0)
    assert log == [1.5]


@given(st.lists(st.integers(0, 5)))
def test_timers_fire_by_deadline_and_equal_ones_in_the_order_they_were_set(deadlines: list[int]) -> None:
    timers, log = Timers(), list[object]()
    for number, deadline in enumerate(deadlines):
        timers.at(deadline, _record(log, (deadline, number)))
    assert timers.next_deadline() == min(deadlines, default=None)
    timers.fire(9.0)
    assert log == sorted((deadline, number) for number, deadline in enumerate(deadlines))


def test_what_an_action_sets_for_no_later_than_now_fires_too() -> None:
    timers, log = Timers(), list[object]()

    def act(now: float) -> None:
        timers.at(now, _record(log, "at once"))
        timers.at(now + 1, _record(log, "later"))

    timers.at(1.0, act)
    timers.fire(2.0)
    assert log == ["at once"]
    assert timers.next_deadline() == 3.0


def test_a_cancelled_timer_neither_fires_nor_wakes() -> None:
    timers, log = Timers(), list[object]()
    first, _ = timers.at(1.0, _record(log, 1)), timers.at(2.0, _record(log, 2))
    first.cancel()
    first.cancel()
    assert (timers.next_deadline(), len(timers)) == (2.0, 1)
    timers.fire(3.0)
    assert log == [2]


def test_a_timer_that_fired_can_be_cancelled_without_harm() -> None:
    timers, log = Timers(), list[object]()
    timer = timers.at(1.0, _record(log, 1))
    timers.fire(1.0)
    timer.cancel()
    timers.at(2.0, _record(log, 2))
    assert len(timers) == 1
    timers.fire(2.0)
    assert log == [1, 2]


def test_an_action_may_cancel_another_that_is_due() -> None:
    timers, log = Timers(), list[object]()
    timers.at(1.0, lambda _now: second.cancel())
    second = timers.at(1.0, _record(log, 2))
    timers.fire(1.0)
    assert log == []
    assert len(timers) == 0


def test_cancelled_timers_do_not_pile_up() -> None:
    timers = Timers()
    keep = timers.at(1e6, lambda _now: None)
    for number in range(10_000):
        timers.at(1e5 + number, lambda _now: None).cancel()
    assert len(timers) == 1
    assert len(timers._heap) < 200
    assert timers.next_deadline() == 1e6
    keep.cancel()
    assert timers.next_deadline() is None


def test_compaction_keeps_the_order() -> None:
    random, timers, log = Random(1), Timers(), list[object]()
    deadlines = [random.random() for _ in range(2000)]
    pending = [timers.at(deadline, _record(log, deadline)) for deadline in deadlines]
    kept = set(random.sample(range(2000), 300))
    for number, timer in enumerate(pending):
        if number not in kept:
            timer.cancel()
    assert len(timers._heap) < 2000
    timers.fire(1.0)
    assert log == sorted(deadlines[number] for number in kept)


def test_compaction_while_firing_loses_nothing() -> None:
    timers, log = Timers(), list[object]()
    doomed = [timers.at(5.0 + number, _record(log, "doomed")) for number in range(300)]

    def cancel_all(_now: float) -> None:
        for timer in doomed:
            timer.cancel()

    timers.at(1.0, cancel_all)
    for number in range(5):
        timers.at(2.0 + number, _record(log, number))
    timers.fire(1000.0)
    assert log == [0, 1, 2, 3, 4]
    assert len(timers) == 0


@given(st.lists(st.tuples(st.sampled_from(["at", "cancel", "fire"]), st.integers(0, 20)), max_size=200))
def test_timers_do_what_a_list_does(steps: list[tuple[str, int]]) -> None:
    timers, log, expected = Timers(), list[object](), list[object]()
    pending: dict[int, tuple[int, Timer]] = {}
    now = 0
    for number, (step, value) in enumerate(steps):
        if step == "at":
            pending[number] = (now + value, timers.at(now + value, _record(log, number)))
        elif step == "cancel" and pending:
            pending.pop(sorted(pending)[value % len(pending)])[1].cancel()
        elif step == "fire":
            now += value
            timers.fire(now)
            due = sorted((at, number) for number, (at, _) in pending.items() if at <= now)
            expected += [number for _, number in due]
            pending = {number: entry for number, entry in pending.items() if entry[0] > now}
        assert log == expected
        assert len(timers) == len(pending)
        assert timers.next_deadline() == min((at for at, _ in pending.values()), default=None)


def test_cancelled_timers_do_not_outlast_the_others_that_were_set_with_them() -> None:
    timers = Timers()
    for _ in range(1000):
        timers.at(1.0, lambda _now: None)
    doomed = [timers.at(number, lambda _now: None) for number in range(2, 902)][1:]
    for timer in doomed:
        timer.cancel()
    timers.fire(1.0)
    assert (len(timers), len(timers._heap)) == (1, 1)
