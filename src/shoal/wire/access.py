"""Who may change keys and ask others to leave, where there is an authority: whose certificate says so."""

from __future__ import annotations

import struct
from typing import Final

from shoal.wire.certificates import Authority, Certificate, Right
from shoal.wire.dialect import DecodeError
from shoal.wire.envelope import Position
from shoal.wire.fields import read_bytes
from shoal.wire.identity_keys import SIGNATURE_SIZE, IdentityKey, PublicKey

__all__ = ["Access"]

_REQUEST: Final = b"shoal request"
_POSITION: Final = struct.Struct(">II")


class Access:
    """Shows this node's right with each request that needs one, and looks at what others show.

    What is shown is good for one sealed message, by its salt and count: so nobody who got it can show it again.
    """

    __slots__ = ("_authority", "_certificate", "_cluster", "_key")

    def __init__(self, key: IdentityKey, cluster: bytes, authority: Authority, certificate: Certificate) -> None:
        """`cluster` is the name behind its size."""
        self._key = key
        self._cluster = cluster
        self._authority = authority
        self._certificate = certificate

    def refusal(self, right: Right) -> str:
        """Why this node itself may not do something; empty if it may."""
        return "" if self._authority.gives(self._certificate, right) else _problem(self._certificate.name, right)

    def show(self, request: bytes, position: Position) -> bytes:
        """That this node makes a request, in the message that is sealed at `position`."""
        name = self._certificate.name.encode()
        signature = self._key.sign(self._signed_part(request, position))
        return b"".join((bytes((len(name),)), name, self._key.public, signature, self._certificate.packed))

    def check(self, shown: bytes, request: bytes, position: Position, right: Right) -> tuple[str, str]:
        """Who made a request that came in the message sealed at `position`, and why it may not: empty if it may."""
        try:
            raw, at = read_bytes(shown, 1, shown[0])
            key, at = read_bytes(shown, at, PublicKey.SIZE)
            signature, at = read_bytes(shown, at, SIGNATURE_SIZE)
            certificate = Certificate.read(shown[at:], raw.decode(), PublicKey(key))
        except (DecodeError, IndexError, struct.error, UnicodeDecodeError):
            return "", "the request does not show who makes it; with an authority, it must"
        may = self._authority.gives(certificate, right)
        if not (may and certificate.public_key.has_signed(signature, self._signed_part(request, position))):
            return certificate.name, _problem(certificate.name, right)
        return certificate.name, ""

    def _signed_part(self, request: bytes, position: Position) -> bytes:
        where = position.line + _POSITION.pack(position.seconds, position.count)
        return b"".join((_REQUEST, self._cluster, where, request))


def _problem(name: str, right: Right) -> str:
    return f"{name} does not have the right {right.value!r}; see `shoal keys issue --allow {right.value}`"
