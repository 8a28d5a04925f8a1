from dataclasses import replace
from math import log
from typing import Any

import pytest

from shoal.errors import MessageTooLargeError
from shoal.events import (
    Accusation,
    BroadcastReceived,
    Evidence,
    HealthReason,
    MemberFailed,
    MemberJoined,
    MemberLeft,
    MemberRecovered,
    MemberSuspected,
    MemberUpdated,
    NameConflict,
    SuspicionTime,
    VerdictReason,
)
from shoal.state.precedence import MAX_INCARNATION
from shoal.swim.stats import Drop
from shoal.types import Address, MemberState, NodeId, NodeInfo, Tags
from shoal.wire.messages import (
    Ack,
    Alive,
    Dead,
    Gossip,
    Left,
    Ping,
    Suspect,
    SyncRecord,
    SyncRequest,
    SyncResponse,
    Update,
    UserBroadcast,
)
from tests.rows import records_of, rows
from tests.swim.harness import EVERYTHING, OWN, STRANGER, Solo, address_of, heads_of, info_of, node_id

ALIVE, SUSPECT, DEAD, LEFT = MemberState
ME = node_id(OWN)
PEER = node_id(1)
A, B, C = node_id(2), node_id(3), node_id(4)
NEVER = 1e6
LEAST, LONGEST = 4.0, 24.0  # of the suspicion of one of 4 to 10 members


def _solo(*numbers: int, **config: Any) -> Solo:
    """A core that knows some peers and has told their news."""
    solo = Solo(**config)
    solo.meet(*numbers)
    solo.sleep(10.0)
    return solo.quiet()


def _settled(*numbers: int) -> Solo:
    """One that has exchanged views with a peer."""
    solo = _solo(*numbers)
    solo.sync_from(PEER)
    return solo.quiet()


def _record(info: NodeInfo, state: MemberState, incarnation: int = 0, age: float = 0.0) -> SyncRecord:
    return SyncRecord(info, state, incarnation, age)


def _told(solo: Solo) -> list[Update]:
    """What a round of gossip would tell now."""
    solo.sent()
    solo.sleep(0.3)
    return [update for packet in solo.sent(Gossip) for update in packet.updates]


# Itself


def test_a_node_knows_itself_from_the_start() -> None:
    solo = Solo()
    assert solo.states() == {"me": ALIVE}
    assert solo.core.local == solo.core.members()[0]
    assert (solo.core.local.id, solo.core.local.incarnation) == (ME, 0)


def test_its_name_and_tags_must_fit() -> None:
    with pytest.raises(MessageTooLargeError, match=r"tag set has 517 bytes, the limit is 512 \(max_tag_bytes\)"):
        Solo(info=info_of(OWN, x="y" * 512))
    with pytest.raises(MessageTooLargeError, match=r"own record has .* \(max_datagram\)"):
        Solo(info=info_of(OWN, x="y" * 600), max_tag_bytes=1000, max_datagram=600)


def test_its_first_word_is_that_it_is_alive() -> None:
    solo = Solo()
    solo.meet(1)
    assert Alive(solo.info, 0) in _told(solo)


# Joining


def test_a_member_that_is_heard_of_joins_and_is_passed_on() -> None:
    solo = Solo()
    solo.now = 5.0
    solo.hear(Alive(info_of(1, role="worker"), 3))
    member = solo.member(1)
    assert (member.name, member.address, member.state, member.incarnation) == ("n1", address_of(1), ALIVE, 3)
    assert (member.tags, member.since) == ({"role": "worker"}, 5.0)
    assert solo.events() == [MemberJoined(member)]
    assert Alive(info_of(1, role="worker"), 3) in _told(solo)


def test_the_same_news_again_changes_nothing_and_goes_no_further() -> None:
    solo = _solo(1)
    before = solo.core.members()
    solo.hear(Alive(info_of(1, role="forged"), 0))
    assert solo.core.members() is before
    assert solo.events() == []
    assert _told(solo) == []
    assert solo.dropped[Drop.STALE] == 1


def test_the_table_is_bounded_and_says_so() -> None:
    solo = Solo(max_members=3)
    solo.meet(1, 2, 3, 4)
    assert set(solo.states()) == {"me", "n1", "n2"}
    assert solo.dropped[Drop.TABLE_FULL] == 2
    assert Alive(info_of(3), 0) not in _told(solo)


def test_a_full_table_still_takes_a_newer_run_of_a_member() -> None:
    solo = Solo(max_members=3)
    solo.meet(1, 2)
    solo.hear(Alive(info_of(11, "n1"), 0))
    assert solo.core.member_named("n1") == solo.member(11)
    solo.sync_from(STRANGER, _record(info_of(12, "n2"), LEFT))
    assert solo.states()["n2"] is LEFT
    assert Drop.TABLE_FULL not in solo.dropped


def test_an_id_under_another_name_is_forged() -> None:
    solo = _solo(1)
    solo.hear(Alive(info_of(1, "other"), 5))
    for state in MemberState:
        solo.sync_from(STRANGER, _record(info_of(1, "other"), state, 9))
    assert solo.states() == {"me": ALIVE, "n1": ALIVE}
    assert solo.dropped[Drop.MISMATCHED_RUN] == 5


def test_a_member_under_our_name_is_forged() -> None:
    solo = Solo(50)
    solo.meet(60)
    solo.sync_from(node_id(60))
    solo.hear(Alive(info_of(60, "me"), 5))
    solo.sync_from(STRANGER, _record(info_of(60, "me"), DEAD, 5))
    assert solo.states() == {"me": ALIVE, "n60": ALIVE}
    assert solo.core.local.id == node_id(50)
    assert solo.dropped[Drop.MISMATCHED_RUN] == 2


