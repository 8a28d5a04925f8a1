"""Split-brain strategies, over every partition and every set of broken links of up to six members."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import combinations

import pytest

from shoal.events import PartitionDecision, PartitionRuling
from shoal.swim.partition.situation import Situation
from shoal.swim.partition.strategies import (
    DownAll,
    KeepMajority,
    KeepOldest,
    KeepReferee,
    Leaseholder,
    StaticQuorum,
    Strategy,
    decide,
)
from shoal.types import Address, NodeId, NodeInfo, Tags

Side = frozenset[NodeId]

STRATEGIES: tuple[Strategy, ...] = (
    KeepMajority(),
    KeepMajority(role=Tags({"role": "core"})),
    StaticQuorum(2),
    StaticQuorum(3),
    StaticQuorum(4),
    KeepOldest(),
    KeepOldest(down_if_alone=False),
    KeepOldest(role=Tags({"role": "core"})),
    KeepReferee("n1"),
    DownAll(),
    Leaseholder(),
    Leaseholder(role=Tags({"role": "core"})),
)


def node(index: int) -> NodeInfo:
    """Older nodes have higher addresses, so that age and address never agree by chance; the even ones are core."""
    role = {"role": "core" if index % 2 == 0 else "edge"}
    return NodeInfo(f"n{index}", NodeId(bytes([index] * 16)), Address(f"10.0.0.{9 - index}", 7946), Tags(role))


@cache
def cluster(size: int) -> tuple[NodeInfo, ...]:
    return tuple(map(node, range(size)))


def ids(*indexes: int) -> Side:
    return frozenset(node(index).id for index in indexes)


def partitions(members: tuple[NodeInfo, ...]) -> Iterator[tuple[Side, ...]]:
    """Every way to cut the members into sides."""
    if not members:
        yield ()
        return
    first, rest = members[0].id, members[1:]
    for sides in partitions(rest):
        yield (frozenset([first]), *sides)
        for index, side in enumerate(sides):
            yield (*sides[:index], side | {first}, *sides[index + 1 :])


def cut(members: tuple[NodeInfo, ...], sides: tuple[Side, ...], own: NodeId) -> Situation:
    side = next(side for side in sides if own in side)
    return Situation.of_lost(own, members, [info.id for info in members if info.id not in side])


def rulings(strategy: Strategy, situations: list[Situation]) -> dict[NodeId, PartitionDecision]:
    """What each member is told; of those who ask for the lease, the side that waits least and asks first gets it."""
    decisions = {situation.own: decide(strategy, situation) for situation in situations}
    asking = [decision for decision in decisions.values() if decision.ruling is PartitionRuling.ASK_LEASE]
    holder = min(asking, key=_haste).side if asking else None
    return {
        id: decision
        for id, decision in decisions.items()
        if decision.ruling is PartitionRuling.STAY
        or (decision.ruling is PartitionRuling.ASK_LEASE and decision.side == holder)
    }


def _haste(decision: PartitionDecision) -> tuple[float, str]:
    return decision.wait, decision.side


Outcome = tuple[int, int, int]
"""Who asks, and as bits who is connected with it at all, and who of those has a broken link to another of them."""


class Breakages:
    """Every set of links that may be broken among so many members, with what each member then sees.

    Many sets look the same to a member, and a decision depends on what it sees alone. So few decisions cover all sets.
    """

    def __init__(self, size: int) -> None:
        self.members = cluster(size)
        self.situations: dict[Outcome, Situation] = {}
        self.all: list[tuple[list[int], list[Outcome]]] = []
        links = list(combinations(range(size), 2))
        for pattern in range(2 ** len(links)):
            broken = [link for bit, link in enumerate(links) if pattern >> bit & 1]
            unreached = [0] * size
            for one, other in broken:
                unreached[one] |= 1 << other
                unreached[other] |= 1 << one
            outcomes = list(_outcomes(unreached))
            self.all.append((unreached, outcomes))
            for outcome in outcomes:
                if outcome not in self.situations:
                    self.situations[outcome] = self._situation(outcome[0], broken)

    def _situation(self, own: int, broken: list[tuple[int, int]]) -> Situation:
        ids = [info.id for info in self.members]
        return Situation(ids[own], self.members, frozenset((ids[one], ids[other]) for one, other in broken))

    def bits(self, side: Side | set[NodeId]) -> int:
        return sum(1 << index for index, info in enumerate(self.members) if info.id in side)


def _outcomes(unreached: list[int]) -> Iterator[Outcome]:
    everybody = (1 << len(unreached)) - 1
    for own in range(len(unreached)):
        connected, before = 1 << own, 0
        while connected != before:
            before = connected
            for index, missing in enumerate(unreached):
                if before >> index & 1:
                    connected |= everybody & ~missing
        indirect = sum(
            1 << index for index, missing in enumerate(unreached) if connected >> index & 1 and missing & connected
        )
        yield own, connected, indirect


breakages = cache(Breakages)


def tell_apart(strategy: Strategy) -> str:
    return f"{strategy.name} {dict(strategy.role)}"


@pytest.mark.parametrize("strategy", STRATEGIES, ids=tell_apart)
@pytest.mark.parametrize("size", range(1, 7))
def test_at_most_one_side_of_any_partition_lives_on(strategy: Strategy, size: int) -> None:
    members = cluster(size)
    for sides in partitions(members):
        staying = rulings(strategy, [cut(members, sides, info.id) for info in members])

        assert frozenset(staying) in (frozenset(), *sides), sides
        assert {decision.survivors for decision in staying.values()} <= {frozenset(staying)}


@pytest.mark.parametrize("size", range(2, 7))
def test_whoever_misses_one_that_is_connected_otherwise_is_on_no_side(size: int) -> None:
    every = breakages(size)
    for (_, connected, indirect), situation in every.situations.items():
        sides = situation.sides()

        assert every.bits({info.id for info in sides.here}) == connected & ~indirect
        assert every.bits({info.id for info in sides.indirect}) == indirect
        assert every.bits({info.id for info in sides.lost}) == 2**size - 1 & ~connected


@pytest.mark.parametrize("strategy", STRATEGIES, ids=tell_apart)
@pytest.mark.parametrize("size", range(2, 7))
def test_whatever_links_break_those_who_live_on_reach_each_other_and_agree(strategy: Strategy, size: int) -> None:
    every = breakages(size)
    decisions = {outcome: decide(strategy, situation) for outcome, situation in every.situations.items()}
    survivors = {outcome: every.bits(decision.survivors) for outcome, decision in decisions.items()}
    for unreached, outcomes in every.all:
        asking = [decisions[one] for one in outcomes if decisions[one].ruling is PartitionRuling.ASK_LEASE]
        holder = min(asking, key=_haste).side if asking else None
        staying = [
            one
            for one in outcomes
            if decisions[one].ruling is PartitionRuling.STAY
            or (decisions[one].ruling is PartitionRuling.ASK_LEASE and decisions[one].side == holder)
        ]
        bits = sum(1 << own for own, _, _ in staying)

        assert not any(unreached[own] & bits for own, _, _ in staying), unreached
        assert all(survivors[one] == bits for one in staying), unreached


@pytest.mark.parametrize("size", range(1, 7))
def test_a_majority_always_lives_on_and_of_two_halves_that_with_the_lowest_address(size: int) -> None:
    members = cluster(size)
    for sides in partitions(members):
        staying = frozenset(rulings(KeepMajority(), [cut(members, sides, info.id) for info in members]))
        lowest = min(members, key=lambda info: info.address).id
        expected = [side for side in sides if 2 * len(side) > size or (2 * len(side) == size and lowest in side)]

        assert staying == (expected[0] if expected else frozenset())


@pytest.mark.parametrize("quorum", range(1, 7))
@pytest.mark.parametrize("size", range(1, 7))
def test_a_quorum_lives_on_unless_two_sides_could_have_it(quorum: int, size: int) -> None:
    members = cluster(size)
    for sides in partitions(members):
        staying = frozenset(rulings(StaticQuorum(quorum), [cut(members, sides, info.id) for info in members]))
        expected = [side for side in sides if len(side) >= quorum and size < 2 * quorum]

        assert staying == (expected[0] if expected else frozenset())


@pytest.mark.parametrize("down_if_alone", [True, False])
@pytest.mark.parametrize("size", range(1, 7))
def test_the_oldest_side_lives_on_unless_the_oldest_is_alone(size: int, down_if_alone: bool) -> None:
    members = cluster(size)
    for sides in partitions(members):
        strategy = KeepOldest(down_if_alone=down_if_alone)
        staying = frozenset(rulings(strategy, [cut(members, sides, info.id) for info in members]))
        oldest = next(side for side in sides if members[0].id in side)
        if down_if_alone and len(oldest) == 1 and size > 2:
            others = frozenset(info.id for info in members[1:])
            assert staying == (others if others in sides else frozenset())
        else:
            assert staying == oldest


def test_the_referee_decides_and_where_it_is_gone_nobody_lives_on() -> None:
    members = cluster(4)
    with_it = decide(KeepReferee("n1"), Situation.of_lost(node(1).id, members, ids(0, 2, 3)))
    without_it = decide(KeepReferee("n1"), Situation.of_lost(node(0).id, members, ids(1)))

    assert (with_it.ruling, with_it.survivors) == (PartitionRuling.STAY, ids(1))
    assert without_it.ruling is PartitionRuling.STAND_DOWN
    assert decide(KeepReferee("stranger"), Situation(node(0).id, members)).ruling is PartitionRuling.STAND_DOWN


def test_only_members_of_the_role_count_and_the_others_follow_their_side() -> None:
    members = cluster(6)  # n0, n2 and n4 are core
    strategy = KeepMajority(role=Tags({"role": "core"}))

    larger = decide(strategy, Situation.of_lost(node(1).id, members, ids(0, 2, 4)))
    smaller = decide(strategy, Situation.of_lost(node(1).id, members, ids(0, 3, 5)))

    assert larger.ruling is PartitionRuling.STAND_DOWN, "three members on this side, and none of the core"
    assert (smaller.ruling, smaller.survivors) == (PartitionRuling.STAY, ids(1, 2, 4))


def test_a_role_that_nobody_has_lets_nobody_live_on() -> None:
    decision = decide(KeepMajority(role=Tags({"role": "queen"})), Situation(node(0).id, cluster(3)))

    assert decision.ruling is PartitionRuling.STAND_DOWN
    assert "queen" in decision.why


def test_a_broken_link_costs_its_two_ends_and_keeps_the_fully_connected() -> None:
    members = cluster(5)
    broken = frozenset([(node(1).id, node(3).id)])  # seen in one direction only

    end = decide(KeepMajority(), Situation(node(3).id, members, broken))
    other = decide(KeepMajority(), Situation(node(0).id, members, broken))

    assert end.ruling is PartitionRuling.STAND_DOWN
    assert (other.ruling, other.survivors) == (PartitionRuling.STAY, ids(0, 2, 4))


def test_the_smaller_side_waits_before_it_asks_for_the_lease() -> None:
    members = cluster(5)
    larger = decide(Leaseholder(), Situation.of_lost(node(0).id, members, ids(3, 4)))
    smaller = decide(Leaseholder(), Situation.of_lost(node(3).id, members, ids(0, 1, 2)))

    assert (larger.ruling, larger.wait) == (PartitionRuling.ASK_LEASE, 0.0)
    assert (smaller.ruling, smaller.wait) == (PartitionRuling.ASK_LEASE, 2.0)
    assert larger.side != smaller.side


@pytest.mark.parametrize("strategy", STRATEGIES, ids=tell_apart)
def test_a_decision_says_why(strategy: Strategy) -> None:
    assert decide(strategy, Situation.of_lost(node(0).id, cluster(5), ids(3, 4))).why
