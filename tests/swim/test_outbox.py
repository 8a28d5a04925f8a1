from collections.abc import Sequence
from random import Random

import pytest

from shoal.config import ClusterConfig
from shoal.errors import MessageTooLargeError
from shoal.swim.core import Swim
from shoal.wire.messages import Ack, Alive, Gossip, Nack, Ping, PingRequest, Suspect, UserBroadcast
from shoal.wire.native import NativeDialect
from tests.swim.harness import DIALECT, OWN, STRANGER, Solo, address_of, info_of, node_id

ME, PEER = node_id(OWN), node_id(1)


def test_pings_acks_ping_requests_and_nacks_carry_news() -> None:
    solo = Solo(gossip_fanout=0, probe_interval=10.0, probe_timeout=1.0)
    solo.meet(1, 2)
    solo.start()
    solo.sleep_until_sent(Ping)
    for seq, kind in enumerate((Ack, PingRequest, Nack)):
        solo.hear(UserBroadcast(STRANGER, seq, b"hi"))
        if kind is Ack:
            solo.receive(Ping(7, 0, PEER, ME), source=address_of(1))
            [packet] = solo.sent(kind)
        elif kind is PingRequest:
            packet = solo.sleep_until_sent(kind)
        else:
            solo.receive(PingRequest(7, 0, PEER, node_id(2), address_of(2), 0.1), source=address_of(1))
            packet = solo.sleep_until_sent(kind)
        assert UserBroadcast(STRANGER, seq, b"hi") in packet.updates


def test_each_update_goes_until_it_was_sent_as_often_as_the_limit_says() -> None:
    solo = Solo(retransmit_mult=4)
    solo.meet(1)
    solo.sleep(60.0)
    solo.quiet()
    solo.hear(Alive(info_of(1, role="worker"), 1))
    solo.sleep(60.0)
    assert solo.news() == [Alive(info_of(1, role="worker"), 1)] * 4


def test_one_round_may_send_an_update_beyond_its_limit_but_not_twice() -> None:
    solo = Solo(retransmit_mult=1, gossip_fanout=3)
    solo.meet(*range(1, 9))
    solo.sleep(60.0)
    solo.quiet()
    solo.hear(UserBroadcast(STRANGER, 1, b"hi"))
    solo.sleep(60.0)
    assert len(solo.news()) == 3


def test_a_packet_is_filled_up_to_its_limit_and_no_further() -> None:
    solo = Solo(max_datagram=512, gossip_fanout=1)
    solo.meet(*range(1, 40))
    solo.sleep(20.0)
    sizes = [packet.size for packet in solo.sent(Gossip)]
    assert max(sizes) <= 512
    assert sizes[0] > 512 - 60


class Padded(NativeDialect):
    """A dialect whose packets have a cost of their own once updates are attached, and so has each update."""

    packet_overhead = 30
    update_overhead = 20

    def attach(self, packet: bytes, updates: Sequence[bytes]) -> bytes:
        return packet + bytes(30) + b"".join(update + bytes(20) for update in updates)


def test_what_a_dialect_adds_counts_too() -> None:
    core = Swim(ClusterConfig(max_datagram=512), info_of(OWN), Padded("shoal"), Random(1), 0.0)
    room = 512 - 38 - 30 - 20 - 20  # of the packet, what is attached, the update, and the update's own fields
    core.broadcast(bytes(room), 0.0)
    with pytest.raises(MessageTooLargeError):
        core.broadcast(bytes(room + 1), 0.0)
    for number in range(1, 20):
        packet = DIALECT.attach(DIALECT.encode(Gossip(0, 0, PEER)), [DIALECT.encode_update(Alive(info_of(number), 0))])
        core.receive(packet, address_of(1), 0.0)
    core.advance(0.0)
    sizes = [len(output.data) for output in core.outgoing()]
    assert sizes
    assert 400 < max(sizes) <= 512


def test_what_concerns_the_receiver_goes_ahead_of_all_other_news() -> None:
    solo = Solo(max_datagram=512)
    solo.meet(*range(1, 40))
    solo.sleep(20.0)
    solo.hear(Suspect(PEER, 0, STRANGER))
    solo.sleep(5.0)
    solo.meet(*range(300, 340))
    solo.quiet()
    solo.receive(Ping(7, 0, PEER, ME), source=address_of(1))
    [packet] = solo.sent(Ack)
    assert packet.updates[0] == Suspect(PEER, 0, STRANGER)
    assert len(packet.updates) > 3
    assert packet.size <= 512


def test_everything_sent_is_counted() -> None:
    solo = Solo()
    solo.meet(1, 2, 3)
    solo.start()
    solo.sleep(20.0)
    sent = solo.sent()
    stats = solo.core.stats
    assert stats.datagrams_out == len(sent)
    assert stats.bytes_out == sum(packet.size for packet in sent)
    assert stats.updates_out == sum(len(packet.updates) for packet in sent)
