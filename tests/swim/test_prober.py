from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from shoal.config import ClusterConfig
from shoal.events import HealthReason, MemberFailed, MemberSuspected, ProbeReport, VerdictReason
from shoal.swim.outputs import StreamExchange
from shoal.swim.stats import Drop
from shoal.types import Address, MemberState, NodeId
from shoal.wire.dialect import Flaw
from shoal.wire.messages import Ack, Alive, Dead, Gossip, Nack, Ping, PingRequest, Suspect, SyncRequest, UserBroadcast
from tests.rows import rows
from tests.swim.harness import OWN, STRANGER, Solo, address_of, info_of, node_id

ALIVE, SUSPECT, DEAD, LEFT = MemberState
ME = node_id(OWN)
TARGET = node_id(1)
REQUESTER = Address("10.9.9.9", 1)


class Probing(Solo):
    """A core in the middle of its first probe, of node 1; `helpers` do not become targets within the test."""

    def __init__(self, helpers: int = 0, **config: Any) -> None:
        super().__init__(**config)
        self.meet(1)
        self.sleep(5.0)
        self.quiet()
        self.start()
        self.ping = self.sleep_until_sent(Ping)
        assert isinstance(self.ping.message, Ping)
        self.seq = self.ping.message.seq
        self.begun = self.now
        self.meet(*range(2, 2 + helpers))
        self.core.advance(self.now)
        self.quiet()

    def at(self, seconds: float) -> None:
        """Let time pass until so many seconds after the ping."""
        self.sleep_until(self.begun + seconds)

    def ack(self, sender: int = 1, seq: int | None = None) -> None:
        self.receive(Ack(self.seq if seq is None else seq, 0, node_id(sender)), source=address_of(sender))

    def nack(self, sender: int) -> None:
        self.receive(Nack(self.seq, 0, node_id(sender)), source=address_of(sender))


# Pings and acks


def test_the_first_probe_begins_at_a_random_moment_of_the_first_interval() -> None:
    moments = set()
    for seed in range(20):
        solo = Solo(seed=seed)
        solo.meet(1)
        solo.sleep(5.0)
        solo.quiet()
        solo.start()
        solo.sleep(1.0)
        [ping] = solo.sent(Ping)
        moments.add(ping.at)
    assert len(moments) == 20
    assert all(5.0 <= moment < 6.0 for moment in moments)


def test_a_ping_names_its_target_and_carries_our_digest() -> None:
    solo = Probing()
    assert solo.ping.to == address_of(1)
    assert solo.ping.message == Ping(solo.seq, solo.core.digest, ME, TARGET)


def test_one_member_is_probed_in_each_interval() -> None:
    solo = Solo()
    solo.meet(1, 2, 3)
    solo.start()
    solo.sleep(1.0)
    times = []
    for _ in range(6):
        [packet] = solo.sent(Ping)
        assert isinstance(packet.message, Ping)
        times.append(packet.at)
        solo.receive(Ack(packet.message.seq, 0, packet.message.target))
        solo.sleep(1.0)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert gaps == pytest.approx([1.0] * 5)
    assert solo.core.stats.probes == solo.core.stats.probes_acked + 1


def test_a_node_alone_probes_once_somebody_comes() -> None:
    solo = Solo()
    solo.start()
    solo.sleep(5.0)
    solo.meet(1)
    solo.sleep(1.0)
    assert len(solo.sent(Ping)) == 1


def test_a_direct_ack_is_a_success_and_asks_nobody() -> None:
    solo = Probing(helpers=3)
    before = solo.core.last_probe_success
    solo.at(0.3)
    solo.ack()
    assert (before, solo.core.last_probe_success) == (None, solo.now)
    solo.at(0.999)
    assert solo.sent(PingRequest) == []
    assert solo.streams() == []
    solo.at(1.0)
    assert solo.state(1) is ALIVE
    assert (solo.core.stats.probes_acked, solo.core.stats.probes_failed) == (1, 0)


