import pytest

from shoal.events import HealthReason
from shoal.types import Address, MemberState
from shoal.wire.messages import Ack, Alive, Dead, Gossip, Left, Ping, Suspect
from tests.swim.harness import STRANGER, Solo, address_of, info_of, node_id


def test_the_first_news_after_a_quiet_time_goes_out_at_once() -> None:
    solo = Solo()
    solo.meet(1, 2)
    solo.sleep(5.0)
    solo.quiet()
    rounds = solo.core.stats.gossip_rounds
    solo.hear(Alive(info_of(3), 0))
    solo.sleep(0.0)
    assert {packet.to for packet in solo.sent(Gossip)} == {address_of(1), address_of(2), address_of(3)}
    assert solo.core.stats.gossip_rounds == rounds + 1


def test_a_stream_of_news_is_paced_by_the_gossip_interval() -> None:
    solo = Solo(gossip_interval=0.2)
    solo.meet(1)
    for number in range(2, 30):
        solo.meet(number)
        solo.sleep(0.03)
    assert sorted({packet.at for packet in solo.sent(Gossip)}) == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8])


def test_each_round_goes_to_as_many_members_as_the_fanout() -> None:
    solo = Solo(gossip_fanout=2)
    solo.meet(*range(1, 10))
    solo.sleep(0.0)
    assert len({packet.to for packet in solo.sent(Gossip)}) == 2


def test_each_update_gets_its_rounds_and_then_rides_on_probes_and_acks() -> None:
    solo = Solo(gossip_rounds=3)
    solo.meet(*range(1, 200))
    solo.sleep(30.0)
    solo.quiet()
    solo.hear(Alive(info_of(200), 0))
    solo.sleep(5.0)
    assert len({packet.at for packet in solo.sent(Gossip)}) == 3
    solo.receive(Ping(1, 0, node_id(1), solo.info.id), source=address_of(1))
    [ack] = solo.sent(Ack)
    assert Alive(info_of(200), 0) in ack.updates


def test_an_unwell_node_gossips_more_slowly() -> None:
    solo = Solo(gossip_interval=0.2, lha_gossip=True)
    solo.meet(1, 2, 3, 4)
    solo.sleep(0.0)
    solo.quiet()
    solo.core.note_lag(1.0, HealthReason.EVENT_LOOP_LAG, solo.now)
    for number in range(5, 50):
        solo.meet(number)
        solo.sleep(0.05)
    moments = sorted({packet.at for packet in solo.sent(Gossip)})
    assert moments[2] - moments[1] == pytest.approx(0.4)


def _targets(solo: Solo) -> list[set[Address]]:
    """Whom each round of gossip since the last look went to."""
    rounds: dict[float, set[Address]] = {}
    for packet in solo.sent(Gossip):
        rounds.setdefault(packet.at, set()).add(packet.to)
    return list(rounds.values())


def _sides(solo: Solo, count: int) -> tuple[Address, Address]:
    """Who stands before our node and after it on the ring, among `count` others."""
    ring = sorted([*map(info_of, range(1, count + 1)), solo.info], key=lambda info: info.id[8:])
    place = ring.index(solo.info)
    return ring[place - 1].address, ring[(place + 1) % len(ring)].address


def test_one_packet_of_each_round_goes_to_a_neighbour_on_either_side_in_turn() -> None:
    solo = Solo(gossip_fanout=2, gossip_rounds=64, gossip_to_neighbours=True)
    solo.meet(*range(1, 30))
    solo.sleep(30.0)
    solo.quiet()
    solo.hear(Dead(node_id(1), 0, STRANGER))
    solo.sleep(0.7)
    before, after = _sides(solo, 29)
    rounds = _targets(solo)
    assert len(rounds) >= 4
    assert all(len(addresses) == 2 for addresses in rounds)
    turns = [{before, after} & addresses for addresses in rounds]
    assert all(turns)
    assert turns[0] | turns[1] == turns[2] | turns[3] == {before, after}


