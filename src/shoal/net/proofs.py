"""Has senders that are new to a restarted node prove that they run now, and holds what they sent meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from math import inf
from typing import Final

from shoal.types import Address

__all__ = ["Proofs"]

_RETRY: Final = 2.0
"""Seconds until a sender that did not answer, or whose answer proved nothing, is asked again."""
_TIMEOUT: Final = 2.0
_AT_ONCE: Final = 16
_HELD: Final = 16
"""Datagrams that are held for each sender that is asked."""
_REMEMBERED: Final = 1024
"""Addresses that are remembered."""


class Proofs:
    """Asks by `prove`, which gets what is held of the sender, and has `take` look again at what it did not drop."""

    __slots__ = ("_held", "_not_before", "_prove", "_take", "_tasks")

    def __init__(
        self,
        prove: Callable[[Address, Sequence[bytes], float], Awaitable[bool]],
        take: Callable[[Sequence[tuple[bytes, Address]]], None],
    ) -> None:
        self._prove = prove
        self._take = take
        self._held: dict[Address, list[bytes]] = {}
        self._not_before: dict[Address, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def hold(self, data: bytes, source: Address) -> bool:
        """Whether a datagram is held while its sender, which has proved nothing yet, is asked to."""
        held = self._held.get(source)
        if held is not None:
            if len(held) < _HELD:
                held.append(data)
                return True
            return False
        loop = asyncio.get_running_loop()
        now = loop.time()
        if now < self._not_before.get(source, -inf) or len(self._tasks) >= _AT_ONCE:
            return False
        if len(self._not_before) >= _REMEMBERED:
            self._not_before.clear()
        self._not_before[source] = now + _RETRY
        self._held[source] = [data]
        task = loop.create_task(self._ask(source), name=f"shoal proof of {source}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def close(self) -> None:
        """Ask no more; may be called again."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _ask(self, source: Address) -> None:
        held = self._held[source]
        try:
            is_proved = await self._prove(source, held, _TIMEOUT)
        finally:
            del self._held[source]
        if is_proved:
            self._take([(data, source) for data in held])