def test_without_an_ack_relays_and_a_stream_are_asked_after_the_timeout() -> None:
    solo = Probing(helpers=5)
    solo.at(0.499)
    assert solo.sent(PingRequest) == []
    solo.at(0.5)
    requests = solo.sent()
    assert len(requests) == len({request.to for request in requests}) == 3
    assert address_of(1) not in {request.to for request in requests}
    for request in requests:
        assert request.message == PingRequest(solo.seq, solo.core.digest, ME, TARGET, address_of(1), 0.5)
    [stream] = solo.streams()
    assert (stream.address, stream.timeout) == (address_of(1), 0.4)
    assert stream.data == solo.core._context.dialect.encode(Ping(solo.seq, solo.core.digest, ME, TARGET))
    assert solo.core.stats.ping_requests_out == 3


@pytest.mark.parametrize(("helpers", "wanted", "asked"), [(0, 3, 0), (2, 3, 2), (5, 0, 0), (5, 1, 1)])
def test_as_many_relays_are_asked_as_there_are_and_are_wanted(helpers: int, wanted: int, asked: int) -> None:
    solo = Probing(helpers, indirect_probes=wanted)
    solo.at(0.5)
    assert len(solo.sent(PingRequest)) == asked


def test_the_stream_ping_can_be_switched_off() -> None:
    solo = Probing(helpers=1, stream_probe=False)
    solo.at(1.0)
    assert solo.streams() == []
    [event] = solo.events(MemberSuspected)
    assert event.evidence.probes[0].stream_tried is False


def test_an_ack_from_the_target_is_a_success_until_the_deadline() -> None:
    solo = Probing(helpers=3)
    solo.at(0.999)
    solo.ack()
    solo.at(1.0)
    assert solo.state(1) is ALIVE
    assert solo.core.stats.probes_acked_by_relay == 0


def test_an_ack_from_a_relay_is_a_success() -> None:
    solo = Probing(helpers=3)
    solo.at(0.5)
    solo.ack(sender=2)
    solo.at(1.0)
    assert solo.state(1) is ALIVE
    assert (solo.core.stats.probes_acked, solo.core.stats.probes_acked_by_relay) == (1, 1)


def test_a_second_ack_counts_for_nothing() -> None:
    solo = Probing(helpers=3)
    solo.at(0.5)
    for sender in (2, 3, 1, 2):
        solo.ack(sender)
    assert solo.core.stats.probes_acked == 1
    assert solo.dropped[Drop.UNMATCHED_REPLY] == 3


@pytest.mark.parametrize("sender", [2, 999])
def test_an_ack_from_whoever_was_not_asked_is_none(sender: int) -> None:
    solo = Probing(helpers=3)
    solo.ack(sender)
    solo.at(1.0)
    assert solo.state(1) is SUSPECT
    assert solo.dropped[Drop.UNMATCHED_REPLY] == 1


def test_an_ack_of_another_number_is_none() -> None:
    solo = Probing()
    solo.ack(seq=solo.seq - 1)
    solo.at(1.0)
    assert solo.state(1) is SUSPECT
    assert solo.dropped[Drop.UNMATCHED_REPLY] == 1


def test_an_ack_of_the_last_probe_does_no_harm() -> None:
    solo = Probing()
    solo.at(1.0)
    assert solo.state(1) is SUSPECT
    solo.ack()
    assert solo.state(1) is SUSPECT
    assert solo.core.stats.probes_acked == 0
    assert solo.dropped[Drop.UNMATCHED_REPLY] == 1


# The stream ping


def _stream(solo: Probing) -> StreamExchange:
    solo.at(0.5)
    [stream] = solo.streams()
    return stream


def test_an_ack_over_a_stream_is_a_success() -> None:
    solo = Probing()
    stream = _stream(solo)
    solo.reply(stream, Ack(solo.seq, 0, TARGET))
    solo.at(1.0)
    assert solo.state(1) is ALIVE
    assert (solo.core.stats.probes_acked, solo.core.stats.probes_acked_by_stream) == (1, 1)


def test_an_ack_over_a_stream_after_the_verdict_does_no_harm() -> None:
    solo = Probing()
    stream = _stream(solo)
    solo.at(1.0)
    solo.reply(stream, Ack(solo.seq, 0, TARGET))
    assert solo.core.stats.probes_acked == 0
    assert solo.core.health.score == 1


