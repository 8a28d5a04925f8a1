from collections.abc import Iterable
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from shoal.swim.gossip_queue import GossipQueue, Priority
from shoal.swim.stats import Drop, Stats

CRITICAL, HIGH, NORMAL, LOW = Priority
LIMIT = 8
EAGER = 4
"""Sends for which an update is worth packets of its own."""
SIZE = 20


def _data(text: str) -> bytes:
    return text.encode().ljust(SIZE, b".")


def _as_it_is(update: bytes, _age: float) -> bytes:
    return update


def _queue(keys: Iterable[str] = (), priority: Priority = NORMAL, *, limit: int = 100) -> GossipQueue:
    queue = GossipQueue(limit, EAGER, Stats(), _as_it_is)
    for key in keys:
        queue.push(key, _data(key), priority)
    return queue


def _pick(queue: GossipQueue, count: int, limit: int = 100, copies: int = 1) -> list[str]:
    """What a packet with room for `count` updates takes."""
    return [data.decode().rstrip(".") for data in queue.pick(count * SIZE, 0, limit, 0.0, copies)]


def test_what_was_sent_least_goes_first_and_of_that_the_newest() -> None:
    queue = _queue("abc")
    assert _pick(queue, 2) == ["c", "b"]
    assert _pick(queue, 2) == ["a", "b"]
    queue.push("d", _data("d"), NORMAL)
    assert _pick(queue, 4) == ["d", "a", "c", "b"]


def test_urgency_comes_before_freshness() -> None:
    queue = _queue()
    for priority in (LOW, CRITICAL, NORMAL, HIGH):
        queue.push(priority, _data(priority.name), priority)
    assert _pick(queue, 4) == ["CRITICAL", "HIGH", "NORMAL", "LOW"]
    assert _pick(queue, 2) == ["CRITICAL", "HIGH"]
    assert _pick(queue, 4) == ["CRITICAL", "HIGH", "NORMAL", "LOW"]


def test_news_that_is_heard_counts_as_told_but_keeps_its_packets() -> None:
    queue = _queue()
    queue.push("a", _data("a"), NORMAL, gist=1)
    assert _pick(queue, 1, limit=LIMIT) == ["a"]
    for _ in range(LIMIT):
        queue.heard("a", 1, limit=LIMIT)
    for _ in range(EAGER - 1):
        assert queue.eager == 1
        assert _pick(queue, 1, limit=LIMIT) == ["a"]
    assert (queue.eager, "a" in queue) == (0, False)
    queue.heard("a", 1, limit=LIMIT)


def test_news_that_is_heard_after_its_packets_goes_sooner() -> None:
    queue = _queue()
    queue.push("a", _data("a"), NORMAL, gist=1)
    _pick(queue, 1, limit=LIMIT, copies=EAGER)
    for _ in range(LIMIT - EAGER):
        assert "a" in queue
        queue.heard("a", 1, limit=LIMIT)
    assert "a" not in queue


def test_an_update_that_began_some_time_ago_is_written_anew_for_each_packet() -> None:
    queue = GossipQueue(LIMIT, EAGER, Stats(), lambda update, age: update + str(age).encode())
    queue.push("a", b"for ", HIGH, began=2.0)
    queue.push("b", b"always", NORMAL)
    assert queue.pick(100, 0, 10, 3.5) == [b"for 1.5", b"always"]
    assert queue.pick(100, 0, 10, 7.0) == [b"for 5.0", b"always"]


def test_an_update_is_worth_packets_of_its_own_for_its_first_sends() -> None:
    queue = _queue("a")
    queue.push("old", _data("old"), LOW, sent=EAGER)
    assert queue.eager == 1
    _pick(queue, 1, copies=EAGER - 1)
    assert queue.eager == 1
    _pick(queue, 1)
    assert queue.eager == 0
    assert "a" in queue


def test_our_own_word_is_worth_packets_until_it_has_spread() -> None:
    queue = _queue()
    queue.push("own", _data("own"), CRITICAL, is_own=True)
    _pick(queue, 1, copies=2 * EAGER, limit=LIMIT + 2)
    assert queue.eager == 1
    _pick(queue, 1, copies=2, limit=LIMIT + 2)
    assert (queue.eager, len(queue)) == (0, 0)


def test_where_updates_get_no_packets_of_their_own_our_own_word_gets_none_either() -> None:
    queue = GossipQueue(9, 0, Stats(), _as_it_is)
    queue.push("own", _data("own"), CRITICAL, is_own=True)
    assert queue.eager == 0


