"""Learning of joins in bulk, while they come too fast to be told one by one.

Each member follows another: the one that handed it its view when it joined, or else one of the eldest. At its pace it
asks that one who came in since it asked last, and brings the joiners that it heard of itself. So joins go from whoever
admitted them up to the eldest, and from there down to all, a few hundred at a time. Nobody follows a younger member
unless it joined through that, so nobody follows in a circle.

It only makes floods cheap. What it misses, because somebody failed in the middle, digests show and comparisons bring.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from math import inf
from typing import Final, Protocol

from shoal.swim.agreement import Agreement
from shoal.swim.context import Context
from shoal.swim.join_flood import LONGEST_PACE, JoinFlood
from shoal.swim.membership import Membership
from shoal.swim.timers import Timer
from shoal.types import Address, NodeId, Note
from shoal.wire.messages import SyncResponse

__all__ = ["Following"]

_ELDEST: Final = 8
"""Members of whom one is followed by whoever lost the one that it followed."""
_MOST_BROUGHT: Final = 1024
"""Joiners in one request."""
_PATIENCE: Final = 10.0
"""Seconds beyond four rounds without a new member, after which nobody is followed."""

_TRIES: Final = 3
"""Questions without an answer, in a row, after which another is followed."""
_RETRY: Final = 2.0
"""Seconds from one of them to the next."""
_LEAST_PAUSE: Final = 1.0
"""Seconds between two questions, however often we are told that there is something to hear."""
_MEMORY: Final = 60.0
"""Seconds for which who was followed still knows what we have of it."""

OnAnswer = Callable[[SyncResponse | None, int, float], None]
"""Called with the answer, or None if there was none; how many rows it brought that were new; and the time."""


class _AskForArrivals(Protocol):
    """Asks a member whom it learned of since a position, and brings it some rows; False if that cannot be now."""

    def __call__(
        self, address: Address, position: int, slots: Sequence[int], now: float, on_answer: OnAnswer
    ) -> bool: ...


@dataclass(frozen=True, slots=True)
class _Followed:
    id: NodeId
    address: Address
    position: int
    """Up to which we have what it learned; 0: it has not told us anything yet."""


class Following:
    """Asks for as long as there is something to hear."""

    def __init__(
        self, context: Context, membership: Membership, agreement: Agreement, flood: JoinFlood, ask: _AskForArrivals
    ) -> None:
        self._table = context.table
        self._timers = context.timers
        self._random = context.random
        self._health = context.health
        self._membership = membership
        self._agreement = agreement
        self._flood = flood
        self._ask_for = ask
        self._followed: _Followed | None = None
        self._timer: Timer | None = None
        #: When a member that was new here came in, the last time that we know of.
        self._last_new = -inf
        #: Joiners that are being brought; the withheld again if that fails.
        self._brought: list[NodeId] = []
        self._is_asking = False
        self._failures = 0
        #: When we heard of the followed last, and whether that brought nothing new.
        self._answered_at = -inf
        self._is_fruitless = False
        self._asked_at = -inf
        flood.listeners.append(self._go_on)

    def take_stock(self, note: Note) -> None:
        """Note what it keeps."""
        note("joiners that are brought", len(self._brought), _MOST_BROUGHT)

    def is_promising(self, now: float) -> bool:
        """Whether what makes our view differ is likely to come with the next answers."""
        if self._timer is None or self._followed is None or (self._is_fruitless and not self._flood.is_on(now)):
            return False
        return now - self._last_new <= 3 * self._flood.pace(now)

    def follow(self, id: NodeId, address: Address, position: int, now: float) -> None:
        """Whoever handed us its view as it was at `position` is the one to ask for what came later."""
        self._followed = _Followed(id, address, position)
        self._answered_at, self._is_fruitless = now, False

    def catch_up(self, now: float) -> bool:
        """Our view differs from others: ask at once if that is likely to help.

        Where all withhold joins, one member hears of too few to see that there is a flood.
        """
        if self._timer is not None or self._is_asking or self._is_fruitless or now - self._answered_at > _MEMORY:
            return False
        self._go_on(now)
        self._ask(now)
        return True

    def hear_of_lull(self, id: NodeId, position: int, now: float) -> None:
        """A member says that no more join for a moment, and up to where it has them: ask at once if we follow it."""
        followed = self._followed
        if followed is None or followed.id != id or position <= followed.position or now - self._answered_at > _MEMORY:
            return
        if not (self._is_asking or self._membership.own.is_leaving or now - self._asked_at < _LEAST_PAUSE):
            self._go_on(now)
            self._ask(now)

    def _go_on(self, now: float) -> None:
        """Many join: ask for as long as that lasts."""
        self._last_new = now
        if self._timer is None:
            self._arm(self._flood.pace(now), now)

    def _arm(self, pause: float, now: float) -> None:
        # Who is unwell has enough to do, but must not fall behind for ever.
        pause = min(LONGEST_PACE, pause * self._health.multiplier)
        self._timer = self._timers.at(now + pause * self._random.uniform(0.75, 1.25), self._round)

    def _round(self, now: float) -> None:
        self._timer = None
        if self._membership.own.is_leaving or now - self._last_new > 4 * self._flood.pace(now) + _PATIENCE:
            self._flood.withheld.clear()
            return
        self._arm(self._flood.pace(now), now)
        if not self._is_asking and (self._flood.withheld or self._agreement.was_unequal):
            self._ask(now)

    def _try_again(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._arm(min(_RETRY, self._flood.pace(now)), now)

    def _ask(self, now: float) -> None:
        followed = self._followed
        if followed is None or not self._table.is_present(followed.id):
            followed = self._followed = self._elder()
        self._agreement.was_unequal = False
        brought = self._brought = self._flood.take(_MOST_BROUGHT)
        if followed is None:  # The eldest hears of all from those who follow it.
            return
        ids = dict.fromkeys((self._membership.id, *brought))
        slots = [slot for slot in map(self._table.slot_of, ids) if slot is not None]
        self._asked_at = now
        self._is_asking = self._ask_for(followed.address, followed.position, slots, now, self._on_answer)
        if not self._is_asking:  # Too many exchanges are under way.
            self._flood.give_back(brought)

    def _elder(self) -> _Followed | None:
        """One of the eldest that is older than we are."""
        table, own = self._table, self._membership.id
        elders = [id for id in nsmallest(_ELDEST, map(table.id, table.ring)) if id < own and table.is_alive(id)]
        if not elders:
            return None
        id = self._random.choice(elders)
        slot = table.slot_of(id)
        assert slot is not None, "it is alive"
        return _Followed(id, table.address(slot), 0)

    def _on_answer(self, answer: SyncResponse | None, fresh: int, now: float) -> None:
        self._is_asking = False
        followed = self._followed
        if answer is None:
            self._flood.give_back(self._brought)
            self._failures += 1
            if self._failures < _TRIES:  # It is slow, perhaps, and another would have to tell us everything.
                self._try_again(now)
                return
        self._failures = 0
        if followed is None or answer is None or answer.sender != followed.id or answer.others:
            self._followed = None  # It is gone, has another run in its place, or is busy: another will do.
            return
        self.follow(followed.id, followed.address, answer.seq, now)
        self._is_fruitless = not fresh
        if fresh:
            self._flood.go_on(now)
