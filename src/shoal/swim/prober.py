"""The failure detector: one probe per interval, and our part in the probes of others (SWIM §3.1, Lifeguard §IV-A).

A probe goes: ping; after the probe timeout, ping requests to some relays and a ping over a stream; at the end of the
interval the verdict. Any ack within the interval, by whichever way, is a success.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Final

from shoal.events import ProbeReport
from shoal.swim.context import Context
from shoal.swim.exchanges import Exchanges
from shoal.swim.health import HealthReason
from shoal.swim.membership import Membership
from shoal.swim.outbox import Outbox
from shoal.swim.probe_ring import ProbeRing
from shoal.swim.stats import Drop
from shoal.swim.timers import Timer
from shoal.types import Address, NodeId
from shoal.wire.dialect import DecodeError
from shoal.wire.messages import Ack, Nack, Ping, PingRequest

__all__ = ["Prober"]

_RELAY_LIFE: Final = 2.0
"""Timeouts of a ping request for which its relay waits for the target: a late ack is worth passing on until the
requester's verdict falls, which is one timeout after it asked and at most another one later."""


@dataclass(slots=True)
class _Probe:
    """One probe of ours, from ping to verdict."""

    seq: int
    target: NodeId
    started: float
    timeout: float
    deadline: float
    relays: tuple[NodeId, ...] = ()
    nacked: set[NodeId] = field(default_factory=set)
    stream_tried: bool = False
    acked: bool = False
    timer: Timer | None = None


@dataclass(slots=True)
class _Relayed:
    """A ping that we sent in the place of another member."""

    requester: Address
    requester_seq: int
    timer: Timer
    """Of the nack, and after it of the end."""