# Tags


def test_the_owner_publishes_tags_with_a_higher_incarnation() -> None:
    solo = _solo(1)
    solo.core.set_tags({"role": "worker"}, solo.now)
    local = solo.core.local
    assert (local.tags, local.incarnation) == ({"role": "worker"}, 1)
    assert _told(solo) == [Alive(replace(solo.info, tags=Tags(role="worker")), 1)] * 2
    assert solo.events() == [MemberUpdated(local, Tags())]


def test_tags_that_are_published_already_change_nothing() -> None:
    solo = Solo(info=info_of(OWN, role="worker"))
    before = solo.core.members()
    solo.core.set_tags({"role": "worker"}, 0.0)
    assert solo.core.members() == before


def test_tags_that_are_too_large_change_nothing() -> None:
    solo = _solo()
    before = solo.core.members()
    with pytest.raises(MessageTooLargeError, match="tag set"):
        solo.core.set_tags({"x": "y" * 512}, 0.0)
    assert solo.core.members() is before
    assert solo.core.local.tags == {}


def test_tags_of_others_follow_their_owners_word() -> None:
    solo = _solo(1)
    solo.hear(Alive(info_of(1, role="worker"), 1))
    assert solo.events() == [MemberUpdated(solo.member(1), Tags())]
    assert solo.member(1).tags == {"role": "worker"}
    assert _told(solo)[0] == Alive(info_of(1, role="worker"), 1)
    solo.hear(Alive(info_of(1, role="old"), 0))
    assert solo.member(1).tags == {"role": "worker"}


def test_nobody_else_changes_our_tags() -> None:
    solo = _solo(1)
    solo.hear(Alive(info_of(OWN, "me", role="forged"), 7))
    assert solo.core.local.tags == {}
    assert solo.core.local.incarnation == 0


# Suspicion


def test_a_reported_suspicion_is_held_and_passed_on_with_its_evidence() -> None:
    solo = _solo(1, 2, 3)
    solo.hear(Suspect(PEER, 0, A))
    assert solo.state(1) is SUSPECT
    assert solo.member(1).since == solo.now
    evidence = Evidence(
        VerdictReason.REPORTED,
        accusations=(Accusation("n2", at=solo.now),),
        suspicion=SuspicionTime(
            started=solo.now,
            lasted=0.0,
            timeout=LONGEST,
            least=LEAST,
            longest=LONGEST,
            members=4,
            confirmations=0,
            confirmations_wanted=2,
        ),
    )
    assert solo.events() == [MemberSuspected(solo.member(1), evidence)]
    assert _told(solo)[0] == Suspect(PEER, 0, A)


def test_an_accuser_that_is_unknown_here_is_named_by_its_id() -> None:
    solo = _solo(1)
    solo.hear(Suspect(PEER, 0, STRANGER))
    [event] = solo.events(MemberSuspected)
    assert event.evidence.accusers == (str(STRANGER),)


def test_a_suspicion_expires_into_death() -> None:
    solo = _solo(1, 2, 3)
    solo.hear(Suspect(PEER, 0, A))
    started = solo.now
    solo.sleep_until(started + LONGEST - 0.001)
    assert solo.state(1) is SUSPECT
    solo.quiet()
    solo.sleep(0.002)
    assert solo.state(1) is DEAD
    [failed] = solo.events(MemberFailed)
    assert failed.member == solo.member(1)
    assert failed.evidence.reason is VerdictReason.SUSPICION_EXPIRED
    assert failed.evidence.accusers == ("n2",)
    assert failed.evidence.declared_by == "me"
    assert failed.evidence.suspicion.lasted == pytest.approx(LONGEST)
    assert _told(solo)[0] == Dead(PEER, 0, ME)
    assert (solo.core.stats.suspicions, solo.core.stats.deaths) == (1, 1)


def test_confirmations_shorten_a_suspicion_and_are_passed_on() -> None:
    solo = _solo(1, 2, 3)
    started = solo.now
    solo.hear(Suspect(PEER, 0, A))
    _told(solo)
    solo.hear(Suspect(PEER, 0, B))
    told = _told(solo)[0]
    assert isinstance(told, Suspect)
    assert (told.id, told.accuser) == (PEER, B)
    deadline = LONGEST - (LONGEST - LEAST) * log(2) / log(3)
    solo.sleep_until(started + deadline - 0.001)
    assert solo.state(1) is SUSPECT
    solo.sleep(0.002)
    [failed] = solo.events(MemberFailed)
    assert failed.evidence.accusers == ("n2", "n3")


def test_a_confirmation_after_the_shortened_time_kills_at_once() -> None:
    solo = _solo(1, 2, 3)
    solo.hear(Suspect(PEER, 0, A), Suspect(PEER, 0, B))
    solo.sleep(10.0)
    assert solo.state(1) is SUSPECT
    solo.hear(Suspect(PEER, 0, C))
    solo.sleep(0.0)
    assert solo.state(1) is DEAD


@pytest.mark.parametrize("accuser", [A, B])
def test_who_accused_before_does_not_confirm(accuser: NodeId) -> None:
    solo = _solo(1, 2, 3)
    solo.hear(Suspect(PEER, 0, A), Suspect(PEER, 0, B))
    deadline = solo.core.next_deadline()
    solo.sleep(1.0)
    solo.quiet()
    solo.hear(Suspect(PEER, 0, accuser))
    assert solo.dropped[Drop.STALE] == 1
    assert solo.events() == []
    assert deadline is not None
    solo.sleep(LONGEST - (LONGEST - LEAST) * log(2) / log(3) - 1.0 - 0.001)
    assert solo.state(1) is SUSPECT


