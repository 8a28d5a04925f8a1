"""The stream server against peers that misbehave; what well-behaved ones see is in `test_transport`."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable

import pytest

from shoal.config import ClusterConfig
from shoal.errors import ReceiveError
from shoal.net.loops import run
from shoal.net.sockets import SocketTransport
from shoal.net.streams import _Outgoing
from shoal.types import Address
from tests.net.receivers import PATIENCE, Recorder, eventually

MAX_STREAM = 65_536
CONFIG = ClusterConfig(bind=Address("127.0.0.1", 0), max_stream=MAX_STREAM, max_streams_in=2, stream_grace=600.0)


def frame(message: bytes) -> bytes:
    return len(message).to_bytes(4) + message


class Peer:
    """A connection by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def until_closed(self) -> bytes:
        """All that comes until the other side closes."""
        async with asyncio.timeout(PATIENCE):
            try:
                return await self._reader.read()
            except ConnectionError:
                return b""

    async def close(self) -> None:
        self._writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


@pytest.fixture
async def receiver() -> Recorder:
    return Recorder()


@pytest.fixture
async def server(receiver: Recorder) -> AsyncIterator[SocketTransport]:
    transport = SocketTransport(CONFIG)
    await transport.start(receiver)
    yield transport
    await transport.close()


@pytest.fixture
async def hasty(receiver: Recorder) -> AsyncIterator[SocketTransport]:
    """A server with the shortest patience."""
    transport = SocketTransport(CONFIG.replace(stream_timeout=0.05))
    await transport.start(receiver)
    yield transport
    await transport.close()


@pytest.fixture
async def connect() -> AsyncIterator[Callable[..., asyncio.Future[Peer]]]:
    peers: list[Peer] = []

    async def connected(server: SocketTransport, host: str = "127.0.0.1") -> Peer:
        peer = Peer(*await asyncio.open_connection(*server.address, local_addr=(host, 0)))
        peers.append(peer)
        return peer

    yield lambda *where: asyncio.ensure_future(connected(*where))
    for peer in peers:
        await peer.close()


Connect = Callable[..., asyncio.Future[Peer]]


async def test_a_message_in_single_bytes_is_put_together(
    server: SocketTransport, connect: Connect, receiver: Recorder
) -> None:
    peer = await connect(server)

    for byte in frame(b"hello"):
        await peer.send(bytes([byte]))
        await asyncio.sleep(0)

    assert await peer.until_closed() == frame(b"hello")
    assert [data for data, _ in receiver.streams] == [b"hello"]


async def test_only_the_first_message_of_a_stream_counts(
    server: SocketTransport, connect: Connect, receiver: Recorder
) -> None:
    peer = await connect(server)

    await peer.send(frame(b"one") + frame(b"two"))

    await peer.until_closed()
    assert [data for data, _ in receiver.streams] == [b"one"]


async def test_an_announcement_above_the_limit_ends_the_stream(
    server: SocketTransport, connect: Connect, receiver: Recorder
) -> None:
    peer = await connect(server)

    await peer.send((MAX_STREAM + 1).to_bytes(4))

    assert await peer.until_closed() == b""
    assert server.stats.streams_too_large == server.stats.streams_failed == 1
    assert receiver.streams == []


async def test_a_peer_that_stops_in_the_middle_is_cut_off(
    hasty: SocketTransport, connect: Connect, receiver: Recorder
) -> None:
    peer = await connect(hasty)

    await peer.send(frame(b"hello")[:-1])

    assert await peer.until_closed() == b""
    assert hasty.stats.streams_timed_out == hasty.stats.streams_failed == 1
    assert receiver.streams == []


async def test_a_peer_that_never_reads_its_reply_is_cut_off(connect: Connect, receiver: Recorder) -> None:
    megabytes = 32 << 20  # more than the buffers of both sockets hold
    transport = SocketTransport(CONFIG.replace(stream_timeout=0.05, max_stream=megabytes))
    receiver.answer = lambda _: bytes(megabytes)
    await transport.start(receiver)
    peer = await connect(transport)

    await peer.send(frame(b"?"))

    await eventually(lambda: transport.stats.streams_timed_out == 1)
    await transport.close()


async def test_a_peer_that_leaves_in_the_middle_is_counted(server: SocketTransport, connect: Connect) -> None:
    peer = await connect(server)
    await peer.send(frame(b"hello")[:-1])

    await peer.close()

    await eventually(lambda: server.stats.streams_failed == 1)


async def test_connections_beyond_the_limit_are_closed_and_later_ones_served_again(
    server: SocketTransport, connect: Connect
) -> None:
    idle = [await connect(server) for _ in range(2)]
    await eventually(lambda: server.stats.streams_in == 2)

    refused = await connect(server)
    assert await refused.until_closed() == b""
    assert server.stats.streams_refused == 1

    await idle[0].close()
    await eventually(lambda: server.stats.streams_failed == 1)
    served = await connect(server)
    await served.send(frame(b"hello"))
    assert await served.until_closed() == frame(b"hello")


async def _serve(receiver: Recorder, **changes: object) -> SocketTransport:
    server = SocketTransport(CONFIG.replace(**changes))
    await server.start(receiver)
    return server


