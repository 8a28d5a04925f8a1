"""User broadcasts: bytes for everybody, told on by everybody once."""

from __future__ import annotations

from shoal.events import BroadcastReceived
from shoal.swim.broadcast_history import BroadcastHistory
from shoal.swim.context import Context
from shoal.swim.gossip_queue import Priority
from shoal.swim.news import News
from shoal.swim.stats import Drop
from shoal.types import NodeId, Note
from shoal.wire.messages import UserBroadcast

__all__ = ["Broadcasts"]


class Broadcasts:
    """Numbers our own, and tells those of others from their repeats."""

    __slots__ = ("_made", "_news", "_seen", "_stats", "_tell")

    def __init__(self, context: Context, news: News) -> None:
        self._news = news
        self._stats = context.stats
        self._tell = context.events.append
        self._seen = BroadcastHistory(context.config.broadcast_history)
        self._made = 0

    def take_stock(self, note: Note) -> None:
        """Note what it keeps."""
        self._seen.take_stock(note)

    def send(self, origin: NodeId, payload: bytes) -> None:
        """Send bytes of this node to everybody; raises `MessageTooLargeError` when they do not fit in one datagram."""
        self._made += 1
        update = UserBroadcast(origin, self._made, payload)
        self._news.check_fits("broadcast", update)
        self._seen.is_new(update.origin, update.number)
        self._news.tell(update, Priority.LOW)

    def hear(self, update: UserBroadcast) -> None:
        """Pass a broadcast to the user and on, unless it was here before."""
        if not self._seen.is_new(update.origin, update.number):
            self._stats.drop(Drop.REPEATED_BROADCAST)
            return
        self._news.tell(update, Priority.LOW)
        self._tell(BroadcastReceived(update.origin, update.payload))
