"""What the core asks its driver to do."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.types import Address

__all__ = ["Datagram", "Output", "StreamExchange"]


@dataclass(slots=True)
class Datagram:
    """Send `data` to `address`, once, unreliably."""

    data: bytes
    address: Address


@dataclass(slots=True)
class StreamExchange:
    """Open a stream to `address`, send `data`, read one reply, close.

    The driver tries once and answers with `Swim.stream_replied(token, reply, now)`, with
    `Swim.stream_refused(token, reason, now)` where the peer's machine says that nobody listens, with
    `Swim.stream_silent(token, reason, now)` where it accepted the connection and no reply came in time, or with
    `Swim.stream_failed(token, reason, now)`; the core decides on further tries.
    """

    token: int
    address: Address
    data: bytes
    timeout: float
    """Seconds for everything, from connect to the end of the reply."""


Output = Datagram | StreamExchange