@pytest.mark.parametrize("forge", [lambda seq: Ack(seq, 0, node_id(2)), lambda seq: Ack(seq + 1, 0, TARGET)])
def test_the_ack_of_another_probe_or_member_over_a_stream_is_no_success(forge: Callable[[int], Ack]) -> None:
    solo = Probing()
    solo.reply(_stream(solo), forge(solo.seq))
    solo.at(1.0)
    assert solo.state(1) is SUSPECT


def test_another_message_over_a_stream_is_no_success() -> None:
    solo = Probing()
    solo.reply(_stream(solo), Nack(solo.seq, 0, TARGET))
    solo.at(1.0)
    assert solo.state(1) is SUSPECT


def test_noise_over_a_stream_is_counted() -> None:
    solo = Probing()
    solo.core.stream_replied(_stream(solo).token, b"noise", solo.now)
    solo.at(1.0)
    assert solo.state(1) is SUSPECT
    assert solo.dropped[Flaw.TOO_SHORT] == 1


def test_a_stream_ping_is_tried_once() -> None:
    solo = Probing(rejoin_interval=60.0, rejoin_interval_max=60.0)
    solo.fail(_stream(solo))
    solo.at(10.0)
    assert all(exchange.data[1] == 1 for exchange in solo.streams())
    assert solo.core.stats.exchanges_failed == 1


def test_a_full_set_of_exchanges_is_no_reason_not_to_ask_relays() -> None:
    solo = Probing(helpers=1, max_streams_out=1)
    solo.join(Address("10.1.1.1", 1))
    solo.at(1.0)
    [event] = solo.events(MemberSuspected)
    assert event.evidence.probes[0].stream_tried is False
    assert event.evidence.probes[0].relays == ("n2",)
    assert solo.dropped[Drop.EXCHANGES_FULL] == 1


# The verdict


def test_the_verdict_falls_at_the_deadline_and_not_before() -> None:
    solo = Probing(helpers=3)
    solo.at(0.999)
    assert solo.state(1) is ALIVE
    solo.at(1.0)
    assert solo.state(1) is SUSPECT
    [event] = solo.events(MemberSuspected)
    assert solo.core.stats.probes_failed == 1
    assert event.evidence.reason is VerdictReason.PROBE_FAILED
    assert event.evidence.accusers == ("me",)
    [report] = event.evidence.probes
    assert sorted(report.relays) == ["n2", "n3", "n4"]
    assert (report.timeout, report.deadline) == pytest.approx((0.5, 1.0))
    assert report == ProbeReport(
        solo.begun, report.timeout, report.deadline, report.relays, nacks=(), stream_tried=True
    )


def test_a_failed_probe_costs_a_point_and_missing_nacks_another() -> None:
    solo = Probing(helpers=3)
    solo.at(1.0)
    assert solo.core.health.score == 2
    assert solo.core.health.reasons[HealthReason.PROBE_FAILED] == 1
    assert solo.core.health.reasons[HealthReason.NACK_MISSED] == 1


def test_with_all_nacks_a_failed_probe_costs_one_point() -> None:
    solo = Probing(helpers=2)
    solo.at(0.9)
    solo.nack(2)
    solo.nack(3)
    solo.at(1.0)
    assert solo.core.health.score == 1
    [event] = solo.events(MemberSuspected)
    assert event.evidence.probes[0].nacks == ("n2", "n3")
    assert event.evidence.local_health == (HealthReason.PROBE_FAILED,)


def test_without_relays_no_nack_can_be_missed() -> None:
    solo = Probing()
    solo.at(1.0)
    assert solo.core.health.score == 1


def test_a_nack_counts_once_for_each_relay_and_only_from_a_relay() -> None:
    solo = Probing(helpers=2)
    solo.nack(2)
    assert solo.core.stats.nacks_in == 0
    solo.at(0.9)
    for sender in (2, 2, 1, 999):
        solo.nack(sender)
    solo.at(1.0)
    [event] = solo.events(MemberSuspected)
    assert event.evidence.probes[0].nacks == ("n2",)
    assert solo.core.health.reasons[HealthReason.NACK_MISSED] == 1
    assert solo.dropped[Drop.UNMATCHED_REPLY] == 3
    assert solo.core.stats.nacks_in == 2


def test_a_nack_then_an_ack_is_a_success() -> None:
    solo = Probing(helpers=1)
    solo.at(0.9)
    solo.nack(2)
    solo.ack(2)
    solo.at(1.0)
    assert solo.state(1) is ALIVE
    assert solo.core.health.score == 0


