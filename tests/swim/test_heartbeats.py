"""Heartbeats beside the schedule."""

import pytest

from shoal.errors import ClosedError, UnknownMemberError
from shoal.swim.stats import Drop
from shoal.wire.messages import Ack, Ping
from tests.swim.harness import OWN, Solo, address_of, node_id


def _solo() -> Solo:
    solo = Solo()
    solo.meet(1, 2)
    solo.sleep(10.0)
    return solo.quiet()


def _ack(solo: Solo, seq: int, sender: int = 1) -> None:
    solo.receive(Ack(seq, 0, node_id(sender)), source=address_of(sender))


def _sent(solo: Solo) -> Ping:
    solo.collect()
    [packet] = solo.sent(Ping)
    assert isinstance(packet.message, Ping)
    assert (packet.to, packet.updates) == (address_of(1), ())
    return packet.message


def test_a_heartbeat_is_a_bare_ping_and_its_answer_is_told_by_time() -> None:
    solo = _solo()
    heartbeat = solo.core.heartbeat(node_id(1), solo.now)
    ping = _sent(solo)
    assert (ping.target, heartbeat.target, heartbeat.sent, heartbeat.answered) == (node_id(1), node_id(1), 10.0, None)
    solo.sleep(0.03)
    _ack(solo, ping.seq)
    assert heartbeat.answered == solo.now
    assert len(solo.core._heartbeats) == 0


def test_a_heartbeat_changes_no_belief_and_no_health() -> None:
    solo = _solo()
    solo.core.heartbeat(node_id(1), solo.now)
    solo.sleep(60.0)
    assert solo.events() == []
    assert solo.core.health.score == 0
    assert solo.core.stats.probes == 0
    assert solo.core.last_probe_success is None


def test_only_its_target_answers_a_heartbeat_and_only_once() -> None:
    solo = _solo()
    heartbeat = solo.core.heartbeat(node_id(1), solo.now)
    seq = _sent(solo).seq
    _ack(solo, seq, sender=2)
    _ack(solo, seq + 1)
    assert heartbeat.answered is None
    _ack(solo, seq)
    first = heartbeat.answered
    solo.sleep(1.0)
    _ack(solo, seq)
    assert heartbeat.answered == first
    assert solo.dropped[Drop.UNMATCHED_REPLY] == 3


def test_those_that_are_never_answered_are_bounded() -> None:
    solo = _solo()
    for _ in range(3000):
        solo.core.heartbeat(node_id(1), solo.now)
    assert len(solo.core._heartbeats) == 1024


def test_only_another_known_member_can_be_asked_and_not_after_goodbye() -> None:
    solo = _solo()
    for number in (OWN, 77):
        with pytest.raises(UnknownMemberError):
            solo.core.heartbeat(node_id(number), solo.now)
    solo.leave()
    with pytest.raises(ClosedError, match="send a heartbeat"):
        solo.core.heartbeat(node_id(1), solo.now)
