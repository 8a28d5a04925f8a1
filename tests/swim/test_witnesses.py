"""What it takes to hold a member dead where members sign."""

from typing import Any

import pytest

from shoal.events import HealthReason, MemberFailed, MemberLeft, VerdictReason
from shoal.swim.outputs import Datagram
from shoal.types import MemberState
from shoal.wire.certificates import Authority, Certificate
from shoal.wire.identity import SignedIdentity
from shoal.wire.identity_keys import IdentityKey
from shoal.wire.messages import Alive, Dead, Ping, Suspect, SyncRecord
from shoal.wire.witnesses import write_witnesses
from tests.swim.harness import Net, Solo, info_of, node_id
from tests.swim.signing import dead, identity, left, signed, suspect, witness

SETTLED = 15.0


def solo(*members: int, **config: Any) -> Solo:
    """Knows these members, long enough to take their word, and probes nobody by itself."""
    made = Solo(
        trust=identity(100), **{"suspicion_floor": 2.0, "suspicion_alpha": 0.1, "suspicion_beta": 1.0, **config}
    )
    made.hear(*(Alive(signed(number), 0) for number in members))
    made.sleep(SETTLED)
    return made.quiet()


def _settled(count: int, **config: Any) -> Net:
    return Net(count, trust=identity, **config).form(SETTLED)


# How many


@pytest.mark.parametrize("wanted", [1, 2, 3, 4])
def test_a_death_takes_as_many_signatures_as_are_set(wanted: int) -> None:
    few, enough = solo(1, 2, 3, 4, 5, 6, death_signatures=wanted), solo(1, 2, 3, 4, 5, 6, death_signatures=wanted)
    signers = range(2, 2 + wanted)
    enough.hear(dead(1, *signers))
    if wanted > 1:
        few.hear(dead(1, *signers[1:]))
    enough.sleep(2.0)
    few.sleep(2.0)
    assert enough.state(1) is MemberState.DEAD
    assert few.state(1) is (MemberState.SUSPECT if wanted > 1 else MemberState.ALIVE)


def test_they_may_come_one_by_one() -> None:
    node = solo(1, 2, 3, 4, death_signatures=3)
    for signer in (2, 3, 4):
        node.hear(suspect(1, signer))
    node.sleep(2.0)
    [died] = node.events(MemberFailed)
    assert died.evidence.reason is VerdictReason.SUSPICION_EXPIRED
    assert set(died.evidence.signers) == {"n2", "n3", "n4"}


def test_a_death_names_who_signed_it() -> None:
    node = solo(1, 2, 3)
    node.hear(dead(1, 3, 2))
    node.sleep(2.0)
    [died] = node.events(MemberFailed)
    assert died.evidence.reason is VerdictReason.REPORTED
    assert died.evidence.declared_by == "n3"
    assert set(died.evidence.signers) == {"n2", "n3"}


def test_with_too_few_a_node_finds_out_for_itself_and_says_so() -> None:
    node = solo(1, 2, 3, 4)
    node.hear(suspect(1, 2))
    node.sleep(2.1)
    assert [packet.message.target for packet in node.sent(Ping) if isinstance(packet.message, Ping)] == [node_id(1)]
    assert node.state(1) is MemberState.SUSPECT
    node.sleep(3.0)
    [died] = node.events(MemberFailed)
    assert died.evidence.signers == ("n2", "me")
    assert HealthReason.UNCONFIRMED in {withheld.reason for withheld in died.evidence.withheld}


def test_of_two_members_one_is_enough() -> None:
    net = _settled(2)
    net.down.add(net[2])
    net.sleep(8.0)
    assert net[1].state(2) is MemberState.DEAD


@pytest.mark.parametrize("count", [3, 4, 6])
@pytest.mark.parametrize("wanted", [1, 2, 5, 8])
def test_where_there_are_fewer_all_others_are_enough(count: int, wanted: int) -> None:
    net = _settled(count, death_signatures=wanted)
    net.down.add(net[count])
    net.sleep(12.0)
    assert {net[number].state(count) for number in range(1, count)} == {MemberState.DEAD}


def test_those_that_died_together_are_not_waited_for() -> None:
    net = _settled(5, death_signatures=4, removal_share=1.0)
    net.down |= {net[4], net[5]}
    net.sleep(15.0)
    assert {net[number].state(dead) for number in (1, 2, 3) for dead in (4, 5)} == {MemberState.DEAD}


