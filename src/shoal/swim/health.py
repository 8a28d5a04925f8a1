"""Local health: how far this node trusts its own accusations (Lifeguard §IV-A)."""

from __future__ import annotations

from collections import deque
from math import inf
from typing import Final

from shoal.config import ClusterConfig
from shoal.events import HealthReason

__all__ = ["LocalHealth"]

_LEAST_LAG: Final = 0.05
"""Seconds. Shorter pauses happen to every process."""


class LocalHealth:
    """The local health multiplier: 0 is healthy, `local_health_max` the worst."""

    __slots__ = ("_counts", "_lag_counts_from", "_least_lag", "_points", "_probe_interval", "_stretches")

    def __init__(self, config: ClusterConfig) -> None:
        #: Why each point of the score is there, the oldest first.
        self._points: deque[HealthReason] = deque(maxlen=config.local_health_max)
        self._stretches = config.lha_probe
        self._least_lag = max(_LEAST_LAG, config.probe_timeout / 2)
        self._probe_interval = config.probe_interval
        self._lag_counts_from = -inf
        self._counts = dict.fromkeys(HealthReason, 0)

    @property
    def score(self) -> int:
        """The sum of the points."""
        return len(self._points)

    @property
    def points(self) -> tuple[HealthReason, ...]:
        """What the score is made of now, the oldest first."""
        return tuple(self._points)

    @property
    def multiplier(self) -> int:
        """What probe interval and timeout are multiplied with."""
        return len(self._points) + 1 if self._stretches else 1

    @property
    def reasons(self) -> dict[HealthReason, int]:
        """How often each reason raised the score since the start."""
        return dict(self._counts)

    def worsen(self, reason: HealthReason) -> None:
        """One point up; at the ceiling the oldest point gives way."""
        self._counts[reason] += 1
        self._points.append(reason)

    def reset(self) -> None:
        """Back to healthy."""
        self._points.clear()

    def note_lag(self, seconds: float, reason: HealthReason, now: float) -> None:
        """This process could not act for so long.

        From half a probe timeout on that costs a point, but not more than one in a probe interval: a pause is seen from
        many sides.
        """
        if seconds >= self._least_lag and now >= self._lag_counts_from:
            self._lag_counts_from = now + self._probe_interval
            self.worsen(reason)

    def improve(self) -> None:
        """One point down, the oldest, after a probe that was answered."""
        if self._points:
            self._points.popleft()
