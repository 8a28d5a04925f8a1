"""Keeps nodes without keys to their machine, unless they were told that the network is to be trusted."""

from __future__ import annotations

import logging

from shoal.config import ClusterConfig
from shoal.errors import ConfigError
from shoal.types import Address

__all__ = ["check_exposure"]

_log = logging.getLogger("shoal.net")


def check_exposure(config: ClusterConfig, bound: Address) -> None:
    """Look at where a node without keys listens, and what it tells peers to send to.

    Raises `ConfigError` for an address that other machines can reach; warns instead with `allow_unencrypted`.
    """
    for field, address in (("bind", bound), ("advertise", config.advertise)):
        if address is None or address.is_loopback:
            continue
        if not config.allow_unencrypted:
            raise ConfigError(
                field,
                str(address),
                "other machines could read and forge what members say; set key_file or keys (see `shoal keygen`), or "
                "set allow_unencrypted if everybody in that network may",
            )
        _log.warning(
            "%s: %s is %s, and nothing is encrypted or authenticated: whoever can send to it is believed; set key_file "
            "or keys",
            config.name,
            field,
            address,
            extra={"event": "unencrypted", "address": str(address)},
        )
        return
