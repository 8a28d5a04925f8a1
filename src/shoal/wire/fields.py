"""The fields of the native format that vary in size: addresses, names, tags, and a node's info, which is made of them.

`write_…` trusts its caller to stay within the limits of docs/protocol.md. `read_…` trusts nobody: it returns the value
at `position` and the position behind it, and raises `DecodeError` for a bad value, `UnicodeDecodeError` for text that
is no UTF-8, and `IndexError` or `struct.error` where the data ends too early.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv6Address
from struct import Struct
from typing import Final

from shoal.types import Address, NodeId, NodeInfo, Readiness, Tags, is_host_name, is_node_name
from shoal.wire.dialect import DecodeError, Flaw
from shoal.wire.varint import read_varint, write_varint

__all__ = [
    "INFO_ADDRESS",
    "MAX_PROOF",
    "MAX_TAG_BYTES",
    "MIN_INFO_SIZE",
    "address_end",
    "info_end",
    "is_signed",
    "read_address",
    "read_bytes",
    "read_info",
    "read_tags",
    "write_address",
    "write_info",
    "write_statement",
    "write_tags",
]

MAX_TAG_BYTES: Final = 32_768
"""Bytes. Largest encoded tag set; so no key or value is longer either."""
MIN_INFO_SIZE: Final = 25
"""Bytes. A node's info with a host of one letter, a name of one letter and no tags."""
MAX_PROOF: Final = 1024
"""Bytes. Largest proof that its owner says what an info holds."""
INFO_ADDRESS: Final = 17
"""Bytes. Where the address begins in a node's info, behind its id and readiness; then come its name and its tags."""

_READINESS_AT: Final = 16
_SIGNED: Final = 0x80
"""The bit of an info's readiness that says that a proof follows its tags."""
_HOST_NAME: Final = 0
_IPV4: Final = 4
_IPV6: Final = 6

_OWNER = Struct(">16sB")
_PORT = Struct(">H")
_V4 = Struct(">B4BH")
_V6 = Struct(">B16sH")
_NO_TAGS: Final = Tags()
_READINESS: Final = {int(readiness): readiness for readiness in Readiness}


def write_address(address: Address) -> bytes:
    """An address; the zone of an IPv6 address (`%eth0`) is left out, because it means nothing on another machine."""
    host, port = address
    if ":" in host:
        return _V6.pack(_IPV6, IPv6Address(host).packed, port)
    if host.replace(".", "").isdigit():
        return _V4.pack(_IPV4, *map(int, host.split(".")), port)
    name = host.encode("ascii")
    return bytes((_HOST_NAME, len(name))) + name + _PORT.pack(port)


def read_address(data: bytes, position: int) -> tuple[Address, int]:
    """An address that can be sent to: with a port, and with a name only where it is no IP address."""
    family = data[position]
    if family == _IPV4:
        _, a, b, c, d, port = _V4.unpack_from(data, position)
        host = f"{a}.{b}.{c}.{d}"
        position += _V4.size
    elif family == _IPV6:
        _, packed, port = _V6.unpack_from(data, position)
        host = str(IPv6Address(packed))
        position += _V6.size
    elif family == _HOST_NAME:
        host, position = _read_host_name(data, position + 1)
        (port,) = _PORT.unpack_from(data, position)
        position += _PORT.size
    else:
        raise DecodeError(Flaw.BAD_VALUE)
    if port == 0:
        raise DecodeError(Flaw.BAD_VALUE)
    return Address(host, port), position


def address_end(data: bytes, position: int) -> int:
    """The position behind an address that `read_address` has accepted before."""
    family = data[position]
    if family == _IPV4:
        return position + _V4.size
    if family == _IPV6:
        return position + _V6.size
    return position + 2 + data[position + 1] + _PORT.size


def _read_host_name(data: bytes, position: int) -> tuple[str, int]:
    raw, position = read_bytes(data, position + 1, data[position])
    host = raw.decode("ascii")
    if not is_host_name(host) or host != host.lower():
        raise DecodeError(Flaw.BAD_VALUE)
    return host, position


