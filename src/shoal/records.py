"""What a node publishes of itself, packed: the contract between a dialect, which packs, and the table, which stores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from shoal.types import Address, NodeInfo, Tags

__all__ = ["RecordCodec"]


class RecordCodec(Protocol):
    """Reads and writes *records*: a `NodeInfo` as bytes, the 16 bytes of its id first.

    Equal infos have equal records. A *key* is a part of a record that stands for a name or an address: equal ones have
    equal keys. Records are trusted here; a dialect checks what comes from the network before it hands it on.
    """

    def pack(self, info: NodeInfo) -> bytes:
        """The record of an info. What means nothing on another machine, such as an IPv6 zone, is left out."""
        ...

    def unpack(self, record: bytes) -> NodeInfo:
        """The info of a record."""
        ...

    def name(self, record: bytes) -> str:
        """The name alone."""
        ...

    def address(self, record: bytes) -> Address:
        """The address alone."""
        ...

    def tags(self, record: bytes) -> Tags:
        """The tags alone."""
        ...

    def name_key(self, record: bytes) -> bytes:
        """The key of a record's name: its UTF-8."""
        ...

    def address_key(self, record: bytes) -> bytes:
        """The key of a record's address."""
        ...

    def key_of_address(self, address: Address) -> bytes:
        """The key that `address_key` gives for a record with this address."""
        ...

    def keys(self, records: Sequence[bytes]) -> tuple[list[bytes], list[bytes]]:
        """The keys of the names and of the addresses of many records."""
        ...
