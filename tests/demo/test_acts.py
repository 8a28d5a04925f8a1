from collections.abc import Sequence

import pytest

from shoal.demo.acts import Act, Freeze, Kill, Leave, Prohibition, Resume, Start, judge, script
from shoal.demo.sightings import Sight, Sighting

OLD_RUN, NEW_RUN = "run-1", "run-2"


def names(count: int) -> list[str]:
    return [f"node-{number}" for number in range(1, count + 1)]


def act(title: str, count: int = 5) -> Act:
    return next(act for act in script(names(count)) if act.title == title)


def fulfilment(act: Act, at: float) -> list[Sighting]:
    """Everything that the act expects, reported at one moment."""
    return [
        Sighting(at, expected.observer, expected.sights[0], expected.subject, NEW_RUN if expected.new_run else OLD_RUN)
        for expected in act.expectations
    ]


# The script


def test_five_nodes_play_the_acts_in_the_announced_order() -> None:
    deeds = [act.deed for act in script(names(5))]
    assert deeds == [
        Start(("node-1", "node-2", "node-3", "node-4", "node-5")),
        Kill("node-2"),
        Leave("node-3"),
        Freeze("node-4"),
        Resume("node-4"),
        Start(("node-2",)),
    ]


@pytest.mark.parametrize("count", range(3, 21))
def test_only_nodes_that_run_are_expected_to_report_and_each_of_them_is(count: int) -> None:
    awake: set[str] = set()
    frozen: set[str] = set()
    for act in script(names(count)):
        match act.deed:
            case Start(started):
                awake.update(started)
            case Kill(name) | Leave(name):
                awake.remove(name)
            case Freeze(name):
                awake.remove(name)
                frozen.add(name)
            case Resume(name):
                frozen.remove(name)
        observers = {expectation.observer for expectation in act.expectations}
        assert observers == awake
        assert all(expectation.observer != expectation.subject for expectation in act.expectations)
        if isinstance(act.deed, Resume):
            awake.add(act.deed.name)
    assert not frozen
    assert awake == set(names(count)) - {"node-3"}


def test_without_sigstop_the_acts_around_it_are_left_out() -> None:
    assert [act.title for act in script(names(5), can_freeze=False)] == ["form", "kill", "leave", "restart"]


def test_two_nodes_are_too_few() -> None:
    with pytest.raises(ValueError, match="2 nodes"):
        script(names(2))


# The judge


@pytest.mark.parametrize("act", script(names(5)), ids=lambda act: act.title)
def test_an_act_is_fulfilled_when_all_that_it_expects_was_reported(act: Act) -> None:
    before = [Sighting(0.0, "node-1", Sight.JOINED, "node-2", OLD_RUN)]
    verdict = judge(act, 1.0, before + fulfilment(act, at=3.0))
    assert verdict.is_fulfilled
    assert set(verdict.delays.values()) == {2.0}


@pytest.mark.parametrize("act", script(names(5)), ids=lambda act: act.title)
def test_an_act_fails_when_any_one_report_is_missing_and_names_it(act: Act) -> None:
    reports = fulfilment(act, at=3.0)
    for index, expectation in enumerate(act.expectations):
        verdict = judge(act, 1.0, reports[:index] + reports[index + 1 :])
        assert verdict.missing == (expectation,)
        assert not verdict.is_fulfilled
        assert expectation.observer not in verdict.delays


def test_a_missing_report_reads_as_a_sentence() -> None:
    assert str(act("kill").expectations[0]) == "node-1 did not report node-2 failed"
    assert str(act("resume").expectations[0]) == "node-1 did not report node-4 recovered or joined"
    assert str(act("restart").expectations[0]) == "node-1 did not report node-2 joined as a new run"


def test_reports_from_before_the_deed_do_not_count() -> None:
    kill = act("kill")
    assert judge(kill, 1.0, fulfilment(kill, at=0.9)).missing == kill.expectations


def test_another_observer_subject_or_sight_does_not_count() -> None:
    kill = act("kill", 3)
    others = [
        Sighting(2.0, "node-2", Sight.FAILED, "node-2", OLD_RUN),
        Sighting(2.0, "node-1", Sight.FAILED, "node-3", OLD_RUN),
        Sighting(2.0, "node-1", Sight.SUSPECTED, "node-2", OLD_RUN),
    ]
    assert judge(kill, 1.0, others).missing == kill.expectations


def test_a_return_of_the_old_run_is_no_restart() -> None:
    restart = act("restart")
    before = [Sighting(0.0, "node-1", Sight.JOINED, "node-2", NEW_RUN)]
    missing = judge(restart, 1.0, before + fulfilment(restart, at=2.0)).missing
    assert {expectation.observer for expectation in missing} == {"node-1", "node-4", "node-5"}


def test_a_recovery_may_also_be_a_new_join_after_a_death() -> None:
    resume = act("resume")
    joined = [Sighting(2.0, e.observer, Sight.JOINED, e.subject, OLD_RUN) for e in resume.expectations]
    assert judge(resume, 1.0, joined).is_fulfilled


def test_a_delay_lasts_until_the_last_thing_that_the_observer_had_to_report() -> None:
    form = act("form", 3)
    reports = [
        Sighting(1.0, "node-1", Sight.JOINED, "node-2", OLD_RUN),
        Sighting(4.0, "node-1", Sight.JOINED, "node-3", OLD_RUN),
        Sighting(2.0, "node-2", Sight.JOINED, "node-1", OLD_RUN),
    ]
    assert judge(form, 0.5, reports).delays == {"node-1": 3.5}


def test_a_leaver_that_is_ever_reported_dead_breaks_the_promise() -> None:
    leave = act("leave")
    dead = Sighting(9.0, "node-5", Sight.FAILED, "node-3", OLD_RUN)
    assert judge(leave, 1.0, [*fulfilment(leave, at=2.0), dead]).broken == (dead,)


@pytest.mark.parametrize(("accuser", "is_broken"), [("node-4", True), ("node-5", False)])
def test_only_accusations_by_the_frozen_node_break_its_promise(accuser: str, is_broken: bool) -> None:
    resume = act("resume")
    accusation = Sighting(3.0, "node-5", Sight.SUSPECTED, "node-1", OLD_RUN, accusers=(accuser,))
    verdict = judge(resume, 1.0, [*fulfilment(resume, at=2.0), accusation])
    assert verdict.is_fulfilled is not is_broken


def test_a_prohibition_without_accuser_holds_for_everybody() -> None:
    prohibition = Prohibition(("b",), (Sight.FAILED,))
    reports: Sequence[Sighting] = [Sighting(1.0, "a", Sight.FAILED, "b", OLD_RUN, accusers=("c",))]
    assert prohibition.is_broken_by(reports[0])
