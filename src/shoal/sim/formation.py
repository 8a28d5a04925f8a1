"""Clusters that are there from the start: one view of all members, built once and copied into every core.

Joining, n members exchange n views of n rows; copying columns costs a fraction of that, and all cores share the
members' records.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from functools import lru_cache

from shoal.snapshot import Snapshot
from shoal.state.precedence import pack
from shoal.state.table import MemberTable
from shoal.types import Member, NodeId, NodeInfo
from shoal.wire.messages import SyncRequest
from shoal.wire.native import NativeDialect

__all__ = ["formed_view", "pack_members"]

_NOBODY = NodeId(bytes(16))


def pack_members(
    cluster: str, members: Iterable[Member], published: Callable[[Member], NodeInfo] | None = None
) -> bytes:
    """Members as bytes, which traces can hold: a state sync of the native dialect.

    `published` gives what each said of itself, if that is more than the member tells.
    """
    dialect, held = NativeDialect(cluster), list(members)
    rows = Snapshot(
        array("Q", [pack(member.incarnation, member.state) for member in held]),
        array("d", [0.0] * len(held)),
        list(map(dialect.records.pack, map(published or _info, held))),
    )
    return dialect.encode(SyncRequest(0, 0, _NOBODY, False, [], rows))


@lru_cache(maxsize=1)
def formed_view(cluster: str, members: bytes, since: float) -> MemberTable:
    """The table that holds these members; for the same arguments the same one, to be copied, not changed."""
    dialect = NativeDialect(cluster)
    message, _ = dialect.decode(members)
    assert isinstance(message, SyncRequest)
    table = MemberTable(cluster.encode(), dialect.records)
    for record, belief in zip(message.rows.records, message.rows.beliefs, strict=True):
        table.add(dialect.records.unpack(record), belief, since)
    return table


def _info(member: Member) -> NodeInfo:
    return NodeInfo(member.name, member.id, member.address, member.tags, member.readiness)
