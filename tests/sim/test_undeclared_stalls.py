"""A process that stands still is not taken for dead as long as its machine answers; one that is gone is."""

from __future__ import annotations

import pytest

from shoal.config import ClusterConfig
from shoal.events import MemberFailed, MemberRecovered, MemberStalled, MemberSuspected, StreamEnd
from shoal.sim.cluster import SimCluster
from shoal.types import MemberState


def cluster(nodes: int, **config: float) -> SimCluster:
    made = SimCluster(nodes=nodes, config=ClusterConfig.lan().replace(**config), formed=nodes > 20)
    made.start_all()
    assert made.run_until(made.converged, at_most=20.0)
    made.run(20.0)
    return made


@pytest.mark.parametrize("nodes", [2, 3, 5, 32])
def test_a_stall_of_ten_seconds_that_nobody_declared_causes_no_death(nodes: int) -> None:
    made = cluster(nodes)
    made.freeze("n1")
    made.run(10.0)
    assert all(made.node(f"n{index}").view()["n1"].state is MemberState.SUSPECT for index in range(nodes) if index != 1)
    made.thaw("n1")
    made.run(20.0)

    assert made.converged()
    assert not made.observed(MemberFailed)
    stalled = made.observed(MemberStalled, about="n1")
    assert len(stalled) == nodes - 1, "everybody is told, once"
    assert len(made.observed(MemberRecovered, about="n1")) == nodes - 1
    assert any(probe.stream_end is StreamEnd.SILENT for one in stalled for probe in one.event.evidence.probes)


def test_a_stall_is_told_when_a_death_would_have_been() -> None:
    made = cluster(16)
    began = made.now
    made.freeze("n1")
    made.run(8.0)

    assert max(one.time for one in made.observed(MemberStalled)) < began + 6.0


def test_a_stall_beyond_the_tolerance_is_a_death() -> None:
    made = cluster(5, stall_tolerance=12.0)
    began = made.now
    made.freeze("n1")
    made.run(30.0)

    deaths = [one.time - began for one in made.observed(MemberFailed, about="n1")]
    assert len(deaths) == 4
    assert all(12.0 < time < 18.0 for time in deaths)


@pytest.mark.parametrize("silent", [False, True])
def test_a_killed_process_and_a_vanished_machine_are_found_as_fast_as_ever(silent: bool) -> None:
    made = cluster(16)
    began = made.now
    made.crash("n1", silent=silent)
    made.run(10.0)

    assert len(made.observed(MemberFailed, about="n1")) == 15
    assert not made.observed(MemberStalled)
    assert max(one.time for one in made.observed(MemberFailed)) < began + 6.0


def test_a_process_that_dies_while_it_stands_still_is_found_within_the_tolerance() -> None:
    made = cluster(5)
    began = made.now
    made.freeze("n1")
    made.run(5.0)
    made.crash("n1")
    made.run(15.0)

    suspected = min(one.time for one in made.observed(MemberSuspected, about="n1"))
    deaths = [one.time for one in made.observed(MemberFailed, about="n1")]
    assert suspected < began + 3.3, "a neighbour's turn, its grace, and a probe"
    assert len(deaths) == 4
    assert max(deaths) < suspected + ClusterConfig().stall_tolerance + 0.1


def test_without_tolerance_who_stands_still_is_dead() -> None:
    made = cluster(5, stall_tolerance=0.0)
    made.freeze("n1")
    made.run(10.0)

    assert len(made.observed(MemberFailed, about="n1")) == 4
    assert not made.observed(MemberStalled)
    assert made.observed(MemberSuspected)
