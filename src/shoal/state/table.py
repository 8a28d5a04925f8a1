"""The member table: one row per known name, in columns.

A row is addressed by its *slot*, a small integer that is valid until the row is removed; whoever keeps a reference for
longer keeps the `NodeId`. Rows of present members (alive or suspect) are also listed densely, so that a random one is
found in O(1), and counted into the digest.
"""

from __future__ import annotations

from array import array
from collections.abc import Container, Iterator
from random import Random
from typing import Final

from shoal.state.digest import ViewDigest
from shoal.state.precedence import incarnation_of, state_of
from shoal.state.ring import Ring
from shoal.types import Address, Member, MemberState, NodeId, NodeInfo, Readiness, Tags

__all__ = ["MemberTable"]

_ABSENT: Final = -1
_ALIVE: Final = int(MemberState.ALIVE)
_LAST_PRESENT: Final = int(MemberState.SUSPECT)
_STATE_MASK: Final = 3


class MemberTable:
    """Rows of `(info, belief, since)` with indexes by id, name and address.

    It stores what it is told; which belief wins is decided before (`shoal.state.precedence`).
    """

    def __init__(self, digest_key: bytes) -> None:
        self._infos: list[NodeInfo | None] = []
        self._beliefs = array("Q")
        self._since = array("d")
        #: Index into `_present`, or _ABSENT.
        self._positions = array("q")
        #: Slots of present rows, in no particular order.
        self._present: list[int] = []
        self._free: list[int] = []
        #: Slots of members in a declared stall: few, if any.
        self._stalled: set[int] = set()
        #: Slots of members that are not relied on: few, if any.
        self._damped: set[int] = set()
        self._by_id: dict[NodeId, int] = {}
        self._by_name: dict[str, int] = {}
        #: Present rows only: the dead do not hold an address.
        self._by_address: dict[Address, int] = {}
        self._digest = ViewDigest(digest_key)
        self.ring = Ring()
        """Present members in the order in which they watch each other."""
        self._counts = [0] * len(MemberState)
        self._values: dict[int, Member] = {}
        self._snapshot: tuple[Member, ...] = ()
        self._snapshot_generation = 0
        self.generation = 0
        """Rises with every change that a reader can see."""

    def __len__(self) -> int:
        return len(self._by_id)

    @property
    def digest(self) -> int:
        """64-bit digest of all present rows."""
        return self._digest.value

    @property
    def present_count(self) -> int:
        """How many members are alive or suspect, this node included."""
        return len(self._present)

    def slot_of(self, id: NodeId) -> int | None:
        """The row of a run."""
        return self._by_id.get(id)

    def slot_named(self, name: str) -> int | None:
        """The row of a name, whichever run holds it."""
        return self._by_name.get(name)

    def slot_at(self, address: Address) -> int | None:
        """The row of the present member at an address."""
        return self._by_address.get(address)

    def info(self, slot: int) -> NodeInfo:
        """What the member published of itself."""
        info = self._infos[slot]
        assert info is not None, f"slot {slot} is free"
        return info

    def id(self, slot: int) -> NodeId:
        """Which run the row is about."""
        return self.info(slot).id

    def name(self, slot: int) -> str:
        """The name alone."""
        return self.info(slot).name

    def address(self, slot: int) -> Address:
        """The address alone."""
        return self.info(slot).address

    def name_of(self, id: NodeId) -> str:
        """The name of a run, or its id where that is all we have."""
        slot = self.slot_of(id)
        return str(id) if slot is None else self.name(slot)

    def belief(self, slot: int) -> int:
        """Incarnation and state, packed."""
        return self._beliefs[slot]

    def state(self, slot: int) -> MemberState:
        """The state alone."""
        return state_of(self._beliefs[slot])

    def since(self, slot: int) -> float:
        """When the row came to its state, in monotonic seconds."""
        return self._since[slot]

    def is_present(self, id: NodeId) -> bool:
        """Whether that run is known and alive or suspect."""
        slot = self._by_id.get(id)
        return slot is not None and self._positions[slot] != _ABSENT

    def is_alive(self, id: NodeId) -> bool:
        """Whether that run is known and alive, not suspect."""
        slot = self._by_id.get(id)
        return slot is not None and self._beliefs[slot] & _STATE_MASK == _ALIVE

    def add(self, info: NodeInfo, belief: int, now: float) -> int:
        """Make a row; neither the id nor the name may have one. Returns its slot."""
        assert info.id not in self._by_id
        assert info.name not in self._by_name
        slot = self._take_slot()
        self._infos[slot] = info
        self._by_id[info.id] = slot
        self._by_name[info.name] = slot
        self._beliefs[slot] = belief
        self._since[slot] = now
        self._count_in(slot)
        if belief & _STATE_MASK <= _LAST_PRESENT:
            self._enter(slot)
        self._changed(slot)
        return slot

    def copy_rows(self, other: MemberTable) -> None:
        """Hold exactly what `other` holds, which costs far less than adding its rows one by one."""
        self._infos = other._infos.copy()
        self._beliefs, self._since = other._beliefs[:], other._since[:]
        self._positions, self._present = other._positions[:], other._present.copy()
        self._free, self._stalled = other._free.copy(), other._stalled.copy()
        self._by_id, self._by_name = other._by_id.copy(), other._by_name.copy()
        self._by_address = other._by_address.copy()
        self._digest.value = other._digest.value
        self.ring.copy_places(other.ring)
        self._counts = other._counts.copy()
        self._values.clear()
        self.generation += 1

    def set_belief(self, slot: int, belief: int, now: float) -> None:
        """Store another belief; `since` moves when the state does."""
        was_present, state = self._positions[slot] != _ABSENT, self._beliefs[slot] & _STATE_MASK
        if belief & _STATE_MASK != state:
            self._since[slot] = now
        self._count_out(slot)
        self._beliefs[slot] = belief
        self._count_in(slot)
        is_present = belief & _STATE_MASK <= _LAST_PRESENT
        if is_present and not was_present:
            self._enter(slot)
        elif was_present and not is_present:
            self._exit(slot)
        self._changed(slot)

    def set_info(self, slot: int, info: NodeInfo) -> None:
        """Store what the same run publishes now; its id and name stay."""
        old = self.info(slot)
        assert (info.id, info.name) == (old.id, old.name)
        self._release_address(slot)
        self._infos[slot] = info
        if self._positions[slot] != _ABSENT:
            self._by_address[info.address] = slot
        self._changed(slot)

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

    def is_steady(self, id: NodeId) -> bool:
        """Whether that run is known and alive, and not damped."""
        slot = self._by_id.get(id)
        return slot is not None and self._beliefs[slot] & _STATE_MASK == _ALIVE and slot not in self._damped

    def remove(self, slot: int) -> None:
        """Forget a row."""
        info = self.info(slot)
        self._count_out(slot)
        if self._positions[slot] != _ABSENT:
            self._exit(slot)
        self._infos[slot] = None
        self._stalled.discard(slot)
        self._damped.discard(slot)
        del self._by_id[info.id]
        del self._by_name[info.name]
        self._free.append(slot)
        self._changed(slot)

    def sample(self, random: Random, count: int, skip: Container[NodeId]) -> list[int]:
        """Up to `count` distinct slots of present members, uniformly, without those in `skip` (a handful of ids)."""
        present = self._present
        if len(present) <= 4 * count + 16:
            candidates = [slot for slot in present if self.info(slot).id not in skip]
            return random.sample(candidates, min(count, len(candidates)))
        # With so many more members than are wanted or skipped, drawing again is cheaper than listing them.
        picked: dict[int, None] = {}
        while len(picked) < count:
            slot = present[int(random.random() * len(present))]
            if slot not in picked and self.info(slot).id not in skip:
                picked[slot] = None
        return list(picked)

    def present_ids(self) -> list[NodeId]:
        """Ids of all present members."""
        return [self.info(slot).id for slot in self._present]

    def term(self, id: NodeId) -> int | None:
        """What a run counts for in the digest; None if it is not present."""
        slot = self._by_id.get(id)
        if slot is None or self._positions[slot] == _ABSENT:
            return None
        return self._digest.term(id, self._beliefs[slot])

    def terms(self) -> Iterator[tuple[NodeId, int]]:
        """Ids of all present members, each with its term in the digest."""
        for slot in self._present:
            id = self.info(slot).id
            yield id, self._digest.term(id, self._beliefs[slot])

    def present_tags(self) -> Iterator[Tags]:
        """Tags of all present members."""
        return (self.info(slot).tags for slot in self._present)

    def slots(self) -> Iterator[int]:
        """All rows, tombstones too."""
        return iter(self._by_id.values())

    def count(self, state: MemberState) -> int:
        """How many rows are in a state."""
        return self._counts[state]

    def member(self, slot: int) -> Member:
        """The row as a value for users."""
        value = self._values.get(slot)
        if value is None:
            info, belief = self.info(slot), self._beliefs[slot]
            value = Member(
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
            self._values[slot] = value
        return value

    def members(self) -> tuple[Member, ...]:
        """All rows as values, in the order in which they came."""
        if self._snapshot_generation != self.generation:
            self._snapshot = tuple(map(self.member, self._by_id.values()))
            self._snapshot_generation = self.generation
        return self._snapshot

    def _take_slot(self) -> int:
        if self._free:
            return self._free.pop()
        self._infos.append(None)
        self._beliefs.append(0)
        self._since.append(0.0)
        self._positions.append(_ABSENT)
        return len(self._infos) - 1

    def _count_in(self, slot: int) -> None:
        belief = self._beliefs[slot]
        self._counts[belief & _STATE_MASK] += 1
        if belief & _STATE_MASK <= _LAST_PRESENT:
            self._digest.add(self.info(slot).id, belief)

    def _count_out(self, slot: int) -> None:
        belief = self._beliefs[slot]
        self._counts[belief & _STATE_MASK] -= 1
        if belief & _STATE_MASK <= _LAST_PRESENT:
            self._digest.remove(self.info(slot).id, belief)

    def _enter(self, slot: int) -> None:
        """The member of the row became present."""
        info = self.info(slot)
        self._positions[slot] = len(self._present)
        self._present.append(slot)
        self._by_address[info.address] = slot
        self.ring.add(info.id)

    def _exit(self, slot: int) -> None:
        """It is present no more."""
        position, last = self._positions[slot], self._present.pop()
        if last != slot:
            self._present[position] = last
            self._positions[last] = position
        self._positions[slot] = _ABSENT
        self._release_address(slot)
        self.ring.remove(self.info(slot).id)

    def _release_address(self, slot: int) -> None:
        address = self.info(slot).address
        if self._by_address.get(address) == slot:
            del self._by_address[address]

    def _changed(self, slot: int) -> None:
        self._values.pop(slot, None)
        self.generation += 1
