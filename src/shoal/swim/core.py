"""`Swim`: one member's protocol as a sans-I/O state machine.

It owns no socket, clock, task or random generator. Whoever drives it brings datagrams, stream messages, time and
commands in, and carries outputs and events out:

    core.start(now); core.join(seeds, now)
    loop: wait for a packet or until core.next_deadline()
          core.receive(data, source, now)   or   core.advance(now)
          for output in core.outgoing(): send it
          for event in core.events(): tell the user

Same inputs and same seed give the same outputs, byte for byte. Nothing that comes from the network makes a door
raise: it is counted in `stats.dropped` under a named reason, and dropped.

The parts, each in a module of its own: `membership` (how news changes what is believed) with `own_record`, `claims`,
`accusations`, `suspicions` and `deaths`; `prober` (the failure detector), `gossiper` and `gossip_queue` (how news
spreads), `sync` (how views are brought together), `joining` (how the cluster is found and found again), `exchanges`
(stream exchanges with their tries), `timers`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random
from typing import Any, Final

from shoal.config import ClusterConfig
from shoal.errors import ClosedError, ConfigError, UnknownMemberError
from shoal.events import (
    Event,
    HealthReason,
    LeaveCompleted,
    MessageReceived,
    Partition,
    PartitionDecided,
    PartitionRuling,
    StreamEnd,
    Verdict,
)
from shoal.state.table import MemberTable
from shoal.swim.agreement import Agreement
from shoal.swim.context import Context
from shoal.swim.exchanges import Exchanges
from shoal.swim.gossiper import Gossiper
from shoal.swim.health import LocalHealth
from shoal.swim.heartbeats import Heartbeat, Heartbeats
from shoal.swim.indexed_view import IndexedView
from shoal.swim.joining import Joining
from shoal.swim.mass_join import MassJoin
from shoal.swim.membership import Membership
from shoal.swim.mutual_schedule import MutualSchedule
from shoal.swim.outbox import Outbox
from shoal.swim.outputs import Output
from shoal.swim.partition.watch import PartitionWatch
from shoal.swim.probe_order import ProbeOrder
from shoal.swim.probe_schedule import OneByOne, ProbeSchedule
from shoal.swim.prober import Prober
from shoal.swim.reconciliation import Reconciliation
from shoal.swim.stats import Drop, Stats
from shoal.swim.sync import Sync
from shoal.swim.trust import Credulous, Trust
from shoal.swim.view_changes import ViewChanges
from shoal.types import Address, Member, MemberState, NodeId, NodeInfo, Note, Readiness
from shoal.wire.dialect import DecodeError, Dialect
from shoal.wire.messages import (
    Ack,
    Alive,
    Compare,
    Gossip,
    Message,
    Nack,
    Ping,
    PingRequest,
    SyncRequest,
    Update,
    UserMessage,
)

__all__ = ["Swim"]

_TIMERS_OF_PARTS: Final = 16
"""Of those that run whatever is under way: turns, rounds, sweeps; a dozen parts have one each."""
_CHECKED: Final = 4
"""Times the probes that may be under way: accusations that are being checked."""


class Swim:
    """One member. `now` is monotonic seconds and never falls; one thread at a time may be inside."""

    def __init__(
        self,
        config: ClusterConfig,
        info: NodeInfo,
        dialect: Dialect,
        random: Random,
        now: float,
        trust: Trust | None = None,
    ) -> None:
        """Make a member that knows only itself; `trust` says whose word it takes, everybody's by default.

        Of `config` the protocol's numbers are used; who and where the member is stands in `info`. Raises
        `MessageTooLargeError` when its name and tags do not fit in a datagram, and what `trust.sign` raises.
        """
        context = Context(config, dialect, random, trust or Credulous())
        self._context = context
        self._stats = context.stats
        self._dialect = context.dialect
        self._contact = context.contact
        self._queue = context.queue
        self._events = context.events
        self._table = context.table
        self._timers = context.timers
        order = ProbeOrder(context.table, random)
        self._outbox = Outbox(context)
        self._exchanges = Exchanges(context, self._outbox)
        self._membership = Membership(context, info, order, now)
        self._to_probe = self._membership.suspicions.to_probe
        self._unchecked = self._membership.announcements.unchecked
        self._disputed = self._membership.disputes.waiting
        schedule = _schedule(context, order, self._membership)
        self._prober = Prober(context, self._membership, schedule, self._outbox, self._exchanges)
        self._heartbeats = Heartbeats(context, self._membership, self._outbox, self._prober.next_seq)
        self._gossiper = Gossiper(context, self._membership, self._outbox)
        self._agreement = Agreement(context)
        view = IndexedView(context)
        self._sync = Sync(context, self._membership, self._agreement, view, self._exchanges, self._outbox)
        self._reconciliation = Reconciliation(
            context, self._membership, self._agreement, view, self._outbox, self._sync
        )
        self._joining = Joining(context, self._membership, self._sync)
        self._view_changes = ViewChanges(context, self._membership.suspicions.ids)
        self._partitions = PartitionWatch(
            context, lambda: self._membership.id, lambda: self._membership.deaths.damping.ids
        )
        self._events_seen = 0
        self._is_waiting_for_goodbye = False
        self.is_heard: Callable[[], bool] = lambda: True
        """Says whether anybody listens to events. To tell of 10,000 members that came in with a peer's view takes
        longer than to take them in, and is left out where nobody does."""
        self._handlers: dict[type[Message], Callable[[Any, Address, float], None]] = {
            Ping: self._on_ping,
            Ack: self._on_ack,
            PingRequest: self._prober.on_ping_request,
            Nack: self._prober.on_nack,
            Gossip: self._on_gossip,
            UserMessage: self._on_user_message,
        }

    # Doors

    def receive(self, data: bytes, source: Address, now: float) -> None:
        """A datagram arrived from `source`."""
        stats = self._stats
        stats.datagrams_in += 1
        stats.bytes_in += len(data)
        try:
            message, updates = self._dialect.decode(data, self._table.record_of)
        except DecodeError as error:
            stats.drop(error.flaw)
            return
        handler = self._handlers.get(type(message))
        if handler is None and not isinstance(message, Compare):
            stats.drop(Drop.WRONG_CHANNEL)
            return
        if message.sender == self._membership.id:
            stats.drop(Drop.FROM_OURSELVES)
            return
        self._contact.note(now)
        if len(updates) > self._context.config.max_new_members:
            updates = self._without_too_many_new(updates)
        # News first: a ping that tells us of a suspicion gets an ack that refutes it.
        for update in updates:
            self._membership.apply(update, now)
        if handler is not None:
            handler(message, source, now)
        elif isinstance(message, Compare):
            self._reconciliation.receive(message, updates, len(data), now)
        self._follow_up(now)

    def receive_stream(self, data: bytes, source: Address, now: float) -> bytes | None:
        """A whole stream message arrived from `source`; returns the reply, or None to close without one."""
        try:
            message, _ = self._context.dialect.decode_stream(data)
        except DecodeError as error:
            self.stats.drop(error.flaw)
            return None
        match message:
            case Ping():
                return self._prober.on_stream_ping(message)
            case SyncRequest():
                reply = self._sync.answer(message, now)
                if message.sender != self._membership.id:
                    self._joining.note_company()
                self._follow_up(now)
                return reply
            case _:
                self.stats.drop(Drop.WRONG_CHANNEL)
                return None

    def stream_replied(self, token: int, data: bytes, now: float) -> None:
        """The stream exchange of that token got its reply."""
        self._exchanges.replied(token, data, now)
        self._follow_up(now)

    def stream_failed(self, token: int, reason: str, now: float) -> None:
        """The stream exchange of that token got none; `reason` is for people."""
        self._exchanges.failed(token, reason, now)
        self._follow_up(now)

    def stream_refused(self, token: int, reason: str, now: float) -> None:
        """The stream exchange of that token was refused: nobody listens there, but the machine answered."""
        self._context.contact.note(now)
        self._exchanges.failed(token, reason, now, StreamEnd.REFUSED)
        self._follow_up(now)

    def stream_silent(self, token: int, reason: str, now: float) -> None:
        """The stream exchange of that token got no reply, although the machine had accepted the connection."""
        self._context.contact.note(now)
        self._exchanges.failed(token, reason, now, StreamEnd.SILENT)
        self._follow_up(now)

    def advance(self, now: float) -> None:
        """Fire the timers that are due."""
        self._timers.fire(now)
        self._follow_up(now)

    def next_deadline(self) -> float | None:
        """When `advance` is to be called next, unless another door changes it."""
        return self._timers.next_deadline()

    def outgoing(self) -> list[Output]:
        """What must be sent, since the last call."""
        return self._outbox.drain()

    def events(self) -> list[Event]:
        """What happened, since the last call."""
        if not self._events:
            return []
        events = [event for event in self._events if not isinstance(event, MassJoin)]
        self._events.clear()
        self._events_seen = 0
        return events

    def note_lag(self, seconds: float, reason: HealthReason, now: float) -> None:
        """Whoever drives the core saw this process stand still for so long, up to now."""
        self.health.note_lag(seconds, reason, now)

    # Commands

    def start(self, now: float) -> None:
        """Begin to probe, and to look for company for ever."""
        self._prober.start(now)
        self._joining.start(now)

    def join(self, seeds: Iterable[Address], now: float) -> None:
        """Contact members to join through; they are remembered and tried again for ever.

        Raises `ClosedError` after `leave`.
        """
        self._refuse_when_leaving("join")
        self._joining.join(seeds, now)

    def adopt(self, view: MemberTable) -> None:
        """Know from the start what `view` holds, which everybody in it knows too, this node's own row included.

        It is copied, without events and without gossip: for simulations of clusters that formed long ago.
        """
        self._table.copy_rows(view)
        self._context.queue.discard(self._membership.id)
        self._membership.own.is_settled = True
        self._joining.has_joined = len(view) > 1

    def acquaint(self, addresses: Iterable[Address], now: float) -> None:
        """Contact where members were once; they are tried until there is company, and then once more each.

        Raises `ClosedError` after `leave`.
        """
        self._refuse_when_leaving("join")
        self._joining.acquaint(addresses, now)

    def leave(self, now: float) -> None:
        """Say goodbye; wait until `has_left` before going away. Calling it again changes nothing."""
        if self._membership.own.is_leaving:
            return
        self._prober.stop()
        self._joining.stop()
        self._membership.own.leave(now)
        self._is_waiting_for_goodbye = True
        self._timers.at(now + self._context.config.leave_timeout, self._end_leave)
        self._follow_up(now)

    def set_tags(self, tags: Mapping[str, str], now: float) -> None:
        """Publish other tags in the place of the present ones.

        Raises `MessageTooLargeError` above `max_tag_bytes` and `ClosedError` after `leave`; then nothing changed.
        """
        self._refuse_when_leaving("publish tags")
        self._membership.own.set_tags(tags, now)
        self._follow_up(now)

    def set_readiness(self, readiness: Readiness, now: float) -> None:
        """Publish whether this node wants work; it has spread once `record_is_spread`.

        Raises `ClosedError` after `leave`.
        """
        self._refuse_when_leaving("publish its readiness")
        self._membership.own.set_readiness(readiness, now)
        self._follow_up(now)

    def declare_stall(self, seconds: float, now: float) -> None:
        """Say that this node will not answer for up to `seconds`, so that nobody declares it dead; 0: it is back.

        Wait until `stall_is_spread` before blocking. A further declaration takes the place of the last. Raises
        `ConfigError` for all but 0 to `max_stall`, and `ClosedError` after `leave`.
        """
        self._refuse_when_leaving("declare a stall")
        longest, is_number = self._context.config.max_stall, isinstance(seconds, int | float)
        if not (is_number and 0 <= seconds <= longest):
            raise ConfigError("at_most", seconds, f"must be 0 to {longest} seconds (max_stall)")
        self._membership.own.declare_stall(seconds, now)
        self._follow_up(now)

    def broadcast(self, payload: bytes, now: float) -> None:
        """Send bytes to all members, each of which gets them once, most likely.

        Raises `MessageTooLargeError` when they do not fit in a datagram and `ClosedError` after `leave`.
        """
        self._refuse_when_leaving("broadcast")
        self._membership.broadcasts.send(self._membership.id, payload)
        self._follow_up(now)

    def send(self, target: NodeId, payload: bytes, now: float) -> None:
        """Send bytes to one member in one datagram: once at most, most likely. Those to this node itself just arrive.

        Raises `UnknownMemberError`, `MessageTooLargeError`, and `ClosedError` after `leave`.
        """
        self._refuse_when_leaving("send")
        slot = self._table.slot_of(target)
        if slot is None:
            raise UnknownMemberError(f"no member has the id {target}")
        message = UserMessage(0, self._table.digest, self._membership.id, payload)
        if target == self._membership.id:
            self._outbox.check_limit(message)
            self._context.events.append(MessageReceived(target, payload))
        else:
            self._outbox.post_within_limit(message, self._table.address(slot))

    def rule_partition(self, ruling: PartitionRuling, why: str, now: float) -> None:
        """Say how the lease went that a `PartitionDecided` asked for: `STAY`, or `STAND_DOWN`; `why` is for people."""
        self._partitions.rule(ruling, why)
        self._follow_up(now)

    def put_out_revoked(self, now: float) -> None:
        """Put out members of whom `trust` has learned that their admission was taken back, and tell everybody."""
        self._membership.revocations.put_out_revoked(now)
        self._follow_up(now)

    def heartbeat(self, target: NodeId, now: float) -> Heartbeat:
        """Ping one run of a member beside the schedule.

        The answer is written into what is returned, and changes nothing else.
        Raises `UnknownMemberError`, and `ClosedError` after `leave`.
        """
        self._refuse_when_leaving("send a heartbeat")
        return self._heartbeats.send(target, now)

    # Reads

    @property
    def stats(self) -> Stats:
        """Counters of everything."""
        return self._context.stats

    @property
    def health(self) -> LocalHealth:
        """How well this node itself is doing."""
        return self._context.health

    @property
    def local(self) -> Member:
        """This node as it sees itself."""
        return self._membership.own.member

    @property
    def digest(self) -> int:
        """This view in 64 bits."""
        return self._table.digest

    @property
    def agreement(self) -> float | None:
        """Share of the last 64 answered probes whose ack carried our digest; None before the first."""
        return self._agreement.share

    @property
    def generation(self) -> int:
        """Rises with every change of `members()`."""
        return self._table.generation

    @property
    def joined(self) -> bool:
        """Whether another member has exchanged views with us."""
        return self._joining.has_joined

    @property
    def is_joining(self) -> bool:
        """Whether a seed is being contacted right now, or waits for its next try."""
        return self._joining.is_busy

    @property
    def missing_seeds(self) -> list[Address]:
        """Seeds at which no present member is known to be."""
        return self._joining.missing_seeds()

    @property
    def partition(self) -> Partition | None:
        """The partition that is suspected now."""
        return self._partitions.current

    @property
    def is_leaving(self) -> bool:
        """Whether `leave` was called."""
        return self._membership.own.is_leaving

    @property
    def stall_is_spread(self) -> bool:
        """Whether the last word of `declare_stall` went out as often as any update does, or nobody is there."""
        return self._membership.own.stall_is_spread

    @property
    def record_is_spread(self) -> bool:
        """Whether this node's tags and readiness went out as often as any update does, or nobody is there."""
        return self._membership.own.is_spread

    @property
    def goodbye_is_spread(self) -> bool:
        """Whether the goodbye went out as often as any update does, or nobody is there to hear it."""
        return self._membership.own.goodbye_is_spread

    @property
    def has_left(self) -> bool:
        """Whether the goodbye has spread, or `leave_timeout` has passed."""
        return self._membership.own.is_leaving and not self._is_waiting_for_goodbye

    @property
    def is_superseded(self) -> bool:
        """Whether a newer run holds our name, so that nobody sees us."""
        return self._membership.own.is_superseded

    @property
    def last_probe_success(self) -> float | None:
        """When a probe of ours was last answered, in monotonic seconds."""
        return self._prober.last_success

    def members(self) -> tuple[Member, ...]:
        """Everybody known, this node and tombstones too."""
        return self._table.members()

    def members_with(self, tags: Mapping[str, str]) -> tuple[Member, ...]:
        """Members that are alive or suspect and have all these tags, at least one; found through an index."""
        return self._table.members_with(tags)

    def member(self, id: NodeId) -> Member | None:
        """What is held of one run."""
        slot = self._table.slot_of(id)
        return None if slot is None else self._table.member(slot)

    def member_named(self, name: str) -> Member | None:
        """What is held of the newest run of a name."""
        slot = self._table.slot_named(name)
        return None if slot is None else self._table.member(slot)

    def verdicts(self, id: NodeId, now: float) -> tuple[Verdict, ...]:
        """The last verdicts about the runs of a member's name, the oldest first; a standing suspicion as it is now."""
        return self._membership.suspicions.verdicts(id, now)

    def take_stock(self, note: Note) -> None:
        """Note everything that this core keeps; ask when outputs and events have been taken."""
        note("timers", len(self._timers), self._most_timers)
        self._context.take_stock(note)
        self._membership.take_stock(note)
        self._prober.take_stock(note)
        self._heartbeats.take_stock(note)
        self._exchanges.take_stock(note)
        self._sync.take_stock(note)
        self._joining.take_stock(note)
        self._view_changes.take_stock(note)
        self._partitions.take_stock(note)
        self._outbox.take_stock(note)

    def counts(self) -> dict[MemberState, int]:
        """How many members are in each state."""
        return {state: self._table.count(state) for state in MemberState}

    def knows(self, address: Address) -> bool:
        """Whether a member that is alive or suspect is held to be at an address."""
        return self._table.slot_at(address) is not None

    # Inside

    @property
    def _most_timers(self) -> int:
        """One for each thing that runs out, some of the parts, and those of accusations that are being checked."""
        prober, membership = self._prober, self._membership
        suspects, damping = membership.suspicions.ids(), membership.deaths.damping
        running_out = len(prober) + len(self._exchanges) + len(membership.stalls) + len(suspects) + len(damping)
        return _TIMERS_OF_PARTS + _CHECKED * prober.most_probes + running_out

    def _without_too_many_new(self, updates: Sequence[Update]) -> list[Update]:
        """One datagram may not fill the table."""
        kept: list[Update] = []
        new = 0
        for update in updates:
            if isinstance(update, Alive) and self._table.slot_of(update.info.id) is None:
                new += 1
                if new > self._context.config.max_new_members:
                    self.stats.drop(Drop.TOO_MANY_NEW)
                    continue
            kept.append(update)
        return kept

    def _on_ping(self, ping: Ping, source: Address, now: float) -> None:
        self._prober.on_ping(ping, source, now)
        self._reconciliation.observe(ping.digest, ping.sender, now)

    def _on_ack(self, ack: Ack, _source: Address, now: float) -> None:
        if self._prober.on_ack(ack, now):
            self._agreement.note_probe(ack.digest)
        elif not self._heartbeats.on_ack(ack, now):
            self.stats.drop(Drop.UNMATCHED_REPLY)
        self._reconciliation.observe(ack.digest, ack.sender, now)

    def _on_gossip(self, message: Gossip, _source: Address, now: float) -> None:
        """Its updates were all there was to it, unless it tells of a lull in a flood of joins."""
        if message.seq:
            self._sync.following.hear_of_lull(message.sender, message.seq, now)

    def _on_user_message(self, message: UserMessage, _source: Address, _now: float) -> None:
        self._events.append(MessageReceived(message.sender, message.payload))

    def _follow_up(self, now: float) -> None:
        """After anything that may have brought news or carried our goodbye."""
        if len(self._events) > self._events_seen:
            self._look_at_events(now)
        if self._to_probe:
            self._prober.look_at_suspects(now)
        if self._unchecked:
            self._prober.have_suspects_checked(now)
        if self._disputed:
            self._prober.look_at_disputed(now)
        if self._queue.eager:
            self._gossiper.wake(now)
        if self._is_waiting_for_goodbye and self._membership.own.goodbye_is_spread:
            self._end_leave(now)

    def _look_at_events(self, now: float) -> None:
        """What the user will be told also tells of the cluster as a whole."""
        events = self._events
        while self._events_seen < len(events):
            event = events[self._events_seen]
            if isinstance(event, MassJoin):
                is_wanted = self.is_heard() or self._partitions.awaits_returns
                events[self._events_seen : self._events_seen + 1] = event if is_wanted else ()
                continue
            self._events_seen += 1
            self._view_changes.see(event, now)
            self._partitions.see(event, now)
            if isinstance(event, PartitionDecided) and event.decision.ruling is PartitionRuling.STAND_DOWN:
                self._stand_down(now)

    def _stand_down(self, now: float) -> None:
        if self._context.config.partition_stand_down:
            self.leave(now)

    def _end_leave(self, _now: float) -> None:
        if self._is_waiting_for_goodbye:
            self._is_waiting_for_goodbye = False
            self._events.append(LeaveCompleted())

    def _refuse_when_leaving(self, what: str) -> None:
        if self._membership.own.is_leaving:
            raise ClosedError(f"cannot {what}: this node has said goodbye")


def _schedule(context: Context, order: ProbeOrder, membership: Membership) -> ProbeSchedule:
    table, neighbours, random = context.table, context.config.neighbour_probes, context.random
    if context.config.has_turns:
        return MutualSchedule(table, order, neighbours, random, membership.deaths.damping.is_spotless)
    return OneByOne(table, order, neighbours, random)