def write_info(info: NodeInfo) -> bytes:
    """Who a node is, where it is, what it says of itself, and the proof of that if there is one."""
    proof = info.proof
    if not proof:
        return _write_info(info, 0)
    return b"".join((_write_info(info, _SIGNED), write_varint(len(proof)), proof))


def write_statement(info: NodeInfo) -> bytes:
    """The same without the proof: what the owner signs."""
    return _write_info(info, 0)


def is_signed(record: bytes) -> bool:
    """Whether a proof stands behind the tags of what `write_info` wrote."""
    return record[_READINESS_AT] >= _SIGNED


def _write_info(info: NodeInfo, flag: int) -> bytes:
    name = info.name.encode()
    owner = _OWNER.pack(info.id, info.readiness | flag)
    return b"".join((owner, write_address(info.address), bytes((len(name),)), name, write_tags(info.tags)))


def read_info(data: bytes, position: int) -> tuple[NodeInfo, int]:
    """Who a node is, where it is, and what it says of itself."""
    node_id, number = _OWNER.unpack_from(data, position)
    readiness = _READINESS.get(number & ~_SIGNED)
    if readiness is None:
        raise DecodeError(Flaw.BAD_VALUE)
    address, position = read_address(data, position + _OWNER.size)
    raw, position = read_bytes(data, position + 1, data[position])
    name = raw.decode()
    if not is_node_name(name):
        raise DecodeError(Flaw.BAD_VALUE)
    tags, position = read_tags(data, position)
    if number < _SIGNED:
        return NodeInfo(name, NodeId(node_id), address, tags, readiness), position
    proof, position = _read_proof(data, position)
    return NodeInfo(name, NodeId(node_id), address, tags, readiness, proof), position


def info_end(data: bytes, position: int) -> int:
    """The position behind an info. It checks what `read_info` checks, and makes no values."""
    at = position + INFO_ADDRESS
    number = data[at - 1]
    if number & ~_SIGNED not in _READINESS:
        raise DecodeError(Flaw.BAD_VALUE)
    if data[at] == _IPV4:
        if not data[at + 6] and not data[at + 5]:
            raise DecodeError(Flaw.BAD_VALUE)
        at += _V4.size
    else:
        _, at = read_address(data, at)
    raw, at = read_bytes(data, at + 1, data[at])
    if not is_node_name(raw.decode()):
        raise DecodeError(Flaw.BAD_VALUE)
    at = read_tags(data, at)[1] if data[at] else at + 1
    return at if number < _SIGNED else _read_proof(data, at)[1]


def _read_proof(data: bytes, position: int) -> tuple[bytes, int]:
    size, position = read_varint(data, position, MAX_PROOF)
    if not size:
        raise DecodeError(Flaw.BAD_VALUE)
    return read_bytes(data, position, size)


def write_tags(tags: Mapping[str, str]) -> bytes:
    """A tag set, in order of its keys."""
    parts = [write_varint(len(tags))]
    for key in sorted(tags):
        for text in (key, tags[key]):
            raw = text.encode()
            parts += write_varint(len(raw)), raw
    return b"".join(parts)


def read_tags(data: bytes, position: int) -> tuple[Tags, int]:
    """A tag set, its keys in order."""
    start = position
    count, position = read_varint(data, position, MAX_TAG_BYTES)
    if not count:
        return _NO_TAGS, position
    tags: dict[str, str] = {}
    previous = None
    for _ in range(count):
        key, position = _read_text(data, position)
        if previous is not None and key <= previous:
            raise DecodeError(Flaw.BAD_VALUE)
        tags[key], position = _read_text(data, position)
        if position - start > MAX_TAG_BYTES:
            raise DecodeError(Flaw.BAD_VALUE)
        previous = key
    return Tags(tags), position


def _read_text(data: bytes, position: int) -> tuple[str, int]:
    size = data[position]
    position += 1
    if size >= 0x80:
        size, position = read_varint(data, position - 1, MAX_TAG_BYTES)
    end = position + size
    if end > len(data):
        raise DecodeError(Flaw.TRUNCATED)
    return data[position:end].decode(), end


def read_bytes(data: bytes, position: int, size: int) -> tuple[bytes, int]:
    """The `size` bytes at `position`."""
    end = position + size
    if end > len(data):
        raise DecodeError(Flaw.TRUNCATED)
    return data[position:end], end
