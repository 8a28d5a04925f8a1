"""Rights: who may change keys and ask others to leave, where there is an authority."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.wire.access import Access
from shoal.wire.certificates import Authority, Certificate, Right
from shoal.wire.envelope import LINE_SIZE, Position
from shoal.wire.identity_keys import IdentityKey
from shoal.wire.tokens import AdmissionToken

AUTHORITY, OTHER, KEY = (IdentityKey(bytes([number]) * 32) for number in range(3))
NOW = 1_800_000_000
CLUSTER = b"\x05shoal"
REQUEST = b"\x02abcd"
WHERE = Position(bytes(LINE_SIZE), NOW, 7)


def certificate(
    *rights: Right, by: IdentityKey = AUTHORITY, expires: int = NOW + 1, cluster: str = "shoal"
) -> Certificate:
    return Certificate.issue(by, cluster, "op", KEY.public, expires=expires, rights=rights)


def access(of: Certificate, *, at: int = NOW, cluster: bytes = CLUSTER) -> Access:
    return Access(KEY, cluster, Authority(AUTHORITY.public, cluster[1:].decode(), lambda: at), of)


def refusal(of: Certificate, right: Right = Right.KEYS, *, where: Position = WHERE, request: bytes = REQUEST) -> str:
    """What a member says to a request shown for `REQUEST` at `WHERE`."""
    return access(certificate()).check(access(of).show(REQUEST, WHERE), request, where, right)[1]


@pytest.mark.parametrize("right", Right)
def test_who_has_the_right_may(right: Right) -> None:
    assert refusal(certificate(right), right) == ""
    assert access(certificate(right)).refusal(right) == ""
    assert access(certificate()).check(access(certificate(right)).show(REQUEST, WHERE), REQUEST, WHERE, right) == (
        "op",
        "",
    )


@pytest.mark.parametrize(("held", "wanted"), [(Right.KEYS, Right.LEAVE), (Right.LEAVE, Right.KEYS)])
def test_who_has_another_right_may_not(held: Right, wanted: Right) -> None:
    told = f"op does not have the right '{wanted}'; see `shoal keys issue --allow {wanted}`"
    assert refusal(certificate(held), wanted) == told
    assert access(certificate(held)).refusal(wanted) == told


@pytest.mark.parametrize(
    "wrong",
    [
        certificate(),
        certificate(Right.KEYS, by=OTHER),
        certificate(Right.KEYS, cluster="other"),
        certificate(Right.KEYS, expires=NOW),
        replace(certificate(), terms=certificate(Right.KEYS).terms),
    ],
)
def test_who_has_no_good_certificate_with_the_right_may_not(wrong: Certificate) -> None:
    assert "does not have the right 'keys'" in refusal(wrong)


def test_a_token_gives_no_right() -> None:
    token = AdmissionToken.issue(AUTHORITY, "shoal", "op", OTHER, expires=NOW + 1)
    assert "does not have the right" in refusal(token.admit("shoal", "op", KEY.public))
    rights = replace(token, terms=certificate(Right.KEYS).terms)
    assert "does not have the right" in refusal(rights.admit("shoal", "op", KEY.public))


@pytest.mark.parametrize(
    "elsewhere",
    [replace(WHERE, count=8), replace(WHERE, seconds=NOW + 1), replace(WHERE, line=b"x" + WHERE.line[1:])],
)
def test_what_was_shown_in_one_message_is_good_for_no_other(elsewhere: Position) -> None:
    assert refusal(certificate(Right.KEYS), where=elsewhere)


def test_what_was_shown_for_one_request_is_good_for_no_other() -> None:
    assert refusal(certificate(Right.KEYS), request=b"\x03abcd")


def test_a_certificate_of_somebody_else_is_of_no_use() -> None:
    shown = access(certificate(Right.KEYS)).show(REQUEST, WHERE)
    thief = Access(OTHER, CLUSTER, Authority(AUTHORITY.public, "shoal", lambda: NOW), certificate(Right.KEYS))
    assert thief.show(REQUEST, WHERE) != shown
    assert access(certificate()).check(thief.show(REQUEST, WHERE), REQUEST, WHERE, Right.KEYS)[1]


@given(st.binary(max_size=300))
def test_no_bytes_are_a_right(shown: bytes) -> None:
    assert access(certificate()).check(shown, REQUEST, WHERE, Right.KEYS)[1]
