"""Many members at once, and one again and again: what observers are told, and what not."""

from __future__ import annotations

import pytest

from shoal.config import ClusterConfig
from shoal.events import (
    MemberDamped,
    MemberFailed,
    MemberReinstated,
    RemovalHalted,
    RemovalResumed,
    ViewChanged,
)
from shoal.sim.cluster import SimCluster
from shoal.sim.node import SimNode
from shoal.types import FailureDomain, MemberState, Tags


def racks(nodes: int, per_rack: int, seed: int = 1, **config: float) -> SimCluster:
    made = SimCluster(nodes, seed, ClusterConfig.lan().replace(**config), formed=True)
    for index, node in enumerate(made.nodes.values()):
        node.tags = Tags({"rack": f"r{index // per_rack}"})
    made.start_all()
    made.run(15.0)
    return made


@pytest.mark.parametrize("seed", range(3))
def test_who_loses_sight_of_most_stops_to_remove_and_takes_nobody_for_dead_wrongly_for_good(seed: int) -> None:
    made = racks(16, 4, seed)
    few, most = list(made.nodes)[:4], list(made.nodes)[4:]
    made.partition(few, most)
    made.run(30.0)

    for name in few:
        counts = made.node(name).core.counts()
        assert (counts[MemberState.DEAD], counts[MemberState.SUSPECT]) == (8, 4), "half of them, and no more"
    assert {seen.observer for seen in made.observed(RemovalHalted)} == set(few)
    for name in most:
        assert made.node(name).core.counts()[MemberState.DEAD] == 4, "the others may go on"
    made.heal()

    assert made.run_until(made.converged, at_most=30.0)
    assert {seen.observer for seen in made.observed(RemovalResumed)} == set(few)
    assert {seen.event.removed for seen in made.observed(RemovalResumed)} == {0}


def test_what_stays_silent_is_removed_after_the_hold() -> None:
    made = racks(16, 4)
    for name in list(made.nodes)[4:]:
        made.crash(name, silent=True)
    made.run(40.0)
    assert all(node.core.counts()[MemberState.SUSPECT] == 4 for node in made.members())
    made.run(60.0)

    assert made.converged()
    assert {seen.event.removed for seen in made.observed(RemovalResumed)} == {4}


@pytest.mark.parametrize("seed", range(3))
def test_a_rack_that_vanishes_is_one_change_of_the_view_that_names_it(seed: int) -> None:
    made = racks(24, 4, seed)
    lost = [f"n{index}" for index in range(8, 12)]
    began = made.now
    for name in lost:
        made.crash(name, silent=True)
    made.run(20.0)

    for node in made.members():
        (change,) = [seen.event for seen in made.observed(ViewChanged, observer=node.name, since=began)]
        assert sorted(member.name for member in change.failed) == sorted(lost)
        assert change.domains == (FailureDomain("rack", "r2"),)
        assert len(made.observed(MemberFailed, observer=node.name)) == 4


def test_who_comes_and_goes_is_left_out_until_it_is_steady_and_no_more_than_the_set_share() -> None:
    made = racks(12, 4, damping_half_life=20.0)
    sick = ["n1", "n2", "n3", "n4", "n5"]
    for _ in range(6):
        for name in sick:
            made.set_node_loss(name, ingress=1.0)
        made.run(8.0)
        for name in sick:
            made.set_node_loss(name)
        made.run(6.0)
        for node in made.members():
            present = [member for member in node.core.members() if member.state.is_present]
            damped = {member.name for member in present if member.damped}
            assert len(damped) <= 3, "a quarter of twelve"
            assert damped <= set(sick)
    assert {seen.event.member.name for seen in made.observed(MemberDamped, observer="n0")} <= set(sick)
    assert made.observed(MemberDamped)
    made.run(120.0)

    assert made.converged()
    assert made.observed(MemberReinstated)
    assert all(member.is_available for node in made.members() for member in node.core.members())


@pytest.mark.parametrize("seed", range(3))
def test_a_process_in_a_crash_loop_is_left_out_by_all_until_it_stays_up(seed: int) -> None:
    made = racks(12, 4, seed)
    others = [node for node in made.members() if node.name != "n1"]
    for _ in range(4):
        made.crash("n1")
        made.run(2.5)
        made.restart("n1")
        made.run(2.5)

    assert [node.name for node in others if not _held_damped(node, "n1")] == []
    assert {seen.observer for seen in made.observed(MemberDamped, about="n1")} == {node.name for node in others}
    made.run(180.0)

    assert [node.name for node in others if _held_damped(node, "n1")] == []
    assert made.converged()


def _held_damped(node: SimNode, name: str) -> bool:
    member = node.core.member_named(name)
    assert member is not None
    return member.damped