def test_confirmations_beyond_those_wanted_are_not_passed_on() -> None:
    solo = _solo(1, 2, 3)
    solo.hear(*(Suspect(PEER, 0, accuser) for accuser in (A, B, C)))
    _told(solo)
    solo.hear(Suspect(PEER, 0, STRANGER))
    assert Suspect(PEER, 0, STRANGER) not in _told(solo)


def test_a_higher_incarnation_refutes_a_suspicion() -> None:
    solo = _solo(1, 2, 3)
    solo.hear(Suspect(PEER, 0, A))
    solo.quiet()
    solo.hear(Alive(info_of(1), 1))
    assert solo.events() == [MemberRecovered(solo.member(1))]
    assert _told(solo)[0] == Alive(info_of(1), 1)
    solo.sleep(2 * LONGEST)
    assert solo.state(1) is ALIVE


def test_an_equal_incarnation_does_not_refute() -> None:
    solo = _solo(1, 2, 3)
    solo.hear(Suspect(PEER, 0, A), Alive(info_of(1), 0))
    assert solo.state(1) is SUSPECT


def test_an_old_suspicion_changes_nothing() -> None:
    solo = _solo(1)
    solo.hear(Alive(info_of(1), 2))
    solo.quiet()
    solo.hear(Suspect(PEER, 1, A))
    assert solo.state(1) is ALIVE
    assert solo.dropped[Drop.STALE] == 1


def test_a_suspicion_at_a_higher_incarnation_begins_anew_and_tells_of_the_refutation_in_between() -> None:
    solo = _solo(1, 2, 3)
    solo.hear(Suspect(PEER, 0, A))
    solo.sleep(20.0)
    solo.quiet()
    solo.hear(Suspect(PEER, 1, B))
    assert [type(event) for event in solo.events()] == [MemberRecovered, MemberSuspected]
    solo.sleep(20.0)
    assert solo.state(1) is SUSPECT
    solo.sleep(5.0)
    assert solo.state(1) is DEAD


def test_our_own_failed_probe_confirms_and_is_kept_as_evidence() -> None:
    solo = _solo(1)
    solo.start()
    solo.hear(Suspect(PEER, 0, STRANGER))
    solo.sleep(LEAST + 1.0)
    [failed] = solo.events(MemberFailed)
    assert failed.evidence.probes != ()


def test_the_refutation_of_tags_tells_both() -> None:
    solo = _solo(1)
    solo.hear(Suspect(PEER, 0, A))
    solo.quiet()
    solo.hear(Alive(info_of(1, role="worker"), 1))
    assert [type(event) for event in solo.events()] == [MemberRecovered, MemberUpdated]


def test_news_of_unknown_members_is_ignored() -> None:
    solo = Solo()
    solo.hear(Suspect(PEER, 0, A), Dead(PEER, 0, A), Left(PEER, 0))
    assert solo.states() == {"me": ALIVE}
    assert solo.dropped == {Drop.UNKNOWN_MEMBER: 3}


def test_a_stall_of_our_own_is_no_verdict() -> None:
    solo = _solo(1, 2, 3)
    solo.hear(Suspect(PEER, 0, A))
    solo.stall(LONGEST + 0.6)
    assert solo.state(1) is SUSPECT
    solo.hear(Alive(info_of(1), 1))
    solo.sleep(NEVER)
    assert solo.state(1) is ALIVE


def test_a_stall_of_our_own_delays_a_verdict_by_one_probe_interval() -> None:
    solo = _solo(1, 2, 3)
    solo.hear(Suspect(PEER, 0, A))
    solo.stall(LONGEST + 0.6)
    solo.sleep(0.999)
    assert solo.state(1) is SUSPECT
    solo.sleep(0.002)
    assert solo.state(1) is DEAD


@pytest.mark.parametrize(("late", "forgive"), [(0.4, True), (0.6, False)])
def test_a_little_lateness_is_no_stall_and_forgiving_can_be_switched_off(late: float, forgive: bool) -> None:
    solo = _solo(1, 2, 3, forgive_stalls=forgive)
    solo.hear(Suspect(PEER, 0, A))
    solo.stall(LONGEST + late)
    assert solo.state(1) is DEAD


# Death


def test_a_reported_death_is_held_and_passed_on() -> None:
    solo = _solo(1, 2)
    solo.hear(Dead(PEER, 0, A))
    evidence = Evidence(VerdictReason.REPORTED, declared_by="n2")
    assert solo.events() == [MemberFailed(solo.member(1), evidence)]
    assert _told(solo)[0] == Dead(PEER, 0, A)
    solo.hear(Dead(PEER, 0, B))
    assert solo.events() == []
    assert solo.dropped[Drop.STALE] == 1


def test_a_death_ends_a_suspicion() -> None:
    solo = _solo(1, 2, 3)
    solo.hear(Suspect(PEER, 0, A), Dead(PEER, 0, A), Alive(info_of(1), 1))
    solo.sleep(2 * LONGEST)
    assert solo.state(1) is ALIVE


def test_a_suspicion_does_not_outlive_the_death() -> None:
    solo = _solo(1, 2, 3)
    solo.hear(Suspect(PEER, 0, A), Dead(PEER, 0, A))
    solo.sleep(10.0)
    solo.quiet()
    solo.sleep(2 * LONGEST)
    assert solo.events() == []
    assert solo.news() == []


