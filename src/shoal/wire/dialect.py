"""What the protocol core asks of a wire format."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Protocol

from shoal.records import RecordCodec
from shoal.wire.messages import Message, Update

__all__ = ["DecodeError", "Dialect", "Flaw", "RecordOf"]

RecordOf = Callable[[bytes], bytes]
"""The record that the reader of a message holds of a run, by its id; empty if it holds none."""


class Flaw(StrEnum):
    """Why bytes were rejected; the same word in counters, logs and tests."""

    TOO_SHORT = "too_short"
    """Shorter than the smallest message."""
    UNKNOWN_VERSION = "unknown_version"
    FOREIGN_CLUSTER = "foreign_cluster"
    """Of a cluster of another name."""
    UNKNOWN_TYPE = "unknown_type"
    TRUNCATED = "truncated"
    """A field or an update runs past the end."""
    TRAILING_BYTES = "trailing_bytes"
    """Bytes follow where nothing may."""
    BAD_VALUE = "bad_value"
    """A field holds a value that it must not hold: text that is no UTF-8, port 0, an unknown state, a number too
    large."""


class DecodeError(Exception):
    """Bytes are no message of this dialect; internal, never seen by users."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(flaw.value)
        self.flaw = flaw


class Dialect(Protocol):
    """Messages to bytes and back, without state about peers.

    A packet is made in two steps, so that updates are encoded once however often they are sent: `encode` writes the
    message, `attach` puts encoded updates behind it.
    """

    records: RecordCodec
    """How it writes what a node publishes of itself."""
    can_compress: bool
    """Whether it reads and writes compressed messages here."""
    packet_overhead: int
    """Bytes that `attach` adds to a packet, whatever is attached."""
    update_overhead: int
    """Bytes that `attach` adds for each update, besides the update itself."""

    def encode(self, message: Message) -> bytes:
        """The packet or stream message without updates."""
        ...

    def encode_update(self, update: Update) -> bytes:
        """One update, to be attached to any number of packets."""
        ...

    def encode_alive(self, record: bytes, incarnation: int) -> bytes:
        """The same as `encode_update` of an `Alive`, from a record."""
        ...

    def aged(self, suspect: bytes, age: float) -> bytes:
        """An encoded `Suspect`, with whatever updates follow it, as it is `age` seconds after it began."""
        ...

    def compress(self, data: bytes) -> bytes:
        """A stream message of `encode` in fewer bytes, which `decode` reads as the same; only if `can_compress`."""
        ...

    def attach(self, packet: bytes, updates: Sequence[bytes]) -> bytes:
        """`packet` followed by `updates`."""
        ...

    def tags_size(self, tags: Mapping[str, str]) -> int:
        """Bytes that `tags` take in a message: what `ClusterConfig.max_tag_bytes` bounds.

        Raises `ValueError` for text that has no UTF-8.
        """
        ...

    def decode(self, data: bytes, record_of: RecordOf | None = None) -> tuple[Message, Sequence[Update]]:
        """Read a packet or stream message.

        An `Alive` whose record is just what `record_of` gives comes as `Repeated`, unread.

        Raises `DecodeError` for everything else, and nothing but that, whatever `data` is.
        All or nothing: one bad update rejects the whole packet.
        """
        ...

    def decode_stream(self, data: bytes) -> tuple[Message, Sequence[Update]]:
        """The same for what came over a stream, where alone a message may be compressed."""
        ...
