from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.events import HealthReason, MemberLeft
from shoal.state.range_index import RangeIndex
from shoal.swim.comparison import opening
from shoal.swim.outputs import Datagram, StreamExchange
from shoal.swim.stats import Drop
from shoal.types import Address, MemberState
from shoal.wire.messages import (
    Ack,
    Alive,
    Compare,
    Dead,
    Left,
    Ping,
    Range,
    RangeKind,
    Suspect,
    SyncRecord,
    SyncRequest,
    Update,
)
from tests.rows import rows
from tests.swim.harness import DIALECT, OWN, STRANGER, Sent, Solo, address_of, info_of, node_id

ALIVE, SUSPECT, DEAD, LEFT = MemberState
ME, PEER = node_id(OWN), node_id(1)
OTHER = 12345  # a digest that is not ours


# When views are compared


def _peer(**config: Any) -> Solo:
    solo = Solo(sync_threshold=5, **config)
    solo.meet(1)
    solo.sleep(5.0)
    return solo.quiet()


def _differ(solo: Solo, times: int, sender: int = 1) -> None:
    for _ in range(times):
        solo.receive(Ping(7, OTHER, node_id(sender), ME))


def _comparisons(solo: Solo) -> list[Sent]:
    return solo.sent(Compare)


def test_enough_packets_with_another_digest_start_a_comparison_with_their_sender() -> None:
    solo = _peer()
    _differ(solo, 4)
    assert _comparisons(solo) == []
    _differ(solo, 1)
    [packet] = _comparisons(solo)
    assert packet.to == address_of(1)
    assert solo.streams() == []
    assert solo.core.stats.comparisons == 1


def test_acks_count_as_pings_do() -> None:
    solo = _peer()
    for _ in range(5):
        solo.receive(Ack(7, OTHER, PEER))
    assert len(_comparisons(solo)) == 1


def test_there_is_one_comparison_in_each_probe_interval() -> None:
    solo = _peer(probe_interval=1.0)
    _differ(solo, 50)
    assert len(_comparisons(solo)) == 1
    solo.sleep(1.1)
    _differ(solo, 50)
    assert len(_comparisons(solo)) == 1


def test_only_a_member_that_is_present_is_compared_with() -> None:
    solo = _peer()
    _differ(solo, 50, sender=999)
    solo.meet(2)
    solo.hear(Left(node_id(2), 0))
    _differ(solo, 50, sender=2)
    assert _comparisons(solo) == []
    solo.sleep(1.0)
    _differ(solo, 1)
    assert len(_comparisons(solo)) == 1


def test_nothing_is_compared_while_news_comes_in() -> None:
    solo = _peer(gossip_interval=0.2)
    solo.meet(2)
    solo.sleep(0.9)
    _differ(solo, 50)
    assert _comparisons(solo) == []
    solo.sleep(0.2)
    _differ(solo, 1)
    assert len(_comparisons(solo)) == 1


def test_where_news_comes_in_all_the_time_views_are_compared_all_the_same() -> None:
    solo = _peer(gossip_interval=0.2)
    began, number = solo.now, 100
    while not _comparisons(solo):
        solo.meet(number := number + 1)
        _differ(solo, 5)
        solo.sleep(0.5)
    assert 10.0 <= solo.now - began < 11.0


def test_a_comparison_sees_what_changed_since_the_last() -> None:
    solo = _peer(probe_interval=1.0)
    for number in (2, 3, 4):
        solo.meet(number)
        solo.sleep(4.5)
        _differ(solo, 5)
        [packet] = _comparisons(solo)
        assert isinstance(packet.message, Compare)
        salt = packet.message.seq
        index = RangeIndex(*solo.core._table.terms())
        assert packet.message.ranges == opening(index, salt)


def test_comparisons_that_bring_no_agreement_lead_to_a_stream() -> None:
    solo = _peer(probe_interval=1.0, sync_interval=60.0)
    for _ in range(4):
        _differ(solo, 5)
        solo.sleep(8.1)
    [exchange] = solo.streams()
    assert exchange.address == address_of(1)
    assert len(_comparisons(solo)) == 3


