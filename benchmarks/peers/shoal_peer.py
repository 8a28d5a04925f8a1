"""N nodes of shoal, configured by nothing but name, address and seeds; see the package's docstring."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import shoal
from benchmarks.peers._nodes import Implementation
from shoal.keys import ClusterKey

#: The keys of nodes that encrypt.
keys: list[ClusterKey] = []


def open_node(name: str, seeds: list[str], bind: str) -> shoal.Cluster:
    return shoal.Cluster(name=name, bind=bind, seeds=seeds, keys=keys)


def address_of(node: shoal.Cluster) -> str:
    return str(node.local.address)


async def deaths(node: shoal.Cluster) -> AsyncIterator[str]:
    async for event in node.events():
        if isinstance(event, shoal.MemberFailed):
            yield event.member.name


def encrypt() -> None:
    keys.append(ClusterKey(secrets.token_bytes(ClusterKey.SIZE)))


if __name__ == "__main__":
    Implementation("shoal", False, open_node, address_of, deaths=deaths, encrypt=encrypt).main()
