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
