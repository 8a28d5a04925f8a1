import pytest

from shoal.events import MemberFailed
from shoal.sim import latency, network, scenario, steps
from shoal.sim.cluster import SimCluster
from shoal.sim.latency import Constant
from shoal.sim.network import Link, StreamMode
from shoal.sim.node import SimulationError
from shoal.sim.scenario import Scenario, play, random_scenario
from shoal.sim.steps import Agree, Crash, Leave, Partition, Repair, Restart, ScenarioFailed, StartAll, Wait

SLOW = Link(Constant(0.04), loss=0.01)
NEVER_RANDOM = {"AgreeWithout", "SetLink", "SetZoneLink"}


def evaluated(script: str) -> object:
    names = {name: getattr(module, name) for module in (latency, network, steps, scenario) for name in module.__all__}
    return eval(script, names | {"Cut": steps.Cut})  # noqa: S307 - our own text


def test_a_scenario_is_played_step_by_step() -> None:
    cluster = play(Scenario(1, 4, (StartAll(), Agree(10), Crash("n2"), Wait(1.0), Agree(40))))

    assert len(cluster.observed(MemberFailed, about="n2")) == 3


def test_each_step_is_logged_with_its_time() -> None:
    lines: list[str] = []

    play(Scenario(1, 3, (StartAll(), Wait(2.5), Crash("n1", silent=True), Wait(1.0))), log=lines.append)

    assert [line.strip() for line in lines] == [
        "0.000 s  start all",
        "0.000 s  wait 2.5 s",
        "2.500 s  crash n1 with its machine",
        "2.500 s  wait 1 s",
    ]


def test_every_step_says_what_it_does() -> None:
    texts = {
        steps.Start("n9"): "start n9",
        steps.Start("n9", clock_step=-5.0, known_as="n1"): "start n9 as another n1, clock off by -5 s",
        steps.Start("n9", recall=True): "start n9 through its saved peers",
        Restart("n1"): "restart n1",
        Leave("n1"): "n1 leaves",
        steps.Freeze("n1"): "freeze n1",
        steps.Thaw("n1"): "thaw n1",
        steps.BlockIo("n1"): "block the I/O of n1",
        steps.UnblockIo("n1"): "unblock the I/O of n1",
        steps.SlowCpu("n1", 0.1): "n1 needs 0.1 s for a packet",
        steps.ClockRate("n1", 0.5): "the clock of n1 runs at 0.5",
        Partition((("n0", "n1"), ("n2",))): "partition n0 n1 | n2",
        steps.Cut(("n0",), ("n1", "n2")): "cut n0 -> n1 n2",
        steps.Heal(): "heal",
        steps.SetLoss(0.05): "lose 5% everywhere",
        steps.SetNodeLoss("n1", ingress=0.5): "n1 loses 50% coming in, 0% going out",
        steps.SetRate("n1", 1000.0): "n1 may send 1000 bytes a second",
        steps.SetRate("n1", None): "n1 may send as much as it likes",
        steps.SetStreams("n1", StreamMode.REFUSED): "streams to n1 are refused",
        steps.Broadcast("n1", b"x"): "n1 broadcasts b'x'",
        steps.Drain("n1"): "n1 drains",
        steps.SetLink(("n0", "n1"), SLOW): f"the paths between n0 and n1: {SLOW}",
        steps.SetZoneLink(("east", "west"), SLOW): f"the paths between zones east and west: {SLOW}",
        Repair(): "repair everything",
        steps.AgreeWithout(("n1", "n2"), 60.0, stay=5.0): "select n1 n2 no more within 60 s, for 5 s",
        Agree(9.0, stay=1.0): "agree within 9 s and stay so for 1 s",
    }

    assert {str(step) for step in texts} == set(texts.values())
    assert all(str(step) == text for step, text in texts.items())
    assert str(steps.SetTags("n1", {"a": "b"})) == "n1 publishes {'a': 'b'}"


def test_every_step_can_be_played() -> None:
    everything = (
        StartAll(),
        Agree(10),
        steps.SetTags("n0", {"a": "b"}),
        steps.Drain("n0"),
        steps.Broadcast("n0", b"x"),
        steps.Freeze("n1"),
        steps.BlockIo("n2"),
        steps.SlowCpu("n3", 0.01),
        steps.ClockRate("n3", 1.5),
        steps.SetLoss(0.1),
        steps.SetNodeLoss("n0", ingress=0.1, egress=0.1),
        steps.SetRate("n0", 10_000.0),
        steps.SetLink(("n0", "n1"), SLOW),
        steps.SetZoneLink(("east", "west"), SLOW),
        steps.SetStreams("n3", StreamMode.STALLED),
        Partition((("n0",), ("n1",))),
        steps.Cut(("n2",), ("n3",)),
        Wait(10.0),
        steps.Heal(),
        steps.Thaw("n1"),
        steps.UnblockIo("n2"),
        Restart("n3", clock_step=-10.0),
        steps.Start("n4"),
        Leave("n0"),
        Wait(10.0),
        Repair(),
        Agree(90.0, stay=5.0),
        steps.AgreeWithout(("n0",), 1.0, stay=1.0),
    )

    cluster = play(Scenario(1, 4, everything, zones={"east": ("n0",), "west": ("n2", "n4")}, seeds=4))

    assert sorted(node.name for node in cluster.members()) == ["n1", "n2", "n3", "n4"]


def test_disagreement_fails_the_scenario_and_prints_it_as_a_script() -> None:
    broken = Scenario(7, 3, (StartAll(), Agree(10), Partition((("n0",), ("n1", "n2"))), Wait(60.0), Agree(1.0)))

    with pytest.raises(ScenarioFailed, match="n0 does not hold n1 alive") as caught:
        play(broken)

    (note,) = caught.value.__notes__
    first, _, script = note.partition("\n")
    assert first.startswith("seed 7, at ")
    assert evaluated(script) == broken


def test_a_scenario_that_makes_no_sense_says_so() -> None:
    with pytest.raises(SimulationError, match="n1 is down"):
        play(Scenario(1, 2, (StartAll(), Crash("n1"), steps.Freeze("n1"))))


def test_a_script_makes_the_scenario_that_printed_it() -> None:
    for seed in range(20):
        assert evaluated(random_scenario(seed).script()) == random_scenario(seed)
    zoned = Scenario(1, 2, (steps.SetZoneLink(("a", "a"), SLOW),), zones={"a": ("n0", "n1")})
    assert evaluated(zoned.script()) == zoned


def test_one_seed_makes_one_random_scenario() -> None:
    assert random_scenario(1) == random_scenario(1)
    assert len({random_scenario(seed).script() for seed in range(20)}) == 20


def test_random_scenarios_use_every_kind_of_step() -> None:
    kinds = {type(step).__name__ for seed in range(40) for step in random_scenario(seed).steps}

    assert kinds == set(steps.__all__) - {"Step", "ScenarioFailed", "ImpossibleStepError"} - NEVER_RANDOM


def test_random_scenarios_end_with_a_repair_and_agreement() -> None:
    for seed in range(20):
        played = random_scenario(seed, nodes=5, faults=8).steps

        assert isinstance(played[-1], Agree)
        assert sum(isinstance(step, Repair) for step in played) == 1


def test_a_scenario_has_a_link_and_seeds_of_its_own() -> None:
    cluster = play(Scenario(1, 3, (StartAll(), Wait(1.0)), link=Link(loss=1.0), seeds=2))

    assert isinstance(cluster, SimCluster)
    assert not cluster.converged()
    assert len(cluster.node("n2").seeds) == 2
