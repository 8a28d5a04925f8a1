"""The transport over the system's sockets: UDP for datagrams and TCP for streams, on one port."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from dataclasses import dataclass
from functools import partial

from shoal.config import ClusterConfig
from shoal.errors import AlreadyStartedError, ClosedError, NotStartedError, ResolutionError
from shoal.net.admission import Admission
from shoal.net.binding import bind_pair, client_socket, family_of
from shoal.net.failures import reason
from shoal.net.held import HeldDatagrams
from shoal.net.resolver import LookUp, Resolver, is_name, look_up
from shoal.net.streams import StreamClient, StreamServer
from shoal.net.transport import Receiver, TransportStats
from shoal.net.udp import DatagramSocket
from shoal.types import Address

__all__ = ["SocketTransport"]


@dataclass(frozen=True, slots=True)
class _Parts:
    """What exists from `bind` on."""

    address: Address
    datagrams: DatagramSocket
    held: HeldDatagrams
    listener: socket.socket
    client: StreamClient


class SocketTransport:
    """A `Transport` on `config.bind`, IPv4 or IPv6 as that address is.

    `look_up` resolves host names; by default the system does.
    """

    __slots__ = ("_closed", "_closing", "_config", "_look_up", "_open", "_parts", "_started", "_stats")

    def __init__(self, config: ClusterConfig, *, look_up: LookUp = look_up) -> None:
        self._config = config
        self._look_up = look_up
        self._stats = TransportStats()
        self._parts: _Parts | None = None
        self._open = contextlib.AsyncExitStack()
        self._started = False
        self._closed = False
        self._closing = asyncio.Lock()

    @property
    def address(self) -> Address:
        """As `Transport.address`."""
        if self._parts is None:
            raise NotStartedError("the transport has no address before bind()")
        return self._parts.address

    @property
    def stats(self) -> TransportStats:
        """As `Transport.stats`."""
        return self._stats

    async def bind(self) -> None:
        """As `Transport.bind`."""
        if self._closed:
            raise ClosedError("the transport is closed; make a new one")
        if self._parts is not None:
            raise AlreadyStartedError(f"the transport is bound to {self._parts.address} already")
        await self._bind()

    async def start(self, receiver: Receiver) -> None:
        """As `Transport.start`."""
        if self._closed:
            raise ClosedError("the transport is closed; make a new one")
        if self._started:
            raise AlreadyStartedError(f"the transport on {self.address} is started already")
        parts = self._parts or await self._bind()
        self._started = True
        server = StreamServer(self._config, receiver, self._stats)
        self._open.push_async_callback(server.close)
        await server.start(parts.listener)
        is_limited = self._config.limit_sources
        admission = Admission(self._config, self._stats, receiver.knows) if is_limited else None
        parts.datagrams.start(receiver.datagrams_received, admission)

    def send(self, data: bytes, address: Address) -> None:
        """As `Transport.send`; datagrams to a host name that is being resolved are held back, a few at most."""
        parts = self._parts
        if parts is None:
            raise NotStartedError(f"cannot send to {address} before bind()")
        if is_name(address.host):
            parts.held.send(data, address)
        else:
            parts.datagrams.send(data, address)

    async def exchange(self, address: Address, data: bytes, timeout: float) -> bytes:
        """As `Transport.exchange`."""
        if self._parts is None:
            raise NotStartedError(f"cannot open a stream to {address} before bind()")
        return await self._parts.client.exchange(address, data, timeout)

    async def close(self) -> None:
        """As `Transport.close`."""
        self._closed = True
        async with self._closing:  # whoever comes second would else close beneath the first
            await self._open.aclose()

    async def _bind(self) -> _Parts:
        config, stats = self._config, self._stats
        host = await self._bind_host()
        family = family_of(host)
        sock, listener = bind_pair(config, host)
        datagrams = DatagramSocket(sock, stats)
        resolver = Resolver(self._look_up, family, ttl=config.resolve_ttl, limit=config.max_resolved)
        client = StreamClient(config, resolver, partial(client_socket, config, family), stats)
        held = HeldDatagrams(resolver, datagrams.send, stats)
        # Closed in reverse: first what waits for something, last what it waits for.
        self._open.push_async_callback(datagrams.close)
        self._open.callback(listener.close)
        self._open.push_async_callback(resolver.close)
        self._open.push_async_callback(client.close)
        self._open.push_async_callback(held.close)
        self._parts = _Parts(Address(*sock.getsockname()[:2]), datagrams, held, listener, client)
        return self._parts

    async def _bind_host(self) -> str:
        host = self._config.bind.host
        if not is_name(host):
            return host
        try:
            found = await self._look_up(host, socket.AF_UNSPEC)
        except (OSError, UnicodeError) as error:
            raise ResolutionError(f"bind = {str(self._config.bind)!r}: cannot resolve it: {reason(error)}") from error
        if not found:
            raise ResolutionError(f"bind = {str(self._config.bind)!r}: the name has no address")
        # IPv4 first, as the defaults are, whatever order the system prefers.
        return min(found, key=lambda address: ":" in address)
