"""The algorithms that seal messages, behind one call each, and how a message's key follows from the cluster's."""

from __future__ import annotations

import hashlib
import hmac
from enum import IntEnum
from functools import lru_cache
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from shoal.config import Encryption
from shoal.keys import ClusterKey

__all__ = ["SALT_SIZE", "TAG_SIZE", "Seal", "Suite", "forget_seals", "make_seal"]

SALT_SIZE = 16
TAG_SIZE = 16


class Suite(IntEnum):
    """The algorithm, as its number stands in a message."""

    AES_256_GCM = 1
    CHACHA20_POLY1305 = 2
    HMAC_SHA256 = 3

    @classmethod
    def of(cls, encryption: Encryption) -> Suite:
        """The number of a setting."""
        return cls[encryption.name]


class Seal(Protocol):
    """One algorithm with one key; its methods have the names and arguments of `cryptography`'s AEAD classes."""

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes, /) -> bytes:
        """`data`, sealed, with 16 bytes more; `associated_data` is bound to it. A nonce must never come twice."""
        ...

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes, /) -> bytes:
        """What `encrypt` sealed. Raises `InvalidTag` for everything else."""
        ...


class _Authenticator:
    """HMAC-SHA-256, cut to 16 bytes (RFC 2104 §5): proves who wrote the data, and leaves it readable."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes, /) -> bytes:
        return data + self._tag(nonce, data, associated_data)

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes, /) -> bytes:
        message, tag = data[:-TAG_SIZE], data[-TAG_SIZE:]
        if not hmac.compare_digest(tag, self._tag(nonce, message, associated_data)):
            raise InvalidTag
        return message

    def _tag(self, nonce: bytes, data: bytes, associated_data: bytes) -> bytes:
        # The length keeps associated data and data apart; the nonce has a fixed one.
        text = b"".join((nonce, len(associated_data).to_bytes(4), associated_data, data))
        return hmac.digest(self._key, text, "sha256")[:TAG_SIZE]


@lru_cache(maxsize=2048)
def make_seal(suite: Suite, key: ClusterKey, salt: bytes, context: bytes) -> Seal:
    """The algorithm with the sub-key for one salt of 16 bytes and one context.

    All nodes of a process share what was made lately, and so find in the caches what the sender has just used; see
    `forget_seals`.
    """
    sub_key = hashlib.blake2b(
        context, digest_size=ClusterKey.SIZE, key=key.secret, salt=salt, person=b"shoal sub-key"
    ).digest()
    if suite is Suite.AES_256_GCM:
        return AESGCM(sub_key)
    if suite is Suite.CHACHA20_POLY1305:
        return ChaCha20Poly1305(sub_key)
    return _Authenticator(sub_key)


def forget_seals() -> None:
    """Keep no sub-keys of a key that was taken away."""
    make_seal.cache_clear()
