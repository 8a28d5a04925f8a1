"""A verdict in plain words: who said what about whom, and why the observer believed it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

from shoal.agent.schema import Moment
from shoal.agent.text import printable
from shoal.events import Evidence, HealthReason, ProbeReport, StreamEnd, SuspicionTime, Verdict, VerdictReason
from shoal.types import MemberState

__all__ = ["explain"]

_WHY_WITHHELD: Final = {
    HealthReason.STALLED: "this process had not been running",
    HealthReason.OUT_OF_CONTACT: "nobody at all was heard",
    HealthReason.MASS_FAILURE: "too many would have gone at once",
    HealthReason.UNCONFIRMED: "too few members had confirmed that they had no answer either",
}
_HEALTH_WORDS: Final = {
    HealthReason.PROBE_FAILED: "a probe of its own had failed",
    HealthReason.NACK_MISSED: "a relay that it had asked was silent",
    HealthReason.SUSPECTED: "others had suspected it",
    HealthReason.ACCUSATION_REFUTED: "a member that it alone had accused was well",
    HealthReason.OUT_OF_CONTACT: "it had heard nobody",
    HealthReason.STALLED: "its process had not been running",
    HealthReason.EVENT_LOOP_LAG: "its event loop had been late",
    HealthReason.GC_PAUSE: "a garbage collection had stopped it",
}
_STREAM_WORDS: Final = {
    None: "had brought nothing yet",
    StreamEnd.FAILED: "could not be opened or broke",
    StreamEnd.REFUSED: "was refused",
    StreamEnd.SILENT: "was accepted and stayed silent",
}
_AT_ONCE: Final = 0.005
"""Seconds; less would be told as 0.00."""


def explain(verdict: Verdict, now: Moment) -> list[str]:
    """The sentences that tell `verdict`, the conclusion first; "this node" is the observer."""
    return [printable(sentence) for sentence in _sentences(verdict, now)]


def _sentences(verdict: Verdict, now: Moment) -> Iterator[str]:
    evidence, stands = verdict.evidence, _is_of_later(verdict)
    be = "is" if stands else "was"
    yield _conclusion(verdict, now)
    if evidence.accusations:
        yield _accusations(evidence, verdict.at)
    if evidence.signers:
        yield f"{_list(evidence.signers)} signed that they had no answer."
    for probe in evidence.probes:
        yield _probe(probe, verdict.at)
    if evidence.suspicion is not None:
        yield _suspicion(evidence.suspicion, be)
        yield from _tolerance(evidence.suspicion)
    for withheld in evidence.withheld:
        held_back = "So far, this node held a verdict" if stands else "Before that, this node held the verdict"
        yield f"{held_back} back {_times(withheld.count)}, because {_WHY_WITHHELD[withheld.reason]}."
    yield _local_health(evidence.local_health, be)
    if verdict.refuted_at is not None:
        yield f"{verdict.member.name} refuted it {verdict.refuted_at - verdict.at:.2f} s later."


def _is_of_later(verdict: Verdict) -> bool:
    """Whether the evidence is of a later moment than the verdict, as it is of a suspicion that stands."""
    time = verdict.evidence.suspicion
    return time is not None and time.started + time.lasted >= verdict.at + _AT_ONCE


def _conclusion(verdict: Verdict, now: Moment) -> str:
    member, evidence = verdict.member, verdict.evidence
    who = f"{_clock(now.time_of(verdict.at))}: this node held {member.name} at {member.address}"
    match evidence.reason:
        case VerdictReason.PROBE_FAILED:
            return f"{who} suspect, because its own probe had no answer."
        case VerdictReason.REPORTED if member.state is MemberState.SUSPECT:
            return f"{who} suspect, because {evidence.accusers[0]} accused it."
        case VerdictReason.REPORTED:
            return f"{who} dead, because {evidence.declared_by} declared it dead."
        case VerdictReason.STALLED:
            return f"{who} stalled, because it did not refute the suspicion in time, but its machine is there."
        case VerdictReason.SUSPICION_EXPIRED:
            return f"{who} dead, because it did not refute the suspicion in time."
        case VerdictReason.REPLACED:
            return f"{who} dead, because a newer run took over its name or its address."
        case VerdictReason.REVOKED:
            return f"{who} gone, because the authority took back what admitted it."


def _accusations(evidence: Evidence, at: float) -> str:
    first, *others = evidence.accusations
    said = f"{first.accuser} accused it first, {_when(first.at, at)}"
    if not others:
        return f"{said}; nobody confirmed that."
    confirmed = _list(f"{other.accuser} {_when(other.at, at)}" for other in others)
    return f"{said}; confirmed by {confirmed}."


def _probe(probe: ProbeReport, at: float) -> str:
    return (
        f"This node pinged it {_when(probe.started, at)}, without an answer within {probe.timeout:.2f} s,"
        f" then {_last_tries(probe)} and gave up after {probe.deadline:.2f} s{_nacks(probe)}."
    )


def _last_tries(probe: ProbeReport) -> str:
    asked = f"asked {_list(probe.relays)} to ping it" if probe.relays else "asked nobody else"
    if not probe.stream_tried:
        return asked
    joint = " and" if probe.relays else ", but"
    return f"{asked}{joint} tried a stream, which {_STREAM_WORDS[probe.stream_end]},"


def _nacks(probe: ProbeReport) -> str:
    if probe.nacks:
        return f"; {_list(probe.nacks)} had no answer either"
    return "; no relay said that it had no answer either" if probe.relays else ""


def _suspicion(time: SuspicionTime, be: str) -> str:
    said = f"The suspicion {be} {time.lasted:.2f} s old and may last"
    if not _is_tolerated(time):
        return f"{said} {time.timeout:.2f} s: {_usual_time(time)}."
    return (
        f"{said} {time.stall_tolerance:.2f} s (stall_tolerance), because its machine accepts connections and its"
        f" process says nothing; it counts as stalled after {time.timeout:.2f} s: {_usual_time(time)}."
    )


def _is_tolerated(time: SuspicionTime) -> bool:
    return time.is_stalled and time.stall_tolerance > time.timeout


def _usual_time(time: SuspicionTime) -> str:
    """Why the timeout is what it is, a tolerance aside."""
    if time.timeout < time.least:
        return f"its death was reported, and {time.least:.2f} s is the least time with {time.members} members"
    if time.confirmations_wanted == 0:
        return f"that is the time with {time.members} members, where confirmations do not count"
    if time.is_stalled:
        return f"that is the least time with {time.members} members"
    return (
        f"with {time.members} members it is {time.longest:.2f} s without confirmations and {time.least:.2f} s"
        f" with {time.confirmations_wanted}, and there were {time.confirmations}"
    )


def _tolerance(time: SuspicionTime) -> Iterator[str]:
    """What became of a tolerance that applies no more."""
    if time.stall_tolerance and not time.is_stalled:
        yield (
            f"Until its machine refused a connection, the suspicion could last {time.stall_tolerance:.2f} s"
            " (stall_tolerance), because the machine had accepted one before."
        )


def _local_health(points: tuple[HealthReason, ...], be: str) -> str:
    if not points:
        return f"This node {be} in good health itself (local health 0)."
    reasons = _list(_HEALTH_WORDS[reason] for reason in dict.fromkeys(points))
    return f"This node's own local health {be} {len(points)} (0 is best), because {reasons}."


def _clock(time: datetime) -> str:
    return time.isoformat(sep=" ", timespec="milliseconds").replace("+00:00", "Z")


def _when(moment: float, at: float) -> str:
    """How long before or after the verdict."""
    seconds = moment - at
    if abs(seconds) < _AT_ONCE:
        return "at that moment"
    return f"{abs(seconds):.2f} s {'before' if seconds < 0 else 'later'}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _list(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
