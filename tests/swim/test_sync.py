from collections.abc import Sequence

import pytest

from shoal.events import JoinCompleted, SeedUnreachable
from shoal.state.range_index import RangeIndex
from shoal.swim.outputs import StreamExchange
from shoal.swim.stats import Drop
from shoal.types import Address, MemberState
from shoal.wire.dialect import Flaw
from shoal.wire.messages import Ack, Alive, Dead, Left, Range, RangeKind, Suspect, SyncRecord, SyncRequest, SyncResponse
from tests.rows import records_of, rows
from tests.swim.harness import DIALECT, EVERYTHING, OWN, Solo, address_of, info_of, node_id

ALIVE, SUSPECT, DEAD, LEFT = MemberState
ME, PEER = node_id(OWN), node_id(1)
SEED = Address("10.7.7.7", 7)


# Whole views


def test_a_view_is_answered_with_ours_as_it_was_before() -> None:
    solo = Solo()
    solo.meet(2, 3, 4)
    solo.hear(Suspect(node_id(2), 0, PEER), Dead(node_id(3), 0, PEER), Left(node_id(4), 0))
    digest = solo.core.digest
    reply = solo.ask(SyncRequest(0, 0, PEER, False, EVERYTHING, rows(SyncRecord(info_of(1), ALIVE, 0, 0.0))))
    assert isinstance(reply, SyncResponse)
    assert (reply.sender, reply.digest) == (ME, digest)
    assert {record.info.name: record.state for record in records_of(reply.rows)} == {
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
    assert isinstance(request, SyncRequest)
    assert (request.digest, request.sender, request.ranges) == (solo.core.digest, ME, EVERYTHING)
    assert records_of(request.rows) == [SyncRecord(solo.info, ALIVE, 0, 0.0)]
    solo.reply(exchange, SyncResponse(0, 0, PEER, False, [], [], rows(SyncRecord(info_of(1), ALIVE, 0, 0.0))))
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
        (
            DIALECT.encode(SyncRequest(0, 0, PEER, False, [], rows())),
            "the reply was no state sync response",
            Drop.WRONG_CHANNEL,
        ),
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


# Parts of views


def _terms(solo: Solo, salt: int, *numbers: int) -> tuple[int, ...]:
    """What the solo says of these members when it lists what it holds."""
    index = RangeIndex(*solo.core._table.terms())
    at = {index.id(position): value for position, value in enumerate(index.values(index.span(b"", b""), salt))}
    return tuple(at[node_id(number)] for number in sorted(numbers))


def _names(records: Sequence[SyncRecord]) -> set[str]:
    return {record.info.name for record in records}


def test_who_says_what_it_holds_gets_what_it_lacks() -> None:
    solo = Solo()
    solo.meet(1, 2, 3)
    solo.hear(Left(node_id(3), 0))
    held = Range(b"", RangeKind.HELD, _terms(solo, 77, 1, OWN))
    reply = solo.ask(SyncRequest(77, 0, PEER, False, [held], rows()))
    assert isinstance(reply, SyncResponse)
    assert _names(records_of(reply.rows)) == {"n2"}
    assert reply.ranges == []


def test_only_the_ranges_that_were_asked_about_are_answered() -> None:
    solo = Solo()
    solo.meet(1, 2, 3, 4)
    ranges = [
        Range(bytes(node_id(2)), RangeKind.SKIP),
        Range(bytes(node_id(4)), RangeKind.HELD),
    ]
    reply = solo.ask(SyncRequest(77, 0, PEER, False, ranges, rows()))
    assert isinstance(reply, SyncResponse)
    assert _names(records_of(reply.rows)) == {"n2", "n3"}


def test_what_the_other_side_holds_and_we_do_not_is_asked_for() -> None:
    solo = Solo()
    reply = solo.ask(
        SyncRequest(77, 0, PEER, False, [Range(b"", RangeKind.HELD, (*_terms(solo, 77, OWN), 123, 456))], rows())
    )
    assert isinstance(reply, SyncResponse)
    assert reply.ranges == [Range(b"", RangeKind.WANTED, (123, 456))]
    assert records_of(reply.rows) == []


def _request(exchange: StreamExchange) -> SyncRequest:
    request, _ = DIALECT.decode(exchange.data)
    assert isinstance(request, SyncRequest)
    return request


def _asking() -> tuple[Solo, StreamExchange]:
    """A node that knows two others asks whether somebody sees something else."""
    solo = Solo()
    solo.meet(1, 2)
    solo.join(SEED)
    [exchange] = solo.streams()
    return solo, exchange


def _in_company() -> tuple[Solo, StreamExchange, SyncRequest]:
    """A node that knows two others syncs with one that sees something else."""
    solo, exchange = _asking()
    solo.reply(exchange, SyncResponse(_request(exchange).seq, solo.core.digest ^ 1, PEER, False, [], [], rows()))
    [exchange] = solo.streams()
    return solo, exchange, _request(exchange)


def test_a_node_in_company_asks_first_and_is_content_with_an_equal_view() -> None:
    solo, exchange = _asking()
    request = _request(exchange)
    assert request.ranges == []
    assert _names(records_of(request.rows)) == {"me"}
    solo.reply(exchange, SyncResponse(request.seq, solo.core.digest, PEER, False, [], [], rows()))
    assert solo.streams() == []
    assert solo.core.stats.syncs_completed == 1
    assert solo.core.joined


def test_whoever_is_only_asked_says_what_it_knows_better_of_the_asker() -> None:
    solo = Solo()
    solo.meet(1)
    solo.hear(Dead(node_id(1), 0, PEER))
    asker = rows(SyncRecord(info_of(1), ALIVE, 0, 0.0))
    reply = solo.ask(SyncRequest(77, 0, node_id(1), False, [], asker))
    assert isinstance(reply, SyncResponse)
    assert [(record.info.name, record.state) for record in records_of(reply.rows)] == [("n1", DEAD)]


def test_a_node_in_company_says_what_it_holds_and_brings_only_itself() -> None:
    solo, _, request = _in_company()
    assert request.ranges == [Range(b"", RangeKind.HELD, _terms(solo, request.seq, 1, 2, OWN))]
    assert _names(records_of(request.rows)) == {"me"}


def test_what_the_reply_asks_for_is_brought_with_a_second_request() -> None:
    solo, exchange, request = _in_company()
    wanted = [Range(b"", RangeKind.WANTED, _terms(solo, request.seq, 2))]
    solo.reply(exchange, SyncResponse(request.seq, 0, PEER, False, wanted, [], rows()))
    [second] = solo.streams()
    brought, _ = DIALECT.decode(second.data)
    assert isinstance(brought, SyncRequest)
    assert second.address == SEED
    assert (_names(records_of(brought.rows)), brought.ranges) == ({"n2"}, [])
    solo.reply(second, SyncResponse(0, 0, PEER, False, [], [], rows(SyncRecord(info_of(3), ALIVE, 0, 0.0))))
    assert solo.state(3) is ALIVE
    assert solo.streams() == []


def test_a_peer_that_holds_a_member_that_is_gone_is_told_so() -> None:
    solo = Solo()
    solo.meet(1, 2)
    solo.hear(Left(node_id(2), 4))
    reply = solo.ask(SyncRequest(77, 0, PEER, False, [], rows(SyncRecord(info_of(2), ALIVE, 4, 0.0))))
    assert isinstance(reply, SyncResponse)
    assert [(record.info.name, record.state) for record in records_of(reply.rows)] == [("n2", LEFT)]


def test_a_run_that_lost_its_name_tells_who_has_it_and_nothing_that_may_be_old() -> None:
    solo = Solo()
    solo.sync_from(PEER)
    solo.meet(1, 2)
    solo.hear(Alive(info_of(200, "me"), 0))
    assert solo.core.is_superseded
    held = Range(b"", RangeKind.HELD, _terms(solo, 77, 1))
    reply = solo.ask(SyncRequest(77, 0, PEER, False, [held], rows()))
    assert isinstance(reply, SyncResponse)
    assert [record.info.id for record in records_of(reply.rows)] == [node_id(200)]


def test_many_records_at_once_are_taken_in_but_not_passed_on() -> None:
    solo = Solo()
    solo.sync_from(PEER)
    solo.quiet()
    solo.sync_from(PEER, *(SyncRecord(info_of(number), ALIVE, 0, 0.0) for number in range(200, 265)))
    solo.sleep(0.0)
    assert solo.state(264) is ALIVE
    assert not [update for update in solo.news() if isinstance(update, Alive) and update.info.id != ME]


# Whole views for many joiners


def _ask_all(solo: Solo, number: int, *, compressed: bool = False) -> bytes:
    """The bytes that a joiner gets which knows nobody."""
    view = rows(SyncRecord(info_of(number), ALIVE, 0, 0.0))
    request = SyncRequest(5, 0, node_id(number), compressed, EVERYTHING, view)
    reply = solo.core.receive_stream(DIALECT.encode(request), address_of(number), solo.now)
    solo.collect()
    assert reply is not None
    return reply


def _response(data: bytes) -> SyncResponse:
    response, _ = DIALECT.decode(data)
    assert isinstance(response, SyncResponse)
    return response


def _crowd(members: int) -> Solo:
    solo = Solo()
    solo.sync_from(PEER, *(SyncRecord(info_of(number), ALIVE, 0, 60.0) for number in range(1000, 1000 + members)))
    solo.sleep(1.0)
    return solo.quiet()


def test_joiners_that_come_together_get_the_same_copy() -> None:
    solo = _crowd(1000)
    first = _ask_all(solo, 1)
    assert _ask_all(solo, 2) is first
    solo.sleep(1.0)
    assert {"n1", "n2"} < _names(records_of(_response(_ask_all(solo, 3)).rows))


def test_a_copy_is_compressed_for_who_takes_it_so() -> None:
    solo = _crowd(500)
    plain, compressed = _ask_all(solo, 1), _ask_all(solo, 1, compressed=True)
    assert len(compressed) < len(plain) / 2
    assert DIALECT.decode_stream(compressed) == DIALECT.decode(plain)


def test_a_member_that_handed_out_many_views_names_others_to_ask() -> None:
    solo = _crowd(10_000)
    joiners, reply = 0, _response(_ask_all(solo, 1))
    while not reply.others:
        joiners += 1
        reply = _response(_ask_all(solo, 1 + joiners))
    assert 10 <= joiners <= 30
    assert len(set(reply.others)) == 8
    assert len(reply.rows) == 0
    assert solo.core.stats.syncs_passed_on == 1
    assert solo.state(1 + joiners) is ALIVE
    solo.sleep(1.0)
    assert len(_response(_ask_all(solo, 999)).rows) > 10_000


def _busy(*numbers: int) -> SyncResponse:
    return SyncResponse(0, 0, PEER, False, [], [address_of(number) for number in numbers], rows())


def test_a_run_that_lost_its_name_names_others_to_ask() -> None:
    solo = Solo()
    solo.meet(1, 2)
    solo.sync_from(PEER)
    solo.hear(Alive(info_of(OWN + 1, "me"), 0))
    assert solo.core.is_superseded
    reply = _response(_ask_all(solo, 300))
    assert set(reply.others) == {address_of(number) for number in (1, 2, OWN + 1)}
    assert len(reply.rows) == 0


def test_a_joiner_asks_one_of_the_others_that_a_busy_seed_names() -> None:
    solo = Solo()
    solo.join(SEED)
    [exchange] = solo.streams()
    solo.reply(exchange, _busy(5, 6))
    [second] = solo.streams()
    assert second.address in {address_of(5), address_of(6)}
    solo.reply(second, SyncResponse(0, 0, node_id(5), False, [], [], rows(SyncRecord(info_of(5), ALIVE, 0, 0.0))))
    assert solo.core.joined
    assert solo.state(5) is ALIVE


def test_a_joiner_is_not_sent_about_without_end() -> None:
    solo = Solo()
    solo.join(SEED)
    asked = 0
    while exchanges := solo.streams():
        [exchange] = exchanges
        solo.reply(exchange, _busy(5))
        asked += 1
        assert asked < 10
    assert asked == 4
    assert solo.events() == [SeedUnreachable(SEED, "it is busy, and so are the others that it named")]
