"""Who probes a member how often, by the schedule that a configuration has. Times are in probe intervals."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.config import ClusterConfig
from shoal.swim.mutual_schedule import GRACE, STRAY

__all__ = ["Pace"]


@dataclass(frozen=True, slots=True)
class Pace:
    """Of one member."""

    neighbours: int
    """Members that watch it."""
    turn: float
    """From one exchange with one of these to the next."""
    grace: float
    """So much later a neighbour pings when it was the member's turn; it is every second time."""
    stray: float
    """From one probe in shuffled order, which each member makes, to the next."""

    @classmethod
    def of(cls, config: ClusterConfig) -> Pace:
        """By the settings."""
        count = config.neighbour_probes
        if config.has_turns:
            return cls(2 * count, 2.0 * count, GRACE, STRAY)
        return cls(count, count + 1.0, 0.0, count + 1.0)

    def probes(self, loss: float) -> float:
        """How many each member makes in an interval; who waits in vain because a ping was lost makes one more."""
        if not self.grace:
            return 1.0
        return self.neighbours / 2 * (1 + loss) / self.turn + 1 / self.stray
