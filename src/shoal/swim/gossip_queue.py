"""News on its way to everybody.

Updates wait in four priorities, and within each by how often they were sent, fewest first and newest first: fresh news
is what others most likely lack (SWIM §4.1). Sending moves an update one step; after its limit it has spread and goes.
The first few sends are worth packets of their own; the others ride on packets that are sent anyhow.
Picking looks only at what it takes, so its cost does not grow with the queue.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from enum import IntEnum
from math import inf
from typing import Final

from shoal.swim.stats import Drop, Stats
from shoal.types import Note

__all__ = ["GossipQueue", "Priority"]

_SMALLEST_UPDATE: Final = 16
"""Bytes. Less room than this is not worth a look."""
_MAX_MISFITS: Final = 8
"""How many updates too large for the remaining room are passed over before giving up; they wait for the next packet."""
_LONG: Final = 32
"""Updates. A queue that holds more than one packet can carry is long."""
_ENOUGH: Final = 6
"""In a long queue a join or new tags go after so many sends, by which nearly everybody has heard of it (whom m messages
for each member do not reach are e^-m, Demers et al., PODC 1987); comparisons of views bring it to the others at less
cost."""


class Priority(IntEnum):
    """What goes first."""

    CRITICAL = 0
    """A refutation, or our own goodbye."""
    HIGH = 1
    """Suspicions and deaths."""
    NORMAL = 2
    """Joins and tags."""
    LOW = 3
    """User broadcasts."""


class _Item:
    __slots__ = ("began", "data", "eager_left", "gist", "key", "priority", "sent")

    def __init__(
        self,
        key: Hashable,
        gist: Hashable,
        data: bytes,
        priority: Priority,
        sent: int,
        eager_left: float,
        began: float | None,
    ) -> None:
        self.key = key
        self.gist = gist
        self.data = data
        self.priority = priority
        self.sent = sent
        self.eager_left = eager_left
        self.began = began

    @property
    def is_eager(self) -> bool:
        """Whether it is worth packets of its own."""
        return self.eager_left > 0


class GossipQueue:
    """A bounded queue of encoded updates; one per key, and a newer one replaces the older."""

    __slots__ = ("_aged", "_eager_sends", "_levels", "_limit", "_stats", "eager", "waiting")

    def __init__(
        self,
        limit: int,
        eager_sends: int,
        stats: Stats,
        aged: Callable[[bytes, float], bytes],
    ) -> None:
        """Of at most `limit` updates; each is worth packets of its own until it was sent `eager_sends` times.

        `aged` gives an update as it is some seconds after what it tells of began.
        """
        self._limit = limit
        self._aged = aged
        self._eager_sends = eager_sends
        self._stats = stats
        self.eager = 0
        """How many of those that wait are worth packets of their own; only this class changes it."""
        self.waiting: dict[Hashable, _Item] = {}
        """By key, for whoever asks whether there is any news; only this class changes it."""
        #: By priority, then by times sent; a dict serves as an ordered set.
        self._levels: tuple[list[dict[Hashable, _Item]], ...] = tuple([] for _ in Priority)

    def __len__(self) -> int:
        return len(self.waiting)

    def __contains__(self, key: Hashable) -> bool:
        return key in self.waiting

    def take_stock(self, note: Note) -> None:
        """Note what it keeps."""
        note("queued updates", len(self.waiting), self._limit)

    def push(
        self,
        key: Hashable,
        data: bytes,
        priority: Priority,
        gist: Hashable = None,
        sent: int = 0,
        *,
        is_own: bool = False,
        goes_on: bool = False,
        began: float | None = None,
    ) -> None:
        """Queue an update as if it were sent so often already; it supersedes what is queued under the same key.

        If it `goes_on` with what is queued there at that priority, it takes over how often that was sent. Our own word,
        `is_own`, is worth packets of its own until it has spread: somebody may be waiting for that. One that tells for
        how long something has been so is written anew for each packet, from when that `began`.
        """
        eager_left = inf if is_own and self._eager_sends else self._eager_sends - sent
        old = self.waiting.get(key)
        if goes_on and old is not None and old.priority is priority:
            sent, eager_left = old.sent, old.eager_left
        self.discard(key)
        item = _Item(key, gist, data, priority, sent, eager_left, began)
        self.waiting[key] = item
        self._place(item)
        self.eager += item.is_eager
        if len(self.waiting) > self._limit:
            self._drop_least_urgent()

    def discard(self, key: Hashable) -> None:
        """Forget what is queued under a key, if anything."""
        item = self.waiting.pop(key, None)
        if item is not None:
            del self._levels[item.priority][item.sent][key]
            self.eager -= item.is_eager

    def heard(self, key: Hashable, gist: Hashable, limit: int) -> None:
        """Somebody told us what we are telling: that counts as if we had sent it once more.

        That spares none of the packets of its own, in which it reaches the neighbours.
        """
        item = self.waiting.get(key)
        if item is not None and item.gist == gist and item.sent + max(item.eager_left, 0) < limit:
            self._move(item, 1, limit)

    def pick(self, room: int, overhead: int, limit: int, now: float, copies: int = 1) -> list[bytes]:
        """Take updates for one packet that is sent to `copies` members at `now`.

        `room` is the packet's free bytes, `overhead` what each update costs besides its own; an update goes for good
        once it was sent `limit` times.
        """
        picked: list[_Item] = []
        if self.waiting:
            self._choose(picked, room, overhead)
            for item in picked:
                self._count_sent(item, copies, limit)
        return [item.data if item.began is None else self._aged(item.data, now - item.began) for item in picked]

    def _choose(self, picked: list[_Item], room: int, overhead: int) -> None:
        misfits = 0
        for levels in self._levels:
            for level in levels:
                for item in reversed(level.values()):
                    cost = len(item.data) + overhead
                    if cost <= room:
                        picked.append(item)
                        room -= cost
                    else:
                        misfits += 1
                    if room < _SMALLEST_UPDATE or misfits > _MAX_MISFITS:
                        return

    def _count_sent(self, item: _Item, copies: int, limit: int) -> None:
        was_eager = item.is_eager
        item.eager_left -= copies
        if item.priority is Priority.NORMAL and len(self.waiting) > _LONG:
            limit = min(limit, _ENOUGH)
        self._move(item, copies, limit)
        self.eager -= was_eager and not (item.is_eager and item.key in self.waiting)

    def _move(self, item: _Item, sends: int, limit: int) -> None:
        """Note sends, made or spared."""
        del self._levels[item.priority][item.sent][item.key]
        item.sent += sends
        if item.sent >= limit:
            del self.waiting[item.key]
        else:
            self._place(item)

    def _place(self, item: _Item) -> None:
        levels = self._levels[item.priority]
        while len(levels) <= item.sent:
            levels.append({})
        levels[item.sent][item.key] = item

    def _drop_least_urgent(self) -> None:
        for levels in reversed(self._levels):
            for level in reversed(levels):
                if level:
                    self.discard(next(iter(level)))
                    self._stats.drop(Drop.QUEUE_FULL)
                    return