def test_an_answered_probe_mends_a_point() -> None:
    solo = Probing()
    solo.hear(Suspect(ME, 0, TARGET), Suspect(ME, 1, TARGET))
    assert solo.core.health.score == 2
    solo.ack()
    assert solo.core.health.score == 1


@pytest.mark.parametrize(("lha_probe", "factor"), [(True, 3), (False, 1)])
def test_bad_health_stretches_interval_and_timeout(lha_probe: bool, factor: int) -> None:
    solo = Solo(lha_probe=lha_probe, stream_probe=False)
    solo.meet(1, 2)
    solo.sleep(5.0)
    solo.hear(Suspect(ME, 0, TARGET), Suspect(ME, 1, TARGET))
    solo.quiet()
    solo.start()
    solo.sleep_until_sent(Ping)
    solo.sleep(0.5 * factor - 0.001)
    assert solo.sent(PingRequest) == []
    solo.sleep(0.002)
    [request] = solo.sent(PingRequest)
    assert isinstance(request.message, PingRequest)
    assert request.message.timeout == 0.5 * factor
    solo.sleep(0.5 * factor - 0.002)
    assert solo.events(MemberSuspected) == []
    solo.sleep(0.002)
    [event] = solo.events(MemberSuspected)
    assert event.evidence.probes[0].timeout == pytest.approx(0.5 * factor)
    assert event.evidence.probes[0].deadline == pytest.approx(1.0 * factor)


def test_a_suspect_is_still_probed_and_told_of_the_suspicion_first() -> None:
    solo = Probing()
    solo.at(1.0)
    [ping] = solo.sent(Ping)
    assert ping.to == address_of(1)
    assert ping.updates[0] == Suspect(TARGET, 0, ME)


def test_a_member_that_dies_while_it_is_probed_gets_no_verdict() -> None:
    solo = Probing(helpers=3)
    solo.hear(Dead(TARGET, 0, STRANGER))
    solo.at(0.6)
    assert solo.sent(PingRequest) == []
    assert len(solo.core._prober._probes) == 0
    solo.at(1.0)
    assert solo.core.stats.probes_failed == 0
    assert solo.core.health.score == 0
    assert solo.events(MemberSuspected) == []


def test_our_own_accusation_of_a_suspect_confirms() -> None:
    solo = Probing(helpers=4)
    solo.hear(Suspect(TARGET, 0, node_id(2)), Suspect(TARGET, 0, node_id(3)))
    solo.at(1.0)
    solo.sleep_until(solo.begun + 4.0)
    [failed] = solo.events(MemberFailed)
    assert failed.evidence.accusers == ("n2", "n3", "me")
    assert failed.evidence.probes != ()


# Stalls


def test_a_probe_that_ran_out_while_we_slept_is_forgiven() -> None:
    solo = Probing()
    solo.at(0.6)
    solo.stall(1.0)
    assert solo.state(1) is ALIVE
    assert solo.core.stats.probes_inconclusive == 1
    assert solo.core.health.reasons[HealthReason.STALLED] == 1
    assert solo.core.health.reasons[HealthReason.PROBE_FAILED] == 0


def test_a_little_lateness_is_no_stall() -> None:
    solo = Probing()
    solo.at(0.6)
    solo.stall(0.6)
    assert solo.state(1) is SUSPECT


def test_stalls_are_not_forgiven_where_that_is_switched_off() -> None:
    solo = Probing(forgive_stalls=False)
    solo.at(0.6)
    solo.stall(1.0)
    assert solo.state(1) is SUSPECT


@pytest.mark.parametrize("stall", [0.7, 1.2, 30.0])
def test_relays_get_their_time_however_late_they_are_asked(stall: float) -> None:
    solo = Probing(helpers=3)
    solo.stall(stall)
    assert len(solo.sent(PingRequest)) == 3
    solo.sleep(0.499)
    assert solo.state(1) is ALIVE
    solo.ack(2)
    solo.sleep(0.002)
    assert solo.state(1) is ALIVE
    assert solo.core.stats.probes_acked == 1


