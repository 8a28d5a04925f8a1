"""What is modelled: how many members, how they behave, and the network between them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from shoal.config import ClusterConfig
from shoal.errors import ConfigError
from shoal.swim.corroboration import checking_time
from shoal.swim.sends import eager_sends, retransmit_limit
from shoal.swim.suspicion import suspicion_bounds

__all__ = ["LEAST_MEMBERS", "MOST_MEMBERS", "Setting"]

LEAST_MEMBERS: Final = 50
"""Fewer members break what the model rests on: that two draws rarely hit the same member. Simulate those."""
MOST_MEMBERS: Final = 10_000_000


@dataclass(frozen=True, slots=True)
class Setting:
    """Everything that a run depends on besides its seed. Raises `ConfigError` for what the model does not cover."""

    members: int
    config: ClusterConfig = field(default_factory=ClusterConfig.lan)
    loss: float = 0.01
    """Share of datagrams that vanish."""
    latency: tuple[float, float] = (0.000_2, 0.001)
    """Seconds, one way, uniform between the two: the simulator's data centre."""

    def __post_init__(self) -> None:
        if not LEAST_MEMBERS <= self.members <= MOST_MEMBERS:
            raise ConfigError("nodes", self.members, f"the model covers {LEAST_MEMBERS} to {MOST_MEMBERS:,} members")
        if not 0 <= self.loss < 1:
            raise ConfigError("loss", self.loss, "must be 0 or more and below 1")
        if not self.config.gossip_fanout:
            raise ConfigError("gossip_fanout", 0, "the model needs gossip; simulate without it")

    @property
    def sends(self) -> int:
        """How often each member sends one piece of news at most."""
        return retransmit_limit(self.config, self.members)

    @property
    def eager_sends(self) -> int:
        """How often an update is sent before it rides on pings and acks alone: what its rounds of gossip have."""
        return min(eager_sends(self.config), self.sends)

    @property
    def checking_time(self) -> float:
        """Seconds from an accusation to what the challengers found; 0 if everybody hears of it at once."""
        config = self.config
        return checking_time(config) if config.corroborate and config.challengers else 0.0

    @property
    def waves_per_kill(self) -> int:
        """How often a kill is worth rounds: the suspicion, without checks its confirmations, and the death.

        With feedback the death goes on from where the suspicion stands, and rides.
        """
        config = self.config
        return 1 + (not self.checking_time) + (not config.gossip_feedback)

    @property
    def copies(self) -> float:
        """How often each member sends one piece of news.

        With feedback what is heard counts as sent after the rounds; played, it comes to half of what is left then.
        """
        riding = self.sends - self.eager_sends
        return self.eager_sends + riding * (1 / 2 if self.config.gossip_feedback else 1)

    @property
    def verdict_confirmers(self) -> int:
        """How many accusers one such copy names besides the first."""
        return suspicion_bounds(self.config, self.members).confirmations if self.checking_time else 0

    @property
    def deaths_told(self) -> float:
        """In how many of the copies the death follows."""
        return 0.5 if self.checking_time else 0.0
