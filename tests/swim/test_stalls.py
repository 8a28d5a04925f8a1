"""Declared stalls: a member says that it will not answer, and is not held dead for it."""

import pytest

from shoal.errors import ClosedError, ConfigError
from shoal.events import MemberFailed, MemberReadinessChanged, MemberSuspected
from shoal.swim.stats import Drop
from shoal.swim.suspicion import suspicion_bounds
from shoal.types import MemberState, Readiness
from shoal.wire.messages import Alive, Dead, Gossip, Left, Ping, Stall, Suspect, Update
from tests.swim.harness import OWN, STRANGER, Net, Solo, address_of, info_of, node_id
from tests.swim.signing import identity, signed, stall, suspect

ALIVE, SUSPECT, DEAD, LEFT = MemberState
ME = node_id(OWN)
PEER = node_id(1)
A = node_id(2)
LEAST = 4.0  # of the suspicion of one of two or three members


def _solo(*numbers: int, **config: float) -> Solo:
    solo = Solo(**config)  # type: ignore[arg-type]
    solo.meet(*numbers)
    solo.sleep(10.0)
    return solo.quiet()


def _told(solo: Solo) -> list[Update]:
    solo.sent()
    solo.sleep(0.3)
    return [update for packet in solo.sent(Gossip) for update in packet.updates]


def _is_spread(solo: Solo) -> bool:
    return solo.core.stall_is_spread


# At a peer


def test_who_declared_a_stall_is_probed_but_not_accused_until_it_is_over() -> None:
    solo = _solo(1)
    solo.start()
    solo.hear(Stall(PEER, 1, 60.0))
    heard = solo.now
    assert solo.member(1).readiness is Readiness.STALLED
    solo.sleep(59.0)
    assert solo.sent(Ping)
    assert [type(event) for event in solo.events()] == [MemberReadinessChanged]
    assert solo.core.health.score == 0
    solo.sleep_until(heard + 61.0)
    assert solo.member(1).readiness is Readiness.READY
    solo.sleep(2 * LEAST)
    assert [type(event) for event in solo.events()] == [MemberReadinessChanged, MemberSuspected, MemberFailed]


@pytest.mark.parametrize("accusation", [Suspect(PEER, 0, STRANGER), Dead(PEER, 0, STRANGER)])
def test_who_accuses_a_stalled_member_is_told_what_is_left_of_its_stall(accusation: Update) -> None:
    solo = _solo(1, 2)
    solo.hear(Stall(PEER, 1, 60.0))
    solo.sleep(20.0)
    solo.quiet()
    solo.hear(accusation)
    assert (solo.state(1), solo.events()) == (ALIVE, [])
    assert solo.dropped[Drop.DECLARED_STALL] == 1
    assert Stall(PEER, 1, 40.0) in _told(solo)


def test_a_suspicion_that_outlasts_a_stall_is_told_again_and_leaves_time_to_refute() -> None:
    solo = _solo(1)
    accusation = Suspect(PEER, 0, STRANGER)
    solo.hear(accusation)
    solo.hear(Stall(PEER, 1, 60.0))
    began, least = solo.now, suspicion_bounds(solo.config, 2).least
    solo.sleep_until(began + 59.9)
    assert solo.state(1) is SUSPECT
    solo.quiet()
    solo.sleep_until(began + 60.0 + least - 0.1)
    assert solo.state(1) is SUSPECT
    assert {update.accuser for update in solo.news() if isinstance(update, Suspect)} == {STRANGER}
    solo.sleep_until(began + 60.0 + least + 0.1)
    assert solo.state(1) is DEAD


def test_a_stall_lasts_no_longer_than_its_hearer_honours() -> None:
    solo = _solo(1, max_stall=30.0)
    solo.hear(Stall(PEER, 1, 3600.0))
    solo.sleep(29.9)
    assert solo.member(1).readiness is Readiness.STALLED
    solo.sleep(0.2)
    assert solo.member(1).readiness is Readiness.READY


def test_whoever_honours_no_stalls_passes_them_on_all_the_same() -> None:
    solo = _solo(1, 2, max_stall=0.0)
    solo.hear(Stall(PEER, 1, 60.0))
    assert solo.member(1).readiness is Readiness.READY
    assert Stall(PEER, 1, 60.0) in _told(solo)


def test_a_later_declaration_takes_the_place_of_an_earlier_one_and_never_the_other_way_round() -> None:
    solo = _solo(1)
    solo.hear(Stall(PEER, 2, 0.0))
    solo.hear(Stall(PEER, 1, 60.0))
    assert solo.member(1).readiness is Readiness.READY
    assert solo.dropped[Drop.STALE] == 1
    solo.hear(Stall(PEER, 3, 60.0))
    assert solo.member(1).readiness is Readiness.STALLED
    solo.hear(Stall(PEER, 4, 0.0))
    assert solo.member(1).readiness is Readiness.READY


def test_a_stall_that_is_over_does_not_begin_again_with_an_echo() -> None:
    solo = _solo(1)
    solo.hear(Stall(PEER, 1, 5.0))
    solo.sleep(6.0)
    solo.hear(Stall(PEER, 1, 5.0))
    assert solo.member(1).readiness is Readiness.READY


