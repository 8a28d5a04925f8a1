"""Records of the native format: `write_info` as it stands in a gossiped Alive, read part by part where they lie.

id (16) | readiness (1) | address (7 for IPv4, 19 for IPv6, more for a host name) | name, a length byte first | tags
| proof, if there is one
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from shoal.types import Address, NodeInfo, Tags
from shoal.wire.fields import (
    INFO_ADDRESS,
    address_end,
    is_signed,
    read_address,
    read_info,
    read_tags,
    write_address,
    write_info,
)

__all__ = ["NativeRecords"]

_ADDRESS: Final = INFO_ADDRESS
_IPV4: Final = 4
_IPV4_END: Final = _ADDRESS + 7
_IPV4_NAME: Final = _IPV4_END + 1


# Values are shared by all nodes of a process, which look at the same few again and again: whom they probe and gossip
# to, and what has just changed; and tag sets, of which a cluster has few. Full, the three caches take about a megabyte.


@lru_cache(maxsize=1024)
def _address(key: bytes) -> Address:
    return read_address(key, 0)[0]


@lru_cache(maxsize=1024)
def _info(record: bytes) -> NodeInfo:
    return read_info(record, 0)[0]


@lru_cache(maxsize=256)
def _tags(data: bytes) -> Tags:
    return read_tags(data, 0)[0]


class NativeRecords:
    """Implements `RecordCodec`; most records have an IPv4 address, and the short way through."""

    __slots__ = ()

    def pack(self, info: NodeInfo) -> bytes:
        """The record of an info; the zone of an IPv6 address is left out."""
        return write_info(info)

    def unpack(self, record: bytes) -> NodeInfo:
        """The info of a record."""
        return _info(record)

    def name(self, record: bytes) -> str:
        """The name alone."""
        return self.name_key(record).decode()

    def address(self, record: bytes) -> Address:
        """The address alone."""
        return _address(self.address_key(record))

    def tags(self, record: bytes) -> Tags:
        """The tags alone."""
        end = address_end(record, _ADDRESS)
        start = end + 1 + record[end]
        if is_signed(record):  # No two records end alike, so none is worth keeping.
            return read_tags(record, start)[0]
        return _tags(record[start:])

    def name_key(self, record: bytes) -> bytes:
        """The key of a record's name: its UTF-8."""
        end = _IPV4_END if record[_ADDRESS] == _IPV4 else address_end(record, _ADDRESS)
        return record[end + 1 : end + 1 + record[end]]

    def address_key(self, record: bytes) -> bytes:
        """The key of a record's address: the bytes that stand for it."""
        if record[_ADDRESS] == _IPV4:
            return record[_ADDRESS:_IPV4_END]
        return record[_ADDRESS : address_end(record, _ADDRESS)]

    def key_of_address(self, address: Address) -> bytes:
        """The key that `address_key` gives for a record with this address."""
        return write_address(address)

    def keys(self, records: Sequence[bytes]) -> tuple[list[bytes], list[bytes]]:
        """The keys of the names and of the addresses of many records."""
        if all(record[_ADDRESS] == _IPV4 for record in records):
            names = [record[_IPV4_NAME : _IPV4_NAME + record[_IPV4_END]] for record in records]
            return names, [record[_ADDRESS:_IPV4_END] for record in records]
        return list(map(self.name_key, records)), list(map(self.address_key, records))
