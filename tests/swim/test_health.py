import pytest

from shoal.config import ClusterConfig
from shoal.events import HealthReason
from shoal.swim.health import LocalHealth


def test_the_score_begins_at_0_and_nothing_is_stretched() -> None:
    health = LocalHealth(ClusterConfig())
    assert (health.score, health.multiplier) == (0, 1)


def test_the_score_stays_between_0_and_its_ceiling() -> None:
    health = LocalHealth(ClusterConfig(local_health_max=3))
    scores = []
    for _ in range(5):
        health.worsen(HealthReason.SUSPECTED)
        scores.append(health.score)
    for _ in range(5):
        health.improve()
        scores.append(health.score)
    assert scores == [1, 2, 3, 3, 3, 2, 1, 0, 0, 0]


@pytest.mark.parametrize(("lha_probe", "multiplier"), [(True, 3), (False, 1)])
def test_timings_stretch_by_the_score_plus_one_unless_switched_off(lha_probe: bool, multiplier: int) -> None:
    health = LocalHealth(ClusterConfig(lha_probe=lha_probe))
    health.worsen(HealthReason.PROBE_FAILED)
    health.worsen(HealthReason.NACK_MISSED)
    assert (health.score, health.multiplier) == (2, multiplier)


def test_every_reason_is_counted_and_what_was_handed_out_stays_as_it_was() -> None:
    health = LocalHealth(ClusterConfig(local_health_max=1))
    before = health.reasons
    for reason in (HealthReason.STALLED, HealthReason.STALLED, HealthReason.SUSPECTED):
        health.worsen(reason)
    health.improve()
    assert before == dict.fromkeys(HealthReason, 0)
    assert health.reasons == before | {HealthReason.STALLED: 2, HealthReason.SUSPECTED: 1}


def test_the_points_tell_what_the_score_is_made_of_now() -> None:
    health = LocalHealth(ClusterConfig(local_health_max=2))
    for reason in (HealthReason.STALLED, HealthReason.SUSPECTED, HealthReason.PROBE_FAILED):
        health.worsen(reason)
    assert health.points == (HealthReason.SUSPECTED, HealthReason.PROBE_FAILED)
    health.improve()
    assert list(health.points) == [HealthReason.PROBE_FAILED]


def test_a_lag_of_half_a_probe_timeout_costs_a_point_but_one_per_interval_at_most() -> None:
    health = LocalHealth(ClusterConfig(probe_interval=1.0, probe_timeout=0.5))
    health.note_lag(0.24, HealthReason.EVENT_LOOP_LAG, now=0.0)
    assert health.points == ()
    health.note_lag(0.25, HealthReason.EVENT_LOOP_LAG, now=1.0)
    health.note_lag(9.0, HealthReason.GC_PAUSE, now=1.9)
    assert list(health.points) == [HealthReason.EVENT_LOOP_LAG]
    health.note_lag(9.0, HealthReason.GC_PAUSE, now=2.0)
    assert list(health.points) == [HealthReason.EVENT_LOOP_LAG, HealthReason.GC_PAUSE]


def test_a_lag_that_happens_to_every_process_costs_nothing() -> None:
    health = LocalHealth(ClusterConfig(probe_interval=0.05, probe_timeout=0.02))
    health.note_lag(0.049, HealthReason.EVENT_LOOP_LAG, now=0.0)
    assert health.score == 0
