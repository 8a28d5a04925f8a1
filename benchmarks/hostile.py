"""A live cluster under attack: `python -m benchmarks.hostile [--datagrams N] [--streams N] [--seconds S] [--json]`.

Agents are processes of their own, with keys, on UDP and TCP of loopback. Attackers send random, mutated, replayed and
forged datagrams from 256 addresses and open slow, silent, noisy, oversized, truncated and replayed streams from 16
hosts. Meanwhile somebody reads a member's HTTP API once a second, and an honest node joins in the middle of it.
Ends with 1 if a process has ended, a live member was held dead, memory grew, or honest traffic was not served.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import msgspec

import shoal
from benchmarks._attackers import RecordingTransport, flood, hostile_datagrams, hostile_streams
from shoal.agent import schema
from shoal.bench.arguments import at_least, seconds
from shoal.demo.http import fetch
from shoal.types import Address

__all__ = ["Outcome", "Plan", "run"]

_START = 60.0
_CALM = 5.0
"""Seconds without an attack: before the first look at memory, and after the attack."""
_RECORDING = 5.0
_GROWTH = 16.0
"""MiB that a process may have grown by in the end; buffers and code that was never run before take a few."""
_READ_SECONDS = 5.0
"""An honest read of the HTTP API that takes longer counts as not served."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much, and in what time."""

    datagrams: int = 1_000_000
    streams: int = 10_000
    seconds: float = 240.0
    nodes: int = 5
    seed: int = 1


@dataclass(slots=True)
class Outcome:
    """What came of it."""

    datagrams: dict[str, int] = field(default_factory=dict)
    streams: dict[str, int] = field(default_factory=dict)
    """By kind, as the node ended them; `held` those that it left open for 20 seconds."""
    seconds: float = 0.0
    ended: list[str] = field(default_factory=list)
    """Agents whose process has ended."""
    false_deaths: int = 0
    """Times that any agent held any member dead: nobody died."""
    suspicions: int = 0
    core_faults: int = 0
    views_complete: bool = False
    """Whether in the end every agent holds every agent alive, in the run that it had before."""
    resident_before: list[float] = field(default_factory=list)
    """MiB, by agent."""
    resident_after: list[float] = field(default_factory=list)
    resident_peak: list[float] = field(default_factory=list)
    probes: int = 0
    probes_failed: int = 0
    http_reads: int = 0
    http_reads_failed: int = 0
    http_slowest: float = 0.0
    joined_after: float | None = None
    """Seconds that an honest node took to join and see everybody, in the middle of the attack."""
    dropped: dict[str, int] = field(default_factory=dict)
    """By reason, in all agents together."""
    cpu_seconds: float = 0.0
    """Of all agents together, while they were attacked."""

    def problems(self) -> Iterator[str]:
        """What should not be."""
        if self.ended:
            yield f"processes ended: {', '.join(self.ended)}"
        if self.false_deaths or not self.views_complete:
            yield f"{self.false_deaths} false deaths, views complete at the end: {self.views_complete}"
        if self.core_faults:
            yield f"{self.core_faults} exceptions out of the core"
        grown = [after - before for before, after in zip(self.resident_before, self.resident_after, strict=True)]
        if max(grown) > _GROWTH:
            yield f"memory grew by {max(grown):.1f} MiB"
        if self.http_reads_failed or not self.http_reads:
            yield f"{self.http_reads_failed} of {self.http_reads} reads of the HTTP API failed"
        if self.joined_after is None:
            yield "an honest node could not join"
        if self.streams.get("held"):
            yield f"{self.streams['held']} hostile streams were left open"


