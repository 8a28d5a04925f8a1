"""TCP streams that carry one message each way: a length of four bytes, big-endian, then the message.

A connection is an `asyncio.Protocol` with one timer; no task is made for each but those that come many at a time.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import cast

from shoal.config import ClusterConfig
from shoal.errors import ReceiveError, RefusedError, SendError
from shoal.net.admission import Buckets
from shoal.net.exchanges import WAITING, ExchangesUnderWay
from shoal.net.failures import reason
from shoal.net.resolver import Resolver
from shoal.net.transport import Receiver, TransportStats
from shoal.types import Address

__all__ = ["BACKLOG", "StreamClient", "StreamServer"]

BACKLOG = 256
"""Connections that the kernel keeps waiting; a join storm beyond it is told to try again by TCP itself."""

_LENGTH = 4
_MESSAGES_HELD = 2
"""All incoming streams together hold no more bytes than so many of the largest messages."""

_log = logging.getLogger("shoal.net")


def _frame(message: bytes) -> bytes:
    return len(message).to_bytes(_LENGTH) + message


class _Connection(asyncio.Protocol):
    """Gathers the one message that comes over a connection.

    The buffer grows with what has arrived, never with what was announced: a length costs its sender the bytes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._end: int | None = None
        self._transport: asyncio.Transport
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(None)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        if self._end is None:
            if len(buffer) < _LENGTH:
                return
            size = int.from_bytes(buffer[:_LENGTH])
            if size > self._limit:
                self._too_large(size)
                return
            self._end = _LENGTH + size
        if len(buffer) >= self._end:
            self._transport.pause_reading()  # one message is all that a stream carries
            message = bytes(memoryview(buffer)[_LENGTH : self._end])
            self._buffer = bytearray()
            self._received(message)

    def abort(self) -> None:
        """Close at once, whatever is still to be sent."""
        self._transport.abort()

    def _received(self, message: bytes) -> None:
        raise NotImplementedError

    def _too_large(self, size: int) -> None:
        raise NotImplementedError


class _Incoming(_Connection):
    """Answers one message."""

    def __init__(self, server: StreamServer) -> None:
        super().__init__(server.config.max_stream)
        self._server = server
        self._source = Address("", 0)
        self._timer: asyncio.TimerHandle | None = None
        self._failed = True  # until it is answered
        self._held = 0
        self.opened_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        server = self._server
        peer = transport.get_extra_info("peername")
        if peer is not None:  # it is gone already otherwise, and connection_lost follows
            self._source = Address(*peer[:2])
        self.opened_at = time.monotonic()
        server.accept_waiting()
        if not server.admit(self):
            server.stats.streams_refused += 1
            self._failed = False
            self.abort()
            return
        server.stats.streams_in += 1
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(server.config.stream_timeout, self._time_out)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._server.release(self)
        self._hold(0)
        if self._timer is not None:
            self._timer.cancel()
        if self._failed:
            self._server.stats.streams_failed += 1
            _log.debug("the stream from %s ended without an answer", self._source)

    @property
    def host(self) -> str:
        """Of the other side."""
        return self._source.host

    def data_received(self, data: bytes) -> None:
        if self._hold(self._held + len(data)):
            super().data_received(data)
        else:
            self._over_memory()

    def _hold(self, size: int) -> bool:
        """Hold so many bytes from now on; False if that is too much, together with all other connections."""
        server = self._server
        server.held += size - self._held
        self._held = size
        return server.held <= _MESSAGES_HELD * server.config.max_stream

    def _received(self, message: bytes) -> None:
        server = self._server
        server.stats.stream_bytes_in += len(message)
        reply = server.receiver.stream_received(message, self._source)
        if reply is not None and len(reply) > self._limit:
            server.stats.streams_too_large += 1
            _log.warning(
                "the reply to %s has %d bytes, the limit is %d (max_stream): closing without a reply",
                self._source,
                len(reply),
                self._limit,
            )
        else:
            self._failed = False
            if reply is not None:
                server.stats.stream_bytes_out += len(reply)
                self._transport.write(_frame(reply))
        # What the other side does not read at once waits here.
        if self._hold(self._transport.get_write_buffer_size()):
            self._transport.close()
        else:
            self._over_memory()

    def _too_large(self, size: int) -> None:
        self._server.stats.streams_too_large += 1
        _log.debug("%s announces %d bytes, the limit is %d (max_stream)", self._source, size, self._limit)
        self.abort()

    def _over_memory(self) -> None:
        self._server.stats.streams_over_memory += 1
        _log.debug("all streams together hold too much: closing the one from %s", self._source)
        self.abort()

    def _time_out(self) -> None:
        self._server.stats.streams_timed_out += 1
        _log.debug("the stream from %s timed out", self._source)
        self.abort()


