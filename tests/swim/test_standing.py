"""Who has been here for long enough."""

from shoal.types import NodeId
from shoal.wire.messages import Alive, Suspect
from tests.swim.harness import Solo, info_of, node_id

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
