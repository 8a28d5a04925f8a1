"""N nodes of shoal, configured by nothing but name, address and seeds; see the package's docstring."""

from __future__ import annotations

import shoal
from benchmarks.peers._nodes import Implementation


def open_node(name: str, seeds: list[str]) -> shoal.Cluster:
    return shoal.Cluster(name=name, bind="127.0.0.1:0", seeds=seeds)


def address_of(node: shoal.Cluster) -> str:
    return str(node.local.address)


if __name__ == "__main__":
    Implementation("shoal", False, open_node, address_of).main()
