"""What a transport is: something that carries datagrams and stream exchanges between addresses.

Two exist: `shoal.net.sockets` over UDP and TCP, and `shoal.net.memory` within one process. Both pass the same
conformance tests.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from shoal.types import Address

__all__ = ["MAX_DATAGRAM", "Receiver", "Transport", "TransportStats"]

MAX_DATAGRAM = 65_507
"""Bytes of the largest datagram: what UDP over IPv4 can carry."""


@dataclass(slots=True)
class TransportStats:
    """What one transport counted; the numbers only rise. Bytes are payload, without headers."""

    datagrams_in: int = 0
    bytes_in: int = 0
    receive_errors: int = 0
    """Errors that reading the datagram socket reported, such as an ICMP answer to something sent; reading goes on."""
    datagrams_out: int = 0
    bytes_out: int = 0
    send_full: int = 0
    """Datagrams dropped because the send buffer was full."""
    send_too_large: int = 0
    """Datagrams dropped because the network does not carry that size."""
    send_unreachable: int = 0
    """Datagrams dropped because no route leads to the address."""
    send_unresolved: int = 0
    """Datagrams dropped because the host name has no address, or because too many waited for it."""
    send_failed: int = 0
    """Datagrams dropped for another reason."""
    streams_in: int = 0
    """Connections accepted."""
    stream_bytes_in: int = 0
    """Bytes of whole messages received over streams, requests and replies."""
    streams_out: int = 0
    """Exchanges begun."""
    stream_bytes_out: int = 0
    streams_refused: int = 0
    """Incoming connections closed at once because `max_streams_in` were open, or `max_streams_per_source` of one host,
    or more came from it in a second than `source_streams`."""
    streams_displaced: int = 0
    """Incoming connections that had been open for `stream_grace`, and were closed to make room for another one."""
    streams_over_memory: int = 0
    """Incoming connections closed because all of them together held twice `max_stream`."""
    streams_failed: int = 0
    """Exchanges without a reply and incoming streams without an answer, for whatever reason."""
    streams_timed_out: int = 0
    """Those of them that took too long."""
    streams_too_large: int = 0
    """Messages above `max_stream`, in or out."""
    dropped_source_rate: int = 0
    """Datagrams of a source that sent more than `source_datagrams` and `source_bytes` allow it."""
    dropped_unknown_rate: int = 0
    """Datagrams of sources at which no member is known, above what all such sources together are allowed."""
    dropped_not_sealed: int = 0
    """Datagrams and stream messages, dropped by a node with keys because they were not sealed, or not for this use."""
    dropped_unknown_key: int = 0
    """Those sealed with a key that this node does not hold."""
    dropped_stale: int = 0
    """Those sealed too long ago, or in the future, by this node's clock (`replay_window`)."""
    dropped_replayed: int = 0
    """Those that had come before, or too long after later ones of their sender."""
    dropped_bad_tag: int = 0
    """Those that were forged, damaged, or sealed for a cluster of another name."""
    dropped_unproven: int = 0
    """Those that may have been sealed before this node restarted, because their sender has not proved to run since."""

    def as_dict(self) -> dict[str, int]:
        """All counters by name."""
        return dataclasses.asdict(self)


class Receiver(Protocol):
    """Takes what arrives. Its methods are called on the event loop's thread and must not block."""

    def datagrams_received(self, batch: Sequence[tuple[bytes, Address]]) -> None:
        """Some datagrams, each with where it came from; never empty."""
        ...

    def stream_received(self, data: bytes, source: Address) -> bytes | None:
        """A whole message from a stream; returns the reply, or None to close the stream without one."""
        ...

    def knows(self, address: Address) -> bool:
        """Whether a member is known to be at an address; whoever else sends something may send less."""
        ...


class Transport(Protocol):
    """Datagrams and stream exchanges from one local address; one object is one life: bind, start, close."""

    @property
    def address(self) -> Address:
        """The bound address, its port never 0. Raises `NotStartedError` before `bind`."""
        ...

    @property
    def stats(self) -> TransportStats:
        """The live counters."""
        ...

    async def bind(self) -> None:
        """Claim the local address, so that it is known before anything is received; what arrives meanwhile may wait.

        Raises `BindError` or `ResolutionError`, and leaves nothing open then.
        """
        ...

    async def start(self, receiver: Receiver) -> None:
        """Begin to receive; binds first if that was not done.

        Raises what `bind` raises, `AlreadyStartedError` or `ClosedError`.
        """
        ...

    def send(self, data: bytes, address: Address) -> None:
        """Send one datagram, unreliably. What the network refuses is dropped and counted, and raises nothing.

        Raises `NotStartedError` before `bind` and `ClosedError` after `close`.
        """
        ...

    async def exchange(self, address: Address, data: bytes, timeout: float) -> bytes:
        """Open a stream, send `data`, and return the reply: one try, `timeout` seconds for everything.

        Raises `ResolutionError`, `SendError`, `ReceiveError`, `ShoalTimeoutError`, or `MessageTooLargeError` when
        `data` is above the limit of streams; each names the peer and the cause. Raises `NotStartedError` before `bind`,
        and `ClosedError` when the transport is closed, also while the exchange is under way.
        """
        ...

    async def close(self) -> None:
        """Release everything; may be called at any time and again."""
        ...
