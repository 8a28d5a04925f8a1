"""How often one update is sent: what each passes on to log n others reaches all, most likely (SWIM §4.1)."""

from __future__ import annotations

from math import ceil, log10
from typing import Final

from shoal.config import ClusterConfig

__all__ = ["eager_sends", "feedback_limit", "retransmit_limit"]

_MOST_TENS: Final = 3
"""With more rounds, 10,000 nodes on two cores were too busy with gossip to answer in time."""


def retransmit_limit(config: ClusterConfig, members: int) -> int:
    """How often one update is sent: lambda * ceil(log10(n + 1)), memberlist's form of SWIM's lambda * log n."""
    return config.retransmit_mult * _tens(members)


def eager_sends(config: ClusterConfig, members: int) -> int:
    """How often of these it is worth packets of its own; the other times it rides on probes and acks.

    Whom the rounds miss hear of it from their neighbours within about an interval, so in large clusters rounds are not
    what it takes to reach the last.
    """
    return config.gossip_rounds * config.gossip_fanout * min(_tens(members), _MOST_TENS)


def feedback_limit(limit: int) -> int:
    """Up to how many sends hearing an update counts as one: two thirds of `limit`.

    The others it gets in any case: whom all rounds missed hears of it on a ping or an ack of a neighbour.
    """
    return 2 * limit // 3


def _tens(members: int) -> int:
    return ceil(log10(members + 1))
