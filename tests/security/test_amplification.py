"""Nobody is made to send more, by somebody unknown, than that one sent."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.types import Address, MemberState, NodeId
from shoal.wire.messages import (
    Ack,
    Alive,
    Compare,
    Dead,
    Gossip,
    Message,
    Nack,
    Ping,
    PingRequest,
    Suspect,
    Update,
    UserBroadcast,
)
from tests.strategies import packet_messages, ranges
from tests.swim.harness import DIALECT, OWN, Solo, address_of, info_of, node_id

UNKNOWN = st.integers(900, 950).map(node_id)
MEMBERS = st.sampled_from([1, 2, 3, 4]).map(node_id)
OURSELVES = st.just(node_id(OWN))
VICTIM = Address("192.0.2.66", 53)
victims = st.sampled_from([VICTIM, Address("192.0.2.67", 53)])


def packets(senders: st.SearchStrategy[NodeId]) -> st.SearchStrategy[Message]:
    targets = MEMBERS | OURSELVES | UNKNOWN
    seqs, digests = st.integers(0, 3), st.integers(0, 3)
    return st.one_of(
        st.builds(Ping, seqs, digests, senders, OURSELVES),
        st.builds(Ping, seqs, digests, senders, targets),
        st.builds(PingRequest, seqs, digests, senders, targets, victims, st.sampled_from([0.0, 0.5, 3600.0])),
        st.builds(Ack, seqs, digests, senders),
        st.builds(Nack, seqs, digests, senders),
        st.builds(Gossip, seqs, digests, senders),
        st.builds(Compare, seqs, digests, senders, st.integers(0, 9), st.sampled_from([0, 1, 255]), ranges),
    )


news: st.SearchStrategy[Update] = st.one_of(
    st.builds(Suspect, MEMBERS | OURSELVES | UNKNOWN, st.integers(0, 2), MEMBERS | UNKNOWN),
    st.builds(Dead, MEMBERS | OURSELVES | UNKNOWN, st.integers(0, 2), MEMBERS | UNKNOWN),
    st.builds(UserBroadcast, UNKNOWN, st.integers(0, 9), st.binary(max_size=60)),
)


def _node_with_news() -> Solo:
    solo = Solo()
    solo.meet(1, 2, 3, 4)
    solo.hear(*(UserBroadcast(node_id(1), number, bytes(200)) for number in range(20)))
    return solo.quiet()


def _size(message: Message, updates: list[Update]) -> int:
    return len(DIALECT.attach(DIALECT.encode(message), [DIALECT.encode_update(update) for update in updates]))


@settings(max_examples=200)
@given(
    st.lists(st.tuples(packets(UNKNOWN | MEMBERS) | packet_messages, st.lists(news, max_size=4), victims), max_size=20)
)
def test_addresses_of_strangers_get_no_more_than_came_in(
    hostile: list[tuple[Message, list[Update], Address]],
) -> None:
    solo = _node_with_news()
    size = 0
    for message, updates, source in hostile:
        size += _size(message, updates)
        solo.receive(message, *updates, source=source)
    solo.sleep(20.0)
    members = {address_of(number) for number in (1, 2, 3, 4)}
    assert sum(packet.size for packet in solo.sent() if packet.to not in members) <= size


@settings(max_examples=200)
@given(st.lists(packets(UNKNOWN) | packet_messages, max_size=20))
def test_all_that_unknown_senders_cause_is_smaller_than_what_they_sent(hostile: list[Message]) -> None:
    solo = Solo()
    solo.meet(1, 2, 3, 4)
    solo.sleep(60.0)
    solo.quiet()
    size = 0
    for message in hostile:
        size += _size(message, [])
        solo.receive(message, source=VICTIM)
    solo.sleep(20.0)
    assert sum(packet.size for packet in solo.sent()) <= size
    assert solo.streams() == []


def test_a_forged_sender_gets_no_news_to_a_forged_address() -> None:
    solo = _node_with_news()
    solo.receive(Ping(7, 0, node_id(1), node_id(OWN)), source=VICTIM)
    assert [(packet.to, packet.updates) for packet in solo.sent(Ack)] == [(VICTIM, ())]


def test_one_datagram_tells_of_a_bounded_number_of_new_members() -> None:
    solo = Solo(max_new_members=10)
    solo.meet(1)
    solo.hear(*(Alive(info_of(number), 0) for number in (1, *range(200, 230))))
    assert len(solo.core.members()) == 2 + 10
    assert solo.dropped["too_many_new"] == 20


def test_known_members_do_not_count_as_new() -> None:
    solo = Solo(max_new_members=10)
    for first in range(200, 230, 10):
        solo.hear(*(Alive(info_of(number), 0) for number in range(first, first + 10)))
    solo.hear(*(Alive(info_of(number, role="worker"), 1) for number in range(200, 230)))
    assert all(member.tags or member.name == "me" for member in solo.core.members())
    assert "too_many_new" not in solo.dropped


def test_a_flooded_table_stays_bounded_and_the_inventions_are_forgotten() -> None:
    solo = Solo(max_members=50, max_tombstones=16, tombstone_life=60.0)
    solo.start()
    for first in range(200, 1200, 20):
        solo.hear(*(Alive(info_of(number), 0) for number in range(first, first + 20)))
    assert len(solo.core.members()) == 50
    solo.sleep(600.0)
    assert [member.name for member in solo.core.members() if member.state is MemberState.ALIVE] == ["me"]
    solo.meet(1)
    assert solo.state(1) is MemberState.ALIVE
