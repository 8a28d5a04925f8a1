from shoal.sim.scheduler import Scheduler


def test_things_happen_in_the_order_of_their_time() -> None:
    scheduler, seen = Scheduler(), list[str]()
    scheduler.at(2.0, seen.append, "late")
    scheduler.at(1.0, seen.append, "early")

    scheduler.run_to(3.0)

    assert seen == ["early", "late"]


def test_things_of_one_instant_happen_in_the_order_in_which_they_were_planned() -> None:
    scheduler, seen = Scheduler(), list[int]()
    for number in range(20):
        scheduler.at(1.0, seen.append, number)

    scheduler.run_to(1.0)

    assert seen == list(range(20))


def test_time_stands_at_each_thing_while_it_happens_and_at_the_end_of_the_run_afterwards() -> None:
    scheduler, seen = Scheduler(), list[float]()
    scheduler.after(0.5, lambda: seen.append(scheduler.now))

    scheduler.run_to(4.0)

    assert seen == [0.5]
    assert scheduler.now == 4.0


def test_what_is_planned_for_later_than_the_run_waits() -> None:
    scheduler, seen = Scheduler(), list[str]()
    scheduler.at(2.0, seen.append, "later")

    scheduler.run_to(1.0)
    assert not seen
    scheduler.run_to(2.0)
    assert seen == ["later"]


def test_the_past_means_now() -> None:
    scheduler, seen = Scheduler(), list[float]()
    scheduler.at(1.0, lambda: scheduler.at(0.0, lambda: seen.append(scheduler.now)))

    scheduler.run_to(5.0)

    assert seen == [1.0]
