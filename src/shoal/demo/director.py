"""Plays the acts on real processes, and holds every node's reports against the script."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

from shoal.agent import schema
from shoal.config import ClusterConfig, Profile
from shoal.demo.acts import Act, Deed, Freeze, Kill, Leave, Resume, Start, Verdict
from shoal.demo.agreement import disagreements
from shoal.demo.failure import DemoError
from shoal.demo.observer import fetch_agreement, fetch_members, sightings
from shoal.demo.processes import Agent
from shoal.demo.reporter import Reporter, Stage
from shoal.demo.sightings import Sighting
from shoal.demo.timeline import Performance

__all__ = ["Director", "Outcome", "patience_for"]

_T = TypeVar("_T")

_REFRESH_INTERVAL = 0.1
_POLL_INTERVAL = 0.2
_AGREEMENT_INTERVAL = 0.5
_MAX_SEEDS = 3


def patience_for(profile: Profile, nodes: int) -> float:
    """Seconds to wait for what an act announces: twice the longest suspicion, and some for a busy machine."""
    config = ClusterConfig.of_profile(profile)
    least_suspicion = config.suspicion_alpha * max(1.0, math.log10(nodes)) * config.probe_interval
    return 20.0 + 2.0 * config.suspicion_beta * least_suspicion


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the demo went."""

    performances: Sequence[tuple[Performance, Verdict]]
    unplayed: Sequence[Act]
    """Acts that were not reached, because one before them failed."""
    views: Mapping[str, Sequence[schema.Member]]
    """The members as each running node lists them at the end."""
    disagreements: Sequence[str]
    """Why these views are not complete and the same."""
    agreement: Mapping[str, float | None]
    """Of each running node, the share of its last probes that met an equal view."""

    @property
    def failures(self) -> list[str]:
        """What was announced and not observed, or observed and must not be; one sentence each."""
        verdicts = [(performance.act.title, verdict) for performance, verdict in self.performances]
        return [
            *(f"{title}: {expectation}" for title, verdict in verdicts for expectation in verdict.missing),
            *(f"{title}: {sighting}, which must not be" for title, verdict in verdicts for sighting in verdict.broken),
            *(f"end: {disagreement}" for disagreement in self.disagreements),
        ]

    @property
    def is_success(self) -> bool:
        """Whether everything announced was observed."""
        return not self.failures and not self.unplayed


class Director:
    """Plays acts and follows what every agent reports, while its context is open.

    Leaving the context raises an `ExceptionGroup` with a `DemoError` in it when an agent failed the demo.
    """

    def __init__(self, stage: Stage, reporter: Reporter) -> None:
        self._stage = stage
        self._pool = stage.pool
        self._timeline = stage.timeline
        self._reporter = reporter
        self._patience = patience_for(stage.profile, len(stage.names))
        self._tasks = asyncio.TaskGroup()
        self._observing: list[asyncio.Task[None]] = []
        self._news = asyncio.Event()
        self._is_lingering = False

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for task in self._observing:
            task.cancel()
        await self._tasks.__aexit__(kind, error, traceback)

    async def play(self) -> Outcome:
        """Play the acts in order, until one fails. Raises `DemoError` when an agent does not do what it is told."""
        watching = [self._tasks.create_task(self._refresh()), self._tasks.create_task(self._follow_agreement())]
        try:
            for number, act in enumerate(self._stage.acts, start=1):
                verdict = await self._perform(act, number)
                if not verdict.is_fulfilled:
                    break
                await asyncio.sleep(self._reporter.pause)
            return await self._conclude()
        finally:
            for task in watching:
                task.cancel()

    async def linger(self, reporter: Reporter) -> None:
        """Go on reporting until cancelled. The agents are the audience's now: each may end at any time."""
        self._is_lingering = True
        self._reporter = reporter
        await asyncio.get_running_loop().create_future()

    # Acts

    async def _perform(self, act: Act, number: int) -> Verdict:
        performance = self._timeline.begin(act)
        self._reporter.act_began(performance, number)
        await self._do(act.deed)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience):
                await self._until_decided(performance)
        await asyncio.sleep(performance.since + act.at_least - self._timeline.now())
        verdict = self._timeline.verdict(performance)
        self._reporter.act_ended(performance, verdict)
        return verdict

    async def _until_decided(self, performance: Performance) -> None:
        while True:
            self._news.clear()
            verdict = self._timeline.verdict(performance)
            if verdict.broken or not verdict.missing:
                return
            await self._news.wait()

    async def _do(self, deed: Deed) -> None:
        match deed:
            case Start(names):
                await self._start(names)
            case Kill(name):
                self._pool[name].kill()
            case Leave(name):
                await self._pool[name].leave()
            case Freeze(name):
                await self._pool[name].freeze()
            case Resume(name):
                await self._pool[name].resume()

    async def _start(self, names: Sequence[str]) -> None:
        """The first of all has to be there before the others, because they join through it."""
        if not self._pool.running():
            await self._start_one(names[0])
            names = names[1:]
        async with asyncio.TaskGroup() as starting:
            for name in names:
                starting.create_task(self._start_one(name))

    async def _start_one(self, name: str) -> None:
        seeds = [agent.gossip for agent in self._pool.running()[:_MAX_SEEDS]]
        agent = await self._pool.start(name, seeds)
        self._timeline.begin_view(name)
        self._reporter.note(f"{name} is up: pid {agent.pid}, gossips on {agent.gossip}, serves http://{agent.http}")
        self._observing.append(self._tasks.create_task(self._observe(agent), name=f"observer of {name}"))

    # Reports

    async def _observe(self, agent: Agent) -> None:
        try:
            async with aclosing(sightings(agent, self._timeline.now)) as reports:
                async for report in reports:
                    self._take(report)
        except DemoError as error:
            if not self._is_lingering:
                raise
            self._reporter.note(str(error))

    def _take(self, report: Iterable[Sighting]) -> None:
        for sighting in self._timeline.add(report):
            self._reporter.sighted(sighting)
        self._news.set()

    async def _refresh(self) -> None:
        while True:
            self._reporter.refresh()
            await asyncio.sleep(_REFRESH_INTERVAL)

    async def _follow_agreement(self) -> None:
        while True:
            agreement: dict[str, float | None] = {}
            for agent in self._pool.running():
                with suppress(OSError):  # The act may be its end.
                    agreement[agent.name] = await fetch_agreement(agent)
            self._timeline.agreement = agreement
            await asyncio.sleep(_AGREEMENT_INTERVAL)

    # The end

    async def _conclude(self) -> Outcome:
        """Look at every list of members, again and again until they agree; only once if an act has failed."""
        performed = [(performance, self._timeline.verdict(performance)) for performance in self._timeline.performances]
        unplayed = self._stage.acts[len(performed) :]
        is_complete = not unplayed and all(verdict.is_fulfilled for _, verdict in performed)
        deadline = self._timeline.now() + self._patience
        while True:
            views = {agent.name: await self._ask(agent, fetch_members) for agent in self._pool.running()}
            problems = disagreements(views, self._stage.names) if is_complete else []
            if not problems or self._timeline.now() > deadline:
                agreement = {agent.name: await self._ask(agent, fetch_agreement) for agent in self._pool.running()}
                return Outcome(performed, unplayed, views, problems, agreement)
            await asyncio.sleep(_POLL_INTERVAL)

    async def _ask(self, agent: Agent, fetch: Callable[[Agent], Awaitable[_T]]) -> _T:
        try:
            return await fetch(agent)
        except OSError as error:
            raise DemoError(f"{agent.name} does not tell of its view: {error}; {await agent.last_words()}") from error
