"""The worker processes of a run: started, asked, watched, and ended whatever happens."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Final, Self, TypeVar

from shoal.bench.messages import Answer, Failed, Request
from shoal.bench.plan import BenchError, Plan
from shoal.bench.worker import work

__all__ = ["Fleet"]

_CONTEXT: Final = multiprocessing.get_context("spawn")  # a fork would inherit the pipes of its siblings
_PATIENCE: Final = 120.0
"""Seconds that a worker has to answer; it does so between two turns of a loop that may be overloaded."""
_GONE: Final = 10.0
"""Seconds for a killed process to be gone."""

_Answer = TypeVar("_Answer", bound=Answer)


class Fleet:
    """As many processes as planned. Leaving its context kills them all.

    Should this process itself be killed, each of them ends by itself: its pipe closes.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._workers: list[tuple[BaseProcess, Connection]] = []

    def __enter__(self) -> Self:
        try:
            for number in range(self._plan.processes):
                here, there = _CONTEXT.Pipe()
                with there:
                    process = _CONTEXT.Process(
                        target=work, args=(self._plan, there), name=f"worker {number}", daemon=True
                    )
                    process.start()
                self._workers.append((process, here))
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()

    def ask(self, kind: type[_Answer], request_for: Callable[[int], Request]) -> list[_Answer]:
        """Send each worker its request and wait for all answers, which are of `kind`.

        Raises `BenchError` when a worker ends, fails, or does not answer.
        """
        for number, (process, pipe) in enumerate(self._workers):
            try:
                pipe.send(request_for(number))
            except OSError:
                raise _death_of(process) from None
        deadline = time.monotonic() + _PATIENCE
        return [self._receive(kind, process, pipe, deadline) for process, pipe in self._workers]

    def rest(self, seconds: float) -> None:
        """Let them work for so long. Raises `BenchError` as soon as one ends."""
        ended = wait([process.sentinel for process, _ in self._workers], seconds)
        if ended:
            raise _death_of(next(process for process, _ in self._workers if process.sentinel in ended))

    def _receive(self, kind: type[_Answer], process: BaseProcess, pipe: Connection, deadline: float) -> _Answer:
        while not pipe.poll():
            sentinels = [each.sentinel for each, _ in self._workers]
            ready: Sequence[object] = wait([pipe, *sentinels], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise BenchError(
                    f"{process.name} did not answer within {_PATIENCE:g} seconds, so its event loop is overloaded: use "
                    "fewer nodes, a lower --rate, or a machine with more CPUs"
                )
            dead = next((each for each, _ in self._workers if each.sentinel in ready), None)
            if dead is not None and not pipe.poll():
                raise _death_of(dead)
        try:
            answer = pipe.recv()
        except (EOFError, OSError):
            raise _death_of(process) from None
        if isinstance(answer, Failed):
            raise BenchError(f"{process.name}: {answer.reason}")
        assert isinstance(answer, kind)
        return answer

    def _end(self) -> None:
        for process, pipe in self._workers:
            process.kill()
            pipe.close()
        for process, _ in self._workers:
            process.join(_GONE)


def _death_of(process: BaseProcess) -> BenchError:
    process.join(_GONE)
    code = process.exitcode
    if code is None or code >= 0:
        return BenchError(
            f"{process.name} (process {process.pid}) ended in the middle of the run, with exit code {code}"
        )
    name = signal.Signals(-code).name
    hint = ", perhaps for want of memory: see the kernel's log" if name == "SIGKILL" else ""
    return BenchError(f"{process.name} (process {process.pid}) was ended by {name} in the middle of the run{hint}")
