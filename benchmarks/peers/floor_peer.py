"""N bare sockets, the floor for any membership written in Python; see the package's docstring.

Each node does the least that failure detection costs, and nothing of a protocol: once a second, from a random moment
on, it sends one datagram as large as a ping to a random other node, which sends one back. Every node has its own
non-blocking socket and its own timer on the one event loop.
"""

from __future__ import annotations

import asyncio
import platform
import random
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from benchmarks.peers._nodes import Implementation

PING, ACK = b"?" * 60, b"!" * 60
INTERVAL = 1.0
READ_SIZE = 65_536

#: Of all nodes of this process, which are each other's targets.
addresses: list[tuple[str, int]] = []


class FloorNode:
    """One socket that is read when it is readable, and one timer."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.setblocking(False)
        self._sock.bind(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._sock.getsockname()
        addresses.append(self.address)
        self._due = self._loop.time() + random.random() * INTERVAL
        self._loop.add_reader(self._sock, self._read)
        self._timer = self._loop.call_at(self._due, self._probe)

    def members(self) -> Sequence[tuple[str, int]]:
        return addresses

    def close(self) -> None:
        self._timer.cancel()
        self._loop.remove_reader(self._sock)
        self._sock.close()

    def _probe(self) -> None:
        self._due += INTERVAL
        self._timer = self._loop.call_at(self._due, self._probe)
        self._sock.sendto(PING, random.choice(addresses))

    def _read(self) -> None:
        data, source = self._sock.recvfrom(READ_SIZE)
        if data == PING:
            self._sock.sendto(ACK, source)


@asynccontextmanager
async def open_node(_name: str, _seeds: list[str], _bind: str) -> AsyncIterator[FloorNode]:
    node = FloorNode()
    try:
        yield node
    finally:
        node.close()


def address_of(node: FloorNode) -> str:
    return f"{node.address[0]}:{node.address[1]}"


if __name__ == "__main__":
    Implementation("floor", False, open_node, address_of, version=platform.python_version()).main()
