import pytest

from shoal.config import ClusterConfig
from shoal.events import MemberFailed, MemberJoined, MemberSuspected
from shoal.sim.cluster import SimCluster
from shoal.sim.node import SimulationError
from shoal.types import MemberState, NodeId


def formed(nodes: int = 5, seed: int = 1, config: ClusterConfig | None = None) -> SimCluster:
    """A cluster in which all know each other, after some calm."""
    cluster = SimCluster(nodes, seed, config)
    cluster.start_all()
    assert cluster.run_until(cluster.converged, at_most=20)
    cluster.run(5)
    return cluster


def failed(cluster: SimCluster, about: str) -> set[str]:
    return {seen.observer for seen in cluster.observed(MemberFailed, about=about)}


# Life


def test_a_crashed_node_is_failed_on_all_others() -> None:
    cluster = formed()

    cluster.crash("n2")
    cluster.run(40)

    assert failed(cluster, "n2") == {"n0", "n1", "n3", "n4"}
    assert cluster.converged()


def test_a_node_restarts_under_its_name_with_a_higher_id() -> None:
    cluster = formed()
    before = cluster.node("n2").id

    cluster.restart("n2")

    assert cluster.node("n2").id > before
    assert cluster.node("n2").run == 2
    assert cluster.run_until(cluster.converged, at_most=30)
    assert cluster.node("n0").view()["n2"].id == cluster.node("n2").id


def test_a_restart_at_the_same_instant_has_a_higher_id_too() -> None:
    cluster = SimCluster(1)
    node = cluster.node("n0")
    ids: list[NodeId] = []
    for _ in range(10):
        cluster.restart("n0")
        ids.append(node.id)

    assert ids == sorted(set(ids))


def test_a_node_whose_clock_was_set_back_starts_with_a_lower_id_and_ends_with_a_higher_one() -> None:
    cluster = formed()
    before = cluster.node("n2").id

    cluster.restart("n2", clock_step=-3600)
    assert cluster.node("n2").id < before
    assert cluster.run_until(cluster.converged, at_most=30)
    assert cluster.node("n2").id > before


def test_a_leaver_ends_when_its_goodbye_has_spread_and_is_not_failed() -> None:
    cluster = formed()

    cluster.leave("n2")
    cluster.run(30)

    assert not cluster.node("n2").is_up
    assert cluster.node("n0").view()["n2"].state is MemberState.LEFT
    assert not failed(cluster, "n2")


def test_a_process_that_died_refuses_streams_and_a_machine_that_died_lets_them_hang() -> None:
    cluster = formed()

    cluster.crash("n1")
    assert not cluster.node("n1").host.is_off
    cluster.crash("n2", silent=True)
    assert cluster.node("n2").host.is_off
    cluster.start("n2")
    assert not cluster.node("n2").host.is_off


def test_a_process_that_dies_takes_its_streams_with_it() -> None:
    cluster = formed()
    cluster.partition(["n2"], ["n0", "n1", "n3", "n4"])
    cluster.restart("n2")
    last = cluster.node("n2").id
    cluster.run(1)
    assert cluster.node("n2").exchanges == 1

    cluster.crash("n2")
    cluster.heal()
    cluster.run(40)

    assert all(seen.event.member.id != last for seen in cluster.observed(MemberJoined, about="n2", since=1.0))


def test_tags_and_messages_reach_the_other_side() -> None:
    cluster = formed(3)

    cluster.node("n0").set_tags({"role": "worker"})
    cluster.node("n0").broadcast(b"to all")
    cluster.node("n0").send(cluster.node("n2").id, b"to one")
    cluster.run(5)

    assert cluster.node("n2").view()["n0"].tags == {"role": "worker"}
    received = [repr(seen.event) for seen in cluster.observations if "b'to " in repr(seen.event)]
    assert len(received) == 3


# Freezing


def test_a_frozen_node_sends_nothing_and_is_failed_when_it_stays_so() -> None:
    cluster = formed()
    sent = cluster.traffic("n2").datagrams_out

    cluster.freeze("n2")
    cluster.run(40)

    assert cluster.traffic("n2").datagrams_out == sent
    assert failed(cluster, "n2") == {"n0", "n1", "n3", "n4"}


def test_a_thawed_node_handles_what_waited_and_comes_back() -> None:
    cluster = formed()
    cluster.freeze("n2")
    cluster.run(40)

    cluster.thaw("n2")

    assert cluster.run_until(cluster.converged, at_most=30)
    joined = cluster.observed(MemberJoined, observer="n0", about="n2")
    assert len(joined) == 2


def test_a_frozen_node_loses_what_does_not_fit_into_its_inbox() -> None:
    cluster = formed()
    cluster.node("n2").inbox_limit = 3

    cluster.freeze("n2")
    cluster.run(40)

    assert cluster.node("n2").overflowed > 0


