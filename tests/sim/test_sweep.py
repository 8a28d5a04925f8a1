"""Random scenarios, seed after seed, under all invariants.

`SIM_SEEDS` says which: a number for so many from 0 on, or `FIRST..LAST`. A failure shows its seed and the
scenario as a script; `SIM_SEEDS=17..17` plays the one again.
"""

import os
from dataclasses import replace

import pytest

from shoal.bench.arguments import seeds
from shoal.config import ClusterConfig
from shoal.sim.presets import preset
from shoal.sim.scenario import play, random_scenario
from shoal.sim.steps import Start

_DEFAULT = "600"
_CHUNK = 50
_ONE_IN = 10
"""Of so many seeds one plays the drills, which take longer."""


def chunks() -> list[range]:
    everything = seeds(os.environ.get("SIM_SEEDS", _DEFAULT))
    return [everything[start : start + _CHUNK] for start in range(0, len(everything), _CHUNK)]


@pytest.mark.parametrize("chunk", chunks(), ids=lambda chunk: f"seeds {chunk[0]} to {chunk[-1]}")
def test_random_scenarios_keep_all_invariants_and_end_in_agreement(chunk: range) -> None:
    for seed in chunk:
        cluster = play(random_scenario(seed, nodes=5 + seed % 4))

        assert cluster.converged()


@pytest.mark.parametrize("chunk", chunks(), ids=lambda chunk: f"seeds {chunk[0]} to {chunk[-1]}")
def test_random_scenarios_with_identities_do_so_too(chunk: range) -> None:
    for seed in chunk[:: _ONE_IN if len(chunk) > 1 else 1]:
        scenario = random_scenario(seed, nodes=5 + seed % 4)
        # A rival of another key never gets in, so views would not agree.
        steps = tuple(replace(step, known_as=None) if isinstance(step, Start) else step for step in scenario.steps)
        config = ClusterConfig.lan(death_signatures=1 + seed // _ONE_IN % 4)
        cluster = play(replace(scenario, steps=steps, identities=True), config)

        assert cluster.converged()


@pytest.mark.parametrize("name", ["partition", "power-cut", "rolling-restart", "rack-loss", "bootstrap"])
@pytest.mark.parametrize("chunk", chunks(), ids=lambda chunk: f"seeds {chunk[0]} to {chunk[-1]}")
def test_drills_keep_all_invariants_and_end_in_agreement(chunk: range, name: str) -> None:
    for seed in chunk[:: _ONE_IN if len(chunk) > 1 else 1]:
        cluster = play(preset(name).scenario(seed, nodes=5 + seed % 4))

        assert cluster.converged()
