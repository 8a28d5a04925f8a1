"""The keys that one node holds: the first seals, all of them open."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from shoal.errors import KeyringError
from shoal.keys import ClusterKey, KeyId

__all__ = ["MAX_KEYS", "Keyring"]

MAX_KEYS = 16
"""Keys of one ring; a rotation needs two."""
_MAX_REMOVED: Final = 64
"""Removed keys that are remembered, the latest."""


class Keyring:
    """Some keys in an order that can be changed while they are in use."""

    __slots__ = ("_by_id", "_keys", "_listeners", "changes", "removed")

    def __init__(self, keys: Iterable[ClusterKey], removed: Iterable[KeyId] = ()) -> None:
        """Of those that were `removed` before, none is accepted from other members.

        Raises `KeyringError` for no key, too many, or one that is there twice.
        """
        self._keys = tuple(keys)
        self._listeners: list[Callable[[tuple[ClusterKey, ...]], object]] = []
        self._by_id = {key.id: key for key in self._keys}
        #: How often it was changed since it was made.
        self.changes = 0
        self.removed: dict[KeyId, None] = {}
        """Which keys are gone for good, the latest last; only this class changes it."""
        for id in removed:
            self._note_removed(id)
        if not self._keys:
            raise KeyringError("a keyring needs a key")
        if len(self._keys) > MAX_KEYS:
            raise KeyringError(f"a keyring holds at most {MAX_KEYS} keys, not {len(self._keys)}; leave old ones out")
        if len(self._by_id) < len(self._keys):
            raise KeyringError("a key is there twice; give each once")

    @property
    def primary(self) -> ClusterKey:
        """The key that seals."""
        return self._keys[0]

    @property
    def ids(self) -> tuple[KeyId, ...]:
        """Which keys there are, the one that seals first."""
        return tuple(key.id for key in self._keys)

    def get(self, id: bytes) -> ClusterKey | None:
        """The key of that id."""
        return self._by_id.get(id)  # type: ignore[call-overload, no-any-return]  # equal bytes are equal ids

    def subscribe(self, listener: Callable[[tuple[ClusterKey, ...]], object]) -> None:
        """Call `listener` with all keys, the one that seals first, after each change: to save them, say."""
        self._listeners.append(listener)

    def install(self, key: ClusterKey) -> None:
        """Open with `key` too, but do not seal with it yet; nothing changes if it is there. Raises `KeyringError`."""
        self.removed.pop(key.id, None)
        known = self._by_id.get(key.id)
        if known == key:
            return
        if known is not None:
            raise KeyringError(f"another key has the id {key.id} already; generate a new one")
        if len(self._keys) >= MAX_KEYS:
            raise KeyringError(f"the keyring holds {MAX_KEYS} keys, which is the limit; remove old ones first")
        self._change((*self._keys, key))

    def accept(self, key: ClusterKey) -> None:
        """As `install`, but a removed key stays out: who hands it over has not heard of that. Raises `KeyringError`."""
        if key.id in self.removed:
            raise KeyringError(f"the key {key.id} was removed here; install it again if that was a mistake")
        self.install(key)

    def use(self, id: KeyId) -> None:
        """Seal with the key of that id from now on. Raises `KeyringError` if it is not there."""
        key = self._find(id)
        if key is not self.primary:
            self._change((key, *(other for other in self._keys if other is not key)))

    def remove(self, id: KeyId) -> None:
        """Forget the key of that id, if it is there, and accept it from no member any more.

        Raises `KeyringError` for the one that seals.
        """
        if id == self.primary.id:
            raise KeyringError(f"the key {id} is the one that seals; use another one first")
        self._note_removed(id)
        if id in self._by_id:
            self._change(tuple(key for key in self._keys if key.id != id))

    def _note_removed(self, id: KeyId) -> None:
        self.removed.pop(id, None)
        self.removed[id] = None
        if len(self.removed) > _MAX_REMOVED:
            del self.removed[next(iter(self.removed))]

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        return f"Keyring({', '.join(map(str, self.ids))})"

    def _find(self, id: KeyId) -> ClusterKey:
        key = self._by_id.get(id)
        if key is None:
            raise KeyringError(f"the key {id} is not in the keyring; install it first")
        return key

    def _change(self, keys: tuple[ClusterKey, ...]) -> None:
        self._keys = keys
        self._by_id = {key.id: key for key in keys}
        self.changes += 1
        for listener in self._listeners:
            listener(keys)