def test_a_short_freeze_is_survived() -> None:
    cluster = formed()

    cluster.freeze("n2")
    cluster.run(2)
    cluster.thaw("n2")
    cluster.run(40)

    assert not failed(cluster, "n2")
    assert cluster.converged()


# Blocked input and output


def test_a_blocked_node_neither_sends_nor_handles_anything_while_its_timers_go_on() -> None:
    cluster = formed()
    node = cluster.node("n2")
    sent, handled, probes = cluster.traffic("n2").datagrams_out, node.core.stats.datagrams_in, node.core.stats.probes

    cluster.block_io("n2")
    cluster.run(10)

    assert cluster.traffic("n2").datagrams_out == sent
    assert node.core.stats.datagrams_in == handled
    assert node.core.stats.probes > probes


def test_a_blocked_node_that_goes_on_lets_out_what_waited() -> None:
    cluster = formed()
    sent = cluster.traffic("n2").datagrams_out
    cluster.block_io("n2")
    cluster.run(3)

    cluster.unblock_io("n2")

    assert cluster.traffic("n2").datagrams_out > sent
    assert cluster.run_until(cluster.converged, at_most=60)


@pytest.mark.parametrize(("patience", "accuses"), [(0.0, True), (15.0, True), (60.0, False)])
def test_a_blocked_node_accuses_others_once_it_has_heard_nobody_for_too_long(patience: float, accuses: bool) -> None:
    cluster = formed(config=ClusterConfig.lan(withhold_verdicts=patience))

    cluster.block_io("n2")
    cluster.run(50)  # Local health stretches a probe up to nine times.

    assert bool(cluster.observed(MemberSuspected, observer="n2")) is accuses


# Slow processors and drifting clocks


def test_a_slow_node_answers_late_and_one_packet_at_a_time() -> None:
    cluster = formed(3)
    cluster.slow_cpu("n2", 0.1)
    node = cluster.node("n2")
    before, at = node.core.stats.datagrams_in, cluster.now

    for _ in range(5):
        cluster.node("n0").send(node.id, b"work")
    cluster.run_until(lambda: node.core.stats.datagrams_in >= before + 5, at_most=10)

    assert cluster.now - at >= 0.5


def test_a_slow_node_recovers_when_it_is_fast_again() -> None:
    cluster = formed()
    cluster.slow_cpu("n2", 1.5)
    cluster.run(20)

    cluster.slow_cpu("n2", 0.0)

    assert cluster.run_until(cluster.converged, at_most=60)


def test_a_fast_clock_probes_more_often() -> None:
    cluster = formed(config=ClusterConfig.lan(mutual_probes=False))
    before = {name: node.core.stats.probes for name, node in cluster.nodes.items()}
    cluster.clock_rate("n1", 2.0)

    cluster.run(60)

    made = {name: node.core.stats.probes - before[name] for name, node in cluster.nodes.items()}
    assert made["n1"] == pytest.approx(2 * made["n0"], rel=0.1)


def test_a_clock_that_changes_its_rate_never_runs_backwards() -> None:
    cluster = formed(3)

    for rate in (0.5, 3.0, 1.0, 0.1, 1.0):
        cluster.clock_rate("n1", rate)
        cluster.run(10)

    assert cluster.run_until(cluster.converged, at_most=60)


# What makes no sense


def test_what_makes_no_sense_is_refused_with_a_reason() -> None:
    cluster = formed(2)
    with pytest.raises(SimulationError, match="n1 runs already"):
        cluster.start("n1")
    with pytest.raises(SimulationError, match=r"there is no node 'n7'; there are n0, n1"):
        cluster.crash("n7")
    cluster.freeze("n1")
    with pytest.raises(SimulationError, match="n1 is frozen: thaw it first"):
        cluster.leave("n1")
    cluster.crash("n1")
    with pytest.raises(SimulationError, match="n1 is down: start it first"):
        cluster.freeze("n1")
    with pytest.raises(SimulationError, match="never ran"):
        _ = cluster.add_node().id


def test_repair_ends_every_fault() -> None:
    cluster = formed()
    cluster.freeze("n0")
    cluster.block_io("n1")
    cluster.slow_cpu("n2", 1.0)
    cluster.clock_rate("n3", 0.5)
    cluster.set_node_loss("n4", ingress=0.9, egress=0.9)
    cluster.set_rate("n4", 100.0)
    cluster.set_loss(0.5)
    cluster.partition(["n0"], ["n1", "n2"])
    cluster.run(20)

    cluster.repair()

    assert all(node.is_well for node in cluster.nodes.values())
    assert cluster.run_until(cluster.converged, at_most=90)