@pytest.mark.parametrize(("late", "points"), [(0.4, 0), (0.6, 1)])
def test_asking_the_relays_very_late_costs_a_point(late: float, points: int) -> None:
    solo = Probing(helpers=3)
    solo.stall(0.5 + late)
    assert solo.core.health.reasons[HealthReason.STALLED] == points


# Answers


def test_a_ping_is_acked_to_where_it_came_from() -> None:
    solo = Solo()
    solo.receive(Ping(7, 0, STRANGER, ME), source=REQUESTER)
    [packet] = solo.sent()
    assert (packet.message, packet.to) == (Ack(7, solo.core.digest, ME), REQUESTER)


def test_a_ping_for_another_run_is_not_acked() -> None:
    solo = Solo()
    solo.receive(Ping(7, 0, STRANGER, node_id(OWN - 1)))
    assert solo.sent() == []
    assert solo.ask(Ping(7, 0, STRANGER, node_id(OWN - 1))) is None
    assert solo.dropped[Drop.WRONG_TARGET] == 2


def test_a_stranger_gets_a_bare_ack_and_a_member_one_with_news() -> None:
    solo = Solo()
    solo.receive(Ping(7, 0, TARGET, ME))
    assert [packet.updates for packet in solo.sent(Ack)] == [()]
    solo.hear(Alive(info_of(1), 0))
    solo.receive(Ping(7, 0, TARGET, ME), source=REQUESTER)
    assert [packet.updates for packet in solo.sent(Ack)] == [()], "somebody in the member's name"
    solo.receive(Ping(7, 0, TARGET, ME), source=address_of(1))
    [packet] = solo.sent(Ack)
    assert Alive(solo.info, 0) in packet.updates


def test_a_ping_over_a_stream_is_acked() -> None:
    solo = Solo()
    assert solo.ask(Ping(7, 0, STRANGER, ME)) == Ack(7, solo.core.digest, ME)


# Pinging for others


def _relay(**config: Any) -> Solo:
    """One that node 2 asked to ping node 1."""
    solo = Solo(**config)
    solo.meet(1, 2)
    solo.sleep(5.0)
    solo.quiet()
    solo.receive(PingRequest(77, 0, node_id(2), TARGET, Address("10.8.8.8", 8), 0.5), source=REQUESTER)
    return solo


def _relayed(solo: Solo) -> Ping:
    [packet] = solo.sent(Ping)
    assert isinstance(packet.message, Ping)
    return packet.message


def test_a_relay_pings_the_target_where_it_knows_it_to_be() -> None:
    solo = _relay()
    [packet] = solo.sent(Ping)
    assert packet.to == address_of(1)
    assert isinstance(packet.message, Ping)
    assert (packet.message.sender, packet.message.target) == (ME, TARGET)
    assert packet.message.seq != 77


def test_a_relay_pings_an_unknown_target_where_the_requester_knows_it_to_be() -> None:
    solo = Solo()
    solo.meet(2)
    solo.sleep(60.0)
    solo.quiet()
    solo.receive(PingRequest(77, 0, node_id(2), TARGET, Address("10.8.8.8", 8), 0.5), source=REQUESTER)
    [packet] = solo.sent(Ping)
    assert packet.to == Address("10.8.8.8", 8)


def test_a_relay_passes_an_ack_on_under_the_number_of_the_requester() -> None:
    solo = _relay()
    ping = _relayed(solo)
    solo.receive(Ack(ping.seq, 0, TARGET))
    [packet] = solo.sent()
    assert (packet.message, packet.to) == (Ack(77, solo.core.digest, ME), address_of(2))
    solo.sleep(5.0)
    assert solo.sent(Nack) == []
    assert (solo.core.stats.relayed_acks, solo.core.stats.nacks_out) == (1, 0)


def test_a_relay_passes_an_ack_on_once() -> None:
    solo = _relay()
    ping = _relayed(solo)
    solo.receive(Ack(ping.seq, 0, TARGET))
    solo.quiet()
    solo.receive(Ack(ping.seq, 0, TARGET))
    assert solo.sent() == []
    assert solo.dropped[Drop.UNMATCHED_REPLY] == 1


