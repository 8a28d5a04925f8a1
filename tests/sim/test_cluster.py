from collections.abc import Callable
from math import inf, nan
from random import Random
from typing import Any

import pytest

from shoal.config import ClusterConfig
from shoal.errors import ConfigError
from shoal.events import JoinCompleted, MemberFailed, MemberJoined, MemberSuspected, NameConflict
from shoal.sim.cluster import SimCluster
from shoal.sim.invariants import InvariantViolated
from shoal.sim.latency import Constant
from shoal.sim.network import Link


def test_nodes_that_start_together_find_each_other_through_the_first() -> None:
    cluster = SimCluster(nodes=20)

    cluster.start_all()

    assert not cluster.converged()
    assert cluster.run_until(cluster.converged, at_most=10)
    assert all(len(node.view()) == 20 for node in cluster.nodes.values())
    cluster.check_at_rest()


def test_a_formed_cluster_agrees_from_the_start() -> None:
    cluster = SimCluster(nodes=60, formed=True)

    cluster.start_all()

    assert cluster.converged()
    assert not cluster.observed(MemberJoined)
    cluster.run(20)
    cluster.check_at_rest()


def test_a_formed_cluster_behaves_as_one_that_joined() -> None:
    cluster = SimCluster(nodes=20, formed=True)
    cluster.start_all()
    cluster.run(10)

    cluster.crash("n7")

    assert cluster.run_until(cluster.converged, at_most=40)
    assert len(cluster.observed(MemberFailed, about="n7")) == 19


def test_a_node_alone_is_a_cluster() -> None:
    cluster = SimCluster(nodes=1)

    cluster.start_all()
    cluster.run(60)

    assert cluster.converged()
    assert not cluster.observed(JoinCompleted)


def test_a_node_that_is_added_later_joins() -> None:
    cluster = SimCluster(nodes=3)
    cluster.start_all()
    cluster.run(5)

    added = cluster.add_node()
    cluster.start(added.name)

    assert added.name == "n3"
    assert cluster.run_until(cluster.converged, at_most=10)
    assert len(cluster.observed(MemberJoined, about="n3")) == 3


def test_of_two_nodes_of_one_name_the_newer_keeps_it() -> None:
    cluster = SimCluster(nodes=3)
    cluster.start_all()
    cluster.run(5)

    cluster.add_node("rival", known_as="n1")
    cluster.start("rival")
    cluster.run(20)

    assert cluster.node("n1").core.is_superseded
    assert cluster.node("n0").view()["n1"].id == cluster.node("rival").id
    assert cluster.observed(NameConflict)
    assert cluster.converged()


def test_both_sides_of_a_partition_fail_each_other_and_find_together_again() -> None:
    cluster = SimCluster(nodes=6)
    cluster.start_all()
    cluster.run(5)

    cluster.partition(["n0", "n1", "n2"], ["n3", "n4", "n5"])
    cluster.run(40)
    assert {seen.observer for seen in cluster.observed(MemberFailed, about="n4")} == {"n0", "n1", "n2"}
    assert not cluster.converged()

    cluster.heal()
    assert cluster.run_until(cluster.converged, at_most=60)
    cluster.check_at_rest()


def test_when_a_partition_heals_nobody_accuses_a_member_of_its_own_side() -> None:
    cluster = SimCluster(nodes=24, formed=True)
    cluster.start_all()
    cluster.run(15)
    halves = [f"n{number}" for number in range(12)], [f"n{number}" for number in range(12, 24)]
    cluster.partition(*halves)
    cluster.run(30)

    cluster.heal()
    healed_at = cluster.now
    assert cluster.run_until(cluster.converged, at_most=60)
    accused = [(seen.observer, seen.event.member.name) for seen in cluster.observed(MemberSuspected, since=healed_at)]
    assert [pair for pair in accused if any(set(pair) <= set(half) for half in halves)] == []
    cluster.check_at_rest()


def test_observations_can_be_narrowed() -> None:
    cluster = SimCluster(nodes=4)
    cluster.start_all()
    cluster.run(5)
    cluster.crash("n1")
    crashed_at = cluster.now
    cluster.run(40)

    assert len(cluster.observed(MemberFailed)) == 3
    assert len(cluster.observed(MemberFailed, observer="n0", about="n1", since=crashed_at)) == 1
    assert not cluster.observed(MemberFailed, about="n0")
    assert not cluster.observed(MemberFailed, since=cluster.now)


