"""What this node believes, and how news changes it.

Every change of the member table goes through here, whatever brought it: a datagram, a state sync, an own failed probe
or an own command. A change is stored, told to the user as an event, and passed on as gossip. There is one rule for
which belief wins (`shoal.state.precedence`), one for which run holds a name or an address (the newer id), and one way
to die (`_bury`).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import replace
from functools import partial

from shoal.errors import MessageTooLargeError
from shoal.events import (
    Accusation,
    BroadcastReceived,
    Evidence,
    HealthReason,
    MemberFailed,
    MemberJoined,
    MemberLeft,
    MemberRecovered,
    MemberSuspected,
    MemberUpdated,
    NameConflict,
    ProbeReport,
    Verdict,
    VerdictReason,
)
from shoal.state.precedence import MAX_INCARNATION, incarnation_of, pack, state_of, supersedes
from shoal.swim.broadcast_history import BroadcastHistory
from shoal.swim.context import Context
from shoal.swim.gossip_queue import Priority
from shoal.swim.probe_order import ProbeOrder
from shoal.swim.stalls import Stalls
from shoal.swim.stats import Drop
from shoal.swim.suspicion import Suspicion, suspicion_bounds
from shoal.swim.tombstones import Tombstones
from shoal.types import Member, MemberState, NodeId, NodeInfo, Tags
from shoal.wire.messages import Alive, Dead, Gossip, Left, Stall, Suspect, SyncRecord, Update, UserBroadcast

__all__ = ["Membership"]


class Membership:
    """The table, the suspicions, the tombstones and this node's own record."""

    def __init__(self, context: Context, info: NodeInfo, order: ProbeOrder, now: float) -> None:
        self._config = context.config
        self._dialect = context.dialect
        self._random = context.random
        self._table = context.table
        self._queue = context.queue
        self._health = context.health
        self._stats = context.stats
        self._contact = context.contact
        self._timers = context.timers
        self._verdicts = context.verdicts
        self._tell = context.events.append
        self._order = order
        self._suspicions: dict[NodeId, Suspicion] = {}
        self.new_suspects: list[NodeId] = []
        """Who came under suspicion since the prober last looked."""
        self._broadcasts_seen = BroadcastHistory(self._config.broadcast_history)
        self._broadcasts_made = 0
        self.tombstones = Tombstones(context)
        self.stalls = Stalls(context)
        self._stalls_declared = 0
        self.recently_dead: dict[NodeId, float] = {}
        """When each death was learned, in that order; the gossiper takes out what is no longer recent."""
        self.info = info
        """This node's own record."""
        self.incarnation = 0
        """Never falls, and only this node raises it."""
        self.is_leaving = False
        self.is_superseded = False
        """A newer run holds our name: we are in nobody's view any more."""
        self.is_settled = False
        """Whether we have exchanged views with a peer; until then a newer run of our name is our own past, not a
        rival."""
        empty = self._dialect.encode(Gossip(0, 0, info.id))
        overhead = self._dialect.packet_overhead + self._dialect.update_overhead
        #: Bytes of the largest update that fits in the smallest packet that carries updates.
        self._room = self._config.max_datagram - len(empty) - overhead
        self._check_size(info)
        self._table.add(info, pack(0, MemberState.ALIVE), now)
        self._announce()

    @property
    def id(self) -> NodeId:
        """Which run this node is."""
        return self.info.id

    @property
    def local(self) -> Member:
        """This node as it sees itself."""
        slot = self._table.slot_of(self.id)
        if slot is None:  # Superseded: the row of our name belongs to the newer run.
            state = MemberState.LEFT if self.is_leaving else MemberState.ALIVE
            info = self.info
            return Member(info.name, info.id, info.address, state, self.incarnation, info.tags, since=0.0)
        return self._table.member(slot)

    # What this node says of itself

    def set_tags(self, tags: Mapping[str, str], now: float) -> None:
        """Publish other tags; raises `MessageTooLargeError` when they exceed their limit."""
        info = NodeInfo(self.info.name, self.id, self.info.address, Tags(tags))
        if info.tags == self.info.tags:
            return
        self._check_size(info)
        previous, self.info = self.info.tags, info
        slot = self._table.slot_of(self.id)
        if slot is not None:
            self._table.set_info(slot, info)
            self._raise_incarnation(self.incarnation, now)
            self._tell(MemberUpdated(self.local, previous))

    def leave(self, now: float) -> None:
        """Say goodbye; it has spread once `goodbye_is_spread`."""
        self.is_leaving = True
        slot = self._table.slot_of(self.id)
        if slot is not None:
            self._table.set_belief(slot, pack(self.incarnation, MemberState.LEFT), now)
            self._gossip(Left(self.id, self.incarnation), Priority.CRITICAL)

    def declare_stall(self, seconds: float, now: float) -> None:
        """Say that this node will not answer for so long; 0 takes it back. It has spread once `stall_is_spread`."""
        self._stalls_declared += 1
        stall = Stall(self.id, self._stalls_declared, seconds)
        self.stalls.take(stall, now)
        self._gossip(stall, Priority.CRITICAL)

    @property
    def stall_is_spread(self) -> bool:
        """Whether the last declaration went out as often as any update does, or nobody is there to hear it."""
        return _stall_key(self.id) not in self._queue or self._table.present_count <= 1

    @property
    def goodbye_is_spread(self) -> bool:
        """Whether the goodbye went out as often as any update does, or nobody is there to hear it."""
        return self.is_leaving and (self.id not in self._queue or self._table.present_count == 0)

    def broadcast(self, payload: bytes) -> None:
        """Send bytes to everybody; raises `MessageTooLargeError` when they do not fit in one datagram."""
        self._broadcasts_made += 1
        update = UserBroadcast(self.id, self._broadcasts_made, payload)
        self._check_fits("broadcast", self._dialect.encode_update(update))
        self._broadcasts_seen.is_new(update.origin, update.number)
        self._gossip(update, Priority.LOW)

    # What others say

    def apply(self, update: Update, now: float) -> None:
        """Take in one piece of news."""
        self._stats.updates_in += 1
        match update:
            case Suspect():
                self._apply_suspect(update.id, update.incarnation, update.accuser, now)
            case Alive():
                self._apply_alive(update.info, update.incarnation, now)
            case Dead():
                self._apply_dead(update.id, update.incarnation, update.accuser, now)
            case Left():
                self._apply_left(update.id, update.incarnation, now)
            case UserBroadcast():
                self._apply_broadcast(update)
            case Stall():
                self._apply_stall(update, now)

    def apply_record(self, record: SyncRecord, sender: NodeId, now: float, *, is_news: bool = True) -> None:
        """Take in one row of a peer's view.

        What the peer holds dead is only suspected here while it is present, so that it can still refute; the peer is
        no accuser, so the suspicion names this node (memberlist's rule). Suspicions are left to gossip: they are over
        within seconds, and copies of one by several peers would look like as many confirmations. A death or goodbye
        of a member unknown here becomes a tombstone without an event. `is_news` says whether a member unknown here
        may be unknown to others too, and is gossiped.
        """
        info, incarnation = record.info, record.incarnation
        is_known = self._table.slot_of(info.id) is not None
        if self._is_mismatched(info):
            self._stats.drop(Drop.MISMATCHED_RUN)
        elif record.state.is_present:
            self._apply_alive(info, incarnation, now, is_news=is_news)
            if record.state is MemberState.SUSPECT and info.id == self.id:
                self._refute(incarnation, now)
        elif self._is_our_name(info):
            self._meet_own_name(info, incarnation, record.state, now)
        elif not is_known:
            self._apply_tombstone(info, record, now)
        elif record.state is MemberState.DEAD:
            if self._table.is_present(info.id):
                self._apply_suspect(info.id, incarnation, self.id, now)
            else:
                self._apply_dead(info.id, incarnation, sender, now)
        else:
            self._apply_left(info.id, incarnation, now)

    def records(self, now: float) -> list[SyncRecord]:
        """This node's view for a peer."""
        table = self._table
        return [
            SyncRecord(
                info=table.info(slot),
                state=table.state(slot),
                incarnation=incarnation_of(table.belief(slot)),
                age=max(0.0, now - table.since(slot)),
            )
            for slot in table.slots()
        ]

    # What this node found out

    def accuse(self, id: NodeId, incarnation: int, probe: ProbeReport, now: float) -> None:
        """Our own probe of a member failed; `incarnation` is what it had when the probe began.

        A member that has refuted meanwhile is alive, and the accusation stale.
        """
        if self._table.is_present(id):
            self._apply_suspect(id, incarnation, self.id, now, probe)

    def accuses(self, id: NodeId) -> bool:
        """Whether this node itself is among the accusers of a suspect."""
        suspicion = self._suspicions.get(id)
        return suspicion is not None and self.id in suspicion.accusers

    def verdict_about(self, id: NodeId) -> bytes | None:
        """The update that tells a member of the suspicion or death held against it; None if there is none.

        Lifeguard's buddy system, extended to the dead: whoever can still talk to us can still refute.
        """
        slot = self._table.slot_of(id)
        if slot is None:
            return None
        belief = self._table.belief(slot)
        match state_of(belief):
            case MemberState.SUSPECT if self._config.buddy:
                accuser = self._suspicions[id].first_accuser
                return self._dialect.encode_update(Suspect(id, incarnation_of(belief), accuser))
            case MemberState.DEAD:
                return self._dialect.encode_update(Dead(id, incarnation_of(belief), self.id))
            case _:
                return None

    def verdicts(self, id: NodeId, now: float) -> tuple[Verdict, ...]:
        """The last verdicts about a run's name, the oldest first; one that stands as a suspicion, as it stands now."""
        verdicts = self._verdicts.of(self.name_of(id))
        if not verdicts or id not in self._suspicions:
            return verdicts
        latest = verdicts[-1]
        return (*verdicts[:-1], replace(latest, evidence=self._evidence(latest.evidence.reason, id, now)))

    # Alive

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
        return slot is not None and self._table.info(slot).name != info.name

    def _welcome(self, info: NodeInfo, incarnation: int, now: float, *, is_news: bool) -> None:
        """A run that is not in the table."""
        if not (self._may_take_name(info) and self._may_take_address(info)):
            return
        self._clear_address(info, now)
        older = self._clear_name(info, now)
        slot = self._table.add(info, pack(incarnation, MemberState.ALIVE), now)
        self._order.insert(info.id)
        if is_news:
            self._gossip(Alive(info, incarnation), Priority.NORMAL)
        member = self._table.member(slot)
        # A name that moves away from a run that seems well: perhaps two processes use it.
        if older is not None and older.state is MemberState.ALIVE and older.address != info.address:
            self._tell(NameConflict(winner=member, loser=older))
        self._tell(MemberJoined(member))

    def _may_take_name(self, info: NodeInfo) -> bool:
        """Whether a run that is not in the table gets a row: no newer run holds its name, or else there is room."""
        slot = self._table.slot_named(info.name)
        if slot is not None and self._table.info(slot).id > info.id:
            self._stats.drop(Drop.OLD_RUN)
            return False
        if slot is None and len(self._table) >= self._config.max_members:
            self._stats.drop(Drop.TABLE_FULL)
            return False
        return True

    def _clear_name(self, info: NodeInfo, now: float) -> Member | None:
        """End and forget an older run of the same name; returns what it was."""
        slot = self._table.slot_named(info.name)
        if slot is None:
            return None
        older = self._table.member(slot)
        self._end_run(slot, now)
        self.tombstones.discard(older.id)
        self._table.remove(slot)
        return older

    def _may_take_address(self, info: NodeInfo) -> bool:
        """Whether neither a newer run nor this node is at the address."""
        slot = self._table.slot_at(info.address)
        holder = info.id if slot is None else self._table.info(slot).id
        if holder != info.id and (holder == self.id or holder > info.id):
            self._stats.drop(Drop.OLD_RUN)
            return False
        return True

    def _clear_address(self, info: NodeInfo, now: float) -> None:
        """End an older run at the same address."""
        slot = self._table.slot_at(info.address)
        if slot is not None and self._table.info(slot).id != info.id:
            self._end_run(slot, now)

    def _end_run(self, slot: int, now: float) -> None:
        """A newer run took over, so the old one is dead.

        Nobody is told, because whoever hears of the new run does the same.
        """
        if self._table.state(slot).is_present:
            incarnation = incarnation_of(self._table.belief(slot))
            evidence = self._evidence(VerdictReason.REPLACED, self._table.info(slot).id, now)
            self._bury(slot, pack(incarnation, MemberState.DEAD), evidence, now)

    def _renew(self, slot: int, info: NodeInfo, incarnation: int, now: float) -> None:
        """The owner's newer word about a run in the table: a refutation, a return from the dead, or new tags."""
        known, was = self._table.info(slot), self._table.state(slot)
        if not self._may_take_address(info):
            return
        self._note_refuted(info, now)
        self._cancel_suspicion(info.id)
        self.tombstones.discard(info.id)
        self._clear_address(info, now)
        self._table.set_info(slot, info)
        self._table.set_belief(slot, pack(incarnation, MemberState.ALIVE), now)
        self._gossip(Alive(info, incarnation), Priority.CRITICAL if was > MemberState.ALIVE else Priority.NORMAL)
        member = self._table.member(slot)
        if was is MemberState.SUSPECT:
            self._tell(MemberRecovered(member))
        elif not was.is_present:
            self._order.insert(info.id)
            self._tell(MemberJoined(member))
        if was.is_present and known.tags != info.tags:
            self._tell(MemberUpdated(member, known.tags))

    # Suspect

    def _apply_suspect(
        self, id: NodeId, incarnation: int, accuser: NodeId, now: float, probe: ProbeReport | None = None
    ) -> None:
        if id == self.id:
            self._refute(incarnation, now)
            return
        slot = self._table.slot_of(id)
        if slot is None:
            self._stats.drop(Drop.UNKNOWN_MEMBER)
            return
        if id in self.stalls:
            self._defend(id, now)
            return
        belief, incoming = self._table.belief(slot), pack(incarnation, MemberState.SUSPECT)
        if supersedes(incoming, belief):
            self._suspect(slot, incoming, accuser, now, probe)
        elif incoming == belief:
            self._confirm(id, incarnation, accuser, now, probe)
        else:
            self._stats.drop(Drop.STALE)

    def _suspect(self, slot: int, belief: int, accuser: NodeId, now: float, probe: ProbeReport | None) -> None:
        info, was = self._table.info(slot), self._table.state(slot)
        if not self._may_take_address(info):
            return
        id = info.id
        self._note_refuted(info, now)
        self._cancel_suspicion(id)
        self.tombstones.discard(id)
        self._clear_address(info, now)
        self._table.set_belief(slot, belief, now)
        members = self._table.present_count
        suspicion = Suspicion(accuser, suspicion_bounds(self._config, members), now, members=members)
        if probe is not None:
            suspicion.add_probe(probe)
        self._suspicions[id] = suspicion
        self._arm(id, suspicion, now)
        self._stats.suspicions += 1
        self.new_suspects.append(id)
        self._gossip(Suspect(id, incarnation_of(belief), accuser), Priority.HIGH)
        member = self._table.member(slot)
        # What it refuted, before it was suspected again, we did not hear of.
        if was is MemberState.SUSPECT:
            self._tell(MemberRecovered(member))
        elif not was.is_present:
            self._order.insert(id)
            self._tell(MemberJoined(member))
        reason = VerdictReason.PROBE_FAILED if probe is not None else VerdictReason.REPORTED
        evidence = self._evidence(reason, id, now)
        self._verdicts.add(Verdict(member, now, evidence))
        self._tell(MemberSuspected(member, evidence))

    def _confirm(self, id: NodeId, incarnation: int, accuser: NodeId, now: float, probe: ProbeReport | None) -> None:
        """A further accuser shortens the suspicion, and the first few are passed on (Lifeguard §IV-B)."""
        suspicion = self._suspicions[id]
        if probe is not None:
            suspicion.add_probe(probe)
        if not suspicion.confirm(accuser, now):
            self._stats.drop(Drop.STALE)
            return
        self._arm(id, suspicion, now)
        self._gossip(Suspect(id, incarnation, accuser), Priority.HIGH)

    def _arm(self, id: NodeId, suspicion: Suspicion, now: float) -> None:
        suspicion.cancel()
        due = max(suspicion.deadline, now)  # A late confirmation may leave no time at all.
        suspicion.timer = self._timers.at(due, partial(self._expire, id, suspicion, due))

    def _expire(self, id: NodeId, suspicion: Suspicion, due: float, now: float) -> None:
        """The suspicion was not refuted in time.

        Unless this process slept or hears nobody: then the refutation may be waiting in our own inbox, or be lost on
        our own link, and the suspect gets one more probe interval.
        """
        if id in self.stalls:
            again = self.stalls.until(id)
            suspicion.timer = self._timers.at(again, partial(self._expire, id, suspicion, again))
            return
        doubt = self._doubt(due, now)
        if doubt is not None:
            self._verdicts.withhold(id, doubt)
            again = now + self._config.probe_interval
            suspicion.timer = self._timers.at(again, partial(self._expire, id, suspicion, again))
            return
        slot = self._table.slot_of(id)
        assert slot is not None, "a suspicion outlived its row"
        incarnation = incarnation_of(self._table.belief(slot))
        reported_by = suspicion.declared_by
        reason = VerdictReason.SUSPICION_EXPIRED if reported_by is None else VerdictReason.REPORTED
        declared_by = reported_by or self.id
        self._gossip(Dead(id, incarnation, declared_by), Priority.HIGH)
        evidence = self._evidence(reason, id, now, declared_by=declared_by)
        self._bury(slot, pack(incarnation, MemberState.DEAD), evidence, now)

    def _doubt(self, due: float, now: float) -> HealthReason | None:
        """Why a suspicion that was due may have expired through our own fault."""
        if self._config.forgive_stalls and now - due > self._config.probe_timeout:
            return HealthReason.STALLED
        if self._contact.is_lost(now - self._config.probe_interval, now):
            return HealthReason.OUT_OF_CONTACT
        return None

    def _cancel_suspicion(self, id: NodeId) -> None:
        suspicion = self._suspicions.pop(id, None)
        if suspicion is not None:
            suspicion.cancel()

    # Dead and left

    def _apply_dead(self, id: NodeId, incarnation: int, accuser: NodeId, now: float) -> None:
        if id == self.id:
            self._refute(incarnation, now)
            return
        slot = self._table.slot_of(id)
        if slot is None:
            self._stats.drop(Drop.UNKNOWN_MEMBER)
            return
        if id in self.stalls:
            self._defend(id, now)
            return
        belief = pack(incarnation, MemberState.DEAD)
        if not supersedes(belief, self._table.belief(slot)):
            self._stats.drop(Drop.STALE)
            return
        if self._config.doubt_deaths and self._table.is_present(id):
            self._doubt_death(slot, incarnation, accuser, now)
            return
        self._gossip(Dead(id, incarnation, accuser), Priority.HIGH)
        evidence = self._evidence(VerdictReason.REPORTED, id, now, declared_by=accuser)
        self._bury(slot, belief, evidence, now)

    def _doubt_death(self, slot: int, incarnation: int, accuser: NodeId, now: float) -> None:
        """A death is reported of a member that is present here: it still gets time to refute.

        Who hears of every suspicion, as nearly all do, has counted most of that time already when the report comes.
        But a member with a bad link may declare deaths whose suspicion never got through, not even to the victim.
        """
        id, belief = self._table.info(slot).id, pack(incarnation, MemberState.SUSPECT)
        if supersedes(belief, self._table.belief(slot)):
            self._suspect(slot, belief, accuser, now, None)
        suspicion = self._suspicions.get(id)
        if suspicion is None or suspicion.declared_by is not None:
            self._stats.drop(Drop.STALE)
            return
        suspicion.declared_by = accuser
        self._arm(id, suspicion, now)
        self._gossip(Dead(id, incarnation, accuser), Priority.HIGH)

    def _apply_left(self, id: NodeId, incarnation: int, now: float) -> None:
        if id == self.id:
            if not self.is_leaving and not self.is_superseded:
                self._take_new_id(self.id, now)
            return
        slot = self._table.slot_of(id)
        if slot is None:
            self._stats.drop(Drop.UNKNOWN_MEMBER)
            return
        was, belief = self._table.state(slot), pack(incarnation, MemberState.LEFT)
        if not supersedes(belief, self._table.belief(slot)):
            self._stats.drop(Drop.STALE)
            return
        self._cancel_suspicion(id)
        self.stalls.end(id)
        self._verdicts.settle(id)
        self._table.set_belief(slot, belief, now)
        self.tombstones.add(id, now)
        self._gossip(Left(id, incarnation), Priority.CRITICAL)
        if was.is_present:
            self._tell(MemberLeft(self._table.member(slot)))

    def _bury(self, slot: int, belief: int, evidence: Evidence, now: float) -> None:
        """The one way in which a member becomes dead here."""
        id, was_present = self._table.info(slot).id, self._table.state(slot).is_present
        self._cancel_suspicion(id)
        self.stalls.end(id)
        self._verdicts.settle(id)
        self._table.set_belief(slot, belief, now)
        self.tombstones.add(id, now)
        self.recently_dead.pop(id, None)
        self.recently_dead[id] = now
        if len(self.recently_dead) > self._config.max_tombstones:
            del self.recently_dead[next(iter(self.recently_dead))]
        if was_present:
            self._stats.deaths += 1
            member = self._table.member(slot)
            self._verdicts.add(Verdict(member, now, evidence))
            self._tell(MemberFailed(member, evidence))

    def _apply_tombstone(self, info: NodeInfo, record: SyncRecord, now: float) -> None:
        """A peer remembers a dead or left run that is not in our table; ours is not once it is superseded."""
        since = now - record.age
        if self.tombstones.is_over(since, now) or info.id == self.id:
            self._stats.drop(Drop.STALE)
        elif self._may_take_name(info):
            self._clear_name(info, now)
            self._table.add(info, pack(record.incarnation, record.state), since)
            self.tombstones.add(info.id, since)

    def _apply_stall(self, stall: Stall, now: float) -> None:
        if not self._table.is_present(stall.id):
            self._stats.drop(Drop.UNKNOWN_MEMBER)
        elif stall.id == self.id or not self.stalls.take(stall, now):
            self._stats.drop(Drop.STALE)
        else:
            self._gossip(stall, Priority.CRITICAL)

    def _defend(self, id: NodeId, now: float) -> None:
        """Somebody accuses a member that has declared a stall: tell them of it, once at a time."""
        self._stats.drop(Drop.DECLARED_STALL)
        if _stall_key(id) not in self._queue:
            self._gossip(self.stalls.still(id, now), Priority.CRITICAL)

    def _apply_broadcast(self, update: UserBroadcast) -> None:
        if not self._broadcasts_seen.is_new(update.origin, update.number):
            self._stats.drop(Drop.REPEATED_BROADCAST)
            return
        self._gossip(update, Priority.LOW)
        self._tell(BroadcastReceived(update.origin, update.payload))

    # This node, as others see it

    def _refute(self, incarnation: int, now: float) -> None:
        """We are suspected or held dead: outbid the accused incarnation."""
        if self.is_leaving or self.is_superseded:
            self._stats.drop(Drop.STALE)
            return
        if incarnation < self.incarnation:  # The accuser missed our last word; say it again, once at a time.
            self._stats.drop(Drop.STALE)
            if self.id not in self._queue:
                self._announce(Priority.CRITICAL)
            return
        self._stats.refutations += 1
        self._health.worsen(HealthReason.SUSPECTED)
        self._raise_incarnation(incarnation, now, Priority.CRITICAL)

    def _raise_incarnation(self, above: int, now: float, priority: Priority = Priority.NORMAL) -> None:
        if above >= MAX_INCARNATION:  # Only a forger brings it there; a new run starts again at 0.
            self._take_new_id(self.id, now)
            return
        self.incarnation = above + 1
        slot = self._table.slot_of(self.id)
        assert slot is not None
        self._table.set_belief(slot, pack(self.incarnation, MemberState.ALIVE), now)
        self._announce(priority)

    def _is_our_name(self, info: NodeInfo) -> bool:
        return info.name == self.info.name and not self.is_superseded

    def _meet_own_name(self, info: NodeInfo, incarnation: int, state: MemberState, now: float) -> None:
        """News of another run of our name, or of our own run's end.

        An older run is outdated by our next word. A newer one is our own past with a faster clock if it was at our
        address, is gone, or is heard of while we are joining; otherwise it is a rival.
        """
        if info.id == self.id:
            if state is MemberState.DEAD:
                self._refute(incarnation, now)
            else:
                self._apply_left(self.id, incarnation, now)
        elif info.id < self.id:
            self._stats.drop(Drop.OLD_RUN)
            if state.is_present and not self.is_leaving and self.id not in self._queue:
                self._announce()
        elif not self.is_leaving:
            if self.is_settled and state.is_present and info.address != self.info.address:
                self._yield_name(info, incarnation, now)
            else:
                self._take_new_id(info.id, now)

    def _take_new_id(self, above: NodeId, now: float) -> None:
        """Become a new run of our name, with an id higher than `above`, so that every view takes us for the latest."""
        self._drop_own_row()
        self.info = NodeInfo(self.info.name, NodeId.mint_after(above, self._random), self.info.address, self.info.tags)
        self.incarnation = 0
        self._stats.renewals += 1
        self._table.add(self.info, pack(0, MemberState.ALIVE), now)
        self._announce()

    def _yield_name(self, info: NodeInfo, incarnation: int, now: float) -> None:
        """A newer run holds our name in every view but ours: give it up here too, and say so."""
        if not self._may_take_address(info):
            return
        self._clear_address(info, now)
        loser = self.local
        self.is_superseded = True
        self._drop_own_row()
        winner = self._table.add(info, pack(incarnation, MemberState.ALIVE), now)
        self._order.insert(info.id)
        self._gossip(Alive(info, incarnation), Priority.NORMAL)
        self._tell(NameConflict(winner=self._table.member(winner), loser=loser))
        self._tell(MemberJoined(self._table.member(winner)))

    def _drop_own_row(self) -> None:
        slot = self._table.slot_of(self.id)
        assert slot is not None, "only a superseded node has no row of its own"
        self.stalls.end(self.id)
        self._table.remove(slot)
        self._queue.discard(self.id)

    def _announce(self, priority: Priority = Priority.NORMAL) -> None:
        self._gossip(Alive(self.info, self.incarnation), priority)

    # Helpers

    def _gossip(self, update: Update, priority: Priority) -> None:
        key = _key(update)
        data = self._dialect.encode_update(update)
        if len(data) <= self._room:
            self._queue.push(key, data, priority)
        else:  # A peer with larger datagrams sent it; waiting here, it would only be in the way of other news.
            self._queue.discard(key)
            self._stats.drop(Drop.OVERSIZED)

    def _evidence(self, reason: VerdictReason, id: NodeId, now: float, declared_by: NodeId | None = None) -> Evidence:
        """What speaks against a run as things stand."""
        suspicion = self._suspicions.get(id)
        accusers = {} if suspicion is None else suspicion.accusers
        return Evidence(
            reason=reason,
            accusations=tuple(Accusation(self.name_of(accuser), at) for accuser, at in accusers.items()),
            declared_by=None if declared_by is None else self.name_of(declared_by),
            suspicion=None if suspicion is None else suspicion.time(now),
            probes=() if suspicion is None else tuple(suspicion.probes),
            withheld=self._verdicts.withheld_from(id),
            local_health=self._health.points,
        )

    def _note_refuted(self, info: NodeInfo, now: float) -> None:
        """The owner outbid what was held against it, if anything was."""
        self._verdicts.note_refuted(info.name, info.id, now)
        self._verdicts.settle(info.id)

    def name_of(self, id: NodeId) -> str:
        """The name of a run, or its id where that is all we have."""
        slot = self._table.slot_of(id)
        return self._table.info(slot).name if slot is not None else str(id)

    def _check_size(self, info: NodeInfo) -> None:
        size = self._dialect.tags_size(info.tags)
        if size > self._config.max_tag_bytes:
            raise MessageTooLargeError("tag set", size, self._config.max_tag_bytes, "max_tag_bytes")
        self._check_fits("own record", self._dialect.encode_update(Alive(info, MAX_INCARNATION)))

    def _check_fits(self, what: str, update: bytes) -> None:
        if len(update) > self._room:
            raise MessageTooLargeError(what, len(update), self._room, "max_datagram")


def _key(update: Update) -> Hashable:
    """What an update is about: of two with one key, the later takes the place of the earlier."""
    match update:
        case Alive():
            return update.info.id
        case UserBroadcast():
            return (update.origin, update.number)
        case Stall():
            return _stall_key(update.id)
        case _:
            return update.id


def _stall_key(id: NodeId) -> Hashable:
    return ("stall", id)
