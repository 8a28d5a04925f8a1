"""The virtual network: hosts with addresses, paths between them, and everything that goes wrong on the way.

Every draw comes from a generator of the sending host's own, made from the seed and the host's name, so a further host
does not shift what happens to the packets of the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final, Protocol

from shoal.sim.latency import Latency, Uniform
from shoal.sim.ranges import SHARES, TIMES, require
from shoal.sim.scheduler import Scheduler
from shoal.types import Address

__all__ = [
    "CALM",
    "DATA_CENTRE",
    "Cut",
    "Drop",
    "Host",
    "Link",
    "Network",
    "Port",
    "StreamMode",
    "StreamReply",
    "Traffic",
]


class Drop(StrEnum):
    """Why a datagram did not arrive."""

    LOST = "lost"
    CUT = "cut"
    """The path is cut."""
    NO_HOST = "no_host"
    """No host has the address."""
    NO_PORT = "no_port"
    """The host is there, the process is not."""
    CONGESTED = "congested"
    """The sender's backlog at its rate limit is too long."""


class StreamMode(StrEnum):
    """What happens to streams that are opened to a host."""

    OPEN = "open"
    REFUSED = "refused"
    """Nobody listens: the connection is refused at once."""
    STALLED = "stalled"
    """Connections open, and then nothing happens."""
    RESET = "reset"
    """The request is handled, and the connection breaks before the reply."""

    def __repr__(self) -> str:  # as Python writes it: scenarios print themselves as code
        return f"StreamMode.{self.name}"


class StreamReply(Protocol):
    """Takes the reply to a stream request; None closes the stream without one."""

    def __call__(self, reply: bytes | None, /) -> None:
        """Take it."""
        ...


class Port(Protocol):
    """What listens at an address: one running process."""

    @property
    def accepts_streams(self) -> bool:
        """Whether a further incoming stream is served."""
        ...

    def datagram(self, data: bytes, source: Address) -> None:
        """A datagram arrived."""
        ...

    def stream(self, data: bytes, source: Address, reply: StreamReply) -> None:
        """A whole stream request arrived; `reply` is called once, now or later."""
        ...


DATA_CENTRE: Final = Uniform(0.000_2, 0.001)
"""One-way delays between machines of one calm data centre."""


@dataclass(frozen=True, slots=True)
class Link:
    """What a path does to packets, each direction for itself. Raises `ConfigError` for numbers out of range."""

    latency: Latency = DATA_CENTRE
    """One way."""
    loss: float = 0.0
    """Share of packets that vanish, 0 to 1. On streams a loss costs a retransmission."""
    duplication: float = 0.0
    """Share of datagrams that arrive twice."""
    reordering: float = 0.0
    """Share of datagrams that are held back by up to `held_back`."""
    held_back: float = 0.05
    """Seconds."""

    def __post_init__(self) -> None:
        for field in ("loss", "duplication", "reordering"):
            require(field, getattr(self, field), SHARES)
        require("held_back", self.held_back, TIMES)


CALM: Final = Link()
"""A path on which nothing goes wrong."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Nothing gets from any of `sources` to any of `targets`; host names."""

    sources: frozenset[str]
    targets: frozenset[str]


@dataclass(slots=True)
class Traffic:
    """What one host has sent and received since the start; bytes are payload, without headers of lower layers."""

    datagrams_out: int = 0
    bytes_out: int = 0
    datagrams_in: int = 0
    bytes_in: int = 0
    streams_out: int = 0
    stream_bytes_out: int = 0
    stream_bytes_in: int = 0
    largest_datagram: int = 0


class Host:
    """One machine on the network; processes come and go at its port."""

    __slots__ = (
        "address", "backlog_limit", "egress_loss", "ingress_loss", "is_off", "name", "port", "random", "rate",
        "streams", "traffic", "wire_free_at", "zone",
    )  # fmt: skip

    def __init__(self, name: str, address: Address, zone: str, random: Random) -> None:
        self.name = name
        self.address = address
        self.zone = zone
        self.random = random
        self.port: Port | None = None
        """The process that listens; None refuses streams and drops datagrams."""
        self.is_off = False
        """Whether the whole machine is gone: then nothing is refused either."""
        self.egress_loss = 0.0
        self.ingress_loss = 0.0
        self.streams = StreamMode.OPEN
        """What happens to incoming streams."""
        self.rate: float | None = None
        """Bytes per second that leave the host; None is unlimited."""
        self.backlog_limit = 0.5
        """Seconds of backlog at `rate` above which datagrams are dropped."""
        self.wire_free_at = 0.0
        self.traffic = Traffic()

    def transmit(self, size: int, now: float, *, patient: bool) -> float | None:
        """Seconds until `size` bytes have left the host; None when the backlog is full and the sender not patient."""
        if self.rate is None:
            return 0.0
        backlog = max(0.0, self.wire_free_at - now)
        if backlog > self.backlog_limit and not patient:
            return None
        self.wire_free_at = now + backlog + size / self.rate
        return self.wire_free_at - now