def test_a_goodbye_and_a_newer_run_count_during_a_stall() -> None:
    solo = _solo(1, 2)
    solo.hear(Stall(PEER, 1, 60.0), Stall(A, 1, 60.0))
    solo.hear(Left(PEER, 0), Alive(info_of(12, "n2", at=address_of(2)), 0))
    assert (solo.state(1), solo.state(2), solo.state(12)) == (LEFT, None, ALIVE)
    assert not any(member.readiness is Readiness.STALLED for member in solo.core.members())
    assert len(solo.core._membership.stalls) == 0


def test_a_stall_of_nobody_known_is_dropped_and_so_is_a_forged_one_of_ours() -> None:
    solo = _solo(1)
    solo.hear(Stall(STRANGER, 1, 60.0), Stall(ME, 9, 60.0))
    assert (solo.dropped[Drop.UNKNOWN_MEMBER], solo.dropped[Drop.STALE]) == (1, 1)
    assert solo.core.local.readiness is Readiness.READY


def test_what_is_remembered_of_declarations_is_bounded() -> None:
    stalls = Solo().core._membership.stalls
    for number in range(10_000):
        stalls.take(Stall(node_id(number), 1, 0.0), now=0.0)
    assert len(stalls._numbers) == 4096
    assert len(stalls) == 0


# At the member itself


def test_a_declaration_is_gossiped_and_shown_and_taken_back() -> None:
    solo = _solo(1)
    solo.core.declare_stall(90.0, solo.now)
    assert [member.readiness for member in solo.core.members() if member.id == ME] == [Readiness.STALLED]
    assert not _is_spread(solo)
    assert Stall(ME, 1, 90.0) in _told(solo)
    solo.sleep(5.0)
    assert _is_spread(solo)
    solo.core.declare_stall(0.0, solo.now)
    assert solo.core.local.readiness is Readiness.READY
    assert Stall(ME, 2, 0.0) in _told(solo)


def test_with_nobody_there_a_declaration_has_spread_at_once() -> None:
    solo = Solo()
    solo.core.declare_stall(90.0, solo.now)
    assert _is_spread(solo)


def test_what_cannot_be_declared_is_refused_in_words() -> None:
    solo = _solo(1, max_stall=30.0)
    for seconds in (30.1, -1.0, float("nan")):
        with pytest.raises(ConfigError, match=r"at_most = .*max_stall"):
            solo.core.declare_stall(seconds, solo.now)
    solo.leave()
    with pytest.raises(ClosedError, match="declare a stall"):
        solo.core.declare_stall(1.0, solo.now)


# Among themselves


@pytest.mark.parametrize("is_declared", [True, False])
def test_a_freeze_of_a_minute_is_no_death_exactly_if_it_was_declared(is_declared: bool) -> None:
    net = Net(8).form()
    if is_declared:
        net[3].core.declare_stall(90.0, net.now)
        net[3].collect()
        net.sleep(2.0)
    for number in range(1, 9):
        net[number].quiet()
    net.down.add(net[3])
    net.sleep(60.0)
    deaths = [event for number in range(1, 9) if number != 3 for event in net[number].events(MemberFailed)]
    assert len(deaths) == (0 if is_declared else 7)


# Where members sign


def _signing(**config: float) -> Solo:
    solo = Solo(trust=identity(OWN), **config)  # type: ignore[arg-type]
    solo.hear(Alive(signed(1), 0), Alive(signed(2), 0))
    solo.sleep(10.0)
    return solo.quiet()


def test_a_signed_declaration_is_believed_and_handed_on_with_its_proof() -> None:
    solo = _signing()
    solo.hear(stall(1, 60.0))
    assert solo.member(1).readiness is Readiness.STALLED
    assert stall(1, 60.0) in _told(solo)


def test_an_accuser_is_told_what_is_left_with_the_proof_of_the_whole() -> None:
    solo = _signing()
    solo.hear(stall(1, 60.0))
    solo.sleep(20.0)
    solo.quiet()
    solo.hear(suspect(1, 2))
    assert stall(1, 40.0, of=60.0) in _told(solo)


def test_a_declaration_that_its_member_did_not_sign_is_dropped_and_blocks_no_true_one() -> None:
    solo = _signing()
    solo.hear(Stall(PEER, 9, 60.0), stall(1, 60.0, count=9, by=2), stall(1, 61.0, of=60.0, count=9))
    assert solo.member(1).readiness is Readiness.READY
    assert solo.dropped[Drop.UNSIGNED_STALL] == 3
    assert _told(solo) == []
    solo.hear(stall(1, 60.0))
    assert solo.member(1).readiness is Readiness.STALLED


def test_ones_own_declaration_is_signed_and_so_is_that_it_is_over() -> None:
    solo = _signing()
    solo.core.declare_stall(89.5, solo.now)
    assert stall(OWN, 90.0, of=89.5) in _told(solo)
    solo.core.declare_stall(0.0, solo.now)
    assert stall(OWN, 0.0, count=2) in _told(solo)


def test_a_signed_declaration_keeps_a_frozen_member_from_being_held_dead() -> None:
    net = Net(5, trust=identity).form(15.0)
    net[3].core.declare_stall(90.0, net.now)
    net[3].collect()
    net.sleep(2.0)
    for number in range(1, 6):
        net[number].quiet()
    net.down.add(net[3])
    net.sleep(60.0)
    assert [event for number in (1, 2, 4, 5) for event in net[number].events(MemberFailed)] == []
