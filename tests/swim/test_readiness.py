"""Readiness: what a member says of its wish for work, apart from being alive."""

from dataclasses import replace

import pytest

from shoal.errors import ClosedError
from shoal.events import MemberReadinessChanged
from shoal.types import MemberState, NodeInfo, Readiness
from shoal.wire.messages import Alive, Gossip, Stall, Suspect, SyncRecord, Update
from tests.swim.harness import STRANGER, Net, Solo, info_of, node_id

READY, DRAINING, STALLED = Readiness
PEER = node_id(1)


def _solo(*numbers: int) -> Solo:
    solo = Solo()
    solo.meet(*numbers)
    solo.sleep(10.0)
    return solo.quiet()


def _told(solo: Solo) -> list[Update]:
    solo.sent()
    solo.sleep(0.3)
    return [update for packet in solo.sent(Gossip) for update in packet.updates]


def _info(readiness: Readiness) -> NodeInfo:
    return replace(info_of(1), readiness=readiness)


def test_the_owner_publishes_its_readiness_with_a_higher_incarnation() -> None:
    solo = _solo(1)
    solo.core.set_readiness(DRAINING, solo.now)
    local = solo.core.local
    assert (local.readiness, local.incarnation) == (DRAINING, 1)
    assert _told(solo)[0] == Alive(replace(solo.info, readiness=DRAINING), 1)
    assert solo.events() == [MemberReadinessChanged(local, READY)]


def test_a_readiness_that_is_published_already_changes_nothing() -> None:
    solo = _solo(1)
    before = solo.core.members()
    solo.core.set_readiness(READY, solo.now)
    assert solo.core.members() is before
    assert solo.events() == []


def test_readiness_and_tags_do_not_undo_each_other() -> None:
    solo = _solo()
    solo.core.set_readiness(DRAINING, solo.now)
    solo.core.set_tags({"a": "b"}, solo.now)
    solo.core.set_readiness(STALLED, solo.now)
    assert (solo.core.local.readiness, solo.core.local.tags) == (STALLED, {"a": "b"})


def test_the_readiness_of_others_follows_their_owners_word() -> None:
    solo = _solo(1)
    solo.hear(Alive(_info(DRAINING), 1))
    assert solo.events() == [MemberReadinessChanged(solo.member(1), READY)]
    assert not solo.member(1).is_available
    solo.hear(Alive(_info(READY), 0))
    assert solo.member(1).readiness is DRAINING


def test_a_draining_member_is_alive_and_can_be_suspected_like_any() -> None:
    solo = _solo(1)
    solo.hear(Alive(_info(DRAINING), 1))
    assert solo.member(1).state is MemberState.ALIVE
    solo.hear(Suspect(PEER, 1, STRANGER))
    assert (solo.member(1).state, solo.member(1).readiness) == (MemberState.SUSPECT, DRAINING)


def test_a_refutation_keeps_the_readiness() -> None:
    solo = _solo(1)
    solo.core.set_readiness(DRAINING, solo.now)
    solo.hear(Suspect(solo.core.local.id, 1, PEER))
    assert (solo.core.local.readiness, solo.core.local.incarnation) == (DRAINING, 2)


def test_who_joins_later_learns_the_readiness_from_the_view_of_a_peer() -> None:
    solo = Solo()
    solo.sync_from(node_id(2), SyncRecord(_info(DRAINING), MemberState.ALIVE, 1, 60.0))
    assert solo.member(1).readiness is DRAINING


def test_a_declared_stall_outranks_what_was_published_and_gives_it_back() -> None:
    solo = _solo(1)
    solo.hear(Alive(_info(DRAINING), 1))
    solo.events()
    solo.hear(Stall(PEER, 1, 60.0))
    assert solo.events() == [MemberReadinessChanged(solo.member(1), DRAINING)]
    assert solo.member(1).readiness is STALLED
    solo.hear(Stall(PEER, 2, 0.0))
    assert solo.events() == [MemberReadinessChanged(solo.member(1), STALLED)]
    assert solo.member(1).readiness is DRAINING


def test_a_stall_that_runs_out_is_told() -> None:
    solo = _solo(1)
    solo.hear(Stall(PEER, 1, 60.0))
    solo.events()
    solo.sleep(61.0)
    assert solo.events() == [MemberReadinessChanged(solo.member(1), STALLED)]


def test_the_news_has_spread_when_all_of_a_few_have_heard_it() -> None:
    net = Net(3).form()
    core = net[1].core
    core.set_readiness(DRAINING, net.now)
    assert not core.record_is_spread
    net.sleep(5.0)
    assert net[1].core.record_is_spread
    assert {net[number].member(1).readiness for number in (1, 2, 3)} == {DRAINING}


def test_nothing_is_published_after_the_goodbye() -> None:
    solo = _solo(1)
    solo.leave()
    with pytest.raises(ClosedError, match="readiness"):
        solo.core.set_readiness(DRAINING, solo.now)
