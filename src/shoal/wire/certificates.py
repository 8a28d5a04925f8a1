"""What an authority says of a node: that it may join, until when, and what it may publish.

The layout stands in docs/protocol.md, section 13.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from struct import Struct
from typing import Final, Self

from shoal.errors import ConfigError
from shoal.events import Mistrust
from shoal.keys import HIDDEN
from shoal.types import NodeInfo, is_node_name
from shoal.wire.dialect import DecodeError
from shoal.wire.fields import MAX_PROOF, read_bytes
from shoal.wire.identity_keys import SIGNATURE_SIZE, IdentityKey, PublicKey, parse_labelled
from shoal.wire.varint import read_varint, write_varint

__all__ = ["ALL_TAGS", "Authority", "Certificate", "forbidden_tag"]

ALL_TAGS: Final = ("*",)
"""The namespaces of a node that may publish any tag."""

_CONTEXT: Final = b"shoal certificate"
_EXPIRY: Final = Struct(">Q")
_LABEL: Final = "shoal-certificate:"
_MAX_SIZE: Final = MAX_PROOF - PublicKey.SIZE - SIGNATURE_SIZE


@dataclass(frozen=True, slots=True)
class Certificate:
    """An authority's word about one node."""

    name: str
    public_key: PublicKey
    expires: int
    """Seconds since 1970."""
    namespaces: tuple[str, ...]
    """Tags that the node may publish: a namespace allows the tag of its name and those that begin with it and a dot."""
    signature: bytes

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
    ) -> Self:
        """Admit a node to a cluster. Raises `ConfigError` for a bad name, and for more namespaces than fit."""
        if not is_node_name(name):
            raise ConfigError("name", name, "must have 1 to 128 bytes of UTF-8 and no control characters")
        terms = _write_terms(expires, chosen := tuple(dict.fromkeys(namespaces)))
        if len(terms) + SIGNATURE_SIZE > _MAX_SIZE:
            raise ConfigError("namespaces", chosen, f"take more than {_MAX_SIZE} bytes; name fewer, or give '*'")
        signature = authority.sign(_signed_part(cluster, name, public_key, terms))
        return cls(name, public_key, expires, chosen, signature)

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
        (expires,) = _EXPIRY.unpack_from(data)
        count, position = read_varint(data, _EXPIRY.size, _MAX_SIZE)
        namespaces = []
        for _ in range(count):
            size, position = read_varint(data, position, _MAX_SIZE)
            raw, position = read_bytes(data, position, size)
            namespaces.append(raw.decode())
        signature = data[position:]
        return cls(name, public_key, expires, tuple(namespaces), signature)

    @property
    def packed(self) -> bytes:
        """As it travels behind a record, which has name and key already."""
        return _write_terms(self.expires, self.namespaces) + self.signature

    def is_by(self, authority: PublicKey, cluster: str) -> bool:
        """Whether that authority issued it, for that cluster."""
        terms = _write_terms(self.expires, self.namespaces)
        return authority.has_signed(self.signature, _signed_part(cluster, self.name, self.public_key, terms))


class Authority:
    """Whom a node believes about others; `clock` gives the seconds since 1970."""

    __slots__ = ("_clock", "_cluster", "public_key")

    def __init__(self, public_key: PublicKey, cluster: str, clock: Callable[[], float]) -> None:
        self.public_key = public_key
        self._cluster = cluster
        self._clock = clock

    def check(self, certificate: Certificate, info: NodeInfo) -> Mistrust | None:
        """What is cheap to find out: whether it has expired, or does not allow the tags."""
        if certificate.expires <= self._clock():
            return Mistrust.EXPIRED
        if forbidden_tag(certificate.namespaces, info.tags) is not None:
            return Mistrust.FORBIDDEN_TAG
        return None

    def has_issued(self, certificate: Certificate) -> bool:
        """Whether a certificate is this authority's own, for this cluster."""
        return certificate.is_by(self.public_key, self._cluster)


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


def _write_terms(expires: int, namespaces: tuple[str, ...]) -> bytes:
    parts = [_EXPIRY.pack(expires), write_varint(len(namespaces))]
    for namespace in namespaces:
        raw = namespace.encode()
        parts += write_varint(len(raw)), raw
    return b"".join(parts)


def _signed_part(cluster: str, name: str, public_key: PublicKey, terms: bytes) -> bytes:
    parts = [_CONTEXT]
    for text in (cluster.encode(), name.encode()):
        parts += bytes((len(text),)), text
    return b"".join((*parts, public_key, terms))
