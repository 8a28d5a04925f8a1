"""The JSON forms of what an agent tells: members, events, evidence, health.

The API writes them, the command line reads them. Ids and addresses are texts, durations are seconds, moments are
RFC 3339 in UTC.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal, TypeAlias, assert_never

from msgspec import Meta, Struct

from shoal import cluster, events, persistence, rotation, types
from shoal.types import MemberState, Readiness

__all__ = [
    "Accusation",
    "BroadcastReceived",
    "Event",
    "EventsLost",
    "Evidence",
    "Failure",
    "Health",
    "IdentityRefused",
    "Info",
    "InstallKeyRequest",
    "JoinCompleted",
    "JoinRequest",
    "JoinResult",
    "KeyReport",
    "LeaveCompleted",
    "LeaveRequest",
    "LeaveRequested",
    "Member",
    "MemberDamped",
    "MemberFailed",
    "MemberJoined",
    "MemberKeys",
    "MemberLeft",
    "MemberReadinessChanged",
    "MemberRecovered",
    "MemberReinstated",
    "MemberStalled",
    "MemberSuspected",
    "MemberUpdated",
    "MessageReceived",
    "Moment",
    "NameConflict",
    "Partition",
    "PartitionDecided",
    "PartitionDecision",
    "PartitionHealed",
    "PartitionSuspected",
    "ProbeReport",
    "ReadinessName",
    "ReadinessRequest",
    "RemovalHalted",
    "RemovalResumed",
    "RemoveKeyRequest",
    "SavedEvent",
    "SeedUnreachable",
    "StallRequest",
    "State",
    "SuspicionTime",
    "TagChanges",
    "TagSet",
    "UnreachableSeed",
    "UseKeyRequest",
    "Verdict",
    "ViewChanged",
    "event_name",
    "event_of",
    "state_name",
]

State: TypeAlias = Literal["alive", "suspect", "dead", "left"]

_STATES: Final[Mapping[MemberState, State]] = {
    MemberState.ALIVE: "alive",
    MemberState.SUSPECT: "suspect",
    MemberState.DEAD: "dead",
    MemberState.LEFT: "left",
}

ReadinessName: TypeAlias = Literal["ready", "draining", "stalled"]

_READINESS: Final[Mapping[Readiness, ReadinessName]] = {
    Readiness.READY: "ready",
    Readiness.DRAINING: "draining",
    Readiness.STALLED: "stalled",
}

_MAX_SEEDS: Final = 256


def state_name(state: MemberState) -> State:
    """The name of `state`."""
    return _STATES[state]


TagSet: TypeAlias = dict[str, str]
"""Body of `PUT /v1/tags`: all tags."""
TagChanges: TypeAlias = dict[str, str | None]
"""Body of `PATCH /v1/tags`: tags to set; null removes one."""


class InstallKeyRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/keys/install`: 32 bytes in base64."""

    key: str

    def __repr__(self) -> str:
        return "InstallKeyRequest(not shown)"


class UseKeyRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/keys/use`."""

    id: str


class RemoveKeyRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/keys/remove`."""

    id: str
    strand: bool = False
    """Leave those members behind that are away and may come back with this key alone."""


class MemberKeys(Struct, frozen=True, kw_only=True):
    """One member's answer about its keys."""

    name: str
    id: str
    address: str
    keys: list[str]
    """Ids of its keys, the one that it seals with first; empty when it did not answer."""
    encryption: str | None
    problem: str | None
    """Why it did not answer or did not do as asked."""


class KeyReport(Struct, frozen=True, kw_only=True):
    """What became of an operation on keys."""

    complete: bool
    """Every present member answered and did as asked."""
    refusal: str | None
    """Why nothing was changed anywhere."""
    members: list[MemberKeys]

    @classmethod
    def of(cls, report: rotation.KeyReport) -> KeyReport:
        """The form of `report`."""
        return cls(
            complete=report.is_complete,
            refusal=report.refusal or None,
            members=[
                MemberKeys(
                    name=each.member.name,
                    id=str(each.member.id),
                    address=str(each.member.address),
                    keys=[str(id) for id in each.ids],
                    encryption=each.encryption and each.encryption.value,
                    problem=each.problem or None,
                )
                for each in report.members
            ],
        )


