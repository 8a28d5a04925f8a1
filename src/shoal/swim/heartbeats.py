"""Pings outside the schedule, for whoever measures one member closer than the failure detector does.

They change no belief and no local health: an answer is written into the handle of its heartbeat, and that is all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from shoal.errors import UnknownMemberError
from shoal.swim.context import Context
from shoal.swim.membership import Membership
from shoal.swim.outbox import Outbox
from shoal.types import NodeId, Note
from shoal.wire.messages import Ack, Ping

__all__ = ["Heartbeat", "Heartbeats"]

_MAX_OPEN: Final = 1024
"""Heartbeats that wait for an answer; those that wait longest are given up first."""


@dataclass(slots=True)
class Heartbeat:
    """One ping to one run of a member; `answered` is filled in when its ack arrives, if ever."""

    target: NodeId
    sent: float
    """In seconds of the sender's monotonic clock."""
    answered: float | None = None
    """On the same clock; None until then."""


class Heartbeats:
    """Those that wait for an answer, by sequence number."""

    __slots__ = ("_membership", "_next_seq", "_open", "_outbox", "_table")

    def __init__(self, context: Context, membership: Membership, outbox: Outbox, next_seq: Callable[[], int]) -> None:
        self._table = context.table
        self._membership = membership
        self._outbox = outbox
        self._next_seq = next_seq
        self._open: dict[int, Heartbeat] = {}

    def __len__(self) -> int:
        return len(self._open)

    def take_stock(self, note: Note) -> None:
        """Note what it keeps."""
        note("heartbeats", len(self._open), _MAX_OPEN)

    def send(self, target: NodeId, now: float) -> Heartbeat:
        """Ping another member once, bare; raises `UnknownMemberError`."""
        if target == self._membership.id:
            raise UnknownMemberError("a node sends no heartbeats to itself; name another member")
        slot = self._table.slot_of(target)
        if slot is None:
            raise UnknownMemberError(f"no member has the id {target}")
        seq, heartbeat = self._next_seq(), Heartbeat(target, now)
        self._open[seq] = heartbeat
        if len(self._open) > _MAX_OPEN:
            del self._open[next(iter(self._open))]
        self._outbox.post(Ping(seq, self._table.digest, self._membership.id, target), self._table.address(slot))
        return heartbeat

    def on_ack(self, ack: Ack, now: float) -> bool:
        """Take the ack if it answers a heartbeat; says whether it does."""
        heartbeat = self._open.get(ack.seq)
        if heartbeat is None or heartbeat.target != ack.sender:
            return False
        heartbeat.answered = now
        del self._open[ack.seq]
        return True