def test_a_death_of_an_older_incarnation_is_old_news() -> None:
    solo = _solo(1)
    solo.hear(Alive(info_of(1), 2), Dead(PEER, 1, A))
    assert solo.state(1) is ALIVE


def test_the_dead_that_refute_join_anew() -> None:
    solo = _solo(1)
    solo.hear(Dead(PEER, 0, A))
    solo.quiet()
    solo.hear(Alive(info_of(1), 1))
    assert solo.events() == [MemberJoined(solo.member(1))]
    assert _told(solo)[0] == Alive(info_of(1), 1)


def test_the_dead_that_refuted_and_are_suspected_again_join_as_suspects() -> None:
    solo = _solo(1)
    solo.hear(Dead(PEER, 0, A))
    solo.quiet()
    solo.hear(Suspect(PEER, 1, A))
    assert [type(event) for event in solo.events()] == [MemberJoined, MemberSuspected]
    solo.hear(Alive(info_of(1), 2))
    assert solo.state(1) is ALIVE


def test_the_dead_stay_dead_at_their_incarnation() -> None:
    solo = _solo(1)
    solo.hear(Dead(PEER, 3, A), Alive(info_of(1), 3), Suspect(PEER, 3, A), Dead(PEER, 3, B))
    assert solo.state(1) is DEAD
    assert solo.dropped[Drop.STALE] == 3


def test_whoever_is_held_dead_and_talks_to_us_is_told_so() -> None:
    solo = _solo(1)
    solo.hear(Dead(PEER, 0, A))
    solo.sleep(NEVER / 1000)
    solo.quiet()
    solo.receive(Ping(7, 0, PEER, ME), source=address_of(1))
    [packet] = solo.sent(Ack)
    assert packet.updates[0] == Dead(PEER, 0, ME)


@pytest.mark.parametrize("buddy", [True, False])
def test_whoever_is_suspected_and_talks_to_us_is_told_so_first_of_all(buddy: bool) -> None:
    solo = _solo(1, 2, 3, buddy=buddy)
    solo.hear(Suspect(PEER, 0, A))
    solo.sleep(5.0)
    solo.quiet()
    solo.receive(Ping(7, 0, PEER, ME), source=address_of(1))
    [packet] = solo.sent(Ack)
    assert packet.updates == ((Suspect(PEER, 0, A),) if buddy else ())


def test_whoever_said_goodbye_is_told_nothing() -> None:
    solo = _solo(1, 2)
    solo.hear(Left(PEER, 0))
    solo.sleep(10.0)
    solo.quiet()
    solo.receive(Ping(7, 0, PEER, ME), source=address_of(1))
    assert [packet.updates for packet in solo.sent(Ack)] == [()]


# Goodbyes


def test_a_goodbye_is_held_and_passed_on() -> None:
    solo = _solo(1, 2)
    solo.hear(Left(PEER, 0))
    assert solo.events() == [MemberLeft(solo.member(1))]
    assert solo.state(1) is LEFT
    assert _told(solo)[0] == Left(PEER, 0)


def test_a_goodbye_beats_a_suspicion_and_a_death_of_the_same_incarnation() -> None:
    solo = _solo(1, 2, 3)
    solo.hear(Suspect(PEER, 0, A), Left(PEER, 0))
    solo.sleep(2 * LONGEST)
    assert solo.state(1) is LEFT
    assert [type(event) for event in solo.events()] == [MemberSuspected, MemberLeft]
    solo.hear(Dead(A, 0, B))
    solo.quiet()
    solo.hear(Left(A, 0))
    assert solo.state(2) is LEFT
    assert solo.events() == []


def test_a_goodbye_is_final() -> None:
    solo = _solo(1)
    solo.hear(Left(PEER, 0), Alive(info_of(1), 5), Suspect(PEER, 5, A), Dead(PEER, 5, A), Left(PEER, 5))
    assert solo.state(1) is LEFT
    assert solo.member(1).incarnation == 0


def test_whoever_said_goodbye_comes_back_as_a_new_run() -> None:
    solo = _solo(1)
    solo.hear(Left(PEER, 0))
    solo.quiet()
    solo.hear(Alive(info_of(11, "n1"), 0))
    assert solo.events() == [MemberJoined(solo.member(11))]
    assert solo.state(1) is None


# Runs


def test_a_newer_run_replaces_the_old_one_of_its_name() -> None:
    solo = _solo(1)
    old = solo.member(1)
    solo.hear(Alive(info_of(11, "n1", at=address_of(1)), 0))
    failed, joined = solo.events()
    assert failed == MemberFailed(replace(old, state=DEAD, since=solo.now), Evidence(VerdictReason.REPLACED))
    assert joined == MemberJoined(solo.member(11))
    assert solo.state(1) is None
    assert Dead(PEER, 0, ME) not in _told(solo)


def test_an_older_run_does_not_come_back_over_a_newer_one() -> None:
    solo = _solo(1)
    solo.hear(Alive(info_of(11, "n1"), 0))
    solo.quiet()
    solo.hear(Alive(info_of(1), 99))
    assert solo.states() == {"me": ALIVE, "n1": ALIVE}
    assert solo.core.member_named("n1") == solo.member(11)
    assert solo.events() == []
    assert solo.dropped[Drop.OLD_RUN] == 1


def test_an_older_run_does_not_come_back_over_the_tombstone_of_a_newer_one() -> None:
    solo = _solo(11)
    solo.hear(Dead(node_id(11), 0, A))
    solo.hear(Alive(info_of(1, "n11"), 0))
    assert solo.state(1) is None
    assert solo.state(11) is DEAD


