"""The datagram socket: batches, and errors that never stop it."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Iterator

import pytest

from shoal.errors import ClosedError
from shoal.net.transport import TransportStats
from shoal.net.udp import BATCH, DatagramSocket
from shoal.types import Address
from tests.net.receivers import Recorder

NOWHERE = Address("127.0.0.1", 9)


class Faulty(socket.socket):
    """A UDP socket on loopback that raises what it is told to."""

    def __init__(self) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_DGRAM)
        self.setblocking(False)
        self.bind(("127.0.0.1", 0))
        self.errors_on_receive: list[OSError] = []
        self.error_on_send: Exception | None = None

    @property
    def address(self) -> Address:
        return Address(*self.getsockname())

    def recvfrom(self, *args: object) -> tuple[bytes, tuple[str, int]]:
        if self.errors_on_receive:
            raise self.errors_on_receive.pop()
        return super().recvfrom(*args)  # type: ignore[arg-type]

    def sendto(self, *args: object) -> int:
        if self.error_on_send is not None:
            raise self.error_on_send
        return super().sendto(*args)  # type: ignore[call-overload, no-any-return]


@pytest.fixture
def sock() -> Iterator[Faulty]:
    with Faulty() as sock:
        yield sock


@pytest.fixture
def stats() -> TransportStats:
    return TransportStats()


@pytest.fixture
async def datagrams(sock: Faulty, stats: TransportStats) -> AsyncIterator[DatagramSocket]:
    datagrams = DatagramSocket(sock, stats)
    yield datagrams
    await datagrams.close()


async def test_a_flood_is_read_in_bounded_batches(sock: Faulty, datagrams: DatagramSocket) -> None:
    waiting = 2 * BATCH + 10
    for number in range(waiting):
        datagrams.send(b"%d" % number, sock.address)
    receiver = Recorder()

    datagrams.start(receiver.datagrams_received)

    await receiver.until(datagrams=waiting)
    assert [len(batch) for batch in receiver.batches] == [BATCH, BATCH, 10]
    assert [data for data, _ in receiver.datagrams] == [b"%d" % number for number in range(waiting)]


async def test_other_tasks_run_between_batches(sock: Faulty, datagrams: DatagramSocket) -> None:
    for _ in range(3 * BATCH):
        datagrams.send(b"", sock.address)
    receiver = Recorder()
    seen: list[int] = []

    async def watch() -> None:
        while len(receiver.batches) < 3:
            seen.append(len(receiver.batches))
            await asyncio.sleep(0)

    datagrams.start(receiver.datagrams_received)
    await asyncio.wait_for(watch(), 20)

    assert set(seen) >= {1, 2}


async def test_errors_on_receiving_are_counted_and_reading_goes_on(
    sock: Faulty, datagrams: DatagramSocket, stats: TransportStats
) -> None:
    sock.errors_on_receive = [ConnectionResetError(errno.ECONNRESET, "an ICMP answer") for _ in range(3)]
    receiver = Recorder()
    datagrams.start(receiver.datagrams_received)

    datagrams.send(b"after", sock.address)

    await receiver.until(datagrams=1)
    assert receiver.datagrams == [(b"after", sock.address)]
    assert stats.receive_errors == 3


@pytest.mark.parametrize(
    ("error", "counter"),
    [
        (BlockingIOError(errno.EAGAIN, "full"), "send_full"),
        (OSError(errno.ENOBUFS, "full"), "send_full"),
        (OSError(errno.EMSGSIZE, "too long"), "send_too_large"),
        (OSError(errno.ENETUNREACH, "no route"), "send_unreachable"),
        (OSError(errno.EHOSTUNREACH, "no route"), "send_unreachable"),
        (socket.gaierror(socket.EAI_FAMILY, "other family"), "send_unreachable"),
        (PermissionError(errno.EPERM, "a firewall"), "send_failed"),
        (OverflowError("port must be 0-65535"), "send_failed"),
    ],
)
async def test_what_the_network_refuses_is_dropped_under_its_own_counter(
    sock: Faulty, datagrams: DatagramSocket, stats: TransportStats, error: Exception, counter: str
) -> None:
    sock.error_on_send = error

    datagrams.send(b"lost", NOWHERE)

    counted = {name: count for name, count in stats.as_dict().items() if count}
    assert counted == {counter: 1}


async def test_addresses_that_cannot_be_sent_to_raise_nothing(datagrams: DatagramSocket, stats: TransportStats) -> None:
    for address in (Address("::1", 7946), Address("127.0.0.1", 0), Address("127.0.0.1", 70_000)):
        datagrams.send(b"lost", address)

    assert stats.datagrams_out == 0
    assert stats.send_unreachable + stats.send_failed == 3


async def test_a_closed_socket_says_so(datagrams: DatagramSocket) -> None:
    datagrams.start(Recorder().datagrams_received)
    await datagrams.close()
    await datagrams.close()

    with pytest.raises(ClosedError):
        datagrams.send(b"", NOWHERE)
