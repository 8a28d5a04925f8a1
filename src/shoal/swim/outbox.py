"""Everything on its way out of one core; here packets are filled with news."""

from __future__ import annotations

from collections.abc import Iterable

from shoal.errors import MessageTooLargeError
from shoal.swim.context import Context
from shoal.swim.outputs import Datagram, Output
from shoal.swim.sends import retransmit_limit
from shoal.types import Address, Note
from shoal.wire.messages import Message

__all__ = ["Outbox"]


class Outbox:
    """Collects outputs until the driver drains them."""

    __slots__ = ("_config", "_dialect", "_outputs", "_queue", "_stats", "_table")

    def __init__(self, context: Context) -> None:
        self._config = context.config
        self._dialect = context.dialect
        self._table = context.table
        self._queue = context.queue
        self._stats = context.stats
        self._outputs: list[Output] = []

    def take_stock(self, note: Note) -> None:
        """Note what it keeps."""
        note("outputs that nobody took", len(self._outputs), 0)

    @property
    def has_news(self) -> bool:
        """Whether there is any to go along with messages."""
        return bool(self._queue.waiting)

    def post(self, message: Message, address: Address) -> None:
        """Send a message bare."""
        self._put(self._dialect.encode(message), address)

    def post_packet(self, packet: bytes, address: Address) -> None:
        """Send a packet that is complete as it is."""
        self._put(packet, address)

    def post_within_limit(self, message: Message, address: Address) -> None:
        """Send a message of a user bare; raises `MessageTooLargeError` when it does not fit in a datagram."""
        self._put(self._within_limit(message), address)

    def check_limit(self, message: Message) -> None:
        """Send nothing; raises as `post_within_limit`."""
        self._within_limit(message)

    def _within_limit(self, message: Message) -> bytes:
        packet = self._dialect.encode(message)
        if len(packet) > self._config.max_datagram:
            raise MessageTooLargeError("message", len(packet), self._config.max_datagram, "max_datagram")
        return packet

    def post_with_news(self, message: Message, address: Address, now: float, first: bytes | None = None) -> None:
        """Send a message, with news in the room that it leaves; `first` is an update to go ahead of all others."""
        packet = self._dialect.encode(message)
        if first is not None or self._queue.waiting:
            packet = self._fill(packet, first, now, copies=1)
        self._put(packet, address)

    def post_news(self, message: Message, addresses: Iterable[Address], now: float) -> None:
        """Send one packet of news to several members, encoded once."""
        addresses = tuple(addresses)
        packet = self._fill(self._dialect.encode(message), None, now, len(addresses))
        for address in addresses:
            self._put(packet, address)

    def put(self, output: Output) -> None:
        """Hand over an output that is ready as it is."""
        self._outputs.append(output)

    def drain(self) -> list[Output]:
        """All outputs since the last call."""
        outputs, self._outputs = self._outputs, []
        return outputs

    def _fill(self, packet: bytes, first: bytes | None, now: float, copies: int) -> bytes:
        dialect = self._dialect
        room = self._config.max_datagram - len(packet) - dialect.packet_overhead
        updates: list[bytes] = []
        if first is not None:
            updates.append(first)
            room -= len(first) + dialect.update_overhead
        limit = retransmit_limit(self._config, self._table.present_count)
        updates += self._queue.pick(room, dialect.update_overhead, limit, now, copies)
        self._stats.updates_out += len(updates) * copies
        return dialect.attach(packet, updates) if updates else packet

    def _put(self, packet: bytes, address: Address) -> None:
        stats = self._stats
        stats.datagrams_out += 1
        stats.bytes_out += len(packet)
        self._outputs.append(Datagram(packet, address))
