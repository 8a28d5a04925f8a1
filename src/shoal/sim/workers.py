"""Processes that work on calls: an executor whose calls are ended at once on request, and never lost with a process."""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from queue import SimpleQueue
from typing import Any, Final, ParamSpec, TypeVar

__all__ = ["WorkerDied", "Workers"]

_P = ParamSpec("_P")
_T = TypeVar("_T")
_Call = tuple[Future[Any], bytes]
_CONTEXT: Final = multiprocessing.get_context("spawn")  # a fork would inherit the pipes of its siblings


class WorkerDied(BrokenExecutor):
    """A process ended in the middle of a call, killed by a signal or for want of memory."""


class Workers(Executor):
    """An executor of `count` processes.

    Other than with `ProcessPoolExecutor`, a process that dies costs the one call that it worked on, whose future raises
    `WorkerDied`, and `terminate` ends calls that are under way. Processes ignore SIGINT: whoever made them decides.
    """

    def __init__(self, count: int) -> None:
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._is_over = self._is_terminated = False
        self._processes: dict[int, SpawnProcess] = {}
        pipes = [self._start(slot) for slot in range(count)]
        self._threads = [
            threading.Thread(target=self._serve, args=(slot, pipe), daemon=True) for slot, pipe in enumerate(pipes)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Have a call made; its function, arguments and result must be picklable."""
        if self._is_over:
            raise RuntimeError("these workers were shut down: make new ones")
        future: Future[_T] = Future()
        self._calls.put((future, pickle.dumps((fn, args, kwargs))))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes when all calls are done; `cancel_futures` drops those that have not begun."""
        if not self._is_over:
            self._is_over = True
            if cancel_futures:
                self._cancel_waiting()
            for _ in self._threads:
                self._calls.put(None)
        if wait:
            for thread in self._threads:
                thread.join()
            for process in self._processes.values():
                process.join()

    def terminate(self) -> None:
        """End the processes at once, whatever they are doing."""
        with self._lock:
            self._is_terminated = True
            for process in self._processes.values():
                process.terminate()
        self.shutdown(cancel_futures=True)

    def _start(self, slot: int) -> Connection:
        """Start a process, unless all were told to end."""
        here, there = _CONTEXT.Pipe()
        with there, self._lock:
            if not self._is_terminated:
                process = self._processes[slot] = _CONTEXT.Process(target=_work, args=(there,), daemon=True)
                with _uninterrupted():
                    process.start()
        return here

    def _cancel_waiting(self) -> None:
        while not self._calls.empty():
            if (call := self._calls.get()) is not None:
                call[0].cancel()

    def _serve(self, slot: int, pipe: Connection) -> None:
        """Hand calls to one process, one at a time."""
        while (call := self._calls.get()) is not None:
            future, request = call
            if not future.set_running_or_notify_cancel():
                continue
            try:
                pipe.send_bytes(request)
                result, error = pickle.loads(pipe.recv_bytes())  # noqa: S301 - our own process wrote it
            except (EOFError, OSError):
                pipe.close()
                future.set_exception(WorkerDied("the process that worked on it died"))
                pipe = self._start(slot)
            else:
                if error is not None:
                    future.set_exception(error)
                else:
                    future.set_result(result)
        pipe.close()


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Keep SIGINT waiting: a process that is interrupted while its parent starts it ends with a traceback.

    The new process inherits that, so it is deaf to SIGINT from its first instruction on.
    """
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(calls: Connection) -> None:
    """Make calls until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            request = calls.recv_bytes()
        except EOFError:
            return
        try:
            fn, args, kwargs = pickle.loads(request)  # noqa: S301 - our own parent wrote it
            answer = pickle.dumps((fn(*args, **kwargs), None))
        except Exception as error:
            answer = pickle.dumps((None, _portable(error)))
        calls.send_bytes(answer)


def _portable(error: Exception) -> Exception:
    """The error itself if it survives the way to another process, or one that says the same."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - as above
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
