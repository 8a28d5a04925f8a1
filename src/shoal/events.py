"""What happens in a cluster, as one observer sees it.

For one run of a member the order is always: joined, then any number of suspected → recovered and updated, then failed
or left. A failed run that refutes its death is joined anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from shoal.types import Address, Member, NodeId, Tags

__all__ = [
    "BroadcastReceived",
    "Event",
    "EventsLost",
    "Evidence",
    "JoinCompleted",
    "LeaveCompleted",
    "MemberFailed",
    "MemberJoined",
    "MemberLeft",
    "MemberRecovered",
    "MemberSuspected",
    "MemberUpdated",
    "MessageReceived",
    "NameConflict",
    "ProbeReport",
    "SeedUnreachable",
    "VerdictReason",
]


class VerdictReason(Enum):
    """How an observer came to hold a member suspect or dead."""

    PROBE_FAILED = "probe failed"
    """Its own probe, direct, indirect and over a stream, had no answer."""
    REPORTED = "reported"
    """Another member said so."""
    SUSPICION_EXPIRED = "suspicion expired"
    """The suspicion was not refuted in time."""
    REPLACED = "replaced"
    """A newer run took over its name or its address."""


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """One failed probe, as its prober saw it. Times are seconds after the first ping."""

    timeout: float
    """When the direct ping was given up and the relays were asked."""
    deadline: float
    """When the verdict fell."""
    relays: tuple[str, ...]
    """Names of the members that were asked to ping in our place."""
    nacks: int
    """How many relays answered that they too had no answer: proof that our own link works."""
    stream_tried: bool
    """Whether a stream ping was tried beside the relays."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why a member is held suspect or dead."""

    reason: VerdictReason
    accusers: tuple[str, ...] = ()
    """Who accused it, the first accuser first, then the confirmations; names, or ids of members unknown here."""
    suspicion_timeout: float | None = None
    """How long the suspicion lasted before death was declared, in seconds."""
    local_health: int = 0
    """The observer's own local health score at the time; 0 is healthy."""
    probe: ProbeReport | None = None
    """The observer's own failed probe, if it made one."""


@dataclass(frozen=True, slots=True)
class MemberJoined:
    """A member is new to this view, or came back from the dead."""

    member: Member


@dataclass(frozen=True, slots=True)
class MemberSuspected:
    """A member did not answer somebody's probe; it may still refute."""

    member: Member
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class MemberRecovered:
    """A suspected member refuted the suspicion."""

    member: Member


@dataclass(frozen=True, slots=True)
class MemberFailed:
    """A member is held dead."""

    member: Member
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class MemberLeft:
    """A member said goodbye."""

    member: Member


@dataclass(frozen=True, slots=True)
class MemberUpdated:
    """A member published other tags."""

    member: Member
    previous_tags: Tags


@dataclass(frozen=True, slots=True)
class NameConflict:
    """Two running nodes claim one name; the newer run, `winner`, holds it from now on in every view."""

    winner: Member
    loser: Member


@dataclass(frozen=True, slots=True)
class BroadcastReceived:
    """A user broadcast arrived; each arrives once, in no particular order."""

    origin: NodeId
    payload: bytes


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A direct user message arrived; it may arrive never, or twice, as datagrams do."""

    sender: NodeId
    payload: bytes


@dataclass(frozen=True, slots=True)
class JoinCompleted:
    """Another member has exchanged views with this node for the first time: the view is complete from now on."""


@dataclass(frozen=True, slots=True)
class LeaveCompleted:
    """This node's goodbye has spread, or `leave_timeout` has passed; it may go away."""


@dataclass(frozen=True, slots=True)
class SeedUnreachable:
    """A seed did not answer any try; it will be tried again, for ever."""

    address: Address
    reason: str


@dataclass(frozen=True, slots=True)
class EventsLost:
    """This subscriber was too slow and `count` events were dropped: read `members()` to catch up."""

    count: int


Event = (
    MemberJoined
    | MemberSuspected
    | MemberRecovered
    | MemberFailed
    | MemberLeft
    | MemberUpdated
    | NameConflict
    | BroadcastReceived
    | MessageReceived
    | JoinCompleted
    | LeaveCompleted
    | SeedUnreachable
    | EventsLost
)
"""A closed union: `match` over it is checked for completeness by type checkers."""