def test_a_name_that_moves_from_a_run_that_seems_well_is_a_conflict() -> None:
    solo = _solo(1)
    loser = solo.member(1)
    solo.hear(Alive(info_of(11, "n1", role="worker"), 4))
    assert solo.events(NameConflict) == [NameConflict(winner=solo.member(11), loser=loser)]
    assert solo.member(11).incarnation == 4


@pytest.mark.parametrize("accusation", [Suspect(PEER, 0, A), Dead(PEER, 0, A), Left(PEER, 0)])
def test_a_name_that_moves_from_a_run_that_seems_unwell_is_none(accusation: Update) -> None:
    solo = _solo(1, 2)
    solo.hear(accusation)
    solo.hear(Alive(info_of(11, "n1"), 0))
    assert solo.events(NameConflict) == []
    assert solo.state(11) is ALIVE


def test_a_name_whose_newer_run_is_gone_already_is_none() -> None:
    solo = _solo(1)
    solo.sync_from(A, _record(info_of(11, "n1"), LEFT))
    assert [type(event) for event in solo.events((MemberFailed, NameConflict))] == [MemberFailed]
    assert solo.state(11) is LEFT


def test_a_newer_member_at_an_address_ends_the_older_one_there() -> None:
    solo = _solo(1)
    solo.hear(Alive(info_of(2, at=address_of(1)), 0))
    [failed] = solo.events(MemberFailed)
    assert (failed.member.name, failed.evidence.reason) == ("n1", VerdictReason.REPLACED)
    assert solo.states() == {"me": ALIVE, "n1": DEAD, "n2": ALIVE}


def test_an_older_member_does_not_take_the_address_of_a_newer_one() -> None:
    solo = _solo(2)
    solo.hear(Alive(info_of(1, at=address_of(2)), 0))
    assert solo.states() == {"me": ALIVE, "n2": ALIVE}
    assert solo.dropped[Drop.OLD_RUN] == 1


@pytest.mark.parametrize("number", [1, 300])
def test_nobody_takes_our_own_address(number: int) -> None:
    solo = _solo()
    solo.hear(Alive(info_of(number, at=address_of(OWN)), 0))
    assert solo.states() == {"me": ALIVE}
    assert solo.dropped[Drop.OLD_RUN] == 1


def test_a_member_that_moves_takes_its_new_address_only_from_an_older_one() -> None:
    solo = _solo(1, 2, 3)
    solo.hear(Alive(info_of(2, at=address_of(3)), 1))
    assert solo.member(2).address == address_of(2)
    solo.hear(Alive(info_of(2, at=address_of(1)), 1))
    assert solo.member(2).address == address_of(1)
    assert solo.states() == {"me": ALIVE, "n1": DEAD, "n2": ALIVE, "n3": ALIVE}


def test_news_of_an_old_run_ends_nobody_at_its_address() -> None:
    solo = _solo(1)
    solo.hear(Alive(info_of(12, "moved"), 0))
    solo.hear(Alive(info_of(11, "moved", at=address_of(1)), 0))
    assert solo.states() == {"me": ALIVE, "n1": ALIVE, "moved": ALIVE}
    assert solo.member(12).address == address_of(12)


def test_a_suspicion_does_not_bring_the_dead_back_to_an_address_that_a_newer_member_holds() -> None:
    solo = _solo(1)
    solo.hear(Alive(info_of(2, at=address_of(1)), 0))
    solo.hear(Suspect(PEER, 1, B))
    assert solo.states() == {"me": ALIVE, "n1": DEAD, "n2": ALIVE}
    assert solo.dropped[Drop.OLD_RUN] == 1


@pytest.mark.parametrize("word", [Alive(info_of(20, at=address_of(10)), 1), Suspect(node_id(20), 1, A)])
def test_the_dead_that_come_back_are_not_forgotten_for_the_run_whose_address_they_take(word: Update) -> None:
    solo = _solo(max_tombstones=16)
    solo.hear(Alive(info_of(20, at=address_of(10)), 0), Dead(node_id(20), 0, A))
    for number in range(300, 315):
        solo.hear(Alive(info_of(number), 0), Dead(node_id(number), 0, A))
    solo.meet(10)
    solo.hear(word)
    assert (solo.state(10), solo.member(20).state.is_present) == (DEAD, True)
    assert len(solo.core.members()) == 18


# Ourselves, as others see us


@pytest.mark.parametrize("accusation", [Suspect, Dead])
@pytest.mark.parametrize("incarnation", [0, 5])
def test_we_refute_by_outbidding_the_accused_incarnation(
    accusation: type[Suspect] | type[Dead], incarnation: int
) -> None:
    solo = _solo(1)
    solo.hear(accusation(ME, incarnation, PEER))
    assert solo.core.local.incarnation == incarnation + 1
    assert solo.core.local.state is ALIVE
    assert _told(solo)[0] == Alive(solo.info, incarnation + 1)
    assert solo.core.stats.refutations == 1
    assert solo.core.health.reasons[HealthReason.SUSPECTED] == 1
    assert solo.events() == []


def test_a_ping_that_tells_of_a_suspicion_gets_an_ack_that_refutes_it() -> None:
    solo = _solo(1)
    solo.receive(Ping(7, 0, PEER, ME), Suspect(ME, 0, PEER), source=address_of(1))
    [packet] = solo.sent(Ack)
    assert packet.updates == (Alive(solo.info, 1),)


def test_an_accusation_that_missed_our_last_word_hears_it_again_once_at_a_time() -> None:
    solo = _solo(1)
    solo.hear(Suspect(ME, 3, PEER))
    solo.sleep(10.0)
    solo.quiet()
    for _ in range(100):
        solo.hear(Suspect(ME, 3, PEER))
    assert solo.core.local.incarnation == 4
    assert solo.core.stats.refutations == 1
    solo.sleep(10.0)
    assert 0 < solo.news().count(Alive(solo.info, 4)) < 10


