"""Admission tokens: who may join with one, and under which name."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.errors import ConfigError
from shoal.events import Mistrust
from shoal.types import Address, NodeId, NodeInfo, Tags
from shoal.wire.certificates import Authority, Certificate, Grant, Right, Terms
from shoal.wire.identity import SignedIdentity
from shoal.wire.identity_keys import IdentityKey
from shoal.wire.tokens import AdmissionToken

AUTHORITY, OTHER, TOKEN, KEY, NEW_KEY = (IdentityKey(bytes([number]) * 32) for number in range(5))
NOW = 1_800_000_000
INFO = NodeInfo("gpu-1", NodeId(bytes(16)), Address("10.0.0.1", 7946), Tags({"role": "worker"}))


def token(
    names: str = "gpu-*",
    *,
    by: IdentityKey = AUTHORITY,
    cluster: str = "shoal",
    expires: int = NOW + 1,
    namespaces: tuple[str, ...] = ("role",),
) -> AdmissionToken:
    return AdmissionToken.issue(by, cluster, names, TOKEN, expires=expires, namespaces=namespaces)


def admitted(by: AdmissionToken, info: NodeInfo = INFO, key: IdentityKey = KEY) -> NodeInfo:
    certificate = by.admit("shoal", info.name, key.public)
    return signed(certificate, info, key)


def signed(certificate: Certificate, info: NodeInfo = INFO, key: IdentityKey = KEY) -> NodeInfo:
    """Whatever it may publish."""
    own = SignedIdentity(key, "shoal")
    signature = key.sign(own._signed_part(info, 0, certificate.packed))
    return replace(info, proof=key.public + signature + certificate.packed)


def check(info: NodeInfo, known: NodeInfo | None = None, *, at: int = NOW) -> Mistrust | None:
    authority = Authority(AUTHORITY.public, "shoal", lambda: at)
    return SignedIdentity(IdentityKey(bytes(32)), "shoal", authority).check(info, 0, known)


@pytest.mark.parametrize("names", ["gpu-*", "gpu-1", "*"])
def test_a_node_of_a_name_that_the_token_is_for_is_taken_in(names: str) -> None:
    assert check(admitted(token(names))) is None


@pytest.mark.parametrize("names", ["gpu-2", "gpu", "cpu-*", "gpu-1-*"])
def test_a_node_of_another_name_is_refused(names: str) -> None:
    assert check(admitted(token(names))) is Mistrust.UNCERTIFIED


@pytest.mark.parametrize("wrong", [token(by=OTHER), token(cluster="other")])
def test_a_token_of_another_authority_or_cluster_is_refused(wrong: AdmissionToken) -> None:
    assert check(admitted(wrong)) is Mistrust.UNCERTIFIED


def test_the_admission_ends_with_the_token() -> None:
    assert check(admitted(token()), at=NOW + 1) is Mistrust.EXPIRED


def test_tags_are_those_of_the_token() -> None:
    assert check(admitted(token(namespaces=("gpu",)))) is Mistrust.FORBIDDEN_TAG


@pytest.mark.parametrize(
    "terms", [Terms(NOW + 100, ("role",)), Terms(NOW + 1), Terms(NOW + 1, ("role",), frozenset(Right))]
)
def test_whoever_holds_a_token_cannot_better_its_terms(terms: Terms) -> None:
    assert check(admitted(replace(token(), terms=terms))) is Mistrust.UNCERTIFIED


def test_whoever_holds_a_token_cannot_widen_its_names() -> None:
    narrow = token("cpu-1")
    wide = replace(narrow, grant=replace(narrow.grant, names="*"))
    assert check(admitted(wide)) is Mistrust.UNCERTIFIED


def test_who_was_admitted_cannot_admit_others() -> None:
    terms = token().terms
    mine = token().admit("shoal", "gpu-1", KEY.public)
    grant = Grant("*", KEY.public, mine.signature)
    assert check(signed(grant.admit(KEY, "shoal", "gpu-2", NEW_KEY.public, terms), key=NEW_KEY)) is Mistrust.UNCERTIFIED


def test_a_certificate_is_no_token_and_a_token_no_certificate() -> None:
    certificate = Certificate.issue(AUTHORITY, "shoal", "gpu-*", TOKEN.public, expires=NOW + 1, namespaces=("role",))
    forged = AdmissionToken(TOKEN, Grant("gpu-*", TOKEN.public, certificate.signature), certificate.terms)
    assert check(admitted(forged)) is Mistrust.UNCERTIFIED
    own = token("gpu-1")
    assert check(signed(Certificate("gpu-1", TOKEN.public, own.terms, own.grant.signature), key=TOKEN)) is (
        Mistrust.UNCERTIFIED
    )


def test_a_name_that_is_known_is_not_taken_with_a_token() -> None:
    by_certificate = signed(Certificate.issue(AUTHORITY, "shoal", "gpu-1", KEY.public, expires=NOW + 1))
    for known in (by_certificate, admitted(token())):
        assert check(admitted(token(), key=NEW_KEY), known) is Mistrust.KEY_CHANGED
        assert check(admitted(token()), known) is None


def test_a_certificate_takes_a_name_back_from_a_token() -> None:
    own = signed(Certificate.issue(AUTHORITY, "shoal", "gpu-1", NEW_KEY.public, expires=NOW + 1), key=NEW_KEY)
    assert check(own, admitted(token())) is None


name_patterns = st.text(min_size=1, max_size=20, alphabet=st.characters(exclude_categories=["C", "Z"])).filter(
    lambda names: "*" not in names[:-1]
)


@given(name_patterns, st.integers(0, 2**64 - 1))
def test_a_token_reads_what_it_writes(names: str, expires: int) -> None:
    written = token(names, expires=expires)
    assert AdmissionToken.parse(written.text + "\n") == written


def test_a_token_shows_its_names_alone() -> None:
    assert repr(token()) == str(token()) == "AdmissionToken(for 'gpu-*')"


@pytest.mark.parametrize("text", ["", "AAAA", "shoal-token:", "shoal-token:AAAA", KEY.text, token().text[:-8]])
def test_what_is_no_token_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ConfigError, match=r"not shown.*shoal keys token"):
        AdmissionToken.parse(text)


@pytest.mark.parametrize("names", ["", "a\nb", "x" * 129])
def test_what_can_be_no_name_is_refused(names: str) -> None:
    with pytest.raises(ConfigError, match="1 to 128 bytes"):
        token(names)


@pytest.mark.parametrize("names", ["a*b", "*b", "gpu-**", "a*b*"])
def test_a_wildcard_before_the_end_is_refused(names: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"{names!r}: only a '*' at the end stands for anything")):
        token(names)


def test_namespaces_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="name fewer"):
        token(namespaces=tuple(f"namespace-{number}" for number in range(60)))


@given(st.binary(max_size=300))
def test_no_bytes_behind_a_signature_raise_anything(data: bytes) -> None:
    info = replace(INFO, proof=KEY.public + bytes(64) + data)
    assert check(info) in (Mistrust.UNCERTIFIED, Mistrust.EXPIRED, Mistrust.FORBIDDEN_TAG)
