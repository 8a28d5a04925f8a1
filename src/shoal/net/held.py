"""Datagrams to host names, held back until the name is resolved."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from shoal.errors import ClosedError, ResolutionError
from shoal.net.resolver import Resolver
from shoal.net.transport import TransportStats
from shoal.types import Address

__all__ = ["HELD_NAMES", "HELD_PER_NAME", "HeldDatagrams"]

HELD_PER_NAME = 8
"""Datagrams that wait for one name; further ones are dropped: the protocol sends again anyway."""
HELD_NAMES = 64
"""Names that datagrams wait for at once."""

_log = logging.getLogger("shoal.net")


class HeldDatagrams:
    """Passes datagrams on to `send` with a numeric address; one task for each name that is being resolved."""

    __slots__ = ("_closed", "_held", "_resolver", "_send", "_stats", "_tasks")

    def __init__(self, resolver: Resolver, send: Callable[[bytes, Address], None], stats: TransportStats) -> None:
        self._resolver = resolver
        self._send = send
        self._stats = stats
        self._held: dict[str, list[tuple[bytes, int]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def send(self, data: bytes, address: Address) -> None:
        """Send now if the name is known, soon if it can be resolved, else drop and count."""
        if self._closed:
            raise ClosedError(f"cannot send to {address}: the transport is closed")
        try:
            host = self._resolver.known(address.host)
        except ResolutionError as error:
            self._drop(1, error)
        else:
            if host is None:
                self._hold(data, address)
            else:
                self._send(data, Address(host, address.port))

    async def close(self) -> None:
        """Forget everything that waits; may be called again."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._held.clear()

    def _hold(self, data: bytes, address: Address) -> None:
        name = address.host
        held = self._held.get(name)
        if held is None:
            if len(self._held) >= HELD_NAMES:
                self._drop(1, f"datagrams wait for {HELD_NAMES} other names already")
                return
            held = self._held[name] = []
            task = asyncio.get_running_loop().create_task(self._release(name), name=f"shoal datagrams to {name}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if len(held) < HELD_PER_NAME:
            held.append((data, address.port))
        else:
            self._drop(1, f"{HELD_PER_NAME} datagrams wait for {name} already")

    async def _release(self, name: str) -> None:
        try:
            host = await self._resolver.resolve(name)
        except ResolutionError as error:
            self._drop(len(self._held.pop(name)), error)
        else:
            for data, port in self._held.pop(name):
                self._send(data, Address(host, port))

    def _drop(self, count: int, why: object) -> None:
        self._stats.send_unresolved += count
        _log.debug("dropped %d datagrams: %s", count, why)
