"""What a node keeps of members that come and go: nothing, once they are forgotten."""

from __future__ import annotations

import gc
import sys
from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType, ModuleType

import pytest

from shoal.config import ClusterConfig
from shoal.sim.cluster import SimCluster
from shoal.sim.node import SimNode

STAYING, COMING = 12, 24
WITNESS = "n1"
CONFIG = ClusterConfig.lan().replace(tombstone_life=5.0, gossip_to_dead=2.0, damping_half_life=1.0)
REST = 90.0
"""Seconds after which all of a generation is forgotten, and so is what is kept for those who may ask again."""
FEW = 4
"""Of what depends on chance: who was a moment ago suspected, and by whom."""
ALLOWANCE = 4096
"""Bytes, of some 60,000. Dictionaries take room in steps."""
_CODE = (type, ModuleType, FunctionType, BuiltinFunctionType)


def stock(node: SimNode) -> dict[str, int]:
    """How much a node keeps, of what."""
    kept: dict[str, int] = {}
    node.take_stock(lambda what, size, _most: kept.update({what: size}))
    return kept


def size(node: SimNode) -> int:
    """Bytes of all that can be reached from a node's core."""
    seen: dict[int, object] = {}
    found: list[object] = [node.core]
    while found:
        new = {id(each): each for each in found if not isinstance(each, _CODE)}
        fresh = [each for number, each in new.items() if number not in seen]
        seen |= new
        found = gc.get_referents(*fresh)
    return sum(map(sys.getsizeof, seen.values()))


def formed() -> SimCluster:
    """A cluster of members that stay, and of hosts on which others come and go."""
    cluster = SimCluster(nodes=STAYING, config=CONFIG, seeds=3, check_every=None)
    cluster.start_all()
    for _ in range(COMING):
        cluster.add_node()
    cluster.run(30.0)
    return cluster


def passing(cluster: SimCluster) -> list[SimNode]:
    return list(cluster.nodes.values())[STAYING:]


def live_through(cluster: SimCluster, generation: int) -> None:
    """A generation comes, half of it under new names; half crashes, half leaves. Then all is quiet."""
    for number, node in enumerate(passing(cluster)):
        if number % 2:
            node.known_as = f"{node.name}-{generation}"
        node.start()
        cluster.run(0.1)
    assert cluster.run_until(cluster.converged, at_most=60.0)
    for number, node in enumerate(passing(cluster)):
        node.crash() if number % 4 < 2 else node.leave()
        cluster.run(0.2)
    cluster.run(REST)
    assert cluster.converged()
    assert len(cluster.node(WITNESS).core.members()) == STAYING
    cluster.check()


@dataclass(frozen=True)
class Kept:
    """What a node keeps after a generation."""

    stock: dict[str, int]
    size: int


@pytest.fixture(scope="module")
def generations() -> list[Kept]:
    """What one that stayed keeps after each of them."""
    cluster, kept = formed(), []
    for generation in range(5):
        live_through(cluster, generation)
        kept.append(Kept(stock(cluster.node(WITNESS)), size(cluster.node(WITNESS))))
    return kept


def test_no_container_holds_more_after_many_generations_than_after_one(generations: list[Kept]) -> None:
    base, *later = generations

    for kept in later:
        assert {what: count for what, count in kept.stock.items() if count > base.stock[what] + FEW} == {}


def test_the_memory_of_a_node_returns_to_its_base(generations: list[Kept]) -> None:
    base, *later = generations

    assert max(kept.size for kept in later) <= base.size + ALLOWANCE


def test_of_members_that_are_forgotten_nothing_is_kept_that_is_about_one_member(generations: list[Kept]) -> None:
    kept = generations[-1].stock

    assert kept["members and tombstones"] == STAYING
    assert kept["slots of the table"] <= STAYING + COMING + COMING // 2  # that came under new names
    for what in ("suspicions", "members with verdicts", "members that returned", "tombstones", "queued updates"):
        assert kept[what] == 0, what