def test_a_goodbye_that_we_did_not_say_makes_us_a_new_run() -> None:
    solo = Solo()
    solo.meet(1)
    solo.sync_from(PEER)
    solo.hear(Left(ME, 0))
    local = solo.core.local
    assert local.id > ME
    assert (local.name, local.address, local.state, local.incarnation) == ("me", solo.info.address, ALIVE, 0)
    assert solo.states() == {"me": ALIVE, "n1": ALIVE}
    told = _told(solo)
    assert told[0] == Alive(replace(solo.info, id=local.id), 0)
    assert Alive(solo.info, 0) not in told
    assert solo.core.stats.renewals == 1


def test_a_goodbye_that_a_peer_remembers_of_us_makes_us_a_new_run() -> None:
    solo = _settled(1)
    solo.sync_from(A, _record(solo.info, LEFT))
    assert solo.core.local.id > ME


def test_a_death_that_a_peer_remembers_of_us_is_refuted() -> None:
    solo = _settled(1)
    solo.sync_from(A, _record(solo.info, DEAD, 2))
    assert (solo.core.local.id, solo.core.local.incarnation) == (ME, 3)
    solo.sync_from(A, _record(solo.info, SUSPECT, 3))
    assert (solo.core.local.id, solo.core.local.incarnation) == (ME, 4)


def test_an_incarnation_forged_to_the_maximum_makes_us_a_new_run() -> None:
    solo = _settled(1)
    solo.hear(Suspect(ME, MAX_INCARNATION - 1, A))
    assert (solo.core.local.id, solo.core.local.incarnation) == (ME, MAX_INCARNATION)
    solo.hear(Suspect(ME, MAX_INCARNATION, A))
    assert solo.core.local.id > ME
    assert solo.core.local.incarnation == 0


def test_tags_at_the_maximal_incarnation_are_published_by_a_new_run() -> None:
    solo = _settled(1)
    solo.hear(Suspect(ME, MAX_INCARNATION - 1, A))
    solo.core.set_tags({"role": "worker"}, solo.now)
    local = solo.core.local
    assert (local.id > ME, local.incarnation, local.tags) == (True, 0, {"role": "worker"})


def test_a_joiner_that_hears_of_a_newer_run_of_its_name_mints_a_higher_id() -> None:
    solo = Solo(50)
    solo.hear(Alive(info_of(70, "me"), 9))
    assert solo.core.local.id > node_id(70)
    assert not solo.core.is_superseded
    assert solo.states() == {"me": ALIVE}
    assert solo.events() == []
    solo.meet(1)
    assert Alive(replace(solo.info, id=solo.core.local.id), 0) in _told(solo)


def test_a_joiner_is_told_of_its_past_in_its_first_state_sync() -> None:
    solo = Solo(50)
    solo.start()
    solo.join(address_of(1))
    [exchange] = solo.streams()
    solo.reply(
        exchange,
        SyncResponse(0, 0, PEER, False, [], [], rows(_record(info_of(1), ALIVE), _record(info_of(70, "me"), ALIVE, 3))),
    )
    assert solo.core.local.id > node_id(70)
    assert not solo.core.is_superseded


def test_a_settled_node_yields_its_name_to_a_newer_run() -> None:
    solo = _settled(1)
    loser = solo.core.local
    solo.hear(Alive(info_of(200, "me"), 3))
    winner = solo.member(200)
    assert solo.core.is_superseded
    assert solo.events() == [NameConflict(winner, loser), MemberJoined(winner)]
    assert solo.core.member_named("me") == winner
    assert (solo.core.local.id, solo.core.local.state) == (ME, ALIVE)
    assert solo.states() == {"me": ALIVE, "n1": ALIVE}
    assert Alive(info_of(200, "me"), 3) in _told(solo)


def test_a_node_without_its_name_does_not_fight_for_it() -> None:
    solo = _settled(1)
    solo.hear(Alive(info_of(200, "me"), 3))
    solo.sleep(10.0)
    solo.quiet()
    solo.hear(Suspect(ME, 0, PEER), Dead(ME, 7, PEER), Left(ME, 7), Alive(info_of(OWN, "me"), 9))
    for state in MemberState:
        solo.sync_from(PEER, _record(solo.info, state, 9))
    assert solo.core.is_superseded
    assert solo.core.local.id == ME
    assert solo.states() == {"me": ALIVE, "n1": ALIVE}
    assert _told(solo) == []


def test_a_node_without_its_name_is_no_tombstone_of_its_own() -> None:
    solo = Solo(tombstone_life=60.0)
    solo.meet(1)
    solo.sync_from(PEER)
    solo.hear(Alive(info_of(200, "me"), 3), Dead(node_id(200), 3, PEER))
    solo.sleep(100.0)
    solo.sync_from(PEER, _record(solo.info, DEAD, 9))
    assert solo.core.local.state is ALIVE
    assert solo.states() == {"n1": ALIVE}


def test_a_newer_run_at_our_own_address_is_our_own_past() -> None:
    solo = _settled(1)
    solo.hear(Alive(info_of(200, "me", at=solo.info.address), 3))
    assert not solo.core.is_superseded
    assert solo.core.local.id > node_id(200)


@pytest.mark.parametrize("state", [DEAD, LEFT])
def test_a_newer_run_of_our_name_that_is_gone_is_outbid(state: MemberState) -> None:
    solo = _settled(1)
    solo.sync_from(A, _record(info_of(200, "me"), state))
    assert not solo.core.is_superseded
    assert solo.core.local.id > node_id(200)