def test_comparisons_that_bring_no_agreement_are_made_less_and_less_often() -> None:
    solo = _peer(probe_interval=1.0, sync_interval=10.0)
    at = []
    while solo.now < 100.0:
        _differ(solo, 5)
        at += [solo.now] * (len(_comparisons(solo)) + len(solo.streams()))
        solo.sleep(0.25)
    pauses = [later - earlier for earlier, later in pairwise(at)]
    assert pauses[:3] == [1.0, 2.0, 4.0]
    assert set(pauses[6:]) == {10.0}


def test_while_a_suspicion_stands_views_may_differ_for_longer() -> None:
    solo = _peer(suspicion_alpha=50.0)
    solo.meet(2)
    solo.hear(Suspect(node_id(2), 0, STRANGER))
    solo.sleep(1.1)
    solo.quiet()
    _differ(solo, 19)
    assert _comparisons(solo) == []
    _differ(solo, 1)
    assert len(_comparisons(solo)) == 1


def _crowded() -> Solo:
    """A node among so many that to compare views costs something."""
    solo = _peer(max_new_members=1000)
    solo.meet(*range(2, 302))
    solo.sleep(5.0)
    return solo.quiet()


@pytest.mark.parametrize("is_unwell", [False, True])
def test_among_few_an_unwell_node_compares_as_any_other(*, is_unwell: bool) -> None:
    solo = _peer()
    if is_unwell:
        solo.core.note_lag(1.0, HealthReason.EVENT_LOOP_LAG, solo.now)
    _differ(solo, 6)
    assert len(_comparisons(solo)) == 1


def test_an_unwell_node_compares_only_after_a_long_time_without_agreement() -> None:
    solo = _crowded()
    began = solo.now
    while not _comparisons(solo):
        solo.core.note_lag(1.0, HealthReason.EVENT_LOOP_LAG, solo.now)
        _differ(solo, 5)
        solo.sleep(1.0)
    assert 60.0 <= solo.now - began < 63.0


def test_a_node_that_was_unwell_a_moment_ago_waits_too() -> None:
    solo = _crowded()
    solo.core.note_lag(1.0, HealthReason.EVENT_LOOP_LAG, solo.now)
    _differ(solo, 50)
    solo.core.health.reset()
    solo.sleep(9.9)
    _differ(solo, 50)
    assert _comparisons(solo) == []
    solo.sleep(0.2)
    _differ(solo, 1)
    assert len(_comparisons(solo)) == 1


def test_an_unwell_node_answers_nobody_unless_it_costs_nothing() -> None:
    solo = _crowded()
    solo.core.note_lag(1.0, HealthReason.EVENT_LOOP_LAG, solo.now)
    solo.receive(_compare())
    assert _comparisons(solo) == []
    assert solo.dropped[Drop.UNWELL] == 1


def test_an_equal_digest_shows_that_comparisons_do_help() -> None:
    solo = _peer(probe_interval=1.0)
    for _ in range(10):
        _differ(solo, 6)
        solo.sleep(1.1)
        solo.receive(Ping(7, solo.core.digest, PEER, ME))
    assert solo.streams() == []


# Who is answered, and with how much

WHOLE = [Range(b"", RangeKind.FINGERPRINT, (1,))]


def _compare(ranges: Iterable[Range] = WHOLE, *, steps: int = 3, sender: int = 1) -> Compare:
    return Compare(9, OTHER, node_id(sender), 2, steps, list(ranges))


def test_a_fingerprint_that_is_not_ours_is_answered_with_what_we_hold() -> None:
    solo = _peer()
    solo.receive(_compare(steps=3))
    [packet] = _comparisons(solo)
    answer = packet.message
    assert isinstance(answer, Compare)
    assert (answer.seq, answer.members, answer.steps) == (9, 2, 2)
    [held] = answer.ranges
    assert (held.end, held.kind, len(held.values)) == (b"", RangeKind.HELD, 2)


