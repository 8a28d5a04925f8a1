"""Which rows have a tag: an index that is built when somebody asks for a tag, key by key.

It is kept while it is asked for: a change only marks its row, and the next query looks at the marked rows again. A node
that nobody asks has no index, and one that nobody asks any more drops it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from shoal.types import Note, Tags

__all__ = ["TagIndex"]

_MAX_KEYS: Final = 16
"""Keys that are indexed at once; the one that was asked for first goes first."""
_MIN_PATIENCE: Final = 1024
"""The index goes when more rows than this, and more than half of those that it lists, are marked."""


class _Key:
    """The rows that have one key, by its value."""

    __slots__ = ("rows", "value_of")

    def __init__(self) -> None:
        self.rows: dict[str, set[int]] = {}
        self.value_of: dict[int, str] = {}

    def put(self, slot: int, value: str | None) -> None:
        old = self.value_of.pop(slot, None)
        if old is not None:
            self.rows[old].discard(slot)
            if not self.rows[old]:
                del self.rows[old]
        if value is not None:
            self.value_of[slot] = value
            self.rows.setdefault(value, set()).add(slot)


class TagIndex:
    """Rows by the tags of their records."""

    __slots__ = ("_keys", "_marked", "_records", "_tags_of")

    def __init__(self, records: list[bytes], tags_of: Callable[[bytes], Tags]) -> None:
        self._records = records
        self._tags_of = tags_of
        self._keys: dict[str, _Key] = {}
        #: Rows that may have changed since the last query.
        self._marked: set[int] = set()

    def __len__(self) -> int:
        return len(self._keys)

    def take_stock(self, note: Note) -> None:
        """Note what it keeps."""
        note("indexed tags", len(self._keys), _MAX_KEYS)
        note("rows that may have other tags", len(self._marked), max(_MIN_PATIENCE, len(self._records) // 2))

    def note(self, slot: int) -> None:
        """A row came, changed or went."""
        if self._keys:
            self.note_more((slot,))

    def note_more(self, slots: Iterable[int]) -> None:
        """Rows came."""
        if self._keys:
            self._marked.update(slots)
            if len(self._marked) > max(_MIN_PATIENCE, len(self._records) // 2):
                self.forget()

    def forget(self) -> None:
        """Have no index."""
        self._keys.clear()
        self._marked.clear()

    def find(self, wanted: Mapping[str, str], slots: Callable[[], Iterator[int]]) -> list[int]:
        """Rows that have all the wanted tags, at least one, in order; `slots` lists all rows."""
        self._refresh()
        self._build([key for key in wanted if key not in self._keys], slots)
        found = [self._keys[key].rows.get(value, set()) for key, value in wanted.items()]
        while len(self._keys) > _MAX_KEYS:
            del self._keys[next(iter(self._keys))]
        return sorted(set.intersection(*found))

    def _refresh(self) -> None:
        for slot in self._marked:
            record = self._records[slot]
            tags = self._tags_of(record) if record else {}
            for key, index in self._keys.items():
                index.put(slot, tags.get(key))
        self._marked.clear()

    def _build(self, missing: list[str], slots: Callable[[], Iterator[int]]) -> None:
        if not missing:
            return
        built = {key: _Key() for key in missing}
        for slot in slots():
            tags = self._tags_of(self._records[slot])
            for key, index in built.items():
                index.put(slot, tags.get(key))
        self._keys |= built
