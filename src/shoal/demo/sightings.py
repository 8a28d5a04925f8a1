"""What the agents of a demo tell of each other: sightings, and the views that they add up to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from shoal.types import MemberState

__all__ = ["Seen", "Sight", "Sighting", "View"]


class Sight(StrEnum):
    """What happened to a member in an observer's view; the value is the name of the agent's event."""

    JOINED = "member_joined"
    SUSPECTED = "member_suspected"
    RECOVERED = "member_recovered"
    FAILED = "member_failed"
    LEFT = "member_left"

    @property
    def word(self) -> str:
        """The verb for people, such as "joined"."""
        return self.removeprefix("member_")

    @property
    def state(self) -> MemberState:
        """What the observer holds the member for from then on."""
        return _STATES[self]

    @classmethod
    def of_state(cls, state: MemberState) -> Sight:
        """What must have happened to a member that is met in this state."""
        return _FIRST_SIGHTS[state]


_FIRST_SIGHTS = {
    MemberState.ALIVE: Sight.JOINED,
    MemberState.SUSPECT: Sight.SUSPECTED,
    MemberState.DEAD: Sight.FAILED,
    MemberState.LEFT: Sight.LEFT,
}
_STATES = {sight: state for state, sight in _FIRST_SIGHTS.items()} | {Sight.RECOVERED: MemberState.ALIVE}


@dataclass(frozen=True, slots=True)
class Sighting:
    """One agent reported something of one member."""

    at: float
    """When the report arrived here, in seconds since the demo began: one clock for all observers."""
    observer: str
    sight: Sight
    subject: str
    """The member's name."""
    run: str
    """The member's id, as text; of two runs the newer has the higher one."""
    accusers: tuple[str, ...] = ()
    """Who accused the member, where it is suspected or failed."""
    from_snapshot: bool = False
    """Found in the observer's list of members, and not told as an event."""

    def __str__(self) -> str:
        by = f", accused by {', '.join(self.accusers)}" if self.accusers else ""
        return f"{self.observer} reports {self.subject} {self.sight.word}{by}"


@dataclass(frozen=True, slots=True)
class Seen:
    """A member as an observer holds it."""

    run: str
    state: MemberState
    since: float
    """When this was first reported."""


class View:
    """One observer's view: the newest run of every name, as its sightings tell."""

    def __init__(self) -> None:
        self._members: dict[str, Seen] = {}

    def apply(self, sighting: Sighting) -> bool:
        """Take in a sighting; whether it was news.

        A snapshot and the event stream overlap, so either may repeat what the other told.
        """
        run, state = sighting.run, sighting.sight.state
        held = self._members.get(sighting.subject)
        if held is not None and (run < held.run or (run, state) == (held.run, held.state)):
            return False
        self._members[sighting.subject] = Seen(run, state, sighting.at)
        return True

    def get(self, name: str) -> Seen | None:
        """What is held of the member of that name."""
        return self._members.get(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)
