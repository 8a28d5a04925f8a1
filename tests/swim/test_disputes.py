"""Deaths that some believe and others do not."""

from shoal.swim.disputes import Disputes
from shoal.types import MemberState
from shoal.wire.messages import Dead, Ping, SyncRecord
from tests.swim.harness import Solo, info_of, node_id


def test_no_more_wait_than_are_told_at_once() -> None:
    disputes = Disputes()
    for number in range(100):
        disputes.add(node_id(number))
    assert len(disputes.waiting) == 64


def test_a_member_whose_name_a_newer_run_took_meanwhile_is_not_told() -> None:
    solo = Solo()
    solo.meet(1, 2)
    solo.hear(Dead(node_id(1), 0, node_id(2)))
    solo.sleep(60.0)
    assert solo.state(1) is MemberState.DEAD
    solo.quiet()
    disputed = SyncRecord(info_of(1), MemberState.ALIVE, 0, 0.0)
    newer = SyncRecord(info_of(3, "n1"), MemberState.ALIVE, 0, 0.0)
    solo.sync_from(node_id(2), disputed, newer)
    assert solo.state(3) is MemberState.ALIVE
    assert solo.sent(Ping) == []
