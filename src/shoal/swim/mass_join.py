"""Members that joined, told one by one only if somebody listens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shoal.events import MemberJoined
from shoal.records import RecordCodec
from shoal.state.precedence import incarnation_of
from shoal.types import Member, MemberState

__all__ = ["MassJoin"]


@dataclass(frozen=True, slots=True)
class MassJoin:
    """Stands for a `MemberJoined` of each row; to make these costs several times as much as to take the rows in."""

    records: Sequence[bytes]
    beliefs: Sequence[int]
    since: float
    codec: RecordCodec

    def __iter__(self) -> Iterator[MemberJoined]:
        for record, belief in zip(self.records, self.beliefs, strict=True):
            info = self.codec.unpack(record)
            yield MemberJoined(
                Member(
                    name=info.name,
                    id=info.id,
                    address=info.address,
                    state=MemberState.ALIVE,
                    incarnation=incarnation_of(belief),
                    tags=info.tags,
                    since=self.since,
                    readiness=info.readiness,
                )
            )
