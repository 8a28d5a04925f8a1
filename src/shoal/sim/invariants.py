"""What must hold whatever the network and the nodes do.

An invariant is a function of two moments of a cluster, the earlier one first, that yields a sentence for each
violation. Moments are plain data: the invariants know neither the simulator nor the core, and a test can feed them
moments that never were. `DURING` holds at any time, `AT_REST` also, once all faults are over and the cluster had time
to agree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from shoal.config import ClusterConfig
from shoal.events import (
    BroadcastReceived,
    Event,
    MemberFailed,
    MemberJoined,
    MemberLeft,
    MemberReadinessChanged,
    MemberRecovered,
    MemberStalled,
    MemberSuspected,
    MemberUpdated,
    VerdictReason,
)
from shoal.types import Address, Member, MemberState, NodeId

__all__ = [
    "AT_REST",
    "DURING",
    "Holding",
    "Invariant",
    "InvariantViolated",
    "Moment",
    "View",
    "Violation",
    "broadcasts_arrive_once",
    "datagrams_keep_their_limit",
    "events_tell_the_view",
    "everything_kept_is_bounded",
    "incarnations_never_fall",
    "leavers_are_never_reported_failed",
    "live_nodes_hold_themselves_alive",
    "names_and_addresses_have_one_live_run",
    "only_owners_raise_incarnations",
    "precedence_holds",
    "replies_never_storm",
    "retired_nodes_are_not_selected",
    "tables_keep_their_bounds",
    "views_agree",
]


@dataclass(frozen=True, slots=True)
class Holding:
    """One container of a process: what is in it, how much, and how much there may be."""

    what: str
    size: int
    most: int


@dataclass(frozen=True, slots=True)
class View:
    """What one process believes at one moment, and what it has done so far."""

    observer: str
    run: int
    id: NodeId
    """Its own id."""
    config: ClusterConfig
    members: Mapping[NodeId, Member]
    """Everyone it knows, tombstones too. The same object as in an earlier moment if nothing changed since."""
    is_whole: bool = True
    """Whether `members` is the whole view; in large clusters it is, for most observers, their own row alone."""
    generation: int = 0
    """Rises with every change of `members`."""
    events: Sequence[Event] = ()
    """What it saw happen since the earlier moment."""
    is_member: bool = True
    """Whether it belongs into every view: not leaving, and no newer run has its name."""
    digest: int = 0
    datagrams_out: int = 0
    """Since the start of the simulation, as all numbers of this kind."""
    largest_datagram: int = 0
    exchanges: int = 0
    """Stream exchanges under way."""
    waiting: int = 0
    """Packets that wait to be handled or sent because the process is frozen, blocked or slow."""
    overfull: Sequence[Holding] = ()
    """Of all that it keeps, what it keeps more of than it may; in large clusters looked for at a few observers."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A whole cluster at one instant."""

    time: float
    views: Mapping[str, View] = field(default_factory=dict)
    """The processes that run, frozen ones too, by the name of their node."""
    incarnations: Mapping[NodeId, int] = field(default_factory=dict)
    """Of every run that there ever was, the incarnation that the run itself stood at, at last."""
    leavers: frozenset[NodeId] = frozenset()
    """Runs that said goodbye while everything was well, and nothing has disturbed the cluster since."""
    retired: frozenset[NodeId] = frozenset()
    """Runs that were drained in calm and run no more, and nothing has disturbed the cluster since."""


Invariant = Callable[[Moment, Moment], Iterator[str]]


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken invariant."""

    time: float
    invariant: str
    text: str

    def __str__(self) -> str:
        return f"{self.time:.3f} s: {self.invariant}: {self.text}"


class InvariantViolated(AssertionError):
    """Something happened that must never happen; the message lists what."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__("\n".join(map(str, violations)))
        self.violations = tuple(violations)


def _changed(before: Moment, after: Moment) -> Iterator[tuple[View, View]]:
    """The views of both moments that changed in between; of nodes that ran on."""
    for name, new in after.views.items():
        old = before.views.get(name)
        if old is not None and old.run == new.run and old.members is not new.members:
            yield old, new


def _new_tables(before: Moment, after: Moment) -> Iterator[View]:
    """The views that are not as they were in the earlier moment."""
    for name, view in after.views.items():
        old = before.views.get(name)
        if old is None or old.members is not view.members:
            yield view


def _known_to_both(before: Moment, after: Moment) -> Iterator[tuple[View, Member, Member]]:
    for old, new in _changed(before, after):
        for id, member in new.members.items():
            if (earlier := old.members.get(id)) is not None and earlier is not member:
                yield new, earlier, member


def incarnations_never_fall(before: Moment, after: Moment) -> Iterator[str]:
    """In one view, the incarnation of one run never gets lower."""
    for view, earlier, member in _known_to_both(before, after):
        if member.incarnation < earlier.incarnation:
            yield (
                f"{view.observer} had {member.name} at incarnation {earlier.incarnation}, now at {member.incarnation}"
            )


