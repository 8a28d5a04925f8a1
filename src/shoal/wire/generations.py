"""A bounded table that forgets what was not asked for lately."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

__all__ = ["Generations"]

_Value = TypeVar("_Value")


class Generations(Generic[_Value]):
    """Values by bytes, in two generations of at most `size` each.

    When the young generation is full it becomes the old one, and the old one is forgotten; what is found in the old one
    becomes young again. So the last `size` keys that were asked for are always there, as in a least-recently-used
    table, and to find a young one takes a single look-up. `on_forget` gets what is forgotten.
    """

    __slots__ = ("_old", "_on_forget", "_size", "_young")

    def __init__(
        self, size: int, on_forget: Callable[[Mapping[bytes, _Value]], object] = lambda _forgotten: None
    ) -> None:
        self._size = size
        self._on_forget = on_forget
        self._young: dict[bytes, _Value] = {}
        self._old: dict[bytes, _Value] = {}

    def get(self, key: bytes) -> _Value | None:
        """The value of `key`, unless it was never put or is forgotten."""
        value = self._young.get(key)
        if value is None and (value := self._old.pop(key, None)) is not None:
            self.put(key, value)
        return value

    def put(self, key: bytes, value: _Value) -> None:
        """Remember `value`."""
        if len(self._young) >= self._size:
            forgotten, self._old, self._young = self._old, self._young, {}
            self._on_forget(forgotten)
        self._young[key] = value

    def clear(self) -> None:
        """Forget everything."""
        forgotten = self._old | self._young
        self._old, self._young = {}, {}
        self._on_forget(forgotten)

    def __len__(self) -> int:
        return len(self._young) + len(self._old)