class Moment(Struct, frozen=True):
    """One moment on two clocks, which turns a node's monotonic times into ages and into times of day."""

    monotonic: float
    """The node's clock, in seconds."""
    wall: datetime

    @classmethod
    def at(cls, monotonic: float) -> Moment:
        """Now, when the node's clock shows `monotonic`."""
        return cls(monotonic, datetime.now(UTC))

    def age(self, since: float) -> float:
        """Seconds from `since` to this moment, to the millisecond."""
        return round(max(0.0, self.monotonic - since), 3)

    def time_of(self, since: float) -> datetime:
        """The time of day when the node's clock showed `since`."""
        return self.wall - timedelta(seconds=self.age(since))


class Member(Struct, frozen=True, kw_only=True):
    """One node as the agent sees it."""

    name: str
    id: str
    address: str
    state: State
    incarnation: int
    tags: dict[str, str]
    age: float
    """Seconds for which the agent has held this state."""
    readiness: ReadinessName = "ready"
    """What it says of itself; `stalled` also as long as a stall that it declared lasts."""
    damped: bool = False
    """It has come and gone so often that the agent does not rely on it for now."""

    @classmethod
    def of(cls, member: types.Member, now: Moment) -> Member:
        """The form of `member`."""
        return cls(
            name=member.name,
            id=str(member.id),
            address=str(member.address),
            state=_STATES[member.state],
            incarnation=member.incarnation,
            tags=dict(member.tags),
            age=now.age(member.since),
            readiness=_READINESS[member.readiness],
            damped=member.damped,
        )


class Accusation(Struct, frozen=True, kw_only=True):
    """One member's word against another, and when the agent heard of it."""

    accuser: str
    time: datetime


class SuspicionTime(Struct, frozen=True, kw_only=True):
    """How long a suspicion lasts, and why; durations are in seconds."""

    since: datetime
    lasted: float
    """How old it was at the time of the verdict, or is, if it stands."""
    timeout: float
    """How long it may last with the confirmations so far, or where `stalled`, until that is told."""
    least: float
    """How long it lasts with all that are wanted."""
    longest: float
    """How long it lasts without any."""
    members: int
    """How many members were present when it began."""
    confirmations: int
    confirmations_wanted: int
    stalled: bool
    """The machine accepts connections and the process says nothing, so that it may last for `stall_tolerance`."""
    stall_tolerance: float
    """How long that may be in all; 0 if the machine accepted none. If not `stalled`, it refused one later."""

    @classmethod
    def of(cls, time: events.SuspicionTime, now: Moment) -> SuspicionTime:
        """The form of `time`."""
        return cls(
            since=now.time_of(time.started),
            lasted=round(time.lasted, 3),
            timeout=round(time.timeout, 3),
            least=round(time.least, 3),
            longest=round(time.longest, 3),
            members=time.members,
            confirmations=time.confirmations,
            confirmations_wanted=time.confirmations_wanted,
            stalled=time.is_stalled,
            stall_tolerance=round(time.stall_tolerance, 3),
        )


class ProbeReport(Struct, frozen=True, kw_only=True):
    """One failed probe; `timeout` and `deadline` are seconds after the first ping, sent at `time`."""

    time: datetime
    timeout: float
    deadline: float
    relays: list[str]
    nacks: list[str]
    """The relays that had no answer either."""
    stream_tried: bool
    stream_end: str | None
    """`failed`, `refused`, or `silent`: the machine accepted the connection, the process said nothing."""

    @classmethod
    def of(cls, report: events.ProbeReport, now: Moment) -> ProbeReport:
        """The form of `report`."""
        return cls(
            time=now.time_of(report.started),
            timeout=round(report.timeout, 3),
            deadline=round(report.deadline, 3),
            relays=list(report.relays),
            nacks=list(report.nacks),
            stream_tried=report.stream_tried,
            stream_end=None if report.stream_end is None else str(report.stream_end),
        )


