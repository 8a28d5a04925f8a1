"""One scenario over many seeds, on any executor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Protocol, TextIO

from shoal.config import ClusterConfig
from shoal.sim.invariants import InvariantViolated
from shoal.sim.measures import Load, Mark, Outage, Recorder, Verdicts
from shoal.sim.presets import preset
from shoal.sim.scenario import Scenario, play_on
from shoal.sim.scheduler import Scheduler
from shoal.sim.steps import ImpossibleStepError

__all__ = ["FixedRecipe", "PresetRecipe", "Recipe", "RunResult", "SeedLost", "Trial", "run_seed", "run_seeds"]


class Recipe(Protocol):
    """Makes the scenario for each seed. It must be picklable to be used in other processes."""

    def scenario(self, seed: int, pace: float) -> Scenario:
        """The same arguments give the same scenario; `pace` is the profile's probe interval in seconds."""
        ...


@dataclass(frozen=True, slots=True)
class PresetRecipe:
    """A preset by name."""

    name: str
    nodes: int | None = None
    """How many; None for the preset's own number."""
    parameters: Mapping[str, float] = field(default_factory=dict)
    """See `Preset.parameters`."""

    def scenario(self, seed: int, pace: float) -> Scenario:
        """Raises `ConfigError` when there is no such preset or parameter."""
        return preset(self.name).scenario(seed, self.nodes, pace, **self.parameters)


@dataclass(frozen=True, slots=True)
class FixedRecipe:
    """The same steps for every seed."""

    steps_of: Scenario

    def scenario(self, seed: int, pace: float) -> Scenario:
        """The scenario with another seed."""
        return replace(self.steps_of, seed=seed)


@dataclass(frozen=True, slots=True)
class Trial:
    """What is run for each seed."""

    recipe: Recipe
    config: ClusterConfig = field(default_factory=ClusterConfig.lan)
    loss: float | None = None
    """Share of packets that vanish on every path, in place of the scenario's own; None: as the scenario says."""
    check_every: float | None = 1.0
    """Virtual seconds between two checks of the invariants; None: only where the scenario says so."""
    timeline_of: int | None = None
    """The seed whose result keeps its timeline."""
    formed: bool | None = None
    """Whether the nodes know each other from the start; None: as the scenario says."""
    identities: bool = False
    """Whether each node has an identity, also where the scenario does not say so."""

    def scenario(self, seed: int) -> Scenario:
        """What is played for a seed."""
        scenario = self.recipe.scenario(seed, self.config.probe_interval)
        if self.formed is not None:
            scenario = replace(scenario, formed=self.formed)
        if self.identities:
            scenario = replace(scenario, identities=True)
        return scenario if self.loss is None else replace(scenario, link=replace(scenario.link, loss=self.loss))


@dataclass(frozen=True, slots=True)
class RunResult:
    """What came out for one seed."""

    seed: int
    nodes: int
    """At the end, those that are down included."""
    seconds: float
    """Virtual time that passed."""
    outages: tuple[Outage, ...]
    verdicts: Verdicts
    load: Load
    agreements: tuple[float, ...]
    """How long each `Agree` step took until all views agreed, in virtual seconds."""
    violations: tuple[str, ...] = ()
    """Broken invariants, expectations that did not come true, errors of the core. The first ends the run."""
    notes: str = ""
    """Of a run with violations: its seed and script."""
    timeline: tuple[Mark, ...] = ()


class SeedLost(Exception):
    """The executor lost a seed: its process died, or it could not be run there."""

    def __init__(self, seed: int, reason: BaseException) -> None:
        super().__init__(f"seed {seed} was lost: {reason}")
        self.seed = seed


def run_seed(
    trial: Trial, seed: int, trace: TextIO | None = None, on_second: Callable[[float], None] | None = None
) -> RunResult:
    """Play the scenario for one seed, in this process. What goes wrong in it is part of the result.

    `on_second` is called with the virtual time, every virtual second. Raises `ImpossibleStepError` for a step that the
    settings of the nodes do not admit.
    """
    scenario = trial.scenario(seed)
    cluster = scenario.cluster(trial.config, check_every=trial.check_every, trace=trace)
    if on_second is not None:
        _tell_time(cluster.scheduler, on_second)
    recorder = Recorder(cluster)
    violations: tuple[str, ...] = ()
    notes = ""
    try:
        for step in play_on(cluster, scenario):
            recorder.after(step)
    except InvariantViolated as error:
        violations, notes = tuple(map(str, error.violations)), _notes(error)
    except ImpossibleStepError:
        raise
    except Exception as error:
        violations, notes = (f"{cluster.now:.3f} s: {type(error).__name__}: {error}",), _notes(error)
    cluster.end_trace()
    return RunResult(
        seed=seed,
        nodes=len(cluster.nodes),
        seconds=cluster.now,
        load=recorder.load(),
        outages=recorder.outages(),
        verdicts=recorder.verdicts(),
        agreements=tuple(recorder.agreements),
        violations=violations,
        notes=notes,
        timeline=recorder.timeline() if trial.timeline_of == seed else (),
    )


def _tell_time(scheduler: Scheduler, tell: Callable[[float], None]) -> None:
    tell(scheduler.now)
    scheduler.after(1.0, _tell_time, scheduler, tell)


def run_seeds(trial: Trial, seeds: Iterable[int], executor: Executor, *, at_once: int = 64) -> Iterator[RunResult]:
    """Play the scenario for each seed on an executor; yields results as they come, in any order.

    At most `at_once` seeds are handed to the executor at a time. Raises `SeedLost` when it loses one, and what it
    raises itself, such as `ConfigError` from the recipe. The executor stays open; ending it early is up to the caller.
    """
    waiting = iter(seeds)
    running: dict[Future[RunResult], int] = {}
    try:
        while True:
            for seed in islice(waiting, at_once - len(running)):
                running[executor.submit(run_seed, trial, seed)] = seed
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield _result(future, running.pop(future))
    finally:
        for future in running:
            future.cancel()


def _result(future: Future[RunResult], seed: int) -> RunResult:
    try:
        return future.result()
    except BrokenExecutor as error:
        raise SeedLost(seed, error) from error


def _notes(error: Exception) -> str:
    return "\n".join(getattr(error, "__notes__", ()))