def test_an_older_run_of_our_name_hears_our_next_word() -> None:
    solo = _settled(1)
    solo.hear(Alive(info_of(50, "me"), 9))
    assert solo.states() == {"me": ALIVE, "n1": ALIVE}
    assert solo.core.local.id == ME
    assert solo.dropped[Drop.OLD_RUN] == 1
    assert Alive(solo.info, 0) in _told(solo)


@pytest.mark.parametrize(("holder", "yields"), [(1, True), (300, False)])
def test_a_newer_run_of_our_name_takes_its_address_from_an_older_member_only(holder: int, yields: bool) -> None:
    solo = _settled(holder)
    solo.hear(Alive(info_of(200, "me", at=address_of(holder)), 0))
    assert solo.core.is_superseded is yields
    assert solo.states() == {"me": ALIVE, f"n{holder}": DEAD if yields else ALIVE}


# State syncs


def test_a_member_that_a_peer_holds_dead_is_only_suspected_here() -> None:
    solo = _solo(1, 2, 3)
    solo.sync_from(A, _record(info_of(1), DEAD))
    [event] = solo.events(MemberSuspected)
    assert event.evidence.accusers == ("me",)
    assert solo.state(1) is SUSPECT


def test_a_suspicion_that_a_peer_holds_is_left_to_gossip() -> None:
    solo = _solo(1, 2, 3)
    solo.sync_from(A, _record(info_of(1), SUSPECT))
    assert solo.state(1) is ALIVE


def test_peers_that_hold_a_member_dead_are_no_independent_accusers() -> None:
    solo = _solo(1, 2, 3)
    started = solo.now
    for peer in (A, B, C):
        solo.sync_from(peer, _record(info_of(1), DEAD))
    solo.sleep_until(started + LONGEST - 0.001)
    assert solo.state(1) is SUSPECT
    solo.sleep(0.002)
    assert solo.state(1) is DEAD


def test_a_suspicion_of_ourselves_that_a_peer_holds_is_refuted() -> None:
    solo = _solo(1)
    solo.sync_from(PEER, SyncRecord(solo.info, SUSPECT, 0, 0.0))
    assert solo.core.local.incarnation == 1


def test_a_goodbye_that_a_peer_remembers_is_taken_over() -> None:
    solo = _solo(1)
    solo.sync_from(A, _record(info_of(1), LEFT))
    assert solo.state(1) is LEFT
    assert len(solo.events(MemberLeft)) == 1


def test_a_later_death_of_the_dead_is_taken_over() -> None:
    solo = _settled(1)
    solo.hear(Dead(PEER, 0, A))
    solo.quiet()
    solo.sync_from(A, _record(info_of(1), DEAD, 4))
    assert (solo.state(1), solo.member(1).incarnation) == (DEAD, 4)
    assert solo.events() == []


@pytest.mark.parametrize("state", [DEAD, LEFT])
def test_the_tombstone_of_an_unknown_member_is_remembered_without_an_event(state: MemberState) -> None:
    solo = _solo()
    solo.now = 1000.0
    solo.sync_from(A, _record(info_of(1), state, 3, age=100.0))
    assert solo.events((MemberJoined, MemberFailed, MemberLeft)) == []
    assert (solo.state(1), solo.member(1).incarnation, solo.member(1).since) == (state, 3, 900.0)
    solo.hear(Alive(info_of(1), 3))
    assert solo.state(1) is state


def test_the_tombstone_of_an_older_run_does_not_touch_the_newer() -> None:
    solo = _solo(11)
    solo.sync_from(A, _record(info_of(1, "n11"), DEAD))
    assert solo.states() == {"me": ALIVE, "n11": ALIVE}


def test_records_carry_the_age_of_their_state() -> None:
    solo = _solo(1)
    solo.hear(Dead(PEER, 0, A))
    solo.sleep(50.0)
    reply = solo.ask(SyncRequest(0, 0, A, False, EVERYTHING, rows()))
    assert isinstance(reply, SyncResponse)
    [age] = [record.age for record in records_of(reply.rows) if record.info.id == PEER]
    assert age == 50.0


# Evidence of our own probes, broadcasts and other news


def test_a_broadcast_arrives_once_and_is_passed_on() -> None:
    solo = _solo(1)
    solo.hear(UserBroadcast(A, 1, b"hi"), UserBroadcast(A, 1, b"hi"))
    solo.hear(UserBroadcast(A, 1, b"hi"))
    assert solo.events() == [BroadcastReceived(A, b"hi")]
    assert _told(solo)[0] == UserBroadcast(A, 1, b"hi")
    assert solo.dropped[Drop.REPEATED_BROADCAST] == 2


def test_our_own_broadcast_does_not_come_back_to_us() -> None:
    solo = _solo(1)
    solo.core.broadcast(b"hi", solo.now)
    [update] = {type(update): update for update in _told(solo)}.values()
    assert isinstance(update, UserBroadcast)
    assert (update.origin, update.payload) == (ME, b"hi")
    solo.hear(update)
    assert solo.events() == []


def test_broadcasts_of_one_origin_are_told_apart() -> None:
    solo = _solo(1)
    for payload in (b"a", b"b", b"a"):
        solo.core.broadcast(payload, solo.now)
    found = {(update.number, update.payload) for update in _told(solo) if isinstance(update, UserBroadcast)}
    assert sorted(payload for _, payload in found) == [b"a", b"a", b"b"]


