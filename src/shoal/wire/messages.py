"""What members say to each other, apart from how any dialect writes it.

A *message* is what one datagram or one side of a stream exchange is about. An *update* is a piece of news about a
member, or a user broadcast, that rides on datagrams until it has spread.

Messages and updates are slotted but not frozen: some are made per packet, and a frozen dataclass costs four times as
much to make. Nobody changes one after making it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from shoal.snapshot import Snapshot
from shoal.types import Address, MemberState, NodeId, NodeInfo

__all__ = [
    "MAX_ACCUSERS",
    "Ack",
    "Alive",
    "Compare",
    "Dead",
    "Gossip",
    "Left",
    "Message",
    "Nack",
    "Ping",
    "PingRequest",
    "Range",
    "RangeKind",
    "Repeated",
    "Stall",
    "Suspect",
    "SyncRecord",
    "SyncRequest",
    "SyncResponse",
    "Update",
    "UserBroadcast",
    "UserMessage",
    "Witness",
]

MAX_ACCUSERS: Final = 8
"""How many one suspicion can name."""


class Alive:
    """The owner's word about itself: it joined, refutes, or has new tags.

    One that was read from a message keeps the record that it was read from, and makes the info when asked for it: what
    most members need of it stands in the record.
    """

    __match_args__ = ("info", "incarnation")
    __slots__ = ("_info", "_unpack", "incarnation", "record")

    def __init__(self, info: NodeInfo, incarnation: int) -> None:
        self._info: NodeInfo | None = info
        self._unpack: Callable[[bytes], NodeInfo]
        self.incarnation = incarnation
        self.record = b""
        """What was read, which is good; empty if this was not read."""

    @classmethod
    def read(cls, record: bytes, incarnation: int, unpack: Callable[[bytes], NodeInfo]) -> Alive:
        """One whose info `unpack` finds in a record."""
        alive = cls.__new__(cls)
        alive._info, alive._unpack = None, unpack
        alive.record, alive.incarnation = record, incarnation
        return alive

    @property
    def info(self) -> NodeInfo:
        """What the owner publishes."""
        if self._info is None:
            self._info = self._unpack(self.record)
        return self._info

    @property
    def id(self) -> NodeId:
        """Whose word it is."""
        return NodeId(self.record[: NodeId.SIZE]) if self._info is None else self._info.id

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Alive):
            return NotImplemented
        return (self.info, self.incarnation) == (other.info, other.incarnation)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Alive(info={self.info!r}, incarnation={self.incarnation})"


@dataclass(slots=True)
class Repeated:
    """An `Alive` whose record is the one that the reader holds of that run: most of what gossip brings. Only read."""

    id: NodeId
    incarnation: int


@dataclass(frozen=True, slots=True)
class Witness:
    """A member that signed that another does not answer, at an incarnation."""

    id: NodeId
    signature: bytes


@dataclass(slots=True)
class Suspect:
    """`accuser` had no answer from the member."""

    id: NodeId
    incarnation: int
    accuser: NodeId
    is_stalled: bool = False
    """Its machine accepted a connection all the same: the process is there, and does not run."""
    witnesses: Sequence[Witness] = ()
    """Where members sign: who did, the accuser first."""
    confirmers: Sequence[bytes] = ()
    """Who accused after it, the `head` of each id. Where members sign, those are the other witnesses."""
    age: float = 0.0
    """Seconds since the accuser began to accuse, or somewhat more: what the way here takes is not counted."""


@dataclass(slots=True)
class Dead:
    """`accuser` saw the member's suspicion expire."""

    id: NodeId
    incarnation: int
    accuser: NodeId
    witnesses: Sequence[Witness] = ()
    """Where members sign: who signed that it does not answer."""


@dataclass(slots=True)
class Left:
    """The member said goodbye."""

    id: NodeId
    incarnation: int
    signature: bytes = b""
    """Its own, where members sign."""


@dataclass(slots=True)
class UserBroadcast:
    """Bytes of a user for everybody; `(origin, number)` names it, so that repeats are dropped."""

    origin: NodeId
    number: int
    payload: bytes


@dataclass(slots=True)
class Stall:
    """The member will not answer for a while, and that is no failure."""

    id: NodeId
    number: int
    """Rises with each declaration of one run, from 1; the highest counts."""
    seconds: float
    """How long at most, from when this is heard; sent in whole seconds, rounded up. 0: it is over."""
    proof: bytes = b""
    """Its own word, where members sign: for how long it was declared, of which `seconds` are left."""


