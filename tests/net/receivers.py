"""Receivers made by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from shoal.types import Address

PATIENCE = 20.0
"""Seconds that a test waits for something that comes at once on a machine that is not overloaded."""


class Recorder:
    """Keeps what arrives; answers streams with `answer`, by default with what came."""

    def __init__(self, answer: Callable[[bytes], bytes | None] = lambda data: data) -> None:
        self.batches: list[list[tuple[bytes, Address]]] = []
        self.streams: list[tuple[bytes, Address]] = []
        self.answer = answer
        self.known: set[Address] = set()
        self._arrived = asyncio.Event()

    @property
    def datagrams(self) -> list[tuple[bytes, Address]]:
        return [datagram for batch in self.batches for datagram in batch]

    def datagrams_received(self, batch: Sequence[tuple[bytes, Address]]) -> None:
        self.batches.append(list(batch))
        self._arrived.set()

    def stream_received(self, data: bytes, source: Address) -> bytes | None:
        self.streams.append((data, source))
        self._arrived.set()
        return self.answer(data)

    def knows(self, address: Address) -> bool:
        return address in self.known

    async def until(self, *, datagrams: int = 0, streams: int = 0) -> None:
        """Wait until so many have arrived."""
        async with asyncio.timeout(PATIENCE):
            while len(self.datagrams) < datagrams or len(self.streams) < streams:
                self._arrived.clear()
                await self._arrived.wait()


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until `condition` holds, where nothing tells when it begins to."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - a counter rises without an event
            await asyncio.sleep(0.001)