def test_run_until_gives_up_in_time() -> None:
    cluster = SimCluster(nodes=2)

    assert not cluster.run_until(lambda: False, at_most=3.0)
    assert cluster.now == pytest.approx(3.0)


def test_a_broken_invariant_stops_the_run_and_says_where() -> None:
    cluster = SimCluster(nodes=3, config=ClusterConfig.lan(max_tag_bytes=600))
    cluster.start_all()
    cluster.run(5)
    node = cluster.node("n1")
    node.host.traffic.largest_datagram = 1401

    with pytest.raises(InvariantViolated, match=r"datagrams_keep_their_limit: n1 sent a datagram of 1401 bytes"):
        cluster.run(2)


def test_views_that_differ_are_no_rest() -> None:
    cluster = SimCluster(nodes=3, link=Link(loss=1.0))
    cluster.start_all()
    cluster.run(5)

    with pytest.raises(InvariantViolated, match="n0 does not hold n1 alive"):
        cluster.check_at_rest()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"nodes": -1}, "nodes = -1: must be 1 to 60000"),
        ({"nodes": 60_001}, "nodes = 60001: must be 1 to 60000"),
        ({"seeds": -1}, "seeds = -1: must be 0 to 60000"),
        ({"check_every": -1}, r"check_every = -1: must be 0.001 to 1e\+06"),
        ({"zones": {"a": ["n1"], "b": ["n1"]}}, "zones = 'n1': is in a and in b; each node has one zone"),
        ({"check_every": nan}, "check_every = nan: must be"),
    ],
)
def test_a_cluster_that_cannot_be_is_refused(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        SimCluster(**arguments)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (lambda cluster: cluster.set_loss(3), "loss = 3: must be 0 to 1"),
        (lambda cluster: cluster.set_zone_link("", "mars", Link()), "zone = 'mars': has no nodes; there are none"),
        (lambda cluster: cluster.set_loss(nan), "loss = nan: must be 0 to 1"),
        (lambda cluster: cluster.set_node_loss("n1", ingress=-0.1), "ingress = -0.1: must be 0 to 1"),
        (lambda cluster: cluster.set_node_loss("n1", egress=2), "egress = 2: must be 0 to 1"),
        (lambda cluster: cluster.set_rate("n1", -5), "rate = -5: must be 0.001 to"),
        (lambda cluster: cluster.slow_cpu("n1", -1), "delay = -1: must be 0 to"),
        (lambda cluster: cluster.clock_rate("n1", inf), "rate = inf: must be 0.001 to 1000"),
        (lambda cluster: cluster.clock_rate("n1", 0), "rate = 0: must be 0.001 to 1000"),
        (lambda cluster: cluster.set_streams("n1", "bogus"), "mode = 'bogus': must be one of open, refused, stalled"),
    ],
)
def test_a_fault_that_cannot_be_is_refused(fault: Callable[[SimCluster], None], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        fault(SimCluster(nodes=3))


def test_paths_between_zones_are_as_slow_as_they_are_said_to_be() -> None:
    cluster = SimCluster(nodes=4, formed=True, zones={"east": ["n0", "n1"], "west": ["n2", "n3", "n4"]})
    cluster.set_zone_link("east", "west", Link(latency=Constant(0.04)))
    cluster.set_link("n0", "n2", Link(latency=Constant(0.01)))
    added = cluster.add_node()

    def seconds(one: str, other: str) -> float:
        path = cluster.network.path(cluster.node(one).host, cluster.node(other).host)
        return path.latency.draw(Random(1))

    assert added.host.zone == "west"
    assert seconds("n0", "n3") == seconds("n4", "n1") == 0.04
    assert seconds("n0", "n2") == seconds("n2", "n0") == 0.01
    assert seconds("n0", "n1") < 0.002
    assert seconds("n2", "n3") < 0.002


def test_a_goodbye_over_a_bad_path_need_not_be_heard() -> None:
    cluster = SimCluster(nodes=4, formed=True)
    cluster.start_all()
    cluster.set_link("n1", "n2", Link(loss=0.9))

    cluster.leave("n1")

    assert not cluster.moment().leavers