@pytest.mark.parametrize(("fraction", "after"), [(0.8, 0.4), (0.5, 0.25)])
def test_a_relay_without_an_ack_says_so_shortly_before_the_timeout(fraction: float, after: float) -> None:
    solo = _relay(nack_fraction=fraction)
    asked = solo.now
    solo.sleep(1.0)
    [packet] = solo.sent(Nack)
    assert (packet.message, packet.to) == (Nack(77, solo.core.digest, ME), address_of(2))
    assert packet.at == pytest.approx(asked + after)
    assert solo.core.stats.nacks_out == 1


def test_a_relay_passes_a_late_ack_on_after_its_nack() -> None:
    solo = _relay()
    ping = _relayed(solo)
    solo.sleep(0.99)
    solo.quiet()
    solo.receive(Ack(ping.seq, 0, TARGET))
    assert [packet.message for packet in solo.sent()] == [Ack(77, solo.core.digest, ME)]


def test_a_relay_forgets_what_nobody_waits_for_any_more() -> None:
    solo = _relay()
    ping = _relayed(solo)
    solo.sleep(1.01)
    solo.quiet()
    solo.receive(Ack(ping.seq, 0, TARGET))
    assert solo.sent() == []


def test_a_relay_carries_a_bounded_number_of_probes() -> None:
    solo = _relay(max_relayed=2)
    ping = _relayed(solo)
    request = PingRequest(78, 0, node_id(2), TARGET, Address("10.8.8.8", 8), 0.5)
    solo.receive(request)
    solo.receive(request)
    assert len(solo.sent(Ping)) == 1
    assert solo.dropped[Drop.RELAYS_FULL] == 1
    solo.receive(Ack(ping.seq, 0, TARGET))
    solo.receive(request)
    assert len(solo.sent(Ping)) == 1


def test_a_relay_serves_members_only() -> None:
    solo = Solo()
    solo.meet(1, 2)
    solo.hear(Dead(node_id(2), 0, TARGET))
    solo.sleep(60.0)
    solo.quiet()
    for sender in (STRANGER, node_id(2)):
        solo.receive(PingRequest(77, 0, sender, TARGET, address_of(1), 0.5))
    assert solo.sent() == []
    assert solo.dropped[Drop.UNKNOWN_MEMBER] == 2


def test_a_relay_sends_bare_pings_to_addresses_that_are_new_to_it() -> None:
    solo = Solo()
    solo.meet(2)
    solo.quiet()
    solo.hear(UserBroadcast(STRANGER, 1, b"news"))
    solo.receive(PingRequest(77, 0, node_id(2), TARGET, Address("10.8.8.8", 8), 0.5))
    [packet] = solo.sent(Ping)
    assert (packet.to, packet.updates) == (Address("10.8.8.8", 8), ())


def test_a_relay_passes_on_the_ack_of_the_target_only() -> None:
    solo = _relay()
    ping = _relayed(solo)
    solo.receive(Ack(ping.seq, 0, node_id(2)))
    assert solo.sent(Ack) == []
    solo.receive(Ack(ping.seq, 0, TARGET))
    assert len(solo.sent(Ack)) == 1


def test_nobody_holds_a_relay_for_an_hour() -> None:
    solo = Solo(max_relayed=1, probe_timeout=0.5, local_health_max=8)
    solo.meet(1, 2)
    solo.receive(PingRequest(77, 0, node_id(2), TARGET, address_of(1), 3600.0))
    solo.sleep(2 * 0.5 * 9 + 0.01)
    solo.quiet()
    solo.receive(PingRequest(78, 0, node_id(2), TARGET, address_of(1), 0.5))
    assert Drop.RELAYS_FULL not in solo.dropped


def test_a_relay_keeps_no_timers_of_what_was_answered() -> None:
    solo = _relay().quiet()
    timers = len(solo.core._timers)
    for number in range(1000):
        solo.receive(PingRequest(number, 0, node_id(2), TARGET, address_of(1), 3600.0))
        [ping] = solo.sent(Ping)
        assert isinstance(ping.message, Ping)
        solo.receive(Ack(ping.message.seq, solo.core.digest, TARGET))
        solo.quiet()
    assert len(solo.core._timers) == timers


def test_a_relay_tells_a_suspect_of_the_suspicion() -> None:
    solo = Solo()
    solo.meet(1, 2, 3)
    solo.hear(Suspect(TARGET, 0, node_id(2)))
    solo.sleep(5.0)
    solo.quiet()
    solo.receive(PingRequest(77, 0, node_id(2), TARGET, address_of(1), 0.5))
    [packet] = solo.sent(Ping)
    assert packet.updates == (Suspect(TARGET, 0, node_id(2)),)


