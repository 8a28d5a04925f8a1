"""Local health: how far this node trusts its own accusations (Lifeguard §IV-A)."""

from __future__ import annotations

from collections import deque

from shoal.config import ClusterConfig
from shoal.events import HealthReason

__all__ = ["LocalHealth"]


class LocalHealth:
    """The local health multiplier: 0 is healthy, `local_health_max` the worst."""

    __slots__ = ("_counts", "_points", "_stretches")

    def __init__(self, config: ClusterConfig) -> None:
        #: Why each point of the score is there, the oldest first.
        self._points: deque[HealthReason] = deque(maxlen=config.local_health_max)
        self._stretches = config.lha_probe
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

    def improve(self) -> None:
        """One point down, the oldest, after a probe that was answered."""
        if self._points:
            self._points.popleft()
