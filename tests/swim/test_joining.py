from itertools import pairwise

import pytest

from shoal.events import JoinCompleted, SeedUnreachable
from shoal.swim.outputs import StreamExchange
from shoal.types import Address, MemberState
from shoal.wire.messages import Dead, Left, SyncRecord, SyncResponse
from tests.rows import rows
from tests.swim.harness import STRANGER, Solo, address_of, info_of, node_id

SEEDS = [Address("10.7.7.7", port) for port in range(1, 7)]


def _answer(solo: Solo, exchange: StreamExchange, number: int = 1) -> None:
    """The seed answers as node `number`."""
    view = rows(SyncRecord(info_of(number), MemberState.ALIVE, 0, 0.0))
    solo.reply(exchange, SyncResponse(0, 0, node_id(number), False, [], [], view))


def _fail_all(solo: Solo, seconds: float) -> list[tuple[float, Address]]:
    """Let time pass with every exchange refused; returns when each was tried and where."""
    tried, end = [], solo.now + seconds
    while True:
        for exchange in solo.streams():
            tried.append((solo.now, exchange.address))
            solo.fail(exchange)
        deadline = solo.core.next_deadline()
        if deadline is None or deadline > end:
            solo.sleep_until(end)
            return tried
        solo.sleep_until(max(deadline, solo.now))


def test_three_seeds_are_contacted_one_probe_timeout_after_the_other() -> None:
    solo = Solo(probe_timeout=0.5)
    solo.join(*SEEDS)
    contacted = []
    for _ in range(5):
        contacted.append({exchange.address for exchange in solo.streams()})
        assert solo.core.is_joining
        solo.sleep(0.51)
    assert [len(addresses) for addresses in contacted] == [1, 1, 1, 0, 0]
    assert len(set.union(*contacted)) == 3
    assert set.union(*contacted) < set(SEEDS)
    assert solo.core.missing_seeds == SEEDS


def test_once_a_seed_has_answered_no_other_that_it_knows_is_contacted() -> None:
    solo = Solo(probe_timeout=0.5)
    solo.join(*SEEDS)
    [exchange] = solo.streams()
    members = [info_of(number, at=seed) for number, seed in enumerate(SEEDS, 1)]
    view = rows(*(SyncRecord(member, MemberState.ALIVE, 0, 0.0) for member in members))
    solo.reply(exchange, SyncResponse(0, 0, members[0].id, False, [], [], view))
    solo.sleep(5.0)
    assert solo.streams() == []


def test_seeds_that_the_first_does_not_know_are_contacted_all_the_same() -> None:
    solo = Solo(probe_timeout=0.5)
    solo.join(*SEEDS[:3])
    [exchange] = solo.streams()
    _answer(solo, exchange)
    contacted = {exchange.address}
    for _ in range(3):
        solo.sleep(0.51)
        contacted |= {further.address for further in solo.streams()}
    assert contacted == set(SEEDS[:3])


def test_a_seed_that_fails_hands_on_to_the_next_at_once() -> None:
    solo = Solo(stream_attempts=1)
    solo.join(*SEEDS)
    [first] = solo.streams()
    solo.fail(first)
    [second] = solo.streams()
    assert second.address != first.address


def test_the_first_answer_completes_the_join() -> None:
    solo = Solo()
    solo.join(SEEDS[0])
    [exchange] = solo.streams()
    before = (solo.core.joined, solo.core.is_joining)
    _answer(solo, exchange)
    assert before == (False, True)
    assert (solo.core.joined, solo.core.is_joining) == (True, False)
    assert solo.events(JoinCompleted) == [JoinCompleted()]
    assert solo.core.missing_seeds == []


def test_a_first_contact_is_tried_several_times_before_the_seed_counts_as_unreachable() -> None:
    solo = Solo(stream_attempts=3, backoff_initial=0.2)
    solo.join(SEEDS[0])
    tried = _fail_all(solo, 0.65)
    assert [address for _, address in tried] == SEEDS[:1] * 3
    first, second = (later - earlier for (earlier, _), (later, _) in pairwise(tried))
    assert 0.1 <= first <= 0.2
    assert 0.2 <= second <= 0.4
    assert solo.events() == [SeedUnreachable(SEEDS[0], "refused")]


def test_a_lonely_node_tries_its_seeds_for_ever_with_longer_and_longer_pauses() -> None:
    solo = Solo(stream_attempts=1, rejoin_interval=2.0, rejoin_interval_max=30.0)
    solo.start()
    solo.join(SEEDS[0])
    rounds = [at for at, _ in _fail_all(solo, 3600.0)]
    pauses = [later - earlier for earlier, later in pairwise(rounds)]
    assert len(rounds) > 3600 / (30 * 1.25)
    for pause, expected in zip(pauses, [2.0, 2.0, 4.0, 8.0, 16.0] + [30.0] * len(pauses), strict=False):
        assert 0.75 * expected <= pause <= 1.25 * expected


