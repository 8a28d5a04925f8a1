"""Truth and belief, in clusters whose faults are placed by hand."""

from shoal.events import MemberFailed
from shoal.sim import steps
from shoal.sim.measures import Load, Outage, OutageKind, Recorder, Verdicts
from shoal.sim.node import Observation
from shoal.sim.presets import preset
from shoal.sim.profiles import SWIM
from shoal.sim.runner import PresetRecipe, Trial, run_seed
from shoal.sim.scenario import Scenario, play_on
from shoal.sim.steps import Agree, Step, Wait


def recorded(*played: Step, nodes: int = 5, seed: int = 1) -> Recorder:
    scenario = Scenario(seed, nodes, (steps.StartAll(), Wait(5.0), *played), formed=True)
    cluster = scenario.cluster()
    recorder = Recorder(cluster)
    for step in play_on(cluster, scenario):
        recorder.after(step)
    return recorder


def test_a_crash_is_an_outage_that_all_others_notice() -> None:
    (outage,) = recorded(steps.Crash("n3"), Wait(30.0)).outages()

    assert (outage.node, outage.kind, outage.began, outage.observers) == ("n3", OutageKind.CRASH, 5.0, 4)
    assert outage.first is not None
    assert outage.all_know is not None
    assert 0 < outage.first <= outage.all_know < 30
    assert len(outage.delays) == 4
    assert outage.delays[0] == 0
    assert outage.all_know == outage.first + outage.delays[-1]


def test_an_outage_that_nobody_has_noticed_yet_has_no_times() -> None:
    (outage,) = recorded(steps.Crash("n3"), Wait(0.5)).outages()

    assert outage == Outage("n3", OutageKind.CRASH, 5.0, None, None, observers=4)


def test_who_comes_back_before_anybody_noticed_is_not_detected() -> None:
    (outage,) = recorded(steps.Crash("n3"), Wait(0.5), steps.Restart("n3"), Wait(30.0)).outages()

    assert outage.first is None


def test_a_restart_and_a_goodbye_are_no_outages() -> None:
    assert not recorded(steps.Restart("n3"), steps.Leave("n2"), Wait(10.0)).outages()


def test_observers_that_go_before_they_know_are_not_waited_for() -> None:
    crashes = recorded(steps.Crash("n3"), steps.Crash("n2"), steps.Freeze("n1"), Wait(40.0)).outages()

    crashed = [outage for outage in crashes if outage.kind is OutageKind.CRASH]
    assert [outage.observers for outage in crashed] == [2, 2]
    assert all(outage.all_know is not None for outage in crashed)


def test_a_stall_is_an_outage_and_no_false_death() -> None:
    recorder = recorded(steps.BlockIo("n3"), Wait(20.0), steps.UnblockIo("n3"), Agree(30.0))

    (outage,) = recorder.outages()
    verdicts = recorder.verdicts()
    assert outage.kind is OutageKind.STALL
    assert outage.first is not None
    assert verdicts.false_deaths == 0
    assert verdicts.impaired_deaths >= verdicts.impaired_deaths_at_healthy >= 4


def test_a_host_that_hears_nothing_has_an_outage_each_time() -> None:
    deaf, hears = steps.SetNodeLoss("n3", ingress=1.0), steps.SetNodeLoss("n3")

    outages = recorded(deaf, Wait(1.0), hears, Wait(1.0), deaf, Wait(1.0), hears).outages()

    assert [outage.began for outage in outages] == [5.0, 7.0]


def test_deaths_across_a_cut_are_not_false() -> None:
    recorder = recorded(steps.Partition((("n0", "n1"), ("n2", "n3", "n4"))), Wait(30.0))

    verdicts = recorder.verdicts()
    assert verdicts.false_deaths == 0
    assert verdicts.unreachable_deaths == 12


def test_a_death_of_a_healthy_member_is_false_at_any_observer_that_reports_it() -> None:
    recorder = recorded(Wait(1.0))
    cluster = recorder._cluster
    victim = cluster.node("n0").view()["n4"]
    verdict = recorded(steps.Crash("n3"), Wait(30.0))._cluster.observed(MemberFailed)[0].event.evidence
    failed = MemberFailed(victim, verdict)
    cluster.observations += [Observation(6.0, "n1", failed), Observation(6.0, "n2", failed)]

    assert recorder.verdicts() == Verdicts(false_deaths=2, false_deaths_at_healthy=2)


def test_a_fault_that_is_long_over_excuses_nothing() -> None:
    recorder = recorded(steps.Freeze("n4"), Wait(1.0), steps.Thaw("n4"), Wait(100.0))
    cluster = recorder._cluster
    evidence = recorded(steps.Crash("n3"), Wait(30.0))._cluster.observed(MemberFailed)[0].event.evidence
    failed = MemberFailed(cluster.node("n0").view()["n4"], evidence)
    cluster.observations += [Observation(time, "n1", failed) for time in (7.0, 60.0, 70.0, 100.0)]

    assert recorder.verdicts() == Verdicts(
        false_deaths=2, false_deaths_at_healthy=2, impaired_deaths=2, impaired_deaths_at_healthy=2
    )


def test_the_crashed_the_left_and_the_replaced_are_no_false_deaths() -> None:
    recorder = recorded(steps.Crash("n4"), steps.Restart("n3"), Wait(20.0), steps.Leave("n2"), Wait(20.0))

    assert recorder.verdicts() == Verdicts()


def test_swim_accuses_healthy_members_where_some_are_blocked() -> None:
    trial = Trial(PresetRecipe("lifeguard-threshold", nodes=16, parameters={"concurrent": 4}), SWIM)

    assert run_seed(trial, seed=1).verdicts.false_suspicions > 0


def test_load_counts_the_time_that_processes_run() -> None:
    load = recorded(steps.Crash("n3"), Wait(10.0)).load()

    assert load.node_seconds == 5 * 5.0 + 4 * 10.0
    assert load == Load(load.messages, load.bytes, load.node_seconds)
    assert load.bytes > load.messages > load.node_seconds


def test_agreements_are_timed_without_the_time_to_stay() -> None:
    recorder = recorded(steps.Crash("n3"), Agree(30.0, stay=7.0))

    (outage,) = recorder.outages()
    (agreed,) = recorder.agreements
    assert outage.all_know is not None
    assert outage.all_know <= agreed <= outage.all_know + 0.11


def test_the_timeline_holds_steps_and_what_was_seen() -> None:
    marks = recorded(steps.Crash("n3"), Wait(20.0)).timeline()

    assert [mark.time for mark in marks] == sorted(mark.time for mark in marks)
    assert (5.0, "crash n3", 0) in marks
    assert sum(mark.observers for mark in marks if mark.what == "MemberFailed") == 4


def test_a_scenario_is_measured_the_same_each_time() -> None:
    trial = Trial(PresetRecipe("churn", nodes=8, parameters={"seconds": 30.0}), timeline_of=4)

    assert run_seed(trial, 4) == run_seed(trial, 4)
    assert preset("churn").scenario(4) == preset("churn").scenario(4)
