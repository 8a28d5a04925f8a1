from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import get_args

import msgspec
import pytest

from shoal import events
from shoal.agent import schema
from shoal.types import Address, FailureDomain, Member, MemberState, NodeId, Readiness, Tags

ID = NodeId(bytes(range(16)))
NOW = schema.Moment(100.0, datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC))
B = Member("b", ID, Address("127.0.0.1", 7947), MemberState.DEAD, 3, Tags(role="worker"), since=97.5)
PROBE = events.ProbeReport(93.25, timeout=0.5, deadline=1.0, relays=("c", "d"), nacks=("c",), stream_tried=True)
SUSPICION = events.SuspicionTime(94.25, 3.25, 3.25, 2.0, 12.0, members=5, confirmations=1, confirmations_wanted=2)
EVIDENCE = events.Evidence(
    events.VerdictReason.SUSPICION_EXPIRED,
    accusations=(events.Accusation("a", 94.25), events.Accusation("c", 95.0)),
    declared_by="a",
    signers=("a", "c"),
    suspicion=SUSPICION,
    probes=(PROBE,),
    withheld=(events.Withheld(events.HealthReason.STALLED, 2),),
    local_health=(events.HealthReason.PROBE_FAILED,),
)
DECISION = events.PartitionDecision(
    "keep-majority", events.PartitionRuling.STAY, "3 of 4 members are on this side", frozenset([ID])
)
PARTITION = events.Partition(7.5, (B,), present=3, rate=1.0, domains=(FailureDomain("rack", "r7"),), decision=DECISION)
NAMED_EVENTS: dict[str, events.Event] = {
    "member_joined": events.MemberJoined(B),
    "member_suspected": events.MemberSuspected(B, EVIDENCE),
    "member_stalled": events.MemberStalled(B, EVIDENCE),
    "member_recovered": events.MemberRecovered(B),
    "member_failed": events.MemberFailed(B, EVIDENCE),
    "member_left": events.MemberLeft(B),
    "member_updated": events.MemberUpdated(B, Tags(role="idle")),
    "member_readiness_changed": events.MemberReadinessChanged(B, Readiness.DRAINING),
    "member_damped": events.MemberDamped(B, 7, ("a", "c"), 1.625),
    "member_reinstated": events.MemberReinstated(B),
    "removal_halted": events.RemovalHalted(9, 18, FailureDomain("rack", "r7")),
    "removal_resumed": events.RemovalResumed(3, 6),
    "partition_suspected": events.PartitionSuspected(PARTITION),
    "partition_decided": events.PartitionDecided(PARTITION, DECISION),
    "partition_healed": events.PartitionHealed((B,), (), 63.5),
    "view_changed": events.ViewChanged((), (B,), (), (FailureDomain("zone", "a"),)),
    "name_conflict": events.NameConflict(B, B),
    "identity_refused": events.IdentityRefused("b", ID, Address("10.0.0.1", 7946), events.Mistrust.KEY_CHANGED),
    "broadcast_received": events.BroadcastReceived(ID, b"\x00\xff"),
    "message_received": events.MessageReceived(ID, b"\x00\xff"),
    "join_completed": events.JoinCompleted(),
    "leave_completed": events.LeaveCompleted(),
    "leave_requested": events.LeaveRequested("op"),
    "seed_unreachable": events.SeedUnreachable(Address("db", 7946), "no such host"),
    "events_lost": events.EventsLost(7),
}


def test_every_event_has_a_form() -> None:
    assert {type(event) for event in NAMED_EVENTS.values()} == set(get_args(events.Event))


@pytest.mark.parametrize(("name", "event"), NAMED_EVENTS.items())
def test_an_event_survives_the_way_through_json_under_its_name(name: str, event: events.Event) -> None:
    form = schema.event_of(event, NOW)

    data = msgspec.json.encode(form)

    assert msgspec.json.decode(data)["event"] == schema.event_name(form) == name
    assert msgspec.json.decode(data, type=schema.Event) == form


def test_a_member_is_told_in_full() -> None:
    assert msgspec.to_builtins(schema.Member.of(B, NOW)) == {
        "name": "b",
        "id": "00010203-0405-0607-0809-0a0b0c0d0e0f",
        "address": "127.0.0.1:7947",
        "state": "dead",
        "incarnation": 3,
        "tags": {"role": "worker"},
        "age": 2.5,
        "damped": False,
        "readiness": "ready",
    }


def test_evidence_is_told_in_full() -> None:
    assert msgspec.to_builtins(schema.Evidence.of(EVIDENCE, NOW)) == {
        "reason": "suspicion expired",
        "accusations": [
            {"accuser": "a", "time": "2026-11-21T11:59:54.250000Z"},
            {"accuser": "c", "time": "2026-11-21T11:59:55Z"},
        ],
        "declared_by": "a",
        "signers": ["a", "c"],
        "suspicion": {
            "since": "2026-11-21T11:59:54.250000Z",
            "lasted": 3.25,
            "timeout": 3.25,
            "least": 2.0,
            "longest": 12.0,
            "members": 5,
            "confirmations": 1,
            "confirmations_wanted": 2,
            "stalled": False,
            "stall_tolerance": 0.0,
        },
        "probes": [
            {
                "time": "2026-11-21T11:59:53.250000Z",
                "timeout": 0.5,
                "deadline": 1.0,
                "relays": ["c", "d"],
                "nacks": ["c"],
                "stream_tried": True,
                "stream_end": None,
            }
        ],
        "withheld": {"stalled": 2},
        "local_health": ["probe_failed"],
    }


def test_a_suspicion_that_a_stall_made_longer_says_so() -> None:
    time = replace(SUSPICION, lasted=12.0, timeout=2.0, is_stalled=True, stall_tolerance=12.0)

    told = msgspec.to_builtins(schema.SuspicionTime.of(time, NOW))

    assert (told["timeout"], told["stalled"], told["stall_tolerance"]) == (2.0, True, 12.0)


def test_a_change_of_state_has_the_time_when_it_happened() -> None:
    assert schema.event_of(events.MemberFailed(B, EVIDENCE), NOW).time == NOW.wall - timedelta(seconds=2.5)
    assert schema.event_of(events.MemberUpdated(B, Tags()), NOW).time == NOW.wall


def test_nothing_is_younger_than_now() -> None:
    assert NOW.age(since=100.5) == 0


def test_every_state_has_a_name() -> None:
    names = {schema.Member.of(_in_state(state), NOW).state for state in MemberState}

    assert names == set(get_args(schema.State)) == {str(state) for state in MemberState}


def _in_state(state: MemberState) -> Member:
    return Member("b", ID, Address("127.0.0.1", 7947), state, 0, Tags(), since=0.0)
