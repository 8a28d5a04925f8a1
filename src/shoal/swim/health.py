"""Local health: how far this node trusts its own accusations (Lifeguard §IV-A)."""

from __future__ import annotations

from enum import StrEnum

from shoal.config import ClusterConfig

__all__ = ["HealthReason", "LocalHealth"]


class HealthReason(StrEnum):
    """What made the score rise."""

    PROBE_FAILED = "probe_failed"
    NACK_MISSED = "nack_missed"
    """A relay that we asked neither passed on an ack nor said that it had none: our own link may be bad."""
    SUSPECTED = "suspected"
    """Others suspected this node, and it had to refute."""
    OUT_OF_CONTACT = "out_of_contact"
    """A probe failed while nobody at all was heard."""
    STALLED = "stalled"
    """A timer fired so late that this process cannot have been running."""


class LocalHealth:
    """The local health multiplier: 0 is healthy, `local_health_max` the worst."""

    __slots__ = ("_max", "_reasons", "_stretches", "score")

    def __init__(self, config: ClusterConfig) -> None:
        self.score = 0
        self._max = config.local_health_max
        self._stretches = config.lha_probe
        self._reasons = dict.fromkeys(HealthReason, 0)

    @property
    def multiplier(self) -> int:
        """What probe interval and timeout are multiplied with."""
        return self.score + 1 if self._stretches else 1

    @property
    def reasons(self) -> dict[HealthReason, int]:
        """How often each reason raised the score since the start."""
        return dict(self._reasons)

    def worsen(self, reason: HealthReason) -> None:
        """One point up."""
        self._reasons[reason] += 1
        self.score = min(self.score + 1, self._max)

    def improve(self) -> None:
        """One point down, after a probe that was answered."""
        self.score = max(self.score - 1, 0)
