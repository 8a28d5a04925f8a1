"""Identities: whose word a signed record is."""

from dataclasses import replace

import pytest

from shoal.errors import ConfigError
from shoal.events import Mistrust
from shoal.types import Address, NodeId, NodeInfo, Tags
from shoal.wire.identity import SignedIdentity
from shoal.wire.identity_keys import IdentityKey, PublicKey

OWN = SignedIdentity(IdentityKey(bytes(32)), "shoal")
PEER = SignedIdentity(IdentityKey(bytes([1]) * 32), "shoal")
THIEF = SignedIdentity(IdentityKey(bytes([2]) * 32), "shoal")
INFO = NodeInfo("a", NodeId(bytes(16)), Address("10.0.0.1", 7946), Tags({"role": "worker"}))
SIGNED = PEER.sign(INFO, 3)


def test_the_owners_word_is_taken() -> None:
    assert OWN.check(SIGNED, 3, None) is None


def test_it_is_taken_again() -> None:
    assert [OWN.check(SIGNED, 3, SIGNED) for _ in range(3)] == [None] * 3


@pytest.mark.parametrize(
    "forged",
    [
        replace(SIGNED, name="b"),
        replace(SIGNED, id=NodeId(bytes([1] * 16))),
        replace(SIGNED, address=Address("10.0.0.2", 7946)),
        replace(SIGNED, tags=Tags()),
        replace(SIGNED, proof=bytes(96)),
        replace(SIGNED, proof=SIGNED.proof[:-1] + bytes([SIGNED.proof[-1] ^ 1])),
        replace(SIGNED, proof=SIGNED.proof[:40]),
        replace(SIGNED, proof=SIGNED.proof + b"x"),
        replace(SIGNED, proof=THIEF.sign(INFO, 3).proof[:32] + SIGNED.proof[32:]),
    ],
)
def test_whatever_was_altered_is_refused(forged: NodeInfo) -> None:
    assert OWN.check(forged, 3, None) is Mistrust.BAD_SIGNATURE


def test_a_record_is_good_for_its_own_incarnation_only() -> None:
    assert OWN.check(SIGNED, 4, None) is Mistrust.BAD_SIGNATURE


def test_a_record_is_good_for_its_own_cluster_only() -> None:
    other = SignedIdentity(IdentityKey(bytes(32)), "other")
    assert other.check(SIGNED, 3, None) is Mistrust.BAD_SIGNATURE


def test_a_record_without_proof_is_refused() -> None:
    assert OWN.check(INFO, 3, None) is Mistrust.UNSIGNED


def test_a_known_name_with_another_key_is_refused() -> None:
    assert OWN.check(THIEF.sign(INFO, 4), 4, SIGNED) is Mistrust.KEY_CHANGED


def test_signing_again_replaces_the_proof() -> None:
    assert PEER.sign(PEER.sign(INFO, 1), 3) == SIGNED


def test_a_key_reads_what_it_writes() -> None:
    key = IdentityKey(bytes(range(32)))
    assert IdentityKey.parse(key.text + "\n") == key
    assert PublicKey.parse(str(key.public)) == key.public


def test_a_secret_key_shows_its_public_part_alone() -> None:
    key = IdentityKey(bytes(range(32)))
    assert key.text not in repr(key)
    assert str(key.public) in repr(key)


@pytest.mark.parametrize("kind", [IdentityKey, PublicKey])
@pytest.mark.parametrize("text", ["", "AAAA", "shoal-identity:AAAA", "shoal-public:%", "A" * 43 + "="])
def test_what_is_no_key_is_refused_without_being_shown(kind: type[IdentityKey] | type[PublicKey], text: str) -> None:
    with pytest.raises(ConfigError, match=r"not shown.*keygen --identity"):
        kind.parse(text)


def test_a_public_key_is_not_taken_for_a_secret_one() -> None:
    with pytest.raises(ConfigError, match="no identity key"):
        IdentityKey.parse(str(IdentityKey(bytes(32)).public))


# Accusations and goodbyes

ACCUSED, OTHER_ACCUSED = NodeId(bytes([7] * 16)), NodeId(bytes([8] * 16))


def test_an_accusation_binds_the_accused_its_incarnation_and_the_accuser() -> None:
    signature = PEER.sign_accusation(ACCUSED, 3, INFO.id)
    namesake = replace(SIGNED, id=NodeId(bytes([9] * 16)))
    assert OWN.has_accused(SIGNED, ACCUSED, 3, signature)
    assert not OWN.has_accused(SIGNED, ACCUSED, 4, signature)
    assert not OWN.has_accused(SIGNED, OTHER_ACCUSED, 3, signature)
    assert not OWN.has_accused(namesake, ACCUSED, 3, signature)
    assert not OWN.has_accused(THIEF.sign(INFO, 3), ACCUSED, 3, signature)


def test_a_goodbye_binds_the_member_and_its_incarnation() -> None:
    signature = PEER.sign_goodbye(INFO.id, 3)
    assert OWN.has_left(SIGNED, 3, signature)
    assert not OWN.has_left(SIGNED, 4, signature)
    assert not OWN.has_left(replace(SIGNED, id=ACCUSED), 3, signature)
    assert not OWN.has_left(THIEF.sign(INFO, 3), 3, signature)


def test_a_declared_stall_binds_the_run_its_number_and_the_longest_time() -> None:
    proof = PEER.sign_stall(INFO.id, 1, 89.5)
    assert OWN.has_declared(SIGNED, 1, 90.0, proof)
    assert OWN.has_declared(SIGNED, 1, 1.0, proof)
    assert not OWN.has_declared(SIGNED, 1, 91.0, proof)
    assert not OWN.has_declared(SIGNED, 2, 90.0, proof)
    assert not OWN.has_declared(replace(SIGNED, id=ACCUSED), 1, 90.0, proof)
    assert not OWN.has_declared(THIEF.sign(INFO, 3), 1, 90.0, proof)
    assert not OWN.has_declared(SIGNED, 1, 91.0, bytes((0xFF, 0xFF)) + proof[2:])


@pytest.mark.parametrize("proof", [b"", b"\x00", bytes(2), bytes(65), bytes(66), bytes(67)])
def test_what_is_no_proof_of_a_stall_is_refused(proof: bytes) -> None:
    assert not OWN.has_declared(SIGNED, 1, 0.0, proof)


def test_each_binds_the_cluster_and_none_stands_for_another() -> None:
    elsewhere = SignedIdentity(IdentityKey(bytes([1]) * 32), "other")
    assert not OWN.has_accused(SIGNED, ACCUSED, 3, elsewhere.sign_accusation(ACCUSED, 3, INFO.id))
    assert not OWN.has_left(SIGNED, 3, elsewhere.sign_goodbye(INFO.id, 3))
    assert not OWN.has_left(SIGNED, 3, PEER.sign_accusation(INFO.id, 3, INFO.id))
    assert not OWN.has_left(SIGNED, 3, SIGNED.proof[32:96])
    assert not OWN.has_declared(SIGNED, 3, 1.0, elsewhere.sign_stall(INFO.id, 3, 1.0))
    assert not OWN.has_declared(SIGNED, 3, 1.0, bytes((0, 1)) + PEER.sign_goodbye(INFO.id, 3))
