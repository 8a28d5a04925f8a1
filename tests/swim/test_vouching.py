"""Members with identities: nobody speaks for another."""

from dataclasses import replace

import pytest

from shoal.events import IdentityRefused, MemberJoined, MemberUpdated, Mistrust
from shoal.swim.trust import Trust
from shoal.types import MemberState, NodeId, Tags
from shoal.wire.messages import Alive, Dead, Left, Suspect, SyncRecord
from tests.swim.harness import Net, Solo, address_of, info_of, node_id
from tests.swim.signing import identity, signed, suspect


@pytest.fixture
def solo() -> Solo:
    """Knows node 1."""
    solo = Solo(trust=identity(100))
    solo.hear(Alive(signed(1), 0))
    solo.events()
    return solo


def test_a_member_with_its_own_word_comes_in() -> None:
    solo = Solo(trust=identity(100))
    solo.hear(Alive(signed(1), 0))
    assert solo.state(1) is MemberState.ALIVE


def test_a_member_without_proof_is_refused_counted_and_told_once() -> None:
    solo = Solo(trust=identity(100))
    solo.hear(Alive(info_of(1), 0))
    solo.hear(Alive(info_of(1), 0))
    assert solo.core.member(node_id(1)) is None
    assert solo.core.stats.dropped[Mistrust.UNSIGNED] == 2
    assert solo.events(IdentityRefused) == [IdentityRefused("n1", node_id(1), address_of(1), Mistrust.UNSIGNED)]


def test_nobody_changes_what_another_says_of_itself(solo: Solo) -> None:
    solo.hear(Alive(replace(signed(1), tags=Tags(role="admin")), 1))
    assert solo.member(1).tags == {}
    assert solo.core.stats.dropped[Mistrust.BAD_SIGNATURE] == 1


def test_the_owner_changes_what_it_says_of_itself(solo: Solo) -> None:
    solo.hear(Alive(identity(1).sign(info_of(1, role="idle"), 1), 1))
    assert [type(event) for event in solo.events(MemberUpdated)] == [MemberUpdated]


def test_an_older_record_of_the_owner_changes_nothing(solo: Solo) -> None:
    solo.hear(Alive(identity(1).sign(info_of(1, role="idle"), 1), 1))
    solo.hear(Alive(signed(1), 0))
    assert solo.member(1).tags == {"role": "idle"}


def test_a_newer_run_with_another_key_does_not_take_the_name(solo: Solo) -> None:
    solo.hear(Alive(signed(2, name="n1"), 0))
    assert solo.core.member(node_id(2)) is None
    assert solo.state(1) is MemberState.ALIVE
    assert [event.reason for event in solo.events(IdentityRefused)] == [Mistrust.KEY_CHANGED]


def test_a_newer_run_with_the_same_key_takes_the_name(solo: Solo) -> None:
    solo.hear(Alive(signed(2, by=1, name="n1"), 0))
    assert solo.state(2) is MemberState.ALIVE
    assert solo.core.member(node_id(1)) is None


def test_a_member_of_another_name_does_not_take_the_address_of_a_present_one(solo: Solo) -> None:
    solo.hear(Alive(identity(2).sign(info_of(2, at=address_of(1)), 0), 0))
    assert solo.state(1) is MemberState.ALIVE
    assert solo.core.member(node_id(2)) is None


def test_nobody_raises_the_incarnation_of_another(solo: Solo) -> None:
    solo.hear(Suspect(node_id(1), 7, node_id(3)), Dead(node_id(1), 7, node_id(3)), Left(node_id(1), 7))
    assert (solo.state(1), solo.member(1).incarnation) == (MemberState.ALIVE, 0)


def test_a_forged_newer_run_of_our_own_name_changes_nothing() -> None:
    solo = Solo(trust=identity(100))
    solo.hear(Alive(signed(200, name="me"), 0))
    assert solo.core.local.id == node_id(100)


def test_a_forged_tombstone_in_a_view_does_not_end_a_member(solo: Solo) -> None:
    solo.sync_from(NodeId(bytes(16)), SyncRecord(signed(2, name="n1"), MemberState.DEAD, 0, 0.0))
    assert solo.state(1) is MemberState.ALIVE


def test_a_cluster_forms_and_hears_of_changes() -> None:
    net = Net(5, trust=identity).form()
    net[3].core.set_tags({"role": "x"}, net.now)
    net.sleep(5.0)
    for number in range(1, 6):
        assert len(net[number].core.members()) == 5
        assert net[number].member(3).tags == {"role": "x"}
        assert net[number].events(IdentityRefused) == []


def test_a_member_that_refutes_does_so_with_a_proof() -> None:
    net = Net(3, trust=identity).form()
    net[1].hear(suspect(2, 3))
    net.sleep(10.0)
    assert [net[number].member(2).incarnation for number in (1, 2, 3)] == [1, 1, 1]


def test_a_member_without_identity_stays_outside() -> None:
    trusts: dict[int, Trust | None] = {1: identity(1), 2: identity(2), 3: None}
    net = Net(3, trust=trusts.__getitem__).form()
    assert {event.member.name for event in net[1].events(MemberJoined)} == {"n2"}
