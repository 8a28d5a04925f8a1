"""A malicious member with the key: what the protocol withstands, and what it does not (docs/security.md)."""

from shoal.types import MemberState
from shoal.wire.messages import Alive, Dead, Gossip, Left, Suspect, Update
from shoal.wire.native import MAX_INCARNATION
from tests.swim.harness import DIALECT, Net, Solo, address_of, info_of, node_id

EVIL = 5


def _say(net: Net, *updates: Update) -> None:
    """The last node tells everybody."""
    news = [DIALECT.encode_update(update) for update in updates]
    data = DIALECT.attach(DIALECT.encode(Gossip(0, 0, node_id(EVIL))), news)
    for number in range(1, EVIL):
        node = net[number]
        node.core.receive(data, address_of(EVIL), net.now)
        node.collect()


def _held(net: Net, number: int) -> set[MemberState | None]:
    return {net[viewer].state(number) for viewer in range(1, EVIL)}


def test_a_forged_death_of_a_live_member_is_refuted_before_it_is_believed() -> None:
    net = Net(EVIL).form()
    for _ in range(10):
        incarnation = net[1].core.local.incarnation
        _say(net, Dead(node_id(1), incarnation, node_id(EVIL)), Suspect(node_id(1), incarnation, node_id(EVIL)))
        net.sleep(3.0)
        assert _held(net, 1) == {MemberState.ALIVE}


def test_a_false_refutation_does_not_keep_a_dead_member_alive_for_ever() -> None:
    net = Net(EVIL).form()
    net.down.add(net[1])
    for incarnation in range(1, 6):
        _say(net, Alive(info_of(1), incarnation))
        net.sleep(2.0)
    net.sleep(60.0)
    assert {net[viewer].state(1) for viewer in range(2, EVIL)} == {MemberState.DEAD}


def test_inventions_are_found_dead_and_honest_members_stay() -> None:
    net = Net(EVIL).form()
    for first in range(200, 300, 20):
        _say(net, *(Alive(info_of(number), 0) for number in range(first, first + 20)))
    net.sleep(300.0)
    for viewer in range(1, EVIL):
        alive = {name for name, state in net[viewer].states().items() if state is MemberState.ALIVE}
        assert alive == {f"n{number}" for number in range(1, EVIL + 1)}


def test_a_forged_goodbye_is_taken_back_by_whom_it_names() -> None:
    net = Net(EVIL).form()
    _say(net, Left(node_id(1), 0))
    net.sleep(60.0)
    present = {name for name, state in net[2].states().items() if state is MemberState.ALIVE}
    assert "n1" in present, "it took a new id, under its own name"


def test_the_highest_incarnation_leaves_its_victim_no_refutation_of_its_own_id() -> None:
    """So it comes back as a new run of itself, which a shared key can do nothing against."""
    solo = Solo()
    solo.meet(1, 2, 3)
    before = solo.core.local.id
    solo.hear(Dead(before, MAX_INCARNATION, node_id(1)))
    solo.sleep(5.0)
    assert solo.core.local.state is MemberState.ALIVE
    assert solo.core.local.id > before
