from array import array
from collections import Counter
from dataclasses import replace
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
)

from shoal.snapshot import Snapshot
from shoal.state.digest import ViewDigest
from shoal.state.precedence import pack
from shoal.state.table import MemberTable
from shoal.types import Address, Member, MemberState, NodeId, NodeInfo, Tags
from shoal.wire.native import NativeDialect

KEY = b"shoal"
RECORDS = NativeDialect("shoal").records


def _info(number: int, name: str | None = None, port: int | None = None) -> NodeInfo:
    id = NodeId(number.to_bytes(NodeId.SIZE))
    return NodeInfo(name or f"n{number}", id, Address("10.0.0.1", port or 1000 + number), Tags())


def _filled(count: int) -> MemberTable:
    table = MemberTable(KEY, RECORDS)
    for number in range(count):
        table.add(_info(number), pack(0, MemberState.ALIVE), 0.0)
    return table


# Against a model


class Row:
    """What a table without columns and indexes would hold of one member."""

    def __init__(self, info: NodeInfo, incarnation: int, state: MemberState, since: float) -> None:
        self.info, self.incarnation, self.state, self.since = info, incarnation, state, since

    def member(self) -> Member:
        info = self.info
        return Member(info.name, info.id, info.address, self.state, self.incarnation, info.tags, self.since)


