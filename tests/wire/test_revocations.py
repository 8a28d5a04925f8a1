"""Revocations: an authority's word that a key counts for nothing any more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.errors import ConfigError
from shoal.events import Mistrust
from shoal.types import Address, NodeId, NodeInfo, Tags
from shoal.wire.certificates import Authority, Certificate, Right
from shoal.wire.identity import SignedIdentity
from shoal.wire.identity_keys import IdentityKey
from shoal.wire.revocations import MAX_REVOCATIONS, Revocation
from shoal.wire.tokens import AdmissionToken

AUTHORITY, OTHER, TOKEN, KEY, NEW_KEY = (IdentityKey(bytes([number]) * 32) for number in range(5))
LATE = 1 << 40
INFO = NodeInfo("a", NodeId(bytes(16)), Address("10.0.0.1", 7946), Tags())
REVOCATION = Revocation.issue(AUTHORITY, "shoal", KEY.public)


def authority(*revocations: Revocation) -> Authority:
    made = Authority(AUTHORITY.public, "shoal", lambda: 0.0)
    made.learn(revocations)
    return made


def viewer(*revocations: Revocation) -> SignedIdentity:
    return SignedIdentity(OTHER, "shoal", authority(*revocations))


def certified(key: IdentityKey = KEY) -> NodeInfo:
    certificate = Certificate.issue(AUTHORITY, "shoal", "a", key.public, expires=LATE)
    return SignedIdentity(key, "shoal", None, certificate).sign(INFO, 0)


def with_token(key: IdentityKey = KEY) -> NodeInfo:
    token = AdmissionToken.issue(AUTHORITY, "shoal", "*", TOKEN, expires=LATE)
    return SignedIdentity(key, "shoal", None, token.admit("shoal", "a", key.public)).sign(INFO, 0)


def test_a_revoked_key_is_refused_with_whichever_certificate() -> None:
    assert viewer(REVOCATION).check(certified(), 0, None) is Mistrust.REVOKED
    assert viewer(REVOCATION).check(with_token(), 0, None) is Mistrust.REVOKED
    assert viewer(REVOCATION).check(certified(NEW_KEY), 0, None) is None


def test_a_revoked_token_takes_all_out_that_joined_with_it_and_nobody_else() -> None:
    revoked = viewer(Revocation.issue(AUTHORITY, "shoal", TOKEN.public))
    assert revoked.check(with_token(), 0, None) is Mistrust.REVOKED
    assert revoked.check(with_token(NEW_KEY), 0, None) is Mistrust.REVOKED
    assert revoked.check(certified(), 0, None) is None


def test_a_name_whose_key_is_revoked_is_free_for_who_has_a_token() -> None:
    assert viewer().check(with_token(NEW_KEY), 0, certified()) is Mistrust.KEY_CHANGED
    assert viewer(REVOCATION).check(with_token(NEW_KEY), 0, certified()) is None


def test_a_revoked_key_has_no_rights() -> None:
    certificate = Certificate.issue(AUTHORITY, "shoal", "a", KEY.public, expires=LATE, rights=[Right.KEYS])
    assert authority().gives(certificate, Right.KEYS)
    assert not authority(REVOCATION).gives(certificate, Right.KEYS)


def test_a_proof_that_a_member_is_revoked_is_taken_once_and_known_from_then_on() -> None:
    trust = viewer()
    assert trust.revocation_of(certified()) == b""
    assert trust.has_revoked(certified(), REVOCATION.signature)
    assert trust.revocation_of(certified()) == REVOCATION.signature
    assert trust.check(certified(), 0, None) is Mistrust.REVOKED


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        bytes(64),
        REVOCATION.signature + b"\x00",
        Revocation.issue(OTHER, "shoal", KEY.public).signature,
        Revocation.issue(KEY, "shoal", KEY.public).signature,
        Revocation.issue(AUTHORITY, "other", KEY.public).signature,
        Revocation.issue(AUTHORITY, "shoal", NEW_KEY.public).signature,
        Certificate.issue(AUTHORITY, "shoal", "a", KEY.public, expires=LATE).signature,
    ],
)
def test_what_the_authority_did_not_sign_of_that_key_takes_nobody_out(wrong: bytes) -> None:
    trust = viewer()
    assert not trust.has_revoked(certified(), wrong)
    assert trust.check(certified(), 0, None) is None


def test_without_an_authority_nobody_is_revoked() -> None:
    trust = SignedIdentity(OTHER, "shoal")
    assert not trust.has_revoked(certified(), REVOCATION.signature)
    assert trust.revocation_of(certified()) == b""


def test_of_too_many_the_first_are_remembered() -> None:
    known = authority(REVOCATION)
    filler = (Revocation(IdentityKey(number.to_bytes(32)).public, bytes(64)) for number in range(9, 5009))
    assert known.learn(filler)
    assert not known.learn([Revocation.issue(AUTHORITY, "shoal", NEW_KEY.public)])
    assert len(known._revocations) == MAX_REVOCATIONS
    assert viewer(REVOCATION).check(certified(), 0, None) is Mistrust.REVOKED


def test_a_revocation_reads_what_it_writes() -> None:
    assert Revocation.parse(REVOCATION.text + "\n") == REVOCATION
    other = Revocation.issue(AUTHORITY, "shoal", NEW_KEY.public)
    assert Revocation.parse_all(f"# stolen\n\n{REVOCATION.text} # a\n{other.text}") == [REVOCATION, other]


@given(st.text() | st.binary(max_size=200).map(lambda data: "shoal-revocation:" + data.hex()))
def test_what_is_no_revocation_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ConfigError, match=r"not shown.*shoal keys revoke"):
        Revocation.parse(text)
