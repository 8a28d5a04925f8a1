import os
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from io import StringIO
from typing import Any

import pytest

from shoal.errors import ConfigError
from shoal.sim import steps
from shoal.sim.cluster import SimCluster
from shoal.sim.invariants import Moment
from shoal.sim.network import Link
from shoal.sim.runner import FixedRecipe, PresetRecipe, RunResult, SeedLost, Trial, run_seed, run_seeds
from shoal.sim.scenario import Scenario
from shoal.sim.summary import Quantiles, Summary, quantile
from shoal.sim.trace import replay
from shoal.sim.workers import Workers

CRASH = Trial(PresetRecipe("crash", nodes=5), loss=0.01)
APART = steps.Partition((("n0",), ("n1", "n2", "n3")))
SPLIT = Scenario(0, 4, (steps.StartAll(), steps.Wait(5.0), APART, steps.Wait(20.0), steps.Agree(1.0)))


@dataclass(frozen=True)
class Fatal:
    """A recipe that kills the process for one seed."""

    seed: int

    def scenario(self, seed: int, pace: float) -> Scenario:
        if seed == self.seed:
            os._exit(1)
        return PresetRecipe("crash", nodes=4).scenario(seed, pace)


@dataclass(frozen=True)
class Bug:
    """A step in which the simulation raises what nobody expects."""

    def apply(self, cluster: SimCluster) -> None:
        raise KeyError("n9")


def by_seed(results: list[RunResult]) -> list[RunResult]:
    return sorted(results, key=lambda result: result.seed)


def test_any_executor_gives_the_same_results() -> None:
    here = [run_seed(CRASH, seed) for seed in range(4)]

    with ThreadPoolExecutor(2) as threads:
        assert by_seed(list(run_seeds(CRASH, range(4), threads))) == here
    with Workers(2) as workers:
        assert by_seed(list(run_seeds(CRASH, range(4), workers))) == here


def test_not_all_seeds_are_handed_over_at_once() -> None:
    class Counting(Executor):
        open = most = 0

        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            self.open += 1
            self.most = max(self.most, self.open)
            future: Future[Any] = Future()
            future.set_result(fn(*args, **kwargs))
            return future

    executor = Counting()
    for _ in run_seeds(CRASH, range(6), executor, at_once=2):
        executor.open -= 1

    assert executor.most == 2


def test_a_worker_that_dies_names_its_seed() -> None:
    with Workers(1) as workers, pytest.raises(SeedLost, match=r"seed 2 was lost: .*died") as caught:
        list(run_seeds(Trial(Fatal(2)), range(5), workers))

    assert caught.value.seed == 2


def test_a_recipe_that_makes_no_sense_is_told() -> None:
    with pytest.raises(ConfigError, match="earthquake"):
        run_seed(Trial(PresetRecipe("earthquake")), 1)


def test_what_a_scenario_expected_in_vain_is_a_violation_with_its_script() -> None:
    result = run_seed(Trial(FixedRecipe(SPLIT)), 7)

    (violation,) = result.violations
    assert "ScenarioFailed: views do not agree 1 s after the last fault" in violation
    assert result.notes.startswith("seed 7, at ")
    assert "Scenario(\n    seed=7" in result.notes


def test_an_error_in_the_core_is_a_violation_too() -> None:
    result = run_seed(Trial(FixedRecipe(Scenario(0, 2, (steps.StartAll(), Bug())))), 1)

    assert result.violations == ("0.000 s: KeyError: 'n9'",)


def test_each_broken_invariant_is_a_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing_is_right(before: Moment, after: Moment) -> Iterator[str]:
        yield "this"
        yield "that"

    monkeypatch.setattr("shoal.sim.cluster.DURING", (nothing_is_right,))

    result = run_seed(Trial(PresetRecipe("crash", nodes=4)), 1)

    assert result.violations == ("1.000 s: nothing_is_right: this", "1.000 s: nothing_is_right: that")


def test_loss_replaces_that_of_the_scenario() -> None:
    assert CRASH.scenario(1).link.loss == 0.01
    lossy = FixedRecipe(replace(SPLIT, link=Link(loss=0.3)))
    assert Trial(lossy).scenario(1).link.loss == 0.3
    assert Trial(lossy, loss=0.0).scenario(1).link.loss == 0.0


def test_the_timeline_is_kept_of_the_chosen_seed_only() -> None:
    trial = Trial(PresetRecipe("crash", nodes=4), timeline_of=1)

    assert run_seed(trial, 1).timeline
    assert not run_seed(trial, 2).timeline


def test_a_run_can_be_traced_and_replayed() -> None:
    trace = StringIO()

    traced = run_seed(CRASH, 3, trace)

    assert traced == run_seed(CRASH, 3)
    assert sum(1 for _ in replay(trace.getvalue().splitlines())) > 100


def test_seeds_are_pooled() -> None:
    results = [run_seed(CRASH, seed) for seed in range(5)]

    summary = Summary.of(results)

    firsts = [outage.first for result in results for outage in result.outages if outage.first is not None]
    assert (summary.runs, summary.outages, summary.detected, summary.known_by_all) == (5, 5, 5, 5)
    assert summary.first_detection_s is not None
    assert summary.first_detection_s.max == round(max(firsts), 6)
    assert summary.all_know_s is not None
    assert summary.all_know_s.p50 >= summary.first_detection_s.p50
    assert summary.bytes_per_node_s > summary.messages_per_node_s > 1
    assert summary.node_hours == round(sum(result.load.node_seconds for result in results) / 3600, 6)
    assert (summary.false_deaths, summary.violations) == (0, 0)


def test_violations_are_counted() -> None:
    assert Summary.of([run_seed(Trial(FixedRecipe(SPLIT)), seed) for seed in (1, 2)]).violations == 2


def test_nothing_pools_to_nothing() -> None:
    summary = Summary.of([])

    assert (summary.first_detection_s, summary.bytes_per_node_s) == (None, 0.0)


@pytest.mark.parametrize(("share", "expected"), [(0.5, 5), (0.99, 10), (0.0, 1), (1.0, 10), (0.11, 2), (0.1, 1)])
def test_a_quantile_is_a_value_that_was_seen(share: float, expected: float) -> None:
    assert quantile(range(1, 11), share) == expected


def test_quantiles_are_named() -> None:
    assert Quantiles.of(float(value) for value in range(1000, 0, -1)) == Quantiles(500.0, 990.0, 999.0, 1000.0)
    assert Quantiles.of([]) is None
