"""Which side of a partition lives on: pure functions of the situation, one per strategy.

Every member asks for itself, with what it knows, and no two sides get the same answer `STAY`, as long as each side's
members know the same. Members that some on their side reach and others do not are told to stand down in any case, and
count for neither side.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Final, Protocol

from shoal.events import PartitionDecision, PartitionRuling
from shoal.swim.partition.situation import Situation
from shoal.types import NodeInfo, Tags

__all__ = [
    "DownAll",
    "KeepMajority",
    "KeepOldest",
    "KeepReferee",
    "Leaseholder",
    "StaticQuorum",
    "Strategy",
    "decide",
]

MINORITY_WAIT: Final = 2.0
"""Seconds that the smaller side waits before it asks for the lease, so that the larger one gets it."""


class Strategy(Protocol):
    """A way to choose the side that lives on."""

    name: ClassVar[str]

    @property
    def role(self) -> Tags:
        """Only members with these tags count; all of a side follow the ruling."""
        ...

    def rule(self, here: tuple[NodeInfo, ...], lost: tuple[NodeInfo, ...]) -> tuple[PartitionRuling, str]:
        """The ruling for those `here`, who lost sight of `lost`; both hold only members that count, not all empty."""
        ...


def decide(strategy: Strategy, situation: Situation) -> PartitionDecision:
    """What the strategy says to the member that the situation is seen by."""
    sides = situation.sides()
    if any(info.id == sides.own for info in sides.indirect):
        why = "some members on this side reach this one and others do not"
        return PartitionDecision(strategy.name, PartitionRuling.STAND_DOWN, why)
    here, lost = _counted(strategy, sides.here), _counted(strategy, sides.lost)
    if not here and not lost:
        return PartitionDecision(
            strategy.name, PartitionRuling.STAND_DOWN, f"no member has the tags {dict(strategy.role)}"
        )
    ruling, why = strategy.rule(here, lost)
    wait = MINORITY_WAIT if ruling is PartitionRuling.ASK_LEASE and not _is_larger(here, lost) else 0.0
    survivors = frozenset() if ruling is PartitionRuling.STAND_DOWN else frozenset(info.id for info in sides.here)
    return PartitionDecision(strategy.name, ruling, why, survivors, wait)


def _counted(strategy: Strategy, members: tuple[NodeInfo, ...]) -> tuple[NodeInfo, ...]:
    role = strategy.role
    return tuple(info for info in members if all(info.tags.get(key) == value for key, value in role.items()))


def _is_larger(here: tuple[NodeInfo, ...], lost: tuple[NodeInfo, ...]) -> bool:
    """Whether those here are more than the lost, or as many with the lowest address among them."""
    if len(here) != len(lost):
        return len(here) > len(lost)
    return min(info.address for info in here) < min(info.address for info in lost)


def _share(here: tuple[NodeInfo, ...], lost: tuple[NodeInfo, ...]) -> str:
    return f"{len(here)} of {len(here) + len(lost)} members are on this side"


@dataclass(frozen=True, slots=True)
class KeepMajority:
    """The larger side lives on; of two equal ones that with the lowest address. Of many small sides none may."""

    name: ClassVar[str] = "keep-majority"
    role: Tags = field(default=Tags())

    def rule(self, here: tuple[NodeInfo, ...], lost: tuple[NodeInfo, ...]) -> tuple[PartitionRuling, str]:  # noqa: D102
        share = _share(here, lost)
        if not _is_larger(here, lost):
            tie = ", and the lowest address on the other" if len(here) == len(lost) else ""
            return PartitionRuling.STAND_DOWN, share + tie
        return PartitionRuling.STAY, share + (" with the lowest address" if len(here) == len(lost) else "")


@dataclass(frozen=True, slots=True)
class StaticQuorum:
    """Whichever side has `quorum` members lives on; a group of twice that or more could have two, so none does."""

    name: ClassVar[str] = "static-quorum"
    quorum: int
    """At least 1."""
    role: Tags = field(default=Tags())

    def rule(self, here: tuple[NodeInfo, ...], lost: tuple[NodeInfo, ...]) -> tuple[PartitionRuling, str]:  # noqa: D102
        members = len(here) + len(lost)
        if members >= 2 * self.quorum:
            return (
                PartitionRuling.STAND_DOWN,
                f"a quorum of {self.quorum} is too small for {members} members: two sides have it",
            )
        is_enough = len(here) >= self.quorum
        return (
            PartitionRuling.STAY if is_enough else PartitionRuling.STAND_DOWN,
            f"{_share(here, lost)}, the quorum is {self.quorum}",
        )


@dataclass(frozen=True, slots=True)
class KeepOldest:
    """The side with the member that has run longest lives on."""

    name: ClassVar[str] = "keep-oldest"
    down_if_alone: bool = True
    """The oldest gives way if it is cut off alone from two others or more."""
    role: Tags = field(default=Tags())

    def rule(self, here: tuple[NodeInfo, ...], lost: tuple[NodeInfo, ...]) -> tuple[PartitionRuling, str]:  # noqa: D102
        oldest = min((*here, *lost), key=lambda info: info.id)
        is_here = oldest in here
        its_side, other_side = (here, lost) if is_here else (lost, here)
        if self.down_if_alone and len(its_side) == 1 and len(other_side) > 1:
            ruling = PartitionRuling.STAND_DOWN if is_here else PartitionRuling.STAY
            return ruling, f"{oldest.name} is the oldest, and alone"
        where = "on this side" if is_here else "on the other side"
        return (
            PartitionRuling.STAY if is_here else PartitionRuling.STAND_DOWN,
            f"{oldest.name} is the oldest, and {where}",
        )


@dataclass(frozen=True, slots=True)
class KeepReferee:
    """The side with one member of a given name lives on."""

    name: ClassVar[str] = "keep-referee"
    referee: str
    role: Tags = field(default=Tags())

    def rule(self, here: tuple[NodeInfo, ...], _lost: tuple[NodeInfo, ...]) -> tuple[PartitionRuling, str]:  # noqa: D102
        if any(info.name == self.referee for info in here):
            return PartitionRuling.STAY, f"{self.referee} is on this side"
        return PartitionRuling.STAND_DOWN, f"{self.referee} is not on this side"


@dataclass(frozen=True, slots=True)
class DownAll:
    """Nobody lives on: for those who start everything anew."""

    name: ClassVar[str] = "down-all"
    role: Tags = field(default=Tags())

    def rule(self, here: tuple[NodeInfo, ...], lost: tuple[NodeInfo, ...]) -> tuple[PartitionRuling, str]:  # noqa: D102
        return PartitionRuling.STAND_DOWN, f"{_share(here, lost)}, and all are to end"


@dataclass(frozen=True, slots=True)
class Leaseholder:
    """Whoever gets a lease from a third party lives on; the larger side asks first."""

    name: ClassVar[str] = "lease"
    role: Tags = field(default=Tags())

    def rule(self, here: tuple[NodeInfo, ...], lost: tuple[NodeInfo, ...]) -> tuple[PartitionRuling, str]:  # noqa: D102
        if not here:
            return PartitionRuling.STAND_DOWN, "no member that counts is on this side"
        return PartitionRuling.ASK_LEASE, _share(here, lost)
