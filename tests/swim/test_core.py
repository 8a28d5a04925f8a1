from collections.abc import Callable

import pytest

from shoal.errors import ClosedError, MessageTooLargeError, UnknownMemberError
from shoal.events import BroadcastReceived, LeaveCompleted, MemberSuspected, MessageReceived
from shoal.swim.stats import Drop
from shoal.types import Address, MemberState
from shoal.wire.dialect import Flaw
from shoal.wire.messages import (
    Ack,
    Alive,
    Dead,
    Gossip,
    Left,
    Ping,
    Suspect,
    SyncRequest,
    SyncResponse,
    UserBroadcast,
    UserMessage,
)
from shoal.wire.native import NativeDialect
from tests.rows import rows
from tests.swim.harness import DIALECT, OWN, STRANGER, Solo, address_of, info_of, node_id

ALIVE, SUSPECT, DEAD, LEFT = MemberState
ME, PEER = node_id(OWN), node_id(1)


def _solo(*numbers: int) -> Solo:
    """A core that knows some peers and has told their news."""
    solo = Solo()
    solo.meet(*numbers)
    solo.sleep(10.0)
    return solo.quiet()


# Doors


def test_what_comes_in_is_counted() -> None:
    solo = Solo()
    solo.hear(Alive(info_of(1), 0), Alive(info_of(2), 0))
    assert (solo.core.stats.datagrams_in, solo.core.stats.updates_in) == (1, 2)
    size = solo.core.stats.bytes_in
    solo.core.receive(b"noise", address_of(1), 0.0)
    assert (solo.core.stats.datagrams_in, solo.core.stats.bytes_in) == (2, size + 5)
    assert solo.dropped == {Flaw.TOO_SHORT: 1}


def test_another_cluster_is_not_heard() -> None:
    solo = Solo()
    other = NativeDialect("other")
    alive = other.encode_update(Alive(info_of(1), 0))
    solo.core.receive(other.attach(other.encode(Gossip(0, 0, PEER)), [alive]), address_of(1), 0.0)
    assert solo.core.receive_stream(other.encode(Ping(1, 0, PEER, ME)), address_of(1), 0.0) is None
    assert solo.states() == {"me": ALIVE}
    assert solo.dropped == {Flaw.FOREIGN_CLUSTER: 2}


def test_our_own_datagrams_come_back_to_nothing() -> None:
    solo = Solo()
    solo.receive(Gossip(0, 0, ME), Alive(info_of(1), 0))
    assert solo.states() == {"me": ALIVE}
    assert solo.dropped == {Drop.FROM_OURSELVES: 1}


def test_stream_messages_do_not_come_in_datagrams() -> None:
    solo = Solo()
    solo.receive(SyncRequest(0, 0, PEER, False, [], rows()))
    solo.receive(SyncResponse(0, 0, PEER, False, [], [], rows()))
    assert solo.sent() == []
    assert solo.dropped == {Drop.WRONG_CHANNEL: 2}


def test_one_bad_update_rejects_the_packet() -> None:
    solo = Solo()
    packet = DIALECT.attach(DIALECT.encode(Gossip(0, 0, PEER)), [DIALECT.encode_update(Alive(info_of(1), 0)), b"\xff"])
    solo.core.receive(packet, address_of(1), 0.0)
    assert solo.states() == {"me": ALIVE}
    assert solo.dropped == {Flaw.UNKNOWN_TYPE: 1}


def test_outputs_and_events_are_handed_out_once() -> None:
    solo = Solo()
    solo.core.receive(DIALECT.encode(UserMessage(0, 0, PEER, b"hi")), address_of(1), 0.0)
    solo.core.receive(DIALECT.encode(Ping(1, 0, PEER, ME)), address_of(1), 0.0)
    assert (len(solo.core.events()), len(solo.core.outgoing())) == (1, 1)
    assert (solo.core.events(), solo.core.outgoing()) == ([], [])


