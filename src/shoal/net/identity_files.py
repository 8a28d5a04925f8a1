"""The identity that a configuration names."""

from __future__ import annotations

import time
from contextlib import suppress

from shoal.config import ClusterConfig
from shoal.errors import ConfigError
from shoal.net.revocation_file import read_revocations
from shoal.net.secret_file import read_public, read_secret
from shoal.wire.certificates import Authority, Certificate, is_among
from shoal.wire.identity import SignedIdentity
from shoal.wire.identity_keys import IdentityKey, PublicKey
from shoal.wire.tokens import AdmissionToken

__all__ = ["configured_identity", "read_identity_key", "read_public_key", "read_revocable"]


def configured_identity(config: ClusterConfig) -> SignedIdentity | None:
    """What the configured files make of this node; None without an identity.

    Raises `ConfigError` for a file that cannot be read or is of another kind, and for a certificate that would admit
    this node nowhere. Warns of a key that others can read.
    """
    if config.identity_key is None:
        return None
    key = read_identity_key("identity_key", config.identity_key)
    if config.authority is None:
        return SignedIdentity(key, config.cluster)
    authority = Authority(read_public_key("authority", config.authority), config.cluster, time.time)
    if config.revocations is not None:
        authority.learn(read_revocations(config.revocations, authority))
    setting, path, certificate = _credential(key, config)
    problem = _problem(certificate, authority, key, config)
    if problem is not None:
        raise ConfigError(setting, path, problem)
    return SignedIdentity(key, config.cluster, authority, certificate)


def read_identity_key(setting: str, path: str) -> IdentityKey:
    """The secret key in a file. Raises `ConfigError`."""
    text = read_secret(setting, path, "make one with `shoal keygen --identity -o FILE`")
    try:
        return IdentityKey.parse(text)
    except ConfigError:
        raise ConfigError(setting, path, IdentityKey.REMEDY) from None


def read_public_key(setting: str, path: str) -> PublicKey:
    """The public key in a file. Raises `ConfigError`."""
    text = read_public(setting, path, "`shoal keygen --identity -o FILE` writes it into FILE.pub")
    try:
        return PublicKey.parse(text)
    except ConfigError:
        raise ConfigError(setting, path, PublicKey.REMEDY) from None


def read_revocable(path: str) -> PublicKey:
    """Whose key the certificate, public key or admission token in a file holds. Raises `ConfigError`."""
    text = read_public("FILE", path, "give a certificate, a node's identity.pub or an admission token")
    for read in (
        PublicKey.parse,
        lambda text: Certificate.parse(text).public_key,
        lambda text: AdmissionToken.parse(text).key.public,
    ):
        with suppress(ConfigError):
            return read(text)
    raise ConfigError("FILE", path, "holds neither a certificate nor a public key nor an admission token")


def _credential(key: IdentityKey, config: ClusterConfig) -> tuple[str, str, Certificate]:
    """What admits this node, and the setting and path that it comes from."""
    if config.admission_token is None:
        assert config.identity_certificate is not None, "the configuration has been checked"
        return "identity_certificate", config.identity_certificate, _read_certificate(config.identity_certificate)
    assert config.name is not None, "it has been chosen by now"
    token = _read_token(config.admission_token)
    return "admission_token", config.admission_token, token.admit(config.cluster, config.name, key.public)


def _read_token(path: str) -> AdmissionToken:
    text = read_secret("admission_token", path, "have one made with `shoal keys token`")
    try:
        return AdmissionToken.parse(text)
    except ConfigError:
        raise ConfigError("admission_token", path, AdmissionToken.REMEDY) from None


def _read_certificate(path: str) -> Certificate:
    text = read_public("identity_certificate", path, "have one made with `shoal keys issue`")
    try:
        return Certificate.parse(text)
    except ConfigError:
        raise ConfigError("identity_certificate", path, Certificate.REMEDY) from None


def _problem(certificate: Certificate, authority: Authority, key: IdentityKey, config: ClusterConfig) -> str | None:
    """Why others would refuse this node with it."""
    if certificate.public_key != key.public:
        return "is for another identity_key; issue one for this node's own"
    if certificate.name != config.name:
        return f"is for the name {certificate.name!r}; set that as name, or issue one for {config.name!r}"
    if certificate.grant is not None and not is_among(certificate.name, certificate.grant.names):
        return f"is for the name {certificate.grant.names!r}; set such a name, or have one issued for {config.name!r}"
    if not authority.has_issued(certificate):
        return f"is not by the authority in {config.authority}, or for another cluster than {config.cluster!r}"
    if certificate.terms.expires <= time.time():
        return "has expired; issue another one"
    if authority.revocation_of(certificate):
        return f"is revoked in {config.revocations}; make another identity_key, and have a certificate issued for it"
    return None
