"""The phi accrual detector against published values and exact arithmetic."""

from math import erfc, exp, log10, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.errors import ConfigError
from shoal.health.phi import PhiDetector, PhiForm, phi_logistic, phi_normal


@pytest.mark.parametrize(
    ("elapsed", "normal", "logistic"),
    [
        (0.9, 0.075026, 0.075033),
        (1.0, 0.301030, 0.301030),
        (1.1, 0.799546, 0.799508),
        (1.2, 1.643016, 1.642828),
        (1.3, 2.869699, 2.909475),
        (1.5, 6.542646, 7.299947),
    ],
)
def test_phi_has_the_published_values(elapsed: float, normal: float, logistic: float) -> None:
    assert phi_normal(elapsed, 1.0, 0.1) == pytest.approx(normal, abs=1e-6)
    assert phi_logistic(elapsed, 1.0, 0.1) == pytest.approx(logistic, abs=1e-6)


def test_phi_has_the_published_values_far_out() -> None:
    assert phi_normal(2.0, 1.0, 0.1) == pytest.approx(23.118, abs=1e-3)
    assert phi_logistic(2.0, 1.0, 0.1) == pytest.approx(37.585, abs=1e-3)


@pytest.mark.parametrize(("formula", "deviations"), [(phi_normal, 5.61), (phi_logistic, 5.23)])
def test_phi_8_is_at_the_published_distance(formula, deviations: float) -> None:  # type: ignore[no-untyped-def]
    assert formula(deviations, 0.0, 1.0) == pytest.approx(8.0, abs=0.02)


def test_the_expansion_goes_on_where_erfc_ends() -> None:
    y = 26.0 * sqrt(2)
    assert phi_normal(y, 0.0, 1.0) == pytest.approx(-log10(erfc(26.0) / 2), rel=1e-8)
    assert phi_normal(y * (1 - 1e-12), 0.0, 1.0) == pytest.approx(phi_normal(y, 0.0, 1.0), rel=1e-8)


def test_the_logistic_form_is_akkas_on_both_sides_of_the_mean() -> None:
    for y in (-3.0, -0.5, 0.5, 3.0):
        e = exp(-y * (1.5976 + 0.070566 * y * y))
        akka = -log10(e / (1 + e)) if y > 0 else -log10(1 - 1 / (1 + e))
        assert phi_logistic(y, 0.0, 1.0) == pytest.approx(akka)


@given(st.floats(0, 1e6), st.floats(1e-6, 1e6), st.floats(1e-3, 1e3), st.floats(0, 1e3))
def test_phi_is_finite_and_never_falls_with_silence(elapsed: float, mean: float, deviation: float, more: float) -> None:
    for formula in (phi_normal, phi_logistic):
        sooner, later = formula(elapsed, mean, deviation), formula(elapsed + more, mean, deviation)
        assert 0.0 <= sooner <= later * (1 + 1e-8) < float("inf")


@pytest.mark.parametrize("formula", [phi_normal, phi_logistic])
@pytest.mark.parametrize("deviation", [0, -0.1, float("nan"), float("inf")])
def test_phi_without_a_deviation_is_refused(formula, deviation: float) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError, match="deviation"):
        formula(1.0, 1.0, deviation)


# The detector


def _regular(count: int = 100, interval: float = 1.0, **settings: float) -> tuple[PhiDetector, float]:
    """One that has seen `count` heartbeats, and when the last was."""
    detector = PhiDetector(interval, least_deviation=0.1, **settings)  # type: ignore[arg-type]
    for number in range(count):
        detector.heartbeat(number * interval)
    return detector, (count - 1) * interval


def test_before_the_first_heartbeat_phi_is_0() -> None:
    detector = PhiDetector(1.0)
    assert (detector.phi(1e9), detector.elapsed(1e9)) == (0.0, 0.0)


def test_the_first_window_is_the_expected_interval_give_or_take_a_quarter() -> None:
    detector = PhiDetector(1.0)
    assert (detector.mean, detector.deviation) == (1.0, 0.25)


def test_the_deviation_has_a_least() -> None:
    detector, _ = _regular(2000)
    assert detector.mean == 1.0
    assert detector.deviation == 0.1


def test_phi_follows_what_the_window_holds() -> None:
    detector, last = _regular(1000)
    assert detector.phi(last + 1.3) == pytest.approx(phi_normal(1.3, detector.mean, 0.1))
    logistic = PhiDetector(1.0, form=PhiForm.LOGISTIC)
    logistic.heartbeat(0.0)
    assert logistic.phi(1.5) == pytest.approx(phi_logistic(1.5, 1.0, 0.25))


def test_an_acceptable_pause_moves_the_curve() -> None:
    plain, last = _regular()
    patient, _ = _regular(pause=3.0)
    assert patient.phi(last + 4.2) == pytest.approx(plain.phi(last + 1.2))


def test_an_outage_is_not_learned_from() -> None:
    detector, last = _regular()
    mean = detector.mean
    detector.heartbeat(last + 1000.0)
    assert detector.mean == mean
    assert detector.elapsed(last + 1000.5) == 0.5


def test_only_the_window_counts() -> None:
    detector = PhiDetector(1.0, window=10, threshold=1e9)
    for number in range(20):
        detector.heartbeat(number * 5.0)
    assert (detector.mean, detector.deviation) == (5.0, 0.1)


def test_the_sums_stay_exact() -> None:
    detector = PhiDetector(1.0, window=4, threshold=1e300, least_deviation=1e-9)
    now = 0.0
    detector.heartbeat(now)
    for interval in (1e6, *[0.001] * 4):
        now += interval
        detector.heartbeat(now)
    assert detector.mean == pytest.approx(0.001, rel=1e-6)
    assert detector.deviation < 1e-6


def test_a_late_word_of_the_past_changes_nothing() -> None:
    detector, last = _regular()
    before = detector.mean
    detector.heartbeat(last - 0.5)
    assert (detector.mean, detector.elapsed(last)) == (before, 0.0)


def test_silence_of_our_own_does_not_count() -> None:
    detector, last = _regular()
    detector.forgive(9.0, last + 10.0)
    assert detector.elapsed(last + 10.0) == 1.0
    detector.forgive(9.0, last + 10.0)
    assert detector.elapsed(last + 10.0) == 0.0
    PhiDetector(1.0).forgive(9.0, 10.0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("expected", 0.0),
        ("expected", float("inf")),
        ("window", 1),
        ("least_deviation", 0.0),
        ("pause", -1.0),
        ("threshold", float("nan")),
    ],
)
def test_a_bad_setting_is_named(field: str, value: float) -> None:
    with pytest.raises(ConfigError, match=field):
        PhiDetector(**{"expected": 1.0, field: value})  # type: ignore[arg-type]
