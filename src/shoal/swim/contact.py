"""Whether this node hears from anybody.

A node that hears nothing knows nothing about the others: its link or its process is far more likely to be at fault
than all of them. It passes no verdict then, for `withhold_verdicts` seconds. A member that others do hear has time to
say so, and a node whose input and output are blocked, the anomaly of the Lifeguard experiments (§V), accuses nobody.
"""

from __future__ import annotations

from math import inf

from shoal.config import ClusterConfig
from shoal.state.table import MemberTable

__all__ = ["Contact"]


class Contact:
    """When this node last heard a member."""

    __slots__ = ("_config", "_last_heard", "_table", "usual_silence")

    def __init__(self, config: ClusterConfig, table: MemberTable) -> None:
        self._config = config
        self._table = table
        self._last_heard = -inf
        self.usual_silence = config.probe_interval * (2 if config.has_turns else 1)
        """Seconds in which a node of a quiet cluster hears somebody, nearly always."""

    def note(self, now: float) -> None:
        """A message of another member arrived, or the machine of one answered."""
        self._last_heard = now

    def is_proved(self, since: float) -> bool:
        """Whether anybody was heard after `since`: our own link and process work."""
        return self._last_heard > since

    def is_lost(self, since: float, now: float) -> bool:
        """Whether nobody was heard after `since`, while there was somebody to hear besides a suspect."""
        return (
            self._last_heard <= since
            and self._table.present_count > 2
            and now - self._last_heard <= self._config.withhold_verdicts
        )
