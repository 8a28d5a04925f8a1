"""A whole simulated cluster: nodes, network, faults, and what everybody saw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from math import ceil
from typing import TextIO, TypeVar, cast

from shoal.config import ClusterConfig
from shoal.errors import ConfigError
from shoal.events import (
    Event,
    MemberDamped,
    MemberFailed,
    MemberJoined,
    MemberLeft,
    MemberReadinessChanged,
    MemberRecovered,
    MemberReinstated,
    MemberStalled,
    MemberSuspected,
    MemberUpdated,
)
from shoal.sim.formation import pack_members
from shoal.sim.invariants import AT_REST, DURING, Holding, Invariant, InvariantViolated, Moment, View, Violation
from shoal.sim.network import CALM, Cut, Link, Network, StreamMode, Traffic
from shoal.sim.node import Observation, SimNode, SimulationError, World
from shoal.sim.ranges import MOST_NODES, NODES, RATES, SHARES, TIMES, Range, require
from shoal.sim.scheduler import Scheduler
from shoal.sim.trace import TraceWriter
from shoal.types import Address, MemberState, NodeId, Readiness
from shoal.wire.dialect import Dialect
from shoal.wire.native import NativeDialect

__all__ = ["SimCluster"]

_E = TypeVar("_E", bound=Event)
_ABOUT_A_MEMBER = (
    MemberJoined,
    MemberSuspected,
    MemberRecovered,
    MemberUpdated,
    MemberReadinessChanged,
    MemberFailed,
    MemberLeft,
    MemberStalled,
    MemberDamped,
    MemberReinstated,
)
_PORT = 7946
_CHECK_TIMES = Range(0.001, 1e6)  # seconds between two checks: time must pass
_MOST_ROWS = 100_000  # that a check looks at: 316 whole views of 316 members, or 10 of 10,000
_STOCK_EVERY = 3  # a regular check takes stock of one in so many nodes, in turn: of all it would take too long
_PEACEFUL_LOSS = 0.1  # above it a goodbye may be missed by some


class SimCluster:
    """Nodes `n0`, `n1`, … on a virtual network, driven by one seed.

        cluster = SimCluster(nodes=5, seed=7)
        cluster.start_all()
        assert cluster.run_until(cluster.converged, at_most=10)
        cluster.crash("n3")
        cluster.run(30)
        assert {seen.observer for seen in cluster.observed(MemberFailed)} == {"n0", "n1", "n2", "n4"}

    Invariants are checked all along; a broken one raises `InvariantViolated`.
    """

    def __init__(
        self,
        nodes: int = 5,
        seed: int | str = 1,
        config: ClusterConfig | None = None,
        *,
        link: Link = CALM,
        zones: Mapping[str, Iterable[str]] | None = None,
        seeds: int = 1,
        formed: bool = False,
        identities: bool = False,
        check_every: float | None = 1.0,
        trace: TextIO | None = None,
        dialect: Callable[[str], Dialect] = NativeDialect,
    ) -> None:
        """Make the nodes; `start_all` starts them.

        `seeds` is how many of the first nodes all others join through. `formed` lets them know each other from the
        start instead, at a cost that large clusters can pay. `zones` names the nodes of each zone, also such as are
        added later: see `set_zone_link`. With `identities` each node has one, so that deaths need the signatures of
        `death_signatures` members. Invariants are checked every `check_every` virtual seconds (None: only by `check`);
        above 316 nodes those that compare tables look at some of the nodes, always the same. `trace` gets every input
        of every core as a line of JSON; see `end_trace`. Raises `ConfigError` for numbers out of range.
        """
        require("nodes", nodes, NODES)
        require("seeds", seeds, Range(0, MOST_NODES))
        if check_every is not None:
            require("check_every", check_every, _CHECK_TIMES)
        self.seed = seed
        self.config = config or ClusterConfig.lan()
        self.scheduler = Scheduler()
        self.network = Network(self.scheduler, seed, link)
        self.observations: list[Observation[Event]] = []
        """Everything that anybody saw, in order of time."""
        self.nodes: dict[str, SimNode] = {}
        self._zone_of = _zone_of_each(zones or {})
        self._formed = formed
        self._world = World(
            scheduler=self.scheduler,
            network=self.network,
            seed=seed,
            dialect=dialect,
            observations=self.observations,
            trace=TraceWriter(trace) if trace is not None else None,
            identities=identities,
        )
        self._leavers: set[NodeId] = set()
        self._drained: set[NodeId] = set()
        self._moment = Moment(0.0)
        self._checked = 0  # how many observations went into moments
        self._check_every = check_every
        self._regular_checks = 0
        self._watch_each = max(1, ceil(nodes * nodes / _MOST_ROWS))
        self._seeds = tuple(_address(index) for index in range(min(seeds, nodes)))
        for _ in range(nodes):
            self.add_node()
        if check_every is not None:
            self.scheduler.after(check_every, self._check_regularly, check_every)

    @property
    def now(self) -> float:
        """Virtual seconds since the start."""
        return self.scheduler.now

    def node(self, name: str) -> SimNode:
        """The node of that name. Raises `SimulationError` when there is none."""
        if name not in self.nodes:
            raise SimulationError(f"there is no node {name!r}; there are {', '.join(self.nodes)}")
        return self.nodes[name]

    def add_node(
        self,
        name: str | None = None,
        *,
        zone: str | None = None,
        seeds: Iterable[Address] | None = None,
        config: ClusterConfig | None = None,
        known_as: str | None = None,
    ) -> SimNode:
        """Add a node, not started yet; without a name it gets the next number.

        Without a zone it gets that which the cluster's `zones` say, or none.
        `known_as` is the name that it claims in the cluster, if that is another: two claims of one name are a conflict.
        """
        index = len(self.nodes)
        name = name or f"n{index}"
        zone = self._zone_of.get(name, "") if zone is None else zone
        host = self.network.add_host(name, _address(index), zone)
        node = SimNode(
            self._world, host, config or self.config, self._seeds if seeds is None else tuple(seeds), known_as
        )
        self.nodes[name] = node
        return node

    # Running

    def run(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.scheduler.run_to(self.now + seconds)

    def run_until(self, holds: Callable[[], bool], at_most: float, *, every: float = 0.01) -> bool:
        """Let time pass until `holds()`, asked every `every` seconds; False if it does not within `at_most` seconds."""
        end = self.now + at_most
        while not holds():
            if self.now >= end:
                return False
            self.scheduler.run_to(min(self.now + every, end))
        return True

    # Life of the nodes

    def start_all(self) -> None:
        """Start every node that never ran."""
        fresh = [node for node in self.nodes.values() if node.run == 0]
        for node in fresh:
            node.start(join=not self._formed)
        if self._formed and fresh:
            self._form(fresh)

    def start(self, name: str, *, clock_step: float = 0.0, recall: bool = False) -> None:
        """Start a node, for the first time or again under its name; see `SimNode.start`."""
        self.node(name).start(clock_step=clock_step, recall=recall)

    def crash(self, name: str, *, silent: bool = False) -> None:
        """Kill a node's process; `silent` takes its machine off the network."""
        node = self.node(name)
        self._leavers.discard(node.id)
        self._drained.discard(node.id)
        node.crash(silent=silent)

    def restart(self, name: str, *, clock_step: float = 0.0) -> None:
        """Kill the process if it runs, and start it again at once under the same name."""
        if self.node(name).is_up:
            self.crash(name)
        self.start(name, clock_step=clock_step)

    def leave(self, name: str) -> None:
        """Let a node say goodbye."""
        node = self.node(name)
        if self._is_peaceful():
            if self._check_every is not None:
                self._check(())  # Whoever was told of its death before was not told wrongly.
            self._leavers.add(node.id)
        node.leave()

    def drain(self, name: str) -> None:
        """Let a node say that it takes nothing new."""
        node = self.node(name)
        if self._is_calm():
            self._drained.add(node.id)
        node.set_readiness(Readiness.DRAINING)

    # Faults of nodes; numbers out of range are a `ConfigError`

    def freeze(self, name: str) -> None:
        """Stop a node's process as SIGSTOP does."""
        self._disturb()
        self.node(name).freeze()

    def thaw(self, name: str) -> None:
        """Let it run again."""
        self.node(name).thaw()

    def block_io(self, name: str) -> None:
        """Block a node's sends and receives, while its timers go on."""
        self._disturb()
        self.node(name).block_io()

    def unblock_io(self, name: str) -> None:
        """Let it send and receive again."""
        self.node(name).unblock_io()

    def slow_cpu(self, name: str, delay: float) -> None:
        """Let a node work so many seconds on each packet; 0 ends it."""
        require("delay", delay, TIMES)
        self._disturb()
        self.node(name).cpu_delay = delay

    def clock_rate(self, name: str, rate: float) -> None:
        """Let a node's clock run at another rate than 1."""
        self.node(name).set_clock_rate(rate)

    # Faults of the network; numbers out of range are a `ConfigError`

    def partition(self, *sides: Collection[str]) -> None:
        """Cut all paths between the sides, both ways; nodes on no side stay connected with all."""
        self._disturb()
        for side in sides:
            self._require(side)
        self.network.partition(*sides)

    def cut(self, sources: Collection[str], targets: Collection[str]) -> Cut:
        """Let nothing through from `sources` to `targets`; the way back stays open."""
        self._disturb()
        self._require((*sources, *targets))
        return self.network.cut(sources, targets)

    def heal(self) -> None:
        """Open all cuts."""
        self.network.heal()

    def set_loss(self, loss: float) -> None:
        """Lose this share of packets on every path, besides what the paths lose themselves."""
        require("loss", loss, SHARES)
        self._disturb()
        self.network.loss = loss

    def set_link(self, one: str, other: str, link: Link) -> None:
        """Say what the paths between two nodes do, both ways; it goes before what is said of their zones."""
        self._require((one, other))
        self._disturb()
        self.network.set_link(one, other, link)
        self.network.set_link(other, one, link)

    def set_zone_link(self, one: str, other: str, link: Link) -> None:
        """Say what the paths between two zones, or within one, do. Raises `ConfigError` for a zone without nodes."""
        zones = {*self._zone_of.values(), *(node.host.zone for node in self.nodes.values())}
        for zone in (one, other):
            if zone not in zones:
                raise ConfigError("zone", zone, f"has no nodes; there are {', '.join(sorted(zones - {''})) or 'none'}")
        self._disturb()
        self.network.set_zone_link(one, other, link)

    def set_node_loss(self, name: str, *, ingress: float = 0.0, egress: float = 0.0) -> None:
        """Lose this share of the packets that reach or leave one node."""
        require("ingress", ingress, SHARES)
        require("egress", egress, SHARES)
        self._disturb()
        host = self.node(name).host
        host.ingress_loss, host.egress_loss = ingress, egress

    def set_rate(self, name: str, rate: float | None) -> None:
        """Limit what leaves a node, in bytes per second; None lifts the limit."""
        if rate is not None:
            require("rate", rate, RATES)
        self._disturb()
        self.node(name).host.rate = rate

    def set_streams(self, name: str, mode: StreamMode) -> None:
        """Say what happens to streams that are opened to a node."""
        if mode not in set(StreamMode):
            raise ConfigError("mode", mode, f"must be one of {', '.join(StreamMode)}")
        self._disturb()
        self.node(name).host.streams = StreamMode(mode)

    def repair(self) -> None:
        """End every fault: all paths open, no loss on top of the links', every process that runs runs well.

        What was said of single links stays: a slow path is no fault.
        """
        self.network.heal()
        self.network.loss = 0.0
        for node in self.nodes.values():
            host = node.host
            host.ingress_loss = host.egress_loss = 0.0
            host.rate, host.streams = None, StreamMode.OPEN
            node.cpu_delay = 0.0
            if node.clock_rate != 1.0:
                node.set_clock_rate(1.0)
            if node.is_up and node.is_blocked:
                node.unblock_io()
            if node.is_up and node.is_frozen:
                node.thaw()

    # Seeing

    def end_trace(self) -> None:
        """Say in the trace that this was all; what happens later does not go into it."""
        if self._world.trace is not None:
            self._world.trace.ended()
            self._world.trace = None

    def members(self) -> list[SimNode]:
        """The nodes that belong into every view."""
        return [node for node in self.nodes.values() if node.is_member]

    def converged(self) -> bool:
        """Whether all members hold exactly each other alive, and know that they agree."""
        members = self.members()
        if len({node.core.digest for node in members}) > 1:
            return False
        for node in members:
            counts = node.core.counts()
            if counts[MemberState.ALIVE] != len(members) or counts[MemberState.SUSPECT]:
                return False
        # Digests and numbers are equal, so one view stands for all.
        return not members or all(_holds_alive(members[0], node.id) for node in members)

    def observed(
        self, kind: type[_E], *, observer: str | None = None, about: str | None = None, since: float = 0.0
    ) -> list[Observation[_E]]:
        """What was seen of one kind of event; by one observer, about one member (by its name), from some time on."""
        return [
            cast(Observation[_E], seen)
            for seen in self.observations
            if isinstance(seen.event, kind)
            and seen.time >= since
            and (observer is None or seen.observer == observer)
            and (about is None or (isinstance(seen.event, _ABOUT_A_MEMBER) and seen.event.member.name == about))
        ]

    def traffic(self, name: str) -> Traffic:
        """What a node has sent and received so far."""
        return self.node(name).host.traffic

    # Invariants

    def check(self) -> None:
        """Check what holds at any moment, since the last check; raises `InvariantViolated`."""
        self._check(range(_STOCK_EVERY))

    def check_at_rest(self) -> None:
        """Check also what holds when all faults are over and there was time to agree."""
        self.check()
        self._hold(AT_REST, Moment(0.0), self.moment())

    def moment(self) -> Moment:
        """The present moment, with all that the processes that run now ever saw: what invariants look at."""
        return self._look(0)

    def _check_regularly(self, every: float) -> None:
        self._regular_checks += 1
        self._check((self._regular_checks % _STOCK_EVERY,))
        self.scheduler.after(every, self._check_regularly, every)

    def _check(self, stock_of: Collection[int]) -> None:
        before, self._moment = self._moment, self._look(self._checked, stock_of)
        self._checked = len(self.observations)
        self._hold(DURING, before, self._moment)

    def _hold(self, invariants: Iterable[Invariant], before: Moment, after: Moment) -> None:
        violations = [
            Violation(self.now, invariant.__name__, text)
            for invariant in invariants
            for text in invariant(before, after)
        ]
        if violations:
            raise InvariantViolated(violations)

    def _look(self, first: int, stock_of: Collection[int] = ()) -> Moment:
        """The present moment, with the observations from number `first` on.

        Stock is taken of the nodes whose numbers, modulo `_STOCK_EVERY`, are in `stock_of`.
        """
        events: dict[tuple[str, int], list[Event]] = {}
        for seen in self.observations[first:]:
            events.setdefault((seen.observer, seen.run), []).append(seen.event)
        return Moment(
            time=self.now,
            views={
                node.name: self._view(
                    node,
                    events.get((node.name, node.run), ()),
                    is_whole=index % self._watch_each == 0,
                    takes_stock=index // self._watch_each % _STOCK_EVERY in stock_of,
                )
                for index, node in enumerate(self.nodes.values())
                if node.is_up
            },
            incarnations={id: own for node in self.nodes.values() for id, own in node.incarnations.items()},
            leavers=frozenset(self._leavers),
            retired=frozenset(self._drained.difference(node.id for node in self.nodes.values() if node.is_up)),
        )

    def _view(self, node: SimNode, events: Iterable[Event], *, is_whole: bool, takes_stock: bool) -> View:
        core, old = node.core, self._moment.views.get(node.name)
        if old is not None and (old.run, old.generation) == (node.run, core.generation):
            members = old.members
        else:
            members = {member.id: member for member in (core.members() if is_whole else (core.local,))}
        return View(
            observer=node.name,
            run=node.run,
            id=node.id,
            config=node.config,
            members=members,
            is_whole=is_whole,
            generation=core.generation,
            events=tuple(events),
            is_member=node.is_member,
            digest=core.digest,
            datagrams_out=node.host.traffic.datagrams_out,
            largest_datagram=node.host.traffic.largest_datagram,
            exchanges=node.exchanges,
            waiting=node.waiting,
            overfull=_overfull(node) if is_whole and takes_stock else (),
        )

    # Helpers

    def _form(self, nodes: list[SimNode]) -> None:
        """Let all nodes know each other, without events."""
        names = Counter(node.known_as for node in nodes)
        for name, count in names.items():
            if count > 1:
                raise SimulationError(f"{count} nodes claim the name {name!r}: start all but one of them later")
        infos = {node.id: node.published for node in nodes}
        members = pack_members(
            self.config.cluster, (node.core.local for node in nodes), lambda member: infos[member.id]
        )
        for node in nodes:
            node.form(self.config.cluster, members)
        self._moment = self._look(len(self.observations))

    def _is_peaceful(self) -> bool:
        """Whether nothing keeps a goodbye from being heard by all."""
        return self.converged() and self._is_calm()

    def _is_calm(self) -> bool:
        """Whether no fault keeps members from hearing each other."""
        network = self.network
        return (
            not network.cuts
            and (1 - network.loss) * (1 - network.most_loss) >= 1 - _PEACEFUL_LOSS
            and all(node.is_well for node in self.members())
        )

    def _disturb(self) -> None:
        """A fault begins: whoever left or drained shortly before may not be heard by all."""
        self._leavers.clear()
        self._drained.clear()

    def _require(self, names: Iterable[str]) -> None:
        for name in names:
            self.node(name)


def _holds_alive(observer: SimNode, id: NodeId) -> bool:
    member = observer.core.member(id)
    return member is not None and member.state is MemberState.ALIVE


def _zone_of_each(zones: Mapping[str, Iterable[str]]) -> dict[str, str]:
    zone_of: dict[str, str] = {}
    for zone, names in zones.items():
        for name in names:
            if name in zone_of:
                raise ConfigError("zones", name, f"is in {zone_of[name]} and in {zone}; each node has one zone")
            zone_of[name] = zone
    return zone_of


def _overfull(node: SimNode) -> tuple[Holding, ...]:
    found: list[Holding] = []

    def note(what: str, size: int, most: int) -> None:
        if size > most:
            found.append(Holding(what, size, most))

    node.take_stock(note)
    return tuple(found)


def _address(index: int) -> Address:
    high, low = divmod(index + 1, 256)
    return Address(f"10.{high // 256}.{high % 256}.{low}", _PORT)
