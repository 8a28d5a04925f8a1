"""What goes into a core, as data: one class for each door and command, so that inputs can be written and replayed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from shoal.sim.formation import formed_view
from shoal.swim.core import Swim
from shoal.types import Address, NodeId, Readiness, Tags

__all__ = [
    "DOORS",
    "Acquaint",
    "Advance",
    "Broadcast",
    "Form",
    "Input",
    "Join",
    "Leave",
    "Receive",
    "ReceiveStream",
    "Send",
    "SetReadiness",
    "SetTags",
    "Start",
    "StreamFailed",
    "StreamRefused",
    "StreamReplied",
    "StreamSilent",
]


class Input(Protocol):
    """One call of one door."""

    door: ClassVar[str]

    def apply(self, core: Swim, now: float) -> bytes | None:
        """Make the call; returns what the door returns."""
        ...


@dataclass(slots=True)
class Receive:
    """A datagram arrived."""

    door: ClassVar[str] = "receive"
    data: bytes
    source: Address

    def apply(self, core: Swim, now: float) -> None:
        """Hand it to the core."""
        core.receive(self.data, self.source, now)


@dataclass(slots=True)
class ReceiveStream:
    """A stream request arrived."""

    door: ClassVar[str] = "receive_stream"
    data: bytes
    source: Address

    def apply(self, core: Swim, now: float) -> bytes | None:
        """Hand it to the core; returns the reply."""
        return core.receive_stream(self.data, self.source, now)


@dataclass(slots=True)
class StreamReplied:
    """An exchange of the core's own had a reply."""

    door: ClassVar[str] = "stream_replied"
    token: int
    data: bytes

    def apply(self, core: Swim, now: float) -> None:
        """Hand it to the core."""
        core.stream_replied(self.token, self.data, now)


@dataclass(slots=True)
class StreamFailed:
    """An exchange of the core's own failed."""

    door: ClassVar[str] = "stream_failed"
    token: int
    reason: str

    def apply(self, core: Swim, now: float) -> None:
        """Tell the core."""
        core.stream_failed(self.token, self.reason, now)


@dataclass(slots=True)
class StreamRefused:
    """An exchange of the core's own was refused: nobody listens there."""

    door: ClassVar[str] = "stream_refused"
    token: int
    reason: str

    def apply(self, core: Swim, now: float) -> None:
        """Tell the core."""
        core.stream_refused(self.token, self.reason, now)


@dataclass(slots=True)
class StreamSilent:
    """An exchange of the core's own got no reply, although the machine had accepted the connection."""

    door: ClassVar[str] = "stream_silent"
    token: int
    reason: str

    def apply(self, core: Swim, now: float) -> None:
        """Tell the core."""
        core.stream_silent(self.token, self.reason, now)


@dataclass(slots=True)
class Advance:
    """A deadline passed."""

    door: ClassVar[str] = "advance"

    def apply(self, core: Swim, now: float) -> None:
        """Let due timers fire."""
        core.advance(now)


@dataclass(slots=True)
class Start:
    """The process started."""

    door: ClassVar[str] = "start"

    def apply(self, core: Swim, now: float) -> None:
        """Begin probing."""
        core.start(now)


@dataclass(slots=True)
class Form:
    """The cluster has been there for long: the core knows everybody from the start."""

    door: ClassVar[str] = "form"
    cluster: str
    members: bytes
    """All of them, packed."""

    def apply(self, core: Swim, now: float) -> None:
        """Let it know them."""
        core.adopt(formed_view(self.cluster, self.members, now))


@dataclass(slots=True)
class Join:
    """The user names members to join through."""

    door: ClassVar[str] = "join"
    seeds: tuple[Address, ...]

    def apply(self, core: Swim, now: float) -> None:
        """Join."""
        core.join(self.seeds, now)


@dataclass(slots=True)
class Acquaint:
    """The process knows from its last run where members were."""

    door: ClassVar[str] = "acquaint"
    addresses: tuple[Address, ...]

    def apply(self, core: Swim, now: float) -> None:
        """Contact them."""
        core.acquaint(self.addresses, now)


@dataclass(slots=True)
class Leave:
    """The user leaves."""

    door: ClassVar[str] = "leave"

    def apply(self, core: Swim, now: float) -> None:
        """Say goodbye."""
        core.leave(now)


@dataclass(slots=True)
class SetTags:
    """The user publishes tags."""

    door: ClassVar[str] = "set_tags"
    tags: Tags

    def apply(self, core: Swim, now: float) -> None:
        """Publish them."""
        core.set_tags(self.tags, now)


@dataclass(slots=True)
class SetReadiness:
    """The user says whether the node wants work."""

    door: ClassVar[str] = "set_readiness"
    readiness: Readiness

    def apply(self, core: Swim, now: float) -> None:
        """Publish it."""
        core.set_readiness(self.readiness, now)


@dataclass(slots=True)
class Broadcast:
    """The user has bytes for everybody."""

    door: ClassVar[str] = "broadcast"
    payload: bytes

    def apply(self, core: Swim, now: float) -> None:
        """Spread them."""
        core.broadcast(self.payload, now)


@dataclass(slots=True)
class Send:
    """The user has bytes for one member."""

    door: ClassVar[str] = "send"
    target: NodeId
    payload: bytes

    def apply(self, core: Swim, now: float) -> None:
        """Send them."""
        core.send(self.target, self.payload, now)


DOORS: dict[str, type[Input]] = {
    kind.door: kind
    for kind in (
        Receive, ReceiveStream, StreamReplied, StreamFailed, StreamRefused, StreamSilent, Advance, Start, Form,
        Join, Acquaint, Leave, SetTags, SetReadiness, Broadcast, Send,
    )
}  # fmt: skip
"""The inputs by the name of their door."""
