"""Verdicts in plain words."""

from dataclasses import replace
from typing import Any

import pytest

from shoal import events
from shoal.agent.explanation import explain
from shoal.types import MemberState
from tests.agent.test_schema import EVIDENCE, NOW, PROBE, SUSPICION, B

DIED = events.Verdict(B, 97.5, EVIDENCE)
HELD_DEAD = "2026-11-21 11:59:57.500Z: this node held b at 127.0.0.1:7947 dead, because "


def evidence(reason: events.VerdictReason, *accusers: str, declared_by: str | None = None) -> events.Evidence:
    accusations = tuple(events.Accusation(accuser, 97.5) for accuser in accusers)
    return events.Evidence(reason, accusations=accusations, declared_by=declared_by)


def test_a_death_is_told_in_full() -> None:
    assert explain(replace(DIED, refuted_at=98.0), NOW) == [
        HELD_DEAD + "it did not refute the suspicion in time.",
        "a accused it first, 3.25 s before; confirmed by c 2.50 s before.",
        "a and c signed that they had no answer.",
        "This node pinged it 4.25 s before, without an answer within 0.50 s, then asked c and d to ping it and"
        " tried a stream, which had brought nothing yet, and gave up after 1.00 s; c had no answer either.",
        "The suspicion was 3.25 s old and may last 3.25 s: with 5 members it is 12.00 s without confirmations and"
        " 2.00 s with 2, and there were 1.",
        "Before that, this node held the verdict back 2 times, because this process had not been running.",
        "This node's own local health was 1 (0 is best), because a probe of its own had failed.",
        "b refuted it 0.50 s later.",
    ]


@pytest.mark.parametrize(
    ("state", "why", "words"),
    [
        (MemberState.SUSPECT, evidence(events.VerdictReason.PROBE_FAILED, "a"), "suspect, because its own probe"),
        (MemberState.SUSPECT, evidence(events.VerdictReason.REPORTED, "c"), "suspect, because c accused it."),
        (MemberState.SUSPECT, evidence(events.VerdictReason.STALLED, "a"), "stalled, because it did not refute"),
        (MemberState.DEAD, evidence(events.VerdictReason.REPORTED, declared_by="c"), "dead, because c declared it"),
        (MemberState.DEAD, evidence(events.VerdictReason.REPLACED), "dead, because a newer run took over"),
        (MemberState.LEFT, evidence(events.VerdictReason.REVOKED), "gone, because the authority took back"),
    ],
)
def test_the_conclusion_names_who_it_rests_on(state: MemberState, why: events.Evidence, words: str) -> None:
    conclusion, *_, health = explain(events.Verdict(replace(B, state=state), 97.5, why), NOW)

    assert words in conclusion
    assert health == "This node was in good health itself (local health 0)."


def test_a_lonely_probe_and_a_fixed_time_are_told_as_such() -> None:
    alone = replace(PROBE, relays=(), nacks=(), stream_tried=False)
    fixed = replace(SUSPICION, least=4.0, longest=4.0, timeout=4.0, members=2, confirmations=0, confirmations_wanted=0)
    why = replace(EVIDENCE, accusations=EVIDENCE.accusations[:1], probes=(alone,), suspicion=fixed)

    told = explain(events.Verdict(B, 97.5, why), NOW)

    assert told[1] == "a accused it first, 3.25 s before; nobody confirmed that."
    assert told[3].endswith("without an answer within 0.50 s, then asked nobody else and gave up after 1.00 s.")
    assert told[4].endswith("that is the time with 2 members, where confirmations do not count.")


def test_of_a_suspicion_that_stands_what_came_after_it_is_told_as_later() -> None:
    """It began at 94.25, and the evidence is of 97.5."""
    later = replace(PROBE, started=95.25)
    standing = replace(EVIDENCE, reason=events.VerdictReason.REPORTED, signers=(), probes=(PROBE, later))

    told = explain(events.Verdict(replace(B, state=MemberState.SUSPECT), 94.25, standing), NOW)

    assert told[1] == "a accused it first, at that moment; confirmed by c 0.75 s later."
    assert told[2].startswith("This node pinged it 1.00 s before, ")
    assert told[3].startswith("This node pinged it 1.00 s later, ")
    assert told[4].startswith("The suspicion is 3.25 s old and may last 3.25 s: ")
    assert told[5].startswith("So far, this node held a verdict back 2 times, ")
    assert told[6].startswith("This node's own local health is 1 (0 is best), ")


def told_of_probe(probe: events.ProbeReport) -> str:
    [told] = explain(events.Verdict(B, 97.5, replace(evidence(EVIDENCE.reason), probes=(probe,))), NOW)[1:-1]
    return told.partition("0.50 s, ")[2]


