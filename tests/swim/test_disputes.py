"""Deaths that some believe and others do not."""

from shoal.config import ClusterConfig
from shoal.events import MemberSuspected
from shoal.swim.disputes import Disputes
from shoal.types import MemberState
from shoal.wire.messages import Alive, Dead, Ping, SyncRecord
from tests.swim.harness import Solo, address_of, info_of, node_id


def test_no_more_are_told_than_some_in_each_probe_interval() -> None:
    disputes = Disputes(ClusterConfig.lan().replace(probe_interval=2.0))
    told = 0
    for tick in range(100):
        for number in range(50):
            disputes.add(node_id(number), 0.1 * tick)
        told += len(disputes.waiting)
        disputes.waiting.clear()
    assert told == 64 + int(9.9 / 2.0 * 64)


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


DEATH_OF_2 = SyncRecord(info_of(2), MemberState.DEAD, 0, 5.0)


def _parted() -> Solo:
    """Holds 1 dead, as it does the other side of a partition, and 2 alive."""
    solo = Solo(doubt_deaths=True)
    solo.meet(1, 2, 3)
    solo.sleep(20.0)
    solo.hear(Dead(node_id(1), 0, node_id(3)))
    for _ in range(20):
        solo.hear(Alive(info_of(3), 0))  # A node that hears nobody passes no verdict.
        solo.sleep(1.0)
    assert solo.state(1) is MemberState.DEAD
    return solo.quiet()


def _warnings(solo: Solo) -> list[Dead]:
    return [
        update
        for packet in solo.sent(Ping)
        if packet.to == address_of(2)
        for update in packet.updates
        if isinstance(update, Dead)
    ]


def test_whoever_was_held_dead_itself_accuses_nobody_but_its_claim_goes_to_the_member() -> None:
    solo = _parted()
    solo.sync_from(node_id(1), DEATH_OF_2)
    assert (solo.state(2), solo.events(MemberSuspected)) == (MemberState.ALIVE, [])
    assert _warnings(solo) == [Dead(node_id(2), 0, node_id(1))]


def test_so_it_is_for_a_while_after_it_came_back_and_then_its_view_counts_again() -> None:
    solo = _parted()
    solo.hear(Alive(info_of(1), 1))
    solo.sleep(9.0)
    solo.sync_from(node_id(1), DEATH_OF_2)
    assert solo.state(2) is MemberState.ALIVE
    solo.sleep(2.0)
    solo.sync_from(node_id(1), DEATH_OF_2)
    assert solo.state(2) is MemberState.SUSPECT


def test_a_claim_that_the_member_has_refuted_already_is_not_told_to_it() -> None:
    solo = _parted()
    solo.hear(Alive(info_of(2), 1))
    solo.quiet()
    solo.sync_from(node_id(1), DEATH_OF_2)
    assert _warnings(solo) == []


def _established(number: int) -> Solo:
    """Has known so many members for long."""
    solo = Solo(doubt_deaths=True, probe_interval=60.0)
    solo.meet(*range(1, number + 1))
    solo.sleep(601.0)
    return solo.quiet()


def test_a_peer_that_holds_very_many_dead_was_cut_off_and_accuses_nobody() -> None:
    solo = _established(20)
    solo.sync_from(node_id(1), *(SyncRecord(info_of(number), MemberState.DEAD, 0, 5.0) for number in range(2, 11)))
    assert solo.events(MemberSuspected) == []
    warned = {packet.to for packet in solo.sent(Ping) for update in packet.updates if isinstance(update, Dead)}
    assert warned == {address_of(number) for number in range(2, 11)}


def test_one_that_holds_some_dead_is_believed_so_far_as_to_suspect_them() -> None:
    solo = _established(20)
    solo.sync_from(node_id(1), *(SyncRecord(info_of(number), MemberState.DEAD, 0, 5.0) for number in range(2, 10)))
    assert len(solo.events(MemberSuspected)) == 8
