"""How the demo shows what goes on: one small protocol, and plain lines as its simplest form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self, TextIO

from shoal.config import Profile
from shoal.demo.acts import Act, Verdict
from shoal.demo.agreement import agreement_text
from shoal.demo.processes import AgentPool
from shoal.demo.sightings import Sighting
from shoal.demo.timeline import Performance, Spread, Timeline

__all__ = ["PlainReporter", "Reporter", "Stage", "spread_text"]


@dataclass(frozen=True, slots=True)
class Stage:
    """All there is to look at."""

    names: Sequence[str]
    """The nodes of the script, in order."""
    acts: Sequence[Act]
    profile: Profile
    pool: AgentPool
    timeline: Timeline


class Reporter(Protocol):
    """Shows the demo as it goes on; a context while it does."""

    pause: float
    """Seconds between two acts, for the eye."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def note(self, text: str) -> None:
        """Something else that is worth a line."""

    def sighted(self, sighting: Sighting) -> None:
        """An agent has told something new."""

    def act_began(self, performance: Performance, number: int) -> None:
        """An act's deed is being done."""

    def act_ended(self, performance: Performance, verdict: Verdict) -> None:
        """All was seen, or the wait is over."""

    def refresh(self) -> None:
        """Called a few times a second."""


class PlainReporter:
    """One line for each thing that happens; for pipes and files, and for terminals that can do no better."""

    pause = 0.0

    def __init__(self, stage: Stage, out: TextIO) -> None:
        self._stage = stage
        self._out = out

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass

    def note(self, text: str) -> None:
        """One line."""
        self._line(self._stage.timeline.now(), text)

    def sighted(self, sighting: Sighting) -> None:
        """One line, set back."""
        self._line(sighting.at, f"  {sighting}")

    def act_began(self, performance: Performance, number: int) -> None:
        """One line."""
        act = performance.act
        self._line(performance.since, f"act {number} of {len(self._stage.acts)}, {act.title}: {act.story}")

    def act_ended(self, performance: Performance, verdict: Verdict) -> None:
        """What was observed, and what was not."""
        now = self._stage.timeline.now()
        if verdict.is_fulfilled:
            self._line(now, f"  observed: {spread_text(performance.act, verdict)}")
        self._line(now, f"  agreement: {agreement_text(self._stage.timeline.agreement)}")
        for expectation in verdict.missing:
            self._line(now, f"  NOT OBSERVED within {now - performance.since:.0f} s: {expectation}")
        for sighting in verdict.broken:
            self._line(now, f"  MUST NOT BE: {sighting}")

    def refresh(self) -> None:
        """Nothing: lines stay as they are."""

    def _line(self, at: float, text: str) -> None:
        self._out.write(f"{at:8.2f}  {text}\n")
        self._out.flush()


def spread_text(act: Act, verdict: Verdict) -> str:
    """How fast and how evenly the nodes saw what came of an act, in one line."""
    spread = Spread.of(verdict.delays)
    if spread is None:
        return f"{act.outcome}: nobody reported it"
    text = f"{act.outcome} on {len(verdict.delays)} nodes after {spread.first:.3f} s ({spread.first_observer})"
    if len(verdict.delays) == 1:
        return text.replace("1 nodes", "1 node")
    return f"{text} to {spread.last:.3f} s ({spread.last_observer})"
