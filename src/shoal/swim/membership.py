"""How news changes what this node believes.

Every piece of news comes in here, by gossip (`apply`) or as a row of a peer's view (`apply_record`), and goes to the
part that it is about. A change is stored, told to the user as an event, and passed on as gossip. There is one rule for
which belief wins (`shoal.state.precedence`), one for which run holds a name or an address (`claims`), and one way to
die (`deaths`).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Final

from shoal.events import (
    MemberJoined,
    MemberReadinessChanged,
    MemberRecovered,
    MemberUpdated,
    NameConflict,
)
from shoal.snapshot import Snapshot
from shoal.state.comparison import NewRows
from shoal.state.precedence import incarnation_of, pack, state_of, supersedes
from shoal.swim.accusations import Accusations
from shoal.swim.announcements import Announcements
from shoal.swim.broadcasts import Broadcasts
from shoal.swim.claims import Claims
from shoal.swim.context import Context
from shoal.swim.corroboration import Corroboration
from shoal.swim.deaths import Deaths
from shoal.swim.disputes import Disputes
from shoal.swim.expiry import Expiry
from shoal.swim.gossip_queue import Priority
from shoal.swim.join_flood import JoinFlood
from shoal.swim.mass_join import MassJoin
from shoal.swim.news import News
from shoal.swim.own_record import OwnRecord
from shoal.swim.probe_order import ProbeOrder
from shoal.swim.revocations import Revocations
from shoal.swim.stalls import Stalls
from shoal.swim.stats import Drop
from shoal.swim.suspicions import Suspicions
from shoal.swim.vouching import Vouching
from shoal.swim.witnesses import Witnesses
from shoal.types import MemberState, NodeId, NodeInfo, Note
from shoal.wire.messages import Alive, Dead, Left, Repeated, Stall, Suspect, SyncRecord, Update, UserBroadcast
from shoal.wire.witnesses import read_testimony

__all__ = ["Membership"]

_MOST_CLAIMED: Final = 8
"""Members that a peer may hold dead and this node present, before the peer is taken to come from elsewhere. One that
was cut off for some seconds may not have been held dead here itself, and to accuse all at once takes five datagrams for
each."""


class Membership:
    """Takes in news, and holds the parts that it is about."""

    def __init__(self, context: Context, info: NodeInfo, order: ProbeOrder, now: float) -> None:
        self._table = context.table
        self._stats = context.stats
        self._records = context.dialect.records
        self._dialect = context.dialect
        self._max_members = context.config.max_members
        self._doubts_deaths = context.config.doubt_deaths
        self._standing = context.standing
        self._events = context.events
        self._tell = context.events.append
        self._order = order
        self._trust = context.trust
        self._vouching = Vouching(context)
        self._news = News(context, info.id)
        self.flood = JoinFlood(context)
        self.stalls = Stalls(context, self._news)
        self.disputes = Disputes(context.config)
        self.own = OwnRecord(context, info, self._news, self.stalls, now)
        self.broadcasts = Broadcasts(context, self._news)
        self.suspicions = Suspicions(context)
        self.deaths = Deaths(context, self.own, self.suspicions, self.stalls)
        self._claims = Claims(context, self.own, self.deaths)
        self.revocations = Revocations(context, self.own, self.deaths, self._vouching, self._news)
        self.corroboration = Corroboration(context)
        self.announcements = Announcements(
            context, self.own, self.suspicions, self.deaths.damping, self._news, self.corroboration
        )
        witnesses = Witnesses(context, self.own, self.deaths.damping, self._news)
        expiry = Expiry(context, self.own, self.suspicions, self.deaths, self.stalls, witnesses, self.announcements)
        self.accusations = Accusations(
            context,
            self.own,
            self._claims,
            self.suspicions,
            self.deaths,
            self.stalls,
            order,
            self._news,
            witnesses,
            self.disputes,
            self.announcements,
            expiry,
        )

    @property
    def id(self) -> NodeId:
        """Which run this node is."""
        return self.own.info.id

    def take_stock(self, note: Note) -> None:
        """Note what it keeps."""
        note("members and tombstones", len(self._table), self._max_members)
        self._vouching.take_stock(note)
        self.flood.take_stock(note)
        self.stalls.take_stock(note)
        self.disputes.take_stock(note)
        self.broadcasts.take_stock(note)
        self.suspicions.take_stock(note)
        self.announcements.take_stock(note)
        self.deaths.take_stock(note)
        self._order.take_stock(note)

    def apply(self, update: Update, now: float) -> None:
        """Take in one piece of news."""
        self._stats.updates_in += 1
        match update:
            case Repeated():
                self._news.hear_alive(update.id, update.incarnation)
                self._apply_repeated(update, now)
            case Suspect():
                self._news.hear(update)
                self.accusations.hear_suspicion(
                    update.id,
                    update.incarnation,
                    update.accuser,
                    now,
                    is_stalled=update.is_stalled,
                    witnesses=update.witnesses,
                    confirmers=update.confirmers,
                    age=update.age,
                )
            case Alive():
                if self._is_stranger(update.record):
                    self._let_in(update.record, update.incarnation, now)
                else:
                    self._news.hear_alive(update.info.id, update.incarnation)
                    self._apply_alive(update.info, update.incarnation, now)
            case Dead():
                self._news.hear(update)
                self.accusations.hear_death(update.id, update.incarnation, update.accuser, now, update.witnesses)
            case Left():
                self._news.hear(update)
                self._apply_left(update.id, update.incarnation, update.signature, now)
            case UserBroadcast():
                self.broadcasts.hear(update)
            case Stall():
                self._apply_stall(update, now)

    def apply_record(
        self, record: SyncRecord, sender: NodeId, now: float, *, is_news: bool = True, is_estranged: bool = False
    ) -> None:
        """Take in one row of a peer's view.

        What the peer holds dead is only suspected here while it is present, so that it can still refute; the peer is
        no accuser, so the suspicion names this node (memberlist's rule). Suspicions are left to gossip: they are over
        within seconds, and copies of one by several peers would look like as many confirmations. A death or goodbye
        of a member unknown here becomes a tombstone without an event. `is_news` says whether a member unknown here
        may be unknown to others too, and is gossiped; `is_estranged` that the peer may come from the other side of a
        partition, and knows no better than we who is dead on this one.

        Where members sign, the peer's word proves nothing: a death or goodbye counts with its testimony, and deaths of
        members unknown here are left to those who knew them.
        """
        info, incarnation = record.info, record.incarnation
        is_known = self._table.slot_of(info.id) is not None
        if self._is_mismatched(info):
            self._stats.drop(Drop.MISMATCHED_RUN)
        elif record.state.is_present:
            self._apply_alive(info, incarnation, now, is_news=is_news)
            self._note_disputed(info.id, incarnation, now)
            if record.state is MemberState.SUSPECT and info.id == self.id:
                self.own.refute(incarnation, now)
        elif self._is_our_name(info):
            self._meet_own_name(info, incarnation, record.state, now)
        elif not is_known:
            self._apply_tombstone(info, record, now)
        elif not self._trust.is_credulous:
            self._apply_end(record, sender, now, is_news=is_news)
        elif record.state is MemberState.DEAD:
            if self._table.is_present(info.id) and sender in self.deaths.damping:
                self._stats.drop(Drop.DAMPED_ACCUSER)
            elif self._table.is_present(info.id) and is_estranged:
                self._warn(info.id, incarnation, sender, now)
            elif self._table.is_present(info.id):
                self.accusations.hear_suspicion(info.id, incarnation, self.id, now)
            else:
                self.accusations.hear_death(info.id, incarnation, sender, now)
        else:
            self._apply_left(info.id, incarnation, record.testimony, now)

    def merge(self, snapshot: Snapshot, sender: NodeId, now: float, *, news_age: float = inf) -> list[int]:
        """Take in a peer's view, or a part of it: 10,000 rows in some 30 milliseconds.

        Rows that are held here just so change nothing. Members unknown here that are alive, and whose name and address
        nobody else has, come in all at once. Every other row goes through `apply_record`; returns which these were.
        Members unknown here are gossiped if they joined no longer than `news_age` seconds ago. Where nodes sign, each
        row goes through `apply_record`.
        """
        room = max(0, self._max_members - len(self._table)) if self._trust.is_credulous else 0
        rows = self._table.compare(snapshot, room=room, not_new=(self.id,))
        if rows.equal:
            self._stats.drop(Drop.STALE, rows.equal)
        if rows.new:
            self._welcome_all(rows.new, snapshot, now, news_age)
        is_estranged = self._is_not_established(sender, now) or self._claims_many(snapshot, rows.other)
        for number in rows.other:
            belief, age = snapshot.beliefs[number], snapshot.ages[number]
            info = self._records.unpack(snapshot.records[number])
            testimony = snapshot.testimonies.get(number, b"")
            record = SyncRecord(info, state_of(belief), incarnation_of(belief), age, testimony)
            self.apply_record(record, sender, now, is_news=age <= news_age, is_estranged=is_estranged)
        return rows.other

    def _welcome_all(self, rows: NewRows, snapshot: Snapshot, now: float, news_age: float) -> None:
        self._order.extend(self._table.add_all(rows, now))
        for number, record, belief in zip(rows.numbers, rows.records, rows.beliefs, strict=True):
            if snapshot.ages[number] <= news_age:
                self._tell_joined(record, incarnation_of(belief), now)
        self._events.append(MassJoin(rows.records, rows.beliefs, now, self._records))

    def _tell_joined(self, record: bytes, incarnation: int, now: float) -> None:
        if self._is_news(NodeId(record[: NodeId.SIZE]), incarnation, now):
            self._news.tell_alive(record, incarnation, Priority.NORMAL)

    def _is_news(self, id: NodeId, incarnation: int, now: float) -> bool:
        """Whether a member that is new here is gossiped: whoever had to refute already is, even in a flood of joins."""
        return incarnation > 0 or self.flood.is_news(id, now)

    def _note_disputed(self, id: NodeId, incarnation: int, now: float) -> None:
        """A peer holds a member present: if we hold it dead at that incarnation, it has to hear of it, from us."""
        slot = self._table.slot_of(id)
        if slot is not None and self._table.belief(slot) == pack(incarnation, MemberState.DEAD):
            self.disputes.add(id, now)

    def _is_not_established(self, peer: NodeId, now: float) -> bool:
        """Whether a peer has not been alive here, without a break, for long enough to know better than we who is."""
        return self._doubts_deaths and not self._standing.is_established(self._table.slot_of(peer), now)

    def _claims_many(self, snapshot: Snapshot, numbers: Sequence[int]) -> bool:
        """Whether a peer holds so many dead that are present here that it can only come from elsewhere."""
        if not self._doubts_deaths or len(numbers) <= _MOST_CLAIMED:
            return False
        dead = (number for number in numbers if state_of(snapshot.beliefs[number]) is MemberState.DEAD)
        claimed = sum(self._table.is_present(NodeId(snapshot.records[number][: NodeId.SIZE])) for number in dead)
        return claimed > _MOST_CLAIMED

    def _warn(self, id: NodeId, incarnation: int, sender: NodeId, now: float) -> None:
        """A peer from which we were cut off holds a member dead that we probe all along: the member may refute."""
        slot = self._table.slot_of(id)
        if slot is not None and supersedes(pack(incarnation, MemberState.DEAD), self._table.belief(slot)):
            self.disputes.add(id, now, self._dialect.encode_update(Dead(id, incarnation, sender)))
        else:
            self._stats.drop(Drop.STALE)

    def news_about(self, slot: int) -> list[Update]:
        """A row as the news that would bring it about, for a peer that may never have heard of the member."""
        info, belief = self._table.info(slot), self._table.belief(slot)
        incarnation = incarnation_of(belief)
        alive = Alive(info, incarnation)
        match state_of(belief):
            case MemberState.ALIVE:
                return [alive]
            case MemberState.SUSPECT:
                # The accuser is named as it was to us: a suspicion passed on is no further one.
                suspicion = self.suspicions[info.id]
                accuser, witnesses = suspicion.first_accuser, suspicion.told
                return [alive, Suspect(info.id, incarnation, accuser, witnesses=witnesses)]
            case MemberState.DEAD:
                return [alive, Dead(info.id, incarnation, self.id, read_testimony(self._table.testimony(slot)))]
            case MemberState.LEFT:
                return [alive, Left(info.id, incarnation, self._table.testimony(slot))]

    # Alive

    def _apply_repeated(self, repeated: Repeated, now: float) -> None:
        """An Alive that says what we have, or only that it is said again at a higher incarnation."""
        if not repeated.incarnation:  # Whatever is held of a run is no older than its first word.
            self._stats.drop(Drop.STALE)
            return
        slot = self._table.slot_of(repeated.id)
        if slot is None or not supersedes(pack(repeated.incarnation, MemberState.ALIVE), self._table.belief(slot)):
            self._stats.drop(Drop.STALE)
        elif self._trust.is_credulous and self._table.is_present_at(slot) and repeated.id != self.id:
            was = self._table.state(slot)
            self.deaths.acquit(slot, now)
            self._hold_alive(slot, was, repeated.incarnation, now)
        else:
            self._apply_alive(self._table.info(slot), repeated.incarnation, now)

    def _is_stranger(self, record: bytes) -> bool:
        """Whether a record that was read may come in without a rule to be weighed."""
        return (
            bool(record)
            and self._table.is_new(record)
            and len(self._table) < self._max_members
            and record[: NodeId.SIZE] != self.id
            and self._trust.is_credulous
        )

    def _let_in(self, record: bytes, incarnation: int, now: float) -> None:
        belief = pack(incarnation, MemberState.ALIVE)
        self._order.insert(self._table.add_record(record, belief, now))
        self._tell_joined(record, incarnation, now)
        self._events.append(MassJoin((record,), (belief,), now, self._records))

    def _apply_alive(self, info: NodeInfo, incarnation: int, now: float, *, is_news: bool = True) -> None:
        if self._is_mismatched(info):
            self._stats.drop(Drop.MISMATCHED_RUN)
        elif info.id == self.id:
            self._stats.drop(Drop.STALE)
        elif self._is_our_name(info):
            self._meet_own_name(info, incarnation, MemberState.ALIVE, now)
        elif (slot := self._table.slot_of(info.id)) is None:
            self._welcome(info, incarnation, now, is_news=is_news)
        elif supersedes(pack(incarnation, MemberState.ALIVE), self._table.belief(slot)):
            self._renew(slot, info, incarnation, now)
        else:
            self._stats.drop(Drop.STALE)

    def _is_mismatched(self, info: NodeInfo) -> bool:
        slot = self._table.slot_of(info.id)
        return slot is not None and self._table.name(slot) != info.name

    def _welcome(self, info: NodeInfo, incarnation: int, now: float, *, is_news: bool) -> None:
        """A run that is not in the table."""
        claims = self._claims
        if not (
            claims.may_take_name(info.name, info.id)
            and claims.may_take_address(info.address, info.id, info.name)
            and self.revocations.is_own_word(info, incarnation)
        ):
            return
        claims.clear_address(info.address, info.id, now)
        older = claims.clear_name(info.name, now)
        slot = self._table.add(info, pack(incarnation, MemberState.ALIVE), now)
        self._order.insert(slot)
        if older is not None:
            self.deaths.damping.succeed(older, info.id, now)
        if is_news and self._is_news(info.id, incarnation, now):
            self._news.tell(Alive(info, incarnation), Priority.NORMAL)
        member = self._table.member(slot)
        # A name that moves away from a run that seems well: perhaps two processes use it.
        if older is not None and older.state is MemberState.ALIVE and older.address != info.address:
            self._tell(NameConflict(winner=member, loser=older))
        self._tell(MemberJoined(member))

    def _renew(self, slot: int, info: NodeInfo, incarnation: int, now: float) -> None:
        """The owner's newer word about a run in the table: a refutation, a return from the dead, or new tags."""
        known, was = self._table.member(slot), self._table.state(slot)
        if not (
            self._claims.may_take_address(info.address, info.id, info.name)
            and self.revocations.is_own_word(info, incarnation)
        ):
            return
        self.deaths.acquit(slot, now)
        self._claims.clear_address(info.address, info.id, now)
        self._table.set_info(slot, info)
        self._hold_alive(slot, was, incarnation, now)
        member = self._table.member(slot)
        if was.is_present and known.tags != info.tags:
            self._tell(MemberUpdated(member, known.tags))
        if was.is_present and known.readiness is not member.readiness:
            self._tell(MemberReadinessChanged(member, known.readiness))

    def _hold_alive(self, slot: int, was: MemberState, incarnation: int, now: float) -> None:
        """A run in the table is alive at another incarnation, which everybody shall hear."""
        self._table.set_belief(slot, pack(incarnation, MemberState.ALIVE), now)
        priority = Priority.CRITICAL if was > MemberState.ALIVE else Priority.NORMAL
        self._news.tell_alive(self._table.record(slot), incarnation, priority)
        if was is MemberState.SUSPECT:
            self._tell(MemberRecovered(self._table.member(slot)))
        elif not was.is_present:
            self._order.insert(slot)
            self._tell(MemberJoined(self._table.member(slot)))

    # Gone, or away for a while

    def _apply_end(self, record: SyncRecord, sender: NodeId, now: float, *, is_news: bool) -> None:
        """A peer holds a run gone that is in our table, and members sign."""
        info, incarnation = record.info, record.incarnation
        slot = self._table.slot_of(info.id)
        assert slot is not None, "only known runs end here"
        if incarnation > incarnation_of(self._table.belief(slot)):
            self._apply_alive(info, incarnation, now, is_news=is_news)  # Its own last word, which we missed.
        if record.state is MemberState.LEFT:
            self._apply_left(info.id, incarnation, record.testimony, now)
        else:
            self.accusations.hear_death(info.id, incarnation, sender, now, read_testimony(record.testimony))

    def _apply_left(self, id: NodeId, incarnation: int, signature: bytes, now: float) -> None:
        if id == self.id:
            if not self.revocations.is_about_us(signature):
                self.own.deny_goodbye(now)
            return
        slot = self._table.slot_of(id)
        if slot is None:
            self._stats.drop(Drop.UNKNOWN_MEMBER)
            return
        belief, flaw = pack(incarnation, MemberState.LEFT), self._flaw_of_goodbye(slot, incarnation, signature)
        if flaw is None:
            self.deaths.part(slot, belief, now, signature)
            self._news.tell(Left(id, incarnation, signature), Priority.CRITICAL)
        elif not self.revocations.is_put_out(slot, signature, now):
            self._stats.drop(flaw)

    def _flaw_of_goodbye(self, slot: int, incarnation: int, signature: bytes) -> Drop | None:
        known = self._table.belief(slot)
        if not self._trust.is_credulous and incarnation > incarnation_of(known):
            return Drop.UNKNOWN_INCARNATION
        if not supersedes(pack(incarnation, MemberState.LEFT), known):
            return Drop.STALE
        if not self._trust.is_credulous and not self._trust.has_left(self._table.info(slot), incarnation, signature):
            return Drop.UNSIGNED_GOODBYE
        return None

    # Tombstones

    def _apply_tombstone(self, info: NodeInfo, record: SyncRecord, now: float) -> None:
        """A peer remembers a dead or left run that is not in our table; ours is not once it is superseded."""
        since = now - record.age
        is_doubtful = record.state is MemberState.DEAD and not self._trust.is_credulous
        if self.deaths.tombstones.is_over(since, now) or info.id == self.id:
            self._stats.drop(Drop.STALE)
        elif is_doubtful:  # Who signed it may be gone; if we meet the run as alive, we find out.
            self._stats.drop(Drop.UNKNOWN_MEMBER)
        elif self._claims.may_take_name(info.name, info.id) and self._vouching.is_own_word(info, record.incarnation):
            if self._trust.has_left(info, record.incarnation, record.testimony) or self._trust.has_revoked(
                info, record.testimony
            ):
                older = self._claims.clear_name(info.name, now)
                if older is not None:
                    self.deaths.damping.forget(older.id)
                self.deaths.remember(info, pack(record.incarnation, record.state), since, record.testimony)
            else:
                self._stats.drop(Drop.UNSIGNED_GOODBYE)

    def _apply_stall(self, stall: Stall, now: float) -> None:
        slot = self._table.slot_of(stall.id)
        if slot is None or not self._table.is_present_at(slot):
            self._stats.drop(Drop.UNKNOWN_MEMBER)
        elif stall.id == self.id or not self.stalls.is_news(stall):
            self._stats.drop(Drop.STALE)
        elif not self._trust.is_credulous and not self._trust.has_declared(
            self._table.info(slot), stall.number, stall.seconds, stall.proof
        ):
            self._stats.drop(Drop.UNSIGNED_STALL)
        else:
            self.stalls.take(stall, now)
            self._news.tell(stall, Priority.CRITICAL)

    # Other runs of our name

    def _is_our_name(self, info: NodeInfo) -> bool:
        return info.name == self.own.info.name and not self.own.is_superseded

    def _meet_own_name(self, info: NodeInfo, incarnation: int, state: MemberState, now: float) -> None:
        """News of another run of our name, or of our own run's end.

        An older run is outdated by our next word. A newer one is our own past with a faster clock if it was at our
        address, is gone, or is heard of while we are joining; otherwise it is a rival.
        """
        own = self.own
        if info.id == own.id:
            if state is MemberState.DEAD:
                own.refute(incarnation, now)
            else:
                own.deny_goodbye(now)
        elif info.id < own.id:
            self._stats.drop(Drop.OLD_RUN)
            if state.is_present and not own.is_leaving:
                own.announce_again()
        elif not own.is_leaving and self._vouching.is_own_word(info, incarnation):
            if own.is_settled and state.is_present and info.address != own.info.address:
                self._yield_name(info, incarnation, now)
            else:
                own.renew(info.id, now)

    def _yield_name(self, info: NodeInfo, incarnation: int, now: float) -> None:
        """A newer run holds our name in every view but ours: give it up here too, and say so."""
        if not self._claims.may_take_address(info.address, info.id, info.name):
            return
        self._claims.clear_address(info.address, info.id, now)
        loser = self.own.member
        self.own.yield_name()
        winner = self._table.add(info, pack(incarnation, MemberState.ALIVE), now)
        self._order.insert(winner)
        self._news.tell(Alive(info, incarnation), Priority.NORMAL)
        self._tell(NameConflict(winner=self._table.member(winner), loser=loser))
        self._tell(MemberJoined(self._table.member(winner)))
