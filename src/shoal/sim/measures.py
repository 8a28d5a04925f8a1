"""What a simulated cluster made of its faults: who was noticed, how fast, and who was accused without cause.

The truth comes from the simulator, which knows who runs and what is wrong with whom; the beliefs are the events that
the nodes' users saw.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from shoal.events import (
    Event,
    MemberFailed,
    MemberJoined,
    MemberLeft,
    MemberRecovered,
    MemberStalled,
    MemberSuspected,
    VerdictReason,
)
from shoal.sim.cluster import SimCluster
from shoal.sim.node import Observation, SimNode
from shoal.sim.steps import Agree, Step, Wait
from shoal.types import NodeId

__all__ = ["AFTERMATH", "Load", "Mark", "Outage", "OutageKind", "Recorder", "Verdicts"]

AFTERMATH: Final = 60.0
"""Seconds for which a fault that is over still excuses a verdict: the longest that a suspicion may take in the LAN
profile, and the time to spread it."""

_SHOWN_EVENTS: Final = (MemberSuspected, MemberStalled, MemberRecovered, MemberFailed, MemberLeft, MemberJoined)
_MOST_PACKETS: Final = 0.8  # share
_TICK: Final = 0.1  # seconds; events of one kind in one tick are one mark


_COUNTED_AS: Final[dict[type[Event], str]] = {
    MemberFailed: "_deaths",
    MemberStalled: "_stalls",
    MemberSuspected: "_suspicions",
}


class OutageKind(StrEnum):
    """How a run stopped to answer."""

    CRASH = "crash"
    STALL = "stall"
    """Its process was frozen, its sends and receives blocked, or its host lost most packets coming in or going out."""


@dataclass(frozen=True, slots=True)
class Outage:
    """A run that crashed or stalled, and who noticed when. All durations are virtual seconds.

    A verdict counts for the outage if it falls before the node starts again or stalls again, and for a stall at most
    `AFTERMATH` after its end. The observers are those that were up and well from the beginning until they knew.
    """

    node: str
    kind: OutageKind
    began: float
    first: float | None
    """From the beginning until the first of all observers saw the member fail or stand still; None when nobody did."""
    all_know: float | None
    """From the beginning until the last observer did; None when one never did."""
    delays: tuple[float, ...] = ()
    """For each observer that saw it, how long after the first, ascending."""
    observers: int = 0
    """How many could have seen it."""


@dataclass(frozen=True, slots=True)
class Verdicts:
    """How often members were accused that were alive; each observer's event counts.

    A failure is *false* when, at that moment, the run it is about lives, nothing is wrong with it (it is not frozen,
    blocked or slow, and its host's link loses, limits and refuses nothing), no cut separates it from the observer in
    either direction, and neither has been so within the last `AFTERMATH` seconds. Runs that crashed, said goodbye or
    were replaced under their name are not alive, whoever reports them. Loss on all paths excuses nothing, nor does a
    clock that drifts. A false suspicion is defined likewise.

    An observer is *healthy* when nothing is wrong with it, nor was within the last `AFTERMATH` seconds. In the
    Lifeguard experiments, where all anomalies recur until the end, `false_deaths` is thus the papers' FP and
    `false_deaths_at_healthy` their FP-.
    """

    false_deaths: int = 0
    """About unimpaired, reachable members, at any observer."""
    false_deaths_at_healthy: int = 0
    """Those of them that healthy observers saw."""
    impaired_deaths: int = 0
    """About members that were alive but impaired, such as those with an anomaly, at any observer."""
    impaired_deaths_at_healthy: int = 0
    """Those of them that healthy observers saw."""
    unreachable_deaths: int = 0
    """About members that were alive, unimpaired and cut off from the observer."""
    false_stalls: int = 0
    """Members told to stand still that were unimpaired and reachable, at any observer."""
    impaired_stalls: int = 0
    """About members that were alive but impaired."""
    false_suspicions: int = 0
    """About unimpaired, reachable members, at any observer."""
    false_suspicions_at_healthy: int = 0
    """Those of them that healthy observers saw."""


@dataclass(frozen=True, slots=True)
class Load:
    """What all nodes together sent, from the start to the end, joining included."""

    messages: int
    """Datagrams, compound ones counted once, and stream exchanges."""
    bytes: int
    """Payload, without headers of lower layers."""
    node_seconds: float
    """Virtual time that processes ran, summed over the nodes."""


class Mark(NamedTuple):
    """Something that happened, for a picture of the run."""

    time: float
    what: str
    """The name of an event, or for a step its text."""
    observers: int
    """How many observers saw it within a tenth of a second; 0 for a step."""


@dataclass(slots=True)
class _Span:
    """From when to when something was so; None: still."""

    began: float
    ended: float | None = None

    def holds(self, time: float, aftermath: float = 0.0) -> bool:
        return self.began <= time and (self.ended is None or time <= self.ended + aftermath)

    def overlaps(self, began: float, ended: float) -> bool:
        return self.began <= ended and (self.ended is None or self.ended >= began)


@dataclass(frozen=True, slots=True)
class _Condition:
    """How one node stands after a step."""

    run: int
    id: NodeId
    is_member: bool
    is_impaired: bool
    is_stalled: bool


@dataclass(slots=True)
class _Silence:
    """An outage under way."""

    id: NodeId
    run: int
    kind: OutageKind
    span: _Span


class Recorder:
    """Keeps book of the truth while a scenario is played: call `after` when a step is done.

    Conditions change in steps only, so looking after each is enough.
    """

    def __init__(self, cluster: SimCluster) -> None:
        self._cluster = cluster
        self._looked_at = cluster.now
        self._running = 0
        self._node_seconds = 0.0
        self._conditions: dict[str, _Condition] = {}
        self._lives: dict[tuple[str, int], _Span] = {}
        self._gone: dict[NodeId, float] = {}
        self._impaired: dict[str, list[_Span]] = defaultdict(list)
        self._silences: dict[str, list[_Silence]] = defaultdict(list)
        self._cuts: list[tuple[frozenset[str], frozenset[str], _Span]] = []
        self._marks: list[Mark] = []
        self.agreements: list[float] = []
        """How long each `Agree` step took until all views agreed, in virtual seconds."""

    def after(self, step: Step) -> None:
        """A step is done."""
        now = self._cluster.now
        match step:
            case Wait():
                pass
            case Agree():
                self.agreements.append(max(0.0, now - self._looked_at - step.stay))
            case _:
                self._marks.append(Mark(now, str(step), 0))
        self.look()

    def look(self) -> None:
        """Take note of how things stand; the time since the last look counts as spent the way they stood then."""
        now = self._cluster.now
        self._node_seconds += self._running * (now - self._looked_at)
        self._looked_at = now
        nodes = self._cluster.nodes.values()
        self._running = sum(node.is_up for node in nodes)
        for node in nodes:
            if node.run:
                self._note(node, now)
        self._note_cuts(now)

    def _note(self, node: SimNode, now: float) -> None:
        new = _Condition(
            run=node.run,
            id=node.id,
            is_member=node.is_member,
            is_impaired=node.is_up and not node.is_well,
            is_stalled=node.is_up and (node.is_frozen or node.is_blocked or _is_cut_off(node)),
        )
        old = self._conditions.get(node.name)
        if new == old:
            return
        self._conditions[node.name] = new
        self._note_life(node, old, new, now)
        _set(self._impaired[node.name], new.is_impaired, now)
        self._note_silence(node, old, new, now)

    def _note_life(self, node: SimNode, old: _Condition | None, new: _Condition, now: float) -> None:
        if old is not None and old.is_member and (old.run != new.run or not new.is_member):
            self._gone[old.id] = now
            self._lives[node.name, old.run].ended = now
        if new.is_member:
            self._lives.setdefault((node.name, new.run), _Span(now))
        elif old is None or old.run != new.run:
            self._lives[node.name, new.run] = _Span(now, now)

    def _note_silence(self, node: SimNode, old: _Condition | None, new: _Condition, now: float) -> None:
        silences = self._silences[node.name]
        if silences and (last := silences[-1]).span.ended is None:
            is_over = new.run != last.run if last.kind is OutageKind.CRASH else not new.is_stalled
            last.span.ended = now if is_over else None
        if old is None or old.run != new.run or not old.is_member:
            return
        if not node.is_up:
            silences.append(_Silence(old.id, old.run, OutageKind.CRASH, _Span(now)))
        elif new.is_stalled and not old.is_stalled:
            silences.append(_Silence(new.id, new.run, OutageKind.STALL, _Span(now)))

    def _note_cuts(self, now: float) -> None:
        current = [(cut.sources, cut.targets) for cut in self._cluster.network.cuts]
        known = []
        for sources, targets, span in self._cuts:
            if span.ended is None:
                known.append((sources, targets))
                if (sources, targets) not in current:
                    span.ended = now
        self._cuts += [(*cut, _Span(now)) for cut in current if cut not in known]

    # Results

    def load(self) -> Load:
        """What was sent so far."""
        self.look()
        traffic = [self._cluster.traffic(name) for name in self._cluster.nodes]
        return Load(
            messages=sum(one.datagrams_out + one.streams_out for one in traffic),
            bytes=sum(one.bytes_out + one.stream_bytes_out for one in traffic),
            node_seconds=self._node_seconds,
        )

    def timeline(self) -> tuple[Mark, ...]:
        """All steps and events so far, in order of time."""
        counts = Counter(
            (round(seen.time / _TICK), type(seen.event).__name__)
            for seen in self._cluster.observations
            if isinstance(seen.event, _SHOWN_EVENTS) and not _is_replacement(seen)
        )
        seen = [Mark(tick * _TICK, what, count) for (tick, what), count in counts.items()]
        return tuple(sorted(self._marks + seen))

    def verdicts(self) -> Verdicts:
        """All verdicts so far, sorted by what was true."""
        names = {id: node.name for node in self._cluster.nodes.values() for id in (*node.incarnations, *_ids(node))}
        counts: Counter[str] = Counter()
        for seen in self._cluster.observations:
            if not isinstance(seen.event, MemberFailed | MemberStalled | MemberSuspected) or _is_replacement(seen):
                continue
            id = seen.event.member.id
            if id not in names or self._gone.get(id, seen.time + 1) <= seen.time:
                continue
            kind = self._judge(seen.observer, names[id], seen.time)
            kind += _COUNTED_AS[type(seen.event)]
            counts[kind] += 1
            if not self._is_impaired(seen.observer, seen.time):
                counts[f"{kind}_at_healthy"] += 1
        return Verdicts(**{field: counts[field] for field in Verdicts.__dataclass_fields__})

    def outages(self) -> tuple[Outage, ...]:
        """Every crash and stall so far, in order of time."""
        failures: dict[NodeId, list[Observation[Event]]] = defaultdict(list)
        for seen in self._cluster.observations:
            if isinstance(seen.event, MemberFailed | MemberStalled) and not _is_replacement(seen):
                failures[seen.event.member.id].append(seen)
        found = [
            self._outage(name, silence, until, failures[silence.id])
            for name, silences in self._silences.items()
            for silence, until in self._windows(silences)
        ]
        return tuple(sorted(found, key=lambda outage: (outage.began, outage.node)))

    def _windows(self, silences: list[_Silence]) -> Iterator[tuple[_Silence, float]]:
        """Each silence, and until when verdicts about it count."""
        for index, silence in enumerate(silences):
            until = silences[index + 1].span.began if index + 1 < len(silences) else float("inf")
            if silence.span.ended is not None:
                aftermath = AFTERMATH if silence.kind is OutageKind.STALL else 0.0
                until = min(until, silence.span.ended + aftermath)
            yield silence, until

    def _outage(self, name: str, silence: _Silence, until: float, failures: list[Observation[Event]]) -> Outage:
        began = silence.span.began
        known: dict[tuple[str, int], float] = {}
        for seen in failures:
            if began <= seen.time <= until:
                known.setdefault((seen.observer, seen.run), seen.time)
        end = min(until, self._cluster.now)
        observers = [
            observer
            for observer, life in self._lives.items()
            if observer[0] != name and self._could_see(observer, life, began, known.get(observer, end))
        ]
        times = sorted(known[observer] for observer in observers if observer in known)
        first = min(known.values(), default=None)
        if first is None:
            return Outage(name, silence.kind, began, None, None, observers=len(observers))
        complete = bool(times) and len(times) == len(observers)
        return Outage(
            name,
            silence.kind,
            began,
            first=first - began,
            all_know=times[-1] - began if complete else None,
            delays=tuple(time - first for time in times),
            observers=len(observers),
        )

    def _could_see(self, observer: tuple[str, int], life: _Span, began: float, known: float) -> bool:
        name, _ = observer
        lived = life.began <= began and (life.ended is None or life.ended > known)
        return lived and not any(span.overlaps(began, known) for span in self._impaired[name])

    def _judge(self, observer: str, subject: str, time: float) -> str:
        if self._is_impaired(subject, time):
            return "impaired"
        return "unreachable" if self._is_cut(observer, subject, time) else "false"

    def _is_impaired(self, name: str, time: float) -> bool:
        return any(span.holds(time, AFTERMATH) for span in self._impaired[name])

    def _is_cut(self, one: str, other: str, time: float) -> bool:
        return any(
            (one in sources and other in targets) or (other in sources and one in targets)
            for sources, targets, span in self._cuts
            if span.holds(time, AFTERMATH)
        )


def _set(spans: list[_Span], holds: bool, now: float) -> None:
    """Begin or end the last span."""
    is_open = bool(spans) and spans[-1].ended is None
    if holds and not is_open:
        spans.append(_Span(now))
    elif is_open and not holds:
        spans[-1].ended = now


def _is_cut_off(node: SimNode) -> bool:
    return max(node.host.ingress_loss, node.host.egress_loss) >= _MOST_PACKETS


def _ids(node: SimNode) -> tuple[NodeId, ...]:
    return (node.id,) if node.run else ()


def _is_replacement(seen: Observation[Event]) -> bool:
    event = seen.event
    return isinstance(event, MemberFailed) and event.evidence.reason is VerdictReason.REPLACED