class Network:
    """Carries datagrams between hosts; `shoal.sim.streams` carries streams by the same rules."""

    def __init__(self, scheduler: Scheduler, seed: int | str, link: Link = CALM) -> None:
        self.scheduler = scheduler
        self.seed = seed
        self.link = link
        """The path between two hosts for which nothing else is said."""
        self.loss = 0.0
        """Loss on every path, besides that of the path itself."""
        self.hosts: dict[str, Host] = {}
        self.dropped: Counter[Drop] = Counter()
        self._by_address: dict[Address, Host] = {}
        self._links: dict[tuple[str, str], Link] = {}
        self._zone_links: dict[tuple[str, str], Link] = {}
        self._cuts: list[Cut] = []

    def add_host(self, name: str, address: Address, zone: str = "") -> Host:
        """Put a machine on the network. Raises `ValueError` when its name or address is taken."""
        if name in self.hosts or address in self._by_address:
            raise ValueError(f"host {name!r} at {address}: name or address is taken; choose another")
        host = Host(name, address, zone, Random(f"{self.seed}/network/{name}"))
        self.hosts[name] = self._by_address[address] = host
        return host

    def host_at(self, address: Address) -> Host | None:
        """The machine with that address."""
        return self._by_address.get(address)

    # Paths

    def set_link(self, sender: str, receiver: str, link: Link) -> None:
        """Say what the path from one host to another does; the way back is a path of its own."""
        self._links[sender, receiver] = link

    def set_zone_link(self, one: str, other: str, link: Link) -> None:
        """Say what the paths between two zones, or within one, do; a path between two hosts goes before."""
        self._zone_links[one, other] = self._zone_links[other, one] = link

    @property
    def most_loss(self) -> float:
        """The loss of the path that loses most, without what comes on top everywhere."""
        return max(link.loss for link in (self.link, *self._links.values(), *self._zone_links.values()))

    def path(self, sender: Host, receiver: Host) -> Link:
        """What lies between two hosts."""
        if self._links and (link := self._links.get((sender.name, receiver.name))) is not None:
            return link
        if self._zone_links and (link := self._zone_links.get((sender.zone, receiver.zone))) is not None:
            return link
        return self.link

    # Partitions

    def partition(self, *sides: Collection[str]) -> None:
        """Cut every path between different sides, both ways; paths to hosts on no side stay."""
        for one in sides:
            for other in sides:
                if one is not other:
                    self.cut(one, other)

    def cut(self, sources: Collection[str], targets: Collection[str]) -> Cut:
        """Let nothing through from `sources` to `targets`; the way back stays open."""
        cut = Cut(frozenset(sources), frozenset(targets))
        self._cuts.append(cut)
        return cut

    def heal(self, cut: Cut | None = None) -> None:
        """Open one cut again, or all."""
        if cut is None:
            self._cuts.clear()
        else:
            self._cuts.remove(cut)

    @property
    def cuts(self) -> tuple[Cut, ...]:
        """What is cut now."""
        return tuple(self._cuts)

    def is_cut(self, sender: Host, receiver: Host) -> bool:
        """Whether nothing gets from one host to the other."""
        return any(sender.name in cut.sources and receiver.name in cut.targets for cut in self._cuts)

    def is_lost(self, sender: Host, receiver: Host, link: Link) -> bool:
        """Draw whether one packet vanishes on its way."""
        arrives = (1 - link.loss) * (1 - self.loss) * (1 - sender.egress_loss) * (1 - receiver.ingress_loss)
        return arrives < 1 and sender.random.random() >= arrives

    # Datagrams

    def send(self, sender: Host, data: bytes, address: Address) -> None:
        """Send a datagram; it arrives once, twice or never."""
        traffic, size = sender.traffic, len(data)
        traffic.datagrams_out += 1
        traffic.bytes_out += size
        traffic.largest_datagram = max(traffic.largest_datagram, size)
        receiver = self._by_address.get(address)
        if receiver is None:
            self.dropped[Drop.NO_HOST] += 1
            return
        queued = 0.0 if sender.rate is None else sender.transmit(size, self.scheduler.now, patient=False)
        if queued is None:
            self.dropped[Drop.CONGESTED] += 1
            return
        if self._cuts and self.is_cut(sender, receiver):
            self.dropped[Drop.CUT] += 1
            return
        link = self.path(sender, receiver)
        self._carry(sender, receiver, data, link, queued)
        if link.duplication and sender.random.random() < link.duplication:
            self._carry(sender, receiver, data, link, queued)

    def _carry(self, sender: Host, receiver: Host, data: bytes, link: Link, queued: float) -> None:
        if self.is_lost(sender, receiver, link):
            self.dropped[Drop.LOST] += 1
            return
        delay = queued + link.latency.draw(sender.random)
        if link.reordering and sender.random.random() < link.reordering:
            delay += link.held_back * sender.random.random()
        self.scheduler.after(delay, self._arrive, receiver, data, sender.address)

    def _arrive(self, receiver: Host, data: bytes, source: Address) -> None:
        if receiver.port is None:
            self.dropped[Drop.NO_PORT] += 1
            return
        traffic = receiver.traffic
        traffic.datagrams_in += 1
        traffic.bytes_in += len(data)
        receiver.port.datagram(data, source)