def test_a_seed_that_answers_late_is_found() -> None:
    solo = Solo()
    solo.start()
    solo.join(SEEDS[0])
    _fail_all(solo, 300.0)
    exchange = None
    while exchange is None:
        solo.sleep(1.0)
        exchange = next(iter(solo.streams()), None)
    _answer(solo, exchange)
    assert solo.core.joined


def test_our_own_address_as_a_seed_is_no_seed() -> None:
    solo = Solo()
    solo.start()
    solo.join(solo.info.address)
    solo.sleep(600.0)
    assert solo.streams() == []
    assert solo.core.missing_seeds == []


def test_another_address_of_ours_as_a_seed_is_found_out_once() -> None:
    solo = Solo()
    solo.start()
    solo.join(SEEDS[0])
    [exchange] = solo.streams()
    reply = solo.core.receive_stream(exchange.data, SEEDS[0], 0.0)
    assert reply is not None
    solo.core.stream_replied(exchange.token, reply, 0.0)
    solo.sleep(600.0)
    assert solo.streams() == []
    assert solo.events() == [SeedUnreachable(SEEDS[0], "it is this node itself")]
    assert not solo.core.joined


def test_a_seed_where_a_member_is_known_to_be_is_not_contacted() -> None:
    solo = Solo()
    solo.meet(1)
    solo.join(address_of(1))
    assert solo.streams() == []


def test_a_seed_behind_another_address_is_not_contacted_while_its_member_is_there() -> None:
    solo = Solo()
    solo.start()
    solo.join(SEEDS[0])
    [exchange] = solo.streams()
    _answer(solo, exchange)
    assert solo.core.missing_seeds == []
    solo.hear(Dead(node_id(1), 0, STRANGER))
    assert solo.core.missing_seeds == SEEDS[:1]


def test_a_node_that_lost_everyone_tries_the_dead_but_not_those_that_left() -> None:
    solo = Solo(stream_attempts=1)
    solo.start()
    solo.meet(1, 2)
    solo.hear(Dead(node_id(1), 0, STRANGER), Left(node_id(2), 0))
    solo.quiet()
    assert {address for _, address in _fail_all(solo, 60.0)} == {address_of(1)}


def test_the_dead_that_do_not_answer_are_no_unreachable_seeds() -> None:
    solo = Solo(stream_attempts=1)
    solo.start()
    solo.meet(1)
    solo.hear(Dead(node_id(1), 0, STRANGER))
    solo.quiet()
    _fail_all(solo, 60.0)
    assert solo.events() == []


def test_a_node_with_company_tries_one_missing_seed_and_one_dead_member_at_a_time() -> None:
    solo = Solo(reconnect_interval=10.0, stream_probe=False, probe_interval=60.0, probe_timeout=30.0, lha_probe=False)
    solo.start()
    solo.meet(1, 2, 3)
    solo.sync_from(node_id(1))
    solo.hear(Dead(node_id(2), 0, STRANGER), Dead(node_id(3), 0, STRANGER))
    solo.core.join(SEEDS[:1], solo.now)
    tried = [entry for entry in _fail_all(solo, 200.0) if entry[0] > 0.0]
    assert {address for _, address in tried} == {address_of(2), address_of(3), SEEDS[0]}
    for group in ({SEEDS[0]}, {address_of(2), address_of(3)}):
        times = [time for time, address in tried if address in group]
        assert len(times) > 10
        assert all(7.5 <= later - earlier <= 12.5 for earlier, later in pairwise(times))
    assert solo.state(1) is not MemberState.DEAD


def test_in_a_large_cluster_each_member_looks_for_the_lost_less_often() -> None:
    solo = Solo(reconnect_interval=10.0, stream_probe=False, probe_interval=60.0, probe_timeout=30.0, lha_probe=False)
    solo.start()
    solo.meet(*range(1, 321))
    solo.sync_from(node_id(1))
    solo.hear(Dead(node_id(2), 0, STRANGER))
    times = [time for time, address in _fail_all(solo, 3000.0) if address == address_of(2)]
    assert all(7.5 <= later - earlier <= 192.5 for earlier, later in pairwise(times))
    assert 25 <= len(times) <= 35, "once in 100 seconds"


def test_in_a_large_cluster_of_members_that_started_together_some_look_for_the_lost_at_any_time() -> None:
    looked: list[float] = []
    for seed in range(60):
        solo = Solo(seed=seed, reconnect_interval=10.0, stream_probe=False, probe_interval=60.0, lha_probe=False)
        solo.start()
        solo.meet(*range(1, 321))
        solo.sync_from(node_id(1))
        solo.hear(Dead(node_id(2), 0, STRANGER))
        times = [time for time, address in _fail_all(solo, 120.0) if address == address_of(2) and time > 10.0]
        looked += times[:1]
    for begin in range(20, 120, 20):
        assert sum(begin <= time < begin + 20 for time in looked) >= 2