def test_answers_go_where_the_member_is_known_to_be_whoever_seems_to_ask() -> None:
    solo = _peer()
    solo.receive(_compare(), source=Address("192.0.2.66", 66))
    assert [packet.to for packet in _comparisons(solo)] == [address_of(1)]


def test_nobody_but_a_present_member_is_answered() -> None:
    solo = _peer()
    solo.receive(_compare(sender=999))
    solo.meet(2)
    solo.hear(Left(node_id(2), 0))
    solo.receive(_compare(sender=2))
    assert _comparisons(solo) == []
    assert solo.dropped[Drop.UNKNOWN_MEMBER] == 2


def test_the_last_step_is_not_answered() -> None:
    solo = _peer()
    solo.receive(_compare(steps=0))
    assert _comparisons(solo) == []


def test_nobody_asks_for_more_steps_than_a_comparison_takes() -> None:
    solo = _peer()
    solo.receive(_compare(steps=255))
    [packet] = _comparisons(solo)
    assert isinstance(packet.message, Compare)
    assert packet.message.steps == 15


@pytest.mark.parametrize("members", [10, 60, 1000])
def test_an_answer_is_at_most_eight_times_as_large_as_its_question(members: int) -> None:
    solo = _peer()
    solo.meet(*range(200, 200 + members))
    for ranges in (WHOLE, [Range(b"", RangeKind.HELD, (1, 2, 3))], []):
        question = _compare(ranges)
        solo.sleep(5.0)
        solo.quiet().receive(question)
        packets = _comparisons(solo)
        assert sum(packet.size for packet in packets) <= 8 * len(DIALECT.encode(question))
        assert all(packet.size <= solo.config.max_datagram for packet in packets)


def test_all_answers_of_a_second_have_a_limit() -> None:
    solo = _peer()
    solo.meet(*range(200, 400))
    solo.quiet()
    for _ in range(300):
        solo.receive(_compare([Range(b"", RangeKind.HELD, tuple(range(50)))]))
    assert sum(packet.size for packet in _comparisons(solo)) <= 65_536 + solo.config.max_datagram
    assert solo.dropped[Drop.ABOVE_RATE] > 0
    solo.sleep(1.0)
    solo.quiet().receive(_compare())
    assert len(_comparisons(solo)) > 0


# Two nodes that compare their views


_SETTINGS: dict[str, Any] = {"sync_threshold": 1, "gossip_fanout": 0, "doubt_deaths": True}


@dataclass
class Pair:
    """Two nodes that know each other, and everything that goes between them."""

    one: Solo = field(default_factory=lambda: Solo(1, info=info_of(1), **_SETTINGS))
    other: Solo = field(default_factory=lambda: Solo(2, info=info_of(2), **_SETTINGS))
    is_lost: Callable[[], bool] = lambda: False
    datagrams: int = 0
    size: int = 0
    """Bytes of all datagrams that were sent."""
    streams: int = 0

    def __post_init__(self) -> None:
        self.one.meet(2)
        self.other.meet(1)

    def compare(self) -> None:
        """The one hears that the other has another view; both send until nothing is left to be said."""
        self.one.quiet()
        self.other.quiet()
        for solo in (self.one, self.other):
            solo.now += 3.0
        if self.one.core.digest != self.other.core.digest:
            for _ in range(4):  # while a suspicion stands, four count as one
                self.one.receive(Ping(1, self.other.core.digest, self.other.info.id, self.one.info.id))
        self._carry()

    def _carry(self) -> None:
        for _ in range(1000):
            moved = [(solo, output) for solo in (self.one, self.other) for output in solo.drain()]
            if not moved:
                return
            for sender, output in moved:
                self._deliver(sender, self.other if sender is self.one else self.one, output)
        pytest.fail("a comparison goes on without end")

    def _deliver(self, sender: Solo, receiver: Solo, output: Datagram | StreamExchange) -> None:
        if isinstance(output, StreamExchange):
            self.streams += 1
            reply = receiver.core.receive_stream(output.data, sender.info.address, receiver.now)
            receiver.collect()
            assert reply is not None
            sender.core.stream_replied(output.token, reply, sender.now)
            sender.collect()
            return
        if not isinstance(DIALECT.decode(output.data)[0], Compare):
            return  # Nothing but the comparison brings news here.
        self.datagrams += 1
        self.size += len(output.data)
        if not self.is_lost():
            receiver.core.receive(output.data, sender.info.address, receiver.now)
            receiver.collect()

    @property
    def agree(self) -> bool:
        return self.one.core.digest == self.other.core.digest


