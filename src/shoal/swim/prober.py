"""The failure detector: one probe per interval, and our part in the probes of others (SWIM §3.1, Lifeguard §IV-A).

A probe goes: ping; without an answer in the usual time, ping requests to some relays and a ping over a stream; a probe
timeout later the verdict. Any ack until then, by whichever way, is a success.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from math import ceil, inf
from typing import Final

from shoal.events import HealthReason, ProbeReport, StreamEnd
from shoal.state.precedence import incarnation_of
from shoal.swim.context import Context
from shoal.swim.exchanges import Exchanges
from shoal.swim.membership import Membership
from shoal.swim.outbox import Outbox
from shoal.swim.probe_schedule import ProbeSchedule
from shoal.swim.round_trip import RoundTrip
from shoal.swim.stats import Drop
from shoal.swim.timers import Timer
from shoal.types import Address, NodeId, Note
from shoal.wire.dialect import DecodeError
from shoal.wire.messages import Ack, Gossip, Nack, Ping, PingRequest

__all__ = ["Prober"]

_RELAY_LIFE: Final = 2.0
"""Timeouts of a ping request for which its relay waits for the target: a late ack is worth passing on until the
requester's verdict falls, which is one timeout after it asked and at most another one later."""

_TURNS_AT_ONCE: Final = 8
"""Turns of the schedule that may come together when a process was late."""


@dataclass(slots=True)
class _Probe:
    """One probe of ours that waits for an answer. Times are in seconds."""

    seq: int
    target: NodeId
    incarnation: int
    """Of the target when the probe began."""
    started: float
    timeout: float
    """For the direct ping."""
    relay_time: float
    """For the relays and the stream, after that."""
    timer: Timer
    asked: float = 0.0
    """When the relays were asked."""
    deadline: float = 0.0
    """When the verdict falls; known from then on."""
    relays: tuple[NodeId, ...] = ()
    nacked: dict[NodeId, None] = field(default_factory=dict)
    """Relays that had no answer either, in the order in which they said so."""
    stream_tried: bool = False
    stream_end: StreamEnd | None = None

    def note_stream_end(self, end: StreamEnd) -> None:
        """The stream brought no answer."""
        self.stream_end = end


@dataclass(slots=True)
class _Relayed:
    """A ping that we sent in the place of another member."""

    requester: Address
    requester_seq: int
    target: NodeId
    timer: Timer
    """Of the nack, and after it of the end."""


