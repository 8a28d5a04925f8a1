"""Simulated clusters whose nodes have identities."""

import io
from statistics import median

import pytest

from shoal.config import ClusterConfig
from shoal.events import IdentityRefused, MemberFailed, MemberLeft
from shoal.sim.cluster import SimCluster
from shoal.sim.network import Link
from shoal.sim.trace import replay
from shoal.types import MemberState
from shoal.wire.identity import SignedIdentity
from shoal.wire.messages import Dead, Gossip, Left, Suspect, Update, Witness
from shoal.wire.native import NativeDialect

DIALECT = NativeDialect("shoal")


def _time_until_all_know(seed: int, *, identities: bool) -> float:
    cluster = SimCluster(32, seed, formed=True, identities=identities, check_every=None)
    cluster.start_all()
    cluster.run(15.0)
    cluster.crash("n7")
    died = cluster.now
    assert cluster.run_until(lambda: len(cluster.observed(MemberFailed, about="n7")) == 31, 30.0, every=0.05)
    return cluster.now - died


def test_a_death_is_known_to_all_about_as_soon_as_without() -> None:
    signed, plain = (
        median(_time_until_all_know(seed, identities=identities) for seed in range(5)) for identities in (True, False)
    )
    assert signed < plain + 1.0


@pytest.mark.parametrize("formed", [True, False])
def test_nodes_with_identities_form_a_cluster_and_lose_members(formed: bool) -> None:
    cluster = SimCluster(8, 3, formed=formed, identities=True)
    cluster.start_all()
    cluster.run(20.0)
    assert cluster.converged()
    cluster.crash("n1")
    cluster.leave("n2")
    cluster.run(15.0)
    assert cluster.converged()
    for node in cluster.members():
        assert node.view()["n1"].state is MemberState.DEAD
        assert node.view()["n2"].state is MemberState.LEFT
    assert cluster.observed(IdentityRefused) == []
    cluster.check_at_rest()


def test_a_trace_says_who_the_nodes_are() -> None:
    trace = io.StringIO()
    cluster = SimCluster(4, 3, formed=True, identities=True, trace=trace)
    cluster.start_all()
    cluster.run(12.0)
    cluster.crash("n1")
    cluster.run(8.0)
    cluster.end_trace()
    assert sum(1 for _ in replay(trace.getvalue().splitlines())) > 100


@pytest.mark.parametrize("wanted", [2, 3])
def test_a_thief_on_a_bad_network_ends_nobody(wanted: int) -> None:
    config = ClusterConfig.lan(death_signatures=wanted)
    cluster = SimCluster(8, wanted, config, link=Link(loss=0.05), formed=True, identities=True)
    cluster.start_all()
    cluster.run(15.0)
    honest = [f"n{number}" for number in range(7)]
    ids = {name: cluster.node(name).id for name in honest}
    for turn in range(60):
        _do_harm(cluster, honest[turn % 7])
        cluster.run(1.0)
    cluster.run(15.0)
    assert [seen.event.member.name for seen in cluster.observed(MemberFailed)] == []
    assert [seen.event.member.name for seen in cluster.observed(MemberLeft)] == []
    assert {name: cluster.node(name).id for name in honest} == ids
    cluster.check_at_rest()


def _do_harm(cluster: SimCluster, victim: str) -> None:
    """The last node tells everybody that one is dead, and has left, in its own name and in others'."""
    thief, accused = cluster.node("n7"), cluster.node(victim).core.local
    key, others = thief.identity, [node.id for node in cluster.members() if node.name != victim]
    assert isinstance(key, SignedIdentity)
    own = Witness(thief.id, key.sign_accusation(accused.id, accused.incarnation, thief.id))
    forged = tuple(Witness(other, own.signature) for other in others[:4])
    news: list[Update] = [
        Suspect(accused.id, accused.incarnation, thief.id, witnesses=(own,)),
        Dead(accused.id, accused.incarnation, thief.id, (own,)),
        Dead(accused.id, accused.incarnation, others[0], forged),
        Dead(accused.id, accused.incarnation, others[0]),
        Left(accused.id, accused.incarnation, key.sign_goodbye(accused.id, accused.incarnation)),
    ]
    data = DIALECT.attach(DIALECT.encode(Gossip(0, 0, thief.id)), list(map(DIALECT.encode_update, news)))
    for node in cluster.members():
        cluster.network.send(thief.host, data, node.address)
