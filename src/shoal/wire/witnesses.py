"""Who signed that a member does not answer: 80 bytes each (docs/protocol.md, section 13)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from shoal.types import NodeId
from shoal.wire.dialect import DecodeError, Flaw
from shoal.wire.messages import Witness

__all__ = ["MAX_WITNESSES", "SIGNATURE_SIZE", "WITNESS_SIZE", "read_testimony", "read_witnesses", "write_witnesses"]

SIGNATURE_SIZE: Final = 64
"""Bytes of a signature by Ed25519."""
WITNESS_SIZE: Final = NodeId.SIZE + SIGNATURE_SIZE
"""Bytes of a witness."""
MAX_WITNESSES: Final = 8
"""How many one suspicion or death can have."""


def write_witnesses(witnesses: Iterable[Witness]) -> bytes:
    """One behind the other, without their count."""
    return b"".join(part for witness in witnesses for part in (witness.id, witness.signature))


def read_witnesses(data: bytes) -> tuple[Witness, ...]:
    """What `write_witnesses` wrote. Raises `DecodeError` for anything else, and for a member that is there twice."""
    if not _are_witnesses(len(data)):
        raise DecodeError(Flaw.BAD_VALUE)
    witnesses = tuple(
        Witness(NodeId(data[start : start + NodeId.SIZE]), data[start + NodeId.SIZE : start + WITNESS_SIZE])
        for start in range(0, len(data), WITNESS_SIZE)
    )
    if len({witness.id for witness in witnesses}) < len(witnesses):
        raise DecodeError(Flaw.BAD_VALUE)
    return witnesses


def read_testimony(data: bytes) -> tuple[Witness, ...]:
    """The same of what was read before, or nobody."""
    return read_witnesses(data) if data else ()


def _are_witnesses(size: int) -> bool:
    """Whether so many bytes may be those of witnesses, of one at least."""
    return 0 < size <= MAX_WITNESSES * WITNESS_SIZE and size % WITNESS_SIZE == 0
