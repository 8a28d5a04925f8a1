"""What happens in a cluster, as one observer sees it.

For one run of a member the order is always: joined, then any number of suspected → recovered, updated and readiness
changed, then failed or left. A failed run that refutes its death is joined anew.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum, StrEnum

from shoal.types import Address, FailureDomain, Member, NodeId, Readiness, Tags

__all__ = [
    "Accusation",
    "BroadcastReceived",
    "Event",
    "EventsLost",
    "Evidence",
    "HealthReason",
    "IdentityRefused",
    "JoinCompleted",
    "LeaveCompleted",
    "LeaveRequested",
    "MemberDamped",
    "MemberFailed",
    "MemberJoined",
    "MemberLeft",
    "MemberReadinessChanged",
    "MemberRecovered",
    "MemberReinstated",
    "MemberStalled",
    "MemberSuspected",
    "MemberUpdated",
    "MessageReceived",
    "Mistrust",
    "NameConflict",
    "Partition",
    "PartitionDecided",
    "PartitionDecision",
    "PartitionHealed",
    "PartitionRuling",
    "PartitionSuspected",
    "ProbeReport",
    "RemovalHalted",
    "RemovalResumed",
    "SeedUnreachable",
    "StreamEnd",
    "SuspicionTime",
    "Verdict",
    "VerdictReason",
    "ViewChanged",
    "Withheld",
]


class Mistrust(StrEnum):
    """Why what is said of a member was not taken for its own word; the same word in counters, logs and events."""

    UNSIGNED = "unsigned"
    """It proves nothing: the member runs without an identity, or somebody took its proof away."""
    BAD_SIGNATURE = "bad_signature"
    """The owner of the key did not say this: forged, altered, or of a cluster of another name."""
    KEY_CHANGED = "key_changed"
    """The name is known with another key."""
    UNCERTIFIED = "uncertified"
    """It has no certificate of this node's authority for its name, key and cluster."""
    EXPIRED = "expired"
    """Its certificate is too old, by this node's clock."""
    REVOKED = "revoked"
    """The authority took back its certificate, or the token that it joined with."""
    FORBIDDEN_TAG = "forbidden_tag"
    """It publishes a tag that its certificate does not allow."""


class VerdictReason(Enum):
    """How an observer came to hold a member suspect or dead."""

    PROBE_FAILED = "probe failed"
    """Its own probe, direct, indirect and over a stream, had no answer."""
    REPORTED = "reported"
    """Another member said so."""
    SUSPICION_EXPIRED = "suspicion expired"
    """The suspicion was not refuted in time."""
    STALLED = "stalled"
    """Nor was it, but the machine accepts connections: the member stays suspect for `stall_tolerance` at most."""
    REPLACED = "replaced"
    """A newer run took over its name or its address."""
    REVOKED = "revoked"
    """The authority took back what admitted it. For good: its state is LEFT."""


class HealthReason(StrEnum):
    """Why a node trusts its own accusations less: each raises its local health score by a point."""

    PROBE_FAILED = "probe_failed"
    NACK_MISSED = "nack_missed"
    """A relay that we asked neither passed on an ack nor said that it had none: our own link may be bad."""
    SUSPECTED = "suspected"
    """Others suspected this node, and it had to refute."""
    ACCUSATION_REFUTED = "accusation_refuted"
    """A member that this node alone accused was well."""
    OUT_OF_CONTACT = "out_of_contact"
    """A probe failed while nobody at all was heard."""
    STALLED = "stalled"
    """A timer fired so late that this process cannot have been running."""
    EVENT_LOOP_LAG = "event_loop_lag"
    """The event loop turned late: something in this process blocks it."""
    MASS_FAILURE = "mass_failure"
    """Too many would have been removed at once. It costs no point of local health."""
    UNCONFIRMED = "unconfirmed"
    """Too few members had confirmed that they had no answer either. It costs no point of local health."""
    GC_PAUSE = "gc_pause"
    """A garbage collection stopped this process for long."""


@dataclass(frozen=True, slots=True)
class Accusation:
    """One member's word against another."""

    accuser: str
    """Its name, or its id where it is unknown here."""
    at: float
    """When the observer heard of it, in seconds of its monotonic clock."""


