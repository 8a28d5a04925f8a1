"""N nodes of kinship, encrypted as it is by default; see the package's docstring."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import kinship

from benchmarks.peers._nodes import Implementation

KEY = secrets.token_bytes(32)

# By default 16 of a node's 64 inbound streams may come from one address. Here all nodes share one,
# and the joins that the limit refuses would wait for a retry a minute later.
STREAMS_PER_ADDRESS = 64


def open_node(name: str, seeds: list[str], bind: str) -> kinship.Cluster:
    return kinship.Cluster(
        kinship.Config.lan(
            name=name,
            bind=bind,
            seeds=seeds,
            keys=[KEY],
            max_inbound_streams_per_ip=STREAMS_PER_ADDRESS,
        )
    )


def address_of(node: kinship.Cluster) -> str:
    return str(node.local.addr)


async def deaths(node: kinship.Cluster) -> AsyncIterator[str]:
    async for event in node.events():
        if isinstance(event, kinship.MemberDead):
            yield event.member.name


if __name__ == "__main__":
    Implementation("kinship", True, open_node, address_of, deaths=deaths).main()
