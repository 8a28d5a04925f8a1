"""Fifty nodes are restarted, a few at a time: nobody is held dead wrongly, and nobody gives work to what is gone."""

from shoal.events import MemberFailed, VerdictReason
from shoal.sim.cluster import SimCluster
from shoal.sim.network import Link
from shoal.sim.presets import preset
from shoal.sim.scenario import play_on


def test_a_rolling_restart_of_fifty_has_no_false_death_and_no_stopped_node_is_selected() -> None:
    scenario = preset("rolling-restart").scenario(1, nodes=50)
    cluster = SimCluster(nodes=50, seed=1, seeds=3, formed=True, link=Link(loss=0.01), check_every=0.05)

    for _ in play_on(cluster, scenario):
        pass

    failed = cluster.observed(MemberFailed)
    assert [seen for seen in failed if seen.event.evidence.reason is not VerdictReason.REPLACED] == []
    assert all(node.run == 2 for node in cluster.nodes.values())
    assert len(cluster.moment().retired) == 50


def test_a_crash_without_a_word_is_no_retirement() -> None:
    cluster = SimCluster(nodes=4, seed=1)
    cluster.start_all()
    cluster.run(10)
    cluster.drain("n1")
    cluster.drain("n2")
    cluster.crash("n1")
    cluster.run(5)
    cluster.leave("n2")
    cluster.run(5)

    assert cluster.moment().retired == {cluster.node("n2").id}
