"""The last verdicts about each member, for whoever asks later why it was suspected or held stalled or dead.

They are kept by name, so that what became of a run can still be read when the next one has taken its place, and for as
long as the name is in the table.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Final

from shoal.events import HealthReason, Verdict, Withheld
from shoal.types import NodeId, Note

__all__ = ["Verdicts"]

_MAX_PER_MEMBER: Final = 4
_MAX_MEMBERS: Final = 1024
"""When more have verdicts, those whose last verdict is the oldest are forgotten first: a few megabytes at most."""


class Verdicts:
    """What was passed and what was withheld; bounded per member and in all."""

    __slots__ = ("_passed", "_withheld")

    def __init__(self) -> None:
        #: The member whose last verdict is the oldest comes first.
        self._passed: dict[str, tuple[Verdict, ...]] = {}
        self._withheld: dict[NodeId, Counter[HealthReason]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._passed.values()))

    def take_stock(self, note: Note, members: int) -> None:
        """Note what it keeps, with so many rows in the table."""
        most = min(_MAX_MEMBERS, members)
        note("members with verdicts", len(self._passed), most)
        note("verdicts on one member", max(map(len, self._passed.values()), default=0), _MAX_PER_MEMBER)
        note("members with verdicts withheld", len(self._withheld), most)

    def of(self, name: str) -> tuple[Verdict, ...]:
        """The last verdicts about a member, the oldest first."""
        return self._passed.get(name, ())

    def add(self, verdict: Verdict) -> None:
        """A verdict was passed."""
        name = verdict.member.name
        earlier = self._passed.pop(name, ())
        self._passed[name] = (*earlier, verdict)[-_MAX_PER_MEMBER:]
        if len(self._passed) > _MAX_MEMBERS:
            del self._passed[next(iter(self._passed))]

    def note_refuted(self, name: str, id: NodeId, now: float) -> None:
        """That run refuted the last verdict about it, if that stands."""
        passed = self._passed.get(name)
        if passed and passed[-1].member.id == id and passed[-1].refuted_at is None:
            self._passed[name] = (*passed[:-1], replace(passed[-1], refuted_at=now))

    def forget(self, name: str) -> None:
        """The name went from the table."""
        self._passed.pop(name, None)

    def withhold(self, id: NodeId, reason: HealthReason) -> None:
        """A verdict was not passed, because the fault may be our own."""
        self._withheld.setdefault(id, Counter())[reason] += 1
        if len(self._withheld) > _MAX_MEMBERS:
            del self._withheld[next(iter(self._withheld))]

    def withheld_from(self, id: NodeId) -> tuple[Withheld, ...]:
        """How often the verdict on a run was withheld since `settle`, by reason."""
        counts = self._withheld.get(id)
        return () if counts is None else tuple(Withheld(reason, count) for reason, count in counts.items())

    def settle(self, id: NodeId) -> None:
        """The run gave an answer, or the verdict on it fell."""
        self._withheld.pop(id, None)