class Prober:
    """Probes one member after the other, answers pings, and pings for others."""

    def __init__(
        self, context: Context, membership: Membership, schedule: ProbeSchedule, outbox: Outbox, exchanges: Exchanges
    ) -> None:
        self._config = context.config
        self._dialect = context.dialect
        self._random = context.random
        self._table = context.table
        self._timers = context.timers
        self._contact = context.contact
        self._health = context.health
        self._stats = context.stats
        self._verdicts = context.verdicts
        self._membership = membership
        self._schedule = schedule
        self._outbox = outbox
        self._exchanges = exchanges
        # A random start makes an ack hard to forge for whoever does not see our pings.
        self._seq = context.random.getrandbits(62)
        self._round_trip = RoundTrip(context.config)
        #: The scheduled probe and the challenges that wait for an answer, by their sequence numbers.
        self._probes: dict[int, _Probe] = {}
        self._relayed: dict[int, _Relayed] = {}
        self._turn: Timer | None = None
        self._turn_at = inf
        #: For how many turns of the schedule a probe may last: in vain, and begun when our health was at its worst.
        longest = 2 * context.config.probe_timeout * (context.config.local_health_max + 1)
        self._most_turns = _TURNS_AT_ONCE + ceil(2 * longest / context.config.probe_interval)
        self.last_success: float | None = None
        """When a probe was last answered, in monotonic seconds."""

    def __len__(self) -> int:
        """Pings of ours that wait for an answer."""
        return len(self._probes) + len(self._relayed)

    def take_stock(self, note: Note) -> None:
        """Note what it keeps."""
        note("probes under way", len(self._probes), self.most_probes)
        note("pings for others", len(self._relayed), self._config.max_relayed)

    def start(self, now: float) -> None:
        """Begin to probe."""
        self._schedule.start(now, self._config.probe_interval)
        self._await_turn()

    def stop(self) -> None:
        """Probe no more; still answer others."""
        for probe in self._probes.values():
            probe.timer.cancel()
        self._probes.clear()

    @property
    def most_probes(self) -> int:
        """How many may be under way: each turn may probe the damped beside a neighbour too."""
        return self._config.max_challenges + self._most_turns * (1 + len(self._membership.deaths.damping))

    # Our own probes

    def _begin(self, now: float) -> None:
        """Probe the next member of the schedule."""
        if self._membership.own.is_leaving:
            return
        self._turn_at = inf
        self._conclude_due(now)
        targets = self._schedule.take(self._membership.id, now, self._interval)
        self._await_turn()
        for target in targets:
            self._start(target, now)

    def _await_turn(self) -> None:
        if self._turn_at != self._schedule.due:
            if self._turn is not None:
                self._turn.cancel()
            self._turn_at = self._schedule.due
            self._turn = self._timers.at(self._turn_at, self._begin)

    @property
    def _interval(self) -> float:
        return self._config.probe_interval * self._health.multiplier

    def look_at_suspects(self, now: float) -> None:
        """Act on suspicions that are new here.

        Challenge a suspect where we stand close enough before it on the ring, and take over whom it watched.
        """
        suspects = self._membership.suspicions.to_probe
        while suspects:
            suspect = suspects.pop()
            if self._is_challenger_of(suspect):
                self._challenge(suspect, now)
            if not self._membership.own.is_leaving:
                for heir in self._schedule.inherited(suspect, self._membership.id):
                    self._challenge(heir, now)

    def look_at_disputed(self, now: float) -> None:
        """Tell those whom we hold dead and a peer does not, or the other way round, so that they can refute."""
        disputed = self._membership.disputes.waiting
        while disputed:
            id, claim = disputed.pop()
            slot = self._table.slot_of(id)
            if slot is not None:  # A newer run may have taken its name meanwhile.
                self._ping(id, self._table.address(slot), self.next_seq(), now, claim)

    def _challenge(self, id: NodeId, now: float) -> None:
        """Probe a member out of turn, unless that is being done or too much else is."""
        is_probed = any(probe.target == id for probe in self._probes.values())
        if not is_probed and len(self._probes) < self._config.max_challenges:
            self._stats.challenges += 1
            self._start(id, now)

    def _is_challenger_of(self, suspect: NodeId) -> bool:
        own, accusations = self._membership.own, self._membership.accusations
        if own.is_leaving or accusations.is_ours(suspect):
            return False
        if self._membership.corroboration.is_challenger(own.id, suspect):
            return True
        return accusations.is_unconfirmed(suspect) and self._table.is_present(own.id)

    def have_suspects_checked(self, now: float) -> None:
        """Tell those whom we accuse, and those who challenge them then."""
        unchecked = self._membership.announcements.unchecked
        while unchecked:
            suspect = unchecked.pop()
            if self._membership.accusations.is_ours(suspect):
                self._have_checked(suspect, now)

    def _have_checked(self, suspect: NodeId, now: float) -> None:
        self._ping(suspect, self._address_of(suspect), self.next_seq(), now)
        first_accuser = self._table.slot_of(self._membership.suspicions[suspect].first_accuser)
        slots = dict.fromkeys((*self._membership.corroboration.challengers(suspect), first_accuser))
        accusation = self._membership.announcements.held_suspicion(suspect, now)
        message = Gossip(0, self._table.digest, self._membership.id)
        for slot in slots:
            if slot is not None and self._table.id(slot) != self._membership.id:
                self._outbox.post_with_news(message, self._table.address(slot), now, accusation)

    def _start(self, target: NodeId, now: float) -> None:
        seq, multiplier = self.next_seq(), self._health.multiplier
        timeout, relay_time = self._round_trip.timeout * multiplier, self._config.probe_timeout * multiplier
        ask_others = self._timers.at(now + timeout, partial(self._ask_others, seq))
        slot = self._table.slot_of(target)
        assert slot is not None, "only known members are probed"
        incarnation = incarnation_of(self._table.belief(slot))
        self._probes[seq] = _Probe(seq, target, incarnation, now, timeout, relay_time, ask_others)
        self._stats.probes += 1
        self._ping(target, self._table.address(slot), seq, now)

    def _ask_others(self, seq: int, now: float) -> None:
        """The direct ping was not answered in time: ask relays, and try a stream."""
        probe = self._probes[seq]
        if not self._table.is_present(probe.target):
            del self._probes[seq]
            return
        if self._is_stall(now - (probe.started + probe.timeout)):
            self._health.worsen(HealthReason.STALLED)
        # Relays get their time however late they are asked.
        probe.asked, probe.deadline = now, now + probe.relay_time
        probe.timer = self._timers.at(probe.deadline, partial(self._conclude, probe))
        address = self._address_of(probe.target)
        self._ask_relays(probe, address)
        if self._config.stream_probe:
            self._ping_over_stream(probe, address)

    def _ask_relays(self, probe: _Probe, address: Address) -> None:
        skip = {self._membership.id, probe.target} | self._membership.deaths.damping.ids
        slots = self._table.sample(self._random, self._config.indirect_probes, skip)
        probe.relays = tuple(self._table.id(slot) for slot in slots)
        request = PingRequest(
            probe.seq, self._table.digest, self._membership.id, probe.target, address, timeout=probe.relay_time
        )
        for slot in slots:
            self._stats.ping_requests_out += 1
            self._outbox.post_with_news(request, self._table.address(slot), probe.asked)

    def _ping_over_stream(self, probe: _Probe, address: Address) -> None:
        ping = Ping(probe.seq, self._table.digest, self._membership.id, probe.target)
        probe.stream_tried = self._exchanges.open(
            address,
            self._dialect.encode(ping),
            partial(self._on_stream_ack, probe),
            lambda _reason, _now: None,
            # What became of it must be known when the verdict falls.
            timeout=self._config.nack_fraction * probe.relay_time,
            attempts=1,
            on_end=probe.note_stream_end,
        )

    def _on_stream_ack(self, probe: _Probe, data: bytes, now: float) -> None:
        try:
            reply, _ = self._dialect.decode_stream(data)
        except DecodeError as error:
            self._stats.drop(error.flaw)
            return
        is_answer = isinstance(reply, Ack) and reply.seq == probe.seq and reply.sender == probe.target
        if is_answer and probe.seq in self._probes:
            self._stats.probes_acked_by_stream += 1
            self._succeed(probe, now)

    def _succeed(self, probe: _Probe, now: float) -> None:
        probe.timer.cancel()
        del self._probes[probe.seq]
        self._stats.probes_acked += 1
        self._health.improve()
        self._verdicts.settle(probe.target)
        self.last_success = now

    def _conclude(self, probe: _Probe, now: float) -> None:
        """Nobody answered: pass the verdict, unless the fault may be ours."""
        del self._probes[probe.seq]
        if not self._table.is_present(probe.target):
            return
        if probe.target in self._membership.stalls:
            self._stats.probes_inconclusive += 1
            return
        doubt = self._doubt(probe, now)
        if doubt is None:
            self._fail(probe, now)
        else:
            self._stats.probes_inconclusive += 1
            self._verdicts.withhold(probe.target, doubt)
            self._health.worsen(doubt)

    def _conclude_due(self, now: float) -> None:
        """Pass the verdicts that are due now, so that the next ping can carry them and knows our local health."""
        if not self._probes:
            return
        for probe in [probe for probe in self._probes.values() if probe.asked and probe.deadline <= now]:
            probe.timer.cancel()
            self._conclude(probe, now)

    def _doubt(self, probe: _Probe, now: float) -> HealthReason | None:
        """Why the failure of a probe may be our own."""
        if self._is_stall(now - probe.deadline):
            return HealthReason.STALLED  # The ack may be waiting in our own inbox.
        if self._contact.is_lost(probe.asked, now):
            return HealthReason.OUT_OF_CONTACT  # Not even a nack came.
        return None

    def _is_stall(self, late: float) -> bool:
        """Whether a timer was so late that this process cannot have been running, and that is forgiven."""
        return self._config.forgive_stalls and late > self._config.probe_timeout

    def _fail(self, probe: _Probe, now: float) -> None:
        self._stats.probes_failed += 1
        self._rate_ourselves(probe, now)
        self._probe_silent_relays(probe, now)
        name_of = self._table.name_of
        report = ProbeReport(
            started=probe.started,
            timeout=probe.asked - probe.started,
            deadline=now - probe.started,
            relays=tuple(map(name_of, probe.relays)),
            nacks=tuple(map(name_of, probe.nacked)),
            stream_tried=probe.stream_tried,
            stream_end=probe.stream_end,
        )
        self._membership.accusations.accuse(probe.target, probe.incarnation, report, now)

    def _rate_ourselves(self, probe: _Probe, now: float) -> None:
        """What a failed probe says of our own health."""
        if not self._config.trust_contact:
            self._health.worsen(HealthReason.PROBE_FAILED)
            if len(probe.nacked) < len(probe.relays):
                self._health.worsen(HealthReason.NACK_MISSED)
        elif not self._contact.is_proved(probe.asked) and self._table.present_count > 2:
            # Silence for longer than `withhold_verdicts`: we take ourselves for the survivor, and go on at full speed.
            self._health.reset()

    def _probe_silent_relays(self, probe: _Probe, now: float) -> None:
        """A relay that neither passed on an ack nor owned up to having none may be as dead as the target."""
        if not self._config.challengers or (self._config.trust_contact and self._health.score):
            return  # Unwell ourselves, we would accuse whoever we asked.
        for relay in probe.relays:
            if relay not in probe.nacked and self._table.is_steady(relay):
                self._challenge(relay, now)

    # Answers

    def on_ack(self, ack: Ack, now: float) -> bool:
        """An ack for a probe of ours, or for a ping that we sent for another member; False if it is for neither."""
        probe = self._probes.get(ack.seq)
        if probe is not None:
            if ack.sender == probe.target:
                if not probe.relays:
                    self._round_trip.learn(now - probe.started)
                self._succeed(probe, now)
            elif ack.sender in probe.relays:
                self._stats.probes_acked_by_relay += 1
                self._succeed(probe, now)
            else:
                self._stats.drop(Drop.UNMATCHED_REPLY)
            return True
        relayed = self._relayed.get(ack.seq)
        if relayed is None or ack.sender != relayed.target:
            return False
        del self._relayed[ack.seq]
        relayed.timer.cancel()
        self._stats.relayed_acks += 1
        answer = Ack(relayed.requester_seq, self._table.digest, self._membership.id)
        self._outbox.post_with_news(answer, relayed.requester, now)
        return True

    def on_nack(self, nack: Nack, _source: Address, _now: float) -> None:
        """A relay had no answer either; its word proves that our own link works."""
        probe = self._probes.get(nack.seq)
        if probe is None or nack.sender not in probe.relays:
            self._stats.drop(Drop.UNMATCHED_REPLY)
            return
        self._stats.nacks_in += 1
        probe.nacked[nack.sender] = None

    def on_ping(self, ping: Ping, source: Address, now: float) -> None:
        """Answer, if it is us who is meant."""
        if ping.target != self._membership.id:
            self._stats.drop(Drop.WRONG_TARGET)
            return
        ack = Ack(ping.seq, self._table.digest, ping.target)
        slot = self._table.slot_of(ping.sender)
        verdict = None if slot is None else self._verdict_about(ping.sender)
        has_news = verdict is not None or self._outbox.has_news
        if has_news and slot is not None and self._table.address(slot) == source:
            self._outbox.post_with_news(ack, source, now, verdict)
        else:
            # Bare, and so shorter than the ping: nobody makes us send much to a forged address.
            self._outbox.post(ack, source)
        if not self._membership.own.is_leaving:
            self._schedule.heard(ping.sender, ping.target, now, self._interval)
            self._await_turn()

    def on_stream_ping(self, ping: Ping) -> bytes | None:
        """The reply to a ping over a stream; None if another run is meant."""
        if ping.target != self._membership.id:
            self._stats.drop(Drop.WRONG_TARGET)
            return None
        return self._dialect.encode(Ack(ping.seq, self._table.digest, self._membership.id))

    # Pinging for others

    def on_ping_request(self, request: PingRequest, _source: Address, now: float) -> None:
        """Ping the target for a member, where we know it to be, or else where the member does.

        Both answers go to where the table has the member: a forged source gets nothing.
        """
        requester = self._table.slot_of(request.sender)
        if requester is None or not self._table.is_present(request.sender):
            self._stats.drop(Drop.UNKNOWN_MEMBER)
            return
        if request.target == self._membership.id:
            self._stats.drop(Drop.WRONG_TARGET)
            return
        if len(self._relayed) >= self._config.max_relayed:
            self._stats.drop(Drop.RELAYS_FULL)
            return
        seq = self.next_seq()
        # No member that has our settings asks for longer, and nobody shall hold a place for an hour.
        timeout = min(request.timeout, self._config.probe_timeout * (self._config.local_health_max + 1))
        end = now + _RELAY_LIFE * timeout
        nack_due = now + self._config.nack_fraction * timeout
        nack = self._timers.at(nack_due, partial(self._send_nack, seq, end))
        self._relayed[seq] = _Relayed(self._table.address(requester), request.seq, request.target, nack)
        slot = self._table.slot_of(request.target)
        if slot is None:
            ping = Ping(seq, self._table.digest, self._membership.id, request.target)
            self._outbox.post(ping, request.address)  # bare: shorter than the request
        else:
            self._ping(request.target, self._table.address(slot), seq, now)

    def _send_nack(self, seq: int, end: float, now: float) -> None:
        relayed = self._relayed[seq]
        relayed.timer = self._timers.at(end, partial(self._forget_relayed, seq))
        self._stats.nacks_out += 1
        nack = Nack(relayed.requester_seq, self._table.digest, self._membership.id)
        self._outbox.post_with_news(nack, relayed.requester, now)

    def _forget_relayed(self, seq: int, _now: float) -> None:
        del self._relayed[seq]

    # Helpers

    def _ping(self, target: NodeId, address: Address, seq: int, now: float, claim: bytes | None = None) -> None:
        """Ping a member, and tell it what is held against it, here or by whoever made `claim`."""
        ping = Ping(seq, self._table.digest, self._membership.id, target)
        self._outbox.post_with_news(ping, address, now, claim or self._verdict_about(target))

    def _verdict_about(self, id: NodeId) -> bytes | None:
        # Asked for every ping and ack, nearly always about somebody alive.
        return None if self._table.is_alive(id) else self._membership.accusations.verdict_about(id)

    def _address_of(self, id: NodeId) -> Address:
        slot = self._table.slot_of(id)
        assert slot is not None, "only known members are probed"
        return self._table.address(slot)

    def next_seq(self) -> int:
        """A sequence number that no other ping of ours has."""
        self._seq += 1
        return self._seq
