import builtins
import importlib
import sys
from dataclasses import replace
from math import inf
from statistics import fmean
from typing import Any

import pytest

from shoal.config import ClusterConfig
from shoal.errors import ConfigError, MissingExtraError
from shoal.sim.model.agenda import TICK, Agenda
from shoal.sim.model.arrays import np
from shoal.sim.model.change import play_change
from shoal.sim.model.footprint import Footprint, measured_footprint
from shoal.sim.model.forecast import forecast
from shoal.sim.model.kill import play_kill
from shoal.sim.model.limits import limits, probe_pass
from shoal.sim.model.load import churn_load, quiet_load
from shoal.sim.model.setting import Setting
from shoal.sim.profiles import LIFEGUARD, MEMBERLIST, SWIM

SHARES = (0.5, 1.0)
LAN = ClusterConfig.lan()


def test_one_seed_gives_one_run_and_another_seed_another() -> None:
    setting = Setting(500)

    assert play_change(setting, 1, SHARES) == play_change(setting, 1, SHARES)
    assert play_kill(setting, 1, SHARES) == play_kill(setting, 1, SHARES)
    assert play_kill(setting, 1, SHARES) != play_kill(setting, 2, SHARES)


def test_news_reaches_half_of_ten_times_the_members_a_little_later() -> None:
    small, large = (play_change(Setting(members), 1, SHARES).delays[0] for members in (1_000, 10_000))

    assert small < large < 2 * small


def test_nobody_sends_an_update_more_often_than_the_limit_and_a_round_allow() -> None:
    setting = Setting(1_000, ClusterConfig.lan(gossip_feedback=False))

    outcome = play_change(setting, 1, SHARES)

    assert setting.sends == 16
    assert setting.sends - 1 <= outcome.sends_per_member <= setting.sends + 2
    assert outcome.missed == 0


@pytest.mark.parametrize("members", [1_000, 10_000])
def test_with_feedback_a_change_is_sent_half_as_often_after_its_rounds(members: int) -> None:
    outcome = play_change(Setting(members), 1, SHARES)

    assert outcome.sends_per_member == pytest.approx(Setting(members).copies, rel=0.07)
    assert outcome.missed == 0


def test_feedback_halves_the_copies_of_a_verdict() -> None:
    with_feedback, without = (
        play_kill(Setting(1_000, ClusterConfig.lan(gossip_feedback=feedback)), 1, SHARES) for feedback in (True, False)
    )

    assert with_feedback.rounds_per_member < 0.7 * without.rounds_per_member
    assert with_feedback.sends_per_member < 0.6 * without.sends_per_member


@pytest.mark.parametrize("members", [1_000, 10_000])
def test_the_load_of_a_kill_is_what_playing_one_costs(members: int) -> None:
    setting = Setting(members)

    outcome = play_kill(setting, 1, SHARES)

    assert outcome.rounds_per_member == pytest.approx(setting.waves_per_kill * setting.eager_sends, rel=0.05)
    assert outcome.sends_per_member == pytest.approx(setting.waves_per_kill * setting.copies, rel=0.06)


@pytest.mark.parametrize("changes", [{"corroborate": False}, {"gossip_feedback": False}, {"challengers": 0}])
def test_each_part_that_spares_packets_spares_some(changes: dict[str, Any]) -> None:
    plain, spared = (play_kill(Setting(1_000, config), 1, SHARES) for config in (ClusterConfig.lan(**changes), LAN))

    assert spared.sends_per_member < plain.sends_per_member
    assert (
        churn_load(Setting(1_000), 0.01).datagrams
        < churn_load(Setting(1_000, ClusterConfig.lan(**changes)), 0.01).datagrams
    )


def test_an_accusation_is_checked_before_everybody_hears_of_it() -> None:
    checked, told_at_once = (
        play_kill(Setting(1_000, ClusterConfig.lan(corroborate=corroborate)), 1, SHARES)
        for corroborate in (True, False)
    )

    half_checked, half_told = checked.suspected[0], told_at_once.suspected[0]
    assert half_told < 0.01
    assert 0.5 < half_checked < 1.01
    assert checked.first <= told_at_once.first


def test_what_too_few_confirm_is_told_after_one_and_a_quarter_of_the_time_of_a_check() -> None:
    config = ClusterConfig.lan(suspicion_confirmations=16)

    outcome = play_kill(Setting(1_000, config), 1, SHARES)

    assert outcome.suspected[0] == pytest.approx(1.25, abs=0.01)


def test_news_rides_on_pings_and_acks_after_its_rounds() -> None:
    config = ClusterConfig.lan(gossip_feedback=False)
    rounds, riding = (play_change(Setting(1_000, config.replace(gossip_rounds=each)), 1, SHARES) for each in (64, 1))

    assert riding.rounds_per_member == pytest.approx(2, rel=0.02)
    assert rounds.rounds_per_member > 2 * 2
    assert riding.sends_per_member == pytest.approx(rounds.sends_per_member, abs=2)


@pytest.mark.parametrize("profile", [SWIM, LIFEGUARD, MEMBERLIST])
def test_the_published_profiles_are_played_too(profile: ClusterConfig) -> None:
    outcome = play_kill(Setting(1_000, profile), 1, SHARES)

    least = profile.suspicion_alpha * 3
    assert outcome.first - outcome.first_suspected >= least - 2 * TICK
    assert outcome.all_know < inf


