"""What the nodes of one worker saw happen to others."""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterable, Sequence

from shoal.bench.plan import name_of
from shoal.events import Event, MemberFailed, MemberSuspected

__all__ = ["Observed"]


class Observed:
    """Sorts verdicts into those on nodes that were killed and those on nodes that run."""

    def __init__(self) -> None:
        self.false_suspicions = 0
        self.false_deaths = 0
        self.falsely_suspected: set[str] = set()
        self.falsely_dead: set[str] = set()
        self._numbers: dict[str, int] = {}
        self.verdicts: dict[int, array[float]] = {}
        """When observers came to hold each killed node dead, in monotonic seconds."""

    def expect(self, victims: Iterable[int]) -> None:
        """These nodes are about to be killed."""
        for number in victims:
            self._numbers[name_of(number)] = number
            self.verdicts[number] = array("d")

    @property
    def verdict_count(self) -> int:
        """How many verdicts on killed nodes there were."""
        return sum(map(len, self.verdicts.values()))

    def note(self, events: Sequence[Event]) -> None:
        """Some events of one node, just after they happened."""
        for event in events:
            match event:
                case MemberSuspected(member) if member.name not in self._numbers:
                    self.false_suspicions += 1
                    self.falsely_suspected.add(member.name)
                case MemberFailed(member):
                    number = self._numbers.get(member.name)
                    if number is None:
                        self.false_deaths += 1
                        self.falsely_dead.add(member.name)
                    else:
                        self.verdicts[number].append(time.monotonic())