def _know(solo: Solo, numbers: Iterable[int], incarnation: int = 0) -> None:
    news = [Alive(info_of(number), incarnation) for number in numbers]
    for begin in range(0, len(news), 100):
        solo.hear(*news[begin : begin + 100])


def test_equal_views_cost_nothing() -> None:
    pair = Pair()
    for solo in (pair.one, pair.other):
        _know(solo, range(200, 300))
    pair.compare()
    assert (pair.datagrams, pair.size) == (0, 0)


@pytest.mark.parametrize("members", [10, 100, 1000])
@pytest.mark.parametrize("who", ["one", "other", "both"])
def test_whoever_lacks_a_member_has_it_after_one_comparison(members: int, who: str) -> None:
    pair = Pair()
    lacking = {"one": [210], "other": [], "both": [210]}[who]
    lacking_other = {"one": [], "other": [205], "both": [205]}[who]
    _know(pair.one, (number for number in range(200, 200 + members) if number not in lacking))
    _know(pair.other, (number for number in range(200, 200 + members) if number not in lacking_other))
    pair.compare()
    assert pair.agree
    assert pair.streams == 0
    assert pair.size < 1200


def test_the_newer_word_about_a_member_wins() -> None:
    pair = Pair()
    _know(pair.one, range(200, 300))
    _know(pair.other, range(200, 300))
    _know(pair.one, [250], incarnation=3)
    _know(pair.other, [260], incarnation=2)
    pair.compare()
    assert pair.agree
    assert pair.other.member(250).incarnation == 3
    assert pair.one.member(260).incarnation == 2


def test_a_hundred_new_members_cost_little_more_than_their_records() -> None:
    pair = Pair()
    _know(pair.one, range(200, 1200))
    _know(pair.other, range(200, 1300))
    records = sum(len(DIALECT.encode_update(Alive(info_of(number), 0))) for number in range(1200, 1300))
    for _ in range(2):
        pair.compare()
    assert pair.agree
    assert pair.streams == 0
    assert pair.size < records + 4000


def test_many_differences_go_over_one_stream() -> None:
    pair = Pair()
    _know(pair.one, range(200, 700))
    _know(pair.other, [*range(200, 400), *range(700, 1000)])
    pair.compare()
    assert pair.agree
    assert len(pair.one.states()) == 2 + 800
    assert pair.streams == 2  # what the one lacked came with the first, what the other lacked went with the second
    assert pair.datagrams <= 2


def test_streams_keep_their_distance() -> None:
    pair = Pair()
    _know(pair.other, range(200, 600))
    pair.compare()
    assert pair.streams == 1
    _know(pair.other, range(600, 1000))
    pair.compare()
    assert pair.streams == 1
    for solo in (pair.one, pair.other):
        solo.now += pair.one.config.sync_interval
    pair.compare()
    assert pair.agree
    assert pair.streams == 2


def test_a_suspicion_is_passed_on_with_its_accuser() -> None:
    pair = Pair()
    _know(pair.one, range(200, 210))
    _know(pair.other, range(200, 210))
    pair.other.hear(Suspect(node_id(205), 0, node_id(207)))
    pair.compare()
    assert pair.one.state(205) is SUSPECT
    assert pair.agree
    suspicion = pair.one.core._membership.suspicions[node_id(205)]
    assert list(suspicion.accusers) == [node_id(207)]


