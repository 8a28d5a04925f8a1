"""What members say to each other about their keyrings and seals; only ever sealed (docs/protocol.md, section 12)."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from shoal.keys import ClusterKey, KeyId
from shoal.wire.certificates import Right
from shoal.wire.envelope import LINE_SIZE, Position
from shoal.wire.keyring import MAX_KEYS
from shoal.wire.seals import Suite

__all__ = [
    "KeyMessageError",
    "KeyOperation",
    "KeyReply",
    "KeyRequest",
    "decode_proof",
    "decode_reply",
    "decode_request",
    "encode_proof",
    "encode_reply",
    "encode_request",
]

_MAX_REFUSAL = 1024
_MAX_SHOWN: Final = 2048
_POSITION: Final = struct.Struct(f">{LINE_SIZE}sII")
_MAX_POSITIONS: Final = 8
"""One for each use of seals, and some to spare."""


class KeyMessageError(ValueError):
    """Bytes are no message about keyrings; internal, never seen by users."""


class KeyOperation(IntEnum):
    """What is asked of a member."""

    LIST = 0
    INSTALL = 1
    USE = 2
    REMOVE = 3
    PROVE = 4
    """That it runs now: with which salts it seals, and how far it has come with each."""
    LEAVE = 5
    """No key at all: say goodbye."""
    HAND_OVER = 6
    """As `INSTALL`, by a member of its own accord: whoever had the key removed keeps it out."""

    @property
    def right(self) -> Right | None:
        """What the asker needs, where there is an authority."""
        if self is KeyOperation.LEAVE:
            return Right.LEAVE
        return None if self in (KeyOperation.LIST, KeyOperation.PROVE) else Right.KEYS


_SUBJECTS: Final = {
    KeyOperation.LIST: 0,
    KeyOperation.INSTALL: ClusterKey.SIZE,
    KeyOperation.PROVE: 0,
    KeyOperation.LEAVE: 0,
    KeyOperation.HAND_OVER: ClusterKey.SIZE,
}
"""Bytes of what an operation is about, where it is no id."""


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """One operation; `key` is for `INSTALL` and `HAND_OVER`, `id` for `USE` and `REMOVE`."""

    operation: KeyOperation
    key: ClusterKey | None = None
    id: KeyId | None = None
    shown: bytes = field(default=b"", repr=False)
    """That the asker has the right, as `Access.show` has it; empty where there is no authority."""


@dataclass(frozen=True, slots=True)
class KeyReply:
    """The member's keys after the operation, the one that seals first, and how it seals."""

    ids: tuple[KeyId, ...]
    suite: Suite
    refusal: str = ""
    """Why the operation was refused; empty if it was not."""


def encode_request(request: KeyRequest) -> bytes:
    """The operation, the key or its id, and what shows the right to it."""
    subject = request.key.secret if request.key is not None else request.id or b""
    return bytes((request.operation,)) + subject + request.shown


def decode_request(data: bytes) -> KeyRequest:
    """Raises `KeyMessageError`."""
    if not data or data[0] not in set(KeyOperation):
        raise KeyMessageError("no such operation")
    operation = KeyOperation(data[0])
    wanted = _SUBJECTS.get(operation, KeyId.SIZE)
    subject, shown = data[1 : 1 + wanted], data[1 + wanted :]
    if len(subject) != wanted or len(shown) > (_MAX_SHOWN if operation.right else 0):
        raise KeyMessageError(f"{operation.name} has {len(data) - 1} bytes, not {wanted}")
    match operation:
        case KeyOperation.LIST | KeyOperation.PROVE | KeyOperation.LEAVE:
            return KeyRequest(operation, shown=shown)
        case KeyOperation.INSTALL | KeyOperation.HAND_OVER:
            return KeyRequest(operation, key=ClusterKey(subject), shown=shown)
        case _:
            return KeyRequest(operation, id=KeyId(subject), shown=shown)


def encode_reply(reply: KeyReply) -> bytes:
    """The suite, the number of keys, their ids, and the refusal as the rest."""
    return bytes((reply.suite, len(reply.ids))) + b"".join(reply.ids) + reply.refusal.encode()[:_MAX_REFUSAL]


def decode_reply(data: bytes) -> KeyReply:
    """Raises `KeyMessageError`."""
    if len(data) < 2 or data[0] not in set(Suite):
        raise KeyMessageError("no such suite")
    count, end = data[1], 2 + data[1] * KeyId.SIZE
    if not 1 <= count <= MAX_KEYS or not end <= len(data) <= end + _MAX_REFUSAL:
        raise KeyMessageError(f"{count} keys in {len(data)} bytes")
    ids = tuple(KeyId(data[at : at + KeyId.SIZE]) for at in range(2, end, KeyId.SIZE))
    return KeyReply(ids, Suite(data[0]), data[end:].decode(errors="replace"))


def encode_proof(positions: Iterable[Position]) -> bytes:
    """How far a member has come with each of its salts: kind, key id, salt, seconds and count."""
    return b"".join(_POSITION.pack(each.line, each.seconds, each.count) for each in positions)


def decode_proof(data: bytes) -> tuple[Position, ...]:
    """Raises `KeyMessageError`."""
    if not data or len(data) % _POSITION.size or len(data) > _MAX_POSITIONS * _POSITION.size:
        raise KeyMessageError(f"{len(data)} bytes are no positions")
    return tuple(Position(*fields) for fields in _POSITION.iter_unpack(data))