class Evidence(Struct, frozen=True, kw_only=True):
    """Why a member is held suspect or dead."""

    reason: str
    accusations: list[Accusation]
    """The first accuser's, then the confirmations."""
    declared_by: str | None
    """Who declared the death."""
    signers: list[str]
    """Where members have identities: who signed that it did not answer."""
    suspicion: SuspicionTime | None
    probes: list[ProbeReport]
    """The agent's own that failed."""
    withheld: dict[str, int]
    """How often the agent held the verdict back, by reason."""
    local_health: list[str]
    """The reasons of the points of the agent's own local health score; empty is healthy."""

    @classmethod
    def of(cls, evidence: events.Evidence, now: Moment) -> Evidence:
        """The form of `evidence`."""
        return cls(
            reason=evidence.reason.value,
            accusations=[
                Accusation(accuser=accusation.accuser, time=now.time_of(accusation.at))
                for accusation in evidence.accusations
            ],
            declared_by=evidence.declared_by,
            signers=list(evidence.signers),
            suspicion=None if evidence.suspicion is None else SuspicionTime.of(evidence.suspicion, now),
            probes=[ProbeReport.of(report, now) for report in evidence.probes],
            withheld={withheld.reason.value: withheld.count for withheld in evidence.withheld},
            local_health=[reason.value for reason in evidence.local_health],
        )


class Verdict(Struct, frozen=True, kw_only=True):
    """That the agent held a member suspect or dead, and why."""

    time: datetime
    """When the verdict fell."""
    id: str
    """Of the run of the member that it is about."""
    address: str
    state: State
    incarnation: int
    evidence: Evidence
    refuted: datetime | None
    """When the member refuted it; null as long as it did not."""
    explanation: list[str]
    """All of it in sentences."""


class Health(Struct, frozen=True, kw_only=True):
    """How the agent's node is doing."""

    ready: bool
    """Running, not leaving, seen by its peers under its name, and wanting work: what `/healthz` answers 200 for."""
    running: bool
    leaving: bool
    superseded: bool
    """A newer run holds its name, so no peer sees it."""
    joined: bool
    """It has exchanged views with another member."""
    readiness: ReadinessName
    """What it says of itself."""
    counts: dict[State, int]
    """Members by state, this node included."""
    agreement: float | None
    """Share of the last 64 answered probes in which the peer's view was equal; null before the first."""
    last_probe_success_age: float | None
    """Seconds since a probe was last answered; null if none ever was."""
    local_health: int
    """0 is healthy; the protocol's timings stretch with it."""
    local_health_points: list[str]
    """Why each point of it is there, the oldest first."""
    local_health_reasons: dict[str, int]
    """What raised the score since the start, and how often."""
    subscribers: int
    """Event streams that are open."""

    @classmethod
    def of(cls, health: cluster.Health) -> Health:
        """The form of `health`."""
        age = health.last_probe_success_age
        return cls(
            ready=(
                health.is_running
                and not health.is_leaving
                and not health.is_superseded
                and health.readiness is Readiness.READY
            ),
            running=health.is_running,
            leaving=health.is_leaving,
            superseded=health.is_superseded,
            joined=health.has_joined,
            readiness=_READINESS[health.readiness],
            counts={_STATES[state]: count for state, count in health.counts.items()},
            agreement=None if health.agreement is None else round(health.agreement, 3),
            last_probe_success_age=None if age is None else round(age, 3),
            local_health=health.local_health,
            local_health_points=list(health.local_health_points),
            local_health_reasons=dict(health.local_health_reasons),
            subscribers=health.subscribers,
        )