class TableModel(RuleBasedStateMachine):
    """The table does what a list of rows does. Present members have an address each, as membership sees to."""

    slots = Bundle("slots")

    def __init__(self) -> None:
        super().__init__()
        self.table = MemberTable(KEY, RECORDS)
        self.rows: dict[int, Row] = {}
        self.most_rows = 0
        self.made = 0
        self.now = 0.0
        self.generation = 0
        self.snapshot: tuple[Member, ...] = ()

    @rule(target=slots, state=st.sampled_from(MemberState), incarnation=st.integers(0, 3))
    def add(self, state: MemberState, incarnation: int) -> int:
        self.made += 1
        self.now += 1
        info = _info(self.made)
        slot = self.table.add(info, pack(incarnation, state), self.now)
        assert slot not in self.rows
        self.rows[slot] = Row(info, incarnation, state, self.now)
        return slot

    @rule(slot=slots, state=st.sampled_from(MemberState), incarnation=st.integers(0, 3))
    def set_belief(self, slot: int, state: MemberState, incarnation: int) -> None:
        self.now += 1
        row = self.rows[slot]
        if state is not row.state:
            row.since = self.now
        row.state, row.incarnation = state, incarnation
        self.table.set_belief(slot, pack(incarnation, state), self.now)

    @rule(slot=slots, tag=st.sampled_from(["", "a", "b"]), moves=st.booleans())
    def set_info(self, slot: int, tag: str, moves: bool) -> None:
        row = self.rows[slot]
        self.made += 1
        address = Address("10.0.0.1", 1000 + self.made) if moves else row.info.address
        row.info = replace(row.info, address=address, tags=Tags(tag=tag, other="x") if moves else Tags(tag=tag))
        self.table.set_info(slot, row.info)

    @rule(target=slots, count=st.integers(0, 40), incarnation=st.integers(0, 3), room=st.integers(0, 50))
    def take_in_strangers(self, count: int, incarnation: int, room: int) -> MultipleResults[int]:
        self.now += 1
        infos = [_info(self.made + 1 + number) for number in range(count)]
        self.made += count
        known = self.table.snapshot(self.now)
        snapshot = Snapshot(
            known.beliefs + array("Q", [pack(incarnation, MemberState.ALIVE)] * count),
            known.ages + array("d", [1.0] * count),
            known.records + list(map(RECORDS.pack, infos)),
        )
        comparison = self.table.compare(snapshot, room=room)
        assert comparison.equal == len(self.rows)
        slots = self.table.add_all(comparison.new, self.now)
        assert len(slots) == min(count, room)
        assert not self.rows.keys() & set(slots)
        for slot, info in zip(slots, infos, strict=False):
            self.rows[slot] = Row(info, incarnation, MemberState.ALIVE, self.now)
        return multiple(*slots)

    @rule()
    def copy_rows(self) -> None:
        copy = MemberTable(KEY, RECORDS)
        copy.add(_info(10**6, port=1), pack(0, MemberState.ALIVE), 0.0)
        copy.copy_rows(self.table)
        copy.generation = self.table.generation + 1
        self.table = copy

    @rule(value=st.sampled_from(["", "a", "b"]), second=st.booleans())
    def ask_for_tags(self, value: str, second: bool) -> None:
        wanted = {"tag": value} | ({"other": "x"} if second else {})
        expected = [row.member() for _, row in sorted(self.rows.items())]
        present = tuple(member for member in expected if member.state.is_present and member.has_tags(wanted))
        assert self.table.members_with(wanted) == present

    @rule(slot=consumes(slots))
    def remove(self, slot: int) -> None:
        del self.rows[slot]
        self.table.remove(slot)

    @precondition(lambda self: self.rows)
    @rule(random=st.randoms(use_true_random=False), count=st.integers(0, 5))
    def sample(self, random: Random, count: int) -> None:
        present = {slot for slot, row in self.rows.items() if row.state.is_present}
        skipped = next(iter(self.rows))
        picked = self.table.sample(random, count, {self.rows[skipped].info.id})
        assert len(picked) == len(set(picked)) == min(count, len(present - {skipped}))
        assert set(picked) <= present - {skipped}

    @invariant()
    def rows_are_found_by_every_key(self) -> None:
        assert len(self.table) == len(self.rows)
        assert sorted(self.table.slots()) == sorted(self.rows)
        for slot, row in self.rows.items():
            info = row.info
            assert self.table.info(slot) == info
            assert (self.table.id(slot), self.table.name(slot), self.table.address(slot)) == (
                info.id,
                info.name,
                info.address,
            )
            assert self.table.belief(slot) == pack(row.incarnation, row.state)
            assert self.table.state(slot) is row.state
            assert self.table.since(slot) == row.since
            assert self.table.slot_of(info.id) == self.table.slot_named(info.name) == slot
            assert self.table.slot_at(info.address) == (slot if row.state.is_present else None)
            assert self.table.is_present(info.id) is self.table.is_present_at(slot) is row.state.is_present
            assert (
                self.table.is_alive(info.id)
                is self.table.is_steady(info.id)
                is self.table.is_steady_at(slot)
                is (row.state is MemberState.ALIVE)
            )

    @invariant()
    def no_slot_is_new_while_another_is_free(self) -> None:
        self.most_rows = max(self.most_rows, len(self.rows))
        assert all(slot < self.most_rows for slot in self.rows)

    @invariant()
    def what_is_gone_is_not_found(self) -> None:
        known = {row.info.id for row in self.rows.values()}
        for number in range(self.made + 2):
            if _info(number).id not in known:
                assert self.table.slot_of(_info(number).id) is None
                assert self.table.slot_named(f"n{number}") is None
                assert not self.table.is_present(_info(number).id)

    @invariant()
    def totals_are_those_of_the_rows(self) -> None:
        present = [row for row in self.rows.values() if row.state.is_present]
        digest = ViewDigest(KEY)
        for row in present:
            digest.add(row.info.id, pack(row.incarnation, row.state))
        assert self.table.digest == digest.value
        assert self.table.present_count == len(present)
        ordered = sorted((row.info.id for row in present), key=lambda id: id[8:])
        assert [self.table.id(slot) for slot in self.table.ring] == ordered
        terms = dict(zip(*self.table.terms(), strict=True))
        assert terms.keys() == {row.info.id for row in present}
        assert sum(terms.values()) % 2**64 == digest.value
        counts = Counter(row.state for row in self.rows.values())
        assert [self.table.count(state) for state in MemberState] == [counts[state] for state in MemberState]

    @invariant()
    def members_are_a_snapshot_that_changes_with_the_generation(self) -> None:
        members = self.table.members()
        assert members == tuple(row.member() for _, row in sorted(self.rows.items()))
        assert self.table.members() is members
        assert self.table.generation >= self.generation
        if members != self.snapshot:
            assert self.table.generation > self.generation
        self.generation, self.snapshot = self.table.generation, members


TestTable = TableModel.TestCase
TestTable.settings = settings(max_examples=60, stateful_step_count=30)


# Sampling


@pytest.mark.parametrize(("members", "count"), [(8, 3), (100, 3)])
def test_every_member_is_sampled_about_as_often(members: int, count: int) -> None:
    table, random, rounds = _filled(members), Random(1), 4000
    picks = Counter(slot for _ in range(rounds) for slot in table.sample(random, count, {_info(0).id}))
    expected = rounds * count / (members - 1)
    assert picks[0] == 0
    assert len(picks) == members - 1
    assert all(abs(times - expected) < 6 * expected**0.5 for times in picks.values())


