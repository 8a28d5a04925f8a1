"""Certificates: whom an authority admits, until when, and with which tags."""

from dataclasses import replace

import pytest

from shoal.errors import ConfigError
from shoal.events import Mistrust
from shoal.types import Address, NodeId, NodeInfo, Tags
from shoal.wire.certificates import Authority, Certificate, Right, Terms
from shoal.wire.identity import SignedIdentity
from shoal.wire.identity_keys import IdentityKey

AUTHORITY, OTHER = IdentityKey(bytes([9]) * 32), IdentityKey(bytes([8]) * 32)
KEY, NEW_KEY = IdentityKey(bytes([1]) * 32), IdentityKey(bytes([2]) * 32)
NOW = 1_800_000_000
INFO = NodeInfo("a", NodeId(bytes(16)), Address("10.0.0.1", 7946), Tags({"gpu": "2", "gpu.model": "x"}))


def certificate(
    *,
    by: IdentityKey = AUTHORITY,
    key: IdentityKey = KEY,
    name: str = "a",
    cluster: str = "shoal",
    expires: int = NOW + 1,
    namespaces: tuple[str, ...] = ("*",),
    rights: tuple[Right, ...] = (),
) -> Certificate:
    return Certificate.issue(by, cluster, name, key.public, expires=expires, namespaces=namespaces, rights=rights)


def signed(certificate: Certificate, info: NodeInfo = INFO, *, by: IdentityKey = KEY) -> NodeInfo:
    return SignedIdentity(by, "shoal", None, certificate).sign(info, 0)


def check(info: NodeInfo, known: NodeInfo | None = None, *, at: int = NOW) -> Mistrust | None:
    authority = Authority(AUTHORITY.public, "shoal", lambda: at)
    return SignedIdentity(IdentityKey(bytes(32)), "shoal", authority).check(info, 0, known)


def test_whom_the_authority_admits_is_taken_in() -> None:
    assert check(signed(certificate())) is None


def test_who_has_no_certificate_is_refused() -> None:
    assert check(SignedIdentity(KEY, "shoal").sign(INFO, 0)) is Mistrust.UNCERTIFIED


@pytest.mark.parametrize(
    "wrong",
    [
        certificate(by=OTHER),
        certificate(name="b"),
        certificate(key=NEW_KEY),
        certificate(cluster="other"),
        replace(certificate(), terms=Terms(NOW + 1000)),
        replace(certificate(namespaces=("gpu",)), terms=Terms(NOW + 1)),
        replace(certificate(), terms=Terms(NOW + 1, rights=frozenset(Right))),
        replace(certificate(), signature=b""),
    ],
)
def test_a_certificate_of_another_authority_name_key_or_cluster_or_an_altered_one_is_refused(
    wrong: Certificate,
) -> None:
    assert check(signed(wrong)) is Mistrust.UNCERTIFIED


def test_an_expired_certificate_is_refused() -> None:
    assert check(signed(certificate()), at=NOW + 1) is Mistrust.EXPIRED


def test_a_certificate_expires_although_it_was_verified_before() -> None:
    times = iter([NOW, NOW + 1])
    own = SignedIdentity(IdentityKey(bytes(32)), "shoal", Authority(AUTHORITY.public, "shoal", lambda: next(times)))
    info = signed(certificate())
    assert [own.check(info, 0, None), own.check(info, 0, info)] == [None, Mistrust.EXPIRED]


@pytest.mark.parametrize(("namespaces", "allowed"), [(("gpu",), True), (("gpu.model",), False), ((), False)])
def test_tags_are_those_of_the_certificate(namespaces: tuple[str, ...], allowed: bool) -> None:
    forged = SignedIdentity(KEY, "shoal", None, certificate(namespaces=namespaces))
    if allowed:
        assert check(forged.sign(INFO, 0)) is None
    else:
        with pytest.raises(ConfigError, match=r"tags = 'gpu'.*have another issued"):
            forged.sign(INFO, 0)


def test_a_member_that_signs_a_forbidden_tag_is_refused() -> None:
    packed = certificate(namespaces=("role",)).packed
    own = SignedIdentity(KEY, "shoal")
    signature = KEY.sign(own._signed_part(INFO, 0, packed))
    assert check(replace(INFO, proof=KEY.public + signature + packed)) is Mistrust.FORBIDDEN_TAG


def test_nobody_puts_another_certificate_into_a_signed_record() -> None:
    info = signed(certificate(namespaces=("gpu",)))
    assert check(replace(info, proof=info.proof[:96] + certificate().packed)) is Mistrust.BAD_SIGNATURE


def test_the_authority_may_give_a_name_to_another_key() -> None:
    known = signed(certificate())
    assert check(signed(certificate(key=NEW_KEY), by=NEW_KEY), known) is None


def test_a_certificate_reads_what_it_writes() -> None:
    written = certificate(name="größe", namespaces=("gpu", "µ"), rights=(Right.LEAVE,))
    assert Certificate.parse(written.text + "\n") == written


@pytest.mark.parametrize("text", ["", "AAAA", "shoal-certificate:", "shoal-certificate:AAAA", KEY.text])
def test_what_is_no_certificate_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ConfigError, match=r"not shown.*shoal keys issue"):
        Certificate.parse(text)


def test_namespaces_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="name fewer"):
        certificate(namespaces=tuple(f"namespace-{number}" for number in range(100)))
