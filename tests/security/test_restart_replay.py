"""What was recorded of real traffic is played again to an agent that was killed and started anew."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
from pathlib import Path

import pytest

from shoal import Cluster, ClusterConfig
from shoal.errors import ShoalError
from shoal.net.sockets import SocketTransport
from shoal.types import Address
from shoal.wire.envelope import OVERHEAD
from tests.agent.processes import AgentProcess, running_agents, wait_until
from tests.clusters import in_real_time, until

KEY = base64.b64encode(bytes(range(32))).decode()
CHALLENGE = OVERHEAD + 16
"""Bytes."""
ORDERS = [b"order %d" % number for number in range(5)]
COMMON = ClusterConfig.lan(cluster="replayed", keys=[KEY], bind="127.0.0.1:0")


class Tapped(SocketTransport):
    """Real sockets, and somebody who reads along what leaves them."""

    def __init__(self) -> None:
        super().__init__(COMMON)
        self.datagrams: list[bytes] = []
        self.requests: list[bytes] = []

    def send(self, data: bytes, address: Address) -> None:
        self.datagrams.append(data)
        super().send(data, address)

    async def exchange(self, address: Address, data: bytes, timeout: float) -> bytes:
        self.requests.append(data)
        return await super().exchange(address, data, timeout)


def _orders(agent: AgentProcess) -> list[bytes]:
    return [base64.b64decode(line["payload"]) for line in agent.lines("broadcast_received")]


async def _play(datagrams: list[bytes], requests: list[bytes], target: Address) -> int:
    """Send all of it again, from sockets of somebody else; how many requests got more than a challenge."""
    replayer = SocketTransport(COMMON)
    answered = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for data in datagrams:
            sock.sendto(data, target)
    await replayer.bind()
    try:
        for data in requests:
            with contextlib.suppress(ShoalError):
                answered += len(await replayer.exchange(target, data, 5.0)) > CHALLENGE
    finally:
        await replayer.close()
    return answered


@pytest.mark.parametrize("keeps_state", [True, False])
@in_real_time
async def test_a_killed_agent_takes_no_recorded_traffic_if_it_keeps_its_state(
    tmp_path: Path, keeps_state: bool
) -> None:
    tap = Tapped()
    with running_agents() as agents:
        options = ["--name", "b", "--log-level", "debug"] + (["--state-dir", str(tmp_path)] if keeps_state else [])
        settings = {"SHOAL_KEYS": KEY, "SHOAL_CLUSTER": "replayed"}
        b = await asyncio.to_thread(agents.start, *options, **settings)
        where = Address.parse(await asyncio.to_thread(lambda: b.gossip))
        a = Cluster(COMMON, transport=tap, name="a", seeds=[where])
        await a.start()
        await a.wait_for_members(2)
        for order in ORDERS:
            await a.broadcast(order)
        await until(lambda: len(_orders(b)) == len(ORDERS))
        await a.close()  # it can prove nothing any more
        b.kill()
        b = await asyncio.to_thread(agents.start, *options, "--bind", str(where), **settings)
        http = await asyncio.to_thread(lambda: b.http)
        assert http.port
        answered = await _play(tap.datagrams, tap.requests, where)
        if not keeps_state:  # which shows that what is played again would be taken
            await until(lambda: sorted(_orders(b)) == ORDERS)
            assert answered > 0
            return
        await asyncio.to_thread(
            wait_until,
            lambda: b.client.info().stats["transport_dropped_unproven"] == len(tap.requests) + len(tap.datagrams),
            "all of it is dropped",
        )
        assert answered == 0
        assert _orders(b) == []
        assert [member.name for member in b.client.members() if member.state == "alive"] == ["b"]
