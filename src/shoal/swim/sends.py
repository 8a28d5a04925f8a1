"""How often one update is sent: what each passes on to log n others reaches all, most likely (SWIM §4.1)."""

from __future__ import annotations

from math import ceil, log10

from shoal.config import ClusterConfig

__all__ = ["eager_sends", "retransmit_limit"]


def retransmit_limit(config: ClusterConfig, members: int) -> int:
    """How often one update is sent: lambda * ceil(log10(n + 1)), memberlist's form of SWIM's lambda * log n."""
    return config.retransmit_mult * ceil(log10(members + 1))


def eager_sends(config: ClusterConfig) -> int:
    """How often of these it is worth packets of its own; the other times it rides on probes and acks."""
    return config.gossip_rounds * config.gossip_fanout
