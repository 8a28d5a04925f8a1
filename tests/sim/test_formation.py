import pytest

from shoal.sim.cluster import SimCluster
from shoal.sim.formation import formed_view, pack_members
from shoal.sim.invariants import InvariantViolated
from shoal.sim.node import SimulationError
from shoal.types import MemberState


def formed(nodes: int) -> SimCluster:
    cluster = SimCluster(nodes=nodes, formed=True)
    cluster.start_all()
    return cluster


def test_a_formed_view_holds_the_members_that_were_packed() -> None:
    members = formed(5).node("n3").core.members()

    view = formed_view("shoal", pack_members("shoal", members), 0.0)

    assert view.members() == members


def test_nodes_of_a_formed_cluster_have_nothing_to_say_to_each_other() -> None:
    cluster = formed(40)

    cluster.run(10)

    assert not cluster.observations
    assert all(node.core.stats.gossip_rounds == 0 for node in cluster.nodes.values())
    assert all(node.core.joined for node in cluster.nodes.values())


def test_what_one_node_learns_stays_its_own() -> None:
    cluster = formed(10)
    cluster.partition(["n0"], [f"n{index}" for index in range(1, 10)])

    cluster.crash("n5")
    cluster.run(10)

    states = {name: node.view()["n5"].state for name, node in cluster.nodes.items() if node.is_up}
    assert states.pop("n0") is not MemberState.DEAD
    assert set(states.values()) == {MemberState.DEAD}


def test_two_nodes_of_one_name_cannot_know_each_other_from_the_start() -> None:
    cluster = SimCluster(nodes=3, formed=True)
    cluster.add_node("rival", known_as="n1")

    with pytest.raises(SimulationError, match="2 nodes claim the name 'n1'"):
        cluster.start_all()


def test_in_a_large_cluster_some_views_are_checked_whole_and_all_others_in_their_own_row() -> None:
    cluster = formed(700)
    views = cluster.moment().views.values()

    whole = [view for view in views if view.is_whole]

    assert len(whole) == 140
    assert {len(view.members) for view in whole} == {700}
    assert {len(view.members) for view in views if not view.is_whole} == {1}


def test_a_large_cluster_of_which_part_disagrees_is_not_at_rest() -> None:
    cluster = formed(700)
    cluster.node("n1").core._table.set_belief(5, 4, 0.0)

    with pytest.raises(InvariantViolated, match="2 different digests"):
        cluster.check_at_rest()
