"""The results of many seeds as a few numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from shoal.sim.measures import Verdicts
from shoal.sim.runner import RunResult

__all__ = ["Quantiles", "Summary", "quantile"]


def quantile(ascending: Sequence[float], share: float) -> float:
    """The smallest of the values that at least this share does not exceed."""
    return ascending[max(0, math.ceil(share * len(ascending)) - 1)]


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Of a distribution: median, 99 %, 99.9 % and the largest; nearest rank, so each is a value that was seen."""

    p50: float
    p99: float
    p999: float
    max: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Self | None:
        """None when there are no values."""
        ascending = sorted(values)
        if not ascending:
            return None
        p50, p99, p999, most = (round(quantile(ascending, share), 6) for share in (0.5, 0.99, 0.999, 1.0))
        return cls(p50, p99, p999, most)


@dataclass(frozen=True, slots=True)
class Summary(Verdicts):
    """All seeds pooled. Times are virtual seconds; counts are sums over the seeds, each observer's event counted."""

    runs: int = 0
    """How many seeds."""
    outages: int = 0
    """How many runs crashed or stalled."""
    detected: int = 0
    """How many of them at least one observer saw fail. Crashed processes that come back at once rarely are."""
    known_by_all: int = 0
    """How many of them every observer saw fail that was well and could."""
    first_detection_s: Quantiles | None = None
    """From the beginning of an outage until the first observer saw it; over those detected."""
    all_know_s: Quantiles | None = None
    """From the beginning until the last observer did; over those known by all."""
    agreement_s: Quantiles | None = None
    """How long the scenario's `agree` steps took until all views were equal and right."""
    messages_per_node_s: float = 0.0
    """Datagrams, compound ones counted once, and stream exchanges, that one node sends each second."""
    bytes_per_node_s: float = 0.0
    """The same in bytes of payload."""
    node_hours: float = 0.0
    """Virtual time that processes ran, summed."""
    violations: int = 0
    """Broken invariants, expectations that did not come true, errors of the core."""

    @classmethod
    def of(cls, results: Sequence[RunResult]) -> Self:
        """Pool them."""
        outages = [outage for result in results for outage in result.outages]
        node_seconds = sum(result.load.node_seconds for result in results)

        def per_node_second(count: Callable[[RunResult], int]) -> float:
            return round(sum(map(count, results)) / node_seconds, 3) if node_seconds else 0.0

        verdicts = {
            name: sum(getattr(result.verdicts, name) for result in results) for name in Verdicts.__dataclass_fields__
        }
        return cls(
            **verdicts,
            runs=len(results),
            outages=len(outages),
            detected=sum(outage.first is not None for outage in outages),
            known_by_all=sum(outage.all_know is not None for outage in outages),
            first_detection_s=Quantiles.of(outage.first for outage in outages if outage.first is not None),
            all_know_s=Quantiles.of(outage.all_know for outage in outages if outage.all_know is not None),
            agreement_s=Quantiles.of(time for result in results for time in result.agreements),
            messages_per_node_s=per_node_second(lambda result: result.load.messages),
            bytes_per_node_s=per_node_second(lambda result: result.load.bytes),
            node_hours=round(node_seconds / 3600, 6),
            violations=sum(len(result.violations) for result in results),
        )