@pytest.mark.parametrize("profile", ["lan", "wan", "local"])
def test_a_nack_arrives_before_the_verdict(profile: str) -> None:
    config: dict[str, Any] = ClusterConfig.of_profile(profile).as_dict()
    solo, relay = Probing(helpers=1, **config), Solo(2, info=info_of(2), **config)
    solo.at(solo.config.probe_timeout)
    [request] = solo.sent(PingRequest)
    relay.hear(Alive(solo.info, 0))
    relay.receive(request.message, source=solo.info.address)
    solo.quiet()
    relay.sleep(solo.config.probe_timeout)
    solo.sleep(solo.config.probe_timeout - 0.001)
    assert solo.events(MemberSuspected) == []
    assert len(relay.sent(Nack)) == 1


# The end


def test_a_leaving_node_probes_no_more_but_answers() -> None:
    solo = Probing(helpers=1)
    solo.leave()
    solo.sleep(5.0)
    assert [packet for packet in solo.sent() if isinstance(packet.message, Ping | PingRequest)] == []
    assert solo.events(MemberSuspected) == []
    solo.receive(Ping(7, 0, TARGET, ME))
    assert len(solo.sent(Ack)) == 1


def test_numbers_of_pings_cannot_be_guessed_from_nothing() -> None:
    assert len({Probing(seed=seed).seq for seed in range(10)}) == 10


def test_streams_carry_pings_and_syncs_only() -> None:
    solo = Solo()
    assert solo.ask(Ack(7, 0, STRANGER)) is None
    assert solo.ask(SyncRequest(0, 0, STRANGER, False, [], rows())) is not None
    assert solo.dropped[Drop.WRONG_CHANNEL] == 1


# Challenges


def _neighbourhood(challengers: int, **config: Any) -> tuple[Solo, list[NodeId]]:
    """A core that probes nobody of its own accord, and the others in the order in which they follow it on the ring."""
    solo = Solo(challengers=challengers, **config)
    solo.meet(*range(1, 11))
    solo.sleep(5.0)
    solo.quiet()
    others = sorted((node_id(number) for number in range(1, 11)), key=lambda id: id[8:])
    own = ME[8:]
    return solo, [id for id in others if id[8:] > own] + [id for id in others if id[8:] < own]


def _pinged(solo: Solo) -> list[NodeId]:
    return [packet.message.target for packet in solo.sent(Ping) if isinstance(packet.message, Ping)]


def test_the_members_before_a_suspect_on_the_ring_challenge_it_at_once() -> None:
    solo, after = _neighbourhood(challengers=3)
    for suspect in (after[2], after[3]):
        solo.hear(Suspect(suspect, 0, STRANGER))
    assert _pinged(solo) == [after[2]]
    assert solo.core.stats.challenges == 1


def test_a_challenge_tells_the_suspect_of_the_suspicion() -> None:
    solo, after = _neighbourhood(challengers=1)
    solo.hear(Suspect(after[0], 0, STRANGER))
    [packet] = solo.sent(Ping)
    assert packet.updates[0] == Suspect(after[0], 0, STRANGER)


def _accusers_told(solo: Solo, suspect: NodeId) -> set[bytes]:
    """Heads of who accuses a member, in all gossip of this node."""
    updates = [update for packet in solo.sent(Gossip) for update in packet.updates]
    accusations = [update for update in updates if isinstance(update, Suspect) and update.id == suspect]
    return {head for each in accusations for head in (each.accuser.head, *each.confirmers)}


def test_a_challenge_without_an_answer_confirms_the_suspicion() -> None:
    solo, after = _neighbourhood(challengers=1)
    solo.hear(Suspect(after[0], 0, STRANGER))
    solo.sleep(1.0)
    assert ME.head in _accusers_told(solo, after[0])


def test_a_challenge_with_an_answer_confirms_nothing() -> None:
    solo, after = _neighbourhood(challengers=1)
    solo.hear(Suspect(after[0], 0, STRANGER))
    [packet] = solo.sent(Ping)
    solo.receive(Ack(packet.message.seq, 0, after[0]))
    solo.sleep(1.0)
    accusers = _accusers_told(solo, after[0])
    assert accusers
    assert ME.head not in accusers


