"""What the parts of one core share."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from shoal.config import ClusterConfig
from shoal.events import Event
from shoal.state.table import MemberTable
from shoal.swim.contact import Contact
from shoal.swim.gossip_queue import GossipQueue
from shoal.swim.health import LocalHealth
from shoal.swim.mass_join import MassJoin
from shoal.swim.sends import eager_sends
from shoal.swim.standing import Standing
from shoal.swim.stats import Stats
from shoal.swim.timers import Timers
from shoal.swim.trust import Credulous, Trust
from shoal.swim.verdicts import Verdicts
from shoal.types import Note
from shoal.wire.dialect import Dialect

__all__ = ["Context"]


@dataclass(slots=True)
class Context:
    """Made once per core. Each part takes from it what it works with, and keeps its own state to itself."""

    config: ClusterConfig
    dialect: Dialect
    random: Random
    trust: Trust = field(default_factory=Credulous)
    table: MemberTable = field(init=False)
    queue: GossipQueue = field(init=False)
    health: LocalHealth = field(init=False)
    contact: Contact = field(init=False)
    standing: Standing = field(init=False)
    stats: Stats = field(default_factory=Stats)
    timers: Timers = field(default_factory=Timers)
    verdicts: Verdicts = field(default_factory=Verdicts)
    events: list[Event | MassJoin] = field(default_factory=list)
    """What happened since the driver last asked."""

    def take_stock(self, note: Note) -> None:
        """Note what it keeps."""
        note("events that nobody took", len(self.events), 0)
        self.table.take_stock(note)
        self.queue.take_stock(note)
        self.standing.take_stock(note)
        self.timers.take_stock(note)
        self.verdicts.take_stock(note, len(self.table))

    def __post_init__(self) -> None:
        self.table = MemberTable(self.config.cluster.encode(), self.dialect.records)
        self.queue = GossipQueue(
            self.config.gossip_queue_limit, eager_sends(self.config), self.stats, self.dialect.aged
        )
        self.health = LocalHealth(self.config)
        self.contact = Contact(self.config, self.table)
        self.standing = Standing(self.config, self.table)
