"""Who has been here for long enough that its word counts in full."""

from __future__ import annotations

from typing import Final

from shoal.config import ClusterConfig
from shoal.state.table import MemberTable

__all__ = ["Standing"]

_PROBATION: Final = 10.0
"""Probe intervals. An invented member that does not answer is suspected again sooner, whatever it refutes; and whoever
has just come back may have been on the other side of a partition, where all on this side were held dead."""


class Standing:
    """Tells established members from those that have only just come, or come back."""

    __slots__ = ("_probation", "_table")

    def __init__(self, config: ClusterConfig, table: MemberTable) -> None:
        self._table = table
        self._probation = _PROBATION * config.probe_interval

    def is_established(self, slot: int | None, now: float) -> bool:
        """Whether the member in a row, if there is one, has been alive here without a break for a while."""
        return slot is not None and self._table.is_steady_at(slot) and now - self._table.since(slot) >= self._probation
