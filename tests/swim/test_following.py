from collections.abc import Sequence
from typing import Any

import pytest

from shoal.swim.outputs import Datagram, StreamExchange
from shoal.types import Address, MemberState
from shoal.wire.messages import Alive, Gossip, Ping, Range, RangeKind, SyncRecord, SyncRequest, SyncResponse
from tests.rows import records_of, rows
from tests.swim.harness import DIALECT, EVERYTHING, OWN, Net, Solo, address_of, info_of, node_id

ALIVE = MemberState.ALIVE
SEED = Address("10.7.7.7", 7)
ME, PEER = node_id(OWN), node_id(1)
ARRIVALS = [Range(b"", RangeKind.SKIP)]
NEW = range(1000, 1100)


def _row(number: int, age: float = 0.0) -> SyncRecord:
    return SyncRecord(info_of(number), ALIVE, 0, age)


def _rows(numbers: Sequence[int], age: float = 0.0) -> Any:
    return rows(*(_row(number, age) for number in numbers))


def _request(exchange: StreamExchange) -> SyncRequest:
    request, _ = DIALECT.decode(exchange.data)
    assert isinstance(request, SyncRequest)
    return request


def _joined(numbers: Sequence[int] = range(200, 300), *, age: float = 1.0, position: int = 7) -> Solo:
    """Has the view of a seed, whose members joined just now unless an age is given."""
    solo = Solo()
    solo.join(SEED)
    [exchange] = solo.streams()
    solo.reply(exchange, SyncResponse(position, 0, PEER, False, [], [], _rows([1, *numbers], age)))
    solo.receive(Ping(7, 12345, PEER, ME))  # its view is another
    return solo.quiet()


def _asked(solo: Solo, within: float) -> StreamExchange | None:
    """The next time that it asks whom it follows, if it does."""
    end = solo.now + within
    while solo.now < end:
        solo.sleep(0.25)
        for exchange in solo.streams():
            if _request(exchange).ranges == ARRIVALS:
                return exchange
    return None


def _answer(solo: Solo, exchange: StreamExchange, position: int, numbers: Sequence[int] = ()) -> None:
    solo.reply(exchange, SyncResponse(position, 0, PEER, False, [], [], _rows(numbers)))
    solo.receive(Ping(7, 12345, PEER, ME))


# Asking


def test_a_joiner_of_a_flood_asks_the_one_that_let_it_in_who_came_later() -> None:
    solo = _joined()
    exchange = _asked(solo, 7.0)
    assert exchange is not None
    request = _request(exchange)
    assert (exchange.address, request.seq, request.ranges) == (SEED, 7, ARRIVALS)
    assert [record.info for record in records_of(request.rows)] == [solo.info]

    _answer(solo, exchange, 9, NEW)

    assert solo.state(NEW[0]) is ALIVE
    exchange = _asked(solo, 13.0)
    assert exchange is not None
    assert _request(exchange).seq == 9


def test_a_joiner_of_a_quiet_cluster_asks_nobody() -> None:
    assert _asked(_joined(age=60.0), 60.0) is None


def test_nobody_asks_while_all_digests_are_equal() -> None:
    solo = _joined()
    exchange = _asked(solo, 7.0)
    assert exchange is not None
    solo.reply(exchange, SyncResponse(9, solo.core.digest, PEER, False, [], [], _rows(())))
    solo.receive(Ping(7, solo.core.digest, PEER, ME))
    assert _asked(solo, 30.0) is None


def test_asking_ends_when_it_brings_nothing_for_a_while() -> None:
    solo = _joined()
    times = 0
    while (exchange := _asked(solo, 30.0)) is not None:
        times += 1
        _answer(solo, exchange, 9)
        assert times < 12
    assert times >= 2
    assert solo.core.next_deadline() is None or _asked(solo, 60.0) is None


def test_joins_that_are_not_gossiped_are_brought_to_the_followed() -> None:
    solo = _joined()
    solo.meet(*NEW)
    solo.sleep(0.0)
    assert not [update for update in solo.news() if isinstance(update, Alive) and update.info.id != ME]
    exchange = _asked(solo, 7.0)
    assert exchange is not None
    assert {record.info.name for record in records_of(_request(exchange).rows)} == {
        "me",
        *(f"n{number}" for number in NEW),
    }

    _answer(solo, exchange, 9)
    exchange = _asked(solo, 13.0)
    assert exchange is not None
    assert len(_request(exchange).rows) == 1


