"""A network within one process: loss, delay and partitions at will, and the same run again from the same seed.

    network = MemoryNetwork(Random(7), loss=0.05, delay=lambda random: random.uniform(0.001, 0.02))
    a = network.transport(Address("10.0.0.1", 7946))
    b = network.transport(Address("10.0.0.2", 7946))
    network.partition([[a.address], [b.address]])
    network.heal()

Everything is decided by the given random generator and the event loop's clock. All transports of one network belong to
one event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from random import Random

from shoal.config import ClusterConfig
from shoal.errors import AlreadyStartedError, BindError, ClosedError, NotStartedError, ReceiveError, RefusedError
from shoal.net.exchanges import WAITING, ExchangesUnderWay
from shoal.net.transport import MAX_DATAGRAM, Receiver, TransportStats
from shoal.types import Address

__all__ = ["Delay", "MemoryNetwork", "MemoryTransport"]

Delay = float | Callable[[Random], float]
"""Seconds from sender to receiver: the same for all, or drawn anew for each."""

_RETRANSMIT = 0.2
"""Seconds after which a stream sends again what was lost, doubling (Linux's least TCP retransmission timeout)."""
_FIRST_PORT = 49_152
"""Where the ports begin that are handed out for port 0 (RFC 6335 §6)."""
_MAX_STREAM = ClusterConfig().max_stream


class MemoryNetwork:
    """Carries datagrams and streams between its transports.

    `loss` is the probability, 0 to 1, that a datagram is lost; streams are not lossy but slower by it. `delay` is in
    seconds, one way. Both may be changed at any time.
    """

    def __init__(self, random: Random, *, loss: float = 0.0, delay: Delay = 0.0) -> None:
        self.loss = loss
        self.delay = delay
        self._random = random
        self._transports: dict[Address, MemoryTransport] = {}
        self._groups: dict[Address, int] = {}
        self._cuts: set[tuple[Address, Address]] = set()

    def transport(self, address: Address, *, max_stream: int = _MAX_STREAM) -> MemoryTransport:
        """A new transport, to be bound to `address` (port 0: any free one); `max_stream` as in `ClusterConfig`."""
        return MemoryTransport(self, address, max_stream)

    def partition(self, groups: Iterable[Iterable[Address]]) -> None:
        """Let only addresses of the same group reach each other; those that are in none form one group more.

        Replaces an earlier partition. What is on its way arrives.
        """
        self._groups = {address: number for number, group in enumerate(groups) for address in group}

    def cut(self, source: Address, target: Address) -> None:
        """Lose everything from `source` to `target`, but not the other way."""
        self._cuts.add((source, target))

    def heal(self) -> None:
        """End the partition and all cuts."""
        self._groups = {}
        self._cuts.clear()

    def reaches(self, source: Address, target: Address) -> bool:
        """Whether neither a partition nor a cut lies between."""
        return self._groups.get(source) == self._groups.get(target) and (source, target) not in self._cuts

    def _delay_between(self, source: Address, target: Address) -> float | None:
        """The seconds that one datagram takes; None if it is lost."""
        if not self.reaches(source, target) or (self.loss > 0 and self._random.random() < self.loss):
            return None
        return self.delay(self._random) if callable(self.delay) else self.delay

    def _send(self, data: bytes, source: Address, target: Address) -> None:
        delay = self._delay_between(source, target)
        loop = asyncio.get_running_loop()
        if delay == 0:
            loop.call_soon(self._deliver, data, source, target)  # unlike call_later, in the order of sending
        elif delay is not None:
            loop.call_later(delay, self._deliver, data, source, target)

    def _deliver(self, data: bytes, source: Address, target: Address) -> None:
        transport = self._transports.get(target)
        if transport is not None:
            transport._receive(data, source)

    async def _carry(self, source: Address, target: Address) -> None:
        """Take as long as a segment of a stream takes; what is lost is sent again, for ever."""
        pause = _RETRANSMIT
        while (delay := self._delay_between(source, target)) is None:
            await asyncio.sleep(pause)
            pause *= 2
        await asyncio.sleep(delay)

    def _add(self, transport: MemoryTransport, wanted: Address) -> Address:
        address = wanted if wanted.port else self._free_address(wanted.host)
        if address in self._transports:
            raise BindError(f"cannot listen on {address}: the port is in use; choose another, or port 0 for a free one")
        self._transports[address] = transport
        return address

    def _free_address(self, host: str) -> Address:
        for port in range(_FIRST_PORT, 65_536):
            if (address := Address(host, port)) not in self._transports:
                return address
        raise BindError(f"cannot listen on {host}: all its ports from {_FIRST_PORT} are in use; name a port")


class MemoryTransport:
    """A `Transport` on a `MemoryNetwork`; get one from `MemoryNetwork.transport`."""

    __slots__ = ("_address", "_closed", "_max_stream", "_network", "_receiver", "_stats", "_under_way", "_wanted")

    def __init__(self, network: MemoryNetwork, wanted: Address, max_stream: int) -> None:
        self._max_stream = max_stream
        self._network = network
        self._wanted = wanted
        self._stats = TransportStats()
        self._under_way = ExchangesUnderWay(max_stream, self._stats)
        self._address: Address | None = None
        self._receiver: Receiver | None = None
        self._closed = False

    @property
    def address(self) -> Address:
        """As `Transport.address`."""
        if self._address is None:
            raise NotStartedError("the transport has no address before bind()")
        return self._address

    @property
    def stats(self) -> TransportStats:
        """As `Transport.stats`."""
        return self._stats

    async def bind(self) -> None:
        """As `Transport.bind`; what arrives before `start` is lost."""
        if self._closed:
            raise ClosedError("the transport is closed; make a new one")
        if self._address is not None:
            raise AlreadyStartedError(f"the transport is bound to {self._address} already")
        self._address = self._network._add(self, self._wanted)

    async def start(self, receiver: Receiver) -> None:
        """As `Transport.start`."""
        if self._closed or self._address is None:
            await self.bind()
        if self._receiver is not None:
            raise AlreadyStartedError(f"the transport on {self._address} is started already")
        self._receiver = receiver

    def send(self, data: bytes, address: Address) -> None:
        """As `Transport.send`; host names are not resolved here, they are addresses like others."""
        source = self.address
        if self._closed:
            raise ClosedError(f"cannot send to {address}: the transport is closed")
        if len(data) > MAX_DATAGRAM:
            self._stats.send_too_large += 1
            return
        self._stats.datagrams_out += 1
        self._stats.bytes_out += len(data)
        self._network._send(data, source, address)

    async def exchange(self, address: Address, data: bytes, timeout: float) -> bytes:
        """As `Transport.exchange`."""
        source, network = self.address, self._network
        async with self._under_way.begin(address, data, timeout) as exchange:
            exchange.stage = "connecting"
            await network._carry(source, address)
            refused = address not in network._transports
            await network._carry(address, source)
            if refused:
                raise RefusedError(f"cannot connect to {address}: connection refused")
            self._stats.stream_bytes_out += len(data)
            exchange.stage = WAITING
            await network._carry(source, address)
            peer = network._transports.get(address)
            reply = peer._answer(data, source) if peer is not None else None
            await network._carry(address, source)
            return self._checked(reply, address)

    async def close(self) -> None:
        """As `Transport.close`."""
        self._receiver = None
        if self._address is not None and not self._closed:
            del self._network._transports[self._address]
        self._closed = True
        await self._under_way.close()

    def _receive(self, data: bytes, source: Address) -> None:
        if self._receiver is not None:
            self._stats.datagrams_in += 1
            self._stats.bytes_in += len(data)
            self._receiver.datagrams_received([(data, source)])

    def _answer(self, data: bytes, source: Address) -> bytes | None:
        """The reply to a stream's message; None closes the stream."""
        stats = self._stats
        stats.streams_in += 1
        reply = None
        if len(data) > self._max_stream:
            stats.streams_too_large += 1
        elif self._receiver is not None:
            stats.stream_bytes_in += len(data)
            reply = self._receiver.stream_received(data, source)
        if reply is not None and len(reply) > self._max_stream:
            stats.streams_too_large += 1
            reply = None
        if reply is not None:
            stats.stream_bytes_out += len(reply)
        return reply

    def _checked(self, reply: bytes | None, peer: Address) -> bytes:
        if reply is None:
            raise ReceiveError(f"{peer} did not reply: it closed the stream")
        if len(reply) > self._max_stream:
            self._stats.streams_too_large += 1
            raise ReceiveError(
                f"the reply of {peer} has {len(reply)} bytes, the limit is {self._max_stream} (max_stream)"
            )
        self._stats.stream_bytes_in += len(reply)
        return reply
