"""The index against a dictionary, with keys that collide all the time."""

from functools import partial
from typing import Any, SupportsIndex

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from shoal.state.index import SlotIndex


class Colliding(bytes):
    """Bytes with a handful of different hashes, so that long chains form and break."""

    def __hash__(self) -> int:
        return self[0] % 7


class IndexModel(RuleBasedStateMachine):
    """The index does what a dictionary from key to slot does."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[bytes] = []
        self.index = SlotIndex(self.records, Colliding, partial(map, Colliding))
        self.model: dict[Colliding, int] = {}

    def _new(self, number: int) -> tuple[Colliding, int]:
        key = Colliding(bytes((number, len(self.records) // 256, len(self.records) % 256)))
        self.records.append(key)
        return key, len(self.records) - 1

    @rule(number=st.integers(0, 255))
    def add(self, number: int) -> None:
        key, slot = self._new(number)
        self.index.add(key, slot)
        self.model[key] = slot

    @rule(numbers=st.lists(st.integers(0, 255), max_size=20))
    def extend(self, numbers: list[int]) -> None:
        new = dict(map(self._new, numbers))
        self.index.extend(list(new), list(new.values()))
        self.model |= new

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.model)))
        self.index.remove(self.model.pop(key))

    @rule()
    def copy_rows(self) -> None:
        copy = SlotIndex(self.records, Colliding, partial(map, Colliding))
        copy.copy_rows(self.index)
        self.index = copy

    @invariant()
    def every_key_is_found_and_no_other(self) -> None:
        assert len(self.index) == len(self.model)
        for record in self.records:
            assert self.index.find(record) == self.model.get(Colliding(record))
        assert self.index.find(Colliding(b"absent")) is None
        keys = [*map(Colliding, self.records), Colliding(b"absent")]
        assert self.index.find_all(keys) == [self.model.get(key, -1) for key in keys]

    @invariant()
    def a_third_of_the_places_is_free(self) -> None:
        assert self.index.size >= max(32, 6 * len(self.model))


def test_slots_beyond_a_million_are_found_like_others() -> None:
    records = _Far()
    index = SlotIndex(records, bytes, partial(map, bytes))
    slots = [0, 5, 2**20 - 2, 2**20 - 1, 2**20, 2**24]
    for number, slot in enumerate(slots):
        records.held[slot] = bytes((number,))
        index.add(records.held[slot], slot)
    assert index.find_all(list(records.held.values())) == slots

    index.remove(2**20)

    assert index.find(bytes((4,))) is None
    assert [index.find(bytes((number,))) for number in (0, 3, 5)] == [0, 2**20 - 1, 2**24]


class _Far(list[bytes]):
    """Records in slots that lie far apart."""

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[int, bytes] = {}

    def __getitem__(self, slot: SupportsIndex | slice) -> Any:
        assert isinstance(slot, int)
        return self.held[slot]


TestIndex = IndexModel.TestCase
TestIndex.settings = settings(max_examples=60, stateful_step_count=30)


def test_a_few_entries_are_found_among_very_many_keys() -> None:
    records = [b"one", b"gone", b"two"]
    index = SlotIndex(records, bytes, partial(map, bytes))
    for slot, key in enumerate(records):
        index.add(key, slot)
    index.remove(1)
    strangers = [bytes((number,)) for number in range(200)]
    assert index.find_all([*strangers, b"two", b"gone", b"one"]) == [-1] * 200 + [2, -1, 0]
