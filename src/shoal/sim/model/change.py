"""One member publishes something: how soon all know, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from shoal.sim.model.agenda import Ints
from shoal.sim.model.arrays import np
from shoal.sim.model.setting import Setting
from shoal.sim.model.spread import Spread

__all__ = ["ChangeOutcome", "play_change", "spread_of"]

_NEWS = 1


@dataclass(frozen=True, slots=True)
class ChangeOutcome:
    """How one change went through the cluster."""

    delays: tuple[float, ...]
    """Seconds until each of the shares that were asked for had heard of it; infinite where that many never did."""
    missed: int
    """Members that gossip never reached; comparing digests repairs them."""
    rounds_per_member: float
    """Datagrams of gossip that one member sends because of it."""
    sends_per_member: float
    """Copies of the update that one member sends, in gossip and on pings and acks."""


def play_change(setting: Setting, seed: int, shares: Sequence[float]) -> ChangeOutcome:
    """Let one member say something, until nobody passes it on any more."""
    heard = np.full(setting.members, inf)

    def hear(members: Ints, _updates: Ints, now: float) -> None:
        fresh = members[heard[members] == inf]
        heard[fresh] = now
        spread.say(fresh, _NEWS, now)

    spread = Spread(setting, np.random.default_rng(seed), hear)
    author = np.zeros(1, np.int32)
    hear(author, author, 0.0)
    while spread.next < inf:
        spread.step()
    return ChangeOutcome(
        delays=spread_of(heard[1:], shares),
        missed=int(np.isinf(heard).sum()),
        rounds_per_member=spread.rounds / setting.members,
        sends_per_member=spread.carried / setting.members,
    )


def spread_of(delays: np.typing.NDArray[np.float64], shares: Sequence[float]) -> tuple[float, ...]:
    """Seconds until each share of the members had heard: nearest rank."""
    ranks = [max(0, int(np.ceil(share * len(delays))) - 1) for share in shares]
    ordered = np.sort(delays)
    return tuple(float(ordered[rank]) for rank in ranks)
