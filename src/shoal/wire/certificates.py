"""What an authority says of a node: that it may join, until when, what it may publish, and what it may do to others.

The layout stands in docs/protocol.md, section 13.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from struct import Struct
from typing import Final, Self

from shoal.errors import ConfigError
from shoal.events import Mistrust
from shoal.keys import HIDDEN
from shoal.types import NodeInfo, is_node_name
from shoal.wire.dialect import DecodeError, Flaw
from shoal.wire.fields import MAX_PROOF, read_bytes
from shoal.wire.identity_keys import SIGNATURE_SIZE, IdentityKey, PublicKey, parse_labelled
from shoal.wire.revocations import Revocation, Revocations
from shoal.wire.varint import read_varint, write_varint

__all__ = ["ALL_TAGS", "Authority", "Certificate", "Grant", "Right", "Terms", "forbidden_tag", "is_among"]

ALL_TAGS: Final = ("*",)
"""The namespaces of a node that may publish any tag."""

_CONTEXT: Final = b"shoal certificate"
_TOKEN: Final = b"shoal token"
_ADMISSION: Final = b"shoal admission"
_EXPIRY: Final = Struct(">Q")
_LABEL: Final = "shoal-certificate:"
_MAX_SIZE: Final = MAX_PROOF - PublicKey.SIZE - SIGNATURE_SIZE
_BY_TOKEN: Final = 0x80


class Right(StrEnum):
    """What a member may do to others."""

    KEYS = "keys"
    """Change the keys of the cluster."""
    LEAVE = "leave"
    """Ask others to leave."""


_BITS: Final = {Right.KEYS: 1, Right.LEAVE: 2}


@dataclass(frozen=True, slots=True)
class Terms:
    """What is granted."""

    expires: int
    """Seconds since 1970."""
    namespaces: tuple[str, ...] = ALL_TAGS
    """Tags that may be published: a namespace allows the tag of its name and those that begin with it and a dot."""
    rights: frozenset[Right] = frozenset()

    @classmethod
    def read(cls, data: bytes, position: int) -> tuple[Self, int, bool]:
        """What stands at `position`, where it ends, and whether it was granted by a token; raises as `read_varint`."""
        (expires,) = _EXPIRY.unpack_from(data, position)
        position += _EXPIRY.size
        flags = data[position]
        count, position = read_varint(data, position + 1, _MAX_SIZE)
        namespaces = []
        for _ in range(count):
            size, position = read_varint(data, position, _MAX_SIZE)
            raw, position = read_bytes(data, position, size)
            namespaces.append(raw.decode())
        rights = frozenset(right for right, bit in _BITS.items() if flags & bit)
        terms = cls(expires, tuple(namespaces), rights)
        if flags & ~_BY_TOKEN != terms._flags:
            raise DecodeError(Flaw.BAD_VALUE)
        return terms, position, bool(flags & _BY_TOKEN)

    def pack(self, *, by_token: bool = False) -> bytes:
        """What `read` reads."""
        parts = [_EXPIRY.pack(self.expires), bytes((self._flags | by_token * _BY_TOKEN,))]
        parts.append(write_varint(len(self.namespaces)))
        for namespace in self.namespaces:
            raw = namespace.encode()
            parts += write_varint(len(raw)), raw
        return b"".join(parts)

    @property
    def _flags(self) -> int:
        return sum(_BITS[right] for right in self.rights)


@dataclass(frozen=True, slots=True)
class Grant:
    """An authority's word about an admission token: whoever holds its key may admit nodes on the same terms."""

    names: str
    """Which: one name, or all that begin with what stands before a `*` at the end."""
    public_key: PublicKey
    signature: bytes

    @classmethod
    def make(cls, authority: IdentityKey, cluster: str, names: str, public_key: PublicKey, terms: Terms) -> Self:
        """What the authority signs."""
        return cls(names, public_key, authority.sign(_signed_part(_TOKEN, cluster, names, public_key, terms)))

    def is_by(self, authority: PublicKey, cluster: str, terms: Terms) -> bool:
        """Whether that authority signed it, for that cluster and on these terms."""
        return authority.has_signed(self.signature, _signed_part(_TOKEN, cluster, self.names, self.public_key, terms))

    def admit(self, key: IdentityKey, cluster: str, name: str, public_key: PublicKey, terms: Terms) -> Certificate:
        """What the token's own key signs."""
        signature = key.sign(_signed_part(_ADMISSION, cluster, name, public_key, terms))
        return Certificate(name, public_key, terms, signature, self)


