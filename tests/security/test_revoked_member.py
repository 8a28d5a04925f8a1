"""A member whose certificate or token was taken back: it is put out, and nothing that it says or signed counts."""

from __future__ import annotations

import pytest

from shoal.events import IdentityRefused, MemberFailed, MemberJoined, Mistrust, VerdictReason
from shoal.types import MemberState, NodeInfo, Readiness
from shoal.wire.certificates import Authority, Certificate
from shoal.wire.identity import SignedIdentity
from shoal.wire.identity_keys import IdentityKey
from shoal.wire.messages import Alive, Dead, Left, Stall, Suspect, SyncRecord, Update, Witness
from shoal.wire.revocations import Revocation
from shoal.wire.tokens import AdmissionToken
from tests.swim.harness import OUR_SETTINGS, OWN, STRANGER, Net, Solo, info_of, node_id

AUTHORITY, TOKEN = IdentityKey(bytes([0xAA]) * 32), IdentityKey(bytes([0xBB]) * 32)
LATE = 1 << 40
ISSUED = AdmissionToken.issue(AUTHORITY, "shoal", "*", TOKEN, expires=LATE)
VICTIM, THIEF = 1, 2
ALIVE, SUSPECT, DEAD, LEFT = MemberState


def _key(number: int) -> IdentityKey:
    return IdentityKey(number.to_bytes(32))


def admitted(number: int, name: str | None = None, *, key: int | None = None, by_token: bool = False) -> SignedIdentity:
    """Node `number` with a certificate, or what its token made; each has an authority of its own to learn from."""
    own, name = _key(number if key is None else key), name or ("me" if number == OWN else f"n{number}")
    if by_token:
        certificate = ISSUED.admit("shoal", name, own.public)
    else:
        certificate = Certificate.issue(AUTHORITY, "shoal", name, own.public, expires=LATE)
    return SignedIdentity(own, "shoal", Authority(AUTHORITY.public, "shoal", lambda: 0.0), certificate)


def signed(number: int, incarnation: int = 0, name: str | None = None, *, key: int | None = None) -> NodeInfo:
    return admitted(number, name, key=key).sign(info_of(number, name), incarnation)


def revocation(number: int) -> Revocation:
    return Revocation.issue(AUTHORITY, "shoal", _key(number).public)


def proof(number: int, incarnation: int = 0) -> Left:
    """What a member tells that has heard of the revocation."""
    return Left(node_id(number), incarnation, revocation(number).signature)


def learn(solo: Solo, *numbers: int) -> None:
    """Its file of revocations was changed."""
    trust = solo.core._context.trust
    assert isinstance(trust, SignedIdentity)
    assert trust.authority is not None
    assert trust.authority.learn(map(revocation, numbers))
    solo.core.put_out_revoked(solo.now)
    solo.collect()


@pytest.fixture
def solo() -> Solo:
    """Knows six members for long enough that they may testify."""
    solo = Solo(trust=admitted(OWN), **OUR_SETTINGS | {"death_signatures": 2})
    solo.hear(*(Alive(signed(number), 0) for number in range(1, 7)))
    solo.sleep(15.0)
    return solo.quiet()


def test_who_is_revoked_is_put_out_at_once_with_the_reason_and_everybody_is_told(solo: Solo) -> None:
    learn(solo, THIEF)
    [failure] = solo.events()
    assert isinstance(failure, MemberFailed)
    assert (failure.member.name, failure.member.state) == ("n2", LEFT)
    assert failure.evidence.reason is VerdictReason.REVOKED
    assert [verdict.evidence.reason for verdict in solo.core.verdicts(node_id(THIEF), solo.now)] == [
        VerdictReason.REVOKED
    ]
    solo.start()
    solo.sleep(0.5)
    assert proof(THIEF) in solo.news()


@pytest.mark.parametrize("incarnation", [0, 7])
def test_the_word_of_a_member_that_knows_of_it_is_enough_at_whichever_incarnation(solo: Solo, incarnation: int) -> None:
    solo.hear(Alive(signed(THIEF, 3), 3))
    solo.quiet()
    solo.hear(proof(THIEF, incarnation))
    assert solo.state(THIEF) is LEFT
    assert [event.evidence.reason for event in solo.events(MemberFailed)] == [VerdictReason.REVOKED]


def test_it_neither_refutes_nor_comes_back_as_another_run_or_under_another_name(solo: Solo) -> None:
    solo.hear(proof(THIEF))
    solo.quiet()
    again = [Alive(signed(THIEF, 9), 9), Alive(signed(12, 0, "n2", key=THIEF), 0), Alive(signed(13, key=THIEF), 0)]
    solo.hear(*again)
    solo.sync_from(STRANGER, *(SyncRecord(each.info, ALIVE, each.incarnation, 0.0) for each in again))
    assert [solo.state(number) for number in (THIEF, 12, 13)] == [LEFT, None, None]
    assert solo.events(MemberJoined) == []
    assert solo.dropped[Mistrust.REVOKED] == 4


def test_the_name_is_free_for_a_new_key(solo: Solo) -> None:
    solo.hear(proof(THIEF))
    solo.hear(Alive(signed(12, 0, "n2", key=12), 0))
    assert solo.state(12) is ALIVE


def _accusation(by: int) -> Witness:
    return Witness(node_id(by), _key_signs(by))


def _key_signs(by: int) -> bytes:
    return admitted(by).sign_accusation(node_id(VICTIM), 0, node_id(by))


