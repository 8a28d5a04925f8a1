"""Partitions are suspected, followed, decided on and seen to heal; in the simulator."""

from __future__ import annotations

from typing import Any

import pytest

from shoal.config import ClusterConfig
from shoal.events import PartitionDecided, PartitionHealed, PartitionRuling, PartitionSuspected
from shoal.sim.cluster import SimCluster
from shoal.types import FailureDomain, MemberState, Tags
from shoal.wire.messages import Alive, Dead
from tests.swim.harness import Solo, info_of, node_id

ONE, OTHER = ["n0", "n1", "n2"], ["n3", "n4"]


def cluster(nodes: int = 5, **config: Any) -> SimCluster:
    made = SimCluster(nodes=nodes, config=ClusterConfig.lan().replace(**config))
    made.start_all()
    assert made.run_until(made.converged, at_most=20.0)
    made.run(20.0)
    return made


def split(made: SimCluster, *sides: list[str], seconds: float = 30.0) -> None:
    made.partition(*sides)
    made.run(seconds)


def test_both_sides_of_a_partition_suspect_it_and_say_whom_they_lost() -> None:
    made = cluster()
    split(made, ONE, OTHER)

    seen = {one.observer: one.event.partition for one in made.observed(PartitionSuspected)}
    assert set(seen) == {*ONE, *OTHER}
    for observer, partition in seen.items():
        lost = OTHER if observer in ONE else ONE
        assert sorted(member.name for member in partition.lost) == lost
        assert partition.present == 5 - len(lost)
    assert made.node("n0").core.partition is not None
    assert not made.observed(PartitionDecided), "nothing is decided unless it is asked for"


def test_one_crash_is_no_partition() -> None:
    made = cluster()
    made.crash("n3", silent=True)
    made.run(60.0)

    assert not made.observed(PartitionSuspected)


def test_crashes_one_after_the_other_are_no_partition() -> None:
    made = cluster(12)
    for name in ("n3", "n5", "n7"):
        made.crash(name)
        made.run(60.0)

    assert not made.observed(PartitionSuspected)


def test_a_partition_that_heals_is_told_with_those_who_are_back() -> None:
    made = cluster()
    split(made, ONE, OTHER)
    made.heal()
    assert made.run_until(made.converged, at_most=60.0)
    made.run(10.0)

    healed = {one.observer: one.event for one in made.observed(PartitionHealed)}
    assert set(healed) == {*ONE, *OTHER}
    assert sorted(member.name for member in healed["n0"].returned) == OTHER
    assert healed["n0"].still_lost == ()
    assert 20.0 < healed["n0"].lasted < 100.0
    assert made.node("n0").core.partition is None


def test_a_rack_that_vanishes_is_suspected_to_be_cut_off_and_named() -> None:
    made = SimCluster(nodes=20)
    for index, node in enumerate(made.nodes.values()):
        node.tags = Tags({"rack": f"r{index // 4}"})
    made.start_all()
    assert made.run_until(made.converged, at_most=30.0)
    made.run(20.0)
    for name in ("n16", "n17", "n18", "n19"):
        made.crash(name, silent=True)
    made.run(30.0)

    suspected = made.observed(PartitionSuspected)
    assert len(suspected) == 16
    assert {one.event.partition.domains for one in suspected} == {(FailureDomain("rack", "r4"),)}


@pytest.mark.parametrize(
    ("config", "staying"),
    [
        ({"partition_strategy": "keep-majority"}, ONE),
        ({"partition_strategy": "static-quorum", "partition_quorum": 3}, ONE),
        ({"partition_strategy": "keep-referee", "partition_referee": "n4"}, OTHER),
        ({"partition_strategy": "keep-oldest"}, ONE),
        ({"partition_strategy": "down-all"}, []),
    ],
    ids=str,
)
def test_when_the_view_has_settled_the_strategy_says_who_stays(config: dict[str, Any], staying: list[str]) -> None:
    made = cluster(**config)
    split(made, ONE, OTHER)

    decisions = {one.observer: one.event.decision for one in made.observed(PartitionDecided)}
    assert set(decisions) == {*ONE, *OTHER}, "each once"
    assert sorted(name for name, one in decisions.items() if one.ruling is PartitionRuling.STAY) == staying
    assert all(node.is_up for node in made.nodes.values()), "and nobody acts on it"


def rulings(made: SimCluster) -> dict[str, PartitionRuling]:
    """What each was told last."""
    return {one.observer: one.event.decision.ruling for one in made.observed(PartitionDecided)}


@pytest.mark.parametrize("gives_way", [True, False])
@pytest.mark.parametrize("nodes", [5, 8])
def test_whether_the_oldest_gives_way_when_it_is_alone_is_a_setting(nodes: int, gives_way: bool) -> None:
    made = cluster(nodes, partition_strategy="keep-oldest", partition_down_if_alone=gives_way)
    oldest, *others = sorted(made.nodes, key=lambda name: made.node(name).core.local.id)
    split(made, [oldest], others, seconds=120.0)

    if gives_way:
        assert rulings(made) == {oldest: PartitionRuling.STAND_DOWN}, "to the others one has crashed, and they go on"
    else:
        assert rulings(made) == {oldest: PartitionRuling.STAY, **dict.fromkeys(others, PartitionRuling.STAND_DOWN)}


@pytest.mark.parametrize(
    "config",
    [
        {"partition_strategy": "keep-oldest"},
        {"partition_strategy": "keep-referee", "partition_referee": "n0"},
        {"partition_strategy": "lease"},
    ],
    ids=str,
)
@pytest.mark.parametrize("few", [1, 2])
def test_so_few_that_the_others_may_hold_them_for_crashed_do_not_stay(config: dict[str, Any], few: int) -> None:
    made = cluster(11, **config)
    oldest_first = sorted(made.nodes, key=lambda name: made.node(name).core.local.id)
    names = ["n0", *(name for name in oldest_first if name != "n0")][:few]
    split(made, names, [name for name in made.nodes if name not in names], seconds=120.0)

    assert rulings(made) == dict.fromkeys(names, PartitionRuling.STAND_DOWN)