def test_no_more_suspects_are_challenged_at_once_than_allowed() -> None:
    solo, after = _neighbourhood(challengers=10, max_challenges=2)
    for suspect in after[:5]:
        solo.hear(Suspect(suspect, 0, STRANGER))
    assert len(_pinged(solo)) == 2


def test_a_leaving_node_challenges_nobody() -> None:
    solo, after = _neighbourhood(challengers=10)
    solo.leave()
    solo.quiet()
    solo.hear(Suspect(after[0], 0, STRANGER))
    assert _pinged(solo) == []


def test_a_node_without_its_name_challenges_nobody() -> None:
    solo, after = _neighbourhood(challengers=10)
    solo.sync_from(after[0])
    solo.hear(Alive(info_of(200, "me"), 0))
    assert solo.core.is_superseded
    solo.quiet()
    solo.hear(Suspect(after[0], 0, STRANGER))
    assert _pinged(solo) == []


# Out of contact


def test_a_node_that_hears_nobody_accuses_nobody_and_thinks_worse_of_itself() -> None:
    solo = Probing(helpers=3, withhold_verdicts=30.0)
    solo.at(1.5)
    assert solo.state(1) is ALIVE
    assert solo.core.stats.probes_inconclusive == 1
    assert solo.core.health.reasons[HealthReason.OUT_OF_CONTACT] == 1


def test_one_nack_is_contact_enough_for_a_verdict() -> None:
    solo = Probing(helpers=3, withhold_verdicts=30.0)
    solo.at(0.9)
    solo.nack(2)
    solo.at(1.0)
    assert solo.state(1) is SUSPECT


def test_any_message_while_relays_are_asked_leaves_local_health_alone_where_contact_is_trusted() -> None:
    solo = Probing(helpers=3, trust_contact=True)
    solo.at(0.9)
    solo.nack(2)
    solo.at(1.0)
    assert solo.state(1) is SUSPECT
    assert solo.core.health.score == 0


def test_a_suspicion_does_not_expire_while_nobody_is_heard() -> None:
    solo = Probing(helpers=3, withhold_verdicts=30.0)
    solo.hear(Suspect(TARGET, 0, node_id(2)))
    heard = solo.now
    solo.sleep_until(heard + 29.0)
    assert solo.state(1) is SUSPECT
    solo.sleep_until(heard + 32.0)
    assert solo.state(1) is DEAD


# Adaptive timeout


def test_relays_are_asked_sooner_where_answers_are_usually_quick() -> None:
    solo = Probing(adaptive_timeout=True)
    solo.sleep(0.001)
    solo.ack()
    solo.meet(2, 3, 4)
    solo.quiet()
    ping = solo.sleep_until_sent(Ping)
    solo.sleep_until(ping.at + 0.1)
    timeouts = [
        request.message.timeout for request in solo.sent(PingRequest) if isinstance(request.message, PingRequest)
    ]
    assert timeouts == [0.5] * 3


def test_a_refused_stream_is_contact_enough_for_a_verdict() -> None:
    solo = Probing(helpers=3, withhold_verdicts=30.0)
    solo.at(0.5)
    [stream] = solo.streams()
    solo.sleep(0.001)
    solo.core.stream_refused(stream.token, "connection refused", solo.now)
    solo.at(1.0)
    assert solo.state(1) is SUSPECT


def test_after_long_silence_a_node_takes_itself_for_the_survivor() -> None:
    solo = Probing(helpers=3, withhold_verdicts=5.0, trust_contact=True)
    solo.sleep(5.0)
    assert solo.core.health.score > 0
    solo.sleep(60.0)
    assert {solo.state(number) for number in (1, 2, 3, 4)} == {DEAD}
    assert solo.core.health.score == 0


def test_a_relay_that_owes_its_nack_is_probed_next() -> None:
    solo = Probing(helpers=3, challengers=1)
    solo.at(0.9)
    solo.nack(2)
    solo.quiet()
    solo.at(1.0)
    pinged = _pinged(solo)
    assert {node_id(3), node_id(4)} <= set(pinged)
    assert node_id(2) not in pinged