@pytest.mark.parametrize("has_company", [True, False])
def test_the_dead_are_tried_for_ever_although_they_are_forgotten(has_company: bool) -> None:
    solo = Solo(tombstone_life=100.0)
    solo.start()
    solo.meet(1)
    solo.hear(Dead(node_id(1), 0, STRANGER))
    if has_company:
        solo.meet(2)
    solo.sleep(120.0)
    for exchange in solo.streams():
        solo.fail(exchange)
    assert solo.state(1) is None
    tried = 0
    for turn in range(20):
        if has_company:
            solo.meet(10 + turn)  # the others fall silent
        solo.sleep(30.0)
        for exchange in solo.streams():
            tried += exchange.address == address_of(1)
            solo.fail(exchange)
    assert tried >= (6 if has_company else 15)


def test_an_address_is_contacted_once_at_a_time() -> None:
    solo = Solo()
    solo.start()
    solo.meet(1)
    solo.hear(Dead(node_id(1), 0, STRANGER))
    solo.join(address_of(1))
    solo.join(address_of(1))
    solo.sleep(60.0)
    assert [exchange.address for exchange in solo.streams()] == [address_of(1)]


@pytest.mark.parametrize("seed", range(5))
def test_a_dead_seed_is_contacted_once_at_a_time(seed: int) -> None:
    solo = Solo(seed=seed)
    solo.start()
    solo.meet(1)
    solo.join(address_of(1))
    solo.hear(Dead(node_id(1), 0, STRANGER))
    solo.sleep(60.0)
    assert [exchange.address for exchange in solo.streams()] == [address_of(1)]


def test_a_contact_that_found_no_free_exchange_is_made_in_a_later_round() -> None:
    solo = Solo(max_streams_out=1, stream_probe=False)
    solo.start()
    solo.join(*SEEDS[:2])
    [exchange] = solo.streams()
    _answer(solo, exchange)
    solo.sleep(15.0)
    [other] = solo.streams()
    assert {exchange.address, other.address} == set(SEEDS[:2])


def test_seeds_are_bounded_and_the_oldest_go_first() -> None:
    solo = Solo()
    seeds = [Address("10.7.7.7", port) for port in range(1, 301)]
    solo.join(*seeds)
    assert solo.core.missing_seeds == seeds[-256:]


def test_a_leaving_node_looks_for_nobody() -> None:
    solo = Solo()
    solo.start()
    solo.meet(1)
    solo.hear(Dead(node_id(1), 0, STRANGER))
    solo.leave()
    solo.quiet()
    solo.sleep(600.0)
    assert solo.streams() == []


# Acquaintances


def test_where_members_were_once_is_contacted_and_believed_of_nobody() -> None:
    solo = Solo()
    solo.start()
    solo.core.acquaint([address_of(1), address_of(2)], solo.now)
    solo.collect()
    solo.sleep(1.0)
    assert {exchange.address for exchange in solo.streams()} == {address_of(1), address_of(2)}
    assert len(solo.core.members()) == 1
    assert solo.core.missing_seeds == []


def test_a_lonely_node_goes_on_trying_them_and_complains_of_none() -> None:
    solo = Solo()
    solo.start()
    solo.core.acquaint([address_of(1)], solo.now)
    solo.collect()
    for _ in range(6):
        for exchange in solo.streams():
            assert exchange.address == address_of(1)
            solo.fail(exchange)
        solo.sleep(60.0)
    assert solo.streams()
    assert solo.events(SeedUnreachable) == []


def test_a_node_with_company_tries_each_missing_one_once_more() -> None:
    solo = Solo()
    solo.start()
    solo.meet(1)
    solo.core.acquaint([address_of(number) for number in (1, 2, 3, 4, 5, 6)], solo.now)
    solo.collect()
    tried = [exchange.address for exchange in solo.streams()]
    assert address_of(1) not in tried
    solo.sleep(0.0)
    for turn in range(20):
        solo.meet(10 + turn)  # keeps it company: the others fall silent
        for exchange in solo.streams():
            solo.fail(exchange)
        solo.sleep(10.0)
    solo.quiet()
    solo.meet(99)
    solo.sleep(30.0)
    assert not {exchange.address for exchange in solo.streams()} & {address_of(number) for number in (2, 3, 4, 5, 6)}


def test_who_was_a_member_at_our_own_address_is_ourselves() -> None:
    solo = Solo()
    solo.core.acquaint([solo.info.address], solo.now)
    solo.collect()
    assert solo.streams() == []


def test_acquaintances_are_bounded_however_often_there_are_more() -> None:
    solo = Solo()
    for net in (7, 8):
        solo.core.acquaint([Address(f"10.{net}.7.7", port) for port in range(1, 1001)], solo.now)
    solo.collect()
    assert solo.kept("acquaintances") == 1024


def test_those_who_wait_to_be_contacted_are_bounded_however_many_seeds_are_named_at_once() -> None:
    solo = Solo()
    for port in range(1, 301, 3):
        solo.join(*(Address("10.7.7.7", port + more) for more in range(3)))
    assert solo.kept("addresses to contact") == 256
