from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.config import ClusterConfig
from shoal.swim.context import Context
from shoal.swim.exchanges import Exchanges, backoff
from shoal.swim.outbox import Outbox
from shoal.swim.outputs import StreamExchange
from shoal.swim.stats import Drop
from tests.swim.harness import DIALECT, address_of

PEER = address_of(1)


@dataclass
class Bench:
    """Exchanges with nothing around them."""

    config: ClusterConfig = field(default_factory=ClusterConfig)
    seed: int = 1
    replies: list[tuple[bytes, float]] = field(default_factory=list)
    failures: list[tuple[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.context = Context(self.config, DIALECT, Random(self.seed))
        self.outbox = Outbox(self.context)
        self.exchanges = Exchanges(self.context, self.outbox)

    def open(self, data: bytes = b"data", **options: float) -> bool:
        return self.exchanges.open(
            PEER,
            data,
            lambda data, now: self.replies.append((data, now)),
            lambda reason, now: self.failures.append((reason, now)),
            **options,  # type: ignore[arg-type]
        )

    def tries(self) -> list[StreamExchange]:
        return [output for output in self.outbox.drain() if isinstance(output, StreamExchange)]

    def a_try(self) -> StreamExchange:
        [exchange] = self.tries()
        return exchange

    def next_try_after(self, now: float) -> float:
        deadline = self.context.timers.next_deadline()
        assert deadline is not None
        self.context.timers.fire(deadline)
        return deadline - now


def test_an_exchange_is_tried_at_once() -> None:
    bench = Bench()
    assert bench.open()
    tried = bench.a_try()
    assert (tried.address, tried.data, tried.timeout) == (PEER, b"data", 10.0)
    assert len(bench.exchanges) == 1


def test_a_reply_ends_the_exchange() -> None:
    bench = Bench()
    bench.open()
    tried = bench.a_try()
    bench.exchanges.replied(tried.token, b"reply", 3.0)
    bench.exchanges.replied(tried.token, b"again", 4.0)
    bench.exchanges.failed(tried.token, "late", 4.0)
    assert bench.replies == [(b"reply", 3.0)]
    assert bench.failures == []
    assert len(bench.exchanges) == 0
    assert bench.context.timers.next_deadline() is None


def test_a_failed_try_is_repeated_with_pauses_that_grow() -> None:
    bench = Bench(ClusterConfig(stream_attempts=4, backoff_initial=0.2, backoff_multiplier=3.0, backoff_max=1.0))
    bench.open()
    first = bench.a_try()
    now, pauses = 0.0, []
    for _ in range(3):
        bench.exchanges.failed(first.token, "refused", now)
        pauses.append(bench.next_try_after(now))
        now += pauses[-1]
        assert bench.a_try() == first
    bench.exchanges.failed(first.token, "refused at last", now)
    assert 0.1 <= pauses[0] <= 0.2
    assert 0.3 <= pauses[1] <= 0.6
    assert 0.5 <= pauses[2] <= 1.0
    assert bench.failures == [("refused at last", now)]
    assert bench.context.stats.exchanges_failed == 1
    assert len(bench.exchanges) == 0


def test_attempts_and_timeout_can_be_chosen() -> None:
    bench = Bench()
    bench.open(attempts=1, timeout=0.5)
    tried = bench.a_try()
    assert tried.timeout == 0.5
    bench.exchanges.failed(tried.token, "refused", 1.0)
    assert bench.failures == [("refused", 1.0)]


def test_exchanges_are_bounded_and_one_that_waits_counts() -> None:
    bench = Bench(ClusterConfig(max_streams_out=2))
    assert [bench.open(), bench.open()] == [True, True]
    bench.exchanges.failed(bench.tries()[0].token, "refused", 0.0)
    assert not bench.open()
    assert bench.tries() == []
    assert bench.context.stats.dropped == {Drop.EXCHANGES_FULL: 1}


def test_a_place_is_free_again_after_an_exchange() -> None:
    bench = Bench(ClusterConfig(max_streams_out=1))
    bench.open()
    bench.exchanges.replied(bench.a_try().token, b"", 0.0)
    assert bench.open()


def test_tokens_are_never_used_again() -> None:
    bench = Bench()
    tokens = set()
    for _ in range(10):
        bench.open()
        token = bench.a_try().token
        tokens.add(token)
        bench.exchanges.replied(token, b"", 0.0)
    assert len(tokens) == 10


def test_an_unknown_token_is_ignored() -> None:
    bench = Bench()
    bench.exchanges.replied(7, b"", 0.0)
    bench.exchanges.failed(7, "refused", 0.0)
    assert (bench.replies, bench.failures) == ([], [])


def test_a_callback_may_open_the_next_exchange() -> None:
    bench = Bench(ClusterConfig(max_streams_out=1))
    opened = []
    bench.exchanges.open(PEER, b"", lambda _data, _now: opened.append(bench.open()), lambda _reason, _now: None)
    bench.exchanges.replied(bench.a_try().token, b"", 0.0)
    assert opened == [True]


@given(st.floats(0.001, 5.0), st.floats(5.0, 600.0), st.floats(1.0, 10.0), st.integers(1, 100), st.integers(0, 2**32))
def test_a_pause_is_drawn_from_the_upper_half_and_has_a_ceiling(
    initial: float, longest: float, multiplier: float, failures: int, seed: int
) -> None:
    config = ClusterConfig(backoff_initial=initial, backoff_max=longest, backoff_multiplier=multiplier)
    whole = min(longest, initial * multiplier ** (failures - 1))
    assert whole / 2 <= backoff(config, failures, Random(seed)) <= whole


def test_pauses_differ_between_nodes() -> None:
    assert len({backoff(ClusterConfig(), 1, Random(seed)) for seed in range(10)}) == 10


@pytest.mark.parametrize("failures", [1, 2, 3])
def test_pauses_double_by_default(failures: int) -> None:
    expected = 0.2 * 2 ** (failures - 1)
    assert expected / 2 <= backoff(ClusterConfig(), failures, Random(3)) <= expected
