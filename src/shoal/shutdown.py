"""The end of a node, phase by phase: each has its time, none can keep the next from coming, and all are reported."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

__all__ = ["Companion", "Outcome", "PhaseReport", "Shutdown", "ShutdownPhase", "ShutdownReport", "UnfinishedError"]

_log = logging.getLogger("shoal.cluster")


class ShutdownPhase(StrEnum):
    """What is done at the end, in this order."""

    LEAVE = "leave"
    """The goodbye spreads, at most `leave_timeout`; only where `leave` was called."""
    PROTOCOL = "protocol"
    """No probe, no gossip and no answer any more."""
    COMPANIONS = "companions"
    """What watches members through this node ends."""
    STATE = "state"
    """What is to be kept is saved; only with a store."""
    CONNECTIONS = "connections"
    """Exchanges under way end, and all sockets are closed."""
    TABLE = "table"
    """The member table is given back; what it held last stays readable as values."""
    EVENTS = "events"
    """Event streams end, after what waits in them."""


class Outcome(StrEnum):
    """How a phase ended."""

    DONE = "done"
    SKIPPED = "skipped"
    """Nobody asked for it."""
    TIMED_OUT = "timed out"
    """Its time was over before it was done."""
    FAILED = "failed"
    CUT_SHORT = "cut short"
    """Whoever waited for it was cancelled."""


@dataclass(frozen=True, slots=True)
class PhaseReport:
    """How one phase went."""

    phase: ShutdownPhase
    outcome: Outcome
    seconds: float = 0.0
    """How long it took."""
    problem: str = ""
    """What went wrong, if it failed."""

    def __str__(self) -> str:
        return f"{self.phase} {self.outcome}" + (f" ({self.problem})" if self.problem else "")


@dataclass(frozen=True, slots=True)
class ShutdownReport:
    """How a node ended."""

    phases: tuple[PhaseReport, ...]
    """All, in their order."""

    @property
    def is_clean(self) -> bool:
        """Whether every phase was done or not wanted."""
        return all(report.outcome in (Outcome.DONE, Outcome.SKIPPED) for report in self.phases)

    def __getitem__(self, phase: ShutdownPhase) -> PhaseReport:
        return next(report for report in self.phases if report.phase is phase)

    def __str__(self) -> str:
        return ", ".join(map(str, self.phases))


class Companion(Protocol):
    """Something that works through a node, such as a watch: it is ended before the node's sockets are closed."""

    async def stop(self) -> None:
        """End; may be called at any time and again, also after it has ended by itself."""
        ...


class UnfinishedError(Exception):
    """A phase has ended and not reached its aim, for a cause that was told already; its text is the problem."""


class Shutdown:
    """Runs the phases and remembers how they went."""

    def __init__(self) -> None:
        self._reports: dict[ShutdownPhase, PhaseReport] = {}
        self._interruption: asyncio.CancelledError | None = None

    def note(self, phase: ShutdownPhase, outcome: Outcome, seconds: float = 0.0, problem: str = "") -> None:
        """A phase went so."""
        self._reports[phase] = PhaseReport(phase, outcome, seconds, problem)

    async def run(self, phase: ShutdownPhase, work: Callable[[], Awaitable[None]], at_most: float) -> None:
        """Do a phase's work for so many seconds at most. Raises nothing: a cancellation waits for `report`."""
        began = time.monotonic()
        outcome, problem = Outcome.DONE, ""
        try:
            async with asyncio.timeout(at_most):
                await work()
        except TimeoutError:
            outcome = Outcome.TIMED_OUT
        except asyncio.CancelledError as interruption:
            outcome, self._interruption = Outcome.CUT_SHORT, interruption
        except UnfinishedError as error:
            outcome, problem = Outcome.FAILED, str(error)
        except Exception as error:
            outcome, problem = Outcome.FAILED, repr(error)
            _log.exception("the phase %s of the shutdown failed", phase, extra={"event": "shutdown_failed"})
        self.note(phase, outcome, time.monotonic() - began, problem)

    def report(self) -> ShutdownReport:
        """How all went, those that did not come to pass as skipped. Raises the cancellation that came meanwhile."""
        if self._interruption is not None:
            interruption, self._interruption = self._interruption, None
            raise interruption
        return ShutdownReport(
            tuple(self._reports.get(phase, PhaseReport(phase, Outcome.SKIPPED)) for phase in ShutdownPhase)
        )
