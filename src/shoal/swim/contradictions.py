"""What a node knows better than a peer that just told it something.

Digests count present members only, so views are compared by them alone; that one of two sides holds a member gone shows
when the other tells of it. Beliefs only rise, so telling back what is known better has an end.
"""

from __future__ import annotations

from shoal.state.precedence import state_of, supersedes
from shoal.state.table import MemberTable
from shoal.types import NodeId

__all__ = ["contradicting_slot"]


def contradicting_slot(table: MemberTable, id: NodeId, belief: int, name: str | None) -> int | None:
    """The row that a peer must hear of which told of a run, by `name` if it said one; None if there is none.

    That is the row of the run itself, where this node holds it gone and the peer present, or the other way round; or
    of a newer run of its name that came and went without the peer. Call it when the news was taken in already.
    """
    slot = table.slot_of(id)
    if slot is not None:
        differs = table.state(slot).is_present is not state_of(belief).is_present
        return slot if differs and supersedes(table.belief(slot), belief) else None
    slot = None if name is None else table.slot_named(name)
    if slot is None or table.state(slot).is_present or table.id(slot) < id:
        return None
    return slot
