"""The identity that a configuration names."""

from __future__ import annotations

from shoal.config import ClusterConfig
from shoal.errors import ConfigError
from shoal.net.secret_file import read_secret
from shoal.wire.identity import IdentityKey, SignedIdentity

__all__ = ["configured_identity", "read_identity_key"]


def configured_identity(config: ClusterConfig) -> SignedIdentity | None:
    """What the configured files make of this node; None without an identity.

    Raises `ConfigError` for a file that cannot be read or is of another kind. Warns of a key that others can read.
    """
    if config.identity_key is None:
        return None
    return SignedIdentity(read_identity_key("identity_key", config.identity_key), config.cluster)


def read_identity_key(setting: str, path: str) -> IdentityKey:
    """The secret key in a file. Raises `ConfigError`."""
    text = read_secret(setting, path, "make one with `shoal keygen --identity -o FILE`")
    try:
        return IdentityKey.parse(text)
    except ConfigError:
        raise ConfigError(setting, path, IdentityKey.REMEDY) from None