def test_events_that_were_handed_out_stay_as_they_were() -> None:
    solo = Solo()
    solo.core.receive(DIALECT.encode(UserMessage(0, 0, PEER, b"hi")), address_of(1), 0.0)
    events = solo.core.events()
    solo.core.receive(DIALECT.encode(UserMessage(0, 0, PEER, b"ho")), address_of(1), 0.0)
    assert events == [MessageReceived(PEER, b"hi")]


# Reads


def test_members_are_found_by_id_and_by_name() -> None:
    solo = _solo(1)
    member = solo.core.member(PEER)
    assert member is not None
    assert solo.core.member_named("n1") == member
    assert set(solo.core.members()) == {solo.core.local, member}
    assert solo.core.member(STRANGER) is None
    assert solo.core.member_named("n2") is None


def test_counts_are_by_state() -> None:
    solo = _solo(1, 2, 3, 4)
    solo.hear(Suspect(PEER, 0, STRANGER), Dead(node_id(2), 0, STRANGER), Left(node_id(3), 0))
    assert solo.core.counts() == {ALIVE: 2, SUSPECT: 1, DEAD: 1, LEFT: 1}


def test_the_generation_rises_when_members_change_and_only_then() -> None:
    solo = _solo(1)
    before = solo.core.generation
    solo.hear(Alive(info_of(1), 0), UserBroadcast(STRANGER, 1, b"hi"))
    assert solo.core.generation == before
    solo.hear(Alive(info_of(1), 1))
    assert solo.core.generation > before


def test_equal_views_have_equal_digests() -> None:
    one, other = Solo(1, info=info_of(1)), Solo(2, info=info_of(2), seed=5)
    assert one.core.digest != other.core.digest
    one.meet(2, 3)
    other.meet(3, 1)
    assert one.core.digest == other.core.digest
    one.hear(Dead(node_id(3), 0, STRANGER))
    other.hear(Left(node_id(3), 0))
    assert one.core.digest == other.core.digest


# Messages of users


def test_a_message_goes_to_one_member_in_one_datagram() -> None:
    solo = _solo(1, 2)
    solo.core.send(PEER, b"hi", solo.now)
    solo.collect()
    [packet] = solo.sent()
    assert (packet.message, packet.updates, packet.to) == (
        UserMessage(0, solo.core.digest, ME, b"hi"),
        (),
        address_of(1),
    )


def test_a_message_that_arrives_is_an_event_even_from_a_stranger() -> None:
    solo = Solo()
    solo.receive(UserMessage(0, 0, STRANGER, b"hi"))
    assert solo.events() == [MessageReceived(STRANGER, b"hi")]


def test_a_message_to_oneself_arrives_without_a_datagram() -> None:
    solo = Solo()
    solo.core.send(ME, b"hi", 0.0)
    solo.collect()
    assert solo.events() == [MessageReceived(ME, b"hi")]
    assert solo.sent() == []
    with pytest.raises(MessageTooLargeError):
        solo.core.send(ME, bytes(2000), 0.0)


def test_a_message_needs_a_receiver_that_is_known() -> None:
    with pytest.raises(UnknownMemberError, match=f"no member has the id {PEER}"):
        Solo().core.send(PEER, b"hi", 0.0)


def test_a_message_that_fits_in_no_datagram_is_refused() -> None:
    solo = _solo(1)
    solo.core.send(PEER, bytes(1400 - 40), solo.now)
    solo.collect()
    assert [packet.size for packet in solo.sent()] == [1400]
    with pytest.raises(MessageTooLargeError, match=r"message has 1401 bytes, the limit is 1400 \(max_datagram\)"):
        solo.core.send(PEER, bytes(1400 - 39), solo.now)
    solo.collect()
    assert solo.sent() == []


# Leaving


def test_a_leaver_says_goodbye_as_often_as_any_news_is_told() -> None:
    solo = _solo(1)
    solo.leave()
    assert (solo.core.is_leaving, solo.core.has_left) == (True, False)
    assert solo.core.local.state is LEFT
    solo.sleep(0.7)
    assert solo.news() == [Left(ME, 0)] * 4
    assert solo.core.has_left
    assert solo.events() == [LeaveCompleted()]


