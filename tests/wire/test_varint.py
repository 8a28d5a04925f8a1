import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.wire.dialect import DecodeError, Flaw
from shoal.wire.varint import read_varint, write_varint
from tests.strategies import U64

MAX = 2**64 - 1


@given(U64 | st.integers(0, 20_000))
def test_a_number_is_read_as_it_was_written(value: int) -> None:
    written = write_varint(value)
    assert read_varint(b"\xff" + written + b"\xff", 1, MAX) == (value, 1 + len(written))


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0, "00"),
        (127, "7f"),
        (128, "8001"),
        (300, "ac02"),
        (16_383, "ff7f"),
        (16_384, "808001"),
        (MAX, "ffffffffffffffffff01"),
    ],
)
def test_a_number_takes_as_few_bytes_as_it_needs(value: int, written: str) -> None:
    assert write_varint(value).hex() == written


@given(U64, st.integers(1, 3))
def test_longer_forms_than_needed_are_refused(value: int, padding: int) -> None:
    shortest = write_varint(value)
    longer = shortest[:-1] + bytes((shortest[-1] | 0x80,)) + b"\x80" * (padding - 1) + b"\x00"
    with pytest.raises(DecodeError) as caught:
        read_varint(longer, 0, MAX)
    assert caught.value.flaw is Flaw.BAD_VALUE


@pytest.mark.parametrize("limit", [127, 128, 300, 2**48 - 1, MAX])
def test_the_limit_is_the_last_number_that_is_taken(limit: int) -> None:
    assert read_varint(write_varint(limit), 0, limit)[0] == limit
    with pytest.raises(DecodeError) as caught:
        read_varint(write_varint(limit + 1), 0, limit)
    assert caught.value.flaw is Flaw.BAD_VALUE


@pytest.mark.parametrize("data", [b"\xff" * 10 + b"\x01", b"\xff" * 1000])
def test_a_number_without_end_is_given_up_after_ten_bytes(data: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        read_varint(data, 0, MAX)
    assert caught.value.flaw is Flaw.BAD_VALUE


@given(st.integers(128, MAX))
def test_a_number_that_is_cut_off_is_an_index_error(value: int) -> None:
    with pytest.raises(IndexError):
        read_varint(write_varint(value)[:-1], 0, MAX)


def test_a_negative_number_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="range"):
        write_varint(-1)
