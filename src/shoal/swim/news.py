"""What this node tells on: updates go from here into the gossip queue."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from shoal.errors import MessageTooLargeError
from shoal.swim.context import Context
from shoal.swim.gossip_queue import Priority
from shoal.swim.sends import retransmit_limit
from shoal.swim.stats import Drop
from shoal.types import NodeId
from shoal.wire.messages import Alive, Dead, Gossip, Left, Stall, Suspect, Update, UserBroadcast

__all__ = ["News", "stall_key"]


class News:
    """Encodes updates, and keeps the queue free of those that fit in none of our datagrams."""

    __slots__ = ("_config", "_dialect", "_queue", "_stats", "_table", "room")

    def __init__(self, context: Context, own_id: NodeId) -> None:
        self._config = context.config
        self._dialect = context.dialect
        self._table = context.table
        self._queue = context.queue
        self._stats = context.stats
        empty = self._dialect.encode(Gossip(0, 0, own_id))
        overhead = self._dialect.packet_overhead + self._dialect.update_overhead
        self.room = context.config.max_datagram - len(empty) - overhead
        """Bytes of the largest update that fits in the smallest packet that carries updates."""

    def tell(self, update: Update, priority: Priority, *, is_own: bool = False) -> None:
        """Pass an update on, our own word if `is_own`; it supersedes what is queued about the same thing."""
        self._push(_key(update), self._dialect.encode_update(update), priority, _gist(update), is_own=is_own)

    def tell_verdict(
        self, verdicts: Sequence[Suspect | Dead], *, began: float | None = None, is_common: bool = False
    ) -> None:
        """Pass on what speaks against a member, in the order in which others shall hear of it.

        With feedback, it goes on from where what is queued against that member stands. Where nothing is, what
        `is_common`, found out by many members at the same time, is told half as often: in large clusters only by the
        way. A suspicion tells for how long it has stood, from when it `began`.
        """
        has_feedback = self._config.gossip_feedback
        sent = self._limit() // 2 if has_feedback and is_common else 0
        data = b"".join(map(self._dialect.encode_update, verdicts))
        gist = _gist(verdicts[0] if isinstance(verdicts[-1], Suspect) else verdicts[-1])
        self._push(verdicts[0].id, data, Priority.HIGH, gist, sent, goes_on=has_feedback, began=began)

    def tell_alive(self, record: bytes, incarnation: int, priority: Priority) -> None:
        """Pass on an `Alive`, from the record of its info."""
        id, data = NodeId(record[: NodeId.SIZE]), self._dialect.encode_alive(record, incarnation)
        self._push(id, data, priority, incarnation)

    def _push(
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
        if len(data) <= self.room:
            self._queue.push(key, data, priority, gist, sent, is_own=is_own, goes_on=goes_on, began=began)
        else:  # A peer with larger datagrams sent it; waiting here, it would only be in the way of other news.
            self._queue.discard(key)
            self._stats.drop(Drop.OVERSIZED)

    def hear(self, update: Suspect | Dead | Left) -> None:
        """Take note of an end, or what points to one, that is told to us, before it is acted upon."""
        if self._config.gossip_feedback and update.id in self._queue:
            self._queue.heard(update.id, _gist(update), self._limit())

    def hear_alive(self, id: NodeId, incarnation: int) -> None:
        """Take note of an `Alive` that is told to us, before it is acted upon."""
        if self._config.gossip_feedback and id in self._queue:
            self._queue.heard(id, incarnation, self._limit())

    def check_fits(self, what: str, update: Update) -> None:
        """Refuse an update of our own that fits in no datagram with `MessageTooLargeError`, which names it `what`."""
        size = len(self._dialect.encode_update(update))
        if size > self.room:
            raise MessageTooLargeError(what, size, self.room, "max_datagram")

    def is_waiting(self, key: Hashable) -> bool:
        """Whether an update about that run, or with the key of `stall_key`, is still to be sent."""
        return key in self._queue

    def discard(self, key: Hashable) -> None:
        """Tell that no further."""
        self._queue.discard(key)

    def _limit(self) -> int:
        return retransmit_limit(self._config, self._table.present_count)


def _key(update: Update) -> Hashable:
    """What an update is about: of two with one key, the later takes the place of the earlier."""
    match update:
        case Alive():
            return update.info.id
        case UserBroadcast():
            return (update.origin, update.number)
        case Stall():
            return stall_key(update.id)
        case _:
            return update.id


def _gist(update: Update) -> Hashable:
    """What an update says: two with one gist are the same news, whoever brings it."""
    match update:
        case Suspect():
            signers = (witness.id for witness in update.witnesses)
            return (Suspect, update.incarnation, update.accuser, update.is_stalled, *signers)
        case Dead():
            return (Dead, update.incarnation)
        case Left():
            return (Left, update.incarnation)
        case Alive():
            return update.incarnation
        case _:
            return None


def stall_key(id: NodeId) -> Hashable:
    """The key of a run's declared stall in the queue, apart from its other news."""
    return ("stall", id)