class StreamEnd(StrEnum):
    """How a stream ping ended that brought no answer."""

    FAILED = "failed"
    """No connection came about, or it broke."""
    REFUSED = "refused"
    """The machine answered that nobody listens: the process is gone."""
    SILENT = "silent"
    """The machine accepted the connection, and the process said nothing: it is there, and does not run."""


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """One failed probe, as its prober saw it."""

    started: float
    """When the ping was sent, in seconds of the observer's monotonic clock; the other times are seconds after it."""
    timeout: float
    """When the direct ping was given up and the relays were asked."""
    deadline: float
    """When the verdict fell."""
    relays: tuple[str, ...]
    """Names of the members that were asked to ping in our place."""
    nacks: tuple[str, ...]
    """The relays that answered that they too had no answer: proof that our own link works."""
    stream_tried: bool
    """Whether a stream ping was tried beside the relays."""
    stream_end: StreamEnd | None = None
    """How that ended; None if it was not tried, or was not over at the time of the verdict."""


@dataclass(frozen=True, slots=True)
class SuspicionTime:
    """How long a suspicion lasts, and why; durations are in seconds (docs/protocol.md, section 8)."""

    started: float
    """When it began, in seconds of the observer's monotonic clock."""
    lasted: float
    """How old it was at the time of the verdict, or is, if it stands."""
    timeout: float
    """How long it may last with the confirmations so far, or where `is_stalled`, until that is told."""
    least: float
    """How long it lasts with all confirmations that are wanted."""
    longest: float
    """How long it lasts without any."""
    members: int
    """How many members were present when it began: what `least` follows from."""
    confirmations: int
    """How many further members accused the suspect."""
    confirmations_wanted: int
    """How many bring it down to `least`."""
    is_stalled: bool = False
    """Whether the suspect's machine accepts connections and its process says nothing, so that it may last for
    `stall_tolerance`."""
    stall_tolerance: float = 0.0
    """How long that may be in all; 0 if the machine accepted none. Where it did and is no longer `is_stalled`, it
    refused one later, and `timeout` applies."""


@dataclass(frozen=True, slots=True)
class Withheld:
    """How often the observer did not trust its own verdict, for one reason."""

    reason: HealthReason
    count: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why a member is held suspect or dead: what the observer knew at that moment.

    Of a suspicion that stands, `Cluster.evidence` tells what it knows now.
    """

    reason: VerdictReason
    accusations: tuple[Accusation, ...] = ()
    """The first accuser's, then the confirmations."""
    declared_by: str | None = None
    """Who declared the death, the observer or another; None for a suspicion, and for a run that was replaced."""
    signers: tuple[str, ...] = ()
    """Where members have identities: the names of those that signed that they had no answer. For a death, at least
    `death_signatures`, or all that could."""
    suspicion: SuspicionTime | None = None
    """The suspicion, if the observer held one."""
    probes: tuple[ProbeReport, ...] = ()
    """The observer's own failed probes since the suspicion began; the first few."""
    withheld: tuple[Withheld, ...] = ()
    """Verdicts that the observer did not pass on this member since it last had an answer, for fear of being at fault
    itself."""
    local_health: tuple[HealthReason, ...] = ()
    """The points of the observer's own local health score, the oldest first; none is healthy."""

    @property
    def accusers(self) -> tuple[str, ...]:
        """Names of the accusers, the first accuser first."""
        return tuple(accusation.accuser for accusation in self.accusations)


@dataclass(frozen=True, slots=True)
class Verdict:
    """That a member is held suspect, stalled or dead, and why."""

    member: Member
    """As it was held from then on."""
    at: float
    """When the verdict fell, in seconds of the observer's monotonic clock."""
    evidence: Evidence
    refuted_at: float | None = None
    """When the member refuted it; None as long as it did not."""


class PartitionRuling(StrEnum):
    """What a member on one side of a partition should do."""

    STAY = "stay"
    """Live on, without the lost."""
    STAND_DOWN = "stand-down"
    """End: another side may live on, or none can be sure that it is the only one."""
    ASK_LEASE = "ask-lease"
    """Live on if the lease can be had, and end otherwise."""


