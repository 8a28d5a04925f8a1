import pytest

from shoal.events import JoinCompleted, SeedUnreachable
from shoal.swim.stats import Drop
from shoal.types import Address, MemberState
from shoal.wire.dialect import Flaw
from shoal.wire.messages import Ack, Alive, Dead, Left, Ping, Suspect, SyncRecord, SyncRequest, SyncResponse
from tests.swim.harness import DIALECT, OWN, STRANGER, Solo, address_of, info_of, node_id

ALIVE, SUSPECT, DEAD, LEFT = MemberState
ME, PEER = node_id(OWN), node_id(1)
OTHER = 12345  # a digest that is not ours
SEED = Address("10.7.7.7", 7)


def _differ(solo: Solo, times: int, sender: int = 1) -> None:
    for _ in range(times):
        solo.receive(Ping(7, OTHER, node_id(sender), ME))


def _agree(solo: Solo, times: int) -> None:
    for _ in range(times):
        solo.receive(Ping(7, solo.core.digest, PEER, ME))


# Whole views


def test_a_view_is_answered_with_ours_as_it_was_before() -> None:
    solo = Solo()
    solo.meet(2, 3, 4)
    solo.hear(Suspect(node_id(2), 0, PEER), Dead(node_id(3), 0, PEER), Left(node_id(4), 0))
    digest = solo.core.digest
    reply = solo.ask(SyncRequest(0, 0, PEER, [SyncRecord(info_of(1), ALIVE, 0, 0.0)]))
    assert isinstance(reply, SyncResponse)
    assert (reply.sender, reply.digest) == (ME, digest)
    assert {record.info.name: record.state for record in reply.records} == {
        "me": ALIVE,
        "n2": SUSPECT,
        "n3": DEAD,
        "n4": LEFT,
    }
    assert solo.state(1) is ALIVE
    assert solo.core.stats.syncs_served == 1


def test_what_a_view_brings_is_passed_on() -> None:
    solo = Solo()
    solo.sync_from(PEER)
    solo.sync_from(PEER, SyncRecord(info_of(1, role="worker"), ALIVE, 3, 99.0), SyncRecord(info_of(2), LEFT, 1, 0.0))
    solo.sleep(0.0)
    assert Alive(info_of(1, role="worker"), 3) in solo.news()
    assert solo.state(2) is LEFT


def test_a_joiner_passes_on_only_who_joined_shortly_before_it() -> None:
    solo = Solo()
    solo.sync_from(PEER, SyncRecord(info_of(1), ALIVE, 0, 10.0), SyncRecord(info_of(2), ALIVE, 0, 11.0))
    solo.sleep(0.0)
    news = solo.news()
    assert Alive(info_of(1), 0) in news
    assert Alive(info_of(2), 0) not in news
    assert (solo.state(1), solo.state(2)) == (ALIVE, ALIVE)


def test_a_reply_brings_the_view_of_the_peer() -> None:
    solo = Solo()
    solo.join(SEED)
    [exchange] = solo.streams()
    request, _ = DIALECT.decode(exchange.data)
    assert request == SyncRequest(0, solo.core.digest, ME, [SyncRecord(solo.info, ALIVE, 0, 0.0)])
    solo.reply(exchange, SyncResponse(0, 0, PEER, [SyncRecord(info_of(1), ALIVE, 0, 0.0)]))
    assert solo.state(1) is ALIVE
    assert (solo.core.stats.syncs_started, solo.core.stats.syncs_completed) == (1, 1)


def test_a_reply_of_our_own_brings_nothing() -> None:
    solo = Solo()
    solo.join(SEED)
    [exchange] = solo.streams()
    reply = solo.core.receive_stream(exchange.data, SEED, solo.now)
    assert reply is not None
    solo.core.stream_replied(exchange.token, reply, solo.now)
    solo.collect()
    assert solo.states() == {"me": ALIVE}
    assert not solo.core.joined
    assert solo.events() == [SeedUnreachable(SEED, "it is this node itself")]


@pytest.mark.parametrize(
    ("reply", "reason", "drop"),
    [
        (b"noise", "the reply was malformed (too_short)", Flaw.TOO_SHORT),
        (DIALECT.encode(Ack(0, 0, PEER)), "the reply was no state sync response", Drop.WRONG_CHANNEL),
        (DIALECT.encode(SyncRequest(0, 0, PEER, [])), "the reply was no state sync response", Drop.WRONG_CHANNEL),
    ],
)
def test_another_reply_is_a_failure_with_a_reason(reply: bytes, reason: str, drop: str) -> None:
    solo = Solo()
    solo.join(SEED)
    [exchange] = solo.streams()
    solo.core.stream_replied(exchange.token, reply, solo.now)
    solo.collect()
    assert solo.events() == [SeedUnreachable(SEED, reason)]
    assert solo.dropped == {drop: 1}
    assert not solo.core.joined
    assert solo.core.stats.syncs_completed == 0


def test_whoever_comes_with_a_view_is_company() -> None:
    solo = Solo()
    joined = []
    for sender in (ME, PEER, PEER):
        solo.sync_from(sender)
        joined.append(solo.core.joined)
    assert joined == [False, True, True]
    assert solo.events() == [JoinCompleted()]


# When digests call for one


def _peer() -> Solo:
    solo = Solo(sync_threshold=5, sync_interval=10.0)
    solo.meet(1)
    solo.sleep(5.0)
    return solo.quiet()


def test_enough_packets_with_another_digest_start_a_sync_with_their_sender() -> None:
    solo = _peer()
    _differ(solo, 4)
    assert solo.streams() == []
    _differ(solo, 1)
    [exchange] = solo.streams()
    assert exchange.address == address_of(1)
    request, _ = DIALECT.decode(exchange.data)
    assert isinstance(request, SyncRequest)


def test_packets_with_an_equal_digest_outweigh_others() -> None:
    solo = _peer()
    for _ in range(20):
        _differ(solo, 4)
        _agree(solo, 4)
    assert solo.streams() == []
    _agree(solo, 100)
    _differ(solo, 5)
    assert len(solo.streams()) == 1


def test_one_equal_digest_takes_one_other_back() -> None:
    solo = _peer()
    _differ(solo, 3)
    _agree(solo, 1)
    _differ(solo, 2)
    assert solo.streams() == []
    _differ(solo, 1)
    assert len(solo.streams()) == 1


def test_after_a_sync_the_count_begins_anew() -> None:
    solo = _peer()
    _differ(solo, 5)
    solo.sleep(10.1)
    solo.quiet()
    _differ(solo, 4)
    assert solo.streams() == []
    _differ(solo, 1)
    assert len(solo.streams()) == 1


def test_acks_count_as_pings_do() -> None:
    solo = _peer()
    for _ in range(5):
        solo.receive(Ack(7, OTHER, PEER))
    assert len(solo.streams()) == 1


def test_there_is_one_such_sync_in_each_interval() -> None:
    solo = _peer()
    _differ(solo, 50)
    assert len(solo.streams()) == 1
    solo.sleep(9.9)
    _differ(solo, 50)
    assert solo.streams() == []
    solo.sleep(0.2)
    _differ(solo, 1)
    assert len(solo.streams()) == 1


def test_only_a_member_that_is_present_is_synced_with() -> None:
    solo = _peer()
    _differ(solo, 50, sender=999)
    assert solo.streams() == []
    solo.meet(2)
    solo.hear(Dead(node_id(2), 0, STRANGER))
    _differ(solo, 50, sender=2)
    assert solo.streams() == []
    _differ(solo, 1)
    assert len(solo.streams()) == 1
