"""Finding the cluster, and finding it again.

A node contacts its seeds when it starts. A node that knows no live member goes on trying for ever: seeds, and the
members that it holds dead, because it may be the one that was cut off. A node with company tries one missing seed or
dead member from time to time, which heals partitions; those of whom no tombstone is left, less often.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from itertools import islice
from typing import Final

from shoal.events import JoinCompleted, SeedUnreachable
from shoal.swim.context import Context
from shoal.swim.membership import Membership
from shoal.swim.sync import EVERYTHING, ONLY_IF_NEEDED, Sync
from shoal.swim.timers import Timer
from shoal.types import Address, MemberState, NodeId, Note

__all__ = ["Joining"]

_CONTACTS_IN_A_ROUND: Final = 3
"""How many seeds or former members a lonely node tries in one round, each a probe timeout after the one before or once
that has failed: a dead seed costs little time, and a thousand joiners fetch their view from one seed each."""
_MAX_ACQUAINTANCES: Final = 1024
"""Bound for addresses that are remembered from an earlier run."""
_MOST_VISITORS: Final = 32
"""Members of a cluster that look for the lost at full pace. One who finds them is enough; where there are more, each
looks less often, for 10,000 would hold up whoever comes back at an address that all of them try."""
_LOST_EVERY: Final = 6
"""One round in so many contacts a member whose tombstone is gone already: a partition may outlast it."""
_MOST_WAITING: Final = 256
"""Addresses that wait for their turn to be contacted."""
_MAX_SEEDS: Final = 256
"""Bound for seeds that are added one by one while the node runs; the oldest go first."""


class Joining:
    """Keeps trying until there is company, and now and then afterwards."""

    def __init__(self, context: Context, membership: Membership, sync: Sync) -> None:
        self._config = context.config
        self._random = context.random
        self._table = context.table
        self._timers = context.timers
        self._tell = context.events.append
        self._membership = membership
        self._tombstones = membership.deaths.tombstones
        self._sync = sync
        #: Each seed with the member that answered there last, this node itself perhaps.
        self._seeds: dict[Address, NodeId | None] = {}
        #: Where members were in an earlier run.
        self._acquaintances: dict[Address, None] = {}
        #: Who is being contacted right now.
        self._contacting: set[Address] = set()
        #: Whom a node without company contacts next, if nobody has answered by then.
        self._turn: list[Address] = []
        self._turn_timer: Timer | None = None
        self._pause = self._config.rejoin_interval
        self._rounds = 0
        self._timer: Timer | None = None
        self.has_joined = False
        """Whether another member exchanged views with us."""

    def take_stock(self, note: Note) -> None:
        """Note what it keeps."""
        note("seeds", len(self._seeds), _MAX_SEEDS)
        note("acquaintances", len(self._acquaintances), _MAX_ACQUAINTANCES)
        note("contacts", len(self._contacting), self._config.max_streams_out)
        note("addresses to contact", len(self._turn), _MOST_WAITING)

    def start(self, now: float) -> None:
        """Begin to look for company."""
        self._timer = self._timers.at(now + self._pause, self._round)

    def stop(self) -> None:
        """Look no further."""
        self._turn.clear()
        for timer in (self._timer, self._turn_timer):
            if timer is not None:
                timer.cancel()

    def join(self, seeds: Iterable[Address], now: float) -> None:
        """Remember further seeds and contact them at once."""
        for seed in seeds:
            self._seeds.setdefault(seed, None)
            if len(self._seeds) > _MAX_SEEDS:
                del self._seeds[next(iter(self._seeds))]
        self._contact_in_turn(self.missing_seeds(), now)

    def acquaint(self, addresses: Iterable[Address], now: float) -> None:
        """Contact where members were once. That they are there is not believed, nor told to anybody."""
        room = max(0, _MAX_ACQUAINTANCES - len(self._acquaintances))
        self._acquaintances |= dict.fromkeys(islice(addresses, room))
        self._contact_in_turn(self._missing_acquaintances(), now)

    def _missing_acquaintances(self) -> list[Address]:
        return [address for address in self._acquaintances if self._table.slot_at(address) is None]

    def _round(self, now: float) -> None:
        alone = self._table.present_count <= 1
        if alone:
            former = self._dead_addresses() + self._missing_acquaintances() + self._tombstones.lost()
            self._contact_in_turn(self.missing_seeds() + former, now)
            pause = self._pause
            self._pause = min(self._pause * 2, self._config.rejoin_interval_max)
        else:
            self._pause = self._config.rejoin_interval
            self._contact_one(self.missing_seeds(), now)
            self._contact_one(self._dead_addresses(), now)
            self._visit_acquaintance(now)
            self._rounds += 1
            if self._rounds % _LOST_EVERY == 0:
                self._contact_one(self._tombstones.lost(), now)
            pause = self._config.reconnect_interval
        self._timer = self._timers.at(now + pause * self._share(), self._round)

    def _share(self) -> float:
        """How long the next pause is, as a share of the usual one.

        Where the rounds of many are spread out, those of members that started together are drawn from all of the time.
        """
        others = max(0.0, self._table.present_count / _MOST_VISITORS - 1)
        chance = self._random.random()
        return 0.75 + 0.5 * chance + 2 * others * chance

    def _contact_in_turn(self, addresses: list[Address], now: float) -> None:
        candidates = [address for address in self._contactable(addresses) if address not in self._turn]
        room = _MOST_WAITING - len(self._turn)
        self._turn += self._random.sample(candidates, min(_CONTACTS_IN_A_ROUND, len(candidates), room))
        if self._turn_timer is None:
            self._contact_next(now)

    def _contact_next(self, now: float) -> None:
        if self._turn_timer is not None:
            self._turn_timer.cancel()
            self._turn_timer = None
        if self._turn:
            self._contact(self._turn.pop(0), now)
            self._turn_timer = self._timers.at(now + self._config.probe_timeout, self._contact_next)

    def _contact_one(self, addresses: list[Address], now: float) -> None:
        if candidates := self._contactable(addresses):
            self._contact(self._random.choice(candidates), now)

    def _contactable(self, addresses: list[Address]) -> list[Address]:
        # A seed may be a dead member too.
        return [address for address in dict.fromkeys(addresses) if address not in self._contacting]

    def _contact(self, address: Address, now: float) -> None:
        opened = self._sync.start(
            address,
            now,
            partial(self._on_synced, address),
            partial(self._on_failure, address),
            spans=EVERYTHING if self._table.present_count <= 1 else ONLY_IF_NEEDED,
            # Rounds come again by themselves, so only the first contact of all is worth repeating at once.
            attempts=None if not self.has_joined else 1,
        )
        if opened:
            self._contacting.add(address)

    def _visit_acquaintance(self, now: float) -> None:
        """Another part of a cluster that was restarted as a whole may be there; who is not there comes by itself."""
        missing = self._missing_acquaintances()
        self._acquaintances = dict.fromkeys(missing[1:])
        self._contact_one(missing[:1], now)

    @property
    def is_busy(self) -> bool:
        """Whether a contact is under way or waits for its next try."""
        return bool(self._contacting or self._turn)

    def note_company(self) -> None:
        """Another member has exchanged views with us; what is left to do is to look for seeds that it does not know."""
        missing = self.missing_seeds()
        self._turn = [address for address in self._turn if address in missing]
        if not self.has_joined:
            self.has_joined = True
            self._membership.own.is_settled = True
            self._tell(JoinCompleted())

    def _on_synced(self, address: Address, who: NodeId, now: float) -> None:
        self._contacting.discard(address)
        if address in self._seeds:
            self._seeds[address] = who
        if who != self._membership.id:
            self.note_company()
        elif address in self._seeds:
            self._tell(SeedUnreachable(address, "it is this node itself"))
        self._contact_next(now)

    def _on_failure(self, address: Address, reason: str, now: float) -> None:
        self._contacting.discard(address)
        if address in self._seeds:
            self._seeds[address] = None
            self._tell(SeedUnreachable(address, reason))
        self._contact_next(now)

    def missing_seeds(self) -> list[Address]:
        """Seeds at which no present member is known to be."""
        return [seed for seed, who in self._seeds.items() if not self._is_there(seed, who)]

    def _is_there(self, seed: Address, who: NodeId | None) -> bool:
        if who is not None and self._table.is_present(who):
            return True
        return self._table.slot_at(seed) is not None

    def _dead_addresses(self) -> list[Address]:
        table = self._table
        slots = [table.slot_of(id) for id in self._tombstones]
        dead = (slot for slot in slots if slot is not None and table.state(slot) is MemberState.DEAD)
        return [table.address(slot) for slot in dead]
