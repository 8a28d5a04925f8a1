"""Rows told apart in bulk, against looking at them one by one."""

from array import array

from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.snapshot import Snapshot
from shoal.state.precedence import pack, state_of
from shoal.state.table import MemberTable
from shoal.types import Address, MemberState, NodeId, NodeInfo, Tags
from shoal.wire.records import NativeRecords

RECORDS = NativeRecords()
ALIVE = MemberState.ALIVE

infos = st.builds(
    lambda id, name, port, tag: NodeInfo(
        f"n{name}", NodeId(id.to_bytes(NodeId.SIZE)), Address("10.0.0.1", 1000 + port), Tags(t=tag)
    ),
    st.integers(0, 12),
    st.integers(0, 12),
    st.integers(0, 12),
    st.sampled_from("ab"),
)
beliefs = st.builds(pack, st.integers(0, 1), st.sampled_from(MemberState))
rows = st.lists(st.tuples(infos, beliefs), max_size=12, unique_by=lambda row: row[0].id)


def _table(held: list[tuple[NodeInfo, int]]) -> tuple[MemberTable, list[tuple[NodeInfo, int]]]:
    """A table of those that fit in together, and which these are."""
    table = MemberTable(b"shoal", RECORDS)
    kept = []
    for info, belief in held:
        if table.slot_named(info.name) is None and table.slot_at(info.address) is None:
            table.add(info, belief, 0.0)
            kept.append((info, belief))
    return table, kept


@given(rows, rows, st.integers(0, 12), st.sets(st.integers(0, 12), max_size=2))
@settings(max_examples=300)
def test_each_row_is_told_apart_as_if_it_were_looked_at_alone(
    held: list[tuple[NodeInfo, int]], said: list[tuple[NodeInfo, int]], room: int, barred: set[int]
) -> None:
    table, kept = _table(held)
    snapshot = Snapshot(
        array("Q", [belief for _, belief in said]),
        array("d", [0.0] * len(said)),
        [RECORDS.pack(info) for info, _ in said],
    )

    comparison = table.compare(snapshot, room=room, not_new=[id.to_bytes(NodeId.SIZE) for id in barred])

    alive = [info for info, belief in said if state_of(belief) is ALIVE and info.id not in {i.id for i, _ in kept}]
    new = [
        number
        for number, (info, belief) in enumerate(said)
        if state_of(belief) is ALIVE
        and info in alive
        and int.from_bytes(info.id) not in barred
        and info.name not in {other.name for other, _ in kept}
        and info.address not in {other.address for other, state in kept if state_of(state).is_present}
        and sum(other.name == info.name for other in alive) == 1
        and sum(other.address == info.address for other in alive) == 1
    ][:room]
    equal = [number for number, row in enumerate(said) if row in kept]
    assert comparison.new.numbers == new
    assert comparison.equal == len(equal)
    assert comparison.other == [number for number in range(len(said)) if number not in {*new, *equal}]
    assert comparison.new.records == [RECORDS.pack(said[number][0]) for number in new]
    assert comparison.new.beliefs == [said[number][1] for number in new]