class PartitionDecision(Struct, frozen=True, kw_only=True):
    """What the configured strategy says to the agent."""

    strategy: str
    ruling: str
    """`stay`, `stand-down` or `ask-lease`."""
    why: str
    survivors: tuple[str, ...]
    """Ids of those who live on together with the agent."""

    @classmethod
    def of(cls, decision: events.PartitionDecision) -> PartitionDecision:
        """The form of `decision`."""
        return cls(
            strategy=decision.strategy,
            ruling=str(decision.ruling),
            why=decision.why,
            survivors=tuple(map(str, sorted(decision.survivors))),
        )


class Partition(Struct, frozen=True, kw_only=True):
    """So many members were lost together that the network has probably failed."""

    since: datetime
    lost: tuple[Member, ...]
    present: int
    """How many members are on the agent's side."""
    share: float
    """Which part of the members is lost, 0 to 1."""
    rate: float
    """Members lost per second while they were being lost."""
    domains: tuple[str, ...]
    """Failure domains that are lost as a whole, such as `rack=r7`."""
    decision: PartitionDecision | None

    @classmethod
    def of(cls, partition: events.Partition, now: Moment) -> Partition:
        """The form of `partition`."""
        return cls(
            since=now.time_of(partition.since),
            lost=_members(partition.lost, now),
            present=partition.present,
            share=round(partition.share, 4),
            rate=round(partition.rate, 3),
            domains=tuple(map(str, partition.domains)),
            decision=None if partition.decision is None else PartitionDecision.of(partition.decision),
        )


def _members(members: Iterable[types.Member], now: Moment) -> tuple[Member, ...]:
    return tuple(Member.of(member, now) for member in members)


class Info(Struct, frozen=True, kw_only=True):
    """The agent itself."""

    version: str
    """Of the package."""
    cluster: str
    member: Member
    health: Health
    partition: Partition | None
    """The partition that is suspected now."""
    stats: dict[str, int]


class Failure(Struct, frozen=True):
    """The answer to a request that was refused."""

    error: str


# Requests


class JoinRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `POST /v1/join`."""

    seeds: Annotated[list[str], Meta(min_length=1, max_length=_MAX_SEEDS)]


class LeaveRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `POST /v1/leave`: an empty object, or nothing; or who else is to leave."""

    member: str | None = None
    """Name or id."""


class ReadinessRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `POST /v1/drain` and `POST /v1/ready`: an empty object, or nothing."""


class StallRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `POST /v1/stall`."""

    reason: str
    """For the agent's log."""
    at_most: float
    """Seconds; 0 takes the declaration back."""


class UnreachableSeed(Struct, frozen=True):
    """A seed that did not answer, and why; it is tried again for ever."""

    seed: str
    reason: str


class JoinResult(Struct, frozen=True, kw_only=True):
    """What became of each seed within a few seconds."""

    reached: list[str]
    """A member is known there."""
    unreachable: list[UnreachableSeed]
    pending: list[str]
    """Neither yet; the agent goes on trying."""


# Events


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


class _Event(Struct, frozen=True, kw_only=True, tag_field="event", tag=_snake):
    time: datetime
    """When the agent saw it happen."""


class MemberJoined(_Event, frozen=True, kw_only=True):
    """A member is new to this view, or came back from the dead."""

    member: Member


class MemberSuspected(_Event, frozen=True, kw_only=True):
    """A member did not answer somebody's probe; it may still refute."""

    member: Member
    evidence: Evidence


class MemberStalled(_Event, frozen=True, kw_only=True):
    """A suspect's machine accepts connections, and its process does not run: it is not held dead yet."""

    member: Member
    evidence: Evidence


class MemberRecovered(_Event, frozen=True, kw_only=True):
    """A suspected member refuted the suspicion."""

    member: Member


class MemberFailed(_Event, frozen=True, kw_only=True):
    """A member is held dead."""

    member: Member
    evidence: Evidence


class MemberLeft(_Event, frozen=True, kw_only=True):
    """A member said goodbye."""

    member: Member


class MemberUpdated(_Event, frozen=True, kw_only=True):
    """A member published other tags."""

    member: Member
    previous_tags: dict[str, str]


class MemberReadinessChanged(_Event, frozen=True, kw_only=True):
    """A member became ready, draining or stalled."""

    member: Member
    previous: ReadinessName


