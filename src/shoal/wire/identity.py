"""Records, goodbyes, stalls and accusations that members sign (docs/protocol.md, section 13)."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import replace
from math import ceil
from struct import Struct
from typing import Final

from shoal.errors import ConfigError
from shoal.events import Mistrust
from shoal.types import NodeId, NodeInfo
from shoal.wire.access import Access
from shoal.wire.certificates import Authority, Certificate, forbidden_tag
from shoal.wire.dialect import DecodeError
from shoal.wire.fields import write_statement
from shoal.wire.generations import Generations
from shoal.wire.identity_keys import SIGNATURE_SIZE, IdentityKey, PublicKey
from shoal.wire.revocations import Revocation

__all__ = ["SignedIdentity"]

_BARE: Final = PublicKey.SIZE + SIGNATURE_SIZE
"""Bytes of a proof without a certificate."""
_RECORD: Final = b"shoal record"
_SUSPECT: Final = b"shoal suspect"
_GOODBYE: Final = b"shoal goodbye"
_STALL: Final = b"shoal stall"
_DECLARED: Final = Struct(">H")
"""For how many seconds a stall was declared."""
_REMEMBERED: Final = 4096
"""Verdicts on signatures per generation; some 200 bytes each."""


class SignedIdentity:
    """A node with an identity among nodes with identities; implements `shoal.swim.trust.Trust`.

    Without an authority a name belongs to the key with which it is first seen, for as long as it is in the member
    table; with one, to whom it gave a certificate, and among those with tokens again to the first. What was verified is
    remembered, up to a bound, and not verified again.
    """

    __slots__ = ("_authority", "_certificate", "_cluster", "_key", "_verdicts")

    is_credulous = False

    def __init__(
        self,
        key: IdentityKey,
        cluster: str,
        authority: Authority | None = None,
        certificate: Certificate | None = None,
    ) -> None:
        self._key = key
        name = cluster.encode()
        self._cluster = bytes((len(name),)) + name
        self._authority = authority
        self._certificate = certificate
        self._verdicts: Generations[bool] = Generations(_REMEMBERED)

    def sign(self, info: NodeInfo, incarnation: int) -> NodeInfo:
        """This node's own record with the proof that it is.

        Raises `ConfigError` for a tag that its certificate does not allow.
        """
        certificate = b""
        if self._certificate is not None:
            tag = forbidden_tag(self._certificate.terms.namespaces, info.tags)
            if tag is not None:
                allowed = ", ".join(self._certificate.terms.namespaces) or "none"
                raise ConfigError("tags", tag, f"the certificate of this node allows {allowed}; have another issued")
            certificate = self._certificate.packed
        signature = self._key.sign(self._signed_part(info, incarnation, certificate))
        return replace(info, proof=self._key.public + signature + certificate)

    def check(self, info: NodeInfo, incarnation: int, known: NodeInfo | None) -> Mistrust | None:
        """Why a record is not its owner's word; None if it is."""
        if not info.proof:
            return Mistrust.UNSIGNED
        if len(info.proof) < _BARE:
            return Mistrust.BAD_SIGNATURE
        # The cheap questions first: a stranger with a key of its own costs no verification.
        if self._authority is not None:
            mistrust = self._check_certificate(info, self._authority, known)
        elif known is not None and _public_key(known) != _public_key(info):
            mistrust = Mistrust.KEY_CHANGED
        else:
            mistrust = None
        return mistrust or self._check_signature(info, incarnation)

    def sign_accusation(self, id: NodeId, incarnation: int, accuser: NodeId) -> bytes:
        """This node's word, as `accuser`, that a run does not answer at an incarnation."""
        return self._key.sign(self._accusation(id, incarnation, accuser))

    def has_accused(self, accuser: NodeInfo, id: NodeId, incarnation: int, signature: bytes) -> bool:
        """Whether a member signed that a run does not answer at an incarnation."""
        return self._has_signed(accuser, signature, self._accusation(id, incarnation, accuser.id))

    def sign_goodbye(self, id: NodeId, incarnation: int) -> bytes:
        """This node's word that its run goes, at its last incarnation."""
        return self._key.sign(self._goodbye(id, incarnation))

    def has_left(self, info: NodeInfo, incarnation: int, signature: bytes) -> bool:
        """Whether a member signed its goodbye."""
        return self._has_signed(info, signature, self._goodbye(info.id, incarnation))

    def sign_stall(self, id: NodeId, number: int, seconds: float) -> bytes:
        """This node's word that its run does not answer for so long; behind the seconds, rounded up."""
        declared = _DECLARED.pack(ceil(seconds))
        return declared + self._key.sign(self._stall(id, number, declared))

    def has_declared(self, info: NodeInfo, number: int, seconds: float, proof: bytes) -> bool:
        """Whether a member signed a declaration of which so many seconds can be left."""
        declared, signature = proof[: _DECLARED.size], proof[_DECLARED.size :]
        if len(signature) != SIGNATURE_SIZE or seconds > _DECLARED.unpack(declared)[0]:
            return False
        return self._has_signed(info, signature, self._stall(info.id, number, declared))

    def revocation_of(self, info: NodeInfo) -> bytes:
        """The authority's signature against the key of a member, or of its token; empty if none is known."""
        authority = self._authority
        if authority is None or not authority.has_revocations:
            return b""
        certificate = _certificate_of(info)
        return b"" if certificate is None else authority.revocation_of(certificate)

    def has_revoked(self, info: NodeInfo, proof: bytes) -> bool:
        """Whether the authority signed that the key of a member, or of its token, counts for nothing."""
        certificate = None if self._authority is None or len(proof) != SIGNATURE_SIZE else _certificate_of(info)
        if self._authority is None or certificate is None:
            return False
        found = (Revocation(key, proof) for key in certificate.keys)
        revocation = next(filter(self._authority.has_revoked, found), None)
        if revocation is not None:
            self._authority.learn([revocation])
        return revocation is not None

    @property
    def authority(self) -> Authority | None:
        """Who admits members, and takes that back; None where names are pinned to keys."""
        return self._authority

    @property
    def access(self) -> Access | None:
        """How this node shows and asks for rights; None without an authority, who alone gives them."""
        if self._authority is None or self._certificate is None:
            return None
        return Access(self._key, self._cluster, self._authority, self._certificate)

    def _accusation(self, id: NodeId, incarnation: int, accuser: NodeId) -> bytes:
        return b"".join((_SUSPECT, self._cluster, id, incarnation.to_bytes(8), accuser))

    def _goodbye(self, id: NodeId, incarnation: int) -> bytes:
        return b"".join((_GOODBYE, self._cluster, id, incarnation.to_bytes(8)))

    def _stall(self, id: NodeId, number: int, declared: bytes) -> bytes:
        return b"".join((_STALL, self._cluster, id, number.to_bytes(8), declared))

    def _check_certificate(self, info: NodeInfo, authority: Authority, known: NodeInfo | None) -> Mistrust | None:
        certificate = _certificate_of(info)
        if certificate is None:
            return Mistrust.UNCERTIFIED
        name = info.name.encode()
        data = b"".join((bytes((len(name),)), name, _public_key(info), info.proof[_BARE:]))
        digest = hashlib.blake2b(data, digest_size=16, person=b"certificate").digest()
        is_issued = self._verdicts.get(digest)
        if is_issued is None:
            is_issued = authority.has_issued(certificate)
            self._verdicts.put(digest, is_issued)
        if not is_issued:
            return Mistrust.UNCERTIFIED
        is_taken = (
            certificate.grant is not None
            and known is not None
            and _public_key(known) != _public_key(info)
            and not self.revocation_of(known)
        )
        return Mistrust.KEY_CHANGED if is_taken else authority.check(certificate, info)

    def _check_signature(self, info: NodeInfo, incarnation: int) -> Mistrust | None:
        data = self._signed_part(info, incarnation, info.proof[_BARE:])
        is_genuine = self._has_signed(info, info.proof[PublicKey.SIZE : _BARE], data)
        return None if is_genuine else Mistrust.BAD_SIGNATURE

    def _has_signed(self, signer: NodeInfo, signature: bytes, data: bytes) -> bool:
        """Whether the key in a record signed `data`; what is remembered is not verified again."""
        key = _public_key(signer)
        # The data begins with what it is, so that none stands for another.
        digest = hashlib.blake2b(key + signature + data, digest_size=16, person=b"signature").digest()
        is_genuine = self._verdicts.get(digest)
        if is_genuine is None:
            is_genuine = PublicKey(key).has_signed(signature, data)
            self._verdicts.put(digest, is_genuine)
        return is_genuine

    def _signed_part(self, info: NodeInfo, incarnation: int, certificate: bytes) -> bytes:
        return b"".join((_RECORD, self._cluster, incarnation.to_bytes(8), write_statement(info), certificate))


def _certificate_of(info: NodeInfo) -> Certificate | None:
    """What stands behind a record's proof, unchecked; None if that is no certificate."""
    try:
        return Certificate.read(info.proof[_BARE:], info.name, PublicKey(_public_key(info)))
    except (DecodeError, IndexError, struct.error, UnicodeDecodeError):
        return None


def _public_key(info: NodeInfo) -> bytes:
    return info.proof[: PublicKey.SIZE]
