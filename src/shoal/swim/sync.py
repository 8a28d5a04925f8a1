"""State sync: two members bring their views together over a stream.

A joiner starts with one, which brings it the whole view. Afterwards it is for differences that are too large for
datagrams (`reconciliation`): the requester says what it holds, gets the records that it lacks, and sends those that
the other side asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from shoal.state.precedence import pack
from shoal.swim.comparison import differences
from shoal.swim.context import Context
from shoal.swim.contradictions import contradicting_slot
from shoal.swim.exchanges import Exchanges, OnFailure
from shoal.swim.indexed_view import IndexedView
from shoal.swim.membership import Membership
from shoal.swim.stats import Drop
from shoal.types import Address, NodeId
from shoal.wire.dialect import DecodeError
from shoal.wire.messages import Range, RangeKind, SyncRecord, SyncRequest, SyncResponse

__all__ = ["Sync"]

_STILL_SPREADING: Final = 10.0
"""Seconds that a change may take to reach everybody: more than gossip takes, with a comparison where it fails. Nodes
that start together know few others to gossip to, and depend on each other passing news on."""
_FEW: Final = 64
"""Records. More of them at once are no news to gossip: each peer that lacks them gets them at once as well, and far
cheaper."""
_EVERYTHING: Final = ((b"", b""),)

OnSynced = Callable[[NodeId, float], None]
"""Called with who answered and the time."""
Span = tuple[bytes, bytes]
"""A range of ids, from the first up to but without the second; no bytes stand for either end of all ids."""


class Sync:
    """Starts and answers state syncs."""

    def __init__(self, context: Context, membership: Membership, view: IndexedView, exchanges: Exchanges) -> None:
        self._dialect = context.dialect
        self._random = context.random
        self._table = context.table
        self._stats = context.stats
        self._membership = membership
        self._view = view
        self._exchanges = exchanges

    def start(
        self,
        address: Address,
        now: float,
        on_synced: OnSynced = lambda _id, _now: None,
        on_failure: OnFailure = lambda _reason, _now: None,
        attempts: int | None = None,
        spans: Sequence[Span] = _EVERYTHING,
    ) -> bool:
        """Sync with whoever is at `address` over some ranges of ids; False if too many exchanges are under way."""
        salt = self._random.getrandbits(64) | 1
        request = SyncRequest(
            salt, self._table.digest, self._membership.id, self._held(spans, salt, now), self._own(now)
        )
        opened = self._exchanges.open(
            address,
            self._dialect.encode(request),
            partial(self._on_reply, address, on_synced, on_failure),
            on_failure,
            attempts=attempts,
        )
        self._stats.syncs_started += opened
        return opened

    def answer(self, request: SyncRequest, now: float) -> bytes:
        """What the peer lacks of our view as it is before its records are taken in, and what we know better."""
        digest = self._table.digest
        slots, wanted = self._compare(request, now)
        records = self._membership.records(slots, now)
        if request.sender != self._membership.id:
            is_joiner = not self._membership.own.is_settled
            self._membership.own.is_settled = True
            better = self._merge(request.records, request.sender, now, is_joiner=is_joiner)
            records += self._membership.records(better, now)
        self._stats.syncs_served += 1
        return self._dialect.encode(SyncResponse(request.seq, digest, self._membership.id, wanted, records))

    def _held(self, spans: Sequence[Span], salt: int, now: float) -> list[Range]:
        """What we hold in some ranges. Who knows nobody says so, and is told of everybody."""
        if self._table.present_count <= 1:
            return [Range(b"", RangeKind.HELD)]
        index = self._view.index(now)
        ranges: list[Range] = []
        before = b""
        for start, end in spans:
            if start != before:
                ranges.append(Range(start, RangeKind.SKIP))
            ranges.append(Range(end, RangeKind.HELD, tuple(index.values(index.span(start, end), salt))))
            before = end
        return ranges

    def _own(self, now: float) -> list[SyncRecord]:
        slot = self._table.slot_of(self._membership.id)
        return [] if slot is None else self._membership.records([slot], now)

    def _compare(self, request: SyncRequest, now: float) -> tuple[list[int], list[Range]]:
        """The rows that the peer lacks, and the ranges of what it holds and we do not."""
        if request.ranges == [Range(b"", RangeKind.HELD, ())]:
            return list(self._table.slots()), []  # The tombstones too: who knows nobody has none.
        lacking: list[int] = []
        wanted: list[Range] = []
        for each in differences(self._view.index(now), request.ranges, request.seq):
            lacking += self._slots_of(each.lacking)
            if each.wanted:
                if each.start != (wanted[-1].end if wanted else b""):
                    wanted.append(Range(each.start, RangeKind.SKIP))
                wanted.append(Range(each.end, RangeKind.WANTED, tuple(each.wanted)))
        return lacking, wanted

    def _on_reply(self, address: Address, on_synced: OnSynced, on_failure: OnFailure, data: bytes, now: float) -> None:
        reply = self._read_reply(data, on_failure, now)
        if reply is None:
            return
        if reply.sender != self._membership.id:
            asked = [id for each in differences(self._view.index(now), reply.ranges, reply.seq) for id in each.asked]
            better = self._take_in(reply, now)
            self._bring(address, list(dict.fromkeys((*self._slots_of(asked), *better))), now)
        self._stats.syncs_completed += 1
        on_synced(reply.sender, now)

    def _bring(self, address: Address, slots: Sequence[int], now: float) -> None:
        """Send the peer what it lacks or knows worse."""
        if slots:
            records = self._membership.records(slots, now)
            message = SyncRequest(0, self._table.digest, self._membership.id, [], records)
            self._exchanges.open(address, self._dialect.encode(message), self._on_brought, _ignore)

    def _on_brought(self, data: bytes, now: float) -> None:
        reply = self._read_reply(data, _ignore, now)
        if reply is not None and reply.sender != self._membership.id:
            self._take_in(reply, now)

    def _read_reply(self, data: bytes, on_failure: OnFailure, now: float) -> SyncResponse | None:
        try:
            reply, _ = self._dialect.decode(data)
        except DecodeError as error:
            self._stats.drop(error.flaw)
            on_failure(f"the reply was malformed ({error.flaw})", now)
            return None
        if not isinstance(reply, SyncResponse):
            self._stats.drop(Drop.WRONG_CHANNEL)
            on_failure("the reply was no state sync response", now)
            return None
        return reply

    def _take_in(self, reply: SyncResponse, now: float) -> list[int]:
        return self._merge(reply.records, reply.sender, now, is_joiner=not self._membership.own.is_settled)

    def _merge(self, records: Sequence[SyncRecord], sender: NodeId, now: float, *, is_joiner: bool) -> list[int]:
        """Take in rows of a peer's view; returns our rows that the peer must hear of.

        A joiner gossips of it only what is young enough to be on its way still: what is older everybody knows, and a
        joiner that told it on would tell all of all.
        """
        are_few = len(records) <= _FEW
        better: list[int] = []
        for record in records:
            is_news = are_few and (not is_joiner or record.age <= _STILL_SPREADING)
            self._membership.apply_record(record, sender, now, is_news=is_news)
            info = record.info
            slot = contradicting_slot(self._table, info.id, pack(record.incarnation, record.state), info.name)
            if slot is not None:
                better.append(slot)
        return better

    def _slots_of(self, ids: Sequence[NodeId]) -> list[int]:
        slots = map(self._table.slot_of, ids)
        return [slot for slot in slots if slot is not None]


def _ignore(_reason: str, _now: float) -> None:
    """A record that was not brought is asked for again by the next comparison."""
