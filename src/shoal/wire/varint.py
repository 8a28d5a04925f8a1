"""Unsigned numbers in as few bytes as they need: seven bits a byte, lowest first, the top bit set on all but the last.

A number has one form only: a last byte of zero behind others is refused, so that equal values are equal bytes.
"""

from __future__ import annotations

from shoal.wire.dialect import DecodeError, Flaw

__all__ = ["read_varint", "write_varint"]

_LAST_SHIFT = 63  # the tenth byte: enough for 64 bits
_ONE_BYTE = [bytes((value,)) for value in range(0x80)]


def write_varint(value: int) -> bytes:
    """The shortest form of `value`. Raises `ValueError` if it is negative."""
    if 0 <= value < 0x80:
        return _ONE_BYTE[value]
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(data: bytes, position: int, limit: int) -> tuple[int, int]:
    """The number at `position`, at most `limit` (which is 127 or more), and the position behind it.

    Raises `DecodeError` for a number above `limit` or not in its shortest form, `IndexError` when `data` ends in it.
    """
    value = data[position]
    position += 1
    if value < 0x80:
        return value, position
    value &= 0x7F
    for shift in range(7, _LAST_SHIFT + 1, 7):
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if byte == 0 or value > limit:
                break
            return value, position
    raise DecodeError(Flaw.BAD_VALUE)
