"""A process that blocks for a minute, with and without having said so."""

import pytest

from shoal.events import MemberFailed
from shoal.sim.cluster import SimCluster

NODES = 30


def _frozen_for_a_minute(seed: int, *, is_declared: bool, loss: float) -> SimCluster:
    cluster = SimCluster(nodes=NODES, formed=True, seed=seed)
    cluster.start_all()
    cluster.run(5)
    cluster.set_loss(loss)
    if is_declared:
        cluster.node("n7").core.declare_stall(90.0, cluster.now)
        cluster.run(2)
    cluster.freeze("n7")
    cluster.run(60)
    cluster.thaw("n7")
    # Who heard of the stall too late holds a suspicion until the stall is over, as declared.
    cluster.run(40)
    return cluster


@pytest.mark.parametrize("seed", range(5))
def test_a_declared_freeze_causes_no_death(seed: int) -> None:
    cluster = _frozen_for_a_minute(seed, is_declared=True, loss=0.01)
    assert not cluster.observed(MemberFailed)
    assert cluster.converged()


def test_an_undeclared_freeze_is_a_death_in_every_view() -> None:
    cluster = _frozen_for_a_minute(1, is_declared=False, loss=0.0)
    assert len(cluster.observed(MemberFailed, about="n7")) >= NODES - 1
    assert cluster.converged()
