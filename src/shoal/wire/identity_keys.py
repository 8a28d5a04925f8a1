"""The keys of single nodes and of authorities: Ed25519 (RFC 8032)."""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from shoal.errors import ConfigError
from shoal.keys import HIDDEN
from shoal.wire.witnesses import SIGNATURE_SIZE

__all__ = ["SIGNATURE_SIZE", "IdentityKey", "PublicKey", "parse_labelled"]


class PublicKey(bytes):
    """Who a node is, for everybody to know: 32 bytes, shown as text."""

    __slots__ = ()

    SIZE = 32
    REMEDY = "holds no public key; `shoal keygen --identity -o FILE` writes one, shoal-public:…, into FILE.pub"
    _LABEL = "shoal-public:"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `str` prints. Raises `ConfigError`."""
        return cls(parse_labelled(text, cls._LABEL, cls.SIZE, "public key", cls.REMEDY))

    def has_signed(self, signature: bytes, data: bytes) -> bool:
        """Whether the owner of this key signed `data`."""
        try:
            Ed25519PublicKey.from_public_bytes(self).verify(signature, data)
        except (InvalidSignature, ValueError):
            return False
        return True

    def __str__(self) -> str:
        return self._LABEL + base64.b64encode(self).decode()

    def __repr__(self) -> str:
        return f"PublicKey({str(self)!r})"


class IdentityKey:
    """The secret that makes a node itself. Neither `repr` nor `str` shows it."""

    __slots__ = ("_key", "_secret", "public")

    SIZE = 32
    REMEDY = "holds no identity key; `shoal keygen --identity -o FILE` makes one, shoal-identity:…"
    _LABEL = "shoal-identity:"

    def __init__(self, secret: bytes) -> None:
        """Raises `ValueError` unless it has 32 bytes."""
        self._secret = bytes(secret)
        self._key = Ed25519PrivateKey.from_private_bytes(self._secret)
        #: What others know it by.
        self.public = PublicKey(self._key.public_key().public_bytes_raw())

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `text` gives. Raises `ConfigError`, which does not show it."""
        return cls(parse_labelled(text, cls._LABEL, cls.SIZE, "identity key", cls.REMEDY))

    @property
    def text(self) -> str:
        """The key in base64: what `parse` reads and nobody else shall."""
        return self._LABEL + base64.b64encode(self._secret).decode()

    @property
    def secret(self) -> bytes:
        """The bytes themselves."""
        return self._secret

    def sign(self, data: bytes) -> bytes:
        """The signature of `data`, 64 bytes."""
        return self._key.sign(data)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IdentityKey) and hmac.compare_digest(self._secret, other._secret)

    def __hash__(self) -> int:
        return hash(self.public)

    def __repr__(self) -> str:
        return f"IdentityKey(of {self.public})"


def parse_labelled(text: str, label: str, size: int | None, what: str, remedy: str) -> bytes:
    """The bytes behind a label, `size` if that is given; labels keep one kind of key from being taken for another."""
    body = text.strip()
    try:
        found = base64.b64decode(body.removeprefix(label), validate=True) if body.startswith(label) else b""
    except (binascii.Error, ValueError):
        found = b""
    if not found or size not in (None, len(found)):
        raise ConfigError(what, HIDDEN, remedy)
    return found
