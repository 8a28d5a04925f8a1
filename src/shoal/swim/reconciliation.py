"""Bringing two views together at a cost that follows their difference (docs/decisions/0023).

Views that differ for longer than news takes to spread are compared in datagrams, range by range, and the records that
one side lacks go along. Where that is too slow, because too much differs, or does not help, a stream does it (`sync`).

What keeps it harmless: only present members are answered, at the address that the table has of them; an answer is at
most eight times as large as its question, all answers of a second together have a limit, and a question says how many
steps may follow. Whatever is lost or cut short ends a comparison without harm: what was delivered is delivered, and as
long as views differ there is a next one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import inf
from typing import Final

from shoal.state.precedence import pack
from shoal.swim.agreement import Agreement
from shoal.swim.allowance import Allowance
from shoal.swim.comparison import Answer, Difference, answer_ranges, differences, opening
from shoal.swim.context import Context
from shoal.swim.contradictions import contradicting_slot
from shoal.swim.indexed_view import IndexedView
from shoal.swim.membership import Membership
from shoal.swim.outbox import Outbox
from shoal.swim.stats import Drop
from shoal.swim.sync import Sync
from shoal.types import Address, MemberState, NodeId
from shoal.wire.messages import Alive, Compare, Dead, Left, RangeKind, Repeated, Suspect, Update

__all__ = ["Reconciliation"]

_GAIN: Final = 8
"""How many times as large as its question an answer may be: a list of what somebody holds is short, the records that
it lacks are not."""
_MOST_STEPS: Final = 16
"""Answers in one comparison: five find the differences among 10,000 members, further ones carry what there was no room
for."""
_BYTES_PER_SECOND: Final = 65_536.0
"""Of all questions and answers about views; less than a node's gossip may take."""
_MANY: Final = 256
"""Members. So many differences are for a stream, which packs them better and takes no steps."""
_CHEAP: Final = 256
"""Members. To compare fewer costs so little that the unwell do it like all others."""
_MANY_OF_PARTS: Final = 64
"""Where so many parts differ and hardly one does not, most parts differ by more than one member."""
_FRUITLESS: Final = 3
"""So many comparisons without an equal digest since, and a stream is tried: datagrams may not get through, or a record
may not fit in one."""

_ROUNDS_OF_CALM: Final = 5
"""Gossip intervals without a change here, after which peers that differ have something that gossip will not bring."""
_LONGEST_WAIT: Final = 10.0
"""Seconds without agreement after which views are compared even though news still comes in."""

_LONGEST_UNWELL: Final = 60.0
"""The same for a node that was unwell a moment ago: on a busy machine all are late, with their verdicts too, and
comparing would make them later."""

_Belief = tuple[NodeId, int, str | None]
"""Which run an update is about, what it says of it, and the run's name if that is said too."""


