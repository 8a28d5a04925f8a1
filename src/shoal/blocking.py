"""`Cluster` for synchronous code: the same member, on an event loop of its own in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

from shoal import cluster as face
from shoal.config import ClusterConfig
from shoal.errors import AlreadyStartedError, ClosedError, NotStartedError
from shoal.events import Event
from shoal.net.loops import loop_factory
from shoal.net.transport import Transport
from shoal.subscription import Subscription
from shoal.types import Address, Member, NodeId

__all__ = ["Cluster", "Events"]

_Result = TypeVar("_Result")


class Events(Iterator[Event]):
    """A blocking iterator over events; ends when the cluster closes or `close` is called, from whichever thread."""

    def __init__(self, cluster: Cluster, subscription: Subscription) -> None:
        self._cluster = cluster
        self._subscription = subscription

    def __next__(self) -> Event:
        try:
            event = self._cluster.run(self._next())
        except ClosedError:
            event = None
        if event is None:
            raise StopIteration
        return event

    def close(self) -> None:
        """End the iteration after what is waiting; may be called again."""
        with suppress(ClosedError):
            self._cluster.run(self._close())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def _next(self) -> Event | None:
        return await anext(self._subscription, None)

    async def _close(self) -> None:
        self._subscription.close()


class Cluster:
    """One member, as `shoal.Cluster`; every method may be called from any thread and blocks until it is done.

    Interrupting a call (Ctrl-C) cancels it. Use `with`, or `close`, which also ends the thread.
    """

    def __init__(
        self, config: ClusterConfig | None = None, *, transport: Transport | None = None, **changes: Any
    ) -> None:
        """As `shoal.Cluster`; no thread is started before `start`."""
        self._cluster = face.Cluster(config, transport=transport, **changes)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closing = threading.Lock()
        self._is_closed = False

    # Life

    def start(self) -> None:
        """As `shoal.Cluster.start`."""
        if self._is_closed:
            raise ClosedError("this cluster object is closed; make a new one")
        if self._loop is not None:
            raise AlreadyStartedError("this cluster object is started already; one object is one run")
        self._loop = (loop_factory() or asyncio.new_event_loop)()
        name = f"shoal {self._cluster.config.name}"
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()
        try:
            self.run(self._cluster.start())
        except BaseException:
            self.close()
            raise

    def leave(self) -> None:
        """As `shoal.Cluster.leave`."""
        if not self._is_closed:
            self.run(self._cluster.leave())

    def close(self) -> None:
        """As `shoal.Cluster.close`; the thread has ended when it returns."""
        with self._closing:
            if self._is_closed:
                return
            if self._loop is not None and self._thread is not None:
                self.run(self._cluster.close())
                self._is_closed = True
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join()
                self._loop.close()
            self._is_closed = True

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.leave()
        finally:
            self.close()

    # Commands

    def join(self, seeds: Iterable[Address | str]) -> None:
        """As `shoal.Cluster.join`."""
        self.run(self._cluster.join(seeds))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """As `shoal.Cluster.set_tags`."""
        self.run(self._cluster.set_tags(tags))

    def update_tags(self, changes: Mapping[str, str | None]) -> None:
        """As `shoal.Cluster.update_tags`."""
        self.run(self._cluster.update_tags(changes))

    def broadcast(self, payload: bytes) -> None:
        """As `shoal.Cluster.broadcast`."""
        self.run(self._cluster.broadcast(payload))

    def send(self, to: Member | NodeId | str, payload: bytes) -> None:
        """As `shoal.Cluster.send`."""
        self.run(self._cluster.send(to, payload))

    def wait_for_members(self, count: int, timeout: float = 10.0) -> None:
        """As `shoal.Cluster.wait_for_members`."""
        self.run(self._cluster.wait_for_members(count, timeout))

    # Reads

    @property
    def config(self) -> ClusterConfig:
        """As `shoal.Cluster.config`."""
        return self._cluster.config

    @property
    def local(self) -> Member:
        """As `shoal.Cluster.local`."""
        return self._cluster.local

    def members(self, **tags: str) -> tuple[Member, ...]:
        """As `shoal.Cluster.members`."""
        return self._cluster.members(**tags)

    def all_members(self) -> tuple[Member, ...]:
        """As `shoal.Cluster.all_members`."""
        return self._cluster.all_members()

    def member(self, which: NodeId | str) -> Member | None:
        """As `shoal.Cluster.member`."""
        return self._cluster.member(which)

    def events(self) -> Events:
        """As `shoal.Cluster.events`."""
        return Events(self, self._cluster.events())

    def health(self) -> face.Health:
        """As `shoal.Cluster.health`."""
        return self._cluster.health()

    def stats(self) -> dict[str, int]:
        """As `shoal.Cluster.stats`."""
        return self._cluster.stats()

    def now(self) -> float:
        """As `shoal.Cluster.now`."""
        return self._cluster.now()

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Run a coroutine on the member's event loop and wait for its result.

        Raises what it raises, and `NotStartedError` and `ClosedError`.
        """
        loop = self._loop
        if loop is None or self._is_closed:
            work.close()
            if self._is_closed:
                raise ClosedError("this cluster object is closed")
            raise NotStartedError("this cluster object is not started; use 'with' or start() first")
        future = asyncio.run_coroutine_threadsafe(work, loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise
