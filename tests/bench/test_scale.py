"""Real processes with real nodes; each run is bounded in time and ends what it started."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from xml.etree import ElementTree

import pytest

from shoal.bench.fleet import Fleet
from shoal.bench.messages import Look, Open, Opened, Reading
from shoal.bench.plan import BenchError
from shoal.bench.plot import svg
from shoal.bench.report import Report
from shoal.bench.scale import measure
from shoal.keys import ClusterKey
from tests.bench.plans import plan


@contextmanager
def unseen(_what: str, _total: int) -> Iterator[Callable[[], None]]:
    yield lambda: None


@pytest.mark.timeout(180)
def test_a_small_cluster_forms_loses_a_node_and_is_measured() -> None:
    small = plan()

    measured = measure(small, unseen)

    report = Report.of(small, measured)
    assert report.formation_s > 0
    assert report.cpu_ms_per_node_s > 0
    assert report.bytes_per_member > 0
    assert report.datagrams_per_node_s > 0
    assert report.bytes_per_node_s > 28 * report.datagrams_per_node_s
    assert (report.detected, report.known_by_all) == (1, 1)
    assert report.detection_s is not None
    assert report.all_know_s is not None
    assert 0 < report.detection_s.max <= report.all_know_s.max
    assert report.core_faults == 0
    assert ElementTree.fromstring(svg(small, measured)).tag.endswith("svg")
    assert not multiprocessing.active_children()


@pytest.mark.timeout(120)
def test_nodes_with_a_key_form_a_cluster_too() -> None:
    sealed = plan(nodes=4, kill=0, config=plan().config.replace(keys=[ClusterKey(bytes(ClusterKey.SIZE))]))

    report = Report.of(sealed, measure(sealed, unseen))

    assert report.views_at_end == 1
    assert report.detection_s is None


@pytest.mark.timeout(120)
def test_nodes_that_know_each_other_from_the_start_need_no_joins() -> None:
    formed = plan(nodes=6, kill=1, formed=True)

    report = Report.of(formed, measure(formed, unseen))

    assert report.formed
    assert report.known_by_all == 1
    assert report.views_at_end == 1


@pytest.mark.timeout(120)
def test_a_cluster_that_does_not_form_in_time_is_a_failure_that_says_how_far_it_came() -> None:
    # The last node is due after the deadline.
    slow = plan(nodes=4, seeds=1, kill=0, rate=0.1, form_timeout=1.0)

    with pytest.raises(BenchError, match=r"did not form within 1 seconds: \d of 4 nodes are up, 0 see all others"):
        measure(slow, unseen)
    assert not multiprocessing.active_children()


@pytest.mark.timeout(120)
def test_a_worker_that_dies_ends_the_run_with_its_name_and_its_signal() -> None:
    with Fleet(plan()) as fleet:
        fleet.ask(Reading, lambda _worker: Look(1))
        victim = multiprocessing.active_children()[0]
        assert victim.pid is not None
        os.kill(victim.pid, signal.SIGTERM)

        with pytest.raises(BenchError, match=r"worker \d \(process \d+\) was ended by SIGTERM in the middle"):
            fleet.rest(60.0)
    assert not multiprocessing.active_children()


@pytest.mark.timeout(120)
def test_a_node_that_cannot_start_ends_the_run_with_the_reason() -> None:
    missing = plan(config=plan().config.replace(interface="missing0"))

    with Fleet(missing) as fleet, pytest.raises(BenchError, match=r"worker 0: a node could not be started: .*missing0"):
        fleet.ask(Opened, lambda _worker: Open([(0, 0.0)], (), wait=True))
    assert not multiprocessing.active_children()