def test_a_view_that_shrinks_asks_for_an_own_finding() -> None:
    """All others under suspicion, and two signatures of three that are wanted: not without our own."""
    node = solo(1, 2, 3, 4, 5, death_signatures=3)
    node.hear(*(suspect(number, 2, 3) for number in (4, 5)), dead(1, 2, 3))
    node.sleep(1.9)
    assert node.state(1) is MemberState.SUSPECT


def test_what_a_node_found_itself_is_enough_after_a_long_silence() -> None:
    """All who signed may be gone."""
    node = solo(1, 2, 3, 4, death_signatures=3)
    node.hear(suspect(1, 2))
    node.sleep(50.0)
    assert node.state(1) is MemberState.SUSPECT
    node.sleep(15.0)
    assert node.state(1) is MemberState.DEAD


@pytest.mark.parametrize("is_certified", [False, True])
def test_new_members_confirm_nothing_yet(is_certified: bool) -> None:
    authority = IdentityKey(bytes([7]) * 32)
    trusts = {number: _certified(number, authority) if is_certified else identity(number) for number in (1, 2, 3, 100)}
    node = Solo(info=info_of(100), trust=trusts[100])
    node.hear(*(Alive(trusts[number].sign(info_of(number), 0), 0) for number in (1, 2, 3)))
    node.hear(dead(1, 2, 3))
    node.sleep(4.0)
    assert node.state(1) is MemberState.SUSPECT


def _certified(number: int, authority: IdentityKey) -> SignedIdentity:
    key = IdentityKey(number.to_bytes(32))
    certificate = Certificate.issue(authority, "shoal", f"n{number}", key.public, expires=2**40)
    return SignedIdentity(key, "shoal", Authority(authority.public, "shoal", lambda: 0.0), certificate)


def test_a_signature_is_verified_once() -> None:
    class Counting(SignedIdentity):
        asked = 0

        def has_accused(self, *arguments: object) -> bool:
            Counting.asked += 1
            return super().has_accused(*arguments)  # type: ignore[arg-type]

    node = Solo(trust=Counting(IdentityKey(bytes([9]) * 32), "shoal"))
    node.hear(*(Alive(signed(number), 0) for number in (1, 2, 3)))
    for _ in range(5):
        node.hear(suspect(1, 2, 3), dead(1, 2, 3))
    assert Counting.asked == 2


# Refutation


def test_a_death_that_is_not_proved_is_told_to_whom_it_is_about() -> None:
    node = solo(1, 2, 3)
    claim = Dead(node_id(1), 0, node_id(2))
    node.hear(claim)
    [packet] = node.sent(Ping)
    assert isinstance(packet.message, Ping)
    assert packet.message.target == node_id(1)
    assert packet.updates[0] == claim
    assert node.state(1) is MemberState.ALIVE
    assert node.dropped["unproved_death"] == 1


def test_a_member_refutes_what_is_not_signed_and_nothing_above_its_incarnation() -> None:
    node = solo(1, 2)
    node.hear(Suspect(node_id(100), 0, node_id(1)))
    assert node.core.local.incarnation == 1
    node.hear(Dead(node_id(100), 7, node_id(1)))
    assert node.core.local.incarnation == 1
    assert node.dropped["unknown_incarnation"] == 1


def test_a_forged_goodbye_of_itself_changes_nothing_for_a_member() -> None:
    node = solo(1, 2)
    node.hear(left(100, by=1))
    node.sync_from(node_id(1), SyncRecord(signed(100, name="me"), MemberState.LEFT, 0, 0.0, left(100, by=1).signature))
    assert node.core.local.id == node_id(100)
    assert node.core.local.state is MemberState.ALIVE
    assert node.dropped["unsigned_goodbye"] == 2


# How it spreads


def test_signatures_are_told_on_together_with_the_death_and_the_goodbye() -> None:
    node = solo(1, 2, 3, 4)
    node.hear(dead(1, 2, 3), left(4))
    node.sleep(3.0)
    news = node.news()
    assert dead(1, 2, 3) in news
    assert left(4) in news