def precedence_holds(before: Moment, after: Moment) -> Iterator[str]:
    """At one incarnation, ALIVE < SUSPECT < DEAD < LEFT only ever rises; LEFT is final at any."""
    for view, earlier, member in _known_to_both(before, after):
        fell = member.incarnation == earlier.incarnation and member.state < earlier.state
        returned = earlier.state is MemberState.LEFT and member.state is not MemberState.LEFT
        if fell or returned:
            yield (
                f"{view.observer} had {member.name} {earlier.state}, now {member.state}"
                f" (incarnation {earlier.incarnation}, now {member.incarnation})"
            )


def live_nodes_hold_themselves_alive(_before: Moment, after: Moment) -> Iterator[str]:
    """A member that runs is alive in its own view, whatever others say."""
    for view in after.views.values():
        if view.is_member:
            own = view.members.get(view.id)
            if own is None or own.state is not MemberState.ALIVE:
                yield f"{view.observer} holds itself {own.state if own is not None else 'unknown'}"


def only_owners_raise_incarnations(before: Moment, after: Moment) -> Iterator[str]:
    """No view has a run at a higher incarnation than the run itself ever had."""
    for view in _new_tables(before, after):
        for id, member in view.members.items():
            own = after.incarnations.get(id)
            if own is None:
                yield f"{view.observer} knows {member.name} as {id}, which never ran"
            elif member.incarnation > own:
                yield f"{view.observer} has {member.name} at incarnation {member.incarnation}, itself is at {own}"


def names_and_addresses_have_one_live_run(before: Moment, after: Moment) -> Iterator[str]:
    """In one view, each name and each address belongs to at most one present member."""
    for view in _new_tables(before, after):
        present = [member for member in view.members.values() if member.state.is_present]
        names = Counter(member.name for member in present)
        addresses: Counter[Address] = Counter(member.address for member in present)
        for what, count in (*names.items(), *addresses.items()):
            if count > 1:
                yield f"{view.observer} has {count} present members at {what}"


class _Phase(Enum):
    GONE = "gone"
    ALIVE = "alive"
    SUSPECT = "suspect"


_PHASES = {MemberState.ALIVE: _Phase.ALIVE, MemberState.SUSPECT: _Phase.SUSPECT}
_PRESENT = (_Phase.ALIVE, _Phase.SUSPECT)

# Which event may follow in which phase, and the phase that it leads to; None stays.
_LEGAL: dict[type[Event], tuple[tuple[_Phase, ...], _Phase | None]] = {
    MemberJoined: ((_Phase.GONE,), _Phase.ALIVE),
    MemberSuspected: ((_Phase.ALIVE,), _Phase.SUSPECT),
    MemberStalled: ((_Phase.SUSPECT,), None),
    MemberRecovered: ((_Phase.SUSPECT,), _Phase.ALIVE),
    MemberUpdated: (_PRESENT, None),
    MemberReadinessChanged: (_PRESENT, None),
    MemberFailed: (_PRESENT, _Phase.GONE),
    MemberLeft: (_PRESENT, _Phase.GONE),
}


def events_tell_the_view(before: Moment, after: Moment) -> Iterator[str]:
    """Events come in a legal order, and whoever knew the view before and saw the events knows the view now.

    Legal is, for each run: joined, (suspected, recovered)*, failed or left, with updates while it is present.
    """
    for name, view in after.views.items():
        old = before.views.get(name)
        if old is not None and old.run != view.run:
            old = None
        if not view.is_whole or (old is not None and old.members is view.members and not view.events):
            continue
        known = old.members if old is not None else {}
        own = {view.id, old.id if old is not None else view.id}
        phases = {id: _phase(member) for id, member in known.items()}
        for event in view.events:
            if isinstance(event, MemberEvent) and event.member.id not in own:
                yield from _follow(phases, event, view.observer)
        for id in sorted((phases.keys() | view.members.keys()) - own):
            told, held = phases.get(id, _Phase.GONE), _phase(view.members.get(id))
            if told is not held:
                yield f"{view.observer} was told that {id} is {told.value} and holds it {held.value}"


MemberEvent = (
    MemberJoined
    | MemberSuspected
    | MemberStalled
    | MemberRecovered
    | MemberUpdated
    | MemberReadinessChanged
    | MemberFailed
    | MemberLeft
)


def _phase(member: Member | None) -> _Phase:
    return _PHASES.get(member.state, _Phase.GONE) if member is not None else _Phase.GONE


def _follow(phases: dict[NodeId, _Phase], event: MemberEvent, observer: str) -> Iterator[str]:
    member = event.member
    phase = phases.get(member.id, _Phase.GONE)
    allowed, following = _LEGAL[type(event)]
    if phase not in allowed:
        yield f"{observer} saw {type(event).__name__} of {member.name}, which it knew as {phase.value}"
    phases[member.id] = following or phase


