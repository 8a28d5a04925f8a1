"""One live id per name, and one per address: the newer run has them."""

from __future__ import annotations

from shoal.swim.context import Context
from shoal.swim.deaths import Deaths
from shoal.swim.own_record import OwnRecord
from shoal.swim.stats import Drop
from shoal.types import Address, Member, NodeId

__all__ = ["Claims"]


class Claims:
    """Decides who may take a name or an address, and ends whoever had it."""

    __slots__ = ("_config", "_deaths", "_own", "_stats", "_table", "_trust")

    def __init__(self, context: Context, own: OwnRecord, deaths: Deaths) -> None:
        self._config = context.config
        self._table = context.table
        self._stats = context.stats
        self._trust = context.trust
        self._own = own
        self._deaths = deaths

    def may_take_name(self, name: str, id: NodeId) -> bool:
        """Whether a run that is not in the table gets a row: no newer run holds its name, or else there is room."""
        slot = self._table.slot_named(name)
        if slot is not None and self._table.id(slot) > id:
            self._stats.drop(Drop.OLD_RUN)
            return False
        if slot is None and len(self._table) >= self._config.max_members:
            self._stats.drop(Drop.TABLE_FULL)
            return False
        return True

    def clear_name(self, name: str, now: float) -> Member | None:
        """End and forget an older run of the same name; returns what it was."""
        slot = self._table.slot_named(name)
        if slot is None:
            return None
        older = self._table.member(slot)
        self._deaths.replace(slot, now)
        self._deaths.tombstones.discard(older.id)
        self._table.remove(slot)
        return older

    def may_take_address(self, address: Address, id: NodeId, name: str) -> bool:
        """Whether neither a newer run nor this node is at the address, nor a member that nobody may end in this way."""
        slot = self._table.slot_at(address)
        if slot is None or (holder := self._table.id(slot)) == id:
            return True
        if holder == self._own.id or holder > id:
            self._stats.drop(Drop.OLD_RUN)
            return False
        if not self._trust.is_credulous and self._table.name(slot) != name:
            self._stats.drop(Drop.TAKEN_ADDRESS)
            return False
        return True

    def clear_address(self, address: Address, id: NodeId, now: float) -> None:
        """End an older run at the same address."""
        slot = self._table.slot_at(address)
        if slot is not None and self._table.id(slot) != id:
            self._deaths.replace(slot, now)