class _Agent:
    """One `shoal agent` as a process."""

    def __init__(self, name: str, key: str, cluster: str, seeds: Sequence[Address], log: Path) -> None:
        self.name = name
        command = [sys.executable, "-m", "shoal", "agent", "--name", name, "--log-format", "json"]
        command += ["--bind", "127.0.0.1:0", "--http", "127.0.0.1:0"]
        for seed in seeds:
            command += ["--join", str(seed)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SHOAL_")}
        environment |= {"SHOAL_KEYS": key, "SHOAL_CLUSTER": cluster}
        self._log = log
        with log.open("wb") as file:
            self.process = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
        self.http: Address
        self.gossip: Address

    async def ready(self) -> None:
        async with asyncio.timeout(_START):
            while not self._has_started():  # noqa: ASYNC110 - a process tells through its log
                await asyncio.sleep(0.1)

    async def info(self) -> schema.Info:
        return msgspec.json.decode(await fetch(self.http, "/v1/info"), type=schema.Info)

    async def alive(self) -> set[str]:
        members = msgspec.json.decode(await fetch(self.http, "/v1/members"), type=list[schema.Member])
        return {member.id for member in members if member.state == "alive"}

    def resident(self, which: str) -> float:
        """MiB: VmRSS now, VmHWM at most."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(which):
                return round(int(line.split()[1]) / 1024, 1)
        raise LookupError(which)

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self) -> None:
        self.process.kill()
        self.process.wait()

    def _has_started(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.name} could not be started: {self._log.read_text()}")
        for line in self._log.read_text().splitlines():
            if '"agent_started"' in line:
                started = json.loads(line)
                self.http = Address.parse(started["http"])
                self.gossip = Address.parse(started["member"]["address"])
                return True
        return False


async def run(plan: Plan) -> Outcome:
    """Attack a new cluster as planned. Raises `TimeoutError` when it does not form."""
    outcome, random = Outcome(), Random(plan.seed)
    async with _cluster(plan) as (agents, config):
        recorded, members = await _record(config, agents)
        infos = [await agent.info() for agent in agents]
        ids = {info.member.id for info in infos}
        outcome.resident_before = [agent.resident("VmRSS") for agent in agents]
        cpu_before = sum(agent.cpu_seconds() for agent in agents)
        begin = time.monotonic()
        targets = [agent.gossip for agent in agents]
        datagrams = hostile_datagrams(random, recorded, members, config.cluster)
        is_over = False
        reading = asyncio.create_task(_read(agents[0], outcome))
        flooding = asyncio.create_task(
            asyncio.to_thread(flood, datagrams, targets, plan.datagrams, plan.seconds, is_over=lambda: is_over)
        )
        joining = asyncio.create_task(_join(config, agents, outcome, after=plan.seconds / 3))
        try:
            outcome.streams = dict(
                await hostile_streams(Random(plan.seed), targets, recorded, plan.streams, plan.seconds)
            )
            outcome.datagrams = dict(await flooding)
            await joining
        finally:
            is_over = True
            reading.cancel()
            await asyncio.gather(flooding, reading, joining, return_exceptions=True)
        outcome.seconds = round(time.monotonic() - begin, 1)
        outcome.cpu_seconds = round(sum(agent.cpu_seconds() for agent in agents) - cpu_before, 1)
        await asyncio.sleep(_CALM)
        await _look(agents, ids, infos, outcome)
    return outcome


@asynccontextmanager
async def _cluster(plan: Plan) -> AsyncIterator[tuple[list[_Agent], shoal.ClusterConfig]]:
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    cluster = f"hostile-{secrets.token_hex(4)}"
    agents: list[_Agent] = []
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        for number in range(plan.nodes):
            log = Path(directory, f"{number}.log")
            agent = _Agent(f"node-{number}", key, cluster, [each.gossip for each in agents[:1]], log)
            stack.callback(agent.end)
            await agent.ready()
            agents.append(agent)
        async with asyncio.timeout(_START):
            for agent in agents:
                while len(await agent.alive()) < plan.nodes:  # noqa: ASYNC110 - as users of the API do
                    await asyncio.sleep(0.1)
        seeds = [str(agent.gossip) for agent in agents]
        yield agents, shoal.ClusterConfig().replace(cluster=cluster, keys=[key], seeds=seeds, bind="127.0.0.1:0")


async def _record(config: shoal.ClusterConfig, agents: Sequence[_Agent]) -> tuple[list[bytes], list[shoal.Member]]:
    """What one sees who reads the network of a member for a while, and who the members are."""
    transport = RecordingTransport(config)
    async with shoal.Cluster(config, name="recorder", transport=transport) as cluster:
        await cluster.wait_for_members(len(agents) + 1, _START)
        await asyncio.sleep(_RECORDING)
        members = [member for member in cluster.members() if member.name != "recorder"]
    await asyncio.sleep(_CALM)
    return transport.recorded, members


async def _read(agent: _Agent, outcome: Outcome) -> None:
    """Honest use of a member."""
    while True:
        begin = time.monotonic()
        try:
            async with asyncio.timeout(_READ_SECONDS):
                await agent.info()
        except (OSError, TimeoutError):
            outcome.http_reads_failed += 1
        outcome.http_reads += 1
        outcome.http_slowest = round(max(outcome.http_slowest, time.monotonic() - begin), 3)
        await asyncio.sleep(1.0)


async def _join(config: shoal.ClusterConfig, agents: Sequence[_Agent], outcome: Outcome, after: float) -> None:
    await asyncio.sleep(after)
    begin = time.monotonic()
    async with shoal.Cluster(config, name="latecomer") as cluster:
        await cluster.wait_for_members(len(agents) + 1, _START)
        outcome.joined_after = round(time.monotonic() - begin, 2)


async def _look(agents: Sequence[_Agent], ids: set[str], before: Sequence[schema.Info], outcome: Outcome) -> None:
    outcome.ended = [agent.name for agent in agents if agent.process.poll() is not None]
    if outcome.ended:
        return
    counters: Counter[str] = Counter()
    for agent, earlier in zip(agents, before, strict=True):
        stats: dict[str, Any] = (await agent.info()).stats
        counters.update(stats)
        counters.subtract(earlier.stats)
    outcome.views_complete = all([await agent.alive() == ids for agent in agents])
    outcome.false_deaths = counters["deaths"]
    outcome.suspicions = counters["suspicions"]
    outcome.core_faults = counters["driver_core_faults"]
    outcome.probes, outcome.probes_failed = counters["probes"], counters["probes_failed"]
    outcome.dropped = {name: count for name, count in sorted(counters.items()) if count and _is_refusal(name)}
    outcome.resident_after = [agent.resident("VmRSS") for agent in agents]
    outcome.resident_peak = [agent.resident("VmHWM") for agent in agents]


def _is_refusal(name: str) -> bool:
    streams = ("refused", "displaced", "timed_out", "too_large", "over_memory")
    return "dropped_" in name or name in {f"transport_streams_{what}" for what in streams}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print."""
    plan = Plan()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datagrams", type=at_least(1), default=plan.datagrams)
    parser.add_argument("--streams", type=at_least(1), default=plan.streams)
    parser.add_argument("--seconds", type=seconds, default=plan.seconds)
    parser.add_argument("--nodes", type=at_least(3), default=plan.nodes)
    parser.add_argument("--seed", type=int, default=plan.seed)
    parser.add_argument("--json", action="store_true")
    options = vars(parser.parse_args(arguments))
    as_json = options.pop("json")
    outcome = asyncio.run(run(Plan(**options)))
    problems = list(outcome.problems())
    if as_json:
        print(json.dumps(asdict(outcome) | {"problems": problems}))
    else:
        for name, value in asdict(outcome).items():
            print(f"{name.replace('_', ' '):18} {value}")
        print("\n".join(problems) or "withstood")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
