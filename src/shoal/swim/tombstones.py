"""The dead and the left are remembered for a while, so that old news cannot bring them back."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import Final

from shoal.swim.context import Context
from shoal.swim.damping import Damping
from shoal.swim.timers import Timer
from shoal.types import Address, MemberState, NodeId, Note

__all__ = ["Tombstones"]

_SWEEPS_PER_LIFE: Final = 16
_MAX_LOST: Final = 1024


class Tombstones:
    """Which rows of the table are tombstones and since when; bounded in time and in number.

    The bound on number protects against a forger that lets members come and go; the oldest go first, because by then
    the news of them has long spread.
    """

    __slots__ = (
        "_config", "_damping", "_due", "_earliest", "_lost", "_since", "_table", "_timer", "_timers", "_verdicts",
    )  # fmt: skip

    def __init__(self, context: Context, damping: Damping) -> None:
        self._damping = damping
        self._config = context.config
        self._table = context.table
        self._timers = context.timers
        self._verdicts = context.verdicts
        self._since: dict[NodeId, float] = {}
        self._lost: dict[Address, None] = {}
        self._timer: Timer | None = None
        #: When the next sweep is due, and before when it must not be.
        self._due = inf
        self._earliest = 0.0

    def __len__(self) -> int:
        return len(self._since)

    def __iter__(self) -> Iterator[NodeId]:
        return iter(self._since)

    def take_stock(self, note: Note) -> None:
        """Note what it keeps."""
        note("tombstones", len(self._since), min(self._config.max_tombstones, self._gone))
        note("addresses of the lost", len(self._lost), _MAX_LOST)

    def add(self, id: NodeId, since: float) -> None:
        """The row of `id` became a tombstone."""
        self._since.pop(id, None)
        self._since[id] = since
        if len(self._since) > self._config.max_tombstones:
            self._forget(next(iter(self._since)))
        self._arm(since + self._config.tombstone_life)

    def discard(self, id: NodeId) -> None:
        """The member came back, or its row goes for another reason."""
        self._since.pop(id, None)

    def lost(self) -> list[Address]:
        """Where members were that are forgotten, said no goodbye, and that nobody has taken the place of; bounded."""
        for address in [address for address in self._lost if self._table.slot_at(address) is not None]:
            del self._lost[address]
        return list(self._lost)

    def is_over(self, since: float, now: float) -> bool:
        """Whether a tombstone of that time has had its life."""
        return now - since >= self._config.tombstone_life

    @property
    def _gone(self) -> int:
        return self._table.count(MemberState.DEAD) + self._table.count(MemberState.LEFT)

    def _arm(self, deadline: float) -> None:
        """Sweep at `deadline`, unless a sweep comes before."""
        due = max(deadline, self._earliest)
        if due < self._due:
            if self._timer is not None:
                self._timer.cancel()
            self._due = due
            self._timer = self._timers.at(due, self._sweep)

    def _sweep(self, now: float) -> None:
        self._due = inf
        # A sweep reads them all, so there are at most so many in a life; each tombstone lives that much longer.
        self._earliest = now + self._config.tombstone_life / _SWEEPS_PER_LIFE
        for id in [id for id, since in self._since.items() if self.is_over(since, now)]:
            self._forget(id)
        if self._since:
            self._arm(min(self._since.values()) + self._config.tombstone_life)

    def _forget(self, id: NodeId) -> None:
        del self._since[id]
        slot = self._table.slot_of(id)
        assert slot is not None, "a tombstone without a row"
        if self._table.state(slot) is MemberState.DEAD:
            self._lost[self._table.address(slot)] = None
            if len(self._lost) > _MAX_LOST:
                del self._lost[next(iter(self._lost))]
        self._damping.forget(id)
        self._verdicts.forget(self._table.name(slot))
        self._table.remove(slot)
