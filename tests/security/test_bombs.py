"""Small messages that would be large in memory."""

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from shoal.wire.compression import CAN_COMPRESS, compress
from shoal.wire.dialect import DecodeError
from shoal.wire.messages import Gossip
from shoal.wire.native import NativeDialect
from shoal.wire.varint import write_varint
from tests.swim.harness import node_id
from tests.wire.examples import CLUSTER, MESSAGES

DIALECT = NativeDialect(CLUSTER)
PREFIX = DIALECT.compress(DIALECT.encode(Gossip(0, 0, node_id(1))))[:6] if CAN_COMPRESS else b""
EXPANDED = 1 << 24

needs_compression = pytest.mark.skipif(not CAN_COMPRESS, reason="this Python has no zstd")


@contextmanager
def memory_below(limit: int) -> Iterator[None]:
    """Fail if Python's objects take more than so many bytes at any time."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()


@needs_compression
def test_a_bomb_that_says_what_it_holds_is_refused_before_it_goes_off() -> None:
    bomb = PREFIX + write_varint(EXPANDED) + compress(bytes(EXPANDED))
    with memory_below(100_000), pytest.raises(DecodeError):
        DIALECT.decode_stream(bomb)


@needs_compression
def test_a_bomb_that_says_less_than_it_holds_makes_no_more_than_it_says() -> None:
    frame = compress(bytes(EXPANDED))
    for announced in (0, 1, 38, 60 * len(frame)):
        with memory_below(200_000 + 2 * announced), pytest.raises(DecodeError):
            DIALECT.decode_stream(PREFIX + write_varint(announced) + frame)


@needs_compression
def test_a_bomb_in_a_bomb_is_refused() -> None:
    inner = DIALECT.compress(DIALECT.encode(MESSAGES["sync request"]))
    with pytest.raises(DecodeError):
        DIALECT.decode_stream(DIALECT.compress(inner))


@pytest.mark.parametrize("name", MESSAGES)
def test_numbers_that_announce_much_reserve_nothing(name: str) -> None:
    whole = DIALECT.encode(MESSAGES[name])
    for at in range(6, len(whole)):
        with memory_below(100_000), suppress(DecodeError):
            DIALECT.decode(whole[:at] + write_varint((1 << 32) - 1) + whole[at:])
