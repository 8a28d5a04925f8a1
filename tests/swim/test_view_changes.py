"""Changes of the view in one piece."""

from __future__ import annotations

from shoal.events import MemberJoined, ViewChanged
from shoal.types import FailureDomain
from shoal.wire.messages import Alive, Dead, Left, Suspect
from tests.swim.harness import Solo, info_of, node_id


def rack(solo: Solo, name: str, *numbers: int) -> None:
    solo.hear(*(Alive(info_of(number, zone="z", rack=name), 0) for number in numbers))


def fail(solo: Solo, *numbers: int) -> None:
    solo.hear(*(Dead(node_id(number), 0, node_id(99)) for number in numbers))


def names(members: tuple[object, ...]) -> list[str]:
    return [member.name for member in members]  # type: ignore[attr-defined]


def changes(solo: Solo) -> list[ViewChanged]:
    return solo.events(ViewChanged)


def formed() -> Solo:
    solo = Solo(view_change_delay=0.5)
    rack(solo, "a", 1, 2, 3)
    rack(solo, "b", 4, 5)
    solo.sleep(1.0)
    return solo.quiet()


def test_all_who_joined_come_in_one_piece_after_their_own_events() -> None:
    solo = Solo(view_change_delay=0.5)
    rack(solo, "a", 1, 2, 3)
    solo.sleep(0.4)
    rack(solo, "b", 4)
    assert [type(event) for event in solo.events((MemberJoined, ViewChanged))] == [MemberJoined] * 4
    solo.sleep(0.6)

    (change,) = changes(solo)
    assert names(change.joined) == ["n1", "n2", "n3", "n4"]
    assert (change.failed, change.left, change.domains) == ((), (), ())


def test_a_rack_that_fails_is_named() -> None:
    solo = formed()

    fail(solo, 1, 2)
    solo.sleep(0.3)
    fail(solo, 3, 4)
    solo.sleep(2.1)

    (change,) = changes(solo)
    assert names(change.failed) == ["n1", "n2", "n3", "n4"]
    assert change.domains == (FailureDomain("rack", "a"),), "rack b has one member left, and so has the zone"


def test_where_most_of_a_domain_failed_the_others_get_two_intervals_to_be_found() -> None:
    solo = formed()

    fail(solo, 1, 2)
    solo.sleep(1.9)
    assert changes(solo) == []
    fail(solo, 3)
    solo.sleep(0.4)
    assert changes(solo) == [], "most of the zone is gone, too"
    solo.sleep(1.7)

    (change,) = changes(solo)
    assert names(change.failed) == ["n1", "n2", "n3"]


def test_half_of_no_domain_is_waited_for_no_longer_than_any_change() -> None:
    solo = formed()

    fail(solo, 1)
    solo.sleep(0.6)

    (change,) = changes(solo)
    assert names(change.failed) == ["n1"]


def test_those_of_a_failed_domain_that_are_suspect_are_waited_for() -> None:
    solo = formed()
    solo.hear(Suspect(node_id(2), 0, node_id(99)), Suspect(node_id(5), 0, node_id(99)))

    fail(solo, 1, 3)
    solo.sleep(2.0)
    assert changes(solo) == []
    fail(solo, 2)
    solo.hear(Alive(info_of(5, zone="z", rack="b"), 1))
    solo.sleep(2.1)

    (change,) = changes(solo)
    assert names(change.failed) == ["n1", "n3", "n2"]
    assert change.domains == (FailureDomain("rack", "a"),)


def test_a_suspect_of_another_domain_or_one_that_stays_suspect_holds_up_nothing_for_long() -> None:
    solo = formed()
    rack(solo, "c", 6)
    solo.hear(Alive(info_of(7, rack="d"), 0))
    solo.sleep(1.0)
    solo.quiet()

    solo.hear(Suspect(node_id(7), 0, node_id(99)))
    fail(solo, 1)
    solo.sleep(0.6)
    assert len(changes(solo)) == 1

    solo.hear(Suspect(node_id(6), 0, node_id(99)))
    fail(solo, 2)
    solo.sleep(4.8)
    assert changes(solo) == []
    solo.sleep(0.4)
    assert len(changes(solo)) == 1


def test_the_widest_domain_comes_first() -> None:
    solo = formed()

    fail(solo, 1, 2, 3, 4, 5)
    solo.sleep(0.6)

    (change,) = changes(solo)
    assert list(map(str, change.domains)) == ["zone=z", "rack=a", "rack=b"]


def test_goodbyes_are_told_apart_from_failures() -> None:
    solo = formed()

    solo.hear(Left(node_id(1), 0))
    fail(solo, 2)
    solo.sleep(0.6)

    (change,) = changes(solo)
    assert (names(change.failed), names(change.left)) == (["n2"], ["n1"])


def test_who_went_and_came_back_did_not_change_the_view() -> None:
    solo = formed()

    fail(solo, 1)
    solo.hear(Alive(info_of(1, zone="z", rack="a"), 1))
    rack(solo, "c", 6)
    fail(solo, 6)
    solo.sleep(0.6)

    assert changes(solo) == []


def test_a_view_that_never_rests_is_told_of_every_ten_delays() -> None:
    solo = Solo(view_change_delay=0.5)
    for number in range(1, 40):
        rack(solo, "a", number)
        solo.sleep(0.3)

    first, *_ = changes(solo)
    assert 15 <= len(first.joined) <= 18


def test_a_batch_holds_no_more_changes_than_there_can_be_members() -> None:
    solo = Solo(view_change_delay=0.5, max_members=8)
    for number in range(1, 100):
        solo.hear(Alive(info_of(number, name="n1"), 0))
        assert solo.kept("changes of a batch") <= 8
    solo.sleep(1.0)

    told = [member.id for change in changes(solo) for member in change.joined]
    assert told[-1] == node_id(99)
    assert len(told) == len(set(told))