def test_with_too_few_sends_gossip_misses_some() -> None:
    outcome = play_change(Setting(2_000, ClusterConfig.lan(retransmit_mult=1, gossip_fanout=1)), 1, SHARES)

    assert outcome.missed > 0
    assert outcome.delays[-1] == inf


def test_a_kill_takes_a_probe_its_verdict_and_the_least_suspicion_time() -> None:
    outcome = play_kill(Setting(10_000), 2, SHARES)

    assert 1.0 <= outcome.first_suspected <= 3.25 + TICK
    assert outcome.first - outcome.first_suspected == pytest.approx(2.6, abs=0.01)  # 0.65 log10 n
    assert outcome.first <= outcome.all_know < outcome.first + 1.0


def test_without_challengers_fewer_confirm_and_a_suspicion_lasts_longer() -> None:
    def lasted(config: ClusterConfig) -> float:
        played = [play_kill(Setting(1_000, config), seed, SHARES) for seed in range(8)]
        return fmean(one.first - one.first_suspected for one in played)

    assert lasted(ClusterConfig.lan(challengers=0)) > lasted(ClusterConfig.lan()) + 0.5


def test_loss_costs_a_quiet_cluster_relays() -> None:
    calm, lossy = quiet_load(Setting(100, loss=0.0)), quiet_load(Setting(100, loss=0.1))

    assert calm.datagrams == 2 * 5 / 8
    assert lossy.datagrams > 1.5 * calm.datagrams


def test_churn_costs_more_in_larger_clusters_until_packets_are_full() -> None:
    loads = [churn_load(Setting(members), 0.01) for members in (1_000, 10_000, 100_000)]

    assert [load.room_used > 1 for load in loads] == [False, False, True]
    assert loads[0].bytes < loads[1].bytes < loads[2].bytes


def test_limits_come_in_the_order_in_which_they_are_met() -> None:
    found = limits(Setting(1_000), Footprint(in_table=100.0, in_snapshot=50.0))

    members = [limit.members for limit in found if limit.members is not None]
    assert members == sorted(members)
    by_text = {limit.what: limit.members for limit in found}
    assert by_text["max_members (65,536) is reached"] == 65_537
    assert by_text["a table takes more than 100 MB in each process"] == 1_000_001
    assert by_text["a joiner's view is larger than max_stream (64 MiB)"] == (64 << 20) // 50 + 1


def test_a_limit_beyond_the_model_is_said_to_be_none() -> None:
    found = limits(Setting(1_000, ClusterConfig.lan(max_members=10_000_000)), Footprint(1.0, 1.0))

    assert [limit.members for limit in found if "max_members" in limit.what] == [None]


def test_a_pass_takes_eight_intervals_a_member_and_two_where_each_pings_for_itself() -> None:
    assert probe_pass(Setting(10_000)) == 8 * 9_999
    assert probe_pass(Setting(10_000, ClusterConfig.lan(mutual_probes=False))) == 2 * 9_999


def test_the_footprint_is_of_plausible_size() -> None:
    footprint = measured_footprint("shoal")

    assert 20 < footprint.in_snapshot < 200
    assert 20 < footprint.in_table < 2_000


def test_a_forecast_says_all_of_it_and_counts_its_seeds() -> None:
    done: list[None] = []

    said = forecast(Setting(1_000), range(2), Footprint(100.0, 50.0), lambda: done.append(None))

    assert len(done) == 2
    assert said.snapshot_bytes == 50_000
    assert said.all_know_s is not None
    assert said.missed == 0


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"members": 10}, "nodes"), ({"loss": 1.0}, "loss"), ({"config": ClusterConfig.lan(gossip_fanout=0)}, "gossip")],
)
def test_what_the_model_does_not_cover_is_refused(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        replace(Setting(1_000), **changes)


def test_an_adaptive_timeout_is_refused_for_kills() -> None:
    with pytest.raises(ConfigError, match="adaptive_timeout"):
        play_kill(Setting(1_000, ClusterConfig.lan(adaptive_timeout=True)), 1, SHARES)


def test_events_come_in_order_of_time_and_those_of_one_tick_together() -> None:
    agenda = Agenda()
    agenda.add(np.array([[1, 2, 3]], np.int32), np.array([0.5, 0.2, 0.5]), 0.0)
    agenda.add(np.array([[4]], np.int32), np.array([0.5]), 0.0)

    assert agenda.next == pytest.approx(0.2)
    assert agenda.pop().tolist() == [[2]]
    assert agenda.pop().tolist() == [[1, 3, 4]]
    assert agenda.next == inf


def test_what_is_due_now_waits_for_the_next_tick() -> None:
    agenda = Agenda()

    agenda.add(np.array([[1]], np.int32), np.array([0.0]), 1.0)

    assert agenda.next > 1.0


def test_without_numpy_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_numpy(name: str, *rest: Any) -> Any:
        if name == "numpy":
            raise ImportError(name)
        return real(name, *rest)

    module = sys.modules["shoal.sim.model.arrays"]
    monkeypatch.setattr(builtins, "__import__", without_numpy)
    with pytest.raises(MissingExtraError, match=r"shoal\[sim\]"):
        importlib.reload(module)