SAYINGS: dict[str, Update] = {
    "a suspicion": Suspect(node_id(VICTIM), 0, node_id(THIEF), witnesses=(_accusation(THIEF),)),
    "a death with another": Dead(node_id(VICTIM), 0, node_id(THIEF), (_accusation(THIEF), _accusation(3))),
    "a stall": Stall(node_id(THIEF), 1, 60.0, admitted(THIEF).sign_stall(node_id(THIEF), 1, 60.0)),
}


@pytest.mark.parametrize("saying", SAYINGS.values(), ids=SAYINGS)
def test_its_signatures_count_for_nothing_from_then_on(solo: Solo, saying: Update) -> None:
    solo.hear(proof(THIEF))
    solo.hear(saying)
    solo.sleep(5.0)
    assert solo.state(VICTIM) in (ALIVE, SUSPECT)
    assert all(member.readiness is Readiness.READY for member in solo.core.members())


def test_an_accusation_that_it_signed_before_kills_nobody_after(solo: Solo) -> None:
    solo.hear(SAYINGS["a suspicion"])
    solo.hear(proof(THIEF))
    solo.hear(Suspect(node_id(VICTIM), 0, node_id(3), witnesses=(_accusation(3),)))
    solo.sleep(5.0)
    assert solo.state(VICTIM) is SUSPECT


def test_a_forged_revocation_puts_nobody_out(solo: Solo) -> None:
    by_thief = Revocation.issue(_key(THIEF), "shoal", _key(VICTIM).public).signature
    solo.hear(Left(node_id(VICTIM), 0, by_thief), Left(node_id(VICTIM), 5, by_thief))
    solo.hear(Left(node_id(VICTIM), 0, revocation(THIEF).signature))
    assert solo.state(VICTIM) is ALIVE
    assert (solo.dropped["unsigned_goodbye"], solo.dropped["unknown_incarnation"]) == (2, 1)


def test_a_revoked_token_puts_all_out_that_joined_with_it() -> None:
    solo = Solo(trust=admitted(OWN))
    for number in (1, 2, 3):
        solo.hear(Alive(admitted(number, by_token=number < 3).sign(info_of(number), 0), 0))
    taken_back = Revocation.issue(AUTHORITY, "shoal", TOKEN.public).signature
    solo.hear(Left(node_id(1), 0, taken_back))
    assert [solo.state(number) for number in (1, 2, 3)] == [LEFT, LEFT, ALIVE]


def test_a_joiner_takes_it_over_with_the_view() -> None:
    solo = Solo(trust=admitted(OWN))
    solo.sync_from(STRANGER, SyncRecord(signed(THIEF), LEFT, 0, 1.0, revocation(THIEF).signature))
    solo.hear(Alive(signed(THIEF, 1), 1), Alive(signed(12, key=THIEF), 0))
    assert (solo.state(THIEF), solo.state(12)) == (LEFT, None)


def test_who_still_believes_in_it_is_told_and_one_answer_is_out_at_a_time(solo: Solo) -> None:
    learn(solo, 42)
    solo.hear(*(Alive(signed(number, key=42), 0) for number in range(30, 60)))
    solo.start()
    solo.sleep(0.3)
    told = {update.id for update in solo.news() if isinstance(update, Left)}
    assert told == {node_id(30)}


def test_a_mass_of_them_does_not_trip_the_guard_against_mass_failures(solo: Solo) -> None:
    learn(solo, 1, 2, 3, 4, 5)
    assert [solo.state(number) for number in range(1, 7)] == [LEFT] * 5 + [ALIVE]


def test_the_dead_are_put_out_too_so_that_nobody_looks_for_them(solo: Solo) -> None:
    solo.hear(Dead(node_id(1), 0, node_id(3), (_accusation(3), _accusation(4))))
    for _ in range(10):
        solo.hear(Alive(signed(3), 0))  # A node that hears nobody passes no verdict.
        solo.sleep(0.5)
    assert solo.state(1) is DEAD
    solo.quiet()
    learn(solo, 1)
    assert (solo.state(1), solo.events()) == (LEFT, [])


def test_a_cluster_hears_of_it_from_one_member_and_the_revoked_one_is_told() -> None:
    net = Net(6, trust=admitted).form(15.0)
    for node in net.nodes.values():
        node.quiet()
    learn(net[3], THIEF)
    net.sleep(10.0)
    honest = [number for number in range(1, 7) if number != THIEF]
    seen = dict.fromkeys(honest, ALIVE) | {THIEF: LEFT}
    for number in honest:
        assert {other: net[number].state(other) for other in seen} == seen
        assert [event.member.name for event in net[number].events(MemberFailed)] == ["n2"]
    told = [event for event in net[THIEF].events(IdentityRefused) if event.id == node_id(THIEF)]
    assert [event.reason for event in told] == [Mistrust.REVOKED]


def test_both_sides_of_a_partition_agree_on_it_afterwards() -> None:
    net = Net(6, trust=admitted).form(15.0)
    apart = {net[1], net[2]}
    net.lost = lambda sender, datagram: (sender in apart) != (net.nodes[datagram.address] in apart)
    net.cut = lambda sender, address: (sender in apart) != (net.nodes[address] in apart)
    net.sleep(30.0)
    learn(net[4], THIEF)
    net.sleep(5.0)
    assert net[1].state(THIEF) is ALIVE
    net.lost, net.cut = lambda _sender, _datagram: False, lambda _sender, _address: False
    net.sleep(60.0)
    assert {net[number].state(THIEF) for number in (1, 3, 4, 5, 6)} == {LEFT}
    assert {net[number].state(1) for number in (3, 4, 5, 6)} == {ALIVE}
