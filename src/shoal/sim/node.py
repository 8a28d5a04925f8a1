"""One simulated node: a name and a host, and on it one process after the other, each with a core of its own.

The process does what `shoal.net`'s driver does with a real one: it feeds the core, drains it, and wakes it at its
deadline. Everything that can go wrong with a process goes wrong here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from random import Random
from typing import Generic, TypeVar

from shoal.config import ClusterConfig
from shoal.events import Event
from shoal.sim import inputs, streams
from shoal.sim.network import Host, Network, StreamMode, StreamReply
from shoal.sim.ranges import CLOCK_RATES, require
from shoal.sim.scheduler import Scheduler
from shoal.sim.streams import Stream, open_stream
from shoal.sim.trace import Birth, TraceWriter
from shoal.swim.core import Swim
from shoal.swim.outputs import Datagram, Output, StreamExchange
from shoal.types import Address, Member, MemberState, NodeId, NodeInfo, Note, Readiness, Tags
from shoal.wire.dialect import Dialect
from shoal.wire.identity import SignedIdentity
from shoal.wire.identity_keys import IdentityKey

__all__ = ["EPOCH_MS", "Observation", "SimNode", "SimulationError", "World"]

EPOCH_MS = 1_767_225_600_000
"""What wall clocks show at the virtual time 0: the first of January 2026, in milliseconds since 1970."""

_MOST_WAKES_AT_ONCE = 1000

E_co = TypeVar("E_co", bound=Event, covariant=True)


_Failure = inputs.StreamFailed | inputs.StreamRefused | inputs.StreamSilent


class SimulationError(Exception):
    """The simulation was asked for what makes no sense, such as freezing a node that is down."""


@dataclass(frozen=True, slots=True)
class Observation(Generic[E_co]):
    """One event that one node's user saw."""

    time: float
    """Virtual seconds."""
    observer: str
    event: E_co
    run: int = 1
    """Which run of the observer, counted from 1."""


@dataclass(slots=True)
class World:
    """What all nodes of one simulation share."""

    scheduler: Scheduler
    network: Network
    seed: int | str
    dialect: Callable[[str], Dialect]
    """Makes the dialect for a cluster's name."""
    observations: list[Observation[Event]]
    trace: TraceWriter | None
    identities: bool = False
    """Whether each node has an identity, the same in each of its runs."""


@dataclass(slots=True)
class _Arrival:
    """An input that came over the network, and where the answer goes."""

    input: inputs.Input
    reply: StreamReply | None = None