def test_a_suspect_neighbour_is_passed_over_for_whoever_stands_behind_it() -> None:
    solo = Solo(gossip_fanout=2, gossip_rounds=64, gossip_to_neighbours=True, probe_interval=60.0)
    solo.meet(*range(1, 30))
    solo.sleep(30.0)
    ring = sorted([*map(info_of, range(1, 30)), solo.info], key=lambda info: info.id[8:])
    place = ring.index(solo.info)
    solo.hear(Suspect(ring[place - 1].id, 0, STRANGER))
    solo.quiet()
    solo.sleep(0.7)
    behind, after = ring[place - 2].address, ring[(place + 1) % 30].address
    turns = [{behind, after} & addresses for addresses in _targets(solo)]
    assert turns[0] | turns[1] == {behind, after}


def test_a_round_for_one_member_goes_to_a_random_one() -> None:
    solo = Solo(gossip_fanout=1, gossip_rounds=64, gossip_to_neighbours=True)
    solo.meet(*range(1, 30))
    solo.sleep(10.0)
    reached = set.union(*_targets(solo))
    assert len(reached) > 2


def test_of_two_members_each_hears_the_others_news_once_in_a_round() -> None:
    solo = Solo(gossip_fanout=3, gossip_rounds=64, gossip_to_neighbours=True)
    solo.meet(1)
    solo.sleep(0.0)
    assert [packet.to for packet in solo.sent(Gossip)] == [address_of(1)]


def test_without_news_there_is_no_gossip() -> None:
    solo = Solo()
    solo.meet(1, 2)
    solo.sleep(10.0)
    solo.quiet()
    solo.sleep(100.0)
    assert solo.sent(Gossip) == []


def test_with_a_fanout_of_zero_there_is_no_gossip() -> None:
    solo = Solo(gossip_fanout=0)
    solo.meet(1, 2)
    solo.sleep(10.0)
    assert solo.sent(Gossip) == []


def test_a_lonely_node_sleeps() -> None:
    solo = Solo()
    assert solo.core.next_deadline() is None
    solo.start()
    for _ in range(20):
        deadline = solo.core.next_deadline()
        assert deadline is not None
        assert deadline > solo.now or solo.now == 0.0
        solo.sleep_until(deadline)


def test_a_node_that_lost_everyone_sleeps() -> None:
    solo = Solo(gossip_fanout=1, gossip_to_dead=1.0)
    solo.meet(1)
    solo.hear(Dead(node_id(1), 0, node_id(2)))
    solo.sleep(0.0)
    while (deadline := solo.core.next_deadline()) is not None:
        assert deadline > solo.now
        solo.sleep_until(deadline)


def test_the_recently_dead_get_gossip_so_that_they_can_refute() -> None:
    solo = Solo(gossip_to_dead=30.0)
    solo.meet(1)
    solo.hear(Dead(node_id(1), 0, node_id(2)))
    solo.quiet()
    solo.sleep(0.0)
    [packet] = solo.sent(Gossip)
    assert packet.to == address_of(1)
    assert Dead(node_id(1), 0, node_id(2)) in packet.updates


def test_the_dead_take_the_place_of_others_in_a_round() -> None:
    solo = Solo(gossip_fanout=2)
    solo.meet(*range(1, 9))
    solo.hear(*(Dead(node_id(number), 0, STRANGER) for number in range(1, 5)))
    solo.sleep(10.0)
    rounds = _targets(solo)
    assert {len(addresses) for addresses in rounds} == {2}
    reached = set.union(*rounds)
    assert reached & set(map(address_of, range(1, 5)))
    assert reached & set(map(address_of, range(5, 9)))


def test_the_long_dead_get_none() -> None:
    solo = Solo(gossip_to_dead=30.0)
    solo.meet(1, 2)
    solo.hear(Dead(node_id(1), 0, node_id(2)))
    solo.sleep(31.0)
    solo.quiet()
    solo.meet(3)
    solo.sleep(5.0)
    assert address_of(1) not in {packet.to for packet in solo.sent(Gossip)}


def test_whoever_left_gets_none() -> None:
    solo = Solo()
    solo.meet(1, 2)
    solo.hear(Dead(node_id(1), 0, node_id(2)), Left(node_id(1), 0))
    assert solo.state(1) is MemberState.LEFT
    solo.quiet()
    solo.sleep(10.0)
    assert address_of(1) not in {packet.to for packet in solo.sent(Gossip)}