def leavers_are_never_reported_failed(_before: Moment, after: Moment) -> Iterator[str]:
    """Whoever said goodbye in peace is seen as LEFT, never as failed, unless its next run is heard of first."""
    for view in after.views.values():
        failures = [event for event in view.events if isinstance(event, MemberFailed)]
        for event in failures:
            if event.member.id in after.leavers and event.evidence.reason is not VerdictReason.REPLACED:
                yield f"{view.observer} saw {event.member.name} fail, which left: {event.evidence}"


def retired_nodes_are_not_selected(_before: Moment, after: Moment) -> Iterator[str]:
    """Whoever was drained before it stopped is given no work by anybody from then on."""
    if not after.retired:
        return
    for view in after.views.values():
        for id in after.retired & view.members.keys():
            if view.members[id].is_available:
                yield f"{view.observer} would give work to {view.members[id].name}, which was drained and runs no more"


def broadcasts_arrive_once(_before: Moment, after: Moment) -> Iterator[str]:
    """One user sees each broadcast once; looks at the events since the earlier moment, and needs distinct payloads."""
    for view in after.views.values():
        seen = Counter((event.origin, event.payload) for event in view.events if isinstance(event, BroadcastReceived))
        for (origin, payload), count in seen.items():
            if count > 1:
                yield f"{view.observer} got the broadcast {payload!r} of {origin} {count} times"


def datagrams_keep_their_limit(_before: Moment, after: Moment) -> Iterator[str]:
    """No datagram is larger than `max_datagram`."""
    for view in after.views.values():
        if view.largest_datagram > view.config.max_datagram:
            yield f"{view.observer} sent a datagram of {view.largest_datagram} bytes"


def tables_keep_their_bounds(before: Moment, after: Moment) -> Iterator[str]:
    """Members, tombstones and stream exchanges stay within what the configuration says."""
    for view in _new_tables(before, after):
        dead = sum(not member.state.is_present for member in view.members.values())
        yield from _above(view, "members", len(view.members), view.config.max_members)
        yield from _above(view, "tombstones", dead, view.config.max_tombstones)
    for view in after.views.values():
        yield from _above(view, "stream exchanges", view.exchanges, view.config.max_streams_out)


def everything_kept_is_bounded(_before: Moment, after: Moment) -> Iterator[str]:
    """Every queue, memory and cache of a process stays in its bound, and nothing is kept of who is forgotten."""
    for view in after.views.values():
        for holding in view.overfull:
            yield from _above(view, holding.what, holding.size, holding.most)


def _above(view: View, what: str, size: int, bound: int) -> Iterator[str]:
    if size > bound:
        yield f"{view.observer} has {size} {what}, the bound is {bound}"


_BURST = 300  # a node may be everybody's relay, or just have joined, for a moment


def replies_never_storm(before: Moment, after: Moment) -> Iterator[str]:
    """No node sends more than a few times what probing and gossip need, whatever it receives."""
    seconds = after.time - before.time
    for name, view in after.views.items():
        old = before.views.get(name)
        if old is None or seconds <= 0:
            continue
        config = view.config
        gossip = config.gossip_fanout / config.gossip_interval
        probing = (2 + 3 * config.indirect_probes) / config.probe_interval
        allowed = _BURST + 2 * old.waiting + 3 * (gossip + probing) * seconds
        sent = view.datagrams_out - old.datagrams_out
        if sent > allowed:
            yield f"{view.observer} sent {sent} datagrams in {seconds:.3f} s, {allowed:.0f} are allowed"


def views_agree(_before: Moment, after: Moment) -> Iterator[str]:
    """All members have equal digests, and hold exactly each other alive."""
    members = {view.id: view for view in after.views.values() if view.is_member}
    digests = Counter(view.digest for view in members.values())
    for view in members.values():
        if not view.is_whole:
            continue
        alive = {id for id, member in view.members.items() if member.state is MemberState.ALIVE}
        present = {id for id, member in view.members.items() if member.state.is_present}
        for id in sorted(members.keys() - alive):
            yield f"{view.observer} does not hold {members[id].observer} alive"
        for id in sorted(present - members.keys()):
            yield f"{view.observer} holds {view.members[id].name} {view.members[id].state}, which is gone"
    if len(digests) > 1:
        yield f"{len(digests)} different digests"


DURING: tuple[Invariant, ...] = (
    incarnations_never_fall,
    precedence_holds,
    live_nodes_hold_themselves_alive,
    only_owners_raise_incarnations,
    names_and_addresses_have_one_live_run,
    events_tell_the_view,
    leavers_are_never_reported_failed,
    retired_nodes_are_not_selected,
    datagrams_keep_their_limit,
    tables_keep_their_bounds,
    everything_kept_is_bounded,
    replies_never_storm,
)
"""What holds at any moment."""

AT_REST: tuple[Invariant, ...] = (views_agree, broadcasts_arrive_once)
"""What also holds when all faults are over and there was time to agree; the earlier moment is the empty one."""
