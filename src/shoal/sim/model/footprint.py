"""How many bytes a member takes, measured on a sample of members with short names and no tags."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass
from random import Random
from typing import Final

from shoal.sim.formation import formed_view, pack_members
from shoal.types import Address, Member, MemberState, NodeId, Tags

__all__ = ["Footprint", "measured_footprint"]

_SAMPLE: Final = 4000


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes for one member."""

    in_table: float
    """In the table of a node that shares nothing with others."""
    in_snapshot: float
    """In the view that a joiner gets, uncompressed."""


def measured_footprint(cluster: str) -> Footprint:
    """Build the table of a sample, and encode it."""
    members = pack_members(cluster, map(_member, range(_SAMPLE)))
    formed_view.cache_clear()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        view = formed_view(cluster, members, 0.0)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        formed_view.cache_clear()
    return Footprint((after - before) / len(view), len(members) / len(view))


def _member(number: int) -> Member:
    high, low = divmod(number + 1, 256)
    address = Address(f"10.0.{high}.{low}", 7946)
    id = NodeId.mint(number, Random(number))
    return Member(f"gpu-{number:06}", id, address, MemberState.ALIVE, 0, Tags(), 0.0)
