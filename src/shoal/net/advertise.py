"""Which address peers are told to send to."""

from __future__ import annotations

import socket

from shoal.config import ClusterConfig
from shoal.errors import ConfigError
from shoal.net.binding import family_of
from shoal.types import Address

__all__ = ["advertised_address"]


def advertised_address(config: ClusterConfig, bound: Address) -> Address:
    """The configured one, or else the bound one, or else, for a node on every interface, the one that leads to a seed.

    A loopback address is the last choice, because a seed on this machine may have peers elsewhere. Raises `ConfigError`
    when none of them tells.
    """
    if config.advertise is not None:
        return Address(config.advertise.host, config.advertise.port or bound.port)
    if not bound.is_unspecified:
        return bound
    hosts = (_own_host_towards(seed, family_of(bound.host)) for seed in config.seeds)
    candidates = [Address(host, bound.port) for host in hosts if host is not None]
    if candidates:
        return min(candidates, key=lambda address: address.is_loopback)
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
            host = str(probe.getsockname()[0])
    except OSError:
        return None
    return None if "%" in host else host  # a zone means nothing to peers
