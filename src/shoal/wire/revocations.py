"""What an authority takes back: whatever it gave to the holder of a key, node or admission token, for good.

The layout stands in docs/protocol.md, section 13.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from shoal.errors import ConfigError
from shoal.keys import HIDDEN
from shoal.wire.identity_keys import SIGNATURE_SIZE, IdentityKey, PublicKey, parse_labelled

__all__ = ["MAX_REVOCATIONS", "Revocation", "Revocations"]

MAX_REVOCATIONS: Final = 4096
"""Keys that a node remembers as revoked."""

_CONTEXT: Final = b"shoal revocation"
_LABEL: Final = "shoal-revocation:"


@dataclass(frozen=True, slots=True)
class Revocation:
    """An authority's word that a key counts for nothing any more, in one cluster."""

    public_key: PublicKey
    """Of a node, or of an admission token and so of all that joined with it."""
    signature: bytes

    REMEDY = "holds no revocation; `shoal keys revoke` makes one, shoal-revocation:…"

    @classmethod
    def issue(cls, authority: IdentityKey, cluster: str, public_key: PublicKey) -> Self:
        """Take back what the holder of a key was given."""
        return cls(public_key, authority.sign(_signed_part(cluster, public_key)))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `text` gives. Raises `ConfigError`."""
        data = parse_labelled(text, _LABEL, PublicKey.SIZE + SIGNATURE_SIZE, "revocation", cls.REMEDY)
        return cls(PublicKey(data[: PublicKey.SIZE]), data[PublicKey.SIZE :])

    @classmethod
    def parse_all(cls, text: str) -> list[Self]:
        """Those of a file, one a line; # begins a comment. Raises `ConfigError` with the number of the bad line."""
        found = []
        for number, line in enumerate(text.splitlines(), 1):
            content = line.partition("#")[0].strip()
            if content:
                try:
                    found.append(cls.parse(content))
                except ConfigError:
                    raise ConfigError(f"line {number}", HIDDEN, cls.REMEDY) from None
        return found

    @property
    def text(self) -> str:
        """For a file; nothing in it is secret."""
        return _LABEL + base64.b64encode(self.public_key + self.signature).decode()

    def is_by(self, authority: PublicKey, cluster: str) -> bool:
        """Whether that authority signed it, for that cluster."""
        return authority.has_signed(self.signature, _signed_part(cluster, self.public_key))


class Revocations:
    """Those that a node knows, `MAX_REVOCATIONS` at most: of more, the ones that come last are not remembered."""

    __slots__ = ("_signatures",)

    def __init__(self) -> None:
        self._signatures: dict[bytes, bytes] = {}

    def __len__(self) -> int:
        return len(self._signatures)

    def add(self, revocation: Revocation) -> None:
        """Remember one that was verified."""
        if len(self._signatures) < MAX_REVOCATIONS:
            self._signatures.setdefault(bytes(revocation.public_key), revocation.signature)

    def of(self, keys: Iterable[bytes]) -> bytes:
        """The authority's signature against the first of these keys that is revoked; empty if none is."""
        return next((self._signatures[key] for key in keys if key in self._signatures), b"")


def _signed_part(cluster: str, public_key: PublicKey) -> bytes:
    name = cluster.encode()
    return b"".join((_CONTEXT, bytes((len(name),)), name, public_key))
