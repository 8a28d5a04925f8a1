"""What a core can tell of its verdicts after the fact."""

from random import Random

import pytest

from shoal.events import (
    Accusation,
    Evidence,
    HealthReason,
    MemberFailed,
    MemberStalled,
    ProbeReport,
    StreamEnd,
    SuspicionTime,
    Verdict,
    VerdictReason,
    Withheld,
)
from shoal.swim.verdicts import Verdicts
from shoal.types import Address, Member, MemberState, NodeId, Tags
from shoal.wire.messages import Alive, Dead, Left, Nack, Ping, PingRequest, Suspect
from tests.swim.harness import Solo, address_of, info_of, node_id

ALIVE, SUSPECT, DEAD, LEFT = MemberState
PEER = node_id(1)
A, B = node_id(2), node_id(3)
LONGEST = 24.0
LEAST = 4.0
TOLERANCE = 12.0


def _solo(*numbers: int, **config: float) -> Solo:
    solo = Solo(**config)  # type: ignore[arg-type]
    solo.meet(*numbers)
    solo.sleep(10.0)
    return solo.quiet()


def _verdicts(solo: Solo, number: int = 1) -> tuple[Verdict, ...]:
    return solo.core.verdicts(node_id(number), solo.now)


def _suspicion(verdict: Verdict) -> SuspicionTime:
    assert verdict.evidence.suspicion is not None
    return verdict.evidence.suspicion


def _states(solo: Solo) -> list[MemberState]:
    return [verdict.member.state for verdict in _verdicts(solo)]


# In a core


def test_who_was_never_accused_has_no_verdict() -> None:
    solo = _solo(1)
    assert _verdicts(solo) == _verdicts(solo, number=77) == ()


def test_a_suspicion_and_the_death_after_it_are_told_in_order_with_what_the_events_said() -> None:
    solo = _solo(1, 2, 3)
    solo.hear(Suspect(PEER, 0, A))
    solo.sleep(LONGEST + 0.1)
    [failed] = solo.events(MemberFailed)
    suspected, died = _verdicts(solo)
    assert (suspected.member.state, suspected.evidence.reason) == (SUSPECT, VerdictReason.REPORTED)
    assert died == Verdict(failed.member, failed.member.since, failed.evidence)
    assert died.evidence.accusations == (Accusation("n2", suspected.at),)


def test_a_standing_suspicion_is_told_as_it_is_now() -> None:
    solo = _solo(1, 2, 3)
    solo.hear(Suspect(PEER, 0, A))
    began = solo.now
    solo.sleep(2.0)
    solo.hear(Suspect(PEER, 0, B))
    solo.sleep(1.0)
    [verdict] = _verdicts(solo)
    assert verdict.at == began
    assert verdict.evidence.accusations == (Accusation("n2", began), Accusation("n3", began + 2.0))
    assert verdict.evidence.suspicion is not None
    assert verdict.evidence.suspicion.confirmations == 1
    assert verdict.evidence.suspicion.lasted == pytest.approx(3.0)


def test_a_refuted_verdict_is_told_with_the_moment_of_the_refutation() -> None:
    solo = _solo(1, 2, 3)
    solo.hear(Suspect(PEER, 0, A))
    solo.sleep(1.0)
    solo.hear(Alive(info_of(1), 1))
    [verdict] = _verdicts(solo)
    assert verdict.refuted_at == solo.now
    solo.sleep(1.0)
    solo.hear(Alive(info_of(1, role="worker"), 2))
    assert _verdicts(solo) == (verdict,)


def test_a_death_that_was_refuted_is_told_too() -> None:
    solo = _solo(1, 2)
    solo.hear(Dead(PEER, 0, A), Alive(info_of(1), 1))
    [verdict] = _verdicts(solo)
    assert (verdict.member.state, verdict.refuted_at) == (DEAD, solo.now)


def test_that_a_member_stands_still_is_a_verdict_of_its_own_between_the_suspicion_and_the_death() -> None:
    solo = _solo(1, 2, 3, stall_tolerance=TOLERANCE)
    solo.hear(Suspect(PEER, 0, A, is_stalled=True))
    solo.sleep(TOLERANCE + 0.1)
    [told] = solo.events(MemberStalled)
    suspected, stalled, died = _verdicts(solo)
    assert [suspected.member.state, stalled.member.state, died.member.state] == [SUSPECT, SUSPECT, DEAD]
    assert stalled == Verdict(told.member, suspected.at + LEAST, told.evidence)
    assert stalled.evidence.reason is VerdictReason.STALLED
    assert died.evidence.reason is VerdictReason.SUSPICION_EXPIRED


def test_who_stood_still_and_went_on_refutes_that() -> None:
    solo = _solo(1, 2, 3, stall_tolerance=TOLERANCE)
    solo.hear(Suspect(PEER, 0, A, is_stalled=True))
    solo.sleep(LEAST + 1.0)
    solo.hear(Alive(info_of(1), 1))
    assert [verdict.refuted_at for verdict in _verdicts(solo)] == [None, solo.now]


def test_it_is_told_that_a_suspicion_lasted_longer_because_the_machine_accepted_connections() -> None:
    solo = _solo(1, 2, 3, stall_tolerance=TOLERANCE)
    solo.hear(Suspect(PEER, 0, A, is_stalled=True))
    solo.sleep(TOLERANCE + 0.1)
    time = _suspicion(_verdicts(solo)[-1])
    assert (time.lasted, time.timeout) == pytest.approx((TOLERANCE, LEAST))
    assert (time.is_stalled, time.stall_tolerance) == (True, TOLERANCE)


