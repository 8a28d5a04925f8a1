"""A process is killed, or nothing happens: who is declared dead, how soon the first knows, and how soon all do."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

from shoal.events import MemberFailed, MemberSuspected
from shoal.sim.cluster import SimCluster
from shoal.sim.network import Link
from shoal.study.configurations import configuration, ticks
from shoal.study.processes import tick_gossip

__all__ = ["KillCell", "KillOutcome", "QuietCell", "QuietOutcome", "run_kill", "run_quiet"]

_STEP: Final = 0.05
_AFTER: Final = 5.0
"""Seconds of watching after everybody knows: false deaths may follow."""


@dataclass(frozen=True, slots=True)
class KillCell:
    """One kill in a cluster that has been quiet for a while."""

    nodes: int = 100
    loss: float = 0.01
    seed: int = 1
    settle: float = 20.0
    """Seconds before the kill; a random part of a second comes on top."""
    at_most: float = 120.0
    """Seconds to wait for the verdict of all."""


@dataclass(frozen=True, slots=True)
class KillOutcome:
    """Times in seconds from the kill."""

    first_suspected: float | None
    first: float | None
    """When the first member declared it dead; None: nobody did."""
    all_know: float | None
    """When the last one did; None: not all did."""
    false_deaths: int
    """Failure events about others."""
    messages_per_node_s: float
    """Datagrams sent, from the kill until a little after all know."""
    bytes_per_node_s: float


def run_kill(name: str, cell: KillCell) -> KillOutcome:
    """Kill one member at a random moment."""
    cluster = _quiet_cluster(name, cell.nodes, cell.loss, f"kill/{cell.seed}")
    random = Random(f"victim/{cell.seed}")
    cluster.run(cell.settle + random.random())
    victim = random.choice(sorted(cluster.nodes))
    start, before = cluster.now, _load(cluster)
    cluster.crash(victim)
    cluster.run_until(
        lambda: len(cluster.observed(MemberFailed, about=victim)) >= cell.nodes - 1, cell.at_most, every=_STEP
    )
    cluster.run(_AFTER)
    after, lasted = _load(cluster), cluster.now - start
    suspected = [seen.time - start for seen in cluster.observed(MemberSuspected, about=victim, since=start)]
    failed = {seen.observer: seen.time - start for seen in cluster.observed(MemberFailed, about=victim, since=start)}
    others = [seen for seen in cluster.observed(MemberFailed) if seen.event.member.name != victim]
    return KillOutcome(
        first_suspected=min(suspected, default=None),
        first=min(failed.values(), default=None),
        all_know=max(failed.values()) if len(failed) == cell.nodes - 1 else None,
        false_deaths=len(others),
        messages_per_node_s=(after[0] - before[0]) / cell.nodes / lasted,
        bytes_per_node_s=(after[1] - before[1]) / cell.nodes / lasted,
    )


@dataclass(frozen=True, slots=True)
class QuietCell:
    """Nothing happens but loss."""

    nodes: int = 100
    loss: float = 0.01
    seconds: float = 3600.0
    seed: int = 1
    settle: float = 20.0


@dataclass(frozen=True, slots=True)
class QuietOutcome:
    """What was seen although nothing happened; numbers over all members."""

    false_suspicions: int
    """Suspicion events at any member."""
    false_deaths: int
    """Failure events at any member."""
    probes: int
    probes_failed: int
    messages_per_node_s: float
    bytes_per_node_s: float


def run_quiet(name: str, cell: QuietCell) -> QuietOutcome:
    """Let the cluster be for a while."""
    cluster = _quiet_cluster(name, cell.nodes, cell.loss, f"quiet/{cell.seed}")
    cluster.run(cell.settle)
    start, before, probes, failed = cluster.now, _load(cluster), *_probes(cluster)
    cluster.run(cell.seconds)
    after, probes_after, failed_after = _load(cluster), *_probes(cluster)
    return QuietOutcome(
        false_suspicions=len(cluster.observed(MemberSuspected, since=start)),
        false_deaths=len(cluster.observed(MemberFailed, since=start)),
        probes=probes_after - probes,
        probes_failed=failed_after - failed,
        messages_per_node_s=(after[0] - before[0]) / cell.nodes / cell.seconds,
        bytes_per_node_s=(after[1] - before[1]) / cell.nodes / cell.seconds,
    )


def _quiet_cluster(name: str, nodes: int, loss: float, seed: str) -> SimCluster:
    cluster = SimCluster(nodes, seed, configuration(name), link=Link(loss=loss), formed=True, check_every=None)
    cluster.start_all()
    if ticks(name):
        for node in cluster.nodes.values():
            tick_gossip(node, seed)
    return cluster


def _load(cluster: SimCluster) -> tuple[int, int]:
    """Datagrams and bytes that all have sent so far."""
    traffic = [node.host.traffic for node in cluster.nodes.values()]
    return sum(one.datagrams_out for one in traffic), sum(one.bytes_out + one.stream_bytes_out for one in traffic)


def _probes(cluster: SimCluster) -> tuple[int, int]:
    """Probes that all have begun, and those that failed."""
    stats = [node.core.stats for node in cluster.nodes.values()]
    return sum(one.probes for one in stats), sum(one.probes_failed for one in stats)
