"""What a member knows when the cluster comes apart: who was there, and who still reaches whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from shoal.types import NodeId, NodeInfo

__all__ = ["Sides", "Situation"]

Link = tuple[NodeId, NodeId]
"""An observer and a member that it does not reach."""


@dataclass(frozen=True, slots=True)
class Situation:
    """The last members that all agreed on, and the links between them that are known to be broken."""

    own: NodeId
    """Who asks; one of the members."""
    members: tuple[NodeInfo, ...]
    """Everybody who was there before, the lost included."""
    broken: frozenset[Link] = frozenset()
    """A link that is broken in one direction counts as broken."""

    @classmethod
    def of_lost(cls, own: NodeId, members: Iterable[NodeInfo], lost: Iterable[NodeId]) -> Situation:
        """A clean cut, as one member sees it: nobody here reaches any of the lost."""
        members, lost = tuple(members), frozenset(lost)
        here = [info.id for info in members if info.id not in lost]
        return cls(own, members, frozenset((observer, subject) for observer in here for subject in lost))

    def sides(self) -> Sides:
        """Who is on our side of it."""
        broken = {frozenset(link) for link in self.broken}
        ids = {info.id for info in self.members}
        here, reached = {self.own}, [self.own]
        while reached:
            one = reached.pop()
            further = [id for id in ids - here if frozenset((one, id)) not in broken]
            here.update(further)
            reached += further
        indirect = {id for link in broken if link <= here for id in link}
        by_id: Mapping[NodeId, NodeInfo] = {info.id: info for info in self.members}
        return Sides(
            own=self.own,
            here=tuple(by_id[id] for id in sorted(here - indirect)),
            lost=tuple(by_id[id] for id in sorted(ids - here)),
            indirect=tuple(by_id[id] for id in sorted(indirect)),
        )


@dataclass(frozen=True, slots=True)
class Sides:
    """The members of a situation, sorted; each group is in the order of ids, which is that of age."""

    own: NodeId
    here: tuple[NodeInfo, ...]
    """They all reach each other; not us, if we are indirect."""
    lost: tuple[NodeInfo, ...]
    """Nobody on our side reaches them."""
    indirect: tuple[NodeInfo, ...]
    """Some on our side reach them, others do not: they could hold either side's opinion, and neither may count them."""
