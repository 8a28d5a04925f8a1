"""Who may take how much of this node's time: token buckets by source, asked before anything is read of a message.

A bucket is one number, the moment at which it is full again (ITU-T I.371 calls this the virtual scheduling algorithm).
A bucket that is full says the same as none, so those that were not drawn on for a second are forgotten: there is no
bound to tune and nothing that one source could push out of another's place.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Final, Generic, TypeVar

from shoal.config import ClusterConfig
from shoal.net.transport import TransportStats
from shoal.types import Address

__all__ = ["UNKNOWN_SHARE", "Admission", "Buckets"]

UNKNOWN_SHARE: Final = 0.1
"""Of what the address of a member may send, what one may at which no member is known."""
_DEPTH: Final = 1.0
"""Seconds' worth of tokens in a full bucket. All buckets together are forgotten in steps of this length."""

_Key = TypeVar("_Key", bound=Hashable)
_Batch = Sequence[tuple[bytes, Address]]


class Buckets(Generic[_Key]):
    """A token bucket for each key; costs are in seconds of its rate, above 0 and at most 1."""

    __slots__ = ("_current", "_previous", "_turns_at")

    def __init__(self) -> None:
        #: When each bucket that was drawn on since the last turn, or between that and the one before, is full.
        self._current: dict[_Key, float] = {}
        self._previous: dict[_Key, float] = {}
        self._turns_at = 0.0

    def __len__(self) -> int:
        return len(self._current) + len(self._previous)

    def covers(self, key: _Key, cost: float, now: float) -> bool:
        """Whether so much is in the bucket. Asking changes nothing."""
        return self._full_at(key, now) + cost <= now + _DEPTH

    def take(self, key: _Key, cost: float, now: float) -> bool:
        """Take so much out of the bucket, if it is there."""
        if now >= self._turns_at:
            self._previous = self._current if now < self._turns_at + _DEPTH else {}
            self._current = {}
            self._turns_at = now + _DEPTH
        full_at = self._full_at(key, now) + cost
        if full_at > now + _DEPTH:
            return False
        self._current[key] = full_at
        return True

    def _full_at(self, key: _Key, now: float) -> float:
        full_at = self._current.get(key)
        if full_at is None:
            full_at = self._previous.get(key, now)
        return max(now, full_at)


class Admission:
    """Sorts out datagrams of sources that send too many, or too much.

    The address of a member may send `source_datagrams` and `source_bytes` a second, any other a tenth of both, and all
    others together as much as one member: a flood from many forged addresses costs strangers their service, not the
    members. `knows` says whether a member is known at an address.
    """

    __slots__ = (
        "_bytes_seen",
        "_bytes_waved_through",
        "_knows",
        "_member_byte",
        "_member_datagram",
        "_members",
        "_members_seen",
        "_seen",
        "_stats",
        "_strangers",
        "_turns_at",
        "_unknown",
        "_waved_through",
    )

    def __init__(self, config: ClusterConfig, stats: TransportStats, knows: Callable[[Address], bool]) -> None:
        self._stats = stats
        self._knows = knows
        self._member_datagram = 1 / config.source_datagrams
        self._member_byte = 1 / config.source_bytes
        # So long as all sources together send no more than the least of them may, nobody needs to be looked at.
        self._waved_through = config.source_datagrams * UNKNOWN_SHARE
        self._bytes_waved_through = config.source_bytes * UNKNOWN_SHARE
        self._seen = self._bytes_seen = 0
        self._turns_at = 0.0
        self._members_seen: set[Address] = set()
        self._members: Buckets[Address] = Buckets()
        self._unknown: Buckets[Address] = Buckets()
        self._strangers: Buckets[None] = Buckets()

    def admit(self, batch: _Batch, size: int, now: float) -> _Batch:
        """Those datagrams of a batch of `size` bytes in all that may go on; the others are counted."""
        if now >= self._turns_at:
            self._turns_at = now + _DEPTH
            self._seen = self._bytes_seen = 0
            self._members_seen.clear()
        self._seen += len(batch)
        self._bytes_seen += size
        if self._seen <= self._waved_through and self._bytes_seen <= self._bytes_waved_through:
            return batch
        return [datagram for datagram in batch if self._admits(len(datagram[0]), datagram[1], now)]

    def _admits(self, size: int, source: Address, now: float) -> bool:
        cost = max(self._member_datagram, size * self._member_byte)
        # First, as it is the cheapest; no member has drawn on a bucket of this kind, unless it has just become one.
        if not self._unknown.covers(source, cost / UNKNOWN_SHARE, now):
            self._stats.dropped_source_rate += 1
            return False
        if self._is_member(source):
            if self._members.take(source, cost, now):
                return True
            self._stats.dropped_source_rate += 1
            return False
        if not self._strangers.take(None, cost, now):
            self._stats.dropped_unknown_rate += 1
            return False
        # Only now: addresses that are refused for the sake of all strangers leave no trace.
        return self._unknown.take(source, cost / UNKNOWN_SHARE, now)

    def _is_member(self, source: Address) -> bool:
        if source in self._members_seen:
            return True
        if not self._knows(source):
            return False
        self._members_seen.add(source)
        return True