class MemberDamped(_Event, frozen=True, kw_only=True):
    """A member has come and gone so often that the agent does not rely on it for a while."""

    member: Member
    returns: int
    accusers: tuple[str, ...]
    penalty: float


class MemberReinstated(_Event, frozen=True, kw_only=True):
    """A damped member has been steady for long enough."""

    member: Member


class RemovalHalted(_Event, frozen=True, kw_only=True):
    """Too many members were about to be removed at once: they stay suspect."""

    removed: int
    members: int
    domain: str | None


class RemovalResumed(_Event, frozen=True, kw_only=True):
    """Removal goes on."""

    removed: int
    returned: int


class PartitionSuspected(_Event, frozen=True, kw_only=True):
    """The cluster has probably come apart."""

    partition: Partition


class PartitionDecided(_Event, frozen=True, kw_only=True):
    """The view of a partition has settled, and the configured strategy has decided."""

    partition: Partition
    decision: PartitionDecision


class PartitionHealed(_Event, frozen=True, kw_only=True):
    """Most of the lost members are back."""

    returned: tuple[Member, ...]
    still_lost: tuple[Member, ...]
    lasted: float


class ViewChanged(_Event, frozen=True, kw_only=True):
    """What a short while changed in all."""

    joined: tuple[Member, ...]
    failed: tuple[Member, ...]
    left: tuple[Member, ...]
    domains: tuple[str, ...]


class NameConflict(_Event, frozen=True, kw_only=True):
    """Two running nodes claim one name; `winner`, the newer run, holds it from now on."""

    winner: Member
    loser: Member


class IdentityRefused(_Event, frozen=True, kw_only=True):
    """Somebody claims to be a member, by the name of `node`, and cannot prove it."""

    node: str
    id: str
    address: str
    reason: str


class BroadcastReceived(_Event, frozen=True, kw_only=True):
    """A user broadcast arrived; the payload is in base64."""

    origin: str
    payload: bytes


class MessageReceived(_Event, frozen=True, kw_only=True):
    """A direct user message arrived; the payload is in base64."""

    sender: str
    payload: bytes


class JoinCompleted(_Event, frozen=True, kw_only=True):
    """This node exchanged views with another member for the first time."""


class LeaveCompleted(_Event, frozen=True, kw_only=True):
    """This node's goodbye has spread."""


class LeaveRequested(_Event, frozen=True, kw_only=True):
    """A member that has the right has asked this node to leave."""

    by: str


class SeedUnreachable(_Event, frozen=True, kw_only=True):
    """A seed did not answer; it will be tried again, for ever."""

    address: str
    reason: str


class EventsLost(_Event, frozen=True, kw_only=True):
    """This reader was too slow and lost `count` events: read the members to catch up."""

    count: int


Event: TypeAlias = (
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
    | RemovalHalted
    | RemovalResumed
    | PartitionSuspected
    | PartitionDecided
    | PartitionHealed
    | ViewChanged
    | NameConflict
    | IdentityRefused
    | BroadcastReceived
    | MessageReceived
    | JoinCompleted
    | LeaveCompleted
    | LeaveRequested
    | SeedUnreachable
    | EventsLost
)


class SavedEvent(Struct, frozen=True, kw_only=True):
    """Something that happened to a member, or to the cluster, as it is kept in the state directory."""

    event: str
    """Such as `member_failed`."""
    time: datetime
    name: str
    """To whom it happened; what happened to the cluster is told of the node that saw it."""
    id: str
    """Which run of the member."""
    address: str
    detail: str = ""
    """More, in words."""

    @classmethod
    def of(cls, saved: persistence.SavedEvent) -> SavedEvent:
        """The form of `saved`."""
        return cls(
            event=_snake(saved.kind),
            time=datetime.fromtimestamp(saved.at, UTC),
            name=saved.member,
            id=str(saved.id),
            address=str(saved.address),
            detail=saved.detail,
        )


