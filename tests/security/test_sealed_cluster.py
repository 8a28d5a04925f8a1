"""Attackers without a key, on the network of a cluster that has one: they record, replay, divert, forge and damage."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

from shoal import Cluster
from shoal.errors import ReceiveError
from shoal.keys import ClusterKey
from shoal.net.memory import MemoryTransport
from shoal.types import Address, MemberState
from shoal.wire.envelope import Channel, Sealer
from shoal.wire.keyring import Keyring
from shoal.wire.messages import Dead, Gossip, Left, Ping
from shoal.wire.native import NativeDialect
from shoal.wire.seals import Suite
from tests.clusters import Lan, in_memory, until
from tests.fuzz.decode import mutate
from tests.net.receivers import Recorder
from tests.swim.harness import node_id

KEY, OTHER_KEY = (base64.b64encode(bytes([number] * 32)).decode() for number in (1, 2))
DIALECT = NativeDialect("shoal")
EVE = Address("10.66.6.6", 7946)


class Attack:
    """Three members with a key, somebody who reads along, and a place to send from."""

    def __init__(self, lan: Lan, nodes: list[Cluster], eve: MemoryTransport, recorded: list[bytes]) -> None:
        self.lan = lan
        self.nodes = nodes
        self.eve = eve
        self.recorded = recorded
        self.answers = Recorder()

    def send_to_all(self, data: bytes) -> None:
        for node in self.nodes:
            self.eve.send(data, node.local.address)

    def forgeries(self) -> list[bytes]:
        """News of the death of everybody."""
        ids = [node.local.id for node in self.nodes]
        return [
            DIALECT.attach(DIALECT.encode(Gossip(0, 0, accuser)), [DIALECT.encode_update(update)])
            for accuser in ids
            for id in ids
            for update in (Dead(id, 5, accuser), Left(id, 5))
        ]

    def dropped(self, reason: str) -> int:
        return sum(node.stats()[f"transport_dropped_{reason}"] for node in self.nodes)

    def check(self) -> None:
        """Everybody holds everybody alive, in the run and incarnation of before."""
        for node in self.nodes:
            assert {(member.name, member.state, member.incarnation) for member in node.all_members()} == {
                (f"n{number}", MemberState.ALIVE, 0) for number in range(3)
            }


@asynccontextmanager
async def attack() -> AsyncIterator[Attack]:
    lan = Lan()
    recorded: list[bytes] = []
    send = lan.network._send

    def recording(data: bytes, source: Address, target: Address) -> None:
        if source != EVE:
            recorded.append(data)
        send(data, source, target)

    lan.network._send = recording  # type: ignore[method-assign]
    nodes = [lan.node("n0", keys=[KEY])]
    await nodes[0].start()
    for name in ("n1", "n2"):
        nodes.append(lan.node(name, keys=[KEY], seeds=[nodes[0]]))
        await nodes[-1].start()
    for node in nodes:
        await node.wait_for_members(3)
    eve = lan.network.transport(EVE)
    scene = Attack(lan, nodes, eve, recorded)
    await eve.start(scene.answers)
    await asyncio.sleep(2.0)
    yield scene
    for node in nodes:
        await node.close()
    await eve.close()


@in_memory
async def test_deaths_that_are_not_sealed_kill_nobody() -> None:
    async with attack() as scene:
        for data in scene.forgeries():
            scene.send_to_all(data)
        await asyncio.sleep(5.0)
        scene.check()
        assert scene.dropped("not_sealed") == 3 * len(scene.forgeries())


@in_memory
async def test_deaths_sealed_with_another_key_kill_nobody() -> None:
    async with attack() as scene:
        ring = Keyring([ClusterKey(base64.b64decode(OTHER_KEY))])
        sealer = Sealer(ring, "shoal", Suite.AES_256_GCM, Channel.DATAGRAM, Random(1).randbytes)
        for data in scene.forgeries():
            scene.send_to_all(sealer.seal(data, 0))
        await asyncio.sleep(5.0)
        scene.check()
        assert scene.dropped("unknown_key") == 3 * len(scene.forgeries())


@in_memory
async def test_recorded_traffic_played_again_is_dropped_and_changes_nothing() -> None:
    async with attack() as scene:
        recorded = scene.recorded[:]
        assert len(recorded) > 100
        for data in recorded:
            scene.send_to_all(data)
        await asyncio.sleep(5.0)
        scene.check()
        assert scene.dropped("replayed") >= len(recorded)


@in_memory
async def test_damaged_truncated_and_oversized_traffic_reaches_no_core() -> None:
    async with attack() as scene:
        random = Random(1)
        originals = {bytes(data) for data in scene.recorded}
        sent = 0
        for _ in range(1000):
            data, other = random.choice(scene.recorded), random.choice(scene.recorded)
            for hostile in (mutate(data, other, random), data[: random.randrange(len(data))], data + bytes(60_000)):
                if hostile not in originals:
                    scene.send_to_all(hostile)
                    sent += 3
        await asyncio.sleep(5.0)
        scene.check()
        reasons = ("not_sealed", "unknown_key", "stale", "replayed", "bad_tag")
        assert sum(map(scene.dropped, reasons)) == sent
        assert scene.answers.datagrams == []


@in_memory
async def test_streams_without_a_key_get_no_answer() -> None:
    async with attack() as scene:
        ping = DIALECT.encode(Ping(1, 0, node_id(1), scene.nodes[0].local.id))
        for data in (b"", ping, bytes(100_000), scene.recorded[0]):
            for node in scene.nodes:
                try:
                    await scene.eve.exchange(node.local.address, data, 1.0)
                except ReceiveError:
                    continue
                raise AssertionError("a stream was answered")
        scene.check()


@in_memory
async def test_somebody_with_another_key_does_not_get_in() -> None:
    async with attack() as scene:
        stranger = scene.lan.node("stranger", keys=[OTHER_KEY], seeds=scene.nodes, join_timeout=1.0)
        await stranger.start()
        await asyncio.sleep(5.0)
        assert [member.name for member in stranger.all_members()] == ["stranger"]
        scene.check()
        await stranger.close()


@in_memory
async def test_the_cluster_notices_a_real_death_while_it_is_attacked() -> None:
    async with attack() as scene:
        await scene.nodes[2].close()

        def is_noticed() -> bool:
            for data in scene.forgeries():
                scene.send_to_all(data)
            return all(len(node.members()) == 2 for node in scene.nodes[:2])

        await until(is_noticed)
        scene.nodes.pop()
