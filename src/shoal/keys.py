"""The keys of a cluster: what they are, how they are written, and how they are kept out of sight."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from typing import Self

from shoal.errors import ConfigError

__all__ = ["HIDDEN", "ClusterKey", "KeyId", "parse_keys"]

_REMEDY = "a key is 32 bytes in base64, as `shoal keygen` prints it"


class _Hidden:
    """Stands in messages for what must not be shown."""

    def __repr__(self) -> str:
        return "(not shown)"


HIDDEN = _Hidden()
"""What an error shows in the place of a key."""


class KeyId(bytes):
    """Which key: 4 bytes that follow from the key and do not betray it. Shown as 8 hexadecimal digits."""

    __slots__ = ()

    SIZE = 4

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the form that `str` prints. Raises `ConfigError`."""
        try:
            found = bytes.fromhex(text)
        except ValueError:
            found = b""
        if len(found) != cls.SIZE:
            # A whole key, given by mistake where its id is wanted, must not come back in a message.
            shown = text if len(text) <= 2 * cls.SIZE else HIDDEN
            raise ConfigError("key id", shown, "is no key id; `shoal keys list` shows them, 8 hexadecimal digits each")
        return cls(found)

    def __str__(self) -> str:
        return self.hex()

    def __repr__(self) -> str:
        return f"KeyId({self.hex()!r})"


class ClusterKey:
    """A secret of 32 bytes that all members share. Neither `repr` nor `str` shows it."""

    __slots__ = ("_secret", "id")

    SIZE = 32

    def __init__(self, secret: bytes) -> None:
        """Raises `ConfigError` for another length."""
        if len(secret) != self.SIZE:
            raise ConfigError("keys", HIDDEN, f"{_REMEDY}, this one has {len(secret)} bytes")
        self._secret = bytes(secret)
        #: Which key it is; safe to show.
        self.id = KeyId(
            hashlib.blake2b(digest_size=KeyId.SIZE, key=self._secret, person=b"shoal key id").digest(),
        )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read base64, with or without padding, of either alphabet. Raises `ConfigError`, which does not show it."""
        wanted = text.strip().rstrip("=").replace("-", "+").replace("_", "/")
        try:
            secret = base64.b64decode(wanted + "=" * (-len(wanted) % 4), validate=True)
        except (binascii.Error, ValueError):
            raise ConfigError("keys", HIDDEN, f"{_REMEDY}, and this is no base64") from None
        return cls(secret)

    @property
    def secret(self) -> bytes:
        """The bytes themselves, for those who seal with them."""
        return self._secret

    @property
    def text(self) -> str:
        """The key in base64: what `parse` reads and nobody else shall."""
        return base64.b64encode(self._secret).decode()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ClusterKey) and hmac.compare_digest(self._secret, other._secret)

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"ClusterKey({self.id})"


def parse_keys(values: Iterable[object]) -> tuple[ClusterKey, ...]:
    """Keys given as texts or as keys; the first one seals. Raises `ConfigError`, also for a key given twice."""
    keys = tuple(value if isinstance(value, ClusterKey) else _parse(value) for value in values)
    if len({key.id for key in keys}) < len(keys):
        raise ConfigError("keys", [str(key.id) for key in keys], "a key is there twice; give each once")
    return keys


def _parse(value: object) -> ClusterKey:
    if not isinstance(value, str):
        raise ConfigError("keys", HIDDEN, f"{_REMEDY}, not a value of type {type(value).__name__}")
    return ClusterKey.parse(value)