@dataclass(frozen=True, slots=True)
class Certificate:
    """An authority's word about one node, or that of a token to which it granted that."""

    name: str
    public_key: PublicKey
    terms: Terms
    signature: bytes
    grant: Grant | None = None
    """Of the token; None where the authority itself has signed."""

    REMEDY = "holds no certificate; `shoal keys issue` makes one, shoal-certificate:…"

    @classmethod
    def issue(
        cls,
        authority: IdentityKey,
        cluster: str,
        name: str,
        public_key: PublicKey,
        *,
        expires: int,
        namespaces: Iterable[str] = ALL_TAGS,
        rights: Iterable[Right] = (),
    ) -> Self:
        """Admit a node to a cluster. Raises `ConfigError` for a bad name, and for more namespaces than fit."""
        if not is_node_name(name):
            raise ConfigError("name", name, "must have 1 to 128 bytes of UTF-8 and no control characters")
        terms = Terms(expires, tuple(dict.fromkeys(namespaces)), frozenset(rights))
        signature = authority.sign(_signed_part(_CONTEXT, cluster, name, public_key, terms))
        certificate = cls(name, public_key, terms, signature)
        certificate.check_size()
        return certificate

    def check_size(self) -> None:
        """Raises `ConfigError` for one that fits into no record."""
        if len(self.packed) > _MAX_SIZE:
            raise ConfigError(
                "namespaces", self.terms.namespaces, f"take more than {_MAX_SIZE} bytes; name fewer, or give '*'"
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `text` gives. Raises `ConfigError`."""
        data = parse_labelled(text, _LABEL, None, "certificate", cls.REMEDY)
        try:
            name, position = read_bytes(data, 1, data[0])
            key, position = read_bytes(data, position, PublicKey.SIZE)
            return cls.read(data[position:], name.decode(), PublicKey(key))
        except (DecodeError, IndexError, struct.error, UnicodeDecodeError):
            raise ConfigError("certificate", HIDDEN, cls.REMEDY) from None

    @property
    def text(self) -> str:
        """For a file; nothing in it is secret."""
        name = self.name.encode()
        data = b"".join((bytes((len(name),)), name, self.public_key, self.packed))
        return _LABEL + base64.b64encode(data).decode()

    @classmethod
    def read(cls, data: bytes, name: str, public_key: PublicKey) -> Self:
        """Read what `packed` gives, of a node whose name and key are known.

        Raises `DecodeError`, `IndexError`, `struct.error` or `UnicodeDecodeError` for anything else.
        """
        terms, position, is_by_token = Terms.read(data, 0)
        grant = None
        if is_by_token:
            names, position = read_bytes(data, position + 1, data[position])
            token, position = read_bytes(data, position, PublicKey.SIZE)
            granted, position = read_bytes(data, position, SIGNATURE_SIZE)
            grant = Grant(names.decode(), PublicKey(token), granted)
        return cls(name, public_key, terms, data[position:], grant)

    @property
    def packed(self) -> bytes:
        """As it travels behind a record, which has name and key already."""
        terms, grant = self.terms.pack(by_token=self.grant is not None), b""
        if self.grant is not None:
            names = self.grant.names.encode()
            grant = b"".join((bytes((len(names),)), names, self.grant.public_key, self.grant.signature))
        return terms + grant + self.signature

    @property
    def keys(self) -> tuple[PublicKey, ...]:
        """Those that it rests on: the node's, and that of its token."""
        return (self.public_key,) if self.grant is None else (self.public_key, self.grant.public_key)

    def is_by(self, authority: PublicKey, cluster: str) -> bool:
        """Whether that authority issued it, for that cluster, or granted that to the token that did."""
        if self.grant is None:
            statement = _signed_part(_CONTEXT, cluster, self.name, self.public_key, self.terms)
            return authority.has_signed(self.signature, statement)
        statement = _signed_part(_ADMISSION, cluster, self.name, self.public_key, self.terms)
        return (
            is_among(self.name, self.grant.names)
            and self.grant.public_key.has_signed(self.signature, statement)
            and self.grant.is_by(authority, cluster, self.terms)
        )


class Authority:
    """Whom a node believes about others; `clock` gives the seconds since 1970."""

    __slots__ = ("_clock", "_cluster", "_revocations", "public_key")

    def __init__(self, public_key: PublicKey, cluster: str, clock: Callable[[], float]) -> None:
        self.public_key = public_key
        self._cluster = cluster
        self._clock = clock
        self._revocations = Revocations()

    def check(self, certificate: Certificate, info: NodeInfo) -> Mistrust | None:
        """What is cheap to find out: whether it is revoked or has expired, or does not allow the tags."""
        if self.revocation_of(certificate):
            return Mistrust.REVOKED
        if certificate.terms.expires <= self._clock():
            return Mistrust.EXPIRED
        if forbidden_tag(certificate.terms.namespaces, info.tags) is not None:
            return Mistrust.FORBIDDEN_TAG
        return None

    def gives(self, certificate: Certificate, right: Right) -> bool:
        """Whether a certificate is good now, and gives a right."""
        terms = certificate.terms
        is_good = terms.expires > self._clock() and not self.revocation_of(certificate)
        return right in terms.rights and is_good and self.has_issued(certificate)

    def has_issued(self, certificate: Certificate) -> bool:
        """Whether a certificate is this authority's own, for this cluster."""
        return certificate.is_by(self.public_key, self._cluster)

    @property
    def has_revocations(self) -> bool:
        """Whether any is known."""
        return len(self._revocations) > 0

    def revocation_of(self, certificate: Certificate) -> bytes:
        """This authority's signature that the node's key or its token's counts for nothing; empty if none is known."""
        return self._revocations.of(certificate.keys)

    def has_revoked(self, revocation: Revocation) -> bool:
        """Whether a revocation is this authority's own, for this cluster."""
        is_known = self._revocations.of([revocation.public_key]) == revocation.signature
        return is_known or revocation.is_by(self.public_key, self._cluster)

    def learn(self, revocations: Iterable[Revocation]) -> bool:
        """Remember revocations that are this authority's own; whether any was new."""
        before = len(self._revocations)
        for revocation in revocations:
            self._revocations.add(revocation)
        return len(self._revocations) > before


def forbidden_tag(namespaces: Iterable[str], tags: Iterable[str]) -> str | None:
    """The first tag that the namespaces do not allow."""
    allowed = frozenset(namespaces)
    if not allowed.isdisjoint(ALL_TAGS):
        return None
    return next((tag for tag in tags if allowed.isdisjoint(_namespaces_of(tag))), None)


def _namespaces_of(tag: str) -> Iterable[str]:
    yield tag
    for position, letter in enumerate(tag):
        if letter == ".":
            yield tag[:position]


def is_among(name: str, names: str) -> bool:
    """Whether a name is that one, or begins with what stands before a `*` at the end."""
    return name.startswith(names[:-1]) if names.endswith("*") else name == names


def _signed_part(context: bytes, cluster: str, name: str, public_key: PublicKey, terms: Terms) -> bytes:
    parts = [context]
    for text in (cluster.encode(), name.encode()):
        parts += bytes((len(text),)), text
    return b"".join((*parts, public_key, terms.pack(by_token=context != _CONTEXT)))
