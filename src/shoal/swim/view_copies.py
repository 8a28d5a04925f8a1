"""The view as the bytes that others get, made once for many of them.

Joiners get all of it, and those who follow this node what came in since they asked last.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from shoal.snapshot import Snapshot
from shoal.swim.allowance import Allowance
from shoal.swim.context import Context
from shoal.swim.timers import Timer
from shoal.types import NodeId, Note
from shoal.wire.messages import SyncResponse

__all__ = ["ViewCopies"]

_AGE_PER_MEMBER: Final = 1e-4
"""Seconds of age per row that a copy may have although the view has changed. To make one takes about a microsecond a
member, so that no more than one part in a hundred of the time is spent on it; what it lacks, gossip and comparisons
bring, or those who follow ask for."""
_SMALL: Final = 64
"""Rows. A smaller view fits in a few segments in any case, and costs little to make anew."""
_ROWS_PER_SECOND: Final = 200_000.0
"""Rows in whole views that a node hands out: 20 views of 10,000 members, or 2,000 of 100."""
_STEP: Final = 0.1
"""Seconds, or as many as one whole copy may be old: what came in meanwhile is handed out together, so that those who
ask within that time get the same bytes."""
_MOST_STEPS: Final = 64
"""How many steps back somebody may be who asks for what came since; others get all."""
_FOLLOWED: Final = 60.0
"""Seconds after the last copy for which arrivals are noted."""


class _Copy:
    """One reply, compressed when the first asks for it so."""

    __slots__ = ("_compressed", "_dialect", "_plain", "position", "rows")

    def __init__(self, context: Context, own_id: NodeId, position: int, rows: Snapshot) -> None:
        self._dialect = context.dialect
        self.rows = len(rows)
        self.position = position
        can_compress = self._dialect.can_compress
        response = SyncResponse(position, context.table.digest, own_id, can_compress, [], [], rows)
        self._plain = self._dialect.encode(response)
        self._compressed: bytes | None = None

    def bytes(self, *, compressed: bool) -> bytes:
        if not compressed or self.rows < _SMALL:
            return self._plain
        if self._compressed is None:
            self._compressed = self._dialect.compress(self._plain)
        return self._compressed


class ViewCopies:
    """Hands out rows, tombstones too; each reply says up to which position of the arrivals it reaches at least."""

    __slots__ = (
        "_allowance",
        "_asked_at",
        "_context",
        "_later",
        "_made",
        "_of_generation",
        "_on_forgotten",
        "_stepped_at",
        "_steps",
        "_table",
        "_timer",
        "_whole",
    )  # fmt: skip

    def __init__(self, context: Context, on_forgotten: Callable[[], None]) -> None:
        """`on_forgotten` is called when no position that was given out counts any longer."""
        self._context = context
        self._on_forgotten = on_forgotten
        self._table = context.table
        self._allowance = Allowance(_ROWS_PER_SECOND)
        self._of_generation = -1
        self._made = 0.0
        self._whole: _Copy | None = None
        #: Positions that were given out, the last one being where we stand; none while nobody follows.
        self._steps: deque[int] = deque(maxlen=_MOST_STEPS)
        self._stepped_at = 0.0
        #: What came between earlier steps and the last one.
        self._later: dict[int, _Copy] = {}
        self._asked_at = 0.0
        self._timer: Timer | None = None

    def take_stock(self, note: Note) -> None:
        """Note what it keeps."""
        note("positions that were given out", len(self._steps), _MOST_STEPS)
        note("copies of what came later", len(self._later), _MOST_STEPS)

    def is_spent(self, now: float) -> bool:
        """Whether so many were handed out lately that others should be asked."""
        return self._allowance.left(now) <= 0.0

    def whole(self, own_id: NodeId, *, compressed: bool, now: float) -> tuple[bytes, int]:
        """All rows, and the position up to which they reach.

        They are `compressed` if the peer takes that and this process can.
        """
        self._allowance.take(len(self._table))
        position = self._step(now)
        copy = self._whole
        if copy is None or not self._is_fresh(copy, now):
            copy = self._whole = _Copy(self._context, own_id, position, self._table.snapshot(now))
            self._of_generation, self._made = self._table.generation, now
        return copy.bytes(compressed=compressed), copy.position

    def since(self, position: int, own_id: NodeId, *, compressed: bool, now: float) -> tuple[bytes, int] | None:
        """The rows that came in since a position, and the position up to which they reach.

        None if the position is none that was given out lately.
        """
        if position not in self._steps:
            return None
        until = self._step(now)
        copy = self._later.get(position)
        if copy is None:
            slots = self._table.arrivals.since(position, until)
            if slots is None:
                return None
            held = [slot for slot in slots if self._table.record(slot)]
            copy = self._later[position] = _Copy(self._context, own_id, until, self._table.snapshot(now, held))
        self._allowance.take(copy.rows)
        return copy.bytes(compressed=compressed), copy.position

    def _step(self, now: float) -> int:
        """Where we stand; the position is moved on only so often."""
        self._asked_at = now
        arrivals, steps = self._table.arrivals, self._steps
        if not arrivals.is_followed:
            arrivals.follow()
            steps.clear()
        if self._timer is None:
            self._timer = self._context.timers.at(now + _FOLLOWED, self._forget)
        if not steps or (steps[-1] != arrivals.position and now - self._stepped_at >= self._step_time):
            steps.append(arrivals.position)
            self._stepped_at = now
            self._later.clear()
        return steps[-1]

    @property
    def _step_time(self) -> float:
        return max(_STEP, _AGE_PER_MEMBER * len(self._table))

    def _forget(self, now: float) -> None:
        due = self._asked_at + _FOLLOWED
        if due > now:
            self._timer = self._context.timers.at(due, self._forget)
            return
        self._timer = self._whole = None
        self._later.clear()
        self._steps.clear()
        self._table.arrivals.forget()
        self._on_forgotten()

    def _is_fresh(self, copy: _Copy, now: float) -> bool:
        # Joiners of a small view would know hardly anybody who could tell others of them.
        is_young = copy.rows >= _SMALL and now - self._made < _AGE_PER_MEMBER * copy.rows
        return is_young or self._of_generation == self._table.generation
