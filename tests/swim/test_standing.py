"""Who has been here for long enough, and who comes back from the dead."""

from shoal.swim.stats import Drop
from shoal.types import MemberState, NodeId
from shoal.wire.messages import Alive, Dead, Suspect
from tests.swim.harness import Solo, heads_of, info_of, node_id

PROBATION = 10.0


def _is_established(solo: Solo, id: NodeId) -> bool:
    context = solo.core._context
    return context.standing.is_established(context.table.slot_of(id), solo.now)


def test_a_member_is_established_after_ten_probe_intervals() -> None:
    solo = Solo(probe_interval=2.0)
    solo.meet(1)
    solo.sleep_until(solo.now + 2.0 * PROBATION - 0.01)
    assert not _is_established(solo, node_id(1))
    solo.sleep(0.02)
    assert _is_established(solo, node_id(1))


def test_a_break_begins_it_anew() -> None:
    solo = Solo()
    solo.meet(1)
    solo.sleep(PROBATION + 1.0)
    solo.hear(Suspect(node_id(1), 0, node_id(2)))
    assert not _is_established(solo, node_id(1))
    solo.hear(Alive(info_of(1), 1))
    assert not _is_established(solo, node_id(1))
    solo.sleep(PROBATION + 1.0)
    assert _is_established(solo, node_id(1))


def test_nobody_unknown_is_established() -> None:
    assert not _is_established(Solo(), node_id(1))


def _buried(*numbers: int) -> Solo:
    """A node that has known ten members for long, and holds some of them dead."""
    solo = Solo(doubt_deaths=True, probe_interval=60.0)
    solo.meet(*range(1, 11))
    solo.sleep(60.0 * PROBATION)
    for number in numbers:
        solo.hear(
            Suspect(node_id(number), 0, node_id(10), confirmers=heads_of(8, 9)), Dead(node_id(number), 0, node_id(10))
        )
    solo.sleep(60.0 * 4)
    assert [solo.state(number) for number in numbers] == [MemberState.DEAD] * len(numbers)
    return solo


def test_what_the_dead_say_of_others_counts_for_nothing() -> None:
    solo = _buried(1)
    solo.hear(Suspect(node_id(3), 0, node_id(1)), Dead(node_id(4), 0, node_id(1)))
    assert [solo.state(number) for number in (3, 4)] == [MemberState.ALIVE] * 2
    assert solo.dropped[Drop.ESTRANGED_ACCUSER] == 2


def test_nor_what_they_say_when_they_have_just_come_back() -> None:
    solo = _buried(1)
    solo.hear(Alive(info_of(1), 1), Suspect(node_id(3), 0, node_id(1)))
    assert solo.state(1) is MemberState.ALIVE
    assert solo.state(3) is MemberState.ALIVE
    solo.sleep(60.0 * PROBATION + 0.1)
    solo.hear(Suspect(node_id(3), 0, node_id(1)))
    assert solo.state(3) is MemberState.SUSPECT


def test_they_confirm_nothing_either() -> None:
    solo = _buried(1, 2)
    solo.hear(Alive(info_of(1), 1), Alive(info_of(2), 1), Suspect(node_id(3), 0, node_id(4), confirmers=heads_of(1, 2)))
    suspicion = solo.core._membership.suspicions[node_id(3)]
    assert suspicion.confirmations == 0
    solo.hear(Suspect(node_id(3), 0, node_id(4), confirmers=heads_of(5)))
    assert suspicion.confirmations == 1


def test_whoever_is_new_accuses_at_once() -> None:
    solo = Solo(doubt_deaths=True)
    solo.meet(1, 2)
    solo.hear(Suspect(node_id(2), 0, node_id(1)))
    assert solo.state(2) is MemberState.SUSPECT


def test_those_who_came_back_are_remembered_within_bounds() -> None:
    solo = Solo(doubt_deaths=True, probe_interval=60.0, max_tombstones=16)
    standing = solo.core._context.standing
    for number in range(100):
        standing.note_returned(node_id(number), 0.0)
    assert not standing.is_estranged(node_id(0), 1.0)
    assert standing.is_estranged(node_id(99), 1.0)
    assert len(standing._returned) == 16
