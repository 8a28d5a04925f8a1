from collections import Counter
from itertools import pairwise
from random import Random

import pytest

from shoal.state.precedence import pack
from shoal.state.table import MemberTable
from shoal.swim.mutual_schedule import MutualSchedule
from shoal.swim.probe_order import ProbeOrder
from shoal.types import MemberState, NodeId
from tests.swim.harness import RECORDS, Net, info_of, node_id

OWN = node_id(0)
GRACE = 0.25


def _table(members: int) -> MemberTable:
    table = MemberTable(b"shoal", RECORDS)
    for number in range(members):
        table.add(info_of(number), pack(0, MemberState.ALIVE), 0.0)
    return table


class _Solo:
    """The schedule of one node, whose time is that of its turns."""

    def __init__(self, table: MemberTable, neighbours: int = 1, own: NodeId = OWN) -> None:
        self.table = table
        self.own = own
        self.now = 0.0
        self.schedule = MutualSchedule(table, ProbeOrder(table, Random(1)), neighbours, Random(2))
        self.schedule.start(0.0, 1.0)

    def at(self, places: int) -> NodeId:
        """Who stands so many places after us on the ring."""
        own = self.table.slot_of(self.own)
        assert own is not None
        return self.table.id(self.table.ring.successor(own, places))

    def turn(self) -> NodeId | None:
        self.now = self.schedule.due
        return next(iter(self.schedule.take(self.own, self.now, 1.0)), None)

    def turn_with(self, id: NodeId) -> float:
        """Go on until it is that member's turn to be probed; when that is."""
        for _ in range(100):
            if self.turn() == id:
                return self.now
        raise AssertionError("it is never probed")

    def heard(self, id: NodeId, now: float) -> None:
        self.now = now
        self.schedule.heard(id, self.own, now, 1.0)


def test_the_first_turn_is_at_a_random_moment_of_the_first_interval() -> None:
    moments = set()
    for seed in range(20):
        table = _table(5)
        schedule = MutualSchedule(table, ProbeOrder(table, Random(1)), 1, Random(seed))
        schedule.start(10.0, 2.0)
        moments.add(schedule.due)
    assert len(moments) == 20
    assert all(10.0 <= moment < 12.0 for moment in moments)


@pytest.mark.parametrize("neighbours", [1, 2])
def test_neighbours_that_say_nothing_are_pinged_a_grace_after_their_turns(neighbours: int) -> None:
    solo = _Solo(_table(50), neighbours)
    turns: dict[NodeId | None, list[float]] = {}
    for _ in range(60):
        turns.setdefault(solo.turn(), []).append(solo.now)
    for places in range(1, neighbours + 1):
        for id in (solo.at(places), solo.at(-places)):
            times = turns.pop(id)
            gaps = [after - before for before, after in pairwise(times)]
            assert gaps == pytest.approx([2 * neighbours + GRACE] * len(gaps))
    assert sum(map(len, turns.values())) == pytest.approx(solo.now / 8, abs=1)


def test_after_a_neighbours_ping_the_next_turn_is_ours() -> None:
    solo = _Solo(_table(20))
    before = solo.turn_with(solo.at(1))
    solo.heard(solo.at(1), before + 2.0)
    assert solo.turn_with(solo.at(1)) == pytest.approx(before + 4.0)


def test_turns_keep_their_times_though_pings_are_late() -> None:
    solo = _Solo(_table(20))
    before = solo.turn_with(solo.at(1))
    solo.heard(solo.at(1), before + 2.0 + 0.9 * GRACE)
    assert solo.turn_with(solo.at(1)) == pytest.approx(before + 4.0)


def test_nobody_is_excused_twice_running() -> None:
    solo = _Solo(_table(20))
    before = solo.turn_with(solo.at(1))
    pings = []
    for moment in range(1, 40):
        if solo.schedule.due > before + 0.1 * moment:
            solo.heard(solo.at(1), before + 0.1 * moment)
        elif solo.turn() == solo.at(1):
            pings.append(solo.now)
    assert max(pings) >= before + 2.0


def test_a_ping_from_anybody_else_excuses_nobody() -> None:
    solo = _Solo(_table(20))
    before = solo.turn_with(solo.at(1))
    solo.heard(solo.at(3), before + 2.0)
    assert solo.turn_with(solo.at(1)) == pytest.approx(before + 2.0 + GRACE)


def test_of_two_that_pinged_at_once_the_lower_id_has_the_next_turn() -> None:
    table = _table(20)
    low, high = sorted((OWN, _Solo(table).at(1)))
    for own, other, wait in ((low, high, 2.0), (high, low, 2.0 + GRACE)):
        solo = _Solo(table, own=own)
        before = solo.turn_with(other)
        solo.heard(other, before + 0.01)
        assert solo.turn_with(other) == pytest.approx(before + wait, abs=0.02)


def test_a_suspect_is_passed_over_on_either_side() -> None:
    solo = _Solo(_table(20))
    for places in (1, -1):
        slot = solo.table.slot_of(solo.at(places))
        assert slot is not None
        solo.table.set_belief(slot, pack(0, MemberState.SUSPECT), 0.0)
    assert {solo.turn(), solo.turn()} == {solo.at(2), solo.at(-2)}


def test_a_node_alone_looks_for_company_in_each_interval() -> None:
    solo = _Solo(_table(1))
    assert [solo.turn() for _ in range(20)] == [None] * 20
    assert solo.now < 21.0


def test_everybody_is_probed_at_last() -> None:
    solo = _Solo(_table(10))
    assert {solo.turn() for _ in range(200)} == {node_id(number) for number in range(1, 10)}


@pytest.mark.parametrize("nodes", [2, 3, 8])
def test_everybody_is_checked_once_an_interval_by_half_as_many_pings(nodes: int) -> None:
    net = Net(nodes).form(20.0)
    before = [node.core.stats.probes for node in net.nodes.values()]
    net.sleep(80.0)
    probes = [node.core.stats.probes - then for node, then in zip(net.nodes.values(), before, strict=True)]
    assert sum(probes) == pytest.approx(nodes * (80 / 2 + 80 / 8), rel=0.05)
    assert max(probes) <= 2 * min(probes)


def test_who_dies_is_found_within_two_intervals_and_a_grace() -> None:
    found = Counter[bool]()
    for seed in range(20):
        net = Net(6, seed=seed).form(10.0 + seed / 7)
        net.down.add(net[3])
        net.sleep(2.0 + GRACE + 1.0 + 0.1)
        found[any(node.state(3) is not MemberState.ALIVE for node in net.nodes.values() if node is not net[3])] += 1
    assert found == {True: 20}


def test_who_hears_nothing_is_found_though_its_own_pings_arrive() -> None:
    net = Net(6, stream_probe=False, challengers=0).form(10.0)
    deaf = net[3]
    net.lost = lambda _sender, packet: packet.address == deaf.info.address
    net.sleep(2 * (2.0 + GRACE) + 1.0 + 0.1)
    assert any(node.state(3) is not MemberState.ALIVE for node in net.nodes.values() if node is not deaf)