@pytest.mark.parametrize(
    ("tried", "words"),
    [
        (
            {"relays": ("c", "d"), "nacks": ("c", "d"), "stream_tried": False},
            "then asked c and d to ping it and gave up after 1.00 s; c and d had no answer either.",
        ),
        (
            {"relays": ("c",), "nacks": (), "stream_tried": False},
            "then asked c to ping it and gave up after 1.00 s; no relay said that it had no answer either.",
        ),
        (
            {"relays": (), "nacks": (), "stream_tried": True, "stream_end": events.StreamEnd.REFUSED},
            "then asked nobody else, but tried a stream, which was refused, and gave up after 1.00 s.",
        ),
        (
            {"relays": (), "nacks": (), "stream_tried": False},
            "then asked nobody else and gave up after 1.00 s.",
        ),
    ],
)
def test_what_was_tried_reads_well_in_every_combination(tried: dict[str, Any], words: str) -> None:
    assert told_of_probe(replace(PROBE, **tried)) == words


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (events.StreamEnd.FAILED, "a stream, which could not be opened or broke, and gave up"),
        (events.StreamEnd.REFUSED, "a stream, which was refused, and gave up"),
        (events.StreamEnd.SILENT, "a stream, which was accepted and stayed silent, and gave up"),
        (None, "a stream, which had brought nothing yet, and gave up"),
    ],
)
def test_how_a_stream_ended_is_told_in_words(end: events.StreamEnd | None, words: str) -> None:
    assert words in told_of_probe(replace(PROBE, stream_end=end))


def told_of(time: events.SuspicionTime) -> list[str]:
    time = replace(time, started=97.5 - time.lasted)
    return explain(events.Verdict(B, 97.5, events.Evidence(EVIDENCE.reason, suspicion=time)), NOW)[1:-1]


def test_a_time_that_a_stall_made_longer_says_so_and_why() -> None:
    stalled = replace(SUSPICION, lasted=12.0, timeout=2.0, is_stalled=True, stall_tolerance=12.0)

    assert told_of(stalled) == [
        "The suspicion was 12.00 s old and may last 12.00 s (stall_tolerance), because its machine accepts connections"
        " and its process says nothing; it counts as stalled after 2.00 s: that is the least time with 5 members."
    ]
    [lonely] = told_of(replace(stalled, confirmations_wanted=0))
    assert lonely.endswith("after 2.00 s: that is the time with 5 members, where confirmations do not count.")


def test_a_tolerance_shorter_than_the_usual_time_applies_not() -> None:
    hasty = replace(SUSPICION, lasted=2.0, timeout=2.0, is_stalled=True, stall_tolerance=1.0)

    assert told_of(hasty) == [
        "The suspicion was 2.00 s old and may last 2.00 s: that is the least time with 5 members."
    ]


def test_a_tolerance_that_a_refused_connection_ended_is_told() -> None:
    gone = replace(SUSPICION, lasted=7.0, stall_tolerance=12.0)

    usual, tolerance = told_of(gone)

    assert usual.startswith("The suspicion was 7.00 s old and may last 3.25 s: with 5 members it is 12.00 s ")
    assert tolerance == (
        "Until its machine refused a connection, the suspicion could last 12.00 s (stall_tolerance), because the"
        " machine had accepted one before."
    )


def test_a_time_that_a_reported_death_made_shorter_says_so() -> None:
    [told] = told_of(replace(SUSPICION, lasted=1.5, timeout=1.5))

    assert told == (
        "The suspicion was 1.50 s old and may last 1.50 s: its death was reported, and 2.00 s is the least time with"
        " 5 members."
    )


@pytest.mark.parametrize(
    "reason",
    [
        events.HealthReason.STALLED,
        events.HealthReason.OUT_OF_CONTACT,
        events.HealthReason.MASS_FAILURE,
        events.HealthReason.UNCONFIRMED,
    ],
)
def test_every_reason_to_withhold_a_verdict_is_told_in_words(reason: events.HealthReason) -> None:
    why = replace(EVIDENCE, withheld=(events.Withheld(reason, 1),))
    [told] = [line for line in explain(events.Verdict(B, 97.5, why), NOW) if "held the verdict back once" in line]
    assert reason.value not in told


FREE = (events.HealthReason.MASS_FAILURE, events.HealthReason.UNCONFIRMED)
"""They cost no point of local health."""


@pytest.mark.parametrize("reason", [reason for reason in events.HealthReason if reason not in FREE])
def test_every_reason_that_costs_a_point_of_local_health_is_told_in_words(reason: events.HealthReason) -> None:
    *_, told = explain(events.Verdict(B, 97.5, replace(EVIDENCE, local_health=(reason,))), NOW)

    assert told.startswith("This node's own local health was 1 (0 is best), because ")


def test_what_a_peer_chose_cannot_forge_a_line() -> None:
    why = evidence(events.VerdictReason.REPORTED, "x\x85y", declared_by="x\x85y")

    assert all(sentence.isprintable() for sentence in explain(events.Verdict(B, 97.5, why), NOW))
