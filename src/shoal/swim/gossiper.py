"""Rounds of gossip: while there is fresh news, some members get a packet of it every gossip interval.

The first news after a quiet time goes out at once, so a change crosses the cluster in as many network delays as it
takes hops; only a stream of news is paced by the interval. The recently dead get gossip too: a live one hears of its
death and refutes.

Two rounds by each who hears of it bring news to all but a few, and the probes and acks of the next seconds, which are
sent in any case, to those.
"""

from __future__ import annotations

from shoal.swim.context import Context
from shoal.swim.membership import Membership
from shoal.swim.outbox import Outbox
from shoal.types import Address, MemberState
from shoal.wire.messages import Gossip

__all__ = ["Gossiper"]


class Gossiper:
    """Sends rounds while the queue holds fresh news and somebody is there to hear it."""

    def __init__(self, context: Context, membership: Membership, outbox: Outbox) -> None:
        self._config = context.config
        self._random = context.random
        self._table = context.table
        self._queue = context.queue
        self._health = context.health
        self._timers = context.timers
        self._stats = context.stats
        self._membership = membership
        self._outbox = outbox
        self._is_armed = False
        self._earliest = 0.0

    def wake(self, now: float) -> None:
        """Call after anything that may have brought news; arms the next round."""
        if not self._is_armed and self._queue.eager and self._has_audience(now):
            self._is_armed = True
            self._timers.at(max(now, self._earliest), self._round)

    def _round(self, now: float) -> None:
        self._is_armed = False
        addresses = self._choose(now)
        if not addresses:
            return  # Whoever listened is gone; the next join brings news, and with it the next round.
        stretch = self._health.multiplier if self._config.lha_gossip else 1
        self._earliest = now + self._config.gossip_interval * stretch
        self._stats.gossip_rounds += 1
        self._outbox.post_news(Gossip(0, self._table.digest, self._membership.id), addresses, now)
        self.wake(now)

    def _has_audience(self, now: float) -> bool:
        return self._others() > 0 or bool(self._recently_dead(now))

    def _others(self) -> int:
        """How many present members there are besides this node, which need not be one."""
        return self._table.present_count - self._table.is_present(self._membership.id)

    def _choose(self, now: float) -> list[Address]:
        """Random members, present or recently dead, each with the same chance."""
        dead = self._recently_dead(now)
        others = self._others()
        fanout = min(self._config.gossip_fanout, others + len(dead))
        lots = self._random.sample(range(others + len(dead)), fanout)
        chosen_dead = [dead[lot - others] for lot in lots if lot >= others]
        slots = self._table.sample(self._random, fanout - len(chosen_dead), {self._membership.id})
        return [self._table.address(slot) for slot in (*slots, *chosen_dead)]

    def _recently_dead(self, now: float) -> list[int]:
        recent = self._membership.deaths.recent
        while recent:
            oldest = next(iter(recent))
            if now - recent[oldest] <= self._config.gossip_to_dead:
                break
            del recent[oldest]
        slots = map(self._table.slot_of, recent)
        return [slot for slot in slots if slot is not None and self._table.state(slot) is MemberState.DEAD]
