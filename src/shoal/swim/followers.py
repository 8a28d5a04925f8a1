"""Telling those who follow this node that a flood of joins has come to rest, so that they need not find out.

Whoever follows asks more and more seldom as a flood goes on, and so would learn of the last joiners late. Here the one
that is followed waits until nobody came in for a moment, and tells each follower that lacks something how far it is.
"""

from __future__ import annotations

from math import inf
from typing import Final

from shoal.swim.context import Context
from shoal.swim.join_flood import LONGEST_PACE, JoinFlood
from shoal.swim.membership import Membership
from shoal.swim.outbox import Outbox
from shoal.swim.timers import Timer
from shoal.types import NodeId, Note
from shoal.wire.messages import Gossip

__all__ = ["Followers"]

_STEP: Final = 0.5
"""Seconds between two looks."""
_LULL: Final = 1.0
"""Seconds without a new member, after which a flood has come to rest, perhaps for a moment only: those who are followed
have told each other of the last ones by then."""
_REST: Final = 2.0
"""Seconds after which it is over: in a flood, of 5 joins a second and more, one of 20,000 pauses lasts as long."""
_WATCHED: Final = 2 * LONGEST_PACE + 2.0
"""Seconds after the last join of a flood for which others may still hold that it goes on, and tell nobody of joins."""
_AT_ONCE: Final = 16
"""So many are told; another whenever one of them has asked. All would ask at once, and thousands that share a machine
would keep each other waiting until they give up."""
_PATIENCE: Final = 1.0
"""Seconds after which those who have not asked are waited for no longer."""
_MOST: Final = 8192
"""Followers that are remembered; others ask at their pace."""


class Followers:
    """Remembers who was handed which position, and tells them when there is more."""

    def __init__(self, context: Context, membership: Membership, flood: JoinFlood, outbox: Outbox) -> None:
        self._table = context.table
        self._timers = context.timers
        self._membership = membership
        self._flood = flood
        self._outbox = outbox
        #: Up to which position each has what came in here.
        self._positions: dict[NodeId, int] = {}
        self._timer: Timer | None = None
        self._watched_until = -inf
        #: Where the arrivals stood when they were looked at last, since when they do, and how often that was told.
        self._seen = 0
        self._rests_since = inf
        self._tellings = 0
        #: Those who are still to be told of the lull, and those who were and have not asked yet.
        self._behind: list[NodeId] = []
        self._told: set[NodeId] = set()
        self._patience: Timer | None = None
        self._not_before = -inf
        flood.listeners.append(self._expect_lull)

    def take_stock(self, note: Note) -> None:
        """Note what it keeps."""
        note("followers", len(self._positions), _MOST)
        note("followers to be told", len(self._behind), _MOST)
        note("followers that were told", len(self._told), _AT_ONCE)

    def note(self, id: NodeId, position: int, now: float) -> None:
        """A follower was handed what came in up to a position."""
        self._positions.pop(id, None)
        self._positions[id] = position
        if len(self._positions) > _MOST:
            del self._positions[next(iter(self._positions))]
        if id in self._told:
            self._told.discard(id)
            self._tell_next(now)

    def forget(self) -> None:
        """No position that was handed out counts any longer."""
        self._positions.clear()
        self._behind.clear()
        self._told.clear()

    def _expect_lull(self, now: float) -> None:
        self._watched_until = now + _WATCHED
        if self._timer is None and self._positions:
            self._timer = self._timers.at(now + _STEP, self._look)

    def _look(self, now: float) -> None:
        self._timer = None
        if not self._positions or self._membership.own.is_leaving:
            return
        position = self._table.arrivals.position
        if position != self._seen:
            self._seen, self._rests_since, self._tellings = position, now, 0
        self._tell_of_lull(now - self._rests_since, now)
        if now < self._watched_until:
            self._timer = self._timers.at(now + _STEP, self._look)

    def _tell_of_lull(self, rest: float, now: float) -> None:
        """Once when nobody came for a moment, and once more when that lasts, for those who have not asked since.

        A flood that has many lulls must not make them ask more often than they would by themselves.
        """
        if (rest >= _REST and self._tellings < 2) or (rest >= _LULL and not self._tellings and now >= self._not_before):
            self._tellings = 2 if rest >= _REST else 1
            self._not_before = now + self._flood.pace(now, is_followed=False)
            behind = [id for id, known in self._positions.items() if known < self._seen]
            self._behind = behind[::-1]  # The last one is next: who asked longest ago.
            self._told.clear()
            self._tell_next(now)

    def _tell_next(self, now: float) -> None:
        while self._behind and len(self._told) < _AT_ONCE:
            self._tell(self._behind.pop())
        if self._behind and self._patience is None:
            self._patience = self._timers.at(now + _PATIENCE, self._wait_no_longer)

    def _wait_no_longer(self, now: float) -> None:
        self._patience = None
        self._told.clear()
        self._tell_next(now)

    def _tell(self, id: NodeId) -> None:
        slot, position = self._table.slot_of(id), self._table.arrivals.position
        if slot is not None and self._table.is_present_at(slot) and self._positions.get(id, position) < position:
            self._told.add(id)
            self._outbox.post(Gossip(position, self._table.digest, self._membership.id), self._table.address(slot))
