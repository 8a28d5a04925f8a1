"""The stream exchanges that one transport has under way: each bounded in time, all ended by closing the transport."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from shoal.errors import ClosedError, MessageTooLargeError, ShoalTimeoutError, SilentPeerError, TransportError
from shoal.net.transport import TransportStats
from shoal.types import Address

__all__ = ["WAITING", "Exchange", "ExchangesUnderWay"]

WAITING: Final = "waiting for the reply"
"""The stage of an exchange from when the peer's machine has accepted the connection."""


class Exchange:
    """One try, which says how far it has come."""

    __slots__ = ("stage",)

    def __init__(self) -> None:
        self.stage = "resolving the host name"


class ExchangesUnderWay:
    """Counts exchanges, limits each in size and time, and ends them all on `close`."""

    __slots__ = ("_closed", "_deadlines", "_max_stream", "_stats")

    def __init__(self, max_stream: int, stats: TransportStats) -> None:
        self._max_stream = max_stream
        self._stats = stats
        self._closed = False
        self._deadlines: dict[asyncio.Future[None], asyncio.Timeout] = {}

    @contextlib.asynccontextmanager
    async def begin(self, peer: Address, data: bytes, timeout: float) -> AsyncIterator[Exchange]:
        """Run the body as one exchange. Raises `ClosedError`, `MessageTooLargeError`, `ShoalTimeoutError`."""
        if self._closed:
            raise ClosedError(f"cannot open a stream to {peer}: the transport is closed")
        stats = self._stats
        if len(data) > self._max_stream:
            stats.streams_too_large += 1
            raise MessageTooLargeError(f"the message to {peer}", len(data), self._max_stream, "max_stream")
        exchange = Exchange()
        ended = asyncio.get_running_loop().create_future()
        stats.streams_out += 1
        try:
            async with asyncio.timeout(timeout) as deadline:
                self._deadlines[ended] = deadline
                yield exchange
        except TimeoutError:
            if self._closed:
                raise ClosedError(f"the transport was closed while {exchange.stage} ({peer})") from None
            stats.streams_timed_out += 1
            stats.streams_failed += 1
            kind = SilentPeerError if exchange.stage == WAITING else ShoalTimeoutError
            raise kind(f"the stream to {peer} timed out after {timeout:g} seconds while {exchange.stage}") from None
        except TransportError:
            stats.streams_failed += 1
            raise
        finally:
            self._deadlines.pop(ended, None)
            ended.set_result(None)

    async def close(self) -> None:
        """End every exchange with `ClosedError`; returns when they have ended."""
        self._closed = True
        now = asyncio.get_running_loop().time()
        for deadline in self._deadlines.values():
            deadline.reschedule(now)
        if self._deadlines:
            await asyncio.wait(self._deadlines)
