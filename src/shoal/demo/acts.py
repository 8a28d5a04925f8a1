"""The script of the demo as data: what is done in each act, and what every node must then report.

Nothing here knows processes or sockets. `judge` is the only judge of an act, and it looks at sightings alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from shoal.demo.sightings import Sight, Sighting

__all__ = [
    "Act",
    "Deed",
    "Expectation",
    "Freeze",
    "Kill",
    "Leave",
    "Prohibition",
    "Resume",
    "Start",
    "Verdict",
    "judge",
    "script",
]


@dataclass(frozen=True, slots=True)
class Start:
    """Start agents of these names; whoever runs already is their seed."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kill:
    """SIGKILL: no goodbye."""

    name: str


@dataclass(frozen=True, slots=True)
class Leave:
    """Ask the agent to say goodbye, and wait until it has ended by itself."""

    name: str


@dataclass(frozen=True, slots=True)
class Freeze:
    """SIGSTOP: the process is there, but does nothing."""

    name: str


@dataclass(frozen=True, slots=True)
class Resume:
    """SIGCONT after `Freeze`."""

    name: str


Deed = Start | Kill | Leave | Freeze | Resume


@dataclass(frozen=True, slots=True)
class Expectation:
    """`observer` must report one of `sights` of `subject` after the deed."""

    observer: str
    subject: str
    sights: tuple[Sight, ...]
    new_run: bool = False
    """It must be of a higher id than every run of that name seen before the deed."""
    is_timed: bool = True
    """Whether it counts for the observer's detection time."""

    def __str__(self) -> str:
        words = " or ".join(sight.word for sight in self.sights)
        return f"{self.observer} did not report {self.subject} {words}{' as a new run' if self.new_run else ''}"

    def met_at(self, reports: Iterable[Sighting], old_run: str) -> float | None:
        """When it was met by what the observer reported of the subject; `old_run` is the newest run before the deed."""
        return next(
            (
                report.at
                for report in reports
                if report.sight in self.sights and (not self.new_run or report.run > old_run)
            ),
            None,
        )


@dataclass(frozen=True, slots=True)
class Prohibition:
    """From the act on, and to the end of the demo, nobody may report any of `sights` of any of `subjects`."""

    subjects: tuple[str, ...]
    sights: tuple[Sight, ...]
    accuser: str | None = None
    """Only reports that name it as an accuser count."""

    def is_broken_by(self, sighting: Sighting) -> bool:
        """Whether the sighting is one that must not be."""
        return (
            sighting.subject in self.subjects
            and sighting.sight in self.sights
            and (self.accuser is None or self.accuser in sighting.accusers)
        )


@dataclass(frozen=True, slots=True)
class Act:
    """One deed, and what must and must not follow."""

    title: str
    """One word: "kill"."""
    story: str
    """One sentence for the audience."""
    deed: Deed
    outcome: str
    """What is timed, as the head of a column: "failed"."""
    expectations: tuple[Expectation, ...]
    prohibitions: tuple[Prohibition, ...] = ()
    at_least: float = 0.0
    """Seconds that the act lasts even when everything was seen before."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an act stands."""

    missing: tuple[Expectation, ...]
    broken: tuple[Sighting, ...]
    delays: Mapping[str, float]
    """By observer: seconds from the deed until the last of its timed expectations was met; only those that met all."""

    @property
    def is_fulfilled(self) -> bool:
        """Whether all that was announced was observed."""
        return not self.missing and not self.broken


def judge(act: Act, since: float, sightings: Sequence[Sighting]) -> Verdict:
    """Hold the act's demands against what was sighted; `since` is the time of the deed."""
    after = [sighting for sighting in sightings if sighting.at >= since]
    old_runs = _newest_runs(sighting for sighting in sightings if sighting.at < since)
    reports: defaultdict[tuple[str, str], list[Sighting]] = defaultdict(list)
    for sighting in after:
        reports[sighting.observer, sighting.subject].append(sighting)
    missing: list[Expectation] = []
    delays: dict[str, float] = {}
    for expectation in act.expectations:
        about = reports[expectation.observer, expectation.subject]
        met_at = expectation.met_at(about, old_runs.get(expectation.subject, ""))
        if met_at is None:
            missing.append(expectation)
        elif expectation.is_timed:
            delays[expectation.observer] = max(delays.get(expectation.observer, 0.0), met_at - since)
    for expectation in missing:
        delays.pop(expectation.observer, None)
    return Verdict(tuple(missing), tuple(_breaches(act.prohibitions, after)), delays)