def _hear_of_lull(solo: Solo, position: int, sender: int = 1) -> list[StreamExchange]:
    solo.receive(Gossip(position, 12345, node_id(sender)))
    return [exchange for exchange in solo.streams() if _request(exchange).ranges == ARRIVALS]


def test_whoever_is_told_of_a_lull_asks_at_once() -> None:
    solo = _joined()
    [exchange] = _hear_of_lull(solo, 9)
    assert (exchange.address, _request(exchange).seq) == (SEED, 7)


@pytest.mark.parametrize(("position", "sender"), [(7, 1), (6, 1), (9, 200), (0, 1)])
def test_a_lull_tells_nothing_to_those_who_have_all_or_follow_another(position: int, sender: int) -> None:
    assert _hear_of_lull(_joined(), position, sender) == []


def test_of_lulls_that_come_again_and_again_one_a_second_is_heeded() -> None:
    solo = _joined()
    asked = 0
    for position in range(8, 108):
        for exchange in _hear_of_lull(solo, position):
            asked += 1
            _answer(solo, exchange, position)
        solo.sleep(0.1)
    assert 9 <= asked <= 11


def test_a_lull_long_after_what_was_heard_last_brings_nothing() -> None:
    solo = _joined(age=60.0)
    solo.sleep(61.0)
    assert _hear_of_lull(solo, 9) == []


def test_a_refutation_by_a_member_that_is_new_here_is_gossiped_even_in_a_flood() -> None:
    solo = _joined()
    solo.hear(Alive(info_of(NEW[0]), 1))
    solo.sleep(0.0)
    assert Alive(info_of(NEW[0]), 1) in solo.news()


def test_what_could_not_be_brought_is_brought_to_another() -> None:
    solo = Solo(1500)
    solo.join(SEED)
    [exchange] = solo.streams()
    solo.reply(exchange, SyncResponse(7, 0, PEER, False, [], [], _rows([1, *range(200, 300)], 1.0)))
    solo.receive(Ping(7, 12345, PEER, node_id(1500)))
    solo.meet(*NEW)
    for _ in range(3):
        failing = _asked(solo, 7.0)
        assert failing is not None
        assert (failing.address, _request(failing).seq) == (SEED, 7)
        solo.fail(failing)

    second = _asked(solo, 13.0)

    assert second is not None
    request = _request(second)
    elders = {address_of(number) for number in (1, *range(200, 207))}
    assert second.address in elders
    assert request.seq == 0
    assert len(request.rows) == 1 + len(NEW)


def test_what_could_not_be_brought_for_want_of_a_stream_is_brought_later() -> None:
    solo = Solo(max_streams_out=1)
    solo.join(SEED)
    [exchange] = solo.streams()
    solo.reply(exchange, SyncResponse(7, 0, PEER, False, [], [], _rows([1, *range(200, 300)], 1.0)))
    solo.receive(Ping(7, 12345, PEER, ME))
    solo.join(Address("10.7.7.8", 8))
    [other] = solo.streams()
    solo.meet(*NEW)
    assert _asked(solo, 7.0) is None
    solo.fail(other)
    asked = _asked(solo, 13.0)
    assert asked is not None
    assert len(_request(asked).rows) == 1 + len(NEW)


def test_the_eldest_asks_nobody() -> None:
    solo = Solo(0)
    solo.meet(*range(200, 300))
    solo.receive(Ping(7, 12345, node_id(200), node_id(0)))
    assert _asked(solo, 30.0) is None
    assert not solo.core._membership.flood.withheld


def test_a_member_that_leaves_asks_no_more() -> None:
    solo = _joined()
    solo.leave()
    assert _asked(solo, 30.0) is None


def test_a_member_whose_view_differs_asks_whom_it_joined_through_before_it_compares() -> None:
    solo = Solo(sync_threshold=5)
    solo.join(SEED)
    [exchange] = solo.streams()
    solo.reply(exchange, SyncResponse(7, 0, PEER, False, [], [], _rows([1, 2, 3], 60.0)))
    solo.sleep(5.0)
    solo.quiet()
    for _ in range(5):
        solo.receive(Ping(7, 12345, PEER, ME))
    [exchange] = solo.streams()
    assert _request(exchange).ranges == ARRIVALS
    assert solo.core.stats.comparisons == 0

    solo.reply(exchange, SyncResponse(9, 0, PEER, False, [], [], _rows(())))
    solo.sleep(1.5)
    for _ in range(5):
        solo.receive(Ping(7, 12345, PEER, ME))

    assert solo.core.stats.comparisons == 1


