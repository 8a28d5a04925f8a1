"""Scenarios as data: a list of steps, one interpreter that plays them, and random ones from a seed.

A scenario prints itself as the Python that makes it, so that whatever failed can be pasted into a test.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Final, TextIO

from shoal.config import ClusterConfig
from shoal.sim import steps
from shoal.sim.cluster import SimCluster
from shoal.sim.latency import Constant, Latency, LogNormal, Uniform
from shoal.sim.network import CALM, Link, StreamMode
from shoal.sim.steps import Step

__all__ = ["AGREEMENT_BOUND", "Scenario", "play", "play_on", "random_scenario"]

AGREEMENT_BOUND: Final = 90.0
"""Seconds after the last fault within which random scenarios expect all views to agree, in the LAN profile: the longest
suspicion of an observer in bad health, and then a few rounds of anti-entropy and of reconnecting."""

_log = logging.getLogger(__name__)

_LATENCIES: Final[tuple[Latency, ...]] = (
    Constant(0.001),
    Uniform(0.000_2, 0.001),
    Uniform(0.001, 0.1),
    LogNormal(0.002, 1.0),
    LogNormal(0.03, 0.5),
)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A cluster and what happens to it."""

    seed: int
    nodes: int
    steps: tuple[Step, ...]
    link: Link = CALM
    seeds: int = 1
    """How many of the first nodes all others join through."""
    formed: bool = False
    """Whether the nodes know each other from the start, instead of joining."""
    identities: bool = False
    """Whether each node has an identity, so that deaths need signatures."""
    zones: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The nodes of each zone, also of those that a step starts first; see `SimCluster.set_zone_link`."""

    @property
    def least_seconds(self) -> float:
        """Virtual seconds that it takes if all views agree as soon as they are asked to."""
        waits = sum(step.seconds for step in self.steps if isinstance(step, steps.Wait))
        return waits + sum(step.stay for step in self.steps if isinstance(step, steps.Agree | steps.AgreeWithout))

    def script(self) -> str:
        """The Python that makes this scenario."""
        steps = "".join(f"        {step!r},\n" for step in self.steps)
        formed = f"    zones={dict(self.zones)!r},\n" if self.zones else ""
        formed += "    formed=True,\n" if self.formed else ""
        formed += "    identities=True,\n" if self.identities else ""
        return (
            f"Scenario(\n    seed={self.seed},\n    nodes={self.nodes},\n    seeds={self.seeds},\n{formed}"
            f"    link={self.link!r},\n    steps=(\n{steps}    ),\n)"
        )

    def cluster(
        self, config: ClusterConfig | None = None, *, check_every: float | None = 1.0, trace: TextIO | None = None
    ) -> SimCluster:
        """The cluster before the first step; see `SimCluster` for the arguments."""
        return SimCluster(
            nodes=self.nodes,
            seed=self.seed,
            config=config,
            link=self.link,
            zones=self.zones,
            seeds=self.seeds,
            formed=self.formed,
            identities=self.identities,
            check_every=check_every,
            trace=trace,
        )

    def __str__(self) -> str:
        return "\n".join(map(str, self.steps))


def play(
    scenario: Scenario,
    config: ClusterConfig | None = None,
    *,
    trace: TextIO | None = None,
    log: Callable[[str], None] = _log.info,
) -> SimCluster:
    """Play all steps and return the cluster as it stands then; each step goes to `log` with its time.

    Whatever a step raises gets the scenario's script as a note.
    """
    cluster = scenario.cluster(config, trace=trace)
    try:
        for _ in play_on(cluster, scenario, log=log):
            pass
    finally:
        cluster.end_trace()
    return cluster


def play_on(cluster: SimCluster, scenario: Scenario, *, log: Callable[[str], None] = _log.info) -> Iterator[Step]:
    """Play a scenario on its cluster step by step: yields each step when it is done.

    Whatever a step raises gets the scenario's script as a note.
    """
    for step in scenario.steps:
        log(f"{cluster.now:9.3f} s  {step}")
        try:
            step.apply(cluster)
        except Exception as error:
            error.add_note(f"seed {scenario.seed}, at {cluster.now:.3f} s, in {step!r} of\n{scenario.script()}")
            raise
        yield step


def random_scenario(seed: int, nodes: int = 6, faults: int = 12) -> Scenario:
    """Make `faults` random faults on a random network, an end to them all, and then agreement.

    The same seed makes the same scenario. At the end the first node runs, and at least one other.
    """
    return _Generator(seed, nodes).scenario(faults)


class _Generator:
    """Draws steps that are possible at their time, so it keeps book of who is in which condition."""

    def __init__(self, seed: int, nodes: int) -> None:
        self._seed = seed
        self._random = Random(f"{seed}/scenario")
        self._nodes = nodes
        self._names = [f"n{index}" for index in range(nodes)]
        self._up = list(self._names)
        self._frozen: list[str] = []
        self._blocked: list[str] = []
        self._is_cut = False
        self._drawn = 0
        self._choices: tuple[tuple[int, Callable[[], Step | None]], ...] = (
            (4, self._crash),
            (5, self._restart),
            (3, self._leave),
            (2, self._new_node),
            (4, self._freeze),
            (5, self._thaw),
            (3, self._block_io),
            (4, self._unblock_io),
            (4, self._partition),
            (2, self._cut),
            (5, self._heal),
            (2, self._set_loss),
            (2, self._set_node_loss),
            (1, self._set_rate),
            (2, self._set_streams),
            (1, self._slow_cpu),
            (1, self._clock_rate),
            (2, self._set_tags),
            (2, self._broadcast),
            (1, self._drain),
        )

    def scenario(self, faults: int) -> Scenario:
        link = self._link()
        drawn: list[Step] = [steps.StartAll(), self._wait(4.0)]
        for _ in range(faults):
            drawn += (self._step(), self._wait(3.0))
        drawn.append(steps.Repair())
        drawn += [steps.Restart(name) for name in self._names if self._comes_back(name)]
        drawn.append(steps.Agree(AGREEMENT_BOUND, stay=15.0))
        return Scenario(self._seed, self._nodes, tuple(drawn), link, seeds=self._nodes)

    def _link(self) -> Link:
        draw = self._random
        return Link(
            latency=draw.choice(_LATENCIES),
            loss=draw.choice((0.0, 0.0, 0.01, 0.03)),
            duplication=draw.choice((0.0, 0.0, 0.02)),
            reordering=draw.choice((0.0, 0.0, 0.05)),
        )

    def _comes_back(self, name: str) -> bool:
        """Whether a node that is down at the end of the faults starts again; the first one does, for others to join."""
        return name not in self._up and (name == self._names[0] or self._random.random() < 0.5)

    def _wait(self, mean: float) -> Step:
        return steps.Wait(round(self._random.expovariate(1 / mean), 3))

    def _step(self) -> Step:
        weights, makers = zip(*self._choices, strict=True)
        while True:
            (make,) = self._random.choices(makers, weights)
            step: Step | None = make()
            if step is not None:
                self._drawn += 1
                return step

    def _one_of(self, names: list[str]) -> str | None:
        return self._random.choice(names) if names else None

    @property
    def _running(self) -> list[str]:
        return [name for name in self._up if name not in self._frozen]

    def _goes(self, name: str) -> None:
        for names in (self._up, self._frozen, self._blocked):
            if name in names:
                names.remove(name)

    def _crash(self) -> Step | None:
        if len(self._up) <= 2:
            return None
        name = self._random.choice(self._up)
        self._goes(name)
        return steps.Crash(name, silent=self._random.random() < 0.3)

    def _restart(self) -> Step | None:
        down = [name for name in self._names if name not in self._up]
        name = self._one_of(down if self._random.random() < 0.8 else self._up)
        if name is None:
            return None
        self._goes(name)
        self._up.append(name)
        return steps.Restart(name, clock_step=-3600.0 if self._random.random() < 0.1 else 0.0)

    def _leave(self) -> Step | None:
        name = self._one_of(self._running) if len(self._up) > 2 else None
        if name is None:
            return None
        self._goes(name)
        return steps.Leave(name)

    def _new_node(self) -> Step | None:
        if len(self._names) >= 2 * self._nodes:
            return None
        rival = self._random.choice(self._names) if self._random.random() < 0.25 else None
        name = f"n{len(self._names)}"
        self._names.append(name)
        self._up.append(name)
        return steps.Start(name, known_as=rival)

    def _freeze(self) -> Step | None:
        name = self._one_of(self._running)
        if name is not None:
            self._frozen.append(name)
        return steps.Freeze(name) if name is not None else None

    def _thaw(self) -> Step | None:
        name = self._one_of(self._frozen)
        if name is not None:
            self._frozen.remove(name)
        return steps.Thaw(name) if name is not None else None

    def _block_io(self) -> Step | None:
        name = self._one_of([name for name in self._up if name not in self._blocked])
        if name is not None:
            self._blocked.append(name)
        return steps.BlockIo(name) if name is not None else None

    def _unblock_io(self) -> Step | None:
        name = self._one_of(self._blocked)
        if name is not None:
            self._blocked.remove(name)
        return steps.UnblockIo(name) if name is not None else None

    def _partition(self) -> Step | None:
        shuffled = self._random.sample(self._names, len(self._names))
        split = self._random.randint(1, len(shuffled) - 1)
        self._is_cut = True
        return steps.Partition((tuple(shuffled[:split]), tuple(shuffled[split:])))

    def _cut(self) -> Step | None:
        shuffled = self._random.sample(self._names, len(self._names))
        split = self._random.randint(1, len(shuffled) - 1)
        self._is_cut = True
        return steps.Cut(tuple(shuffled[:split]), tuple(shuffled[split:]))

    def _heal(self) -> Step | None:
        was_cut, self._is_cut = self._is_cut, False
        return steps.Heal() if was_cut else None

    def _set_loss(self) -> Step | None:
        return steps.SetLoss(self._random.choice((0.0, 0.05, 0.2, 0.4)))

    def _set_node_loss(self) -> Step | None:
        shares = (0.0, 0.1, 0.5, 0.9)
        return steps.SetNodeLoss(
            self._random.choice(self._names), ingress=self._random.choice(shares), egress=self._random.choice(shares)
        )

    def _set_rate(self) -> Step | None:
        return steps.SetRate(self._random.choice(self._names), self._random.choice((None, 1_000.0, 10_000.0)))

    def _set_streams(self) -> Step | None:
        return steps.SetStreams(self._random.choice(self._names), self._random.choice(tuple(StreamMode)))

    def _slow_cpu(self) -> Step | None:
        return steps.SlowCpu(self._random.choice(self._names), self._random.choice((0.0, 0.01, 0.1)))

    def _clock_rate(self) -> Step | None:
        return steps.ClockRate(self._random.choice(self._names), self._random.choice((0.5, 0.99, 1.01, 2.0)))

    def _set_tags(self) -> Step | None:
        name = self._one_of(self._running)
        return steps.SetTags(name, {"version": str(self._drawn)}) if name is not None else None

    def _broadcast(self) -> Step | None:
        name = self._one_of(self._running)
        return steps.Broadcast(name, f"news {self._drawn}".encode()) if name is not None else None

    def _drain(self) -> Step | None:
        name = self._one_of(self._running)
        return steps.Drain(name) if name is not None else None
