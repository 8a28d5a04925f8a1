"""Whole clusters whose views differ, and what it costs them to agree again."""

import pytest

from shoal.sim.cluster import SimCluster
from shoal.types import Tags

NODES = 40
FORMED_IN = 15.0


def _cluster(seed: int) -> SimCluster:
    cluster = SimCluster(nodes=NODES, seed=seed, formed=True)
    cluster.start_all()
    cluster.run(FORMED_IN)
    assert cluster.converged()
    return cluster


def _lose_gossip(cluster: SimCluster, differing: int) -> None:
    """Some nodes publish other tags, and one half of the cluster hears nothing of it."""
    names = list(cluster.nodes)
    deaf = names[NODES // 2 :]
    for name in deaf:
        cluster.set_node_loss(name, ingress=1.0)
    for name in names[:differing]:
        cluster.node(name).set_tags(Tags({"role": "worker"}))
    cluster.run(1.5)
    for name in deaf:
        cluster.set_node_loss(name, ingress=0.0)
        # Nobody tells it later: what is still queued anywhere is gone.
    for name in names:
        queue = cluster.node(name).core._context.queue
        for other in names[:differing]:
            queue.discard(cluster.node(other).id)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("differing", [1, 5, 15])
def test_two_halves_that_differ_agree_again_within_a_few_probe_intervals_at_the_cost_of_what_differs(
    seed: int, differing: int
) -> None:
    cluster = _cluster(seed)
    _lose_gossip(cluster, differing)
    assert not cluster.converged()
    before = _sent(cluster)

    assert cluster.run_until(cluster.converged, at_most=15.0)

    # A comparison of 40 members is one list of 160 bytes, and each half of the cluster repairs itself many times over.
    assert _sent(cluster) - before < NODES * (2500 + 400 * differing)
    assert all(node.core.stats.syncs_started == 0 for node in cluster.nodes.values())


def _sent(cluster: SimCluster) -> int:
    return sum(node.core.stats.comparison_bytes_out for node in cluster.nodes.values())


def test_a_cluster_at_rest_compares_nothing() -> None:
    cluster = _cluster(7)
    before = _sent(cluster)
    cluster.run(60.0)
    assert _sent(cluster) == before
    assert {node.core.agreement for node in cluster.nodes.values()} == {1.0}