class SimNode:
    """A node that can be started, broken in many ways, and started again.

    Attributes that may be set at any time: `cpu_delay`, `seeds`, `config` (from the next start on), `inbox_limit`.
    """

    def __init__(
        self,
        world: World,
        host: Host,
        config: ClusterConfig,
        seeds: tuple[Address, ...],
        known_as: str | None = None,
    ) -> None:
        self._world = world
        self.host = host
        self.name = host.name
        """What the simulation calls this node."""
        self.known_as = known_as or host.name
        """What the cluster calls it; two nodes of one such name are a conflict."""
        self.config = config
        self.seeds = seeds
        self.tags = config.tags
        """What the next run says of itself."""
        self.run = 0
        """How many runs were started; also the number of the current one."""
        self.is_frozen = False
        """The process is stopped: no timer fires, what arrives waits."""
        self.is_blocked = False
        """Timers fire, but sending blocks and what was received is not handled (Lifeguard's anomaly)."""
        self.cpu_delay = 0.0
        """Seconds of work for each packet; packets are handled one by one, and timers wait for the current one."""
        self.inbox_limit = 1024
        """Datagrams that wait for the process, as in a socket's receive buffer; further ones are lost."""
        self.overflowed = 0
        """Datagrams lost to that limit, coming in or, when blocked, going out."""
        self.clock_rate = 1.0
        """Seconds of the node's clock for each virtual second; see `set_clock_rate`."""
        self.saved_peers: tuple[Address, ...] = ()
        """Where the last run's peers were when it ended, without those that had left."""
        self.incarnations: dict[NodeId, int] = {}
        """Every id that this node had, with its last incarnation: the truth to compare views with."""
        self._core: Swim | None = None
        self._last_id: NodeId | None = None
        self._inbox: deque[_Arrival] = deque()
        self._waiting_datagrams = 0
        self._outbox: list[Output] = []
        self._open_streams = 0
        self._exchanges: dict[int, Stream | None] = {}
        self._is_working = False
        self._busy_until = 0.0
        self._generation = -1
        self._wake_at: float | None = None
        self._wakes_at_once = 0
        self._last_wake = -1.0
        self._anchor = (0.0, 0.0)  # virtual time and the node's clock at that time
        self._clock = 0.0

    # Reading

    @property
    def address(self) -> Address:
        """Where it listens."""
        return self.host.address

    @property
    def is_up(self) -> bool:
        """Whether a process runs, be it frozen or leaving."""
        return self._core is not None

    @property
    def is_member(self) -> bool:
        """Whether it belongs into every view: it runs, is not leaving, and no newer run has its name."""
        core = self._core
        return core is not None and not core.is_leaving and not core.is_superseded

    @property
    def is_well(self) -> bool:
        """Whether nothing is wrong with the process or its host's link."""
        host = self.host
        return (
            self._core is not None
            and not self.is_frozen
            and not self.is_blocked
            and not self.cpu_delay
            and not host.egress_loss
            and not host.ingress_loss
            and host.rate is None
            and host.streams is StreamMode.OPEN
        )

    @property
    def waiting(self) -> int:
        """Packets that wait to be handled or sent."""
        return len(self._inbox) + len(self._outbox)

    @property
    def exchanges(self) -> int:
        """Stream exchanges that the core has asked for and that are not over."""
        return len(self._exchanges)

    def take_stock(self, note: Note) -> None:
        """Note everything that the process keeps."""
        config, datagrams = self.config, self.inbox_limit
        note("datagrams that wait", self._waiting_datagrams, datagrams)
        note("inputs that wait", len(self._inbox), datagrams + config.max_streams_in + config.max_streams_out)
        note("outputs that wait", len(self._outbox), datagrams + config.max_streams_out)
        note("streams that came in", self._open_streams, config.max_streams_in)
        note("streams that went out", len(self._exchanges), config.max_streams_out)
        self.core.take_stock(note)

    @property
    def core(self) -> Swim:
        """The core of the process that runs. Raises `SimulationError` when none does."""
        if self._core is None:
            raise SimulationError(f"{self.name} is down: start it first")
        return self._core

    @property
    def id(self) -> NodeId:
        """Which run this is, as peers know it; of a node that is down, the last."""
        if self._core is not None:
            return self._core.local.id
        if self._last_id is None:
            raise SimulationError(f"{self.name} never ran: start it first")
        return self._last_id

    def view(self) -> dict[str, Member]:
        """Everyone this node knows, by name."""
        return {member.name: member for member in self.core.members()}

    # Life

    def start(self, *, join: bool = True, clock_step: float = 0.0, recall: bool = False) -> None:
        """Start a process and join through the seeds.

        `clock_step` moves its wall clock by so many seconds: a negative one gives it a lower id than its last run had.
        `recall` lets it join through the peers that its last run had saved instead, as a state directory does.
        """
        if self._core is not None:
            raise SimulationError(f"{self.name} runs already: crash it or let it leave first")
        world = self._world
        self.run += 1
        self._reset()
        id = self._mint_id(clock_step)
        info = NodeInfo(self.known_as, id, self.address, Tags(self.tags))
        birth = Birth(f"{world.seed}/core/{self.name}/{self.run}", self.config, info, world.dialect, self._secret)
        now = self._now()
        self._core = birth.core(now)
        if world.trace is not None:
            world.trace.born(now, self.name, self.run, birth)
        self._last_id = id
        self.host.is_off = False
        self.host.port = self
        self._feed(inputs.Start())
        if recall:
            self._feed(inputs.Acquaint(self.saved_peers))
        elif join:
            self._feed(inputs.Join(self.seeds))

    def _mint_id(self, clock_step: float) -> NodeId:
        random = Random(f"{self._world.seed}/id/{self.name}/{self.run}")
        id = NodeId.mint(EPOCH_MS + round((self._world.scheduler.now + clock_step) * 1000), random)
        if self._last_id is not None and id <= self._last_id and clock_step >= 0:
            return NodeId.mint_after(self._last_id, random)
        return id

    @property
    def _secret(self) -> str:
        seed = f"{self._world.seed}/identity/{self.name}".encode()
        return blake2b(seed, digest_size=IdentityKey.SIZE).hexdigest() if self._world.identities else ""

    @property
    def identity(self) -> SignedIdentity | None:
        """Who the node is; None in a world without identities."""
        return SignedIdentity(IdentityKey(bytes.fromhex(self._secret)), self.config.cluster) if self._secret else None

    @property
    def published(self) -> NodeInfo:
        """What the process that runs says of itself, signed if nodes sign."""
        local, identity = self.core.local, self.identity
        info = NodeInfo(local.name, local.id, local.address, local.tags, local.readiness)
        return info if identity is None else identity.sign(info, local.incarnation)

    def form(self, cluster: str, members: bytes) -> None:
        """Know these members from the start; see `shoal.sim.formation`."""
        self._feed(inputs.Form(cluster, members))

    def crash(self, *, silent: bool = False) -> None:
        """Kill the process; `silent` takes the machine off the network, so that streams to it hang, not refused."""
        self._require_running()
        self.host.is_off = silent
        self._stop()

    def leave(self) -> None:
        """Say goodbye; the process ends when that has spread."""
        self._command(inputs.Leave())

    def _stop(self) -> None:
        self.incarnations[self.core.local.id] = self.core.local.incarnation
        self._last_id = self.core.local.id
        self.saved_peers = tuple(
            member.address
            for member in self.core.members()
            if member.id != self._last_id and member.state is not MemberState.LEFT
        )
        self._core = None
        self.host.port = None
        for stream in self._exchanges.values():
            if stream is not None:
                stream.abort()
        for arrival in self._inbox:
            if arrival.reply is not None:
                arrival.reply(None)
        self._reset()

    def _reset(self) -> None:
        self._inbox.clear()
        self._outbox.clear()
        self._exchanges.clear()
        self.is_frozen = self.is_blocked = self._is_working = False
        self._waiting_datagrams = self._open_streams = 0
        self._busy_until = 0.0
        self._generation = -1
        self._wake_at = None

    # Commands of the node's user

    def join(self, *seeds: Address) -> None:
        """Join through further members."""
        self._command(inputs.Join(seeds))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Publish tags."""
        self._command(inputs.SetTags(Tags(tags)))

    def set_readiness(self, readiness: Readiness) -> None:
        """Publish whether it wants work."""
        self._command(inputs.SetReadiness(readiness))

    def broadcast(self, payload: bytes) -> None:
        """Send bytes to everybody."""
        self._command(inputs.Broadcast(payload))

    def send(self, target: NodeId, payload: bytes) -> None:
        """Send bytes to one member."""
        self._command(inputs.Send(target, payload))

    def _command(self, command: inputs.Input) -> None:
        if self.is_frozen:
            raise SimulationError(f"{self.name} is frozen: thaw it first")
        self._feed(command)

    # Faults

    def freeze(self) -> None:
        """Stop the process as SIGSTOP does: timers stop, what arrives waits, up to `inbox_limit` datagrams."""
        self._require_running()
        self.is_frozen = True

    def thaw(self) -> None:
        """Let it run again: what waited is handled first, then late timers fire, as an event loop does."""
        self._require_running()
        self.is_frozen = False
        self._work()
        self._wake_if_due()

    def block_io(self) -> None:
        """Block before each send and after each receive, as in the Lifeguard experiments; timers go on."""
        self._require_running()
        self.is_blocked = True

    def unblock_io(self) -> None:
        """Let all out that waits, then all in."""
        self._require_running()
        self.is_blocked = False
        outputs, self._outbox = self._outbox, []
        for output in outputs:
            self._emit(output)
        self._work()

    def set_clock_rate(self, rate: float) -> None:
        """Let the node's clock run faster (above 1) or slower from now on. Raises `ConfigError` for 0 and less."""
        require("rate", rate, CLOCK_RATES)
        self._anchor = (self._world.scheduler.now, self._now())
        self.clock_rate = rate
        self._wake_at = None
        if self._core is not None:
            self._plan_wake()

    def _require_running(self) -> None:
        if self._core is None:
            raise SimulationError(f"{self.name} is down: start it first")

    # The node's clock

    def _now(self) -> float:
        """The node's monotonic clock; equal to virtual time as long as its rate is 1."""
        virtual, clock = self._anchor
        now = clock + (self._world.scheduler.now - virtual) * self.clock_rate
        self._clock = max(self._clock, now)
        return self._clock

    def _virtual(self, clock: float) -> float:
        """The virtual time at which the node's clock shows `clock`."""
        virtual, anchor = self._anchor
        return virtual + (clock - anchor) / self.clock_rate

    # What arrives: the `Port` of the host

    @property
    def accepts_streams(self) -> bool:
        """Whether a further incoming stream is served."""
        return self._open_streams < self.config.max_streams_in

    def datagram(self, data: bytes, source: Address) -> None:
        """A datagram arrived."""
        must_wait = self._must_wait
        if must_wait and self._waiting_datagrams >= self.inbox_limit:
            self.overflowed += 1
        elif must_wait or self._inbox or self.cpu_delay:
            self._waiting_datagrams += 1
            self._arrived(_Arrival(inputs.Receive(data, source)))
        else:
            self._feed(inputs.Receive(data, source))

    def stream(self, data: bytes, source: Address, reply: StreamReply) -> None:
        """A stream request arrived."""
        self._open_streams += 1
        self._arrived(_Arrival(inputs.ReceiveStream(data, source), reply))

    def _exchanged(self, outcome: inputs.StreamReplied | _Failure) -> None:
        """An exchange of ours is over."""
        del self._exchanges[outcome.token]
        self._arrived(_Arrival(outcome))

    @property
    def _must_wait(self) -> bool:
        return self.is_frozen or self.is_blocked or self._is_working

    def _arrived(self, arrival: _Arrival) -> None:
        self._inbox.append(arrival)
        if not self._must_wait:
            self._work()

    def _work(self) -> None:
        """Handle what waits, as far as the process can."""
        while self._inbox and not self._must_wait:
            if self.cpu_delay:
                self._is_working = True
                self._busy_until = self._world.scheduler.now + self.cpu_delay
                self._world.scheduler.at(self._busy_until, self._worked, self.run)
            else:
                self._handle(self._inbox.popleft())

    def _worked(self, run: int) -> None:
        if run != self.run or self._core is None:
            return
        self._is_working = False
        if self._inbox and not self._must_wait:
            self._handle(self._inbox.popleft())
            self._work()

    def _handle(self, arrival: _Arrival) -> None:
        if isinstance(arrival.input, inputs.Receive):
            self._waiting_datagrams -= 1
        answer = self._feed(arrival.input)
        if arrival.reply is not None:
            self._open_streams = max(0, self._open_streams - 1)
            arrival.reply(answer)

    # Driving the core

    def _feed(self, entry: inputs.Input) -> bytes | None:
        """Give the core one input and see to all that follows from it."""
        core, now = self.core, self._now()
        answer = entry.apply(core, now)
        outputs, events = core.outgoing(), core.events()
        world = self._world
        if world.trace is not None:
            world.trace.fed(now, self.name, self.run, entry, answer, outputs, events)
        for output in outputs:
            self._emit(output)
        for event in events:
            world.observations.append(Observation(world.scheduler.now, self.name, event, self.run))
        if core.generation != self._generation:
            self._generation = core.generation
            local = core.local
            self.incarnations[local.id] = local.incarnation
        if core.is_leaving and core.has_left:
            self._stop()
        else:
            self._plan_wake()
        return answer

    def _emit(self, output: Output) -> None:
        if self.is_blocked:
            self._hold(output)
        elif isinstance(output, Datagram):
            self._world.network.send(self.host, output.data, output.address)
        else:
            self._exchange(output)

    def _exchange(self, exchange: StreamExchange) -> None:
        token = exchange.token
        self._exchanges[token] = open_stream(
            self._world.network,
            self.host,
            exchange.address,
            exchange.data,
            exchange.timeout,
            lambda data: self._exchanged(inputs.StreamReplied(token, data)),
            lambda reason: self._exchanged(_failure(token, reason)),
        )

    def _hold(self, output: Output) -> None:
        """Keep an output until sending no longer blocks; the core bounds its stream exchanges itself."""
        if isinstance(output, Datagram) and len(self._outbox) >= self.inbox_limit:
            self.overflowed += 1
            return
        if isinstance(output, StreamExchange):
            self._exchanges[output.token] = None
        self._outbox.append(output)

    # Waking the core

    def _plan_wake(self) -> None:
        """See that a wake comes no later than the core's deadline; one that comes earlier plans the next."""
        deadline = self.core.next_deadline()
        if deadline is None:
            return
        when = self._virtual(deadline)
        if self._wake_at is None or when < self._wake_at:
            self._wake_at = when
            self._world.scheduler.at(when, self._wake, self.run, when)

    def _wake(self, run: int, when: float) -> None:
        if run != self.run or self._core is None or when != self._wake_at:
            return
        self._wake_at = None
        if not self.is_frozen:
            self._wake_if_due()

    def _wake_if_due(self) -> None:
        core, now = self._core, self._world.scheduler.now
        if core is None or (deadline := core.next_deadline()) is None:
            return
        if self._virtual(deadline) > now:
            self._plan_wake()
        elif self._is_working:
            self._wake_at = self._busy_until
            self._world.scheduler.at(self._busy_until, self._wake, self.run, self._busy_until)
        else:
            # Back and forth between two clocks may lose the last bit; the deadline has come all the same.
            self._clock = max(self._clock, deadline)
            self._notice_spinning(now)
            self._feed(inputs.Advance())

    def _notice_spinning(self, now: float) -> None:
        self._wakes_at_once = self._wakes_at_once + 1 if now == self._last_wake else 0
        self._last_wake = now
        if self._wakes_at_once > _MOST_WAKES_AT_ONCE:
            raise SimulationError(f"the core of {self.name} wants to be woken at {now} again and again")


def _failure(token: int, reason: str) -> _Failure:
    match reason:
        case streams.REFUSED:
            return inputs.StreamRefused(token, reason)
        case streams.SILENT:
            return inputs.StreamSilent(token, reason)
        case _:
            return inputs.StreamFailed(token, reason)
