"""What attacks a cluster in `benchmarks.hostile`: somebody who records, datagrams from many sources, and streams."""

from __future__ import annotations

import asyncio
import itertools
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from random import Random

import shoal
from shoal.net.sockets import SocketTransport
from shoal.net.transport import Receiver, TransportStats
from shoal.types import Address
from shoal.wire.messages import Alive, Dead, Gossip, Left, Suspect, Update
from shoal.wire.native import NativeDialect
from tests.fuzz.decode import mutate

__all__ = ["RecordingTransport", "flood", "hostile_datagrams", "hostile_streams"]

_SOURCES = 256
"""Sockets that datagrams are sent from, each with an address of its own."""
_BURST = 50
_MAX_RANDOM = 1400
_AT_ONCE = 400
"""Streams open at once, from all hosts."""
_HOSTS = 16
_HOLD = 20.0
"""Seconds after which a slow stream is given up by its attacker; the node must have closed it before."""


class RecordingTransport:
    """The sockets of an honest member, of which everything is recorded that comes in."""

    def __init__(self, config: shoal.ClusterConfig) -> None:
        self._inner = SocketTransport(config)
        self._receiver: Receiver
        self.recorded: list[bytes] = []

    @property
    def address(self) -> Address:
        return self._inner.address

    @property
    def stats(self) -> TransportStats:
        return self._inner.stats

    async def bind(self) -> None:
        await self._inner.bind()

    async def start(self, receiver: Receiver) -> None:
        self._receiver = receiver
        await self._inner.start(self)

    def send(self, data: bytes, address: Address) -> None:
        self.recorded.append(data)
        self._inner.send(data, address)

    async def exchange(self, address: Address, data: bytes, timeout: float) -> bytes:
        return await self._inner.exchange(address, data, timeout)

    async def close(self) -> None:
        await self._inner.close()

    def datagrams_received(self, batch: Sequence[tuple[bytes, Address]]) -> None:
        self.recorded += [data for data, _ in batch]
        self._receiver.datagrams_received(batch)

    def stream_received(self, data: bytes, source: Address) -> bytes | None:
        return self._receiver.stream_received(data, source)

    def knows(self, address: Address) -> bool:
        return self._receiver.knows(address)


def hostile_datagrams(
    random: Random, recorded: Sequence[bytes], members: Sequence[shoal.Member], cluster: str
) -> Iterator[tuple[str, bytes]]:
    """Without end, each with its kind: random, mutated, replayed, or forged without a key."""
    forged = _forgeries(members, NativeDialect(cluster))
    while True:
        yield "random", random.randbytes(random.randrange(_MAX_RANDOM))
        yield "mutated", mutate(random.choice(recorded), random.choice(recorded), random)
        yield "replayed", random.choice(recorded)
        yield "forged", random.choice(forged)


def _forgeries(members: Sequence[shoal.Member], dialect: NativeDialect) -> list[bytes]:
    forged: list[bytes] = []
    for victim, accuser in itertools.product(members, members):
        says: tuple[Update, ...] = (
            Suspect(victim.id, victim.incarnation, accuser.id),
            Dead(victim.id, victim.incarnation, accuser.id),
            Left(victim.id, victim.incarnation),
            Alive(shoal.types.NodeInfo(victim.name, accuser.id, victim.address, victim.tags), 1),
        )
        packet = dialect.encode(Gossip(0, 0, accuser.id))
        forged += [dialect.attach(packet, [dialect.encode_update(update)]) for update in says]
    return forged


def flood(
    datagrams: Iterator[tuple[str, bytes]],
    targets: Sequence[Address],
    count: int,
    seconds: float,
    *,
    is_over: Callable[[], bool],
) -> Counter[str]:
    """Send so many datagrams, spread over the targets and over that time, from many addresses; how many of each kind.

    Blocks: it belongs in a thread.
    """
    sockets = [_source(number) for number in range(_SOURCES)]
    sent: Counter[str] = Counter()
    begin = time.monotonic()
    try:
        for number in range(count):
            if number % _BURST == 0:
                if is_over():
                    break
                time.sleep(max(0.0, begin + seconds * number / count - time.monotonic()))
            kind, data = next(datagrams)
            with suppress(BlockingIOError):
                sockets[number * 7 % _SOURCES].sendto(data, targets[number % len(targets)])
                sent[kind] += 1
    finally:
        for each in sockets:
            each.close()
    return sent


def _source(number: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind((f"127.0.{1 + number // 250}.{1 + number % 250}", 0))
    return sock


async def hostile_streams(
    random: Random, targets: Sequence[Address], recorded: Sequence[bytes], count: int, seconds: float
) -> Counter[str]:
    """Open so many streams, spread over that time; how many of each kind the node closed, or left open (`held`)."""
    kinds = (_slow, _silent, _noise, _oversized, _truncated, _replayed)
    ends: Counter[str] = Counter()
    places = asyncio.Semaphore(_AT_ONCE)
    loop = asyncio.get_running_loop()
    begin = loop.time()

    async def one(number: int) -> None:
        async with places:
            kind = kinds[number % len(kinds)]
            host = f"127.0.9.{1 + number % _HOSTS}"
            try:
                async with asyncio.timeout(_HOLD):
                    reader, writer = await asyncio.open_connection(
                        *targets[number % len(targets)], local_addr=(host, 0)
                    )
                    try:
                        await asyncio.gather(kind(writer, random, recorded), reader.read())
                    finally:
                        writer.transport.abort()
            except TimeoutError:
                ends["held"] += 1
            except OSError:
                ends[kind.__name__.strip("_")] += 1
            else:
                ends[kind.__name__.strip("_")] += 1

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            await asyncio.sleep(max(0.0, begin + seconds * number / count - loop.time()))
            async with places:  # so that tasks do not pile up
                group.create_task(one(number))
    return ends


async def _slow(writer: asyncio.StreamWriter, random: Random, recorded: Sequence[bytes]) -> None:
    """A byte a second."""
    for byte in (100).to_bytes(4) + bytes(100):
        writer.write(bytes((byte,)))
        await writer.drain()
        if writer.transport.is_closing():
            return
        await asyncio.sleep(1.0)


async def _silent(writer: asyncio.StreamWriter, random: Random, recorded: Sequence[bytes]) -> None:
    """Nothing at all."""


async def _noise(writer: asyncio.StreamWriter, random: Random, recorded: Sequence[bytes]) -> None:
    """Random bytes of the length announced."""
    size = random.randrange(5000)
    writer.write(size.to_bytes(4) + random.randbytes(size))


async def _oversized(writer: asyncio.StreamWriter, random: Random, recorded: Sequence[bytes]) -> None:
    """More than may be announced."""
    writer.write((1 << 31).to_bytes(4) + random.randbytes(5000))


async def _truncated(writer: asyncio.StreamWriter, random: Random, recorded: Sequence[bytes]) -> None:
    """Less than was announced, and the end."""
    writer.write((1000).to_bytes(4) + random.randbytes(random.randrange(1000)))
    writer.write_eof()


async def _replayed(writer: asyncio.StreamWriter, random: Random, recorded: Sequence[bytes]) -> None:
    """Something that was recorded elsewhere."""
    data = random.choice(recorded)
    writer.write(len(data).to_bytes(4) + data)
