"""The network in memory, on a clock of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from random import Random

import pytest

from shoal.errors import BindError, ShoalTimeoutError
from shoal.net.memory import MemoryNetwork, MemoryTransport
from shoal.types import Address
from tests.net.receivers import Recorder

A, B, C = (Address(f"10.0.0.{number}", 7946) for number in (1, 2, 3))


class Node:
    """A transport with its recorder."""

    def __init__(self, transport: MemoryTransport) -> None:
        self.transport = transport
        self.recorder = Recorder()

    @property
    def heard(self) -> list[bytes]:
        return [data for data, _ in self.recorder.datagrams]


Start = Callable[[Address], "asyncio.Future[Node]"]


@pytest.fixture
def network() -> MemoryNetwork:
    return MemoryNetwork(Random(1))


@pytest.fixture
async def start(network: MemoryNetwork) -> AsyncIterator[Start]:
    nodes: list[Node] = []

    async def started(address: Address) -> Node:
        node = Node(network.transport(address))
        await node.transport.start(node.recorder)
        nodes.append(node)
        return node

    yield lambda address: asyncio.ensure_future(started(address))
    for node in nodes:
        await node.transport.close()


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_a_datagram_takes_the_delay(network: MemoryNetwork, start: Start) -> None:
    a, b = await start(A), await start(B)
    network.delay = 0.25

    a.transport.send(b"x", B)

    await asyncio.sleep(0.24)
    assert b.heard == []
    await asyncio.sleep(0.02)
    assert b.heard == [b"x"]


async def test_drawn_delays_reorder_datagrams(network: MemoryNetwork, start: Start) -> None:
    a, b = await start(A), await start(B)
    network.delay = lambda random: random.uniform(0.01, 0.1)
    sent = [bytes([number]) for number in range(50)]

    for data in sent:
        a.transport.send(data, B)
    await asyncio.sleep(0.1)

    assert b.heard != sent
    assert sorted(b.heard) == sent


async def test_an_exchange_takes_two_round_trips(network: MemoryNetwork, start: Start) -> None:
    a, _ = await start(A), await start(B)
    network.delay = 0.1

    assert await a.transport.exchange(B, b"x", 10) == b"x"

    assert now() == pytest.approx(0.4)


async def test_loss_is_a_share_of_the_datagrams(network: MemoryNetwork, start: Start) -> None:
    a, b = await start(A), await start(B)
    network.loss = 0.3

    for _ in range(1000):
        a.transport.send(b"x", B)
    await asyncio.sleep(1)

    assert 600 < len(b.heard) < 800
    assert a.transport.stats.datagrams_out == 1000


async def test_loss_slows_streams_down_but_breaks_none(network: MemoryNetwork, start: Start) -> None:
    a, _ = await start(A), await start(B)
    network.loss = 0.3

    for number in range(20):
        assert await a.transport.exchange(B, b"%d" % number, 1000) == b"%d" % number

    assert now() > 1.0


async def test_a_partition_cuts_both_ways_until_it_heals(network: MemoryNetwork, start: Start) -> None:
    a, b, c = await start(A), await start(B), await start(C)
    network.partition([[A, B], [C]])

    a.transport.send(b"to b", B)
    a.transport.send(b"to c", C)
    c.transport.send(b"to a", A)
    await asyncio.sleep(1)
    assert (a.heard, b.heard, c.heard) == ([], [b"to b"], [])

    network.heal()
    a.transport.send(b"healed", C)
    await asyncio.sleep(1)
    assert c.heard == [b"healed"]


async def test_those_in_no_group_form_one_of_their_own(network: MemoryNetwork) -> None:
    network.partition([[A]])

    assert network.reaches(B, C)
    assert not network.reaches(A, B)
    assert not network.reaches(B, A)


async def test_a_cut_is_one_way(network: MemoryNetwork, start: Start) -> None:
    a, b = await start(A), await start(B)
    network.cut(A, B)

    a.transport.send(b"lost", B)
    b.transport.send(b"found", A)
    await asyncio.sleep(1)

    assert (a.heard, b.heard) == ([b"found"], [])


@pytest.mark.parametrize(("source", "target"), [(A, B), (B, A)])
async def test_a_stream_needs_both_ways(network: MemoryNetwork, start: Start, source: Address, target: Address) -> None:
    a, _ = await start(A), await start(B)
    network.cut(source, target)

    with pytest.raises(ShoalTimeoutError):
        await a.transport.exchange(B, b"x", 5)

    assert now() == pytest.approx(5)


async def test_a_stream_outlives_a_short_cut(network: MemoryNetwork, start: Start) -> None:
    a, _ = await start(A), await start(B)
    network.cut(A, B)
    asyncio.get_running_loop().call_later(1, network.heal)

    assert await a.transport.exchange(B, b"x", 5) == b"x"


async def test_what_is_sent_to_a_closed_transport_is_lost(network: MemoryNetwork, start: Start) -> None:
    a, b = await start(A), await start(B)
    network.delay = 1.0
    a.transport.send(b"x", B)

    await b.transport.close()
    await asyncio.sleep(2)

    assert b.heard == []


async def test_the_ports_of_a_host_are_finite(network: MemoryNetwork) -> None:
    transports = [network.transport(Address("10.0.0.9", 0)) for _ in range(3)]
    for transport in transports:
        await transport.bind()
    assert len({transport.address for transport in transports}) == 3

    with pytest.raises(BindError, match=r"10\.0\.0\.9:49152: the port is in use"):
        await network.transport(transports[0].address).bind()
    for transport in transports:
        await transport.close()


async def run_with(seed: int) -> list[tuple[float, bytes]]:
    """When each of a hundred datagrams arrived."""
    network = MemoryNetwork(Random(seed), loss=0.2, delay=lambda random: random.expovariate(10))
    arrivals: list[tuple[float, bytes]] = []
    begin = now()

    class Clocked(Recorder):
        def datagrams_received(self, batch: object) -> None:
            assert isinstance(batch, list)
            arrivals.extend((round(now() - begin, 6), data) for data, _ in batch)

    a, b = network.transport(A), network.transport(B)
    await a.start(Clocked())
    await b.start(Clocked())
    for number in range(100):
        a.send(bytes([number]), B)
        await asyncio.sleep(0.01)
    await asyncio.sleep(10)
    await a.close()
    await b.close()
    return arrivals


async def test_the_same_seed_gives_the_same_run() -> None:
    assert await run_with(7) == await run_with(7)
    assert await run_with(7) != await run_with(8)
