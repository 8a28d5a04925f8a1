"""The nouns of shoal: who a node is, where it is, and what is believed of it."""

from __future__ import annotations

import ipaddress
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from random import Random
from typing import Final, NamedTuple, NoReturn, Self

from shoal.errors import InvalidAddressError

__all__ = [
    "FAILURE_DOMAINS",
    "Address",
    "FailureDomain",
    "Member",
    "MemberState",
    "NodeId",
    "NodeInfo",
    "Note",
    "Readiness",
    "Tags",
    "is_host_name",
    "is_node_name",
    "shared_length",
]

Note = Callable[[str, int, int], object]
"""Takes note of what a part keeps of what it hears, how much there is of it, and how much there may be at most."""

_HOST_LABEL = r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)"
_HOST_NAME = re.compile(rf"{_HOST_LABEL}(\.{_HOST_LABEL})*\.?")
_MAX_HOST_NAME = 253

_MAX_NODE_NAME = 128
_LAST_MS = (1 << 48) - 1
# What could forge a line in a log or upset a terminal: control characters, line and paragraph separators, changes of
# writing direction; and surrogates, which have no UTF-8. All have been "not printable" in every version of Unicode.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def is_node_name(text: str) -> bool:
    """Whether `text` may name a node or a cluster: 1 to 128 bytes of UTF-8 without control characters."""
    if not text.isprintable() and _UNSAFE.search(text):
        return False
    return 1 <= len(text.encode()) <= _MAX_NODE_NAME


def is_host_name(text: str) -> bool:
    """Whether `text` may name a host: dotted labels of letters, digits, - and _, at most 253 of them, no IP address."""
    is_number = text.replace(".", "").isdigit()
    return len(text) <= _MAX_HOST_NAME and not is_number and _HOST_NAME.fullmatch(text) is not None


def shared_length(one: bytes, other: bytes) -> int:
    """With how many equal bytes two ids, or beginnings of ids, begin."""
    for length, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return length
    return min(len(one), len(other))


class Tags(dict[str, str]):
    """What a node says of itself: short text keys and values, changed by their owner only.

    A dict that cannot be changed, so that it can be shared and hashed.
    """

    __slots__ = ()

    def _refuse(self, *_args: object, **_kwargs: object) -> NoReturn:
        raise TypeError("tags are a value; make new ones and publish them with set_tags() or update_tags()")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[type[Tags], tuple[dict[str, str]]]:
        return Tags, (dict(self),)


class NodeId(bytes):
    """Which run of a node: 16 bytes, a UUIDv7 (RFC 9562 §5.7), minted at every start.

    Ids order by the time they were minted, so of two runs of one name the higher id is the newer. It is `bytes`, and so
    hashes and compares at the speed of `bytes`.
    """

    __slots__ = ()

    SIZE = 16
    HEAD_SIZE = 4

    @classmethod
    def mint(cls, unix_ms: int, random: Random) -> Self:
        """Make an id for a run that starts at `unix_ms` (milliseconds since 1970, 48 bits are used)."""
        time_bits = (unix_ms & ((1 << 48) - 1)) << 80
        random_bits = random.getrandbits(74)
        version_and_a = (0x7 << 76) | ((random_bits >> 62) << 64)
        variant_and_b = (0b10 << 62) | (random_bits & ((1 << 62) - 1))
        return cls((time_bits | version_and_a | variant_and_b).to_bytes(cls.SIZE))

    @classmethod
    def mint_after(cls, other: NodeId, random: Random) -> Self:
        """Make an id that is higher than `other`: for a node whose clock is behind that of its earlier run.

        Above the last millisecond that an id can hold, which only a forger reaches, it is the next number; the highest
        of all ids has none above it, and is returned itself.
        """
        if other.unix_ms < _LAST_MS:
            return cls.mint(other.unix_ms + 1, random)
        return cls(min(int.from_bytes(other) + 1, (1 << 8 * cls.SIZE) - 1).to_bytes(cls.SIZE))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the form that `str` prints. Raises `ValueError` for anything that is no UUID."""
        return cls(uuid.UUID(text).bytes)

    @property
    def head(self) -> bytes:
        """The first `HEAD_SIZE` bytes of its random half: a short name among the members of a cluster."""
        return self[8 : 8 + self.HEAD_SIZE]

    @property
    def unix_ms(self) -> int:
        """When the run started, in milliseconds since 1970 by its own clock."""
        return int.from_bytes(self[:6])

    def __str__(self) -> str:
        return str(uuid.UUID(bytes=bytes(self)))

    def __repr__(self) -> str:
        return f"NodeId({str(self)!r})"


class Address(NamedTuple):
    """A host and a port; a tuple, because that is what sockets take and give.

    `parse` checks; the constructor trusts its caller.
    """

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `host:port` or `[v6]:port`; the host is an IPv4 or IPv6 address or a name, the port 0 to 65535.

        Raises `InvalidAddressError`, which says what is wrong with which part.
        """
        if not text:
            raise InvalidAddressError(text, "it is empty; write host:port")
        if text != text.strip():
            raise InvalidAddressError(text, "it has spaces around it")
        host, port = _split_v6(text) if text.startswith("[") else _split(text)
        return cls(host, _parse_port(text, port))

    @property
    def is_name(self) -> bool:
        """Whether the host has to be looked up before anything can be sent to it."""
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return True
        return False

    @property
    def is_unspecified(self) -> bool:
        """Whether it means "every interface" (0.0.0.0 or ::), which no peer can reach."""
        return not self.is_name and ipaddress.ip_address(self.host).is_unspecified

    @property
    def is_loopback(self) -> bool:
        """Whether it is reached from this machine only."""
        return self.host == "localhost" or (not self.is_name and ipaddress.ip_address(self.host).is_loopback)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _split(text: str) -> tuple[str, str]:
    host, colon, port = text.rpartition(":")
    if not colon:
        raise InvalidAddressError(text, "the port is missing; write host:port")
    if ":" in host:
        raise InvalidAddressError(text, "an IPv6 address needs brackets; write [address]:port")
    if not host:
        raise InvalidAddressError(text, "the host is missing; write host:port")
    return _check_host(text, host), port


