"""Fifty real nodes, restarted batch by batch over UDP and TCP of loopback."""

from __future__ import annotations

import asyncio
from random import Random

from shoal import Cluster, VerdictReason
from shoal.events import MemberFailed
from shoal.subscription import Subscription
from tests.clusters import FAST, in_real_time, until

NODES = 50
BATCH = 10
CONFIG = FAST.replace(probe_interval=2.0, probe_timeout=1.0, gossip_interval=0.05, timer_slack=0.0)
"""Deaths are found, within some ten seconds; a busy machine is none."""


@in_real_time
async def test_fifty_nodes_restart_without_a_false_death_and_none_is_selected_once_it_has_stopped() -> None:
    nodes = {"n0": Cluster(CONFIG, name="n0")}
    await nodes["n0"].start()
    for index in range(1, NODES):
        nodes[f"n{index}"] = Cluster(CONFIG, name=f"n{index}", seeds=[nodes["n0"].local.address])
    await asyncio.gather(*(node.start() for node in nodes.values() if node is not nodes["n0"]))
    await _complete(nodes)
    watching = {name: node.events() for name, node in nodes.items()}
    order = Random(1).sample(sorted(nodes), NODES)
    before = {node.local.id for node in nodes.values()}

    for first in range(0, NODES, BATCH):
        batch = order[first : first + BATCH]
        staying = [name for name in nodes if name not in batch]
        await asyncio.gather(*(nodes[name].drain() for name in batch))
        for name in batch:
            await nodes[name].leave()
            await nodes[name].close()
            selected = [other for other in staying if name in {member.name for member in nodes[other].members()}]
            assert not selected, f"{name} has stopped, and {selected} select it"
        assert not any(_false_deaths(watching[name]) for name in batch)
        seeds = [nodes[name].local.address for name in staying[:3]]
        for name in batch:
            nodes[name] = Cluster(CONFIG, name=name, seeds=seeds)
            watching[name] = nodes[name].events()
        await asyncio.gather(*(nodes[name].start() for name in batch))
        await _complete(nodes)

    assert not before & {node.local.id for node in nodes.values()}, "each is a new run"
    assert not any(map(_false_deaths, watching.values()))
    await asyncio.gather(*(node.close() for node in nodes.values()))


async def _complete(nodes: dict[str, Cluster]) -> None:
    await until(lambda: all(len(node.members()) == NODES for node in nodes.values()))


def _false_deaths(events: Subscription) -> list[MemberFailed]:
    seen = iter(events.take, None)
    failed = (event for event in seen if isinstance(event, MemberFailed))
    return [event for event in failed if event.evidence.reason is not VerdictReason.REPLACED]
