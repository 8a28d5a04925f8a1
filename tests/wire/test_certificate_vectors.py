"""The certificates in docs/protocol.md are those that are written and read."""

import re
from pathlib import Path

from shoal.wire.certificates import Certificate, Right
from shoal.wire.identity_keys import IdentityKey
from shoal.wire.revocations import Revocation
from shoal.wire.tokens import AdmissionToken

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")
AUTHORITY, TOKEN, NODE = (IdentityKey(bytes([number]) * 32) for number in (1, 2, 3))
EXPIRY = 1_800_000_000
VECTORS = {
    what: bytes.fromhex(data)
    for what, data in re.findall(r"^\| (by the authority|with a token) \| `([0-9a-f]+)` \|$", PAGE, re.MULTILINE)
}
REVOKED = {
    what: bytes.fromhex(data)
    for what, data in re.findall(r"^\| of the (node|token) \| `([0-9a-f]+)` \|$", PAGE, re.MULTILINE)
}


def test_revocations_are_signed_as_their_vectors_say() -> None:
    keys = {"node": NODE.public, "token": TOKEN.public}
    assert {what: Revocation.issue(AUTHORITY, "shoal", key).signature for what, key in keys.items()} == REVOKED
    for what, key in keys.items():
        assert Revocation(key, REVOKED[what]).is_by(AUTHORITY.public, "shoal")


def test_certificates_are_written_and_read_as_their_vectors_say() -> None:
    by_authority = Certificate.issue(
        AUTHORITY, "shoal", "gpu-1", NODE.public, expires=EXPIRY, namespaces=["role"], rights=[Right.KEYS]
    )
    token = AdmissionToken.issue(AUTHORITY, "shoal", "gpu-*", TOKEN, expires=EXPIRY, namespaces=["role"])
    with_token = token.admit("shoal", "gpu-1", NODE.public)
    assert {"by the authority": by_authority.packed, "with a token": with_token.packed} == VECTORS
    for certificate in (by_authority, with_token):
        assert Certificate.read(certificate.packed, "gpu-1", NODE.public) == certificate
        assert certificate.is_by(AUTHORITY.public, "shoal")
