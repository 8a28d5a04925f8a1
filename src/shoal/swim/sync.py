"""State sync: two members exchange their whole views over a stream.

A joiner starts with one. Afterwards it is needed only when gossip failed to bring two views together, which the
digests on pings and acks show; equal views never sync.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from shoal.swim.context import Context
from shoal.swim.exchanges import Exchanges, OnFailure
from shoal.swim.membership import Membership
from shoal.swim.stats import Drop
from shoal.types import Address, NodeId
from shoal.wire.dialect import DecodeError
from shoal.wire.messages import SyncRecord, SyncRequest, SyncResponse

__all__ = ["Sync"]

_STILL_SPREADING: Final = 10.0
"""Seconds that a change may take to reach everybody: more than gossip takes, with a state sync where it fails. Nodes
that start together know few others to gossip to, and depend on each other passing news on."""

OnSynced = Callable[[NodeId, float], None]
"""Called with who answered and the time."""


class Sync:
    """Starts and answers state syncs, and decides when digests call for one."""

    def __init__(self, context: Context, membership: Membership, exchanges: Exchanges) -> None:
        self._config = context.config
        self._dialect = context.dialect
        self._table = context.table
        self._stats = context.stats
        self._membership = membership
        self._exchanges = exchanges
        #: By how many packets the differing digests lead over the equal ones, never below 0.
        self._disagreement = 0
        self._earliest = 0.0

    def observe(self, digest: int, sender: NodeId, now: float) -> None:
        """A ping or ack carried the digest of the sender's view.

        In a cluster at rest all digests are equal. While news spreads they differ for a moment; whoever differs from
        most of its peers for longer has missed something.
        """
        if digest == self._table.digest:
            if self._disagreement:
                self._disagreement -= 1
            return
        self._disagreement += 1
        if self._disagreement >= self._config.sync_threshold and now >= self._earliest:
            slot = self._table.slot_of(sender)
            if slot is not None and self._table.is_present(sender):
                self._disagreement = 0
                self._earliest = now + self._config.sync_interval
                self.start(self._table.address(slot), now)

    def start(
        self,
        address: Address,
        now: float,
        on_synced: OnSynced = lambda _id, _now: None,
        on_failure: OnFailure = lambda _reason, _now: None,
        attempts: int | None = None,
    ) -> bool:
        """Sync with whoever is at `address`; False if too many exchanges are under way."""
        request = SyncRequest(0, self._table.digest, self._membership.id, self._membership.records(now))
        opened = self._exchanges.open(
            address,
            self._dialect.encode(request),
            partial(self._on_reply, on_synced, on_failure),
            on_failure,
            attempts=attempts,
        )
        self._stats.syncs_started += opened
        return opened

    def answer(self, request: SyncRequest, now: float) -> bytes:
        """Our view in return for the peer's, which is taken in."""
        reply = SyncResponse(0, self._table.digest, self._membership.id, self._membership.records(now))
        encoded = self._dialect.encode(reply)
        self._stats.syncs_served += 1
        if request.sender != self._membership.id:
            is_joiner = not self._membership.own.is_settled
            self._membership.own.is_settled = True
            self._merge(request.records, request.sender, now, is_joiner=is_joiner)
        return encoded

    def _on_reply(self, on_synced: OnSynced, on_failure: OnFailure, data: bytes, now: float) -> None:
        try:
            reply, _ = self._dialect.decode(data)
        except DecodeError as error:
            self._stats.drop(error.flaw)
            on_failure(f"the reply was malformed ({error.flaw})", now)
            return
        if not isinstance(reply, SyncResponse):
            self._stats.drop(Drop.WRONG_CHANNEL)
            on_failure("the reply was no state sync response", now)
            return
        if reply.sender != self._membership.id:
            self._merge(reply.records, reply.sender, now, is_joiner=not self._membership.own.is_settled)
        self._stats.syncs_completed += 1
        on_synced(reply.sender, now)

    def _merge(self, records: Sequence[SyncRecord], sender: NodeId, now: float, *, is_joiner: bool) -> None:
        """Take in a peer's view; a joiner gossips of it only what is young enough to be on its way still.

        What is older everybody knows, and a joiner that told it on would tell all of all.
        """
        for record in records:
            is_news = not is_joiner or record.age <= _STILL_SPREADING
            self._membership.apply_record(record, sender, now, is_news=is_news)
