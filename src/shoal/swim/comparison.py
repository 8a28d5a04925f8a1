"""What one node answers to ranges of another (range-based set reconciliation).

Nothing is remembered between two steps: a question and the own view say all. A sum that differs is answered with the
sums of its parts, or with the list of its members once they are few; a list is answered with the records that it lacks
and with the values of those that are asked for. So every answer is about less than its question.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from shoal.state.range_index import RangeIndex
from shoal.types import NodeId
from shoal.wire.messages import Range, RangeKind
from shoal.wire.ranges import size_of_range

__all__ = ["Answer", "Difference", "answer_ranges", "differences", "opening"]

_PARTS: Final = 16
"""Into how many parts a range is split. More parts are fewer steps but more bytes for few differences."""
_LONGEST_LIST: Final = 48
"""Members. A range of so many or fewer is listed: their values take about as much as the sums of 16 parts."""
_UNSPLIT_SIZE: Final = 16
"""Bytes that a sum takes at most, for members that started together."""
_SPARE: Final = 40
"""Bytes that news leaves free, so that it can be said that there is more."""


@dataclass(slots=True)
class Difference:
    """One range in which two views differ, as one side sees it."""

    start: bytes
    end: bytes
    span: range
    """Where the range lies in the own index."""
    lacking: Sequence[NodeId] = ()
    """Members here that the other side does not hold so; known only where it listed what it holds."""
    wanted: Sequence[int] = ()
    """Values that the other side listed and this side does not hold."""
    is_listed: bool = False
    asked: Sequence[NodeId] = ()
    """Members here whose records the other side asks for."""


@dataclass(slots=True)
class Answer:
    """Packets being filled, up to a number of bytes in all."""

    budget: int
    packet_room: int
    """Bytes for ranges and news in one packet."""
    packet_cost: int
    """Bytes that each packet takes besides them."""
    packets: list[tuple[list[Range], list[bytes]]] = field(default_factory=list)
    is_cut: bool = False
    """Whether something did not fit."""
    _room: int = 0

    def say(self, start: bytes, each: Range) -> bool:
        """Add what is said of the range from `start` on; ranges ascend. False if it does not fit."""
        if self.packets and self._append(start, each):
            return True
        return self._turn_over(_size(start, each, b"")) and self._append(start, each)

    def tell(self, update: bytes) -> bool:
        """Add news. False if it does not fit; what fits in no packet at all is left to a stream."""
        size = len(update)
        needed = size + _SPARE
        if needed > self.packet_room:
            return True
        if (not self.packets or needed > self._room) and not self._turn_over(needed):
            return False
        self.packets[-1][1].append(update)
        self._take(size)
        return True

    def _append(self, start: bytes, each: Range) -> bool:
        ranges, _ = self.packets[-1]
        before = ranges[-1].end if ranges else b""
        size = _size(start, each, before)
        if size > self._room:
            return False
        if start != before:
            ranges.append(Range(start, RangeKind.SKIP))
        ranges.append(each)
        self._take(size)
        return True

    def _turn_over(self, size: int) -> bool:
        """Begin a packet in which there is so much room."""
        room = min(self.packet_room, self.budget - self.packet_cost)
        if size > room:
            self.is_cut = True
            return False
        self.packets.append(([], []))
        self.budget -= self.packet_cost
        self._room = room
        return True

    def _take(self, size: int) -> None:
        self._room -= size
        self.budget -= size


def _size(start: bytes, each: Range, before: bytes) -> int:
    """Bytes of a range behind another that ends at `before`, with one between them that says nothing if need be."""
    gap = size_of_range(Range(start, RangeKind.SKIP), before) if start != before else 0
    return gap + size_of_range(each, start)


def opening(index: RangeIndex, salt: int) -> list[Range]:
    """What a comparison begins with: the whole view in parts."""
    return [each for _, each in _more_about(index, index.span(b"", b""), b"", b"", salt)]


def differences(index: RangeIndex, ranges: Iterable[Range], salt: int) -> Iterator[Difference]:
    """Where this view differs from what was said of the ranges."""
    start = b""
    for each in ranges:
        span = index.span(start, each.end)
        match each.kind:
            case RangeKind.FINGERPRINT:
                if index.fingerprint(span, salt) != each.values[0]:
                    yield Difference(start, each.end, span)
            case RangeKind.HELD:
                difference = _against_list(index, Difference(start, each.end, span, is_listed=True), each.values, salt)
                if difference.lacking or difference.wanted:
                    yield difference
            case RangeKind.WANTED:
                values, wanted = index.values(span, salt), frozenset(each.values)
                asked = [index.id(at) for at, value in zip(span, values, strict=True) if value in wanted]
                if asked:
                    yield Difference(start, each.end, span, asked=asked)
            case RangeKind.SKIP:
                pass
        start = each.end


def answer_ranges(
    answer: Answer,
    index: RangeIndex,
    found: Sequence[Difference],
    salt: int,
    records_of: Callable[[NodeId], Iterable[bytes]],
) -> None:
    """Say what there is to say about differences, as far as it fits."""
    left = len(found)
    for each in found:
        left -= 1
        if each.asked:
            _tell_all(answer, each.asked, records_of)
        elif each.is_listed:
            if not _tell_all(answer, each.lacking, records_of):
                # The other side asks again with a shorter list, unless nothing is left.
                answer.say(each.start, Range(each.end, RangeKind.FINGERPRINT, (index.fingerprint(each.span, salt),)))
            elif each.wanted:
                answer.say(each.start, Range(each.end, RangeKind.WANTED, tuple(each.wanted)))
        else:
            _say_more(answer, index, each, salt, reserved=left * _UNSPLIT_SIZE)


def _against_list(index: RangeIndex, found: Difference, listed: Sequence[int], salt: int) -> Difference:
    theirs, values = frozenset(listed), index.values(found.span, salt)
    found.lacking = [index.id(at) for at, value in zip(found.span, values, strict=True) if value not in theirs]
    ours = frozenset(values)
    found.wanted = [value for value in listed if value not in ours]
    return found


def _tell_all(answer: Answer, ids: Iterable[NodeId], records_of: Callable[[NodeId], Iterable[bytes]]) -> bool:
    return all(answer.tell(update) for id in ids for update in records_of(id))


def _say_more(answer: Answer, index: RangeIndex, found: Difference, salt: int, reserved: int) -> None:
    """The parts of a range or the list of its members; its sum alone if there is room for no more."""
    pieces = _more_about(index, found.span, found.start, found.end, salt)
    size = sum(size_of_range(each, start) for start, each in pieces)
    if size + reserved > answer.budget:
        pieces = [(found.start, Range(found.end, RangeKind.FINGERPRINT, (index.fingerprint(found.span, salt),)))]
    for start, each in pieces:
        if not answer.say(start, each):
            break


def _more_about(index: RangeIndex, span: range, start: bytes, end: bytes, salt: int) -> list[tuple[bytes, Range]]:
    """What there is to say of a span: its parts, each with its start, or all that it holds."""
    if len(span) <= _LONGEST_LIST:
        return [(start, Range(end, RangeKind.HELD, tuple(index.values(span, salt))))]
    pieces: list[tuple[bytes, Range]] = []
    for part_end, part in index.split(span, _PARTS, end):
        pieces.append((start, Range(part_end, RangeKind.FINGERPRINT, (index.fingerprint(part, salt),))))
        start = part_end
    return pieces