def _sends_left(queue: GossipQueue) -> int:
    return sum(bool(_pick(queue, 1, limit=LIMIT)) for _ in range(2 * LIMIT))


def test_news_goes_on_from_where_what_it_replaces_stands() -> None:
    queue = _queue("a", HIGH)
    _pick(queue, 1, copies=EAGER - 1)
    queue.push("a", _data("a, still"), HIGH, goes_on=True)
    assert queue.eager == 1
    assert _pick(queue, 1) == ["a, still"]
    assert queue.eager == 0
    assert _sends_left(queue) == LIMIT - EAGER


def test_news_of_another_urgency_starts_again() -> None:
    queue = _queue("a", NORMAL)
    _pick(queue, 1, copies=EAGER)
    queue.push("a", _data("a, now"), HIGH, goes_on=True)
    assert queue.eager == 1
    assert _sends_left(queue) == LIMIT


def test_other_news_of_the_same_thing_does_not_count() -> None:
    queue = _queue()
    queue.push("a", _data("a"), NORMAL, gist=2)
    for _ in range(LIMIT):
        queue.heard("a", 1, limit=LIMIT)
    for _ in range(LIMIT):
        assert _pick(queue, 1, limit=LIMIT) == ["a"]


def test_news_may_begin_as_if_it_were_told_before() -> None:
    queue = _queue("a")
    queue.push("b", _data("b"), NORMAL, sent=2)
    assert _pick(queue, 1, limit=3) == ["a"]
    assert _pick(queue, 2, limit=3) == ["a", "b"]
    assert "b" not in queue


def test_newer_news_under_a_key_replaces_older_and_starts_again() -> None:
    queue = _queue("ab", HIGH)
    _pick(queue, 2, limit=3)
    queue.push("a", _data("A"), CRITICAL)
    assert len(queue) == 2
    assert _pick(queue, 5, limit=3) == ["A", "b"]
    assert _pick(queue, 5, limit=3) == ["A", "b"]
    assert _pick(queue, 5, limit=3) == ["A"]
    assert "a" not in queue


def test_an_update_goes_once_it_was_sent_to_as_many_as_the_limit() -> None:
    queue = _queue("a")
    assert [len(_pick(queue, 1, limit=7, copies=3)) for _ in range(4)] == [1, 1, 1, 0]
    assert len(queue) == 0


@pytest.mark.parametrize(("priority", "sends"), [(HIGH, 12), (NORMAL, 6), (LOW, 12)])
def test_in_a_long_queue_joins_go_sooner_for_comparisons_bring_them_too(priority: Priority, sends: int) -> None:
    queue = _queue(map(str, range(40)), priority)
    for _ in range(sends - 1):
        _pick(queue, 40, limit=12)
    assert len(queue) == 40
    _pick(queue, 1, limit=12)
    assert len(queue) == 39


def test_a_limit_that_shrinks_ends_what_was_sent_often_enough() -> None:
    queue = _queue("a")
    for _ in range(5):
        _pick(queue, 1, limit=100)
    assert _pick(queue, 1, limit=2) == ["a"]
    assert "a" not in queue


def test_what_does_not_fit_waits_and_lets_smaller_ones_pass() -> None:
    queue = _queue("a")
    queue.push("large", b"x" * 100, CRITICAL)
    assert _pick(queue, 4) == ["a"]
    assert "large" in queue
    assert queue.pick(100, 0, 10, 0.0) == [b"x" * 100]


@pytest.mark.parametrize(("large", "picked"), [(8, ["a"]), (9, [])])
def test_the_search_for_what_fits_ends_after_a_few_misfits(large: int, picked: list[str]) -> None:
    queue = _queue("a")
    for key in range(large):
        queue.push(key, b"x" * 100, HIGH)
    assert _pick(queue, 4) == picked


def test_overhead_counts_for_every_update() -> None:
    queue = _queue("abc")
    assert len(queue.pick(2 * SIZE + 9, 5, 10, 0.0)) == 1
    assert len(queue.pick(2 * SIZE + 10, 5, 10, 0.0)) == 2


def test_a_full_queue_drops_the_least_urgent_then_the_most_often_sent_then_the_oldest() -> None:
    stats = Stats()
    queue = GossipQueue(4, EAGER, stats, _as_it_is)
    for key, priority in (("old", NORMAL), ("sent", NORMAL), ("new", NORMAL), ("low", LOW)):
        queue.push(key, _data(key), priority)
        if key == "sent":
            _pick(queue, 1)
    for number, victim in enumerate(("low", "sent", "old"), 1):
        queue.push(number, _data(str(number)), HIGH)
        assert victim not in queue
        assert len(queue) == 4
        assert stats.dropped == {Drop.QUEUE_FULL: number}


