"""Cores on a virtual clock, small and exact.

`Solo` is one core whose peers are written by hand: a test says what it hears and reads what it sends. It has the
settings of memberlist, which leave one thing to look at, unless told otherwise. `Net` joins a handful of cores with our
own settings by a network that delivers at once and in order, and that loses what it is told to lose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar

from shoal.config import ClusterConfig
from shoal.events import Event, ViewChanged
from shoal.sim.profiles import MEMBERLIST
from shoal.swim.core import Swim
from shoal.swim.outputs import Datagram, StreamExchange
from shoal.swim.trust import Trust
from shoal.types import Address, Member, MemberState, NodeId, NodeInfo, Tags
from shoal.wire.messages import Alive, Gossip, Message, Range, RangeKind, SyncRecord, SyncRequest, SyncResponse, Update
from shoal.wire.native import NativeDialect
from tests.rows import rows

E = TypeVar("E")
M = TypeVar("M")

DIALECT = NativeDialect("shoal")
RECORDS = DIALECT.records
OUR_SETTINGS: dict[str, Any] = ClusterConfig().as_dict()
BASE_MS = 1_700_000_000_000


def node_id(number: int) -> NodeId:
    """A fixed id; a higher number is a later run."""
    return NodeId.mint(BASE_MS + number, Random(number))


def heads_of(*numbers: int) -> tuple[bytes, ...]:
    """The heads of some fixed ids, as suspicions name those who confirmed them."""
    return tuple(node_id(number).head for number in numbers)


def address_of(number: int) -> Address:
    return Address(f"10.0.{number >> 8}.{number & 255}", 7946)


def info_of(number: int, name: str | None = None, *, at: Address | None = None, **tags: str) -> NodeInfo:
    """What node `number` publishes: name, id and address follow from the number unless they are given."""
    return NodeInfo(name or f"n{number}", node_id(number), at or address_of(number), Tags(tags))


@dataclass(frozen=True)
class Sent:
    """A datagram, decoded."""

    message: Message
    updates: tuple[Update, ...]
    to: Address
    at: float
    size: int


STRANGER = node_id(999)
EVERYTHING = [Range(b"", RangeKind.HELD, ())]
"""What a node says that holds nothing and wants to know everything."""
OWN = 100


class Solo:
    """One core, its clock, and what it was handed out so far."""

    def __init__(
        self,
        number: int = OWN,
        *,
        seed: int = 1,
        info: NodeInfo | None = None,
        trust: Trust | None = None,
        **config: Any,
    ) -> None:
        self.now = 0.0
        self.info = info or info_of(number, "me")
        self.config = MEMBERLIST.replace(**{"forgive_stalls": True, **config})
        self.core = Swim(self.config, self.info, DIALECT, Random(seed), self.now, trust)
        self._streams: list[StreamExchange] = []
        self._datagrams: list[tuple[float, Datagram]] = []
        self._events: list[Event] = []

    # What goes in

    def receive(self, message: Message, *updates: Update, source: Address | None = None) -> None:
        data = DIALECT.attach(DIALECT.encode(message), [DIALECT.encode_update(update) for update in updates])
        self.core.receive(data, source or address_of(999), self.now)
        self.collect()

    def hear(self, *updates: Update) -> None:
        """News by the gossip of a stranger."""
        self.receive(Gossip(0, 0, STRANGER), *updates)

    def meet(self, *numbers: int) -> None:
        """Hear that these nodes are alive, in datagrams that tell of 100 each."""
        for begin in range(0, len(numbers), 100):
            self.hear(*(Alive(info_of(number), 0) for number in numbers[begin : begin + 100]))

    def ask(self, message: Message) -> Message | None:
        """The reply to a stream message."""
        reply = self.core.receive_stream(DIALECT.encode(message), address_of(999), self.now)
        self.collect()
        return None if reply is None else DIALECT.decode(reply)[0]

    def sync_from(self, sender: NodeId, *records: SyncRecord) -> None:
        """A peer comes with its view."""
        assert isinstance(self.ask(SyncRequest(0, 0, sender, False, EVERYTHING, rows(*records))), SyncResponse)

    def reply(self, exchange: StreamExchange, message: Message) -> None:
        self.core.stream_replied(exchange.token, DIALECT.encode(message), self.now)
        self.collect()

    def fail(self, exchange: StreamExchange, reason: str = "refused") -> None:
        self.core.stream_failed(exchange.token, reason, self.now)
        self.collect()

    def start(self) -> None:
        self.core.start(self.now)
        self.collect()

    def join(self, *seeds: Address) -> None:
        self.core.join(seeds, self.now)
        self.collect()

    def leave(self) -> None:
        self.core.leave(self.now)
        self.collect()

    # Time

    def sleep(self, seconds: float) -> None:
        """Let time pass, with every timer fired at its moment."""
        end, fired = self.now + seconds, 0
        while (deadline := self.core.next_deadline()) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.core.advance(self.now)
            self.collect()
            fired += 1
            assert fired < 100_000, "the core asks to be woken without end"
        self.now = end

    def sleep_until(self, moment: float) -> None:
        self.sleep(moment - self.now)

    def sleep_until_sent(self, kind: type[M]) -> Sent:
        """Let time pass until one datagram with such a message goes out; returns it and forgets all others."""
        while True:
            deadline = self.core.next_deadline()
            assert deadline is not None, f"no {kind.__name__} is ever sent"
            self.sleep_until(max(deadline, self.now))
            if packets := self.sent(kind):
                [packet] = packets
                return packet

    def stall(self, seconds: float) -> None:
        """Let time pass with the process stopped, then fire what is due."""
        self.now += seconds
        self.core.advance(self.now)
        self.collect()

    # What came out

    def sent(self, kind: type[M] | None = None) -> list[Sent]:
        """Datagrams since the last call, or those that carry a message of one kind; the others are forgotten too."""
        sent = [_decode(datagram, at) for at, datagram in self._datagrams]
        self._datagrams.clear()
        return [packet for packet in sent if kind is None or isinstance(packet.message, kind)]

    def news(self) -> list[Update]:
        """Every update of every datagram since the last call."""
        return [update for packet in self.sent() for update in packet.updates]

    def streams(self) -> list[StreamExchange]:
        """Stream exchanges opened since the last call."""
        streams, self._streams = self._streams, []
        return streams

    def events(self, kind: type[E] | tuple[type[E], ...] | None = None) -> list[Any]:
        """Events since the last call, or those of one kind; the others are forgotten too.

        What only sums up others, `ViewChanged`, is there if asked for.
        """
        events, self._events = self._events, []
        if kind is None:
            return [event for event in events if not isinstance(event, ViewChanged)]
        return [event for event in events if isinstance(event, kind)]

    def quiet(self) -> Solo:
        """Forget all that came out so far."""
        self.sent()
        self.streams()
        self.events()
        return self

    def drain(self) -> list[Datagram | StreamExchange]:
        """Undecoded outputs since the last call."""
        outputs: list[Datagram | StreamExchange] = [datagram for _, datagram in self._datagrams]
        outputs += self._streams
        self._datagrams.clear()
        self._streams.clear()
        return outputs

    def collect(self) -> None:
        """Take what the core has to hand out; only needed after its doors were used directly."""
        for output in self.core.outgoing():
            if isinstance(output, Datagram):
                self._datagrams.append((self.now, output))
            else:
                self._streams.append(output)
        self._events += self.core.events()

    # What is kept

    def kept(self, what: str) -> int:
        """How much the core keeps of something, which is no more than it may."""
        sizes: dict[str, int] = {}

        def note(one: str, size: int, most: int) -> None:
            assert size <= most, f"{size} {one}, the bound is {most}"
            sizes[one] = size

        self.core.take_stock(note)
        return sizes[what]

    # What is believed

    def member(self, number: int) -> Member:
        member = self.core.member(node_id(number))
        assert member is not None, f"n{number} is unknown"
        return member

    def state(self, number: int) -> MemberState | None:
        member = self.core.member(node_id(number))
        return None if member is None else member.state

    def states(self) -> dict[str, MemberState]:
        return {member.name: member.state for member in self.core.members()}

    @property
    def dropped(self) -> Mapping[str, int]:
        return self.core.stats.dropped


def _decode(datagram: Datagram, at: float) -> Sent:
    message, updates = DIALECT.decode(datagram.data)
    return Sent(message, tuple(updates), datagram.address, at, len(datagram.data))


class Net:
    """Cores that reach each other in no time.

    `lost` says which datagrams go missing, `cut` which streams do not open; `down` nodes stand still.
    """

    def __init__(
        self, count: int, *, seed: int = 0, trust: Callable[[int], Trust | None] = lambda _number: None, **config: Any
    ) -> None:
        self.now = 0.0
        self.nodes = {
            address_of(number): Solo(
                info=info_of(number), seed=1000 * seed + number, trust=trust(number), **OUR_SETTINGS | config
            )
            for number in range(1, count + 1)
        }
        self.down: set[Solo] = set()
        self.lost: Callable[[Solo, Datagram], bool] = lambda _sender, _datagram: False
        self.cut: Callable[[Solo, Address], bool] = lambda _sender, _address: False
        self.log: list[bytes] = []
        """Every byte that any node sent, in order."""

    def __getitem__(self, number: int) -> Solo:
        return self.nodes[address_of(number)]

    def after(self, number: int) -> Solo:
        """The node that stands after another on the ring."""
        ring = sorted(self.nodes.values(), key=lambda node: node.info.id[8:])
        return ring[(ring.index(self[number]) + 1) % len(ring)]

    def form(self, seconds: float = 5.0) -> Net:
        """Start everybody with the first node as the seed, and wait."""
        for node in self.nodes.values():
            node.start()
            if node is not self[1]:
                node.join(address_of(1))
        self.sleep(seconds)
        return self

    def sleep(self, seconds: float) -> None:
        end = self.now + seconds
        self._transfer()
        while (due := self._next()) is not None and due[0] <= end:
            self.now, node = max(self.now, due[0]), due[1]
            self._set_clocks()
            node.stall(0.0)
            self._transfer()
        self.now = end
        self._set_clocks()

    def _set_clocks(self) -> None:
        for node in self.nodes.values():
            node.now = self.now

    def _running(self) -> Iterable[Solo]:
        return [node for node in self.nodes.values() if node not in self.down]

    def _next(self) -> tuple[float, Solo] | None:
        deadlines = [(node.core.next_deadline(), node) for node in self._running()]
        return min(((at, node) for at, node in deadlines if at is not None), key=lambda due: due[0], default=None)

    def _transfer(self) -> None:
        while moved := [(node, output) for node in self._running() for output in node.drain()]:
            for sender, output in moved:
                self.log.append(output.data)
                receiver = self.nodes.get(output.address)
                if receiver in self.down:
                    receiver = None
                if isinstance(output, StreamExchange):
                    is_cut = self.cut(sender, output.address)
                    self._exchange(sender, None if is_cut else receiver, output)
                elif receiver is not None and not self.lost(sender, output):
                    receiver.core.receive(output.data, sender.info.address, self.now)
                    receiver.collect()

    def _exchange(self, sender: Solo, receiver: Solo | None, exchange: StreamExchange) -> None:
        reply = None
        if receiver is not None:
            reply = receiver.core.receive_stream(exchange.data, sender.info.address, self.now)
            receiver.collect()
        if reply is None:
            sender.core.stream_failed(exchange.token, "no reply", self.now)
        else:
            self.log.append(reply)
            sender.core.stream_replied(exchange.token, reply, self.now)
        sender.collect()
