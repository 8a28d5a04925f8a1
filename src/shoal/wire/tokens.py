"""Admission tokens: a secret with which nodes of some names may join, until a day, without a certificate of their own.

It holds a key of its own, to which the authority granted that. A node that has one signs its own certificate with it,
so a token never travels, and every member can check whom it admitted.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from shoal.errors import ConfigError
from shoal.keys import HIDDEN
from shoal.types import is_node_name
from shoal.wire.certificates import ALL_TAGS, Certificate, Grant, Terms
from shoal.wire.dialect import DecodeError
from shoal.wire.fields import read_bytes
from shoal.wire.identity_keys import SIGNATURE_SIZE, IdentityKey, PublicKey, parse_labelled

__all__ = ["AdmissionToken"]

_LABEL: Final = "shoal-token:"


@dataclass(frozen=True, slots=True, repr=False)
class AdmissionToken:
    """The secret; neither `repr` nor `str` shows it."""

    key: IdentityKey
    grant: Grant
    terms: Terms

    REMEDY = "holds no admission token; `shoal keys token` makes one, shoal-token:…"

    @classmethod
    def issue(
        cls,
        authority: IdentityKey,
        cluster: str,
        names: str,
        key: IdentityKey,
        *,
        expires: int,
        namespaces: Iterable[str] = ALL_TAGS,
    ) -> Self:
        """Let whoever holds it join a cluster under `names`: one name, or `gpu-*` for all that begin so.

        `key` must be new. Raises `ConfigError` for what can be no name, for a `*` elsewhere, and for more namespaces
        than fit.
        """
        if not is_node_name(names):
            raise ConfigError("name", names, "must have 1 to 128 bytes of UTF-8 and no control characters")
        if "*" in names[:-1]:
            raise ConfigError("name", names, "only a '*' at the end stands for anything; give one name, or 'gpu-*'")
        terms = Terms(expires, tuple(dict.fromkeys(namespaces)))
        token = cls(key, Grant.make(authority, cluster, names, key.public, terms), terms)
        token.admit(cluster, names, key.public).check_size()
        return token

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `text` gives. Raises `ConfigError`, which does not show it."""
        data = parse_labelled(text, _LABEL, None, "admission token", cls.REMEDY)
        try:
            names, position = read_bytes(data, 1, data[0])
            secret, position = read_bytes(data, position, IdentityKey.SIZE)
            signature, position = read_bytes(data, position, SIGNATURE_SIZE)
            terms, position, is_token = Terms.read(data, position)
            key = IdentityKey(secret)
            if not is_token or position != len(data):
                raise IndexError
            return cls(key, Grant(names.decode(), key.public, signature), terms)
        except (DecodeError, IndexError, struct.error, ValueError):
            raise ConfigError("admission token", HIDDEN, cls.REMEDY) from None

    @property
    def text(self) -> str:
        """For a file that only those shall read who may join."""
        names = self.grant.names.encode()
        parts = (bytes((len(names),)), names, self.key.secret, self.grant.signature, self.terms.pack(by_token=True))
        return _LABEL + base64.b64encode(b"".join(parts)).decode()

    def admit(self, cluster: str, name: str, public_key: PublicKey) -> Certificate:
        """A certificate for one node; of no use to a name that the token is not for."""
        return self.grant.admit(self.key, cluster, name, public_key, self.terms)

    def __repr__(self) -> str:
        return f"AdmissionToken(for {self.grant.names!r})"