def test_a_full_queue_does_not_drop_the_urgent_for_the_less_urgent() -> None:
    stats = Stats()
    queue = GossipQueue(2, EAGER, stats, _as_it_is)
    queue.push("a", _data("a"), CRITICAL)
    queue.push("b", _data("b"), HIGH)
    queue.push("c", _data("c"), LOW)
    assert _pick(queue, 3) == ["a", "b"]
    assert stats.dropped == {Drop.QUEUE_FULL: 1}


def test_a_replacement_drops_nothing() -> None:
    stats = Stats()
    queue = GossipQueue(2, EAGER, stats, _as_it_is)
    for key in ("a", "b", "a", "b"):
        queue.push(key, _data(key), NORMAL)
    assert (len(queue), stats.dropped) == (2, {})


def test_discarding_forgets() -> None:
    queue = _queue("ab")
    queue.discard("a")
    queue.discard("unknown")
    assert _pick(queue, 5) == ["b"]


sizes = st.lists(st.tuples(st.sampled_from(Priority), st.integers(1, 60)), max_size=30)


@given(sizes, st.integers(-5, 200), st.integers(0, 8))
def test_a_packet_is_never_overfilled(items: list[tuple[Priority, int]], room: int, overhead: int) -> None:
    queue = _queue()
    for key, (priority, size) in enumerate(items):
        queue.push(key, bytes(size), priority)
    picked = queue.pick(room, overhead, 10, 0.0)
    assert not picked or sum(len(data) + overhead for data in picked) <= room


@given(sizes)
def test_every_update_that_fits_in_an_empty_packet_is_sent_in_the_end(items: list[tuple[Priority, int]]) -> None:
    queue = _queue()
    for key, (priority, size) in enumerate(items):
        queue.push(key, bytes(size), priority)
    for _ in range(3 * len(items)):
        assert not queue or queue.pick(60, 0, 3, 0.0)
    assert not queue


@dataclass
class Item:
    key: int
    data: bytes
    priority: Priority
    sent: int
    placed: int


class QueueModel(RuleBasedStateMachine):
    """The queue does what a sorted list does; nothing is lost unless it was replaced, discarded, spread or counted."""

    def __init__(self) -> None:
        super().__init__()
        self.stats = Stats()
        self.queue = GossipQueue(LIMIT, EAGER, self.stats, _as_it_is)
        self.items: dict[int, Item] = {}
        self.moment = 0
        self.dropped = 0

    def _now(self) -> int:
        self.moment += 1
        return self.moment

    @rule(key=st.integers(0, 12), priority=st.sampled_from(Priority))
    def push(self, key: int, priority: Priority) -> None:
        moment = self._now()
        item = Item(key, _data(str(moment)), priority, 0, moment)
        self.items[key] = item
        if len(self.items) > LIMIT:
            victim = max(self.items.values(), key=lambda item: (item.priority, item.sent, -item.placed))
            del self.items[victim.key]
            self.dropped += 1
        self.queue.push(key, item.data, priority)

    @rule(key=st.integers(0, 12))
    def discard(self, key: int) -> None:
        self.items.pop(key, None)
        self.queue.discard(key)

    @rule(count=st.integers(0, 10), limit=st.integers(0, 6), copies=st.integers(1, 3))
    def pick(self, count: int, limit: int, copies: int) -> None:
        ordered = sorted(self.items.values(), key=lambda item: (item.priority, item.sent, -item.placed))
        expected = ordered[:count]
        for item in expected:
            item.sent += copies
            item.placed = self._now()
            if item.sent >= limit:
                del self.items[item.key]
        assert self.queue.pick(count * SIZE, 0, limit, 0.0, copies) == [item.data for item in expected]

    @invariant()
    def fresh_ones_are_counted(self) -> None:
        assert self.queue.eager == sum(item.sent < EAGER for item in self.items.values())

    @invariant()
    def the_same_updates_wait(self) -> None:
        assert len(self.queue) == len(self.items) <= LIMIT
        assert all((key in self.queue) is (key in self.items) for key in range(13))
        assert self.stats.dropped.get(Drop.QUEUE_FULL, 0) == self.dropped


TestQueue = QueueModel.TestCase
TestQueue.settings = settings(max_examples=100, stateful_step_count=40)