def test_a_leaver_that_is_alone_may_go_at_once() -> None:
    solo = Solo()
    solo.leave()
    assert solo.core.has_left
    assert solo.events() == [LeaveCompleted()]


def test_a_goodbye_takes_no_longer_than_its_limit() -> None:
    solo = Solo(gossip_fanout=0, leave_timeout=5.0)
    solo.meet(1)
    solo.leave()
    solo.sleep(4.9)
    before = solo.core.has_left
    solo.sleep(0.2)
    assert (before, solo.core.has_left) == (False, True)
    assert solo.events(LeaveCompleted) == [LeaveCompleted()]


def test_leaving_again_changes_nothing() -> None:
    solo = _solo(1)
    solo.leave()
    solo.sleep(0.3)
    solo.quiet()
    solo.leave()
    solo.sleep(60.0)
    assert len(solo.sent(Gossip)) == 2
    assert solo.events() == [LeaveCompleted()]


def test_a_leaver_does_not_contradict_what_is_said_of_it() -> None:
    solo = _solo(1)
    solo.leave()
    solo.hear(Suspect(ME, 0, PEER), Dead(ME, 0, PEER), Left(ME, 0), Alive(info_of(200, "me"), 0))
    assert (solo.core.local.id, solo.core.local.state, solo.core.local.incarnation) == (ME, LEFT, 0)
    assert solo.core.stats.refutations == 0


def test_a_leaver_tells_whoever_pings_it() -> None:
    solo = _solo(1)
    solo.leave()
    solo.receive(Ping(7, 0, PEER, ME), source=address_of(1))
    [packet] = solo.sent(Ack)
    assert Left(ME, 0) in packet.updates


COMMANDS: dict[str, Callable[[Solo], None]] = {
    "set_tags": lambda solo: solo.core.set_tags({"a": "b"}, solo.now),
    "broadcast": lambda solo: solo.core.broadcast(b"hi", solo.now),
    "send": lambda solo: solo.core.send(PEER, b"hi", solo.now),
    "join": lambda solo: solo.core.join([Address("10.7.7.7", 7)], solo.now),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_whoever_said_goodbye_says_nothing_else(command: str) -> None:
    solo = _solo(1)
    solo.leave()
    solo.sleep(10.0)
    solo.quiet()
    with pytest.raises(ClosedError, match="this node has said goodbye"):
        COMMANDS[command](solo)
    solo.sleep(10.0)
    assert solo.drain() == []
    assert solo.core.local.tags == {}


def test_a_goodbye_carries_the_last_incarnation() -> None:
    solo = _solo(1)
    solo.hear(Suspect(ME, 3, PEER))
    solo.leave()
    solo.sleep(0.0)
    assert Left(ME, 4) in solo.news()


def test_a_node_without_its_name_may_go_at_once() -> None:
    solo = _solo(1)
    solo.sync_from(PEER)
    solo.hear(Alive(info_of(200, "me"), 0))
    solo.leave()
    assert solo.core.has_left
    assert solo.core.local.state is LEFT
    assert Left(ME, 0) not in solo.news()


# Broadcasts and suspicions meet the outside only through events


def test_a_broadcast_of_a_stranger_is_an_event() -> None:
    solo = Solo()
    solo.hear(UserBroadcast(STRANGER, 1, b"hi"))
    assert solo.events() == [BroadcastReceived(STRANGER, b"hi")]


def test_a_wake_up_before_its_time_changes_nothing() -> None:
    solo = _solo(1, 2, 3)
    solo.hear(Suspect(PEER, 0, STRANGER))
    solo.sleep(1.0)
    assert len(solo.events(MemberSuspected)) == 1
    deadline, generation = solo.core.next_deadline(), solo.core.generation
    for _ in range(5):
        solo.core.advance(solo.now)
    assert (solo.core.next_deadline(), solo.core.generation) == (deadline, generation)
