"""Not too many members are removed at once."""

from __future__ import annotations

from typing import Any

from shoal.events import HealthReason, MemberFailed, RemovalHalted, RemovalResumed
from shoal.types import FailureDomain, MemberState
from shoal.wire.messages import Alive, Dead, Left, Suspect
from tests.swim.harness import OWN, Solo, info_of, node_id

HELPER = 50
"""Keeps saying something, so that the core does not take itself for cut off."""


def observer(members: int, **config: Any) -> Solo:
    settings = {"removal_share": 0.5, "removal_least": 3, "removal_hold": 60.0, "suspicion_floor": 2.0}
    solo = Solo(**settings | config)
    solo.meet(*range(1, members), HELPER)
    return solo.quiet()


def accuse(solo: Solo, *numbers: int) -> None:
    """So many accusers that the suspicions end soon."""
    for number in numbers:
        for accuser in (60, 61, 62, 63, 64):
            solo.hear(Suspect(node_id(number), solo.member(number).incarnation, node_id(accuser)))


def dead(solo: Solo) -> int:
    return sum(member.state is MemberState.DEAD for member in solo.core.members())


def test_removal_stops_at_the_share_and_those_held_back_stay_suspect() -> None:
    solo = observer(12)  # with the helper and ourselves 13 members

    accuse(solo, *range(1, 11))
    solo.sleep(8.0)

    assert dead(solo) == 6
    assert solo.core.counts()[MemberState.SUSPECT] == 4
    assert solo.events((RemovalHalted, MemberFailed))[-1] == RemovalHalted(removed=6, members=13)


def test_a_few_may_always_go_however_small_the_cluster_is() -> None:
    solo = observer(4)

    accuse(solo, 1, 2, 3)
    solo.sleep(8.0)

    assert dead(solo) == 3
    assert not solo.events(RemovalHalted)


def test_failures_far_apart_are_not_one() -> None:
    solo = observer(12, removal_window=5.0)

    for number in range(1, 11):
        accuse(solo, number)
        solo.sleep(4.0)
    solo.sleep(4.0)

    assert dead(solo) == 10


def test_who_stays_silent_for_the_hold_is_removed_then() -> None:
    solo = observer(12)
    accuse(solo, *range(1, 11))
    solo.sleep(50.0)
    solo.events()

    solo.sleep(20.0)

    assert dead(solo) == 10
    assert solo.events(RemovalResumed) == [RemovalResumed(removed=4, returned=0)]


def test_removal_goes_on_at_once_when_enough_came_back() -> None:
    solo = observer(12)
    accuse(solo, *range(1, 11))
    solo.sleep(8.0)
    held = [n for n in range(1, 11) if solo.state(n) is MemberState.SUSPECT]
    solo.events()

    for number in held:
        solo.hear(Alive(info_of(number), 1))

    assert solo.events(RemovalResumed) == [RemovalResumed(removed=0, returned=len(held))]
    accuse(solo, 11)
    solo.sleep(8.0)
    assert solo.state(11) is MemberState.DEAD


def test_those_who_say_goodbye_or_start_anew_are_not_held_back() -> None:
    solo = observer(12)
    accuse(solo, *range(1, 11))
    solo.sleep(8.0)
    one, other, *_ = [n for n in range(1, 11) if solo.state(n) is MemberState.SUSPECT]

    solo.hear(Left(node_id(one), 0), Alive(info_of(300, name=f"n{other}"), 0))

    assert solo.state(one) is MemberState.LEFT
    assert solo.state(300) is MemberState.ALIVE


def test_reported_deaths_pass_the_same_guard() -> None:
    for doubt in (False, True):
        solo = observer(12, doubt_deaths=doubt)

        solo.hear(*(Dead(node_id(number), 0, node_id(HELPER)) for number in range(1, 11)))
        solo.sleep(8.0)

        assert dead(solo) == 6, doubt
        assert len(solo.events(RemovalHalted)) == 1


def test_what_is_held_back_can_be_read_in_the_evidence() -> None:
    solo = observer(12)
    accuse(solo, *range(1, 11))
    solo.sleep(8.0)
    held = next(n for n in range(1, 11) if solo.state(n) is MemberState.SUSPECT)

    *_, verdict = solo.core.verdicts(node_id(held), solo.now)

    assert HealthReason.MASS_FAILURE in {withheld.reason for withheld in verdict.evidence.withheld}


def test_one_failure_domain_can_have_a_limit_of_its_own() -> None:
    solo = observer(1, removal_domain_share=0.5, removal_share=1.0, removal_least=2)
    solo.hear(*(Alive(info_of(n, rack="a" if n <= 8 else "b"), 0) for n in range(1, 21)))

    accuse(solo, *range(1, 9))
    solo.sleep(8.0)

    assert dead(solo) == 4
    assert solo.events(RemovalHalted) == [RemovalHalted(4, 8, FailureDomain("rack", "a"))]


def test_the_own_share_of_one_never_stops() -> None:
    solo = observer(12, removal_share=1.0)

    accuse(solo, *range(1, 12), HELPER)
    solo.sleep(8.0)

    assert dead(solo) == 12
    assert solo.state(OWN) is MemberState.ALIVE


def test_removals_are_counted_up_to_a_bound_where_any_number_may_go() -> None:
    solo = observer(2, removal_share=1.0, max_members=8)
    for number in range(100, 150):
        solo.hear(Alive(info_of(number, name="n1"), 0), Dead(node_id(number), 0, node_id(HELPER)))
    assert solo.kept("recent removals") == 8
