"""How long until every view of a new cluster is complete: `python -m benchmarks.formation [--nodes N] [--rounds R]`.

All nodes live in this process, on real sockets, and start together against one seed.
"""

from __future__ import annotations

from benchmarks._local_cluster import Figures, formed, main


async def measure(nodes: int) -> Figures:
    """One round: from the start of the first node until each has all in its view."""
    async with formed(nodes) as (_, figures):
        return figures


if __name__ == "__main__":
    main("formation", measure)
