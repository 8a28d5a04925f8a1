"""Members that are dead to some and not to others: they are told what is held against them, so that they can refute."""

from __future__ import annotations

from typing import Final

from shoal.config import ClusterConfig
from shoal.swim.allowance import Allowance
from shoal.types import NodeId, Note

__all__ = ["Disputes"]

_MOST: Final = 64
"""Disputes that are told at once, and in a probe interval; each costs a ping. The next comparison of views brings the
rest: many peers hold the same members dead, and one who tells them is enough."""


class Disputes:
    """Who is to be pinged, and with which death; bounded."""

    __slots__ = ("_allowance", "waiting")

    def __init__(self, config: ClusterConfig) -> None:
        self._allowance = Allowance(_MOST / config.probe_interval, _MOST)
        self.waiting: list[tuple[NodeId, bytes | None]] = []
        """Each with the update that claims its death, or None: it is this node itself that holds it dead."""

    def take_stock(self, note: Note) -> None:
        """Note what it keeps."""
        note("disputes", len(self.waiting), _MOST)

    def add(self, id: NodeId, now: float, claim: bytes | None = None) -> None:
        """Tell a member, unless too many were told a moment ago."""
        if self._allowance.left(now) >= 1:
            self._allowance.take(1)
            self.waiting.append((id, claim))
