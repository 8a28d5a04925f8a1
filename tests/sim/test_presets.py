from math import inf, nan

import pytest

from shoal.config import ClusterConfig
from shoal.errors import ConfigError
from shoal.events import MemberFailed
from shoal.sim import steps
from shoal.sim.presets import LEAST_NODES, PRESETS, preset
from shoal.sim.runner import PresetRecipe, Trial, run_seed
from shoal.sim.scenario import play

QUICK = {"churn": {"seconds": 30.0}, "gc-pauses": {"seconds": 20.0}, "lifeguard-interval": {"seconds": 20.0}}


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_keeps_all_invariants_and_accuses_nobody_falsely(name: str) -> None:
    recipe = PresetRecipe(name, nodes=8, parameters=QUICK.get(name, {}))

    result = run_seed(Trial(recipe), seed=1)

    assert not result.violations
    assert result.verdicts.false_deaths_at_healthy == 0
    assert result.verdicts.false_deaths == 0 or name == "hard-loss", "who hears one packet in five accuses many"


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_fits_the_least_cluster_and_is_made_by_its_seed(name: str) -> None:
    made = PRESETS[name].scenario(seed=3, nodes=LEAST_NODES)

    assert made == PRESETS[name].scenario(seed=3, nodes=LEAST_NODES)
    assert made.nodes == LEAST_NODES
    assert not run_seed(Trial(PresetRecipe(name, LEAST_NODES, QUICK.get(name, {}))), seed=3).violations


@pytest.mark.parametrize("name", sorted(set(PRESETS) - {"join-storm"}))
def test_another_seed_makes_another_scenario(name: str) -> None:
    scenarios = {str(PRESETS[name].scenario(seed)) for seed in range(10)}

    assert len(scenarios) == 10


def test_a_slower_profile_gets_more_time_to_agree() -> None:
    wan = ClusterConfig.wan()

    result = run_seed(Trial(PresetRecipe("crash", nodes=8), wan), seed=1)

    assert not result.violations
    assert all(outage.all_know is not None for outage in result.outages)


def test_parameters_change_the_scenario() -> None:
    one = preset("lifeguard-threshold").scenario(1, nodes=8, blocked=2.5, concurrent=1)

    assert "wait 2.5 s" in str(one)
    assert str(one).count("block the I/O") == 2  # and unblock
    assert preset("rack-loss").parameters == {"share": 0.25}


def test_a_crash_can_be_any_node() -> None:
    crashed = {
        seen.event.member.name
        for seed in range(6)
        for seen in play(preset("crash").scenario(seed, nodes=4)).observed(MemberFailed)
    }

    assert len(crashed) > 1


@pytest.mark.parametrize(
    ("name", "nodes", "parameters", "said"),
    [
        ("partition", 3, {}, "nodes = 3: partition needs at least 4"),
        ("partition", 60_001, {}, "nodes = 60001: partition takes at most 60000"),
        ("partition", 4, {"second": 1.0}, "second = 1.0: partition has no such parameter; it has: seconds, share"),
        ("partition", 4, {"seconds": 0.0}, "seconds = 0.0: must be above 0 and at most 3600 seconds"),
        ("partition", 4, {"seconds": nan}, "seconds = nan: must be above 0 and at most 3600 seconds"),
        ("rack-loss", 32, {"share": 0.0}, "share = 0.0: must be above 0 and at most 0.937: 30 of 32 nodes"),
        ("rack-loss", 32, {"share": 2.0}, "share = 2.0: must be above 0 and at most 0.937: 30 of 32 nodes"),
        ("lifeguard-threshold", 128, {"concurrent": 1000.0}, "must be a whole number from 1 to 126, with 128 nodes"),
        ("lifeguard-threshold", 128, {"concurrent": 1.5}, "concurrent = 1.5: must be a whole number from 1 to 126"),
        ("lifeguard-threshold", 128, {"concurrent": inf}, "concurrent = inf: must be a whole number from 1 to 126"),
        ("hard-loss", 8, {"sick": 7.0}, "sick = 7.0: must be a whole number from 1 to 6, with 8 nodes"),
        ("hard-loss", 8, {"ingress": 1.1}, "ingress = 1.1: must be above 0 and at most 1"),
        ("rolling-restart", 8, {"batches": 9.0}, "batches = 9.0: must be a whole number from 1 to 8, with 8 nodes"),
    ],
)
def test_what_a_preset_cannot_do_is_refused(name: str, nodes: int, parameters: dict[str, float], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        preset(name).scenario(1, nodes, **parameters)


def test_all_but_two_nodes_can_suffer() -> None:
    for nodes in range(LEAST_NODES, 64):
        made = preset("rack-loss").scenario(1, nodes, share=(nodes - 2) / nodes)

        assert sum(isinstance(step, steps.Crash) for step in made.steps) == nodes - 2


def test_an_unknown_preset_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"scenario = 'earthquake': .*the presets are crash, churn, partition"):
        preset("earthquake")


def test_summaries_are_one_line() -> None:
    assert all("\n" not in one.summary and one.name == name for name, one in PRESETS.items())