def _split_v6(text: str) -> tuple[str, str]:
    host, bracket, rest = text[1:].partition("]")
    if not bracket:
        raise InvalidAddressError(text, "the closing bracket is missing; write [address]:port")
    if not rest.startswith(":"):
        raise InvalidAddressError(text, "the port is missing; write [address]:port")
    try:
        return str(ipaddress.IPv6Address(host)), rest[1:]
    except ValueError:
        raise InvalidAddressError(text, f"{host!r} is no IPv6 address") from None


def _check_host(text: str, host: str) -> str:
    if host.replace(".", "").isdigit():
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError:
            raise InvalidAddressError(text, f"{host!r} is no IPv4 address") from None
    if not is_host_name(host):
        raise InvalidAddressError(text, f"{host!r} is no host name")
    return host.lower()


def _parse_port(text: str, port: str) -> int:
    if not port:
        raise InvalidAddressError(text, "the port is empty")
    if not (port.isascii() and port.isdigit()):
        raise InvalidAddressError(text, f"the port {port!r} is no number")
    digits = port.lstrip("0") or "0"
    if len(digits) > 5 or int(digits) > 65535:
        raise InvalidAddressError(text, f"the port {port} is above 65535")
    return int(digits)


class MemberState(IntEnum):
    """What is believed of a member. The order is the precedence at one incarnation (SWIM §4.2)."""

    ALIVE = 0
    SUSPECT = 1
    DEAD = 2
    LEFT = 3

    @property
    def is_present(self) -> bool:
        """Whether the member counts as part of the cluster: a suspect does until it is declared dead."""
        return self <= MemberState.SUSPECT

    def __str__(self) -> str:
        return self.name.lower()


class Readiness(IntEnum):
    """Whether a member wants work: its own word, and no matter of being alive."""

    READY = 0
    DRAINING = 1
    """It finishes what it has and takes nothing new, because it is about to stop."""
    STALLED = 2
    """It cannot serve for a while; also as long as a stall that it declared lasts."""

    def __str__(self) -> str:
        return self.name.lower()


FAILURE_DOMAINS: Final = ("zone", "rack", "host")
"""Tags that say what a node fails together with, the widest first."""


class FailureDomain(NamedTuple):
    """What some members share and may fail with: a tag and its value, such as `rack` and `r7`."""

    tag: str
    value: str

    @classmethod
    def of(cls, tags: Mapping[str, str]) -> tuple[Self, ...]:
        """Every domain that a member with these tags is in, the widest first."""
        return tuple(cls(tag, tags[tag]) for tag in FAILURE_DOMAINS if tag in tags)

    def __str__(self) -> str:
        return f"{self.tag}={self.value}"


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """What a node publishes of itself: the part of a member that is the same in every view."""

    name: str
    id: NodeId
    address: Address
    tags: Tags
    readiness: Readiness = Readiness.READY
    proof: bytes = b""
    """What shows that the node itself says so, if nodes sign: see docs/protocol.md, section 13."""


@dataclass(frozen=True, slots=True)
class Member:
    """One node as one observer sees it at one moment: a value, which later changes do not touch."""

    name: str
    """Who it is; unique in the cluster."""
    id: NodeId
    """Which run of it; `(name, id)` is a fencing token."""
    address: Address
    """Where its datagrams and streams go."""
    state: MemberState
    incarnation: int
    """Counts up by the owner only, to refute a suspicion or to publish new tags or another readiness."""
    tags: Tags
    since: float
    """When the observer first held this state, in seconds of the observer's monotonic clock."""
    readiness: Readiness = Readiness.READY
    damped: bool = False
    """It has come and gone so often that the observer does not rely on it for now."""

    @property
    def is_available(self) -> bool:
        """Whether work can be given to it: it is alive and ready, and stays so for long enough not to be damped."""
        return self.state is MemberState.ALIVE and self.readiness is Readiness.READY and not self.damped

    def has_tags(self, wanted: Mapping[str, str]) -> bool:
        """Whether every wanted tag is there with the wanted value."""
        return all(self.tags.get(key) == value for key, value in wanted.items())
