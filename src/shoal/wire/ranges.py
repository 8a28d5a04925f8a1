"""Ranges of ids and what is said of them, in few bytes.

A range ends where the next begins, so one bound each is enough; and a bound says only where it differs from the one
before, because ids of members that started together share their first bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import unpack_from
from typing import Final

from shoal.types import NodeId, shared_length
from shoal.wire.dialect import DecodeError, Flaw
from shoal.wire.fields import read_bytes
from shoal.wire.messages import Range, RangeKind
from shoal.wire.varint import read_varint, write_varint

__all__ = ["read_ranges", "size_of_range", "write_ranges"]

_VALUE_SIZE: Final = 4
_MIN_RANGE_SIZE: Final = 2  # one byte each for the end and the kind
_MAX_RANGES: Final = (1 << 32) - 1
_NO_END: Final = 0xFF
_KIND_BITS: Final = 2
_KIND_MASK: Final = 3
_KINDS: Final = tuple(RangeKind)
_COUNTED: Final = (RangeKind.HELD, RangeKind.WANTED)


def write_ranges(ranges: Sequence[Range]) -> bytes:
    """Their count and each of them."""
    parts = [write_varint(len(ranges))]
    before = b""
    for each in ranges:
        parts += _write_end(each.end, before), write_varint(_mode(each))
        parts += [value.to_bytes(_VALUE_SIZE) for value in each.values]
        before = each.end
    return b"".join(parts)


def size_of_range(each: Range, before: bytes) -> int:
    """Bytes that a range takes behind one that ends at `before`."""
    return len(_write_end(each.end, before)) + len(write_varint(_mode(each))) + _VALUE_SIZE * len(each.values)


def read_ranges(data: bytes, position: int) -> tuple[list[Range], int]:
    """The ranges at `position` and the position behind them; their ends ascend."""
    count, position = read_varint(data, position, _MAX_RANGES)
    if count * _MIN_RANGE_SIZE > len(data) - position:
        raise DecodeError(Flaw.TRUNCATED)
    ranges: list[Range] = []
    before = b""
    for number in range(count):
        if number and not before:  # Nothing lies beyond the end of all ids.
            raise DecodeError(Flaw.BAD_VALUE)
        before, position = _read_end(data, position, before)
        each, position = _read_said(data, position, before)
        ranges.append(each)
    return ranges, position


def _mode(each: Range) -> int:
    """The kind and, where that is open, the number of values."""
    return each.kind | (len(each.values) << _KIND_BITS if each.kind in _COUNTED else 0)


def _write_end(end: bytes, before: bytes) -> bytes:
    """How many bytes are those of the end before, how many others follow (less one), and these."""
    if not end:
        return bytes((_NO_END,))
    shared = shared_length(end, before)
    return bytes((shared << 4 | (len(end) - shared - 1),)) + end[shared:]


def _read_end(data: bytes, position: int, before: bytes) -> tuple[bytes, int]:
    head = data[position]
    if head == _NO_END:
        return b"", position + 1
    shared, fresh = head >> 4, (head & 15) + 1
    if shared > len(before) or shared + fresh > NodeId.SIZE:
        raise DecodeError(Flaw.BAD_VALUE)
    own, position = read_bytes(data, position + 1, fresh)
    # One comparison makes sure that ends ascend and that all that could be shared is.
    if shared < len(before) and own[0] <= before[shared]:
        raise DecodeError(Flaw.BAD_VALUE)
    return before[:shared] + own, position


def _read_said(data: bytes, position: int, end: bytes) -> tuple[Range, int]:
    mode, position = read_varint(data, position, _MAX_RANGES)
    kind, count = _KINDS[mode & _KIND_MASK], mode >> _KIND_BITS
    if kind not in _COUNTED:
        if count:
            raise DecodeError(Flaw.BAD_VALUE)
        count = int(kind is RangeKind.FINGERPRINT)
    behind = position + count * _VALUE_SIZE
    if behind > len(data):
        raise DecodeError(Flaw.TRUNCATED)
    return Range(end, kind, unpack_from(f">{count}I", data, position)), behind