def event_name(event: Event) -> str:
    """The name that the event has in streams and logs, such as `member_joined`."""
    return str(event.__struct_config__.tag)


def event_of(event: events.Event, now: Moment) -> Event:
    """The form of `event`. A change of state gets the time when it happened, everything else the time `now`."""
    match event:
        case events.MemberJoined(member):
            return MemberJoined(time=now.time_of(member.since), member=Member.of(member, now))
        case events.MemberSuspected(member, evidence):
            return MemberSuspected(
                time=now.time_of(member.since),
                member=Member.of(member, now),
                evidence=Evidence.of(evidence, now),
            )
        case events.MemberStalled(member, evidence):
            return MemberStalled(time=now.wall, member=Member.of(member, now), evidence=Evidence.of(evidence, now))
        case events.MemberRecovered(member):
            return MemberRecovered(time=now.time_of(member.since), member=Member.of(member, now))
        case events.MemberFailed(member, evidence):
            return MemberFailed(
                time=now.time_of(member.since),
                member=Member.of(member, now),
                evidence=Evidence.of(evidence, now),
            )
        case events.MemberLeft(member):
            return MemberLeft(time=now.time_of(member.since), member=Member.of(member, now))
        case events.MemberUpdated(member, previous_tags):
            return MemberUpdated(time=now.wall, member=Member.of(member, now), previous_tags=dict(previous_tags))
        case events.MemberReadinessChanged(member, previous):
            return MemberReadinessChanged(time=now.wall, member=Member.of(member, now), previous=_READINESS[previous])
        case events.MemberDamped(member, returns, accusers, penalty):
            return MemberDamped(
                time=now.wall,
                member=Member.of(member, now),
                returns=returns,
                accusers=accusers,
                penalty=round(penalty, 3),
            )
        case events.MemberReinstated(member):
            return MemberReinstated(time=now.wall, member=Member.of(member, now))
        case events.RemovalHalted(removed, members, domain):
            where = None if domain is None else str(domain)
            return RemovalHalted(time=now.wall, removed=removed, members=members, domain=where)
        case events.RemovalResumed(removed, returned):
            return RemovalResumed(time=now.wall, removed=removed, returned=returned)
        case events.PartitionSuspected(partition):
            return PartitionSuspected(time=now.wall, partition=Partition.of(partition, now))
        case events.PartitionDecided(partition, decision):
            return PartitionDecided(
                time=now.wall, partition=Partition.of(partition, now), decision=PartitionDecision.of(decision)
            )
        case events.PartitionHealed(returned_members, still_lost, lasted):
            return PartitionHealed(
                time=now.wall,
                returned=_members(returned_members, now),
                still_lost=_members(still_lost, now),
                lasted=round(lasted, 3),
            )
        case events.ViewChanged(joined, failed, left, domains):
            return ViewChanged(
                time=now.wall,
                joined=_members(joined, now),
                failed=_members(failed, now),
                left=_members(left, now),
                domains=tuple(map(str, domains)),
            )
        case events.NameConflict(winner, loser):
            return NameConflict(time=now.wall, winner=Member.of(winner, now), loser=Member.of(loser, now))
        case events.IdentityRefused(name, id, address, reason):
            return IdentityRefused(time=now.wall, node=name, id=str(id), address=str(address), reason=reason.value)
        case events.BroadcastReceived(origin, payload):
            return BroadcastReceived(time=now.wall, origin=str(origin), payload=payload)
        case events.MessageReceived(sender, payload):
            return MessageReceived(time=now.wall, sender=str(sender), payload=payload)
        case events.JoinCompleted():
            return JoinCompleted(time=now.wall)
        case events.LeaveCompleted():
            return LeaveCompleted(time=now.wall)
        case events.LeaveRequested(by):
            return LeaveRequested(time=now.wall, by=by)
        case events.SeedUnreachable(address, reason):
            return SeedUnreachable(time=now.wall, address=str(address), reason=reason)
        case events.EventsLost(count):
            return EventsLost(time=now.wall, count=count)
        case _:
            assert_never(event)
