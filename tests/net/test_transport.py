"""What every transport must do; each test runs on every transport and, over sockets, on every loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from random import Random
from typing import Protocol

import pytest

from shoal.config import ClusterConfig
from shoal.errors import (
    AlreadyStartedError,
    BindError,
    ClosedError,
    MessageTooLargeError,
    NotStartedError,
    ReceiveError,
    SendError,
    ShoalTimeoutError,
)
from shoal.keys import ClusterKey
from shoal.net.memory import MemoryNetwork
from shoal.net.sealed import SealedTransport
from shoal.net.sockets import SocketTransport
from shoal.net.transport import MAX_DATAGRAM, Transport
from shoal.types import Address
from shoal.wire.envelope import OVERHEAD
from shoal.wire.keyring import Keyring
from tests.net.receivers import PATIENCE, Recorder

MAX_STREAM = 65_536
SOON = 0.05
"""Seconds; the timeout of exchanges that must time out."""


class World(Protocol):
    """A network to put transports on."""

    overhead: int
    """Bytes that its transports add to each message."""

    def transport(self, address: Address | None = None, *, max_stream: int = MAX_STREAM) -> Transport:
        """A new transport at `address`, or anywhere."""
        ...

    def nobody(self) -> Address:
        """An address where nobody listens."""
        ...

    def stalled(self) -> Address:
        """An address where streams find no answer."""
        ...


class SocketWorld:
    overhead = 0

    def __init__(self, host: str, cleanup: contextlib.ExitStack) -> None:
        self._host = host
        self._cleanup = cleanup

    def transport(self, address: Address | None = None, *, max_stream: int = MAX_STREAM) -> Transport:
        bind = address or Address(self._host, 0)
        return SocketTransport(ClusterConfig(bind=bind, max_stream=max_stream, max_datagram=MAX_DATAGRAM))

    def nobody(self) -> Address:
        sock = self._socket()
        sock.bind((self._host, 0))  # bound and not listening: nobody else gets the port
        return Address(*sock.getsockname()[:2])

    def stalled(self) -> Address:
        sock = self._socket()
        sock.bind((self._host, 0))
        sock.listen()
        return Address(*sock.getsockname()[:2])

    def _socket(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        return self._cleanup.enter_context(socket.socket(family, socket.SOCK_STREAM))


class MemoryWorld:
    overhead = 0

    def __init__(self) -> None:
        self._network = MemoryNetwork(Random(1))

    def transport(self, address: Address | None = None, *, max_stream: int = MAX_STREAM) -> Transport:
        return self._network.transport(address or Address("10.0.0.1", 0), max_stream=max_stream)

    def nobody(self) -> Address:
        return Address("10.0.0.2", 1)

    def stalled(self) -> Address:
        address = Address("10.0.0.3", 1)
        self._network.partition([[address]])
        return address


class SealedWorld(MemoryWorld):
    """Its limits and counters are those of what is on the wire, as everywhere."""

    overhead = OVERHEAD

    def transport(self, address: Address | None = None, *, max_stream: int = MAX_STREAM) -> Transport:
        inner = super().transport(address, max_stream=max_stream + self.overhead)
        return SealedTransport(inner, Keyring([ClusterKey(bytes(32))]), ClusterConfig())


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


IPV6 = pytest.param("::1", marks=pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6"))


@pytest.fixture(params=["127.0.0.1", IPV6, "memory", "sealed"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with contextlib.ExitStack() as cleanup:
        match request.param:
            case "memory":
                yield MemoryWorld()
            case "sealed":
                yield SealedWorld()
            case host:
                yield SocketWorld(host, cleanup)


@pytest.fixture
async def receiver() -> Recorder:
    return Recorder()


@pytest.fixture
async def here(world: World) -> AsyncIterator[Transport]:
    transport = world.transport()
    await transport.start(Recorder())
    yield transport
    await transport.close()


@pytest.fixture
async def there(world: World, receiver: Recorder) -> AsyncIterator[Transport]:
    transport = world.transport()
    await transport.start(receiver)
    yield transport
    await transport.close()


async def test_a_datagram_arrives_with_its_source(here: Transport, there: Transport, receiver: Recorder) -> None:
    here.send(b"hello", there.address)

    await receiver.until(datagrams=1)
    assert receiver.datagrams == [(b"hello", here.address)]
    assert all(type(source) is Address for _, source in receiver.datagrams)


@pytest.mark.parametrize("size", [0, 1, 512, 1400, 9000, MAX_DATAGRAM])
async def test_datagrams_of_every_size_arrive_whole(
    world: World, here: Transport, there: Transport, receiver: Recorder, size: int
) -> None:
    data = Random(size).randbytes(min(size, MAX_DATAGRAM - world.overhead))

    here.send(data, there.address)

    await receiver.until(datagrams=1)
    assert receiver.datagrams[0][0] == data


async def test_the_boundaries_of_datagrams_are_kept(here: Transport, there: Transport, receiver: Recorder) -> None:
    sent = [bytes([number]) * number for number in range(100)]

    for data in sent:
        here.send(data, there.address)

    await receiver.until(datagrams=100)
    assert [data for data, _ in receiver.datagrams] == sent


async def test_a_datagram_that_no_network_carries_is_dropped_and_counted(
    here: Transport, there: Transport, receiver: Recorder
) -> None:
    here.send(bytes(70_000), there.address)
    here.send(b"after", there.address)

    await receiver.until(datagrams=1)
    assert [data for data, _ in receiver.datagrams] == [b"after"]
    assert here.stats.send_too_large == 1


async def test_sending_to_nobody_raises_nothing_and_stops_nothing(
    world: World, here: Transport, there: Transport
) -> None:
    for _ in range(3):
        there.send(b"?", world.nobody())
        await asyncio.sleep(0)

    here_again = Recorder()
    third = world.transport()
    await third.start(here_again)
    there.send(b"still here", third.address)
    await here_again.until(datagrams=1)
    await third.close()


async def test_a_transport_reaches_itself(there: Transport, receiver: Recorder) -> None:
    there.send(b"me", there.address)

    await receiver.until(datagrams=1)
    assert receiver.datagrams == [(b"me", there.address)]
    assert await there.exchange(there.address, b"me too", PATIENCE) == b"me too"


@pytest.mark.parametrize("size", [0, 1, 4, 1400, MAX_STREAM])
async def test_an_exchange_carries_a_message_each_way(
    here: Transport, there: Transport, receiver: Recorder, size: int
) -> None:
    data = Random(size).randbytes(size)
    receiver.answer = lambda data: data[::-1]

    reply = await here.exchange(there.address, data, PATIENCE)

    assert reply == data[::-1]
    assert [(message, source.host) for message, source in receiver.streams] == [(data, here.address.host)]


async def test_exchanges_do_not_mix(here: Transport, there: Transport) -> None:
    messages = [b"%d" % number for number in range(50)]

    replies = await asyncio.gather(*(here.exchange(there.address, message, PATIENCE) for message in messages))

    assert replies == messages


async def test_a_message_above_the_limit_is_refused_before_anything_is_sent(
    world: World, here: Transport, there: Transport
) -> None:
    limit = MAX_STREAM + world.overhead
    with pytest.raises(MessageTooLargeError, match=rf"has {limit + 1} bytes, the limit is {limit} \(max_stream\)"):
        await here.exchange(there.address, bytes(MAX_STREAM + 1), PATIENCE)

    assert here.stats.streams_too_large == 1
    assert there.stats.streams_in == 0


async def test_a_message_above_the_peers_limit_is_cut_off_by_the_peer(world: World, there: Transport) -> None:
    generous = world.transport(max_stream=4 * MAX_STREAM)
    await generous.start(Recorder())

    with pytest.raises(ReceiveError, match="did not reply"):
        await generous.exchange(there.address, bytes(MAX_STREAM + 1), PATIENCE)

    assert there.stats.streams_too_large == 1
    assert there.stats.stream_bytes_in == 0
    await generous.close()


async def test_a_reply_above_the_limit_is_cut_off(world: World, here: Transport) -> None:
    generous = world.transport(max_stream=4 * MAX_STREAM)
    await generous.start(Recorder(lambda _: bytes(MAX_STREAM + 1)))

    limit = MAX_STREAM + world.overhead
    with pytest.raises(ReceiveError, match=f"has {limit + 1} bytes, the limit is {limit}") as failure:
        await here.exchange(generous.address, b"?", PATIENCE)

    assert str(generous.address) in str(failure.value)
    assert here.stats.streams_too_large == 1
    await generous.close()


async def test_a_reply_above_the_own_limit_is_not_sent(here: Transport, there: Transport, receiver: Recorder) -> None:
    receiver.answer = lambda _: bytes(MAX_STREAM + 1)

    with pytest.raises(ReceiveError, match="did not reply"):
        await here.exchange(there.address, b"?", PATIENCE)

    assert there.stats.streams_too_large == 1


async def test_a_peer_that_gives_no_reply_is_named(here: Transport, there: Transport, receiver: Recorder) -> None:
    receiver.answer = lambda _: None

    with pytest.raises(ReceiveError, match="did not reply: it closed the stream") as failure:
        await here.exchange(there.address, b"?", PATIENCE)

    assert str(there.address) in str(failure.value)
    assert here.stats.streams_failed == 1


async def test_a_refused_stream_is_told_with_its_address(world: World, here: Transport) -> None:
    nobody = world.nobody()

    with pytest.raises(SendError, match="refused") as failure:
        await here.exchange(nobody, b"?", PATIENCE)

    assert f"cannot connect to {nobody}" in str(failure.value)
    assert here.stats.streams_failed == 1


async def test_a_stalled_peer_costs_no_more_than_the_timeout(world: World, here: Transport) -> None:
    stalled = world.stalled()

    with pytest.raises(ShoalTimeoutError, match=r"timed out after 0\.05 seconds while") as failure:
        await here.exchange(stalled, bytes(MAX_STREAM), SOON)

    assert str(stalled) in str(failure.value)
    assert here.stats.streams_timed_out == 1


async def test_closing_ends_the_exchanges_under_way(world: World) -> None:
    transport = world.transport()
    await transport.start(Recorder())
    exchange = asyncio.create_task(transport.exchange(world.stalled(), b"?", PATIENCE))
    await asyncio.sleep(0)

    await transport.close()

    with pytest.raises(ClosedError):
        await exchange


async def test_a_cancelled_exchange_is_cancelled(world: World, here: Transport) -> None:
    exchange = asyncio.create_task(here.exchange(world.stalled(), b"?", PATIENCE))
    await asyncio.sleep(0)

    exchange.cancel()

    with pytest.raises(asyncio.CancelledError):
        await exchange


async def test_closing_again_and_at_any_time_is_harmless(world: World) -> None:
    never_bound, bound, started = world.transport(), world.transport(), world.transport()
    await bound.bind()
    await started.start(Recorder())

    for transport in (never_bound, bound, started):
        await asyncio.gather(transport.close(), transport.close())
        await transport.close()


async def test_a_closed_transport_is_of_no_more_use(world: World, here: Transport) -> None:
    transport = world.transport()
    await transport.start(Recorder())
    await transport.close()

    with pytest.raises(ClosedError):
        transport.send(b"", here.address)
    with pytest.raises(ClosedError):
        await transport.exchange(here.address, b"", PATIENCE)
    with pytest.raises(ClosedError):
        await transport.start(Recorder())


async def test_a_transport_that_is_not_bound_has_no_address(world: World, here: Transport) -> None:
    transport = world.transport()

    with pytest.raises(NotStartedError):
        _ = transport.address
    with pytest.raises(NotStartedError):
        transport.send(b"", here.address)
    with pytest.raises(NotStartedError):
        await transport.exchange(here.address, b"", PATIENCE)


async def test_the_address_is_known_once_bound(world: World, here: Transport, receiver: Recorder) -> None:
    transport = world.transport()
    await transport.bind()
    address = transport.address
    assert address.port != 0

    await transport.start(receiver)

    assert transport.address == address
    here.send(b"hello", address)
    await receiver.until(datagrams=1)
    await transport.close()


async def test_a_transport_starts_once(here: Transport) -> None:
    with pytest.raises(AlreadyStartedError):
        await here.start(Recorder())
    with pytest.raises(AlreadyStartedError):
        await here.bind()


async def test_an_address_in_use_is_refused_and_free_again_after_closing(world: World) -> None:
    first = world.transport()
    await first.start(Recorder())
    second = world.transport(first.address)

    with pytest.raises(BindError, match="the port is in use") as failure:
        await second.start(Recorder())

    assert str(first.address) in str(failure.value)
    await first.close()
    await second.start(Recorder())
    await second.close()


async def test_a_restart_on_the_same_address_after_streams_works(world: World, here: Transport) -> None:
    first = world.transport()
    await first.start(Recorder())
    await here.exchange(first.address, b"?", PATIENCE)
    await first.close()

    second = world.transport(first.address)
    await second.start(Recorder())

    assert await here.exchange(second.address, b"again", PATIENCE) == b"again"
    await second.close()


async def test_everything_is_counted(world: World, here: Transport, there: Transport, receiver: Recorder) -> None:
    datagrams, stream = 10 + 2 * world.overhead, 3 + world.overhead
    here.send(b"four", there.address)
    here.send(b"sixsix", there.address)
    await here.exchange(there.address, b"123", PATIENCE)
    await receiver.until(datagrams=2)

    sent = here.stats
    assert (sent.datagrams_out, sent.bytes_out) == (2, datagrams)
    assert (sent.streams_out, sent.stream_bytes_out, sent.stream_bytes_in) == (1, stream, stream)
    got = there.stats
    assert (got.datagrams_in, got.bytes_in) == (2, datagrams)
    assert (got.streams_in, got.stream_bytes_in, got.stream_bytes_out) == (1, stream, stream)
    assert got.as_dict()["datagrams_in"] == 2
    assert got.streams_failed == sent.streams_failed == 0
