"""The model says what the simulator shows, at a size that both can play."""

from statistics import fmean, median

import pytest

from shoal.config import ClusterConfig
from shoal.sim.model.change import play_change
from shoal.sim.model.kill import play_kill
from shoal.sim.model.load import quiet_load
from shoal.sim.model.setting import Setting
from shoal.study.scale import SHARES, ScaleCell, ScaleOutcome, run_scale

NODES = 200
SETTING = Setting(NODES)


@pytest.fixture(scope="module")
def simulated() -> ScaleOutcome:
    return run_scale("shoal", ScaleCell(NODES, changes=6, kills=6, quiet=120.0))


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_change_takes_as_long_to_reach_most_members_within_a_millisecond(simulated: ScaleOutcome, index: int) -> None:
    modelled = [play_change(SETTING, seed, SHARES).delays[index] for seed in range(10)]

    assert median(modelled) == pytest.approx(median(one[index] for one in simulated.changes), abs=0.001)


def test_nearly_all_members_hear_of_a_change_within_the_same_few_rounds(simulated: ScaleOutcome) -> None:
    modelled = [play_change(SETTING, seed, SHARES).delays[3] for seed in range(20)]

    assert median(modelled) == pytest.approx(median(one[3] for one in simulated.changes), abs=0.1)


def test_a_suspicion_lasts_as_long_and_all_hear_of_the_death_as_soon(simulated: ScaleOutcome) -> None:
    modelled = [play_kill(SETTING, seed, SHARES) for seed in range(10)]
    lasted = [one.first - one.first_suspected for one in simulated.kills if one.first and one.first_suspected]
    told = [one.all_know - one.first for one in simulated.kills if one.all_know and one.first]

    assert median(one.first - one.first_suspected for one in modelled) == pytest.approx(median(lasted), abs=0.01)
    assert fmean(one.all_know - one.first for one in modelled) == pytest.approx(fmean(told), abs=0.2)


def test_a_dead_member_is_probed_as_soon_on_average(simulated: ScaleOutcome) -> None:
    seen = [one.first_suspected for one in simulated.kills if one.first_suspected]
    modelled = [play_kill(SETTING, seed, SHARES).first_suspected for seed in range(20)]

    assert fmean(modelled) == pytest.approx(fmean(seen), abs=0.6)  # the standard deviation of one is 0.5 s


def test_a_quiet_cluster_sends_as_much_within_a_hundredth(simulated: ScaleOutcome) -> None:
    load = quiet_load(SETTING)

    assert load.datagrams == pytest.approx(simulated.quiet_datagrams_per_s, rel=0.01)
    assert load.bytes == pytest.approx(simulated.quiet_bytes_per_s, rel=0.01)


def test_news_costs_as_many_datagrams_within_a_fifth(simulated: ScaleOutcome) -> None:
    changes = [play_change(SETTING, seed, SHARES).rounds_per_member for seed in range(5)]
    kills = [play_kill(SETTING, seed, SHARES).rounds_per_member for seed in range(5)]

    assert fmean(changes) == pytest.approx(simulated.datagrams_per_change, rel=0.2)
    assert fmean(kills) == pytest.approx(simulated.datagrams_per_kill, rel=0.2)


def test_other_profiles_agree_too() -> None:
    config = ClusterConfig.lan(suspicion_alpha=2.0, suspicion_floor=3.0)

    outcome = play_kill(Setting(NODES, config), 1, SHARES)

    assert outcome.first - outcome.first_suspected == pytest.approx(4.602, abs=0.01)  # 2 * log10(200)
