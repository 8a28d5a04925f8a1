"""What happens when the word of a member is not its own."""

from __future__ import annotations

from typing import Final

from shoal.events import IdentityRefused, Mistrust
from shoal.swim.context import Context
from shoal.types import NodeId, NodeInfo, Note

__all__ = ["Vouching"]

_MAX_TOLD: Final = 1024
"""Refusals that are remembered, so that each is told once; the oldest are forgotten first."""


class Vouching:
    """Asks the strategy, with what the table holds of a name, and reports whom it refuses."""

    __slots__ = ("_stats", "_table", "_tell", "_told", "_trust")

    def __init__(self, context: Context) -> None:
        self._table = context.table
        self._stats = context.stats
        self._tell = context.events.append
        self._trust = context.trust
        self._told: dict[tuple[NodeId, Mistrust], None] = {}

    def take_stock(self, note: Note) -> None:
        """Note what it keeps."""
        note("told refusals", len(self._told), _MAX_TOLD)

    def is_own_word(self, info: NodeInfo, incarnation: int) -> bool:
        """Whether a record may be taken in; if not, that is counted, and told once."""
        if self._trust.is_credulous:
            return True
        slot = self._table.slot_named(info.name)
        known = None if slot is None else self._table.info(slot)
        mistrust = self._trust.check(info, incarnation, known)
        if mistrust is None:
            return True
        self._stats.drop(mistrust)
        self.report(info, mistrust)
        return False

    def report(self, info: NodeInfo, mistrust: Mistrust) -> None:
        """Tell the user of a refusal, once for each run and reason; this node itself may be the refused."""
        refusal = (info.id, mistrust)
        if refusal in self._told:
            return
        self._told[refusal] = None
        if len(self._told) > _MAX_TOLD:
            del self._told[next(iter(self._told))]
        self._tell(IdentityRefused(info.name, info.id, info.address, mistrust))
