"""A view in columns, on a stream: all beliefs, then all ages, then all sizes of records, then the records themselves.

A column has as many bytes for each row as its highest value takes, so that there is one form for each. It is read with
one call; records are cut out of one block and checked part by part, each distinct tag set once, because a joiner gets
thousands.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from math import ceil
from typing import Final

from shoal.snapshot import Snapshot
from shoal.types import MemberState, NodeId, Readiness, is_node_name
from shoal.wire.dialect import DecodeError, Flaw
from shoal.wire.fields import MIN_INFO_SIZE, is_signed, read_address, read_bytes, read_info, read_tags
from shoal.wire.varint import read_varint, write_varint
from shoal.wire.witnesses import MAX_WITNESSES, SIGNATURE_SIZE, WITNESS_SIZE, read_witnesses

__all__ = ["MAX_AGE", "MAX_BELIEF", "read_snapshot", "write_snapshot"]

MAX_AGE: Final = float((1 << 32) - 1)
"""Seconds. Longest age that a row can carry; a higher one is sent as this."""
MAX_BELIEF: Final = (1 << 50) - 1
"""The highest incarnation, and a state."""

_MAX_COUNT: Final = (1 << 32) - 1
_MIN_ROW_SIZE: Final = 3 + MIN_INFO_SIZE  # and one byte each for belief, age and size
_IS_LITTLE: Final = array("H", [1]).tobytes()[0] == 1
_CODES: Final = {1: "B", 2: "H", 4: "I", 8: "Q"}
_IPV4: Final = 4
_ADDRESS: Final = NodeId.SIZE + 1
_IPV4_END: Final = _ADDRESS + 7
_LONGEST_NAME: Final = 128
_READINESS: Final = frozenset(map(int, Readiness))
_ZERO_PORT: Final = b"\0\0"
_STATE_MASK: Final = 3
_DEAD: Final = int(MemberState.DEAD)
_LEFT: Final = int(MemberState.LEFT)


def write_snapshot(snapshot: Snapshot) -> bytes:
    """The number of rows and the columns; and what proves that members are gone, if that is known of any."""
    if not snapshot.records:
        return write_varint(0)
    # Rounded up: a tombstone may get older on its way, never younger.
    ages = [ceil(min(age, MAX_AGE)) for age in snapshot.ages]
    sizes = list(map(len, snapshot.records))
    columns = map(_write_column, (snapshot.beliefs, ages, sizes))
    return b"".join((write_varint(len(sizes)), *columns, *snapshot.records, *_write_testimonies(snapshot)))


def read_snapshot(data: bytes, position: int) -> Snapshot:
    """The rows that fill the rest of the data."""
    count, position = read_varint(data, position, _MAX_COUNT)
    if count * _MIN_ROW_SIZE > len(data) - position:
        raise DecodeError(Flaw.TRUNCATED)
    if not count:
        return _end(data, position, Snapshot(array("Q"), array("d"), []))
    beliefs, position = _read_column(data, position, count, MAX_BELIEF)
    ages, position = _read_column(data, position, count, int(MAX_AGE))
    sizes, position = _read_column(data, position, count, len(data))
    ends = list(accumulate(sizes, initial=position))
    if ends[-1] > len(data):
        raise DecodeError(Flaw.TRUNCATED)
    records = [data[start:end] for start, end in pairwise(ends)]
    _check(records)
    held = array("Q", beliefs)
    testimonies, position = _read_testimonies(data, ends[-1], held)
    return _end(data, position, Snapshot(held, array("d", ages), records, testimonies))


def _end(data: bytes, position: int, snapshot: Snapshot) -> Snapshot:
    if position != len(data):
        raise DecodeError(Flaw.TRAILING_BYTES)
    return snapshot


def _write_testimonies(snapshot: Snapshot) -> Iterator[bytes]:
    """Those of all rows of the dead and left, if any has one."""
    if snapshot.testimonies:
        for number in _gone(snapshot.beliefs):
            testimony = snapshot.testimonies.get(number, b"")
            yield write_varint(len(testimony))
            yield testimony


def _read_testimonies(data: bytes, position: int, beliefs: array[int]) -> tuple[Mapping[int, bytes], int]:
    testimonies: dict[int, bytes] = {}
    if position == len(data):
        return testimonies, position
    number = -1
    for number in _gone(beliefs):
        size, position = read_varint(data, position, MAX_WITNESSES * WITNESS_SIZE)
        if size:
            testimony, position = read_bytes(data, position, size)
            _check_testimony(testimony, beliefs[number] & _STATE_MASK)
            testimonies[number] = testimony
    if number >= 0 and not testimonies:
        raise DecodeError(Flaw.BAD_VALUE)
    return testimonies, position


def _gone(beliefs: Sequence[int]) -> list[int]:
    """The rows of members that are dead or left."""
    return [number for number, belief in enumerate(beliefs) if belief & _STATE_MASK >= _DEAD]


def _check_testimony(testimony: bytes, state: int) -> None:
    if state == _LEFT:
        if len(testimony) != SIGNATURE_SIZE:
            raise DecodeError(Flaw.BAD_VALUE)
    else:
        read_witnesses(testimony)


def _write_column(values: Iterable[int]) -> bytes:
    column = array("Q", values)
    width = _width(max(column))
    column = array(_CODES[width], column)
    if _IS_LITTLE:
        column.byteswap()
    return bytes((width,)) + column.tobytes()


def _read_column(data: bytes, position: int, count: int, highest: int) -> tuple[array[int], int]:
    width = data[position]
    code = _CODES.get(width)
    if code is None:
        raise DecodeError(Flaw.BAD_VALUE)
    position += 1
    end = position + width * count
    if end > len(data):
        raise DecodeError(Flaw.TRUNCATED)
    column = array(code, data[position:end])
    if _IS_LITTLE:
        column.byteswap()
    most = max(column)
    if most > highest or _width(most) != width:
        raise DecodeError(Flaw.BAD_VALUE)
    return column, end


def _width(value: int) -> int:
    return next(width for width in _CODES if value < 1 << 8 * width)


def _check(records: Sequence[bytes]) -> None:
    """Refuse what `read_info` would refuse, and an id that is there twice.

    All names are checked as one text, and what follows the name (the tags) once for each that is different. Signed
    ones are read one by one, for no two end alike.
    """
    names: list[bytes] = []
    rests: set[bytes] = set()
    for record in records:
        if len(record) < MIN_INFO_SIZE:
            raise DecodeError(Flaw.TRUNCATED)
        if is_signed(record):
            _, end = read_info(record, 0)
            if end != len(record):
                raise DecodeError(Flaw.TRAILING_BYTES)
            continue
        if record[_ADDRESS] == _IPV4 and record[_IPV4_END - 2 : _IPV4_END] != _ZERO_PORT:
            end = _IPV4_END
        else:
            _, end = read_address(record, _ADDRESS)
        name_end = end + 1 + record[end]
        names.append(record[end + 1 : name_end])
        rests.add(record[name_end:])
    for rest in rests:
        _, end = read_tags(rest, 0)
        if end != len(rest):
            raise DecodeError(Flaw.TRAILING_BYTES)
    are_named = not names or _are_printable(names) or all(is_node_name(name.decode()) for name in names)
    are_ready = {record[NodeId.SIZE] for record in records if not is_signed(record)} <= _READINESS
    are_distinct = len({record[: NodeId.SIZE] for record in records}) == len(records)
    if not (are_named and are_ready and are_distinct):
        raise DecodeError(Flaw.BAD_VALUE)


def _are_printable(names: Sequence[bytes]) -> bool:
    """Whether all names are of the plain kind."""
    sizes = set(map(len, names))
    # Between two names, a space cuts off whatever text one of them leaves unfinished.
    return min(sizes) >= 1 and max(sizes) <= _LONGEST_NAME and b" ".join(names).decode().isprintable()
