"""State sync: two members bring their views together over a stream.

A joiner starts with one, which brings it the whole view. Afterwards it is for differences that are too large for
datagrams (`reconciliation`): the requester says what it holds, gets the records that it lacks, and sends those that
the other side asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from math import inf
from typing import Final

from shoal.snapshot import Snapshot
from shoal.swim.agreement import Agreement
from shoal.swim.comparison import differences
from shoal.swim.context import Context
from shoal.swim.contradictions import contradicting_slot
from shoal.swim.exchanges import Exchanges, OnFailure
from shoal.swim.followers import Followers
from shoal.swim.following import Following, OnAnswer
from shoal.swim.indexed_view import IndexedView
from shoal.swim.membership import Membership
from shoal.swim.outbox import Outbox
from shoal.swim.stats import Drop
from shoal.swim.view_copies import ViewCopies
from shoal.types import Address, NodeId, Note
from shoal.wire.dialect import DecodeError
from shoal.wire.messages import Range, RangeKind, SyncRequest, SyncResponse

__all__ = ["EVERYTHING", "ONLY_IF_NEEDED", "Sync"]

_STILL_SPREADING: Final = 10.0
"""Seconds that a change may take to reach everybody: more than gossip takes, with a comparison where it fails. Nodes
that start together know few others to gossip to, and depend on each other passing news on."""
_FEW: Final = 64
"""Records. More of them at once are no news to gossip: each peer that lacks them gets them at once as well, and far
cheaper."""
_NO_NEWS: Final = -1.0
"""Seconds. No row is younger."""
_MOST_OTHERS: Final = 8
"""Members that a busy one names."""
_MOST_HOPS: Final = 3
"""How often a joiner is sent on before it takes a pause."""
EVERYTHING: Final = ((b"", b""),)
ONLY_IF_NEEDED: Final = ()
"""Spans for whom it is enough to know whether there is anything to bring together."""
_WHOLE_VIEW: Final = [Range(b"", RangeKind.HELD)]
"""What a node says that holds nothing."""
_ARRIVALS: Final = [Range(b"", RangeKind.SKIP)]
"""What a node says to the one that it follows: nothing of what it holds, for that one knows by the position."""

OnSynced = Callable[[NodeId, float], None]
"""Called with who answered and the time."""
Span = tuple[bytes, bytes]
"""A range of ids, from the first up to but without the second; no bytes stand for either end of all ids."""


class Sync:
    """Starts and answers state syncs."""

    def __init__(
        self,
        context: Context,
        membership: Membership,
        agreement: Agreement,
        view: IndexedView,
        exchanges: Exchanges,
        outbox: Outbox,
    ) -> None:
        self._dialect = context.dialect
        self._random = context.random
        self._table = context.table
        self._stats = context.stats
        self._membership = membership
        self._view = view
        self._exchanges = exchanges
        self._followers = Followers(context, membership, membership.flood, outbox)
        self._copies = ViewCopies(context, self._followers.forget)
        self.following = Following(context, membership, agreement, membership.flood, self._ask_for_arrivals)
        """Keeps up with the joins of a flood."""

    def take_stock(self, note: Note) -> None:
        """Note what it keeps."""
        self._copies.take_stock(note)
        self._followers.take_stock(note)
        self.following.take_stock(note)
        self._view.take_stock(note)

    def start(
        self,
        address: Address,
        now: float,
        on_synced: OnSynced = lambda _id, _now: None,
        on_failure: OnFailure = lambda _reason, _now: None,
        attempts: int | None = None,
        spans: Sequence[Span] = EVERYTHING,
        hops: int = _MOST_HOPS,
    ) -> bool:
        """Sync with whoever is at `address` over some ranges of ids; False if too many exchanges are under way.

        A busy member names others, who are asked in its place, up to `hops` times. With no ranges at all, it is first
        asked whether it is there and sees something else, which costs next to nothing if not.
        """
        salt = self._random.getrandbits(64) | 1
        own = self._table.slot_of(self._membership.id)
        request = SyncRequest(
            seq=salt,
            digest=self._table.digest,
            sender=self._membership.id,
            takes_compressed=self._dialect.can_compress,
            ranges=self._held(spans, salt, now),
            rows=self._table.snapshot(now, [] if own is None else [own]),
        )
        opened = self._exchanges.open(
            address,
            self._dialect.encode(request),
            partial(
                self._on_reply,
                address,
                hops,
                on_synced,
                on_failure,
                is_question=not spans,
                is_first=request.ranges == _WHOLE_VIEW,
            ),
            on_failure,
            attempts=attempts,
        )
        self._stats.syncs_started += opened
        return opened

    def answer(self, request: SyncRequest, now: float) -> bytes:
        """What the peer lacks of our view as it is before its rows are taken in, and what we know better."""
        own_id, can_compress = self._membership.id, self._dialect.can_compress
        compressed = request.takes_compressed and can_compress
        self._stats.syncs_served += 1
        if request.ranges in (_WHOLE_VIEW, _ARRIVALS):
            reply = self._copy_for(request, compressed=compressed, now=now)
            self._take_in_request(request, now)
            return reply
        digest = self._table.digest
        slots, wanted = self._compare(request, now)
        slots = self._worth_telling(dict.fromkeys((*slots, *self._take_in_request(request, now))))
        rows = self._table.snapshot(now, slots)
        response = SyncResponse(request.seq, digest, own_id, can_compress, wanted, [], rows)
        return self._encode(response, compressed=compressed)

    def _copy_for(self, request: SyncRequest, *, compressed: bool, now: float) -> bytes:
        """The whole view, or what came in since the position that the peer gives; or whom to ask instead.

        Others are to be asked where too many views were handed out lately, and by a run that lost its name: it was told
        nothing since.
        """
        own_id, is_superseded = self._membership.id, self._membership.own.is_superseded
        if request.ranges == _ARRIVALS and not is_superseded:
            later = self._copies.since(request.seq, own_id, compressed=compressed, now=now)
            if later is not None:
                return self._hand_out(request.sender, *later, now)
        if self._copies.is_spent(now) or is_superseded:
            slots = self._table.sample(self._random, _MOST_OTHERS, {self._membership.id, request.sender})
            if slots:
                self._stats.syncs_passed_on += 1
                others = [self._table.address(slot) for slot in slots]
                nothing = self._table.snapshot(now, [])
                return self._dialect.encode(
                    SyncResponse(0, self._table.digest, self._membership.id, False, [], others, nothing)
                )
        return self._hand_out(request.sender, *self._copies.whole(own_id, compressed=compressed, now=now), now)

    def _hand_out(self, peer: NodeId, data: bytes, position: int, now: float) -> bytes:
        self._followers.note(peer, position, now)
        return data

    def _take_in_request(self, request: SyncRequest, now: float) -> list[int]:
        if request.sender == self._membership.id:
            return []
        is_joiner = not self._membership.own.is_settled
        self._membership.own.is_settled = True
        if request.ranges == _ARRIVALS:  # None of those whom it follows told it of these.
            return self._merge(request.rows, request.sender, now, news_age=inf)
        return self._merge(request.rows, request.sender, now, news_age=_news_age(request.rows, is_joiner=is_joiner))

    def _encode(self, message: SyncRequest | SyncResponse, *, compressed: bool) -> bytes:
        data = self._dialect.encode(message)
        return self._dialect.compress(data) if compressed and len(message.rows) > _FEW else data

    def _held(self, spans: Sequence[Span], salt: int, now: float) -> list[Range]:
        """What we hold in some ranges. Who knows nobody says so, and is told of everybody."""
        if self._table.present_count <= 1:
            return _WHOLE_VIEW
        ranges: list[Range] = []
        if not spans:
            return ranges
        index = self._view.index(now)
        before = b""
        for start, end in spans:
            if start != before:
                ranges.append(Range(start, RangeKind.SKIP))
            ranges.append(Range(end, RangeKind.HELD, tuple(index.values(index.span(start, end), salt))))
            before = end
        return ranges

    def _compare(self, request: SyncRequest, now: float) -> tuple[list[int], list[Range]]:
        """The rows that the peer lacks, and the ranges of what it holds and we do not."""
        lacking: list[int] = []
        wanted: list[Range] = []
        if not request.ranges:
            return lacking, wanted
        for each in differences(self._view.index(now), request.ranges, request.seq):
            lacking += self._slots_of(each.lacking)
            if each.wanted:
                if each.start != (wanted[-1].end if wanted else b""):
                    wanted.append(Range(each.start, RangeKind.SKIP))
                wanted.append(Range(each.end, RangeKind.WANTED, tuple(each.wanted)))
        return lacking, wanted

    def _on_reply(
        self,
        address: Address,
        hops: int,
        on_synced: OnSynced,
        on_failure: OnFailure,
        data: bytes,
        now: float,
        *,
        is_question: bool,
        is_first: bool,
    ) -> None:
        reply = self._read_reply(data, on_failure, now)
        if reply is None:
            return
        if reply.others:
            self._ask_another(reply.others, hops, on_synced, on_failure, now)
            return
        if reply.sender != self._membership.id:
            asked = self._asked(reply, now)
            better = self._take_in(reply, now)
            slots = self._worth_telling(dict.fromkeys((*self._slots_of(asked), *better)))
            self._bring(address, slots, now, compressed=reply.takes_compressed)
            if is_first:
                self._follow(reply, address, now)
        self._stats.syncs_completed += 1
        if is_question and reply.sender != self._membership.id and reply.digest != self._table.digest:
            if not self.start(address, now, on_synced, on_failure, attempts=1):
                on_failure("too many exchanges are under way", now)
        else:
            on_synced(reply.sender, now)

    def _follow(self, reply: SyncResponse, address: Address, now: float) -> None:
        """Its view came as a copy, a moment old, and what it learns from now on we want to know too."""
        self.following.follow(reply.sender, address, reply.seq, now)
        if sum(age <= _STILL_SPREADING for age in reply.rows.ages) > _FEW:
            self._membership.flood.go_on(now)

    def _ask_for_arrivals(
        self, address: Address, position: int, slots: Sequence[int], now: float, on_answer: OnAnswer
    ) -> bool:
        request = SyncRequest(
            seq=position,
            digest=self._table.digest,
            sender=self._membership.id,
            takes_compressed=self._dialect.can_compress,
            ranges=_ARRIVALS,
            rows=self._table.snapshot(now, slots),
        )
        opened = self._exchanges.open(
            address,
            self._dialect.encode(request),
            partial(self._on_arrivals, on_answer),
            lambda _reason, now: on_answer(None, 0, now),
            attempts=1,
        )
        self._stats.syncs_started += opened
        return opened

    def _on_arrivals(self, on_answer: OnAnswer, data: bytes, now: float) -> None:
        reply = self._read_reply(data, _ignore, now)
        if reply is None or reply.sender == self._membership.id:
            on_answer(None, 0, now)
            return
        self._stats.syncs_completed += 1
        before = len(self._table)
        self._merge(reply.rows, reply.sender, now, news_age=_NO_NEWS)
        on_answer(reply, max(0, len(self._table) - before), now)

    def _asked(self, reply: SyncResponse, now: float) -> list[NodeId]:
        """Whose records the peer wants."""
        if not reply.ranges:
            return []
        return [id for each in differences(self._view.index(now), reply.ranges, reply.seq) for id in each.asked]

    def _ask_another(
        self, others: Sequence[Address], hops: int, on_synced: OnSynced, on_failure: OnFailure, now: float
    ) -> None:
        """Whoever we asked is busy with other joiners."""
        another = self._random.choice(others)
        if not hops or not self.start(another, now, on_synced, on_failure, attempts=1, hops=hops - 1):
            on_failure("it is busy, and so are the others that it named", now)

    def _worth_telling(self, slots: Iterable[int]) -> list[int]:
        """All of them; but a run that lost its name was told nothing since, and knows only who has that now."""
        own = self._membership.own
        return [slot for slot in slots if not own.is_superseded or self._table.name(slot) == own.info.name]

    def _bring(self, address: Address, slots: Sequence[int], now: float, *, compressed: bool) -> None:
        """Send the peer what it lacks or knows worse."""
        if slots:
            rows, can_compress = self._table.snapshot(now, slots), self._dialect.can_compress
            message = SyncRequest(0, self._table.digest, self._membership.id, can_compress, [], rows)
            data = self._encode(message, compressed=compressed and can_compress)
            self._exchanges.open(address, data, self._on_brought, _ignore)

    def _on_brought(self, data: bytes, now: float) -> None:
        reply = self._read_reply(data, _ignore, now)
        if reply is not None and reply.sender != self._membership.id:
            self._take_in(reply, now)

    def _read_reply(self, data: bytes, on_failure: OnFailure, now: float) -> SyncResponse | None:
        try:
            reply, _ = self._dialect.decode_stream(data)
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
        news_age = _news_age(reply.rows, is_joiner=not self._membership.own.is_settled)
        return self._merge(reply.rows, reply.sender, now, news_age=news_age)

    def _merge(self, rows: Snapshot, sender: NodeId, now: float, *, news_age: float) -> list[int]:
        """Take in rows of a peer's view; returns our rows that the peer must hear of."""
        weighed = self._membership.merge(rows, sender, now, news_age=news_age)
        better: list[int] = []
        for number in weighed:
            record = rows.records[number]
            id, name = NodeId(record[: NodeId.SIZE]), self._dialect.records.name(record)
            slot = contradicting_slot(self._table, id, rows.beliefs[number], name)
            if slot is not None:
                better.append(slot)
        return better

    def _slots_of(self, ids: Sequence[NodeId]) -> list[int]:
        slots = map(self._table.slot_of, ids)
        return [slot for slot in slots if slot is not None]


def _news_age(rows: Snapshot, *, is_joiner: bool) -> float:
    """How old a member may be, in seconds, that is gossiped on.

    A joiner gossips only what is young enough to be on its way still: what is older everybody knows, and a joiner that
    told it on would tell all of all.
    """
    return _NO_NEWS if len(rows) > _FEW else _STILL_SPREADING if is_joiner else inf


def _ignore(_reason: str, _now: float) -> None:
    """A record that was not brought is asked for again by the next comparison."""