def test_a_tolerance_that_a_refused_connection_ended_is_still_told() -> None:
    solo = _solo(1, 2, 3, stall_tolerance=TOLERANCE)
    solo.hear(Suspect(PEER, 0, A, is_stalled=True))
    solo.sleep(LEAST + 1.0)
    refused = ProbeReport(solo.now - 1.0, 0.5, 1.0, (), (), stream_tried=True, stream_end=StreamEnd.REFUSED)
    solo.core._membership.accusations.accuse(PEER, 0, refused, solo.now)
    solo.sleep(0.1)
    time = _suspicion(_verdicts(solo)[-1])
    assert time.lasted < TOLERANCE
    assert (time.is_stalled, time.stall_tolerance) == (False, TOLERANCE)


def test_without_a_stall_there_is_no_tolerance() -> None:
    solo = _solo(1, 2, 3, stall_tolerance=TOLERANCE)
    solo.hear(Suspect(PEER, 0, A))
    time = _suspicion(_verdicts(solo)[-1])
    assert (time.is_stalled, time.stall_tolerance) == (False, 0.0)


def test_only_the_last_verdicts_are_kept() -> None:
    solo = _solo(1, 2)
    for incarnation in range(10):
        solo.hear(Suspect(PEER, incarnation, A), Alive(info_of(1), incarnation + 1))
    assert [verdict.member.incarnation for verdict in _verdicts(solo)] == [6, 7, 8, 9]


def test_the_verdicts_on_an_earlier_run_are_still_told_of_the_next_and_are_not_refuted_by_it() -> None:
    solo = _solo(1, 2)
    solo.hear(Dead(PEER, 0, A))
    solo.hear(Alive(info_of(11, "n1", at=address_of(1)), 0))
    solo.hear(Alive(info_of(11, "n1", at=address_of(1)), 1))
    [verdict] = _verdicts(solo, number=11)
    assert (verdict.member.id, verdict.refuted_at) == (PEER, None)


def test_a_replaced_run_is_told_so() -> None:
    solo = _solo(1)
    solo.hear(Alive(info_of(11, "n1", at=address_of(1)), 0))
    [verdict] = _verdicts(solo, number=11)
    assert verdict.evidence.reason is VerdictReason.REPLACED


@pytest.mark.parametrize("end", [Dead(PEER, 0, A), Left(PEER, 0)])
def test_verdicts_go_with_the_tombstone(end: Dead | Left) -> None:
    solo = _solo(1, 2, tombstone_life=60.0)
    solo.hear(Suspect(PEER, 0, A), end)
    solo.sleep(50.0)
    assert _states(solo)[0] is SUSPECT
    solo.sleep(20.0)
    assert solo.state(1) is None
    assert len(solo.core._context.verdicts) == 0


def test_an_own_probe_is_told_with_all_that_was_tried() -> None:
    solo = _solo(1)
    solo.start()
    ping = solo.sleep_until_sent(Ping)
    assert isinstance(ping.message, Ping)
    solo.meet(2, 3)
    solo.sleep(0.5)
    relays = {packet.to: packet.message for packet in solo.sent(PingRequest)}
    assert len(relays) == 2
    solo.sleep(0.2)
    solo.receive(Nack(ping.message.seq, 0, B), source=address_of(3))
    solo.sleep(0.3)
    [verdict] = _verdicts(solo)
    [probe] = verdict.evidence.probes
    assert probe.started == ping.at
    assert (probe.timeout, probe.deadline) == pytest.approx((0.5, 1.0))
    assert (sorted(probe.relays), probe.nacks, probe.stream_tried) == (["n2", "n3"], ("n3",), True)
    assert verdict.evidence.local_health == (HealthReason.PROBE_FAILED, HealthReason.NACK_MISSED)


def test_it_is_told_how_often_a_verdict_was_withheld_and_why() -> None:
    solo = _solo(1, 2, 3, withhold_verdicts=5.0)
    solo.hear(Suspect(PEER, 0, A))
    solo.sleep(LONGEST - 1.5)
    solo.hear(Suspect(B, 0, A))  # somebody is heard, and then nobody for long
    solo.sleep(10.0)
    death = _verdicts(solo)[-1]
    assert death.member.state is DEAD
    assert [withheld.reason for withheld in death.evidence.withheld] == [HealthReason.OUT_OF_CONTACT]
    assert death.evidence.withheld[0].count > 1
    solo.hear(Alive(info_of(1), 1), Suspect(PEER, 1, A))
    assert _verdicts(solo)[-1].evidence.withheld == ()


# The log itself


def _verdict(name: str, number: int = 0) -> Verdict:
    id = NodeId.mint(number, Random(number))
    member = Member(name, id, Address("10.0.0.1", 1), DEAD, number, Tags(), since=0.0)
    return Verdict(member, 0.0, Evidence(VerdictReason.REPORTED))


def test_all_verdicts_together_are_bounded_and_those_on_the_longest_undisturbed_go_first() -> None:
    verdicts = Verdicts()
    for number in range(5000):
        verdicts.add(_verdict("often"))
        verdicts.add(_verdict(f"n{number}"))
    assert len(verdicts.of("often")) == 4
    assert len(verdicts.of("n4999")) == 1
    assert verdicts.of("n0") == ()
    assert len(verdicts) == 1023 + 4


def test_what_was_withheld_is_bounded_and_ends_with_an_answer() -> None:
    verdicts = Verdicts()
    for number in range(5000):
        verdicts.withhold(node_id(number), HealthReason.STALLED)
    verdicts.withhold(node_id(4999), HealthReason.STALLED)
    assert verdicts.withheld_from(node_id(4999)) == (Withheld(HealthReason.STALLED, 2),)
    assert verdicts.withheld_from(node_id(0)) == ()
    verdicts.settle(node_id(4999))
    assert verdicts.withheld_from(node_id(4999)) == ()