@pytest.mark.parametrize("members", [0, 1, 2, 3, 16, 29, 30, 200])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_sample_is_as_large_as_can_be(members: int, count: int) -> None:
    table = _filled(members)
    skip = {_info(0).id, _info(1).id}
    picked = table.sample(Random(2), count, skip)
    assert len(set(picked)) == len(picked) == min(count, max(0, members - 2))
    assert not {table.info(slot).id for slot in picked} & skip


# Values


def test_a_member_is_a_value_that_later_changes_do_not_touch() -> None:
    table = _filled(1)
    slot = table.slot_named("n0")
    assert slot is not None
    before = table.member(slot)
    assert table.member(slot) == before
    table.set_belief(slot, pack(1, MemberState.SUSPECT), 5.0)
    assert (before.state, before.since) == (MemberState.ALIVE, 0.0)
    assert (table.member(slot).state, table.member(slot).since) == (MemberState.SUSPECT, 5.0)


def test_since_stays_while_the_state_does() -> None:
    table = _filled(1)
    table.set_belief(0, pack(7, MemberState.ALIVE), 5.0)
    assert table.since(0) == 0.0


def test_a_slot_is_used_again() -> None:
    table = _filled(3)
    table.remove(1)
    assert table.add(_info(9), pack(0, MemberState.ALIVE), 0.0) == 1


def test_slots_are_used_again_by_members_that_come_in_bulk() -> None:
    table, size = _filled(1), 0
    for generation in range(1, 5):
        strangers = [RECORDS.pack(_info(100 * generation + number)) for number in range(50)]
        beliefs = array("Q", [pack(0, MemberState.ALIVE)] * 50)
        comparison = table.compare(Snapshot(beliefs, array("d", [0.0] * 50), strangers), room=50)
        slots = table.add_all(comparison.new, 1.0)
        size = size or table.size
        assert len(table) == 51
        assert table.size == size
        for slot in slots:
            table.remove(slot)


def test_members_come_in_the_order_of_their_slots() -> None:
    table = _filled(3)
    table.remove(0)
    table.add(_info(9), pack(0, MemberState.ALIVE), 0.0)
    assert [member.name for member in table.members()] == ["n9", "n1", "n2"]


def test_an_address_passes_to_whoever_is_present_there() -> None:
    table = MemberTable(KEY, RECORDS)
    old = table.add(_info(1, port=5), pack(0, MemberState.ALIVE), 0.0)
    table.set_belief(old, pack(0, MemberState.DEAD), 1.0)
    new = table.add(_info(2, port=5), pack(0, MemberState.ALIVE), 2.0)
    assert table.slot_at(Address("10.0.0.1", 5)) == new
    table.remove(old)
    assert table.slot_at(Address("10.0.0.1", 5)) == new


def test_a_name_and_an_id_have_one_row() -> None:
    table = _filled(1)
    with pytest.raises(AssertionError):
        table.add(_info(0, name="other"), pack(0, MemberState.ALIVE), 0.0)
    with pytest.raises(AssertionError):
        table.add(_info(1, name="n0"), pack(0, MemberState.ALIVE), 0.0)


# What proves that a member is gone


def test_a_testimony_is_there_until_the_belief_changes_or_the_row_goes() -> None:
    table = _filled(3)
    for slot in (0, 1):
        table.set_belief(slot, pack(0, MemberState.DEAD), 1.0)
        table.set_testimony(slot, b"signed")
    assert [table.testimony(slot) for slot in range(3)] == [b"signed", b"signed", b""]
    table.set_belief(0, pack(1, MemberState.ALIVE), 2.0)
    table.remove(1)
    assert [table.testimony(slot) for slot in range(2)] == [b"", b""]
    assert table.snapshot(3.0).testimonies == {}


def test_a_snapshot_has_the_testimonies_of_its_rows() -> None:
    table = _filled(4)
    table.set_belief(2, pack(0, MemberState.LEFT), 1.0)
    table.set_testimony(2, b"signed")
    copy = MemberTable(KEY, RECORDS)
    copy.copy_rows(table)
    for each in (table, copy):
        assert each.snapshot(1.0).testimonies == {2: b"signed"}
        assert each.snapshot(1.0, [3, 2]).testimonies == {1: b"signed"}
        assert each.snapshot(1.0, [0, 1]).testimonies == {}


def test_whose_terms_changed_is_noted_no_longer_once_that_is_more_than_a_look_at_all() -> None:
    table = _filled(2)
    table.touched = set()
    table.remove(table.add(_info(9), pack(0, MemberState.ALIVE), 0.0))
    assert table.touched == {bytes(_info(9).id)}

    for number in range(100, 150):
        table.remove(table.add(_info(number), pack(0, MemberState.ALIVE), 0.0))
    assert table.touched is None
