"""The experiments of the Lifeguard paper: some agents of a cluster cannot send or receive for a while, in lock-step.

Threshold experiments have one such anomaly and ask how soon it is detected. Interval experiments repeat it, and count
who is declared dead although nothing is wrong with it. All configurations meet the same anomalies: the seed of a cell
decides who suffers and in which phase everybody probes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import Final

from shoal.events import MemberFailed, MemberStalled
from shoal.sim.cluster import SimCluster
from shoal.sim.node import Observation
from shoal.study.configurations import configuration, ticks
from shoal.study.processes import ProcessModel, Stuck, tick_gossip

__all__ = ["AGENTS", "Cell", "IntervalOutcome", "Latency", "ThresholdOutcome", "run_interval", "run_threshold"]

AGENTS: Final = 128
QUIESCE: Final = 15.0
"""Seconds before the first anomaly."""
LENGTH: Final = 120.0
"""Seconds after which no further anomaly begins."""
PACKET_WORK: Final = 0.000_1
"""Seconds in which an agent under anomaly handles one packet; the paper's 128 agents shared a machine."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One experiment, apart from the configuration."""

    concurrent: int
    """How many agents suffer (C)."""
    blocked: float
    """Seconds (D)."""
    normal: float = 0.0
    """Seconds between two blocks (I); 0 for a threshold experiment, which has one block."""
    seed: int = 1
    agents: int = AGENTS
    length: float = LENGTH
    model: ProcessModel = ProcessModel.LOOPS
    packet_work: float = PACKET_WORK


@dataclass(frozen=True, slots=True)
class IntervalOutcome:
    """What an interval experiment counted."""

    false_positives: int
    """Failure events at any agent about an agent outside the anomaly (FP)."""
    at_healthy: int
    """Those at agents outside the anomaly (FP-)."""
    messages: int
    """Datagrams and stream exchanges of all agents."""
    bytes: int
    recovered: float
    """Seconds from the end of the anomalies until all views were complete and equal again; -1: not within a minute."""


@dataclass(frozen=True, slots=True)
class Latency:
    """How soon one agent under anomaly was declared dead, in seconds from the start of the anomaly."""

    first: float
    """By anyone outside the anomaly."""
    full: float | None
    """By all of them; None if some never did."""


@dataclass(frozen=True, slots=True)
class ThresholdOutcome:
    """What a threshold experiment saw."""

    detected: tuple[Latency, ...]
    undetected: int
    """Agents under anomaly that nobody declared dead before the anomaly ended."""


def run_interval(name: str, cell: Cell) -> IntervalOutcome:
    """Repeat block and pause until `cell.length` is over, and see who fails."""
    experiment = _Experiment(name, cell)
    cluster = experiment.cluster
    before = experiment.load()
    start = cluster.now
    while cluster.now - start < cell.length:
        experiment.block()
        cluster.run(cell.normal)
    events = _verdicts(cluster, start)
    false = [seen for seen in events if seen.event.member.name not in experiment.sufferers]
    after = experiment.load()
    ended = cluster.now
    recovered = cluster.run_until(cluster.converged, at_most=60.0, every=0.25)
    return IntervalOutcome(
        false_positives=len(false),
        at_healthy=sum(seen.observer not in experiment.sufferers for seen in false),
        messages=after[0] - before[0],
        bytes=after[1] - before[1],
        recovered=cluster.now - ended if recovered else -1.0,
    )


def run_threshold(name: str, cell: Cell) -> ThresholdOutcome:
    """Block once, and see when everybody outside has declared each of the blocked dead."""
    experiment = _Experiment(name, cell)
    cluster = experiment.cluster
    start = cluster.now
    experiment.block()
    verdicts: dict[str, dict[str, float]] = {name: {} for name in experiment.sufferers}
    for seen in _verdicts(cluster, start):
        name = seen.event.member.name
        if name in verdicts and seen.observer not in verdicts:
            verdicts[name].setdefault(seen.observer, seen.time - start)
    outside = cell.agents - cell.concurrent
    detected = tuple(_latency(times.values(), outside) for times in verdicts.values() if times)
    return ThresholdOutcome(detected, undetected=cell.concurrent - len(detected))


def _verdicts(cluster: SimCluster, since: float) -> list[Observation[MemberFailed | MemberStalled]]:
    """Who was held dead, or told to stand still, in the order of time; either tells users of a fault."""
    failed = cluster.observed(MemberFailed, since=since)
    stalled = cluster.observed(MemberStalled, since=since)
    return sorted([*failed, *stalled], key=lambda seen: seen.time)


def _latency(times: Iterable[float], observers: int) -> Latency:
    seen = sorted(times)
    return Latency(seen[0], seen[-1] if len(seen) == observers else None)


class _Experiment:
    """A quiet cluster, and who will suffer."""

    def __init__(self, name: str, cell: Cell) -> None:
        self._cell = cell
        seed = f"lifeguard/{cell.seed}/{cell.concurrent}"
        self.cluster = SimCluster(cell.agents, seed, configuration(name), formed=True, check_every=None)
        self.cluster.start_all()
        if ticks(name):
            for node in self.cluster.nodes.values():
                tick_gossip(node, seed)
        self.sufferers = frozenset(Random(seed).sample(sorted(self.cluster.nodes), cell.concurrent))
        self._nodes = [self.cluster.node(name) for name in sorted(self.sufferers)]
        self._stuck = [Stuck(node) for node in self._nodes] if cell.model is ProcessModel.LOOPS else []
        self.cluster.run(QUIESCE)
        for node in self._nodes:
            node.cpu_delay = cell.packet_work

    def block(self) -> None:
        """Block all sufferers for `cell.blocked` seconds."""
        cluster, end = self.cluster, self.cluster.now + self._cell.blocked
        is_frozen = self._cell.model is ProcessModel.FROZEN
        for stuck in self._stuck:
            stuck.until = end
        for node in self._nodes:
            (cluster.freeze if is_frozen else cluster.block_io)(node.name)
        # Planned before anything of the block is, so that at its end the doors open first.
        for node in self._nodes:
            cluster.scheduler.at(end, node.thaw if is_frozen else node.unblock_io)
        cluster.run(self._cell.blocked)

    def load(self) -> tuple[int, int]:
        """Messages and bytes that all have sent so far."""
        traffic = [node.host.traffic for node in self.cluster.nodes.values()]
        messages = sum(one.datagrams_out + one.streams_out for one in traffic)
        return messages, sum(one.bytes_out + one.stream_bytes_out for one in traffic)
