from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.config import ClusterConfig
from shoal.events import ProbeReport, SuspicionTime
from shoal.swim.suspicion import Suspicion, SuspicionBounds, suspicion_bounds, suspicion_timeout
from tests.swim.harness import node_id

ACCUSERS = [node_id(number) for number in range(1, 9)]


def _config(alpha: float, beta: float, confirmations: int, interval: float = 1.0) -> ClusterConfig:
    return ClusterConfig(
        suspicion_alpha=alpha,
        suspicion_floor=alpha,
        suspicion_beta=beta,
        suspicion_confirmations=confirmations,
        probe_interval=interval,
        probe_timeout=interval / 2,
    )


@pytest.mark.parametrize(
    ("alpha", "beta", "members", "confirmations", "timeouts"),
    [
        (5, 6, 128, 3, [63.216, 36.876, 21.468, 10.536]),
        (2, 2, 128, 3, [8.429, 6.322, 5.089, 4.214]),
        (4, 6, 128, 2, [50.573, 23.983, 8.429]),
        (4, 6, 1000, 2, [72.000, 34.144, 12.000]),
    ],
)
def test_the_timeout_shrinks_with_confirmations_as_lifeguard_says(
    alpha: float, beta: float, members: int, confirmations: int, timeouts: list[float]
) -> None:
    bounds = suspicion_bounds(_config(alpha, beta, confirmations), members)
    found = [suspicion_timeout(bounds, count) for count in range(len(timeouts))]
    assert found == pytest.approx(timeouts, abs=5e-4)


def test_the_timeout_scales_with_the_probe_interval() -> None:
    bounds = suspicion_bounds(_config(4, 6, 2, interval=0.25), 1000)
    assert (bounds.least, bounds.longest) == pytest.approx((3.0, 18.0))


@pytest.mark.parametrize("members", [0, 1, 2, 3, 10])
def test_the_least_does_not_shrink_below_that_of_ten_members(members: int) -> None:
    assert suspicion_bounds(_config(4, 6, 2), members).least == 4.0


@pytest.mark.parametrize(("members", "counts"), [(3, False), (4, True), (5, True)])
def test_confirmations_count_only_where_enough_members_could_confirm(members: int, counts: bool) -> None:
    bounds = suspicion_bounds(_config(4, 6, 2), members)
    assert bounds == (SuspicionBounds(4.0, 24.0, 2) if counts else SuspicionBounds(4.0, 4.0, 0))


def test_without_lha_suspicion_the_least_applies_at_once() -> None:
    config = _config(4, 6, 2).replace(lha_suspicion=False)
    assert suspicion_bounds(config, 10) == SuspicionBounds(4.0, 4.0, 0)


def test_without_wanted_confirmations_the_least_applies_at_once() -> None:
    bounds = suspicion_bounds(_config(4, 6, 0), 10)
    assert suspicion_timeout(bounds, 0) == bounds.least == 4.0


@given(st.floats(0.1, 100), st.floats(1, 100), st.integers(1, 16), st.integers(2, 10**7), st.integers(0, 20))
def test_the_timeout_stays_in_its_bounds_and_never_grows(
    alpha: float, beta: float, confirmations: int, members: int, count: int
) -> None:
    bounds = suspicion_bounds(_config(alpha, beta, confirmations), members)
    timeout = suspicion_timeout(bounds, count)
    assert bounds.least <= timeout <= bounds.longest
    assert suspicion_timeout(bounds, count + 1) <= timeout


def _suspicion(confirmations: int = 2) -> Suspicion:
    return Suspicion(ACCUSERS[0], SuspicionBounds(4.0, 24.0, confirmations), now=100.0, members=8)


def test_each_new_accuser_brings_the_deadline_nearer() -> None:
    suspicion = _suspicion()
    assert suspicion.deadline == 124.0
    assert suspicion.confirm(ACCUSERS[1], 101.0)
    assert suspicion.deadline == pytest.approx(124.0 - 20 * log(2) / log(3))
    assert suspicion.confirm(ACCUSERS[2], 101.0)
    assert suspicion.deadline == 104.0


def test_the_first_accuser_does_not_confirm_itself_nor_anybody_twice() -> None:
    suspicion = _suspicion()
    assert not suspicion.confirm(ACCUSERS[0], 101.0)
    assert suspicion.confirm(ACCUSERS[1], 101.0)
    assert not suspicion.confirm(ACCUSERS[1], 101.0)
    assert list(suspicion.accusers) == ACCUSERS[:2]


@pytest.mark.parametrize("wanted", [0, 1, 2, 4])
def test_no_more_confirmations_count_than_are_wanted(wanted: int) -> None:
    suspicion = _suspicion(wanted)
    assert [suspicion.confirm(accuser, 101.0) for accuser in ACCUSERS[1:]].count(True) == wanted
    assert list(suspicion.accusers) == ACCUSERS[: wanted + 1]
    assert suspicion.timeout == 4.0


def test_the_time_of_a_suspicion_is_told_with_its_reasons() -> None:
    suspicion = _suspicion()
    assert suspicion.confirm(ACCUSERS[1], 102.0)
    assert suspicion.time(103.0) == SuspicionTime(
        started=100.0,
        lasted=3.0,
        timeout=suspicion.timeout,
        least=4.0,
        longest=24.0,
        members=8,
        confirmations=1,
        confirmations_wanted=2,
    )


def test_only_the_first_failed_probes_of_a_suspect_are_kept() -> None:
    suspicion = _suspicion()
    for number in range(100):
        suspicion.add_probe(ProbeReport(100.0 + number, 0.5, 1.0, (), (), stream_tried=False))
    assert [report.started for report in suspicion.probes] == [100.0, 101.0, 102.0, 103.0]