class StreamServer:
    """Accepts streams on a listening socket and answers each through the receiver.

    Bounded by `max_streams_in`, `max_stream` and `stream_timeout`, and for each host by `max_streams_per_source` and
    `source_streams`. Where there is no room the oldest connection gives way, once it has had `stream_grace`: whoever
    holds connections open without using them keeps nobody out.
    """

    def __init__(self, config: ClusterConfig, receiver: Receiver, stats: TransportStats) -> None:
        self.config = config
        self.receiver = receiver
        self.stats = stats
        self.connections: dict[_Incoming, None] = {}
        """Open ones, the oldest first."""
        self.held = 0
        """Bytes received and not read, or written and not sent."""
        self.is_closed = False
        self._server: asyncio.Server | None = None
        self._sock: socket.socket
        self._accepting: set[asyncio.Task[object]] = set()
        self._open_of: Counter[str] = Counter()
        self._rates: Buckets[str] = Buckets()

    async def start(self, sock: socket.socket) -> None:
        """Accept on `sock`, which this server owns from now on."""
        loop = asyncio.get_running_loop()
        self._sock = sock
        self._server = await loop.create_server(partial(_Incoming, self), sock=sock, backlog=BACKLOG)

    def accept_waiting(self) -> None:
        """Accept all that wait for it.

        A uvloop accepts one connection in a turn, and where turns are long a thousand followers wait too long.
        """
        if self.is_closed or sys.platform == "win32":  # There the loop has asked the system for the next one already.
            return
        loop = asyncio.get_running_loop()
        for _ in range(BACKLOG):
            try:
                sock, _address = self._sock.accept()
            except OSError:  # None waits, or what is wrong the loop's own accepting says.
                return
            sock.setblocking(False)
            task = loop.create_task(_hand_on(loop, partial(_Incoming, self), sock), name="shoal accepted stream")
            self._accepting.add(task)
            task.add_done_callback(self._accepting.discard)

    def admit(self, connection: _Incoming) -> bool:
        """Whether there is room for a new connection; an old one may be closed for it."""
        if self.is_closed:
            return False
        config, host, now = self.config, connection.host, connection.opened_at
        is_crowding = False
        if config.limit_sources:
            if not self._rates.take(host, 1 / config.source_streams, now):
                return False
            is_crowding = self._open_of[host] >= config.max_streams_per_source
        if is_crowding or len(self.connections) >= config.max_streams_in:
            rivals = (each for each in self.connections if not is_crowding or each.host == host)
            oldest = next(rivals)
            if now - oldest.opened_at < config.stream_grace:
                return False
            self.stats.streams_displaced += 1
            self.release(oldest)
            oldest.abort()
        self.connections[connection] = None
        self._open_of[host] += 1
        return True

    def release(self, connection: _Incoming) -> None:
        """A connection has ended, or is about to: its place is free."""
        if connection not in self.connections:
            return
        del self.connections[connection]
        host = connection.host
        self._open_of[host] -= 1
        if not self._open_of[host]:
            del self._open_of[host]

    async def close(self) -> None:
        """Stop accepting and end what is open; may be called again."""
        self.is_closed = True
        if self._server is None:
            return
        try:
            await self._accept_no_more(self._server)
        finally:
            self._server.close()
        if self._accepting:
            await asyncio.wait(self._accepting)
        connections = list(self.connections)
        for connection in connections:
            connection.abort()
        lost = [connection.lost for connection in connections]
        if lost:
            await asyncio.wait(lost)
        await self._server.wait_closed()

    @staticmethod
    async def _accept_no_more(server: asyncio.Server) -> None:
        """Let what was accepted already reach `admit`, which refuses it.

        A connection that asyncio has accepted and not handed on yet when its server closes is left open, until garbage
        is collected (CPython 3.11).
        """
        loop = asyncio.get_running_loop()
        with suppress(NotImplementedError):  # where loops watch no sockets, the server does not either
            for sock in server.sockets:
                loop.remove_reader(sock.fileno())
        await asyncio.sleep(0)


