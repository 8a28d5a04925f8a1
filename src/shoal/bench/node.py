"""One node of a benchmark: the protocol core on its driver and its sockets, as `shoal.Cluster` runs it.

What is left out is what a process has once however many nodes live in it: event streams, so that nobody listens to who
joins, and the watch on garbage collections.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Final

from shoal.bench.plan import name_of
from shoal.config import ClusterConfig
from shoal.events import Event, HealthReason
from shoal.net.driver import Driver
from shoal.net.sealed import SealedTransport
from shoal.net.sockets import SocketTransport
from shoal.net.transport import Transport
from shoal.net.wakeups import timer_slack
from shoal.swim.core import Swim
from shoal.types import Address, NodeId, NodeInfo, Tags
from shoal.wire.envelope import OVERHEAD
from shoal.wire.keyring import Keyring
from shoal.wire.native import NativeDialect

__all__ = ["BenchNode"]

_LEAST_LAG: Final = 0.05
"""Seconds; as `shoal.Cluster` has it."""


class BenchNode:
    """Made by `open`."""

    __slots__ = ("_on_late", "core", "driver", "number", "transport")

    def __init__(self, number: int, core: Swim, transport: Transport, on_late: Callable[[float], None]) -> None:
        self.number = number
        self.core = core
        self.transport = transport
        self.driver: Driver
        self._on_late = on_late

    @classmethod
    async def open(
        cls,
        number: int,
        config: ClusterConfig,
        on_events: Callable[[int, Sequence[Event]], None],
        on_late: Callable[[float], None],
    ) -> BenchNode:
        """Bind; nothing is read or sent before `start`. Raises `BindError`."""
        sockets = SocketTransport(config)
        transport: Transport = sockets
        if config.keys:
            transport = SealedTransport(sockets, Keyring(config.keys), config)
            config = config.replace(max_datagram=config.max_datagram - OVERHEAD, keys=())
        await transport.bind()
        now = time.monotonic()
        identity = NodeId.mint(time.time_ns() // 1_000_000, Random(secrets.randbits(128)))
        info = NodeInfo(name_of(number), identity, transport.address, Tags(config.tags))
        core = Swim(config, info, NativeDialect(config.cluster), Random(secrets.randbits(128)), now)
        core.is_heard = lambda: False
        node = cls(number, core, transport, on_late)
        node.driver = Driver(
            core,
            transport,
            on_events=partial(on_events, number),
            on_wake=node._beat,
            max_streams_out=config.max_streams_out,
            timer_slack=timer_slack(config),
        )
        return node

    async def start(self) -> None:
        """Begin to probe and to answer."""
        await self.driver.start()

    @property
    def address(self) -> Address:
        """Where it is."""
        return self.transport.address

    def join(self, seed: Address) -> None:
        """Contact one other, without waiting."""
        self.driver.call(self.core.join, [seed])

    async def kill(self) -> None:
        """Close its sockets without a word."""
        await self.driver.stop()

    def _beat(self, late: float) -> None:
        self._on_late(late)
        if late >= _LEAST_LAG:
            self.driver.call(self.core.note_lag, late, HealthReason.EVENT_LOOP_LAG)