def test_a_member_that_follows_compares_only_once_a_minute_as_long_as_joins_come() -> None:
    solo = _joined()
    number = 1000
    for _ in range(150):
        solo.sleep(1.0)
        for exchange in solo.streams():
            if _request(exchange).ranges == ARRIVALS:
                _answer(solo, exchange, number, [number])
                number += 1
        for _ in range(10):
            solo.receive(Ping(7, 12345, node_id(number - 1 if number > 1000 else 200), ME))
    assert number > 1010
    assert 1 <= solo.core.stats.comparisons <= 2


# Answering


def _ask(solo: Solo, position: int, *numbers: int, sender: int = 1) -> SyncResponse:
    reply = solo.ask(SyncRequest(position, 0, node_id(sender), False, ARRIVALS, _rows(numbers)))
    assert isinstance(reply, SyncResponse)
    return reply


def _view(solo: Solo) -> SyncResponse:
    reply = solo.ask(SyncRequest(0, 0, PEER, False, EVERYTHING, _rows([1])))
    assert isinstance(reply, SyncResponse)
    return reply


def _names(reply: SyncResponse) -> set[str]:
    return {record.info.name for record in records_of(reply.rows)}


def test_who_follows_gets_those_that_came_since_and_no_others() -> None:
    solo = Solo()
    solo.meet(*range(200, 210))
    first = _view(solo)
    solo.meet(*range(300, 310))
    solo.sleep(1.0)

    second = _ask(solo, first.seq)

    assert _names(second) == {"n1", *(f"n{number}" for number in range(300, 310))}
    solo.meet(400)
    solo.sleep(1.0)
    third = _ask(solo, second.seq)
    assert (_names(third), third.seq > second.seq) == ({"n400"}, True)
    assert _names(_ask(solo, third.seq)) == set()


def _lulls(solo: Solo) -> list[tuple[Address, int]]:
    """Whom it told of a lull since it was asked last, and how far it said that it is."""
    return [(sent.to, sent.message.seq) for sent in solo.sent(Gossip) if sent.message.seq]


def _followed() -> Solo:
    """Has members 1 to 3 as followers, who have all, and is in a flood."""
    solo = Solo()
    for number in (1, 2, 3):
        solo.ask(SyncRequest(0, 0, node_id(number), False, EVERYTHING, _rows([number])))
    solo.sleep(1.0)
    solo.meet(*range(1000, 1100))
    assert _lulls(solo) == []
    return solo


def test_followers_that_lack_something_are_told_when_a_flood_comes_to_rest() -> None:
    solo = _followed()
    solo.sleep(1.6)
    position = solo.core._table.arrivals.position
    assert _lulls(solo) == [(address_of(number), position) for number in (1, 2, 3)]
    reply = solo.ask(SyncRequest(0, 0, node_id(1), False, EVERYTHING, _rows([1])))
    assert isinstance(reply, SyncResponse)
    assert reply.seq == position

    solo.sleep(2.0)
    assert _lulls(solo) == [(address_of(number), position) for number in (2, 3)]
    solo.sleep(60.0)
    assert _lulls(solo) == []


def test_followers_are_not_told_while_joins_keep_coming() -> None:
    solo = _followed()
    for number in range(1100, 1130):
        solo.sleep(0.2)
        solo.meet(number)
    assert _lulls(solo) == []


def test_a_join_soon_after_a_flood_is_told_to_followers_too() -> None:
    solo = _followed()
    solo.sleep(15.0)
    solo.quiet()
    solo.meet(2000)
    solo.sleep(2.6)
    position = solo.core._table.arrivals.position
    assert set(_lulls(solo)) == {(address_of(number), position) for number in (1, 2, 3)}


def _crowded() -> tuple[Solo, dict[Address, SyncResponse]]:
    """Has 200 followers, by their addresses with what they were handed, and the first of them are told of a lull."""
    solo = Solo()
    handed: dict[Address, SyncResponse] = {}
    for number in range(200, 400):
        reply = solo.ask(SyncRequest(0, 0, node_id(number), False, EVERYTHING, _rows([number])))
        assert isinstance(reply, SyncResponse)
        handed[address_of(number)] = reply
    solo.sleep(1.0)
    solo.quiet()
    solo.meet(1000)
    solo.sleep(1.6)
    return solo, handed


