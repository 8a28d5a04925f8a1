"""Members that are dead to some and not to others: they are told what is held against them, so that they can refute."""

from __future__ import annotations

from typing import Final

from shoal.types import NodeId

__all__ = ["Disputes"]

_MAX_WAITING: Final = 64
"""Disputes that wait to be told; each costs a ping, and the next comparison of views brings the rest."""


class Disputes:
    """Who is to be pinged, and with which death; bounded."""

    __slots__ = ("waiting",)

    def __init__(self) -> None:
        self.waiting: list[tuple[NodeId, bytes | None]] = []
        """Each with the update that claims its death, or None: it is this node itself that holds it dead."""

    def add(self, id: NodeId, claim: bytes | None = None) -> None:
        """Tell a member, unless too many wait to be told."""
        if len(self.waiting) < _MAX_WAITING:
            self.waiting.append((id, claim))