def test_a_broadcast_that_fits_in_no_datagram_is_refused() -> None:
    solo = _solo(1, max_datagram=600)
    with pytest.raises(MessageTooLargeError, match=r"broadcast has .* the limit is 562 \(max_datagram\)"):
        solo.core.broadcast(bytes(560), solo.now)
    solo.core.broadcast(bytes(540), solo.now)
    assert any(isinstance(update, UserBroadcast) for update in _told(solo))


def test_news_that_fits_in_none_of_our_datagrams_is_held_but_does_not_block_other_news() -> None:
    solo = _solo(1, max_datagram=512)
    solo.hear(*(Alive(info_of(number, x="y" * 500), 0) for number in range(300, 320)))
    solo.hear(Alive(info_of(2), 0))
    assert solo.state(300) is ALIVE
    assert solo.dropped[Drop.OVERSIZED] == 20
    assert Alive(info_of(2), 0) in _told(solo)


def test_news_that_does_not_fit_still_supersedes_what_was_queued() -> None:
    solo = _solo(1, max_datagram=512)
    solo.hear(Suspect(PEER, 0, A), Alive(info_of(1, x="y" * 500), 1))
    assert _told(solo) == []


def test_news_of_a_member_replaces_older_news_of_it() -> None:
    solo = _solo(1, 2)
    solo.hear(Suspect(PEER, 0, A), Alive(info_of(1), 1), Dead(PEER, 1, A))
    assert set(map(str, _told(solo))) == {str(Dead(PEER, 1, A))}


def test_what_is_remembered_of_recent_deaths_is_bounded() -> None:
    solo = Solo(max_tombstones=16)
    for number in range(300, 400):
        solo.hear(Alive(info_of(number), 0), Dead(node_id(number), 0, A))
    assert len(solo.core._membership.deaths.recent) <= 16


def test_an_address_may_be_a_host_name() -> None:
    solo = Solo()
    solo.hear(Alive(info_of(1, at=Address("gpu-1.example", 7946)), 0))
    assert solo.member(1).address == Address("gpu-1.example", 7946)


# Deaths that others report


def _confirmed(number: int) -> Suspect:
    """An accusation that as many have confirmed as the suspicion time asks for."""
    return Suspect(node_id(number), 0, node_id(3), confirmers=heads_of(2, 4, 5))


def test_a_reported_death_is_believed_only_after_the_member_had_time_to_refute() -> None:
    solo = Solo(doubt_deaths=True)
    solo.meet(1, 2, 3, 4, 5)
    solo.hear(_confirmed(1), Dead(node_id(1), 0, node_id(2)))
    assert solo.state(1) is SUSPECT
    started, wait = solo.now, 0.75 * 4.0
    solo.sleep_until(started + wait - 0.001)
    assert solo.state(1) is SUSPECT
    solo.sleep(0.002)
    assert solo.state(1) is DEAD
    [failed] = solo.events(MemberFailed)
    assert (failed.evidence.reason, failed.evidence.declared_by) == (VerdictReason.REPORTED, "n2")


def test_a_death_reported_of_a_long_suspected_member_is_believed_at_once() -> None:
    solo = Solo(doubt_deaths=True)
    solo.meet(1, 2, 3, 4, 5)
    solo.hear(_confirmed(1))
    solo.sleep(3.5)
    solo.hear(Dead(node_id(1), 0, node_id(2)))
    solo.sleep(0.0)
    assert solo.state(1) is DEAD


def test_an_unwell_node_does_not_look_for_itself() -> None:
    solo = Solo(doubt_deaths=True, probe_interval=60.0, probe_timeout=0.5)
    solo.meet(1, 2, 3, 4, 5)
    solo.hear(Suspect(node_id(1), 0, node_id(3)))
    solo.core.note_lag(1.0, HealthReason.EVENT_LOOP_LAG, solo.now)
    solo.sleep_until(solo.core._membership.suspicions[node_id(1)].deadline + 0.001)
    assert solo.state(1) is DEAD


@pytest.mark.parametrize("news", [Suspect(node_id(1), 0, node_id(3)), Dead(node_id(1), 0, node_id(3))])
def test_what_few_say_is_believed_only_after_a_look_of_our_own(news: Suspect | Dead) -> None:
    solo = Solo(doubt_deaths=True, probe_interval=60.0, probe_timeout=0.5)
    solo.meet(1, 2, 3, 4, 5)
    solo.hear(news)
    suspicion = solo.core._membership.suspicions[node_id(1)]
    solo.sleep_until(suspicion.deadline - 0.001)
    solo.quiet()
    solo.sleep(0.002)
    assert solo.state(1) is SUSPECT
    assert [packet.to for packet in solo.sent(Ping)] == [address_of(1)]
    solo.sleep(60.0)
    assert solo.state(1) is DEAD


def test_a_member_refutes_a_reported_death_before_it_is_believed() -> None:
    solo = Solo(doubt_deaths=True)
    solo.meet(1, 2, 3)
    solo.hear(Dead(node_id(1), 0, node_id(2)))
    solo.hear(Alive(info_of(1), 1))
    solo.sleep(60.0)
    assert solo.state(1) is ALIVE
    assert solo.events(MemberFailed) == []


def test_a_reported_death_is_passed_on_once() -> None:
    solo = Solo(doubt_deaths=True)
    solo.meet(1, 2, 3)
    solo.quiet()
    for _ in range(3):
        solo.hear(Dead(node_id(1), 0, node_id(2)))
    solo.sleep(0.0)
    assert Dead(node_id(1), 0, node_id(2)) in solo.news()
    assert solo.dropped[Drop.STALE] == 2
