from dataclasses import replace

import pytest

from shoal import events
from shoal.agent import schema
from shoal.agent.text import describe, evidence_text, printable, tags_text
from tests.agent.test_schema import EVIDENCE, NAMED_EVENTS, NOW, PROBE


@pytest.mark.parametrize("event", NAMED_EVENTS.values(), ids=NAMED_EVENTS)
def test_every_event_is_one_printable_line(event: events.Event) -> None:
    assert describe(schema.event_of(event, NOW)).isprintable()


def test_a_failure_is_told_with_its_evidence() -> None:
    text = describe(schema.event_of(NAMED_EVENTS["member_failed"], NOW))

    assert text == (
        "b at 127.0.0.1:7947 failed: suspicion expired after 3.25 s; accused by a, c; signed by a, c; own probe"
        " without an answer for 1.00 s (2 relays, 1 nacks, a stream ping); local health 1"
    )


@pytest.mark.parametrize("end", events.StreamEnd)
def test_how_a_stream_ended_is_told_in_the_line(end: events.StreamEnd) -> None:
    why = replace(EVIDENCE, probes=(replace(PROBE, stream_end=end),))

    assert f"1 nacks, a {end} stream ping)" in evidence_text(schema.Evidence.of(why, NOW))


def test_a_probe_without_a_stream_says_so() -> None:
    why = replace(EVIDENCE, probes=(replace(PROBE, stream_tried=False),))

    assert "1 nacks, no stream ping)" in evidence_text(schema.Evidence.of(why, NOW))


def test_evidence_without_details_is_its_reason() -> None:
    bare = events.Evidence(events.VerdictReason.REPLACED)

    assert evidence_text(schema.Evidence.of(bare, NOW)) == "replaced"
    assert evidence_text(schema.Evidence.of(EVIDENCE, NOW)) != "replaced"


def test_changed_tags_are_told_as_changes() -> None:
    text = describe(schema.event_of(NAMED_EVENTS["member_updated"], NOW))

    assert text == "b at 127.0.0.1:7947 changed its tags: role=worker"


def test_what_a_peer_chose_cannot_steer_a_terminal() -> None:
    assert printable("a\x1b[2Jb\nc") == r"a\x1b[2Jb\nc"
    assert printable("höher ✓") == "höher ✓"
    assert tags_text({"b": "2\r", "a": "1"}) == r"a=1 b=2\r"
