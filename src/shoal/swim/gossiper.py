"""Rounds of gossip: while there is fresh news, some members get a packet of it every gossip interval.

The first news after a quiet time goes out at once, so a change crosses the cluster in as many network delays as it
takes hops; only a stream of news is paced by the interval. The recently dead get gossip too: a live one hears of its
death and refutes.

Each round goes to one of the two neighbours on the ring, in turn, and to random members otherwise. Random ones alone
bring news to all but a few, m packets of each member to all but e^-m of them (Demers et al., PODC 1987). With two
rounds, both neighbours of those few tell them.
"""

from __future__ import annotations

from shoal.swim.context import Context
from shoal.swim.membership import Membership
from shoal.swim.neighbours import Neighbours
from shoal.swim.outbox import Outbox
from shoal.types import Address, MemberState
from shoal.wire.messages import Gossip

__all__ = ["Gossiper"]


class Gossiper:
    """Sends rounds while the queue holds fresh news and somebody is there to hear it."""

    def __init__(self, context: Context, membership: Membership, outbox: Outbox) -> None:
        self._config = context.config
        self._has_neighbours = context.config.gossip_to_neighbours and context.config.gossip_fanout > 1
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
        self._neighbours = Neighbours(context.table)
        self._side = 1
        """Of the ring, on which the last round went to the neighbour."""

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
        """A neighbour, and random members, present or recently dead, each with the same chance."""
        dead = self._recently_dead(now)
        neighbours = self._next_neighbour()
        others = self._others() - len(neighbours)
        fanout = min(self._config.gossip_fanout - len(neighbours), others + len(dead))
        lots = self._random.sample(range(others + len(dead)), fanout)
        chosen_dead = [dead[lot - others] for lot in lots if lot >= others]
        excluded = {self._membership.id, *map(self._table.id, neighbours)}
        slots = self._table.sample(self._random, fanout - len(chosen_dead), excluded)
        return [self._table.address(slot) for slot in (*neighbours, *slots, *chosen_dead)]

    def _next_neighbour(self) -> list[int]:
        """The neighbour whose turn it is, if there is one; where a round has one member only, chance chooses it."""
        if not self._has_neighbours:
            return []
        self._side = -self._side
        slot = self._neighbours.find_alive(self._table.slot_of(self._membership.id), self._side)
        return [] if slot is None else [slot]

    def _recently_dead(self, now: float) -> list[int]:
        recent = self._membership.deaths.recent
        while recent:
            oldest = next(iter(recent))
            if now - recent[oldest] <= self._config.gossip_to_dead:
                break
            del recent[oldest]
        slots = map(self._table.slot_of, recent)
        return [slot for slot in slots if slot is not None and self._table.state(slot) is MemberState.DEAD]
