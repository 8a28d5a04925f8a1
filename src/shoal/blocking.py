"""`Cluster` for synchronous code: the same member, on an event loop of its own in a thread of its own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import warnings
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Self, TypeVar

from shoal import cluster as face
from shoal.config import ClusterConfig
from shoal.errors import AlreadyStartedError, ClosedError, LifecycleError, NotStartedError
from shoal.events import Event, Partition, PartitionRuling, Verdict
from shoal.keys import ClusterKey, KeyId
from shoal.net.loops import loop_factory
from shoal.net.transport import Transport
from shoal.persistence import SavedEvent, StateStore
from shoal.rotation import KeyReport
from shoal.shutdown import ShutdownReport
from shoal.subscription import Subscription
from shoal.swim.heartbeats import Heartbeat
from shoal.types import Address, Member, NodeId, Readiness

__all__ = ["Cluster", "Events"]

_Result = TypeVar("_Result")


_LOOK_UP = 0.5
"""Seconds for which a thread waits without looking up: on Windows nothing, not even Ctrl-C, ends a wait before."""


class _LoopThread:
    """An event loop in a thread of its own, and the way to it from other threads.

    The thread is a daemon: a program that ends without `stop` just ends.
    """

    def __init__(self, name: str) -> None:
        self._loop = (loop_factory() or asyncio.new_event_loop)()
        self._thread = threading.Thread(target=self._live, name=name, daemon=True)
        #: Held while work is handed in, so that none comes after the loop's last turn, which nobody would do.
        self._entrance = threading.Lock()
        self._is_stopped = False
        self._last: asyncio.Task[object] | None = None
        try:
            self._thread.start()
        except BaseException:
            self._loop.close()
            raise

    @property
    def is_forked(self) -> bool:
        """Whether this process is a copy, made by a fork, of the one that has the thread."""
        return not self._is_stopped and not self._thread.is_alive()

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """The result of `work`, which is cancelled when the wait is interrupted."""
        future = self._hand_in(work)
        try:
            while not concurrent.futures.wait((future,), _LOOK_UP).done:
                pass
            return future.result()
        except concurrent.futures.CancelledError:
            raise ClosedError("the node was closed meanwhile") from None
        except BaseException:
            future.cancel()
            raise

    def stop(self) -> None:
        """Cancel what is under way and end the thread; may be called again."""
        with self._entrance:
            if not self._is_stopped:
                self._is_stopped = True
                self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def finish(self, work: Coroutine[Any, Any, object]) -> None:
        """Do one last thing and end, without waiting for it; may be called from any thread, this one too."""
        try:
            self._loop.call_soon_threadsafe(self._finish, work)
        except RuntimeError:  # the thread has ended
            work.close()

    def _finish(self, work: Coroutine[Any, Any, object]) -> None:
        self._is_stopped = True
        self._last = self._loop.create_task(work)
        self._last.add_done_callback(lambda _task: self._loop.stop())

    def _hand_in(self, work: Coroutine[Any, Any, _Result]) -> concurrent.futures.Future[_Result]:
        try:
            if threading.current_thread() is self._thread:
                raise LifecycleError("this is the node's own thread, which cannot wait for itself")
            if self.is_forked:
                raise LifecycleError("this process is a fork, and the node is in its parent; make a node of its own")
            with self._entrance:
                if self._is_stopped:
                    raise ClosedError("this cluster object is closed")
                return asyncio.run_coroutine_threadsafe(work, self._loop)
        except LifecycleError:
            work.close()
            raise

    def _live(self) -> None:
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(_end_others())
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._loop.close()


async def _end_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if others:
        await asyncio.wait(others)


class Events(Iterator[Event]):
    """A blocking iterator over events; ends when the cluster closes or `close` is called, from whichever thread.

    One thread at a time may iterate; `LifecycleError` says so.
    """

    def __init__(self, cluster: Cluster, subscription: Subscription) -> None:
        self._cluster = cluster
        self._subscription = subscription

    def __next__(self) -> Event:
        try:
            event = self._cluster.run(self._next())
        except ClosedError:
            event = self._subscription.take()
        if event is None:
            raise StopIteration
        return event

    def close(self) -> None:
        """End the iteration after what is waiting; may be called again."""
        try:
            self._cluster.run(self._close())
        except LifecycleError:  # no loop is running that could read from it
            self._subscription.close()

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

    Interrupting a call (Ctrl-C) cancels it. Use `with`, or `close`, which also ends the thread. After a fork the node
    stays in the parent: in the child `leave` and `close` do nothing, and other commands raise `LifecycleError`.
    """

    def __init__(
        self,
        config: ClusterConfig | None = None,
        *,
        transport: Transport | None = None,
        save_keys: Callable[[tuple[ClusterKey, ...]], None] | None = None,
        store: StateStore | None = None,
        **changes: Any,
    ) -> None:
        """As `shoal.Cluster`; no thread is started before `start`."""
        self._cluster = face.Cluster(config, transport=transport, save_keys=save_keys, store=store, **changes)
        self._thread: _LoopThread | None = None
        self._lock = threading.Lock()
        self._is_closed = False

    # Life

    def start(self) -> None:
        """As `shoal.Cluster.start`."""
        with self._lock:
            if self._is_closed:
                raise ClosedError("this cluster object is closed; make a new one")
            if self._thread is not None:
                raise AlreadyStartedError("this cluster object is started already; one object is one run")
            self._thread = _LoopThread(f"shoal {self.config.name}")
        try:
            self.run(self._cluster.start())
        except BaseException:
            self.close()
            raise

    def leave(self) -> None:
        """As `shoal.Cluster.leave`."""
        if not self._is_over():
            self.run(self._cluster.leave())

    def close(self) -> ShutdownReport | None:
        """As `shoal.Cluster.close`; the thread has ended when it returns. None where nothing was started."""
        with self._lock:
            if not self._is_over() and self._thread is not None:
                self.run(self._cluster.close())
                self._thread.stop()
            self._is_closed = True
            return self._cluster.shutdown_report

    def __del__(self) -> None:
        thread = getattr(self, "_thread", None)
        if thread is not None and not self._is_over():
            name = self.config.name
            warnings.warn(f"the node {name} was dropped without close(); use 'with'", ResourceWarning, 1, source=self)
            thread.finish(self._cluster.close())

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

    def set_readiness(self, readiness: Readiness) -> None:
        """As `shoal.Cluster.set_readiness`."""
        self.run(self._cluster.set_readiness(readiness))

    def drain(self) -> None:
        """As `shoal.Cluster.drain`."""
        self.run(self._cluster.drain())

    @contextmanager
    def stall(self, reason: str, *, at_most: float) -> Iterator[None]:
        """As `shoal.Cluster.stall`."""
        self.declare_stall(reason, at_most=at_most)
        try:
            yield
        finally:
            with suppress(ClosedError):
                self.declare_stall(reason, at_most=0.0)

    def declare_stall(self, reason: str, *, at_most: float) -> None:
        """As `shoal.Cluster.declare_stall`."""
        self.run(self._cluster.declare_stall(reason, at_most=at_most))

    def broadcast(self, payload: bytes | bytearray | memoryview) -> None:
        """As `shoal.Cluster.broadcast`."""
        self.run(self._cluster.broadcast(payload))

    def send(self, to: Member | NodeId | str, payload: bytes | bytearray | memoryview) -> None:
        """As `shoal.Cluster.send`."""
        self.run(self._cluster.send(to, payload))

    def rule_partition(self, ruling: PartitionRuling, why: str) -> None:
        """As `shoal.Cluster.rule_partition`."""
        self.run(self._cluster.rule_partition(ruling, why))

    def heartbeat(self, to: Member | NodeId | str) -> Heartbeat:
        """As `shoal.Cluster.heartbeat`."""
        return self.run(self._cluster.heartbeat(to))

    def wait_for_members(self, count: int, timeout: float = 10.0) -> None:
        """As `shoal.Cluster.wait_for_members`."""
        self.run(self._cluster.wait_for_members(count, timeout))

    # Keys

    def list_keys(self) -> KeyReport:
        """As `shoal.Cluster.list_keys`."""
        return self.run(self._cluster.list_keys())

    def install_key(self, key: ClusterKey | str) -> KeyReport:
        """As `shoal.Cluster.install_key`."""
        return self.run(self._cluster.install_key(key))

    def use_key(self, id: KeyId | str) -> KeyReport:
        """As `shoal.Cluster.use_key`."""
        return self.run(self._cluster.use_key(id))

    def remove_key(self, id: KeyId | str, *, strand: bool = False) -> KeyReport:
        """As `shoal.Cluster.remove_key`."""
        return self.run(self._cluster.remove_key(id, strand=strand))

    # Reads

    @property
    def config(self) -> ClusterConfig:
        """As `shoal.Cluster.config`."""
        return self._cluster.config

    @property
    def local(self) -> Member:
        """As `shoal.Cluster.local`."""
        return self._cluster.local

    def members(self, /, *readiness: Readiness, **tags: str) -> tuple[Member, ...]:
        """As `shoal.Cluster.members`."""
        return self._cluster.members(*readiness, **tags)

    def all_members(self) -> tuple[Member, ...]:
        """As `shoal.Cluster.all_members`."""
        return self._cluster.all_members()

    def member(self, which: NodeId | str) -> Member | None:
        """As `shoal.Cluster.member`."""
        return self._cluster.member(which)

    def evidence(self, which: NodeId | str) -> tuple[Verdict, ...]:
        """As `shoal.Cluster.evidence`."""
        return self._cluster.evidence(which)

    def partition(self) -> Partition | None:
        """As `shoal.Cluster.partition`."""
        return self._cluster.partition()

    def events(self) -> Events:
        """As `shoal.Cluster.events`."""
        return Events(self, self._cluster.events())

    def ask_to_leave(self, member: Member | NodeId | str) -> None:
        """As `shoal.Cluster.ask_to_leave`."""
        self.run(self._cluster.ask_to_leave(member))

    def saved_events(self) -> tuple[SavedEvent, ...]:
        """As `shoal.Cluster.saved_events`."""
        return self._cluster.saved_events()

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

        Raises what it raises, `NotStartedError`, and `ClosedError` when the node closes before it is done.
        """
        if self._thread is not None:
            return self._thread.run(work)
        work.close()
        if self._is_closed:
            raise ClosedError("this cluster object is closed")
        raise NotStartedError("this cluster object is not started; use 'with' or start() first")

    def _is_over(self) -> bool:
        return self._is_closed or (self._thread is not None and self._thread.is_forked)
