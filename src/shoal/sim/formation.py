"""Clusters that are there from the start: one view of all members, built once and copied into every core.

Joining, n members exchange n views of n rows; copying columns costs a fraction of that, and all cores share the
members' records.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from shoal.state.precedence import pack
from shoal.state.table import MemberTable
from shoal.types import Member, NodeId, NodeInfo
from shoal.wire.messages import SyncRecord, SyncRequest
from shoal.wire.native import NativeDialect

__all__ = ["formed_view", "pack_members"]

_NOBODY = NodeId(bytes(16))


def pack_members(cluster: str, members: Iterable[Member]) -> bytes:
    """Members as bytes, which traces can hold: a state sync of the native dialect."""
    records = [SyncRecord(_info(member), member.state, member.incarnation, age=0.0) for member in members]
    return NativeDialect(cluster).encode(SyncRequest(0, 0, _NOBODY, [], records))


@lru_cache(maxsize=1)
def formed_view(cluster: str, members: bytes, since: float) -> MemberTable:
    """The table that holds these members; for the same arguments the same one, to be copied, not changed."""
    dialect = NativeDialect(cluster)
    message, _ = dialect.decode(members)
    assert isinstance(message, SyncRequest)
    table = MemberTable(cluster.encode(), dialect.records)
    for record in message.records:
        table.add(record.info, pack(record.incarnation, record.state), since)
    return table


def _info(member: Member) -> NodeInfo:
    return NodeInfo(member.name, member.id, member.address, member.tags, member.readiness)
