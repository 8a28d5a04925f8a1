from typing import Any

import pytest

from shoal.config import ClusterConfig
from shoal.swim.round_trip import RoundTrip


def _learned(*seconds: float, **config: Any) -> float:
    round_trip = RoundTrip(ClusterConfig(**{"adaptive_timeout": True, **config}))
    for each in seconds:
        round_trip.learn(each)
    return round_trip.timeout


def test_before_anything_is_learned_it_is_the_probe_timeout() -> None:
    assert _learned() == 0.5


def test_one_answer_counts_three_times_over() -> None:
    assert _learned(0.1) == pytest.approx(0.3)  # RFC 6298 (2.2): SRTT + 4 * SRTT / 2


def test_it_follows_rfc_6298() -> None:
    variation = 0.05 + (0.1 - 0.05) / 4
    mean = 0.1 + (0.2 - 0.1) / 8
    assert _learned(0.1, 0.2) == pytest.approx(mean + 4 * variation)


def test_quick_answers_bring_it_down_to_a_fifth_of_the_probe_timeout() -> None:
    assert _learned(*[0.001] * 50) == 0.1


def test_slow_answers_do_not_raise_it_above_the_probe_timeout() -> None:
    assert _learned(*[3.0] * 50) == 0.5


def test_it_can_be_switched_off() -> None:
    assert _learned(*[0.001] * 50, adaptive_timeout=False) == 0.5