async def test_who_holds_connections_open_keeps_nobody_out(receiver: Recorder, connect: Connect) -> None:
    server = await _serve(receiver, max_streams_in=4, stream_grace=0.01)
    idle = [await connect(server) for _ in range(4)]
    for each in idle:
        await each.send(b"\0")
    await eventually(lambda: server.stats.streams_in == 4)
    await asyncio.sleep(0.02)  # the grace passes

    honest = [await connect(server) for _ in range(3)]
    for each in honest:
        await each.send(frame(b"hello"))

    assert [await each.until_closed() for each in honest] == [frame(b"hello")] * 3
    assert await idle[0].until_closed() == b""
    assert 1 <= server.stats.streams_displaced <= 3
    await server.close()


async def test_one_host_cannot_take_all_places(receiver: Recorder, connect: Connect) -> None:
    server = await _serve(receiver, max_streams_in=4, max_streams_per_source=2)
    for _ in range(2):
        await connect(server)
    await eventually(lambda: server.stats.streams_in == 2)

    assert await (await connect(server)).until_closed() == b""
    elsewhere = await connect(server, "127.0.0.2")
    await elsewhere.send(frame(b"hello"))

    assert await elsewhere.until_closed() == frame(b"hello")
    assert server.stats.streams_refused == 1
    await server.close()


async def test_one_host_cannot_connect_without_end(receiver: Recorder, connect: Connect) -> None:
    server = await _serve(receiver, source_streams=1)
    for _ in range(3):
        await (await connect(server)).close()
    await eventually(lambda: server.stats.streams_in + server.stats.streams_refused == 3)
    assert server.stats.streams_refused >= 1
    await server.close()


async def test_without_limits_one_host_may_take_all_places(receiver: Recorder, connect: Connect) -> None:
    server = await _serve(receiver, limit_sources=False, source_streams=1, max_streams_per_source=1)
    for _ in range(2):
        await connect(server)
    await eventually(lambda: server.stats.streams_in == 2)
    await server.close()


async def test_all_streams_together_hold_a_bounded_number_of_bytes(receiver: Recorder, connect: Connect) -> None:
    server = await _serve(receiver, max_streams_in=4)
    nearly_all = MAX_STREAM.to_bytes(4) + bytes(MAX_STREAM - 100)
    patient = [await connect(server) for _ in range(2)]
    for each in patient:
        await each.send(nearly_all)
    third = await connect(server)
    await third.send(nearly_all)
    await eventually(lambda: server.stats.streams_over_memory == 1)
    await third.close()

    for each in patient:
        await each.close()
    await eventually(lambda: server.stats.streams_failed == 3)
    again = await connect(server)
    await again.send(frame(bytes(1000)))
    assert await again.until_closed() == frame(bytes(1000))
    await server.close()


def test_all_that_wait_are_accepted_in_a_few_turns(receiver: Recorder) -> None:
    """A uvloop accepts one in a turn by itself."""

    async def serve() -> int:
        server = await _serve(receiver, limit_sources=False, max_streams_in=100)
        peers = [socket.create_connection(server.address) for _ in range(50)]
        for _ in range(10):
            await asyncio.sleep(0)
        accepted = server.stats.streams_in
        for peer in peers:
            peer.close()
        await server.close()
        return accepted

    assert run(serve()) == 50


async def test_closing_the_server_ends_open_connections(server: SocketTransport, connect: Connect) -> None:
    peer = await connect(server)
    await eventually(lambda: server.stats.streams_in == 1)

    await server.close()

    assert await peer.until_closed() == b""


@pytest.mark.parametrize("turns", range(5))
async def test_a_connection_that_comes_while_the_server_closes_is_closed_with_it(
    receiver: Recorder, turns: int
) -> None:
    transport = SocketTransport(CONFIG)
    await transport.start(receiver)
    peers = [socket.create_connection(transport.address) for _ in range(3)]  # the kernel accepts without us
    for _ in range(turns):
        await asyncio.sleep(0)

    await transport.close()

    for peer in peers:
        with peer, contextlib.suppress(ConnectionError):
            peer.settimeout(PATIENCE)
            assert await asyncio.to_thread(peer.recv, 1) == b""


async def test_a_peer_that_resets_the_stream_is_named(server: SocketTransport) -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(5)
        writer.transport.abort()

    rude = await asyncio.start_server(reset, "127.0.0.1", 0)
    address = Address(*rude.sockets[0].getsockname())

    with pytest.raises(ReceiveError, match=f"{address} did not reply"):
        await server.exchange(address, bytes(MAX_STREAM), PATIENCE)

    rude.close()
    await rude.wait_closed()


async def test_a_message_of_megabytes_goes_through(receiver: Recorder) -> None:
    size = 8 << 20
    transport = SocketTransport(CONFIG.replace(max_stream=size))
    await transport.start(receiver)

    reply = await transport.exchange(transport.address, bytes(size), PATIENCE)

    assert reply == bytes(size)
    await transport.close()


async def test_an_exchange_that_is_cancelled_while_its_stream_closes_disturbs_nobody(
    server: SocketTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    complaints: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, complaint: complaints.append(complaint))
    abort = _Outgoing.abort

    def abort_and_cancel(connection: _Outgoing) -> None:
        abort(connection)
        exchange.cancel()

    monkeypatch.setattr(_Outgoing, "abort", abort_and_cancel)
    client = SocketTransport(CONFIG)
    await client.bind()
    exchange = asyncio.create_task(client.exchange(server.address, b"hello", PATIENCE))

    await asyncio.wait([exchange])
    await client.close()
    await eventually(lambda: server.stats.streams_in == 1)
    await asyncio.sleep(0)

    assert exchange.cancelled()
    assert not complaints
