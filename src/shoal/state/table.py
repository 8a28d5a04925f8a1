"""The member table: one row per known name, in columns.

A row is addressed by its *slot*, a small integer that is valid until the row is removed; whoever keeps a reference for
longer keeps the `NodeId`. What a member published is stored as the record that its dialect writes, and read where it
lies: `Member` and `NodeInfo` values are made when somebody asks for them. Present members (alive or suspect) also
stand on a ring, from which a random one is drawn in O(1), and are counted into the digest.

For each member there are 8 bytes of belief, 8 of time, 8 of what it counts for in the digest, 8 for the reference to
its record, 6 on the ring (8 from 65,537 rows on) and 6 to 12 in each of three indexes; the record itself, with id,
address, name and tags, may be shared with other tables.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from functools import partial
from math import inf
from operator import itemgetter
from random import Random
from typing import Final

from shoal.records import RecordCodec
from shoal.snapshot import Snapshot
from shoal.state.arrivals import Arrivals
from shoal.state.comparison import Comparison, Indexes, NewRows, compare
from shoal.state.digest import ViewDigest
from shoal.state.index import SlotIndex, largest_size
from shoal.state.precedence import incarnation_of, state_of
from shoal.state.record_pool import RecordPool
from shoal.state.ring import Ring
from shoal.state.tag_index import TagIndex
from shoal.state.values import Values
from shoal.types import Address, Member, MemberState, NodeId, NodeInfo, Note, Readiness, Tags

__all__ = ["MemberTable"]

_ALIVE: Final = int(MemberState.ALIVE)
_LAST_PRESENT: Final = int(MemberState.SUSPECT)
_STATE_MASK: Final = 3
_FREE: Final = b""
"""The record of a slot without a row."""
_GONE: Final = int(MemberState.LEFT)
"""Its belief, so that it is taken for nobody's."""
_FEW_TOUCHED: Final = 16
"""Beside as many as there are slots: so many changes may be noted."""

_id_of: Final = itemgetter(slice(NodeId.SIZE))
_pool: Final = RecordPool()