def test_a_death_that_gossip_did_not_bring_comes_with_its_proof_by_comparison() -> None:
    net = _settled(6)
    deaf = net[2]
    net.down.add(net[6])
    net.lost = lambda sender, packet: packet.address == deaf.info.address and sender is not net[1]
    net.cut = lambda sender, address: sender is deaf or address == deaf.info.address
    net.sleep(20.0)
    net.lost = lambda _sender, _packet: False
    net.sleep(30.0)
    assert {net[number].state(6) for number in range(1, 6)} == {MemberState.DEAD}


def test_a_death_in_a_view_counts_with_its_proof_only() -> None:
    node = solo(1, 2, 3, 4)
    bare = SyncRecord(signed(1), MemberState.DEAD, 0, 1.0)
    node.sync_from(node_id(4), bare)
    node.sleep(5.0)
    assert node.state(1) is MemberState.ALIVE
    proof = write_witnesses([witness(1, 2), witness(1, 3)])
    node.sync_from(node_id(4), SyncRecord(signed(1), MemberState.DEAD, 0, 1.0, proof))
    node.sleep(5.0)
    assert node.state(1) is MemberState.DEAD


def test_a_joiner_takes_over_goodbyes_with_their_proof_and_no_deaths_of_whom_it_does_not_know() -> None:
    seed, joiner = solo(1, 2, 3, 4), Solo(200, trust=identity(200), info=info_of(200))
    seed.hear(dead(1, 2, 3), left(4))
    seed.sleep(3.0)
    joiner.join(seed.info.address)
    [exchange] = joiner.streams()
    reply = seed.core.receive_stream(exchange.data, joiner.info.address, seed.now)
    assert reply is not None
    joiner.core.stream_replied(exchange.token, reply, joiner.now)
    joiner.collect()
    assert (joiner.state(1), joiner.state(4)) == (None, MemberState.LEFT)
    joiner.hear(Alive(signed(4), 0))
    assert joiner.state(4) is MemberState.LEFT


def test_a_goodbye_at_an_incarnation_that_we_missed_comes_with_the_word_before_it() -> None:
    node = solo(1, 2)
    node.sync_from(node_id(2), SyncRecord(signed(1, 3), MemberState.LEFT, 3, 1.0, left(1, 3).signature))
    assert node.state(1) is MemberState.LEFT


def test_leavers_are_believed() -> None:
    net = _settled(5)
    net[3].core.leave(net.now)
    net[3].collect()
    net.sleep(5.0)
    for number in (1, 2, 4, 5):
        assert [event.member.name for event in net[number].events(MemberLeft)] == ["n3"]
    assert net[1].dropped.get("unsigned_goodbye", 0) == 0


def test_a_member_held_dead_comes_back_when_it_is_heard_again() -> None:
    net = _settled(5)
    net.down.add(net[5])
    net.sleep(10.0)
    assert net[1].state(5) is MemberState.DEAD
    net.down.clear()
    net.sleep(30.0)
    assert {net[number].state(5) for number in range(1, 6)} == {MemberState.ALIVE}


def test_two_sides_of_a_partition_find_each_other_again() -> None:
    net = _settled(6, removal_share=1.0)
    west = {net[number].info.address for number in (1, 2, 3)}
    net.lost = lambda sender, packet: (sender.info.address in west) is not (packet.address in west)
    net.cut = lambda sender, address: (sender.info.address in west) is not (address in west)
    net.sleep(20.0)
    assert net[1].state(6) is MemberState.DEAD
    net.lost, net.cut = (lambda _sender, _packet: False), (lambda _sender, _address: False)
    net.sleep(60.0)
    assert {net[one].state(other) for one in range(1, 7) for other in range(1, 7)} == {MemberState.ALIVE}


def test_every_datagram_keeps_to_its_limit() -> None:
    net = Net(12, trust=identity, death_signatures=4, max_datagram=512, removal_share=1.0).form(SETTLED)
    net.down |= {net[number] for number in (9, 10, 11, 12)}
    sizes: list[int] = []

    def measure(_sender: Solo, packet: Datagram) -> bool:
        sizes.append(len(packet.data))
        return False

    net.lost = measure
    net.sleep(15.0)
    assert {net[number].state(dead) for number in range(1, 9) for dead in range(9, 13)} == {MemberState.DEAD}
    assert 400 < max(sizes) <= 512