def test_of_many_followers_another_is_told_when_one_has_asked() -> None:
    solo, handed = _crowded()
    told = [address for address, _ in _lulls(solo)]
    assert len(told) == 16
    for address in told:  # It grows meanwhile.
        [number] = [number for number in range(200, 400) if address_of(number) == address]
        assert "n1000" in _names(_ask(solo, handed[address].seq, number, sender=number))
        told += [another for another, _ in _lulls(solo)]
    assert sorted(told) == sorted(handed)


def test_followers_that_do_not_ask_hold_nobody_up_for_long() -> None:
    solo, handed = _crowded()
    told = {address for address, _ in _lulls(solo)}
    for _ in range(14):
        solo.sleep(1.0)
        told |= {address for address, _ in _lulls(solo)}
    assert told == handed.keys()


def test_what_a_follower_brings_is_passed_on() -> None:
    solo = Solo()
    first = _view(solo)
    solo.sleep(5.0)
    solo.quiet()
    _ask(solo, first.seq, 300)
    solo.sleep(0.0)
    assert Alive(info_of(300), 0) in solo.news()


@pytest.mark.parametrize("position", [0, 1, 2**40, 2**64 - 1])
def test_a_position_that_was_not_given_out_brings_all(position: int) -> None:
    solo = Solo()
    solo.meet(*range(200, 210))
    first = _view(solo)
    solo.sleep(1.0)
    if position == first.seq:
        position += 1
    assert _names(_ask(solo, position)) == {"me", "n1", *(f"n{number}" for number in range(200, 210))}


def test_a_position_is_forgotten_when_nobody_follows_any_more() -> None:
    solo = Solo()
    first = _view(solo)
    solo.sleep(70.0)
    assert not solo.core._table.arrivals.is_followed
    assert _names(_ask(solo, first.seq)) == {"me", "n1"}


def test_a_member_that_went_is_not_handed_out() -> None:
    solo = Solo()
    first = _view(solo)
    solo.meet(300, 301)
    solo.sleep(1.0)
    solo.core._table.remove(solo.core._table.slot_of(node_id(300)))  # type: ignore[arg-type]
    assert _names(_ask(solo, first.seq)) == {"n1", "n301"}


def test_asking_for_all_again_and_again_is_bounded() -> None:
    solo = Solo()
    solo.sync_from(PEER, *(_row(number, 60.0) for number in range(1000, 11_000)))
    handed_out = 0
    while not _ask(solo, 0).others:
        handed_out += 1
        assert handed_out < 100
    assert handed_out >= 10


# All together


def _flooded(count: int, *, lost: int = 0) -> Net:
    net = Net(count, seed=3)
    if lost:
        sent = 0

        def is_lost(_sender: Solo, _datagram: Datagram) -> bool:
            nonlocal sent
            sent += 1
            return sent % lost == 0

        net.lost = is_lost
    return net.form(0.0)


@pytest.mark.parametrize("lost", [0, 20])
def test_after_a_flood_all_know_all(lost: int) -> None:
    net = _flooded(150, lost=lost)
    net.sleep(20.0)
    assert {len(node.core.members()) for node in net.nodes.values()} == {150}
    assert len({node.core.digest for node in net.nodes.values()}) == 1
    heard = sum(node.core.stats.updates_in for node in net.nodes.values())
    assert heard < 4 * 150 * 150


def test_a_flood_whose_seed_dies_in_the_middle_is_brought_to_its_end() -> None:
    net = _flooded(150)
    net.sleep(1.0)
    net.down.add(net[1])
    net.sleep(60.0)
    views = {
        frozenset(member.name for member in node.core.members() if member.state is ALIVE)
        for node in net.nodes.values()
        if node is not net[1]
    }
    assert views == {frozenset(f"n{number}" for number in range(2, 151))}


def test_a_member_that_dies_in_a_flood_is_dead_to_all_in_the_end() -> None:
    net = _flooded(120)
    net.sleep(0.5)
    net.down.add(net[100])
    net.sleep(40.0)
    states = {node.state(100) for node in net.nodes.values() if node is not net[100]}
    assert states <= {MemberState.DEAD, None}
    assert len({node.core.digest for node in net.nodes.values() if node is not net[100]}) == 1


def test_a_join_after_a_flood_is_known_to_all_at_once() -> None:
    net = _flooded(120)
    net.sleep(60.0)
    net[5].hear(Alive(info_of(888), 0))
    net.sleep(0.8)
    assert sum(node.state(888) is ALIVE for node in net.nodes.values()) > 110