class Prober:
    """Probes one member after the other, answers pings, and pings for others."""

    def __init__(
        self, context: Context, membership: Membership, ring: ProbeRing, outbox: Outbox, exchanges: Exchanges
    ) -> None:
        self._config = context.config
        self._dialect = context.dialect
        self._random = context.random
        self._table = context.table
        self._timers = context.timers
        self._health = context.health
        self._stats = context.stats
        self._membership = membership
        self._ring = ring
        self._outbox = outbox
        self._exchanges = exchanges
        # A random start makes an ack hard to forge for whoever does not see our pings.
        self._seq = context.random.getrandbits(62)
        self._probe: _Probe | None = None
        self._relayed: dict[int, _Relayed] = {}
        self.last_success: float | None = None
        """When a probe was last answered, in monotonic seconds."""

    def start(self, now: float) -> None:
        """Begin at a random moment of the interval, so that members started together do not probe in step."""
        self._timers.at(now + self._random.random() * self._config.probe_interval, self._begin)

    def stop(self) -> None:
        """Probe no more; still answer others."""
        if self._probe is not None and self._probe.timer is not None:
            self._probe.timer.cancel()
        self._probe = None

    # Our own probes

    def _begin(self, now: float) -> None:
        if self._membership.is_leaving:
            return
        multiplier = self._health.multiplier
        deadline = now + self._config.probe_interval * multiplier
        target = self._ring.next(self._membership.id)
        if target is None:
            self._timers.at(now + self._config.probe_interval, self._begin)
            return
        timeout = self._config.probe_timeout * multiplier
        probe = _Probe(self._next_seq(), target, now, timeout, deadline)
        self._probe = probe
        self._stats.probes += 1
        self._ping(target, self._address_of(target), probe.seq)
        probe.timer = self._timers.at(now + timeout, partial(self._ask_others, probe))

    def _ask_others(self, probe: _Probe, now: float) -> None:
        """The direct ping was not answered in time: ask relays, and try a stream."""
        late = now - (probe.started + probe.timeout)
        probe.deadline += late  # Relays get their time however late they are asked.
        probe.timer = self._timers.at(probe.deadline, partial(self._conclude, probe))
        if probe.acked or not self._table.is_present(probe.target):
            return
        if self._is_stall(late):
            self._health.worsen(HealthReason.STALLED)
        address = self._address_of(probe.target)
        self._ask_relays(probe, address, now)
        if self._config.stream_probe:
            self._ping_over_stream(probe, address, now)

    def _ask_relays(self, probe: _Probe, address: Address, now: float) -> None:
        skip = {self._membership.id, probe.target}
        slots = self._table.sample(self._random, self._config.indirect_probes, skip)
        probe.relays = tuple(self._table.info(slot).id for slot in slots)
        request = PingRequest(
            probe.seq, self._table.digest, self._membership.id, probe.target, address, timeout=probe.deadline - now
        )
        for slot in slots:
            self._stats.ping_requests_out += 1
            self._outbox.post_with_news(request, self._table.info(slot).address)

    def _ping_over_stream(self, probe: _Probe, address: Address, now: float) -> None:
        ping = Ping(probe.seq, self._table.digest, self._membership.id, probe.target)
        probe.stream_tried = self._exchanges.open(
            address,
            self._dialect.encode(ping),
            partial(self._on_stream_ack, probe),
            lambda _reason, _now: None,
            timeout=probe.deadline - now,
            attempts=1,
        )

    def _on_stream_ack(self, probe: _Probe, data: bytes, now: float) -> None:
        try:
            reply, _ = self._dialect.decode(data)
        except DecodeError as error:
            self._stats.drop(error.flaw)
            return
        is_open = probe is self._probe and not probe.acked
        if is_open and isinstance(reply, Ack) and reply.seq == probe.seq and reply.sender == probe.target:
            self._stats.probes_acked_by_stream += 1
            self._succeed(probe, now)

    def _succeed(self, probe: _Probe, now: float) -> None:
        probe.acked = True
        self._stats.probes_acked += 1
        self._health.improve()
        self.last_success = now

    def _conclude(self, probe: _Probe, now: float) -> None:
        """The interval is over: pass the verdict, and go on to the next member."""
        self._probe = None
        if not probe.acked and self._table.is_present(probe.target):
            if self._is_stall(now - probe.deadline):
                # We slept: the ack may be waiting in our own inbox.
                self._stats.probes_inconclusive += 1
                self._health.worsen(HealthReason.STALLED)
            else:
                self._fail(probe, now)
        self._begin(now)

    def _is_stall(self, late: float) -> bool:
        """Whether a timer was so late that this process cannot have been running, and that is forgiven."""
        return self._config.forgive_stalls and late > self._config.probe_timeout

    def _fail(self, probe: _Probe, now: float) -> None:
        self._stats.probes_failed += 1
        self._health.worsen(HealthReason.PROBE_FAILED)
        if len(probe.nacked) < len(probe.relays):
            self._health.worsen(HealthReason.NACK_MISSED)
        report = ProbeReport(
            timeout=probe.timeout,
            deadline=now - probe.started,
            relays=tuple(map(self._membership.name_of, probe.relays)),
            nacks=len(probe.nacked),
            stream_tried=probe.stream_tried,
        )
        self._membership.accuse(probe.target, report, now)

    # Answers

    def on_ack(self, ack: Ack, now: float) -> None:
        """An ack for a probe of ours, or for a ping that we sent for another member."""
        probe = self._probe
        if probe is not None and ack.seq == probe.seq:
            if probe.acked:
                return  # More than one way worked.
            if ack.sender == probe.target or ack.sender in probe.relays:
                self._stats.probes_acked_by_relay += ack.sender != probe.target
                self._succeed(probe, now)
                return
        relayed = self._relayed.pop(ack.seq, None)
        if relayed is None:
            self._stats.drop(Drop.UNMATCHED_REPLY)
            return
        relayed.timer.cancel()
        self._stats.relayed_acks += 1
        answer = Ack(relayed.requester_seq, self._table.digest, self._membership.id)
        self._outbox.post_with_news(answer, relayed.requester)

    def on_nack(self, nack: Nack, _source: Address, _now: float) -> None:
        """A relay had no answer either; its word proves that our own link works."""
        probe = self._probe
        if probe is None or nack.seq != probe.seq or nack.sender not in probe.relays:
            self._stats.drop(Drop.UNMATCHED_REPLY)
            return
        self._stats.nacks_in += 1
        probe.nacked.add(nack.sender)

    def on_ping(self, ping: Ping, source: Address) -> None:
        """Answer, if it is us who is meant."""
        if ping.target != self._membership.id:
            self._stats.drop(Drop.WRONG_TARGET)
            return
        ack = Ack(ping.seq, self._table.digest, self._membership.id)
        if self._table.slot_of(ping.sender) is None:
            # Bare, so that nobody makes us send much to a forged address.
            self._outbox.post(ack, source)
        else:
            self._outbox.post_with_news(ack, source, self._membership.verdict_about(ping.sender))

    def on_stream_ping(self, ping: Ping) -> bytes | None:
        """The reply to a ping over a stream; None if another run is meant."""
        if ping.target != self._membership.id:
            self._stats.drop(Drop.WRONG_TARGET)
            return None
        return self._dialect.encode(Ack(ping.seq, self._table.digest, self._membership.id))

    # Pinging for others

    def on_ping_request(self, request: PingRequest, source: Address, now: float) -> None:
        """Ping the target for the sender, where we know it to be, or else where the sender does."""
        if len(self._relayed) >= self._config.max_relayed:
            self._stats.drop(Drop.RELAYS_FULL)
            return
        seq = self._next_seq()
        end = now + _RELAY_LIFE * request.timeout
        nack_due = now + self._config.nack_fraction * request.timeout
        self._relayed[seq] = _Relayed(
            source, request.seq, self._timers.at(nack_due, partial(self._send_nack, seq, end))
        )
        slot = self._table.slot_of(request.target)
        self._ping(request.target, request.address if slot is None else self._table.info(slot).address, seq)

    def _send_nack(self, seq: int, end: float, _now: float) -> None:
        relayed = self._relayed[seq]
        relayed.timer = self._timers.at(end, partial(self._forget_relayed, seq))
        self._stats.nacks_out += 1
        nack = Nack(relayed.requester_seq, self._table.digest, self._membership.id)
        self._outbox.post_with_news(nack, relayed.requester)

    def _forget_relayed(self, seq: int, _now: float) -> None:
        del self._relayed[seq]

    # Helpers

    def _ping(self, target: NodeId, address: Address, seq: int) -> None:
        ping = Ping(seq, self._table.digest, self._membership.id, target)
        self._outbox.post_with_news(ping, address, self._membership.verdict_about(target))

    def _address_of(self, id: NodeId) -> Address:
        slot = self._table.slot_of(id)
        assert slot is not None, "only known members are probed"
        return self._table.info(slot).address

    def _next_seq(self) -> int:
        self._seq += 1
        return self._seq
