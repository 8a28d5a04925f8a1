"""Members that come and go again and again are damped."""

from __future__ import annotations

from typing import Any

import pytest

from shoal.events import MemberDamped, MemberFailed, MemberJoined, MemberReinstated, MemberSuspected
from shoal.types import Member, MemberState
from shoal.wire.messages import Alive, Dead, Left, Ping, PingRequest, Suspect, SyncRecord
from tests.swim.harness import OWN, Solo, info_of, node_id

SICK = 1


def observer(members: int = 6, **config: Any) -> Solo:
    """A core that knows some members, does not probe, and has the settings of memberlist with damping on."""
    solo = Solo(**{"damping": True, "damping_half_life": 60.0} | config)
    solo.meet(*range(1, members))
    return solo.quiet()


def refute(solo: Solo, number: int = SICK) -> None:
    """The member outbids whatever is held against it."""
    solo.hear(Alive(info_of(number), solo.member(number).incarnation + 1))


def suspect(solo: Solo, accuser: int, number: int = SICK) -> None:
    solo.hear(Suspect(node_id(number), solo.member(number).incarnation, node_id(accuser)))


def flap(solo: Solo, times: int, *, accusers: tuple[int, ...] = (2, 3), number: int = SICK) -> None:
    """The member is suspected by one after the other, and refutes each time."""
    for turn in range(times):
        suspect(solo, accusers[turn % len(accusers)], number)
        refute(solo, number)


def die_and_return(solo: Solo) -> None:
    suspect(solo, 2)
    suspect(solo, 3)
    solo.hear(Dead(node_id(SICK), solo.member(SICK).incarnation, node_id(2)))
    refute(solo)


def test_a_member_that_refutes_again_and_again_is_damped_until_it_is_steady() -> None:
    solo = observer()

    flap(solo, 5)
    assert not solo.member(SICK).damped
    solo.events()
    flap(solo, 1)

    assert solo.member(SICK).damped
    assert solo.member(SICK).state is MemberState.ALIVE
    assert not solo.member(SICK).is_available
    (event,) = solo.events(MemberDamped)
    assert (event.returns, event.accusers, event.penalty) == (6, ("n2", "n3"), 1.5)

    solo.sleep(94.0)  # 60 s * log2(1.5 / 0.5) is 95.1 s
    assert solo.member(SICK).damped
    solo.sleep(2.0)
    assert not solo.member(SICK).damped
    assert [event.member.name for event in solo.events(MemberReinstated)] == ["n1"]


def test_the_second_return_from_the_dead_within_the_half_life_is_one_too_many() -> None:
    solo = observer()

    die_and_return(solo)
    solo.sleep(40.0)
    solo.events()
    assert not solo.member(SICK).damped
    die_and_return(solo)

    assert solo.member(SICK).damped
    kinds = [type(event) for event in solo.events()]
    assert kinds == [MemberSuspected, MemberFailed, MemberDamped, MemberJoined]


def test_a_refuted_suspicion_that_enough_confirmed_costs_three_times_as_much() -> None:
    solo = observer(suspicion_confirmations=2)

    for _ in range(2):
        for accuser in (2, 3, 4):
            suspect(solo, accuser)
        assert not solo.member(SICK).damped
        refute(solo)

    (event,) = solo.events(MemberDamped)
    assert (event.returns, event.penalty) == (2, 1.5)


def test_returns_that_lie_far_apart_cost_nothing_for_good() -> None:
    solo = observer()

    for _ in range(5):
        die_and_return(solo)
        solo.sleep(150.0)

    assert not solo.member(SICK).damped


def test_further_returns_lengthen_the_damping_up_to_a_ceiling() -> None:
    solo = observer()
    flap(solo, 6)
    solo.sleep(90.0)
    flap(solo, 100)

    solo.sleep(154.0)  # 60 s * log2(3 / 0.5) is 155.1 s
    assert solo.member(SICK).damped
    solo.sleep(2.0)
    assert not solo.member(SICK).damped


def test_one_accuser_alone_damps_nobody() -> None:
    solo = observer()

    flap(solo, 50, accusers=(2,))

    assert not solo.member(SICK).damped


def test_accusers_that_flap_themselves_count_for_nothing() -> None:
    solo = observer()
    for bad in (2, 3):
        flap(solo, 1, accusers=(4, 5), number=bad)

    flap(solo, 50, accusers=(2, 3))

    assert not solo.member(SICK).damped


def test_a_damped_member_convicts_nobody() -> None:
    solo = observer()
    flap(solo, 6)
    solo.news()

    solo.hear(Suspect(node_id(4), 0, node_id(SICK)), Dead(node_id(5), 0, node_id(SICK)))
    solo.sync_from(node_id(SICK), SyncRecord(info_of(3), MemberState.DEAD, 0, 1.0))

    assert [solo.state(number) for number in (3, 4, 5)] == [MemberState.ALIVE] * 3
    assert solo.dropped["damped_accuser"] == 3
    assert solo.news() == [], "and what it says is passed on to nobody"


def test_whom_a_damped_member_accuses_refutes_all_the_same() -> None:
    solo = observer()
    flap(solo, 6)

    solo.hear(Suspect(node_id(OWN), 0, node_id(SICK)))

    assert solo.core.local.incarnation == 1


