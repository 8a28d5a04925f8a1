"""Keys from the file that a configuration names."""

from __future__ import annotations

from shoal.config import ClusterConfig
from shoal.errors import ConfigError
from shoal.keys import HIDDEN, ClusterKey, parse_keys
from shoal.net.secret_file import read_secret

__all__ = ["configured_keys", "refuse_key"]


def configured_keys(config: ClusterConfig) -> tuple[ClusterKey, ...]:
    """The keys that `config` holds or names, the first one sealing; none means no encryption.

    Raises `ConfigError` for a file that cannot be read or holds no key. Warns of one that others can read.
    """
    if config.key_file is None:
        return config.keys
    refuse_key("key_file", config.key_file, "give it as keys, or put it into a file")
    text = read_secret("key_file", config.key_file, "make one with `shoal keygen`")
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    try:
        keys = parse_keys(line for line in lines if line)
    except ConfigError as error:
        raise ConfigError("key_file", config.key_file, error.problem) from None
    if not keys:
        raise ConfigError("key_file", config.key_file, "there is no key in it; make one with `shoal keygen`")
    return keys


def refuse_key(setting: str, path: str, remedy: str) -> None:
    """Raise `ConfigError` for a key where a path belongs, which must not come back in a message."""
    try:
        ClusterKey.parse(path)
    except ConfigError:
        return
    raise ConfigError(setting, HIDDEN, f"is a key and no path; {remedy}")