LOST, LARGER, SMALLER = ["n5", "n6"], ["n0", "n1", "n2"], ["n3", "n4"]


def staying(made: SimCluster) -> list[str]:
    return sorted(name for name, ruling in rulings(made).items() if ruling is PartitionRuling.STAY)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"partition_strategy": "keep-majority"}, []),
        ({"partition_strategy": "static-quorum", "partition_quorum": 4}, []),
        ({"partition_strategy": "keep-referee", "partition_referee": "n3"}, SMALLER),
    ],
    ids=str,
)
def test_who_were_told_to_stay_and_come_apart_again_are_told_anew(config: dict[str, Any], expected: list[str]) -> None:
    made = cluster(7, **config)
    split(made, LARGER + SMALLER, LOST, seconds=40.0)
    assert staying(made) == LARGER + SMALLER
    split(made, LARGER, SMALLER, seconds=40.0)

    assert staying(made) == expected
    suspected = [one.event.partition for one in made.observed(PartitionSuspected) if one.observer == "n0"]
    assert [sorted(member.name for member in one.lost) for one in suspected] == [LOST, SMALLER + LOST]


def test_who_came_apart_while_the_lease_was_asked_for_ask_again() -> None:
    made = cluster(7, partition_strategy="lease")
    split(made, LARGER + SMALLER, LOST, seconds=20.0)
    assert rulings(made)["n0"] is PartitionRuling.ASK_LEASE
    split(made, LARGER, SMALLER, seconds=5.0)
    for name in LARGER + SMALLER:
        made.node(name).core.rule_partition(PartitionRuling.STAY, "all five have the lease", made.now)
    made.run(40.0)

    asked = {one.observer: one.event.decision for one in made.observed(PartitionDecided)}
    assert {asked[name].ruling for name in LARGER + SMALLER} == {PartitionRuling.ASK_LEASE}
    assert asked["n0"].side == asked["n2"].side != asked["n3"].side


@pytest.mark.parametrize("strategy", ["keep-majority", "lease"])
def test_who_lost_one_more_has_been_told_enough(strategy: str) -> None:
    made = cluster(10, partition_strategy=strategy)
    gone = ["n7", "n8", "n9"]
    split(made, [name for name in made.nodes if name not in gone], gone, seconds=40.0)
    told = len(made.observed(PartitionDecided))
    made.crash("n6", silent=True)
    made.run(60.0)

    assert len(made.observed(PartitionDecided)) == told


def test_the_lost_of_one_partition_count_in_the_next_so_that_they_cannot_decide_it() -> None:
    made = cluster(7, partition_strategy="keep-majority")
    split(made, LARGER + SMALLER, LOST, seconds=40.0)
    made.heal()
    split(made, LARGER, SMALLER + LOST, seconds=90.0)

    assert not {*staying(made)} & {*LARGER}


def test_when_most_but_not_all_are_back_the_rest_is_a_partition_to_be_ruled_on() -> None:
    made = cluster(7, partition_strategy="keep-majority")
    split(made, ["n0", "n1", "n2"], ["n3", "n4", "n5", "n6"], seconds=40.0)
    made.heal()
    split(made, ["n0", "n1"], ["n2", "n3", "n4", "n5", "n6"], seconds=90.0)

    healed = [one.event for one in made.observed(PartitionHealed) if one.observer == "n2"]
    assert healed
    assert staying(made) == ["n2", "n3", "n4", "n5", "n6"]


def test_crashes_one_after_the_other_end_nobody() -> None:
    made = cluster(5, partition_strategy="keep-majority", partition_stand_down=True)
    for name in ("n4", "n3", "n2"):
        made.crash(name, silent=True)
        made.run(90.0)

    assert [name for name, node in made.nodes.items() if node.is_up] == ["n0", "n1"]


def test_who_is_configured_to_stand_down_leaves() -> None:
    made = cluster(partition_strategy="keep-majority", partition_stand_down=True)
    split(made, ONE, OTHER)

    assert [name for name, node in made.nodes.items() if node.is_up] == ONE


def test_a_lease_that_one_side_has_settles_it() -> None:
    made = cluster(partition_strategy="lease")
    split(made, ONE, OTHER)
    asked = {one.observer: one.event.decision for one in made.observed(PartitionDecided)}
    assert {one.ruling for one in asked.values()} == {PartitionRuling.ASK_LEASE}
    assert asked["n0"].side == asked["n1"].side != asked["n3"].side

    core = made.node("n0").core
    core.rule_partition(PartitionRuling.STAY, "this side has the lease", made.now)

    assert core.partition is not None
    assert core.partition.decision is not None
    assert core.partition.decision.ruling is PartitionRuling.STAY


def test_a_restarted_member_is_back() -> None:
    made = cluster()
    split(made, ONE, OTHER)
    for name in OTHER:
        made.crash(name)
    made.heal()
    for name in OTHER:
        made.start(name)
    assert made.run_until(made.converged, at_most=60.0)
    made.run(10.0)

    assert made.node("n0").core.partition is None
    assert made.node("n0").core.counts()[MemberState.ALIVE] == 5


def test_the_silent_that_are_forgotten_already_do_not_pile_up() -> None:
    solo = Solo(max_tombstones=16)
    for number in range(1, 200):
        solo.hear(Alive(info_of(number), 0), Dead(node_id(number), 0, node_id(999)))
    assert solo.kept("silent members") <= 2 * solo.kept("slots of the table")
