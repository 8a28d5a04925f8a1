"""Which address peers are told to send to."""

from __future__ import annotations

import socket

from shoal.config import ClusterConfig
from shoal.errors import ConfigError
from shoal.types import Address

__all__ = ["advertised_address"]


def advertised_address(config: ClusterConfig, bound: Address) -> Address:
    """The configured one, or else the bound one, or else, for a node on every interface, the one that leads to a seed.

    Raises `ConfigError` when none of them tells.
    """
    if config.advertise is not None:
        return Address(config.advertise.host, config.advertise.port or bound.port)
    if not bound.is_unspecified:
        return bound
    for seed in config.seeds:
        host = _own_host_towards(seed, socket.AF_INET6 if ":" in bound.host else socket.AF_INET)
        if host is not None:
            return Address(host, bound.port)
    raise ConfigError(
        "advertise", None, f"bind = {str(bound)!r} means every interface; give the address that peers can reach"
    )


def _own_host_towards(seed: Address, family: socket.AddressFamily) -> str | None:
    """Which of our addresses the system would use towards `seed`; nothing is sent, and names are not looked up."""
    if seed.is_name:
        return None
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(seed)
            return str(probe.getsockname()[0])
    except OSError:
        return None
