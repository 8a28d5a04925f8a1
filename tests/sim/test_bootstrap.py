"""Whatever is wrong with the seeds at the first start, one cluster forms, without an island, within a stated time."""

from __future__ import annotations

import pytest

from shoal.config import ClusterConfig
from shoal.sim.cluster import SimCluster

FORMED_WITHIN = 30.0
"""Seconds, from when the seeds can be reached."""
NODES = 12


def fresh(*, seeds: int, seed: int = 1, config: ClusterConfig | None = None) -> SimCluster:
    return SimCluster(nodes=NODES, seeds=seeds, seed=seed, config=config)


def has_formed(made: SimCluster, at_most: float = FORMED_WITHIN) -> bool:
    formed = made.run_until(made.converged, at_most, every=0.1)
    return formed and len(made.members()) == NODES


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("seeds", [1, 3, NODES])
def test_all_start_at_once_and_seeds_list_themselves(seeds: int, seed: int) -> None:
    made = fresh(seeds=seeds, seed=seed)
    made.start_all()

    assert has_formed(made)
    made.run(10.0)
    made.check_at_rest()


@pytest.mark.parametrize("seed", range(5))
def test_seeds_that_start_a_minute_late_find_the_others_waiting(seed: int) -> None:
    made = fresh(seeds=2, seed=seed)
    for index in range(2, NODES):
        made.start(f"n{index}")
    made.run(60.0)
    made.start_all()

    assert has_formed(made, 45.0)  # the pause of a lonely node is up to 30 s, and a quarter more, by then


@pytest.mark.parametrize("seed", range(5))
def test_one_seed_that_is_down_keeps_nobody_out(seed: int) -> None:
    made = fresh(seeds=3, seed=seed)
    for index in range(1, NODES):
        made.start(f"n{index}")
    assert made.run_until(made.converged, FORMED_WITHIN)
    made.start_all()

    assert has_formed(made)


@pytest.mark.parametrize("seed", range(5))
def test_half_of_the_seeds_cut_off_makes_two_parts_that_become_one(seed: int) -> None:
    made = fresh(seeds=4, seed=seed)
    one = [f"n{index}" for index in range(NODES) if index % 2]
    other = [f"n{index}" for index in range(NODES) if not index % 2]
    made.partition(one, other)
    made.start_all()
    made.run(30.0)
    assert {len(node.view()) for node in made.nodes.values()} == {NODES // 2}
    made.heal()

    assert has_formed(made)


def test_who_was_given_another_clusters_name_stays_out_of_this_one() -> None:
    made = fresh(seeds=2)
    made.add_node("stranger", config=ClusterConfig.lan().replace(cluster="elsewhere"))
    made.start_all()
    made.run(FORMED_WITHIN)

    assert all("stranger" not in made.node(f"n{index}").view() for index in range(NODES))
    assert set(made.node("stranger").view()) == {"stranger"}
    assert {node.core.digest for node in made.members() if node.name != "stranger"} == {made.node("n0").core.digest}


def test_a_power_cut_of_all_nodes_is_over_when_they_start_again() -> None:
    made = fresh(seeds=3)
    made.start_all()
    assert has_formed(made)
    for name in list(made.nodes):
        made.crash(name)
    made.run(20.0)
    for name in list(made.nodes):
        made.start(name)

    assert has_formed(made)
