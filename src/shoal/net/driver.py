"""Runs one protocol core on one event loop: feeds it, carries out what it asks for, hands on what it reports.

The core decides everything; the driver owns the clock, the one timer, the lock and the tasks of stream exchanges.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Protocol, TypeVar, TypeVarTuple

from shoal.errors import AlreadyStartedError, ClosedError, NotStartedError, RefusedError, ShoalError, SilentPeerError
from shoal.events import Event
from shoal.net.faults import FaultLog
from shoal.net.transport import Transport
from shoal.net.wakeups import GRAIN, Wakeup
from shoal.swim.outputs import Datagram, Output, StreamExchange
from shoal.types import Address

__all__ = ["FAULT_PAUSE", "Core", "Driver", "DriverStats"]

FAULT_PAUSE = 0.1
"""Seconds before the timer calls again after a fault: the deadline that was not met would otherwise come at once."""
_SHOWN = 32
"""Bytes of a message that provoked a fault that the report shows."""

_log = logging.getLogger("shoal.net")

_Args = TypeVarTuple("_Args")
_Result = TypeVar("_Result")


class Core(Protocol):
    """The doors of `shoal.swim.core.Swim` that a driver uses; they are described there."""

    def start(self, now: float) -> None: ...  # noqa: D102
    def receive(self, data: bytes, source: Address, now: float) -> None: ...  # noqa: D102
    def receive_stream(self, data: bytes, source: Address, now: float) -> bytes | None: ...  # noqa: D102
    def stream_replied(self, token: int, data: bytes, now: float) -> None: ...  # noqa: D102
    def stream_failed(self, token: int, reason: str, now: float) -> None: ...  # noqa: D102
    def stream_refused(self, token: int, reason: str, now: float) -> None: ...  # noqa: D102
    def stream_silent(self, token: int, reason: str, now: float) -> None: ...  # noqa: D102
    def advance(self, now: float) -> None: ...  # noqa: D102
    def next_deadline(self) -> float | None: ...  # noqa: D102
    def knows(self, address: Address) -> bool: ...  # noqa: D102
    def outgoing(self) -> list[Output]: ...  # noqa: D102
    def events(self) -> list[Event]: ...  # noqa: D102


@dataclass(slots=True)
class DriverStats:
    """What one driver counted; the numbers only rise."""

    core_faults: int = 0
    """Exceptions out of the core, each of them a bug; the node went on."""
    listener_faults: int = 0
    """Exceptions out of `on_events`."""
    exchanges_refused: int = 0
    """Stream exchanges not tried because `max_streams_out` were under way."""


class Driver:
    """One core on one transport; the receiver of that transport.

    All methods belong to the loop's thread. Whoever reads the core from another thread holds `lock`, which the driver
    holds while it changes the core, and never while it calls anybody else. `on_events` is called with the events of
    each step, on the loop's thread; it must not block, and may use `call`. So may `on_wake`, which is called after each
    wake-up, with how late that was, in seconds. Wake-ups are put off by up to `timer_slack` seconds, to share them with
    other drivers on the loop; that is not late.
    """

    __slots__ = (
        "_armed_for",
        "_core",
        "_exchanges",
        "_faults",
        "_latest",
        "_loop",
        "_max_streams_out",
        "_not_before",
        "_on_events",
        "_on_wake",
        "_stopped",
        "_timer_slack",
        "_transport",
        "_wakeup",
        "lock",
        "stats",
    )

    def __init__(
        self,
        core: Core,
        transport: Transport,
        *,
        on_events: Callable[[Sequence[Event]], None],
        max_streams_out: int,
        timer_slack: float = 0.0,
        on_wake: Callable[[float], None] = lambda _late: None,
    ) -> None:
        self.lock = threading.Lock()
        self.stats = DriverStats()
        self._core = core
        self._transport = transport
        self._on_events = on_events
        self._on_wake = on_wake
        self._max_streams_out = max_streams_out
        self._faults = FaultLog()
        self._exchanges: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = False
        self._timer_slack = timer_slack
        self._wakeup: Wakeup | None = None
        self._armed_for: float | None = None
        self._not_before = -inf
        self._latest = -inf

    async def start(self) -> None:
        """Start the core and the transport, which may be bound already.

        Raises what `Transport.start` raises, and leaves nothing open then.
        """
        if self._stopped:
            raise ClosedError("the driver is stopped; make a new one")
        if self._loop is not None:
            raise AlreadyStartedError("the driver is started already")
        self._loop = asyncio.get_running_loop()
        self._wakeup = Wakeup(self._loop, self._wake, self._timer_slack)
        try:
            with self.lock:
                self._core.start(self._now())
            await self._transport.start(self)
            self._flush()
        except BaseException:
            await self.stop()
            raise

    def halt(self) -> None:
        """Let neither time nor messages into the core any more; may be called at any time and again."""
        self._stopped = True
        if self._wakeup is not None:
            self._wakeup.cancel()

    async def stop(self) -> None:
        """Cancel what is under way and close the transport; may be called at any time and again."""
        self.halt()
        try:
            for task in self._exchanges:
                task.cancel()
            if self._exchanges:
                await asyncio.wait(self._exchanges)
        finally:
            await self._transport.close()

    def call(self, command: Callable[[*_Args, float], _Result], *args: *_Args) -> _Result:
        """Run a command of the core, which takes the time as its last argument, and carry out what it asks for.

        Raises what the command raises, `NotStartedError` and `ClosedError`.
        """
        if self._stopped:
            raise ClosedError("the node is closed")
        if self._loop is None:
            raise NotStartedError("the node is not started")
        try:
            with self.lock:
                return command(*args, self._now())
        finally:
            self._flush()

    def datagrams_received(self, batch: Sequence[tuple[bytes, Address]]) -> None:
        """As `Receiver.datagrams_received`."""
        if self._stopped:
            return
        if _log.isEnabledFor(logging.DEBUG):
            for data, source in batch:
                _log.debug("%s received %d bytes from %s", self._transport.address, len(data), source)
        faults: list[tuple[Exception, bytes, Address]] = []
        receive = self._core.receive
        now = self._now()
        with self.lock:
            for data, source in batch:
                try:
                    receive(data, source, now)
                except Exception as error:
                    faults.append((error, data, source))
        for fault, data, source in faults:
            self._core_fault(f"receive of {_shown(data)} from {source}", fault)
        self._flush()

    def stream_received(self, data: bytes, source: Address) -> bytes | None:
        """As `Receiver.stream_received`."""
        if self._stopped:
            return None
        _log.debug("%s received %d bytes over a stream from %s", self._transport.address, len(data), source)
        reply: bytes | None = None
        try:
            with self.lock:
                reply = self._core.receive_stream(data, source, self._now())
        except Exception as error:
            self._core_fault(f"receive_stream of {_shown(data)} from {source}", error)
        self._flush()
        return reply

    def knows(self, address: Address) -> bool:
        """As `Receiver.knows`."""
        return self._core.knows(address)  # only this thread changes the core: no lock is needed to read it here

    def _now(self) -> float:
        """The loop's time, made to never fall: the timer may fire a hair before its deadline."""
        assert self._loop is not None
        self._latest = max(self._latest, self._loop.time())
        return self._latest

    def _flush(self) -> None:
        """Carry out what the core asks for; to be called after every change of it."""
        if self._stopped:
            return
        core = self._core
        try:
            with self.lock:
                outputs, events, deadline = core.outgoing(), core.events(), core.next_deadline()
        except Exception as error:
            self._core_fault("draining", error)
            outputs, events, deadline = [], [], self._latest + FAULT_PAUSE
        if deadline != self._armed_for:
            self._arm(deadline)  # first, so that nothing that follows can keep the node from waking up again
        if outputs:
            self._carry_out(outputs)
        if events:
            self._hand_on(events)

    def _carry_out(self, outputs: list[Output]) -> None:
        if _log.isEnabledFor(logging.DEBUG):
            for output in outputs:
                _log.debug("%s sends %d bytes to %s", self._transport.address, len(output.data), output.address)
        send = self._transport.send
        for output in outputs:
            if isinstance(output, Datagram):
                send(output.data, output.address)
            else:
                self._open(output)

    def _hand_on(self, events: list[Event]) -> None:
        try:
            self._on_events(events)
        except Exception as error:
            self.stats.listener_faults += 1
            self._faults.report("a listener for events", error, self._latest)

    def _arm(self, deadline: float | None) -> None:
        """Wake up at `deadline`, give or take the slack of timers."""
        assert self._wakeup is not None
        self._armed_for = deadline
        if deadline is None:
            self._wakeup.cancel()
        else:
            self._wakeup.set(max(deadline, self._not_before), self._latest)

    def _wake(self, at: float) -> None:
        assert self._loop is not None
        self._armed_for = None
        real = self._loop.time()
        # Within the slack it counts as on time, so that what follows from it falls on shared moments too, and nothing
        # is rounded up twice. That goes for a loop whose clock is coarse and fires early, too.
        now = self._latest = max(self._latest, at if real < at + self._timer_slack else real)
        try:
            with self.lock:
                deadline = self._core.next_deadline()
                if deadline is not None and deadline <= now + GRAIN:
                    now = self._latest = max(now, deadline)
                    self._core.advance(now)
        except Exception as error:
            self._not_before = now + FAULT_PAUSE
            self._core_fault("advance", error)
        self._flush()
        if not self._stopped:
            self._on_wake(max(0.0, real - at))

    def _open(self, exchange: StreamExchange) -> None:
        assert self._loop is not None
        if len(self._exchanges) >= self._max_streams_out:
            self.stats.exchanges_refused += 1
            # Not at once: a core that answered each failure with a new try would never return from here.
            self._loop.call_soon(self._failed, exchange.token, "too many exchanges are under way (max_streams_out)")
            return
        task = self._loop.create_task(self._exchange(exchange), name=f"shoal exchange with {exchange.address}")
        self._exchanges.add(task)
        task.add_done_callback(self._exchanges.discard)

    async def _exchange(self, exchange: StreamExchange) -> None:
        try:
            reply = await self._transport.exchange(exchange.address, exchange.data, exchange.timeout)
        except RefusedError as error:
            _log.debug("%s: %s", self._transport.address, error)
            self._feed(self._core.stream_refused, exchange.token, str(error))
        except SilentPeerError as error:
            _log.debug("%s: %s", self._transport.address, error)
            self._feed(self._core.stream_silent, exchange.token, str(error))
        except ShoalError as error:
            _log.debug("%s: %s", self._transport.address, error)
            self._failed(exchange.token, str(error))
        except Exception as error:
            self._faults.report(f"the exchange with {exchange.address}", error, self._now())
            self._failed(exchange.token, f"fault in the transport: {error!r}")
        else:
            self._feed(self._core.stream_replied, exchange.token, reply)

    def _failed(self, token: int, reason: str) -> None:
        self._feed(self._core.stream_failed, token, reason)

    def _feed(self, door: Callable[[*_Args, float], None], *args: *_Args) -> None:
        if self._stopped:
            return
        try:
            with self.lock:
                door(*args, self._now())
        except Exception as error:
            self._core_fault(door.__name__, error)
        self._flush()

    def _core_fault(self, where: str, error: Exception) -> None:
        self.stats.core_faults += 1
        self._faults.report(f"the core: {where}", error, self._latest)


def _shown(data: bytes) -> str:
    dots = "…" if len(data) > _SHOWN else ""
    return f"{len(data)} bytes ({data[:_SHOWN].hex()}{dots})"
