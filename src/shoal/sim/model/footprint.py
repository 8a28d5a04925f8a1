"""How many bytes a member takes, measured on a sample of members with short names and no tags."""

from __future__ import annotations

import gc
import tracemalloc
from dataclasses import dataclass
from random import Random
from sys import getsizeof
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
    tracemalloc.start()
    try:
        formed_view(cluster, members, 0.0)
        _traced()
        formed_view(cluster, members, 0.0)  # From the second on, the tables of this process share their records.
        before = _traced()
        view = formed_view(cluster, members, 0.0)
        after = _traced()
    finally:
        tracemalloc.stop()
        formed_view.cache_clear()
    records = sum(getsizeof(view.record_of(view.id(slot))) for slot in view.ring)
    return Footprint((after - before + records) / len(view), len(members) / len(view))


def _traced() -> int:
    formed_view.cache_clear()
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def _member(number: int) -> Member:
    high, low = divmod(number + 1, 256)
    address = Address(f"10.0.{high}.{low}", 7946)
    id = NodeId.mint(number, Random(number))
    return Member(f"gpu-{number:06}", id, address, MemberState.ALIVE, 0, Tags(), 0.0)
