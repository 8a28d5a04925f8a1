"""Identities of single nodes: Ed25519 keys, and records that their owners sign (docs/protocol.md, section 13)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import replace
from typing import Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from shoal.errors import ConfigError
from shoal.events import Mistrust
from shoal.keys import HIDDEN
from shoal.types import NodeInfo
from shoal.wire.fields import write_statement
from shoal.wire.generations import Generations

__all__ = ["IdentityKey", "PublicKey", "SignedIdentity"]

_PUBLIC_SIZE: Final = 32
_SIGNATURE_SIZE: Final = 64
_PROOF_SIZE: Final = _PUBLIC_SIZE + _SIGNATURE_SIZE
_RECORD: Final = b"shoal record"
_REMEMBERED: Final = 4096
"""Verdicts on signatures per generation; some 200 bytes each."""


class PublicKey(bytes):
    """Who a node is, for everybody to know: 32 bytes, shown as text."""

    __slots__ = ()

    REMEDY = "holds no public key; `shoal keygen --identity -o FILE` writes one, shoal-public:…, into FILE.pub"
    _LABEL = "shoal-public:"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `str` prints. Raises `ConfigError`."""
        return cls(_parse(text, cls._LABEL, _PUBLIC_SIZE, "public key", cls.REMEDY))

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
        return cls(_parse(text, cls._LABEL, cls.SIZE, "identity key", cls.REMEDY))

    @property
    def text(self) -> str:
        """The key in base64: what `parse` reads and nobody else shall."""
        return self._LABEL + base64.b64encode(self._secret).decode()

    def sign(self, data: bytes) -> bytes:
        """The signature of `data`, 64 bytes."""
        return self._key.sign(data)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IdentityKey) and hmac.compare_digest(self._secret, other._secret)

    def __hash__(self) -> int:
        return hash(self.public)

    def __repr__(self) -> str:
        return f"IdentityKey(of {self.public})"


class SignedIdentity:
    """A node with an identity among nodes with identities; implements `shoal.swim.trust.Trust`.

    A name belongs to the key with which it is first seen, for as long as it is in the member table. What was verified
    is remembered, up to a bound, and not verified again.
    """

    __slots__ = ("_cluster", "_key", "_verdicts")

    is_credulous = False

    def __init__(self, key: IdentityKey, cluster: str) -> None:
        self._key = key
        name = cluster.encode()
        self._cluster = bytes((len(name),)) + name
        self._verdicts: Generations[bool] = Generations(_REMEMBERED)

    def sign(self, info: NodeInfo, incarnation: int) -> NodeInfo:
        """This node's own record with the proof that it is."""
        proof = self._key.public + self._key.sign(self._signed_part(info, incarnation))
        return replace(info, proof=proof)

    def check(self, info: NodeInfo, incarnation: int, known: NodeInfo | None) -> Mistrust | None:
        """Why a record is not its owner's word; None if it is."""
        if not info.proof:
            return Mistrust.UNSIGNED
        if len(info.proof) != _PROOF_SIZE:
            return Mistrust.BAD_SIGNATURE
        # The cheap question first: a stranger with a key of its own costs no verification.
        if known is not None and _public_key(known) != _public_key(info):
            return Mistrust.KEY_CHANGED
        if not self._is_genuine(info, self._signed_part(info, incarnation)):
            return Mistrust.BAD_SIGNATURE
        return None

    def _signed_part(self, info: NodeInfo, incarnation: int) -> bytes:
        return b"".join((_RECORD, self._cluster, incarnation.to_bytes(8), write_statement(info)))

    def _is_genuine(self, info: NodeInfo, data: bytes) -> bool:
        digest = hashlib.blake2b(info.proof + data, digest_size=16).digest()
        verdict = self._verdicts.get(digest)
        if verdict is None:
            signature = info.proof[_PUBLIC_SIZE:_PROOF_SIZE]
            verdict = PublicKey(_public_key(info)).has_signed(signature, data)
            self._verdicts.put(digest, verdict)
        return verdict


def _public_key(info: NodeInfo) -> bytes:
    return info.proof[:_PUBLIC_SIZE]


def _parse(text: str, label: str, size: int, what: str, remedy: str) -> bytes:
    """The bytes behind a label; labels keep one kind of key from being taken for another."""
    body = text.strip()
    try:
        found = base64.b64decode(body.removeprefix(label), validate=True) if body.startswith(label) else b""
    except (binascii.Error, ValueError):
        found = b""
    if len(found) != size:
        raise ConfigError(what, HIDDEN, remedy)
    return found