@dataclass(frozen=True, slots=True)
class PartitionDecision:
    """What a strategy says to one member (docs/guide.md, *Partitions*)."""

    strategy: str
    ruling: PartitionRuling
    why: str
    """One sentence with the numbers."""
    survivors: frozenset[NodeId] = frozenset()
    """Who lives on together with this member; empty where it does not."""
    wait: float = 0.0
    """Seconds to wait before the lease is asked for."""

    @property
    def side(self) -> str:
        """A name for the survivors, the same for all who see the same ones: the owner of the lease."""
        return hashlib.blake2b(b"".join(sorted(self.survivors)), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Partition:
    """So many members were lost together that the network, rather than each of them, has probably failed."""

    since: float
    """When the first of them fell silent, in seconds of the observer's monotonic clock."""
    lost: tuple[Member, ...]
    """Who is on the other side, or sides, or dead; as last held."""
    present: int
    """How many members are on this side, this node included."""
    rate: float
    """Members lost per second while they were being lost."""
    domains: tuple[FailureDomain, ...] = ()
    """Failure domains all of whose members are among the lost, if there are at least two; the widest first."""
    decision: PartitionDecision | None = None
    """What the configured strategy says, once the view has settled."""

    @property
    def share(self) -> float:
        """Which part of the members is lost, 0 to 1."""
        return len(self.lost) / (self.present + len(self.lost))


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
class MemberStalled:
    """A suspect would be held dead by now, but its machine still accepts connections: its process does not run.

    It stays suspect until it refutes, or for `stall_tolerance` at most; then it is held dead.
    """

    member: Member
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class MemberRecovered:
    """A suspected member refuted the suspicion."""

    member: Member


@dataclass(frozen=True, slots=True)
class MemberFailed:
    """A member is held dead, or was put out because the authority revoked what admitted it."""

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
class MemberReadinessChanged:
    """A member became ready, draining or stalled: its own word, or the end of the stall that it declared."""

    member: Member
    previous: Readiness


@dataclass(frozen=True, slots=True)
class MemberDamped:
    """A member has come and gone so often that this node does not rely on it for a while, whatever its state."""

    member: Member
    returns: int
    """How often it was suspected or held dead and came back, or crashed and was started again."""
    accusers: tuple[str, ...]
    """Names of different members that accused it and are not under such a cloud themselves; none for a crash loop."""
    penalty: float
    """What that costs it; it decays, and ends the damping at `damping_reuse`."""


@dataclass(frozen=True, slots=True)
class MemberReinstated:
    """A damped member has been steady for long enough to be relied on again."""

    member: Member


@dataclass(frozen=True, slots=True)
class NameConflict:
    """Two running nodes claim one name; the newer run, `winner`, holds it from now on in every view."""

    winner: Member
    loser: Member


@dataclass(frozen=True, slots=True)
class IdentityRefused:
    """Somebody claims to be a member, or to speak for one, and cannot prove it; told once for each run and reason."""

    name: str
    id: NodeId
    address: Address
    """Where it says that it is, not where the claim came from."""
    reason: Mistrust


@dataclass(frozen=True, slots=True)
class RemovalHalted:
    """More members than ever fail together were about to be removed: they stay suspect, and removal stops."""

    removed: int
    """How many were removed within `removal_window` before that."""
    members: int
    """How many there were at the beginning of it."""
    domain: FailureDomain | None = None
    """Where the limit is that of one failure domain, which; `members` and `removed` are those in it."""


@dataclass(frozen=True, slots=True)
class RemovalResumed:
    """Removal goes on."""

    removed: int
    """How many of those held back are removed now, because they stayed silent for `removal_hold`; none, if so many
    came back that the others are few enough."""
    returned: int
    """How many of those held back refuted or left meanwhile."""


@dataclass(frozen=True, slots=True)
class PartitionSuspected:
    """The cluster has probably come apart; nothing follows from that by itself."""

    partition: Partition


@dataclass(frozen=True, slots=True)
class PartitionDecided:
    """The view of a partition has settled, and the configured strategy says what this member should do."""

    partition: Partition
    decision: PartitionDecision


@dataclass(frozen=True, slots=True)
class PartitionHealed:
    """Most of the lost members are back."""

    returned: tuple[Member, ...]
    still_lost: tuple[Member, ...]
    lasted: float
    """Seconds since the first of them fell silent."""


@dataclass(frozen=True, slots=True)
class ViewChanged:
    """What a short while changed in all: for those who would rather rebalance once than for each member.

    It comes after the events of the single members. Who went and came back within that while is in none of the lists.
    """

    joined: tuple[Member, ...]
    failed: tuple[Member, ...]
    left: tuple[Member, ...]
    domains: tuple[FailureDomain, ...] = ()
    """Failure domains of which all members, two at least, failed in it; the widest first."""


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
class LeaveRequested:
    """A member that has the right has asked this node to leave, which says goodbye now."""

    by: str
    """That member's name."""


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
    | MemberStalled
    | MemberRecovered
    | MemberFailed
    | MemberLeft
    | MemberUpdated
    | MemberReadinessChanged
    | MemberDamped
    | MemberReinstated
    | NameConflict
    | IdentityRefused
    | RemovalHalted
    | RemovalResumed
    | PartitionSuspected
    | PartitionDecided
    | PartitionHealed
    | ViewChanged
    | BroadcastReceived
    | MessageReceived
    | JoinCompleted
    | LeaveCompleted
    | LeaveRequested
    | SeedUnreachable
    | EventsLost
)
"""A closed union: `match` over it is checked for completeness by type checkers."""