class MemberTable:
    """Rows of `(record, belief, since)` with indexes by id, name and address.

    It stores what it is told; which belief wins is decided before (`shoal.state.precedence`).
    """

    def __init__(self, digest_key: bytes, codec: RecordCodec) -> None:
        self._codec = codec
        self._records: list[bytes] = []
        self._beliefs = array("Q")
        self._since = array("d")
        #: What each present row counts for in the digest; 0 for all others.
        self._terms = array("Q")
        self._free: list[int] = []
        self._by_id = SlotIndex(self._records, _id_of, partial(map, _id_of))
        self._by_name = SlotIndex(self._records, codec.name_key, lambda records: codec.keys(records)[0])
        #: Present rows only: the dead do not hold an address.
        self._by_address = SlotIndex(self._records, codec.address_key, lambda records: codec.keys(records)[1])
        self.ring = Ring(self._records)
        """Slots of present members in the order in which they watch each other."""
        self._digest = ViewDigest(digest_key)
        self._counts = [0] * len(MemberState)
        #: Slots of members in a declared stall: few, if any.
        self._stalled: set[int] = set()
        #: Slots of members that are not relied on: few, if any.
        self._damped: set[int] = set()
        #: By slot, what proves that a member is gone, where that has to be proved.
        self._testimonies: dict[int, bytes] = {}
        self._values = Values(self._make)
        self._tags = TagIndex(self._records, codec.tags)
        self.generation = 0
        """Rises with every change that a reader can see."""
        self.peak = 0
        """The most rows that there were at once; so many slots there may be."""
        self.changed_at = -inf
        """When the digest changed last because of news, in monotonic seconds."""
        self.touched: set[bytes] | None = None
        """Ids of runs that came to count otherwise in the digest since somebody made this a set; None: nobody asks, or
        there are more than rows."""
        self.arrivals = Arrivals()
        """Which rows came in, for those who follow them."""
        _pool.enter()

    def __len__(self) -> int:
        return len(self._by_id)

    @property
    def digest(self) -> int:
        """64-bit digest of all present rows."""
        return self._digest.value

    @property
    def present_count(self) -> int:
        """How many members are alive or suspect, this node included."""
        return len(self.ring)

    @property
    def size(self) -> int:
        """Bytes that the columns, the ring and the indexes take, without the records and what is made of them."""
        columns = len(self._records) * (8 + self._beliefs.itemsize + self._since.itemsize + self._terms.itemsize)
        return columns + self.ring.size + self._by_id.size + self._by_name.size + self._by_address.size

    def take_stock(self, note: Note) -> None:
        """Note what it keeps."""
        rows, slots, index = len(self), len(self._records), largest_size(self.peak)
        note("slots of the table", slots, self.peak)
        note("bytes of the index of ids", self._by_id.size, index)
        note("bytes of the index of names", self._by_name.size, index)
        note("bytes of the index of addresses", self._by_address.size, index)
        note("members on the ring", len(self.ring), rows)
        note("stalled rows", len(self._stalled), rows)
        note("damped rows", len(self._damped), rows)
        note("testimonies", len(self._testimonies), rows)
        note("values of members", len(self._values), rows)
        note("rows that count otherwise", len(self.touched or ()), slots + _FEW_TOUCHED)
        self._tags.take_stock(note)
        self.arrivals.take_stock(note)

    # One row

    def slot_of(self, id: NodeId) -> int | None:
        """The row of a run."""
        return self._by_id.find(id)

    def slot_named(self, name: str) -> int | None:
        """The row of a name, whichever run holds it."""
        return self._by_name.find(name.encode())

    def slot_at(self, address: Address) -> int | None:
        """The row of the present member at an address."""
        return self._by_address.find(self._codec.key_of_address(address))

    def record_of(self, id: bytes) -> bytes:
        """What a run published of itself, as its dialect writes it; empty if it has no row."""
        slot = self._by_id.find(id)
        return _FREE if slot is None else self._records[slot]

    def is_new(self, record: bytes) -> bool:
        """Whether nobody has the id or the name of a record, and no present member its address."""
        return (
            self._by_id.find(_id_of(record)) is None
            and self._by_name.find(self._codec.name_key(record)) is None
            and self._by_address.find(self._codec.address_key(record)) is None
        )

    def record(self, slot: int) -> bytes:
        """What the member published of itself, as its dialect writes it; empty if there is no row."""
        return self._records[slot]

    def info(self, slot: int) -> NodeInfo:
        """The same as a value: `id`, `name` and `address` are cheaper."""
        return self._codec.unpack(self._records[slot])

    def id(self, slot: int) -> NodeId:
        """Which run the row is about."""
        return NodeId(_id_of(self._records[slot]))

    def name(self, slot: int) -> str:
        """The name alone."""
        return self._codec.name(self._records[slot])

    def address(self, slot: int) -> Address:
        """The address alone."""
        return self._codec.address(self._records[slot])

    def name_of(self, id: NodeId) -> str:
        """The name of a run, or its id where that is all we have."""
        slot = self._by_id.find(id)
        return str(id) if slot is None else self.name(slot)

    def belief(self, slot: int) -> int:
        """Incarnation and state, packed."""
        return self._beliefs[slot]

    def state(self, slot: int) -> MemberState:
        """The state alone."""
        return state_of(self._beliefs[slot])

    def testimony(self, slot: int) -> bytes:
        """What proves that the member is gone; empty if nothing does."""
        return self._testimonies.get(slot, b"")

    def since(self, slot: int) -> float:
        """When the row came to its state, in monotonic seconds."""
        return self._since[slot]

    def is_present_at(self, slot: int) -> bool:
        """Whether the slot has a row, of a member that is alive or suspect."""
        return self._beliefs[slot] & _STATE_MASK <= _LAST_PRESENT

    def is_present(self, id: NodeId) -> bool:
        """Whether that run is known and alive or suspect."""
        slot = self._by_id.find(id)
        return slot is not None and self._beliefs[slot] & _STATE_MASK <= _LAST_PRESENT

    def is_alive(self, id: NodeId) -> bool:
        """Whether that run is known and alive, not suspect."""
        slot = self._by_id.find(id)
        return slot is not None and self._beliefs[slot] & _STATE_MASK == _ALIVE

    def is_steady(self, id: NodeId) -> bool:
        """Whether that run is known and alive, and not damped."""
        slot = self._by_id.find(id)
        return slot is not None and self.is_steady_at(slot)

    def is_steady_at(self, slot: int) -> bool:
        """Whether the slot has a row, of a member that is alive and not damped."""
        return self._beliefs[slot] & _STATE_MASK == _ALIVE and slot not in self._damped

    # Changes

    def add(self, info: NodeInfo, belief: int, now: float) -> int:
        """Make a row; neither the id nor the name may have one. Returns its slot."""
        record = self._codec.pack(info)
        assert self._by_id.find(info.id) is None
        assert self._by_name.find(self._codec.name_key(record)) is None
        return self.add_record(record, belief, now)

    def add_record(self, record: bytes, belief: int, now: float) -> int:
        """The same from a record."""
        [record] = _pool.share([record])
        [slot] = self._store([record], [belief], (0,), now)
        self._by_id.add(_id_of(record), slot)
        self._by_name.add(self._codec.name_key(record), slot)
        self.changed_at = now
        self._count_in(slot)
        if belief & _STATE_MASK <= _LAST_PRESENT:
            self._enter(slot)
        if self.arrivals.is_followed:
            self.arrivals.note((slot,))
        self._changed(slot)
        return slot

    def add_all(self, rows: NewRows, now: float) -> Sequence[int]:
        """Make rows of members that `compare` found to be new. Returns their slots."""
        slots = self._store(_pool.share(rows.records), rows.beliefs, self._digest.extend(rows.ids, rows.beliefs), now)
        self._by_id.extend(rows.ids, slots)
        self._by_name.extend(rows.names, slots)
        self._by_address.extend(rows.addresses, slots)
        self.ring.extend(slots)
        self.changed_at = now
        if self.touched is not None:
            self.touched.update(rows.ids)
            self._bound_touched(self.touched)
        self.arrivals.note(slots)
        self._counts[MemberState.ALIVE] += len(rows)
        self._tags.note_more(slots)
        self._values.note_more()
        self.generation += 1
        return slots

    def copy_rows(self, other: MemberTable) -> None:
        """Hold exactly what `other` holds, which costs far less than adding its rows one by one."""
        self._records[:] = other._records
        self._beliefs, self._since, self._terms = other._beliefs[:], other._since[:], other._terms[:]
        self._free, self._stalled = other._free.copy(), other._stalled.copy()
        self._damped, self.peak = other._damped.copy(), max(self.peak, other.peak)
        self._testimonies = other._testimonies.copy()
        self._by_id.copy_rows(other._by_id)
        self._by_name.copy_rows(other._by_name)
        self._by_address.copy_rows(other._by_address)
        self.ring.copy_places(other.ring)
        self._digest.value = other._digest.value
        self.touched = None
        self.arrivals.forget()
        self._counts = other._counts.copy()
        self._values.forget()
        self._tags.forget()
        self.generation += 1

    def set_belief(self, slot: int, belief: int, now: float) -> None:
        """Store another belief; `since` moves when the state does, and what proved the last one goes."""
        state = self._beliefs[slot] & _STATE_MASK
        if belief & _STATE_MASK != state:
            self._since[slot] = now
        self.changed_at = now
        self._testimonies.pop(slot, None)
        self._count_out(slot)
        self._beliefs[slot] = belief
        self._count_in(slot)
        was_present, is_present = state <= _LAST_PRESENT, belief & _STATE_MASK <= _LAST_PRESENT
        if is_present and not was_present:
            self._enter(slot)
        elif was_present and not is_present:
            self._exit(slot)
        self._changed(slot)

    def set_info(self, slot: int, info: NodeInfo) -> None:
        """Store what the same run publishes now; its id and name stay."""
        record = self._pack(info)
        assert record[: NodeId.SIZE] == self._records[slot][: NodeId.SIZE]
        assert self._codec.name_key(record) == self._codec.name_key(self._records[slot])
        is_present = self._beliefs[slot] & _STATE_MASK <= _LAST_PRESENT
        if is_present:
            self._by_address.remove(slot)
        self._records[slot] = record
        if is_present:
            self._by_address.add(self._codec.address_key(record), slot)
        self._changed(slot)

    def set_testimony(self, slot: int, testimony: bytes) -> None:
        """Store what proves that the member is gone, until its belief changes."""
        self._testimonies[slot] = testimony

    def set_stalled(self, slot: int, is_stalled: bool) -> None:
        """Store whether the member is in a stall that it declared."""
        if is_stalled:
            self._stalled.add(slot)
        else:
            self._stalled.discard(slot)
        self._changed(slot)

    def set_damped(self, slot: int, is_damped: bool) -> None:
        """Store whether the member is one that comes and goes."""
        if is_damped:
            self._damped.add(slot)
        else:
            self._damped.discard(slot)
        self._changed(slot)

    def remove(self, slot: int) -> None:
        """Forget a row."""
        self._count_out(slot)
        if self._beliefs[slot] & _STATE_MASK <= _LAST_PRESENT:
            self._exit(slot)
        self._by_id.remove(slot)
        self._by_name.remove(slot)
        self._stalled.discard(slot)
        self._damped.discard(slot)
        self._testimonies.pop(slot, None)
        self._records[slot] = _FREE
        self._beliefs[slot] = _GONE
        self._free.append(slot)
        self._changed(slot)

    # Many rows

    def slots(self) -> Iterator[int]:
        """All rows, tombstones too."""
        return (slot for slot, record in enumerate(self._records) if record)

    def count(self, state: MemberState) -> int:
        """How many rows are in a state."""
        return self._counts[state]

    def sample(self, random: Random, count: int, skip: Container[bytes]) -> list[int]:
        """Up to `count` distinct slots of present members, uniformly, without those in `skip` (a handful of ids)."""
        ring, records, present = self.ring, self._records, len(self.ring)
        if present <= 4 * count + 16:
            candidates = [slot for slot in ring if _id_of(records[slot]) not in skip]
            return random.sample(candidates, min(count, len(candidates)))
        # With so many more members than are wanted or skipped, drawing again is cheaper than listing them.
        picked: dict[int, None] = {}
        while len(picked) < count:
            slot = ring[int(random.random() * present)]
            if slot not in picked and _id_of(records[slot]) not in skip:
                picked[slot] = None
        return list(picked)

    def present_with(self, heads: Sequence[bytes]) -> list[NodeId]:
        """The present members whose ids have these heads: of each head the first on the ring, if there is any."""
        slots = map(self.ring.first_with, heads)
        return [self.id(slot) for slot in slots if slot is not None]

    def places_between(self, start: NodeId, end: NodeId) -> int:
        """How many places on the ring `end` stands after `start`; both are present."""
        first, second = self._by_id.find(start), self._by_id.find(end)
        assert first is not None, f"{start} is unknown"
        assert second is not None, f"{end} is unknown"
        return self.ring.places_between(first, second)

    def term(self, id: bytes) -> int | None:
        """What a run counts for in the digest; None if it is not present."""
        slot = self._by_id.find(id)
        return self._terms[slot] if slot is not None and self.is_present_at(slot) else None

    def terms(self) -> tuple[list[bytes], list[int]]:
        """Ids of all present members, and what each counts for in the digest, in an order of their own."""
        records, terms = self._records, self._terms
        return [_id_of(records[slot]) for slot in self.ring], [terms[slot] for slot in self.ring]

    def present_tags(self) -> Iterator[Tags]:
        """Tags of all present members."""
        return (self._codec.tags(self._records[slot]) for slot in self.ring)

    def compare(self, snapshot: Snapshot, *, room: int, not_new: Collection[bytes] = ()) -> Comparison:
        """Which rows of a snapshot are held here already, and which may come in by `add_all`: at most `room`."""
        indexes = Indexes(self._by_id, self._by_name, self._by_address)
        return compare(snapshot, self._records, self._beliefs, indexes, self._codec, room=room, not_new=not_new)

    def snapshot(self, now: float, slots: Sequence[int] | None = None) -> Snapshot:
        """These rows in columns, or all rows, tombstones too."""
        chosen = list(self.slots()) if slots is None else slots
        beliefs, since, records = self._beliefs, self._since, self._records
        known = self._testimonies
        return Snapshot(
            array("Q", [beliefs[slot] for slot in chosen]),
            array("d", [max(0.0, now - since[slot]) for slot in chosen]),
            [records[slot] for slot in chosen],
            {number: known[slot] for number, slot in enumerate(chosen) if slot in known} if known else {},
        )

    # Values for users

    def member(self, slot: int) -> Member:
        """The row as a value."""
        return self._values.one(slot)

    def members(self) -> tuple[Member, ...]:
        """All rows as values, in the order of their slots."""
        return self._values.all(self.slots())

    def members_with(self, tags: Mapping[str, str]) -> tuple[Member, ...]:
        """Rows of present members that have all these tags, at least one, in the order of their slots."""
        slots = self._tags.find(tags, self.slots)
        return self._values.some([slot for slot in slots if self._beliefs[slot] & _STATE_MASK <= _LAST_PRESENT])

    # Inside

    def _make(self, slot: int) -> Member:
        info, belief = self.info(slot), self._beliefs[slot]
        return Member(
            name=info.name,
            id=info.id,
            address=info.address,
            state=state_of(belief),
            incarnation=incarnation_of(belief),
            tags=info.tags,
            since=self._since[slot],
            readiness=Readiness.STALLED if slot in self._stalled else info.readiness,
            damped=slot in self._damped,
        )

    def _pack(self, info: NodeInfo) -> bytes:
        [record] = _pool.share([self._codec.pack(info)])
        return record

    def _store(self, records: list[bytes], beliefs: list[int], terms: Sequence[int], now: float) -> Sequence[int]:
        """Fill the columns of new rows, first those that were freed: a table is never longer than it once had rows."""
        self.peak = max(self.peak, len(self) + len(records))
        kept = max(0, len(self._free) - len(records))
        reused, self._free = self._free[kept:], self._free[:kept]
        for slot, record, belief, term in zip(reused, records, beliefs, terms, strict=False):
            self._records[slot], self._beliefs[slot] = record, belief
            self._since[slot], self._terms[slot] = now, term
        done, first = len(reused), len(self._records)
        self._records += records[done:]
        self._beliefs.extend(beliefs[done:])
        self._since.extend(array("d", [now]) * (len(records) - done))
        self._terms.extend(terms[done:])
        return [*reused, *range(first, len(self._records))]

    def _count_in(self, slot: int) -> None:
        belief = self._beliefs[slot]
        self._counts[belief & _STATE_MASK] += 1
        if belief & _STATE_MASK <= _LAST_PRESENT:
            self._terms[slot] = self._digest.add(_id_of(self._records[slot]), belief)
            self._touch(slot)

    def _count_out(self, slot: int) -> None:
        belief = self._beliefs[slot]
        self._counts[belief & _STATE_MASK] -= 1
        if belief & _STATE_MASK <= _LAST_PRESENT:
            self._digest.remove(self._terms[slot])
            self._terms[slot] = 0
            self._touch(slot)

    def _touch(self, slot: int) -> None:
        if self.touched is not None:
            self.touched.add(_id_of(self._records[slot]))
            self._bound_touched(self.touched)

    def _bound_touched(self, touched: set[bytes]) -> None:
        """Note no more once there are so many that whoever asked looks at all rows anyway."""
        if len(touched) > len(self._records) + _FEW_TOUCHED:
            self.touched = None

    def _enter(self, slot: int) -> None:
        """The member of the row became present."""
        self._by_address.add(self._codec.address_key(self._records[slot]), slot)
        self.ring.add(slot)

    def _exit(self, slot: int) -> None:
        """It is present no more."""
        self._by_address.remove(slot)
        self.ring.remove(slot)

    def _changed(self, slot: int) -> None:
        self._values.note(slot)
        self._tags.note(slot)
        self.generation += 1
