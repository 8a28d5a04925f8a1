"""Simulated clusters for your own tests: the protocol that ships, on a virtual clock and network.

    def test_my_service_hears_of_a_crash() -> None:
        cluster = SimCluster(nodes=5, seed=7)
        cluster.start_all()
        cluster.run(10)
        cluster.crash("n3")
        cluster.run(30)
        assert len(cluster.observed(MemberFailed, about="n3")) == 4

With pytest, the fixture `shoal_cluster` makes such clusters, and `--shoal-seeds 0..99` runs each test that uses it with
a hundred seeds: see `shoal.testing.plugin`.
"""

from shoal.sim.cluster import SimCluster
from shoal.sim.invariants import InvariantViolated, Violation
from shoal.sim.latency import Constant, Latency, LogNormal, Uniform
from shoal.sim.network import Link, StreamMode, Traffic
from shoal.sim.node import Observation, SimNode, SimulationError
from shoal.sim.scenario import Scenario, play, random_scenario
from shoal.sim.steps import ScenarioFailed, Step

__all__ = [
    "Constant",
    "InvariantViolated",
    "Latency",
    "Link",
    "LogNormal",
    "Observation",
    "Scenario",
    "ScenarioFailed",
    "SimCluster",
    "SimNode",
    "SimulationError",
    "Step",
    "StreamMode",
    "Traffic",
    "Uniform",
    "Violation",
    "play",
    "random_scenario",
]