Update = Alive | Repeated | Suspect | Dead | Left | UserBroadcast | Stall


@dataclass(slots=True)
class Ping:
    """Are you there? Answered by an `Ack` of the same `seq`, and only by the run that it names.

    On a stream it is the request of a stream ping and the `Ack` the reply.
    """

    seq: int
    """Pairs question and answer. Every message has one; where nothing is answered it is 0."""
    digest: int
    """The sender's view in 64 bits: equal digests prove equal views."""
    sender: NodeId
    target: NodeId


@dataclass(slots=True)
class Ack:
    """I am here; or, from a relay, the target was."""

    seq: int
    digest: int
    sender: NodeId


@dataclass(slots=True)
class PingRequest:
    """Ping `target` for me; answer with an `Ack` of my `seq`, or with a `Nack` shortly before `timeout` seconds."""

    seq: int
    digest: int
    sender: NodeId
    target: NodeId
    address: Address
    timeout: float
    """Seconds; sent in whole milliseconds."""


@dataclass(slots=True)
class Nack:
    """I am here, but the target of your ping request did not answer me in time."""

    seq: int
    digest: int
    sender: NodeId


@dataclass(slots=True)
class Gossip:
    """Nothing but updates; or, with a position as its seq, nothing but that one's followers should ask."""

    seq: int
    digest: int
    sender: NodeId


@dataclass(slots=True)
class UserMessage:
    """Bytes of a user for one member."""

    seq: int
    digest: int
    sender: NodeId
    payload: bytes


class RangeKind(IntEnum):
    """What is said of a range of ids."""

    SKIP = 0
    """Nothing."""
    FINGERPRINT = 1
    """One value: the sum of what the sender holds there. Answered where the receiver's sum is another."""
    HELD = 2
    """A value for each member that the sender holds there. Answered with what it lacks."""
    WANTED = 3
    """Values of members whose records the sender asks for."""


@dataclass(slots=True)
class Range:
    """What is said of the ids from the end of the range before, or the lowest of all, up to but without `end`."""

    end: bytes
    """The first bytes of an id, as many as it takes; none at all: the end of all ids."""
    kind: RangeKind
    values: Sequence[int] = ()
    """32-bit numbers: the top half of a member's term in the digest, or of a sum of such terms, times the salt."""


@dataclass(slots=True)
class Compare:
    """Here is what I hold, range by range; say more where you differ. Answered by another one, with news attached."""

    seq: int
    """The salt: an odd number, drawn once for each comparison, so that what looked equal by chance does so once."""
    digest: int
    sender: NodeId
    members: int
    """How many present members the sender holds."""
    steps: int
    """How many further answers there may be, 0 to 255."""
    ranges: Sequence[Range]


@dataclass(slots=True)
class SyncRecord:
    """One row of the sender's view."""

    info: NodeInfo
    state: MemberState
    incarnation: int
    age: float
    """Seconds since the sender first held this state, sent in whole seconds: a tombstone does not get younger by
    travelling."""
    testimony: bytes = b""
    """What proves that the member is gone, where members sign: see `Snapshot.testimonies`."""


@dataclass(slots=True)
class SyncRequest:
    """Here are rows of my view for you; send me what I lack of the ranges. Streams only."""

    seq: int
    """The salt of the ranges, as in `Compare`; or the position that the last answer gave."""
    digest: int
    sender: NodeId
    takes_compressed: bool
    """Whether the response may be compressed."""
    ranges: Sequence[Range]
    """What the sender holds where it wants to know more; a joiner holds nothing. Who follows the receiver skips all: it
    asks who came in since the position."""
    rows: Snapshot


@dataclass(slots=True)
class SyncResponse:
    """What you lack, and what I want of you; or whom to ask in my place. Streams only."""

    seq: int
    """The salt of the ranges; or, with a whole view or what came in since, the position up to which it reaches."""
    digest: int
    sender: NodeId
    takes_compressed: bool
    """Whether a further request may be compressed."""
    ranges: Sequence[Range]
    """Of the members that the requester holds, those whose records the sender asks for."""
    others: Sequence[Address]
    """Members to ask, because the sender has sent too many views lately; none: the rows are all there is."""
    rows: Snapshot


Message = Ping | Ack | PingRequest | Nack | Gossip | UserMessage | Compare | SyncRequest | SyncResponse