def test_a_damped_member_is_asked_to_relay_nothing() -> None:
    solo = observer(5, probe_interval=1.0, indirect_probes=3)
    flap(solo, 6)
    solo.start()

    solo.sleep(20.0)

    asked = {sent.to for sent in solo.sent(PingRequest)}
    assert asked
    assert info_of(SICK).address not in asked


def test_no_more_than_the_set_share_is_damped() -> None:
    solo = observer(13, damping_max_share=0.25)  # of 13 members
    for number in range(1, 6):
        flap(solo, 6, accusers=(11, 12), number=number)

    assert [number for number in range(1, 13) if solo.member(number).damped] == [1, 2, 3]
    assert solo.core.stats.dampings_capped > 0


def named(solo: Solo, name: str) -> Member:
    member = solo.core.member_named(name)
    assert member is not None
    return member


def test_a_goodbye_ends_the_damping_for_the_next_run_too() -> None:
    solo = observer()
    flap(solo, 6)

    solo.hear(Left(node_id(SICK), solo.member(SICK).incarnation))
    solo.hear(Alive(info_of(77, name="n1"), 0))

    assert not named(solo, "n1").damped
    flap(solo, 6, number=2, accusers=(3, 4))
    assert solo.member(2).damped, "nor does the old run count towards the share"


def test_a_crash_does_not_end_the_damping_for_the_next_run() -> None:
    solo = observer()
    flap(solo, 6)

    solo.hear(Alive(info_of(77, name="n1"), 0))

    assert named(solo, "n1").damped
    solo.sleep(160.0)
    assert not named(solo, "n1").damped


def crash_and_start_again(solo: Solo, run: int, *, is_found_out: bool = False) -> None:
    """Another run takes the place of n1, whose death was noticed or not."""
    if is_found_out:
        solo.hear(Dead(named(solo, "n1").id, 0, node_id(2)))
    solo.hear(Alive(info_of(200 + run, name="n1", at=info_of(SICK).address), 0))


@pytest.mark.parametrize("is_found_out", [False, True])
def test_a_process_that_crashes_in_a_loop_is_damped_until_it_stays_up(is_found_out: bool) -> None:
    solo = observer()

    for run in range(2):
        crash_and_start_again(solo, run, is_found_out=is_found_out)
        solo.sleep(5.0)
    assert not named(solo, "n1").damped
    solo.events()
    crash_and_start_again(solo, 2, is_found_out=is_found_out)

    assert named(solo, "n1").damped
    (event,) = solo.events(MemberDamped)
    assert (event.member.id, event.returns, event.accusers) == (node_id(202), 3, ())
    solo.sleep(130.0)
    assert not named(solo, "n1").damped
    assert [event.member.name for event in solo.events(MemberReinstated)] == ["n1"]


def test_one_crash_makes_nobody_a_member_with_a_bad_link() -> None:
    solo = observer()

    crash_and_start_again(solo, 0, is_found_out=True)

    assert solo.core._membership.deaths.damping.is_spotless(node_id(200), solo.now)


def test_restarts_in_good_order_cost_nothing() -> None:
    solo = observer()

    for run in range(10):
        solo.hear(Left(named(solo, "n1").id, 0))
        solo.hear(Alive(info_of(200 + run, name="n1"), 0))

    assert not named(solo, "n1").damped


def test_crashes_that_lie_far_apart_cost_nothing_for_good() -> None:
    solo = observer()

    for run in range(10):
        crash_and_start_again(solo, run, is_found_out=True)
        solo.sleep(100.0)

    assert not named(solo, "n1").damped


def test_without_damping_returns_count_for_nothing() -> None:
    solo = observer(damping=False)

    flap(solo, 100)

    assert not solo.member(SICK).damped


def test_whom_we_hold_dead_and_a_peer_does_not_hears_of_it_from_us() -> None:
    solo = observer()
    suspect(solo, 2)
    solo.hear(Dead(node_id(SICK), 0, node_id(2)))
    solo.sent()

    solo.sync_from(node_id(2), SyncRecord(info_of(SICK), MemberState.ALIVE, 0, 1.0))

    (ping,) = [sent for sent in solo.sent(Ping) if sent.to == info_of(SICK).address]
    assert Dead(node_id(SICK), 0, node_id(OWN)) in ping.updates


def test_an_accusation_that_only_we_made_and_that_is_refuted_costs_a_point_of_health() -> None:
    solo = observer(3, probe_interval=1.0, trust_contact=True)
    solo.start()
    solo.sleep_until_sent(Ping)
    for _ in range(40):
        solo.sleep(0.1)
        if solo.events(MemberSuspected):
            break
    before = solo.core.health.score
    suspects = [number for number in (1, 2) if solo.state(number) is MemberState.SUSPECT]

    refute(solo, suspects[0])

    assert solo.core.health.score == before + 1
    assert "accusation_refuted" in solo.core.health.points


def test_of_a_member_that_is_forgotten_no_returns_are_remembered() -> None:
    solo = observer(tombstone_life=5.0)
    flap(solo, 6)
    assert solo.kept("members that returned") == 1

    solo.hear(Dead(node_id(SICK), solo.member(SICK).incarnation, node_id(2)))
    solo.sleep(10.0)

    assert solo.state(SICK) is None
    assert solo.kept("members that returned") == 0
    assert solo.kept("damped members") == 0