@pytest.mark.parametrize("who_knows", ["one", "other"])
def test_a_goodbye_that_one_side_missed_is_told(who_knows: str) -> None:
    pair = Pair()
    for solo in (pair.one, pair.other):
        _know(solo, range(200, 300))
    knowing, missing = (pair.one, pair.other) if who_knows == "one" else (pair.other, pair.one)
    knowing.hear(Left(node_id(250), 0))
    missing.events()
    pair.compare()
    assert missing.state(250) is LEFT
    assert [event.member.name for event in missing.events(MemberLeft)] == ["n250"]
    assert pair.agree


def test_a_death_that_one_side_missed_is_doubted_first() -> None:
    pair = Pair()
    for solo in (pair.one, pair.other):
        _know(solo, range(200, 300))
    pair.other.hear(Dead(node_id(250), 0, node_id(251)))
    pair.other.sleep(60.0)
    pair.one.sleep(60.0)
    assert pair.other.state(250) is DEAD
    pair.compare()
    assert pair.one.state(250) is SUSPECT
    pair.one.sleep(60.0)
    assert pair.one.state(250) is DEAD


def test_a_member_that_nobody_remembers_as_dead_is_taken_in() -> None:
    pair = Pair()
    _know(pair.one, range(200, 300))
    _know(pair.other, range(200, 299))
    pair.compare()
    assert pair.other.state(299) is ALIVE
    assert pair.agree


def test_a_run_whose_name_had_a_newer_one_that_is_gone_is_replaced() -> None:
    pair = Pair()
    for solo in (pair.one, pair.other):
        _know(solo, range(200, 210))
    pair.other.hear(Alive(info_of(900, "n205", at=address_of(205)), 0), Left(node_id(900), 0))
    pair.compare()
    assert pair.one.state(205) is None
    assert pair.one.state(900) is LEFT
    assert pair.agree


def test_a_record_that_fits_in_no_datagram_comes_over_a_stream() -> None:
    pair = Pair()
    large = rows(SyncRecord(info_of(200, big="x" * 2000), ALIVE, 0, 0.0))
    assert pair.other.ask(SyncRequest(0, 0, STRANGER, False, [], large)) is not None
    for _ in range(5):
        pair.compare()
    assert pair.one.state(200) is ALIVE
    assert pair.agree
    assert pair.streams == 1


# Whatever two nodes hold, and whatever is lost

present = st.tuples(st.sampled_from([ALIVE, SUSPECT]), st.integers(0, 2))
gone = st.just((LEFT, 2))  # a goodbye is its member's last word
beliefs = st.dictionaries(st.integers(200, 330), present | gone, max_size=120)


def _believe(solo: Solo, held: dict[int, tuple[MemberState, int]]) -> None:
    for number, (state, incarnation) in held.items():
        news: list[Update] = [Alive(info_of(number), incarnation)]
        if state is SUSPECT:
            news.append(Suspect(node_id(number), incarnation, STRANGER))
        elif state is LEFT:
            news.append(Left(node_id(number), incarnation))
        solo.hear(*news)


@settings(max_examples=30, deadline=None)
@given(beliefs, beliefs, st.randoms(use_true_random=False), st.sampled_from([0.0, 0.3]))
def test_two_views_become_one_whatever_is_lost(
    one: dict[int, tuple[MemberState, int]],
    other: dict[int, tuple[MemberState, int]],
    random: object,
    loss: float,
) -> None:
    pair = Pair()
    _believe(pair.one, one)
    _believe(pair.other, other)
    draw = getattr(random, "random")  # noqa: B009  (hypothesis does not name the type)
    pair.is_lost = lambda: draw() < loss
    for _ in range(3):
        pair.compare()
    pair.is_lost = lambda: False
    for _ in range(8):
        if pair.agree:
            break
        pair.compare()
    assert pair.agree
    assert _present(pair.one) == _present(pair.other)


def _present(solo: Solo) -> set[tuple[str, MemberState, int]]:
    return {(m.name, m.state, m.incarnation) for m in solo.core.members() if m.state.is_present}