class Reconciliation:
    """Decides when to compare, opens comparisons, and answers those of others without remembering them."""

    def __init__(
        self,
        context: Context,
        membership: Membership,
        agreement: Agreement,
        view: IndexedView,
        outbox: Outbox,
        sync: Sync,
    ) -> None:
        self._config = context.config
        self._dialect = context.dialect
        self._random = context.random
        self._table = context.table
        self._stats = context.stats
        self._health = context.health
        self._membership = membership
        self._agreement = agreement
        self._view = view
        self._outbox = outbox
        self._sync = sync
        self._allowance = Allowance(_BYTES_PER_SECOND)
        self._earliest = self._earliest_stream = 0.0
        self._fruitless = 0
        #: Seconds without a change after which gossip has said what it has to say.
        self._calm = _ROUNDS_OF_CALM * context.config.gossip_interval
        #: When a peer's digest was ours last; at first, when one was not.
        self._agreed_at = inf
        #: When our local health was bad last.
        self._unwell_at = -inf
        #: The salt of the comparison that this node began last, and with whom; it alone may go over to a stream.
        self._own: tuple[int, NodeId] | None = None

    def observe(self, digest: int, sender: NodeId, now: float) -> None:
        """A ping or ack carried the digest of the sender's view."""
        if self._health.score:
            self._unwell_at = now
        agreement = self._agreement
        if agreement.note(digest, is_expected=bool(self._membership.suspicions.ids())):
            self._fruitless = 0
            self._agreed_at = now
        elif (
            agreement.is_wanting
            and now >= self._earliest
            and not self._is_news_on_its_way(now)
            and self._table.is_present(sender)
        ):
            agreement.begin_anew()
            # While a cluster forms, comparisons bring no agreement, however often they are made.
            self._earliest = now + min(self._config.probe_interval * 2**self._fruitless, self._config.sync_interval)
            if self._sync.following.is_promising(now):  # As long as joins come, one comparison cannot bring agreement.
                self._agreed_at = now
            if not self._sync.following.catch_up(now):
                self._begin(sender, now)

    def _is_news_on_its_way(self, now: float) -> bool:
        """Whether gossip is still at work: what it brings need not be looked for, and who missed it hears nothing.

        An unwell node is late with everything, so news may well be waiting for it; one that follows another asks for
        what it lacks. Where views change all the time, or a node is never well, that is no reason to wait for ever.
        """
        self._agreed_at = min(self._agreed_at, now)
        if self._sync.following.is_promising(now) or (now - self._unwell_at < _LONGEST_WAIT and not self._is_cheap):
            return now - self._agreed_at < _LONGEST_UNWELL
        return now - self._table.changed_at < self._calm and now - self._agreed_at < _LONGEST_WAIT

    @property
    def _is_cheap(self) -> bool:
        return self._table.present_count <= _CHEAP

    def receive(self, message: Compare, updates: Sequence[Update], size: int, now: float) -> None:
        """A peer's question or answer came, in a packet of `size` bytes whose news was taken in already."""
        slot = self._table.slot_of(message.sender)
        if slot is None or not self._table.is_present(message.sender):
            self._stats.drop(Drop.UNKNOWN_MEMBER)
            return
        if self._health.score and not (self._is_cheap or self._view.is_at_hand):
            self._stats.drop(Drop.UNWELL)  # As if it were lost: whoever asked asks somebody else the next time.
            return
        said = [belief for belief in map(_belief_in, updates) if belief is not None]
        index = self._view.index(now)
        found = list(differences(index, message.ranges, message.seq))
        address = self._table.address(slot)
        if (message.seq, message.sender) == self._own and self._is_much(message, found):
            self._own = None
            if now >= self._earliest_stream:
                self._earliest_stream = now + self._config.sync_interval
                self._sync.start(address, now, spans=[(each.start, each.end) for each in found])
                return
        if not message.steps:
            return
        left = self._allowance.left(now)
        answer = self._empty_answer(min(_GAIN * size, int(left)))
        for update in self._contradictions(said):
            answer.tell(update)
        answer_ranges(answer, index, found, message.seq, self._records_of)
        if answer.is_cut and left < _GAIN * size:
            self._stats.drop(Drop.ABOVE_RATE)
        self._send(answer, message.seq, min(message.steps, _MOST_STEPS) - 1, address)

    def _begin(self, peer: NodeId, now: float) -> None:
        slot = self._table.slot_of(peer)
        assert slot is not None, "only a present member is compared with"
        address = self._table.address(slot)
        if self._fruitless >= _FRUITLESS and now >= self._earliest_stream:
            self._earliest_stream = now + self._config.sync_interval
            self._sync.start(address, now)
            return
        self._fruitless += 1
        salt = self._random.getrandbits(64) | 1
        self._own = salt, peer
        answer = self._empty_answer(int(self._allowance.left(now)))
        start = b""
        for each in opening(self._view.index(now), salt):
            answer.say(start, each)
            start = each.end
        self._stats.comparisons += 1
        self._send(answer, salt, _MOST_STEPS, address)

    def _empty_answer(self, budget: int) -> Answer:
        bare = Compare(0, 0, self._membership.id, len(self._table), _MOST_STEPS, ())
        cost = len(self._dialect.encode(bare)) + self._dialect.packet_overhead + 1  # a longer number of ranges
        return Answer(budget, self._config.max_datagram - cost, cost)

    def _send(self, answer: Answer, salt: int, steps: int, address: Address) -> None:
        for ranges, news in answer.packets:
            members = self._table.present_count
            message = Compare(salt, self._table.digest, self._membership.id, members, steps, ranges)
            packet = self._dialect.attach(self._dialect.encode(message), news)
            self._allowance.take(len(packet))
            self._stats.comparison_datagrams_out += 1
            self._stats.comparison_bytes_out += len(packet)
            self._stats.updates_out += len(news)
            self._outbox.post_packet(packet, address)

    def _is_much(self, message: Compare, found: Sequence[Difference]) -> bool:
        """Whether so much differs that a stream is the better way."""
        if abs(self._table.present_count - message.members) > _MANY:
            return True
        parts = sum(each.kind is RangeKind.FINGERPRINT for each in message.ranges)
        differing = sum(not (each.is_listed or each.asked) for each in found)
        listed = sum(len(each.lacking) + len(each.wanted) for each in found)
        return differing + listed > _MANY or (differing > _MANY_OF_PARTS and 5 * differing > 4 * parts)

    def _records_of(self, id: NodeId) -> Iterator[bytes]:
        slot = self._table.slot_of(id)
        if slot is None:  # The index is a moment old.
            return
        yield from map(self._dialect.encode_update, self._membership.news_about(slot))

    def _contradictions(self, said: Iterable[_Belief]) -> Iterator[bytes]:
        """What we know better than the peer of the members that it told us of."""
        for id, belief, name in said:
            slot = contradicting_slot(self._table, id, belief, name)
            if slot is not None:
                for known in self._membership.news_about(slot):
                    yield self._dialect.encode_update(known)


def _belief_in(update: Update) -> _Belief | None:
    match update:
        case Alive():
            return update.info.id, pack(update.incarnation, MemberState.ALIVE), update.info.name
        case Repeated():
            return update.id, pack(update.incarnation, MemberState.ALIVE), None
        case Suspect():
            return update.id, pack(update.incarnation, MemberState.SUSPECT), None
        case Dead():
            return update.id, pack(update.incarnation, MemberState.DEAD), None
        case Left():
            return update.id, pack(update.incarnation, MemberState.LEFT), None
        case _:
            return None
