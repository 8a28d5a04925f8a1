"""One large cluster: how far and how fast news goes, how soon a kill is known, and what both cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, TypeVar

from shoal.events import Event, MemberFailed, MemberSuspected, MemberUpdated
from shoal.sim.cluster import SimCluster
from shoal.sim.network import Link
from shoal.sim.node import Observation
from shoal.sim.summary import quantile
from shoal.study.configurations import configuration

__all__ = ["SHARES", "KillTimes", "ScaleCell", "ScaleOutcome", "run_scale", "spread"]

SHARES: Final = (0.1, 0.5, 0.9, 0.99, 0.999, 1.0)
"""Of the members, that have heard of a change: where the infection curve is read."""

_E = TypeVar("_E", bound=Event)
_STEP: Final = 0.05
_CHANGE_LASTS: Final = 5.0
_KILL_LASTS: Final = 5.0
_AT_MOST: Final = 60.0


@dataclass(frozen=True, slots=True)
class ScaleCell:
    """A cluster that is quiet at first; then members publish tags, then members are killed, one after the other."""

    nodes: int
    loss: float = 0.01
    changes: int = 3
    kills: int = 5
    seed: int = 1
    quiet: float = 10.0
    """Seconds without news, whose load is measured."""


@dataclass(frozen=True, slots=True)
class KillTimes:
    """Seconds from the kill; None where it did not come to that within a minute."""

    first_suspected: float | None
    first: float | None
    """When the first member declared it dead."""
    all_know: float | None
    """When the last one did."""


@dataclass(frozen=True, slots=True)
class ScaleOutcome:
    """What was measured; datagrams and bytes are what one node sends."""

    changes: tuple[tuple[float, ...], ...]
    """For each change, seconds until each of `SHARES` of the members had heard of it."""
    kills: tuple[KillTimes, ...]
    suspicions: tuple[tuple[float, ...], ...]
    """For each kill, seconds from the first suspicion until each of `SHARES` had heard of it."""
    quiet_datagrams_per_s: float
    quiet_bytes_per_s: float
    datagrams_per_change: float
    """On top of the quiet load, until a change has died down."""
    bytes_per_change: float
    datagrams_per_kill: float
    bytes_per_kill: float
    false_deaths: int
    """Failure events about others."""


def spread(delays: Iterable[float], members: int) -> tuple[float, ...]:
    """Seconds until each of `SHARES` of the members had heard; infinite for shares that never did."""
    heard = sorted(delays)
    padded = heard + [float("inf")] * (members - len(heard))
    return tuple(quantile(padded, share) for share in SHARES)


def run_scale(name: str, cell: ScaleCell) -> ScaleOutcome:
    """Play it; everything is drawn from the cell's seed."""
    play = _Play(name, cell)
    quiet = play.quiet()
    changes = [play.change() for _ in range(cell.changes)]
    kills = [play.kill() for _ in range(cell.kills)]
    per_change, per_kill = play.cost(changes, quiet), play.cost(kills, quiet)
    return ScaleOutcome(
        changes=tuple(one.spread for one in changes),
        kills=tuple(one.times for one in kills),
        suspicions=tuple(one.spread for one in kills),
        quiet_datagrams_per_s=quiet.datagrams / quiet.seconds / cell.nodes,
        quiet_bytes_per_s=quiet.bytes / quiet.seconds / cell.nodes,
        datagrams_per_change=per_change[0],
        bytes_per_change=per_change[1],
        datagrams_per_kill=per_kill[0],
        bytes_per_kill=per_kill[1],
        false_deaths=play.false_deaths,
    )


@dataclass(frozen=True, slots=True)
class _Load:
    """What all nodes that were up sent within some time."""

    nodes: int
    seconds: float
    datagrams: int
    bytes: int


@dataclass(frozen=True, slots=True)
class _Wave:
    """What came of one change or kill."""

    load: _Load
    spread: tuple[float, ...]
    times: KillTimes = KillTimes(None, None, None)


class _Play:
    """The cluster, and one experiment on it after the other."""

    def __init__(self, name: str, cell: ScaleCell) -> None:
        seed = f"scale/{cell.seed}"
        self._cell = cell
        self._random = Random(seed)
        self._cluster = SimCluster(
            cell.nodes, seed, configuration(name), link=Link(loss=cell.loss), formed=True, check_every=None
        )
        self._up = list(self._cluster.nodes)
        self.false_deaths = 0
        self._cluster.start_all()
        self._cluster.run(1.0)

    def quiet(self) -> _Load:
        """Let nothing happen."""
        began, before = self._cluster.now, self._sent()
        self._cluster.run(self._cell.quiet)
        return self._load_since(began, before)

    def change(self) -> _Wave:
        """One member publishes tags."""
        began, before = self._begin()
        author = self._random.choice(self._up)
        self._cluster.node(author).set_tags({"time": f"{began:.3f}"})
        self._cluster.run(_CHANGE_LASTS)
        heard = [seen.time - began for seen in self._seen(MemberUpdated) if seen.observer != author]
        return _Wave(self._load_since(began, before), spread(heard, len(self._up) - 1))

    def kill(self) -> _Wave:
        """One member's process dies."""
        began, before = self._begin()
        victim = self._up.pop(self._random.randrange(len(self._up)))
        self._cluster.crash(victim)
        self._cluster.run_until(lambda: self._failures(victim) >= len(self._up), _AT_MOST, every=_STEP)
        self._cluster.run(_KILL_LASTS)
        suspected = [seen.time - began for seen in self._seen(MemberSuspected) if seen.event.member.name == victim]
        failures = self._seen(MemberFailed)
        failed = [seen.time - began for seen in failures if seen.event.member.name == victim]
        self.false_deaths += len(failures) - len(failed)
        first = min(suspected, default=0.0)
        times = KillTimes(
            first_suspected=min(suspected, default=None),
            first=min(failed, default=None),
            all_know=max(failed) if len(failed) >= len(self._up) else None,
        )
        return _Wave(
            self._load_since(began, before), spread([time - first for time in suspected], len(self._up)), times
        )

    def cost(self, waves: Sequence[_Wave], quiet: _Load) -> tuple[float, float]:
        """Datagrams and bytes that one wave costs one node, on top of the quiet load."""
        loads = [wave.load for wave in waves]
        shares = sum(load.nodes for load in loads) or 1
        times = sum(load.nodes * load.seconds for load in loads) / (quiet.nodes * quiet.seconds)
        return (
            (sum(load.datagrams for load in loads) - quiet.datagrams * times) / shares,
            (sum(load.bytes for load in loads) - quiet.bytes * times) / shares,
        )

    def _begin(self) -> tuple[float, tuple[int, int]]:
        """A random moment of the probe interval, and nothing seen yet."""
        self._cluster.run(self._random.random())
        self._cluster.observations.clear()
        return self._cluster.now, self._sent()

    def _seen(self, kind: type[_E]) -> list[Observation[_E]]:
        return self._cluster.observed(kind)

    def _failures(self, victim: str) -> int:
        return len(self._cluster.observed(MemberFailed, about=victim))

    def _sent(self) -> tuple[int, int]:
        traffic = [node.host.traffic for node in self._cluster.nodes.values()]
        return sum(one.datagrams_out for one in traffic), sum(one.bytes_out + one.stream_bytes_out for one in traffic)

    def _load_since(self, began: float, before: tuple[int, int]) -> _Load:
        datagrams, size = self._sent()
        return _Load(len(self._up), self._cluster.now - began, datagrams - before[0], size - before[1])