async def _hand_on(loop: asyncio.AbstractEventLoop, make: Callable[[], asyncio.Protocol], sock: socket.socket) -> None:
    try:
        await loop.connect_accepted_socket(make, sock)
    except OSError as error:
        sock.close()
        _log.debug("a stream that was accepted is gone: %s", reason(error))


class _Outgoing(_Connection):
    """Waits for the reply of `peer`."""

    def __init__(self, limit: int, peer: Address, stats: TransportStats) -> None:
        super().__init__(limit)
        self._peer = peer
        self._stats = stats
        self.reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def send(self, message: bytes) -> None:
        """Write the one message of this side."""
        self._stats.stream_bytes_out += len(message)
        self._transport.write(_frame(message))

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        why = reason(exc) if exc is not None else "it closed the stream"
        self._fail(f"{self._peer} did not reply: {why}")

    def _received(self, message: bytes) -> None:
        self._stats.stream_bytes_in += len(message)
        if not self.reply.done():
            self.reply.set_result(message)

    def _too_large(self, size: int) -> None:
        self._stats.streams_too_large += 1
        self._fail(f"the reply of {self._peer} has {size} bytes, the limit is {self._limit} (max_stream)")

    def _fail(self, problem: str) -> None:
        if not self.reply.done():
            self.reply.set_exception(ReceiveError(problem))


class StreamClient:
    """Opens streams: one message out, one reply in, closed.

    `make_socket` makes the socket to connect from. How many are open at once is the caller's to limit.
    """

    def __init__(
        self,
        config: ClusterConfig,
        resolver: Resolver,
        make_socket: Callable[[], socket.socket],
        stats: TransportStats,
    ) -> None:
        self._limit = config.max_stream
        self._resolver = resolver
        self._make_socket = make_socket
        self._stats = stats
        self._under_way = ExchangesUnderWay(config.max_stream, stats)

    async def exchange(self, address: Address, data: bytes, timeout: float) -> bytes:
        """As `Transport.exchange`."""
        async with self._under_way.begin(address, data, timeout) as exchange:
            host = await self._resolver.resolve(address.host)
            exchange.stage = "connecting"
            connection = await self._connect(address, host)
            exchange.stage = WAITING
            try:
                connection.send(data)
                return await connection.reply
            finally:
                connection.abort()
                await asyncio.wait([connection.lost])  # which, unlike awaiting it, a cancellation leaves alone

    async def close(self) -> None:
        """End what is under way; may be called again."""
        await self._under_way.close()

    async def _connect(self, address: Address, host: str) -> _Outgoing:
        loop = asyncio.get_running_loop()
        try:
            sock = self._make_socket()
            try:
                await loop.sock_connect(sock, (host, address.port))
                make = partial(_Outgoing, self._limit, address, self._stats)
                _, connection = await loop.create_connection(make, sock=sock)
            except BaseException:
                sock.close()
                raise
        except (OSError, OverflowError) as error:
            kind = RefusedError if isinstance(error, ConnectionRefusedError) else SendError
            raise kind(f"cannot connect to {address}: {reason(error)}") from error
        return connection