def _newest_runs(sightings: Iterable[Sighting]) -> dict[str, str]:
    newest: dict[str, str] = {}
    for sighting in sightings:
        newest[sighting.subject] = max(sighting.run, newest.get(sighting.subject, ""))
    return newest


def _breaches(prohibitions: Iterable[Prohibition], sightings: Sequence[Sighting]) -> Iterator[Sighting]:
    for prohibition in prohibitions:
        yield from filter(prohibition.is_broken_by, sightings)


# The script

_MIN_FREEZE = 2.5
"""Seconds: well above the probe interval, so that on waking all of the frozen node's own timers are late."""


def script(names: Sequence[str], *, can_freeze: bool = True) -> tuple[Act, ...]:
    """The acts for these nodes, at least three. Systems without SIGSTOP go without the two acts around it."""
    cast = _Cast.of(names)
    acts = [_form(cast), _kill(cast), _leave(cast), _restart(cast)]
    if can_freeze:
        # A frozen node needs somebody who misses it: where only one is left, the killed one returns first.
        position = 4 if cast.frozen == cast.killed else 3
        acts[position:position] = [_freeze(cast), _resume(cast)]
    return tuple(acts)


@dataclass(frozen=True, slots=True)
class _Cast:
    """Who plays what."""

    names: tuple[str, ...]
    killed: str
    leaver: str
    frozen: str

    @classmethod
    def of(cls, names: Sequence[str]) -> _Cast:
        if len(names) < 3:
            raise ValueError(f"{len(names)} nodes are too few for the demo: it needs 3")
        return cls(tuple(names), killed=names[1], leaver=names[2], frozen=names[3] if len(names) > 3 else names[1])

    def without(self, *absent: str) -> tuple[str, ...]:
        return tuple(name for name in self.names if name not in absent)

    def missing_the_frozen(self) -> tuple[str, ...]:
        return self.without(self.killed, self.leaver, self.frozen)


def _all_report(
    observers: Iterable[str], subject: str, *sights: Sight, new_run: bool = False
) -> tuple[Expectation, ...]:
    return tuple(Expectation(observer, subject, sights, new_run) for observer in observers)


def _form(cast: _Cast) -> Act:
    return Act(
        title="form",
        story=f"{len(cast.names)} agents start and meet through {cast.names[0]}.",
        deed=Start(cast.names),
        outcome="complete",
        expectations=tuple(
            Expectation(observer, subject, (Sight.JOINED,))
            for observer in cast.names
            for subject in cast.without(observer)
        ),
    )


def _kill(cast: _Cast) -> Act:
    return Act(
        title="kill",
        story=f"SIGKILL to {cast.killed}: no goodbye, the others have to find out.",
        deed=Kill(cast.killed),
        outcome="failed",
        expectations=_all_report(cast.without(cast.killed), cast.killed, Sight.FAILED),
    )


def _leave(cast: _Cast) -> Act:
    return Act(
        title="leave",
        story=f"{cast.leaver} says goodbye: the others see it leave, and never dead.",
        deed=Leave(cast.leaver),
        outcome="left",
        expectations=_all_report(cast.without(cast.killed, cast.leaver), cast.leaver, Sight.LEFT),
        prohibitions=(Prohibition((cast.leaver,), (Sight.FAILED,)),),
    )


def _freeze(cast: _Cast) -> Act:
    return Act(
        title="freeze",
        story=f"SIGSTOP to {cast.frozen}: it is there and does not answer.",
        deed=Freeze(cast.frozen),
        outcome="suspected",
        expectations=_all_report(cast.missing_the_frozen(), cast.frozen, Sight.SUSPECTED),
        at_least=_MIN_FREEZE,
    )


def _resume(cast: _Cast) -> Act:
    others = cast.missing_the_frozen()
    return Act(
        title="resume",
        story=f"SIGCONT to {cast.frozen}: it refutes, and accuses nobody itself.",
        deed=Resume(cast.frozen),
        outcome="recovered",
        expectations=_all_report(others, cast.frozen, Sight.RECOVERED, Sight.JOINED),
        prohibitions=(Prohibition(others, (Sight.SUSPECTED, Sight.FAILED), accuser=cast.frozen),),
    )


def _restart(cast: _Cast) -> Act:
    others = cast.without(cast.killed, cast.leaver)
    own_view = (Expectation(cast.killed, other, (Sight.JOINED,), is_timed=False) for other in others)
    return Act(
        title="restart",
        story=f"{cast.killed} starts again: its new run replaces the old one at once.",
        deed=Start((cast.killed,)),
        outcome="replaced",
        expectations=(*_all_report(others, cast.killed, Sight.JOINED, new_run=True), *own_view),
    )
