"""The scale benchmark: many real nodes form a cluster, rest, and lose some of their number."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, fields
from typing import Final

from shoal.bench import limits
from shoal.bench.fleet import Fleet
from shoal.bench.messages import (
    Adopt,
    Collect,
    Done,
    Kill,
    Look,
    Open,
    Opened,
    Prepare,
    Prepared,
    Reading,
    Sightings,
    Start,
)
from shoal.bench.plan import BenchError, Plan
from shoal.sim.formation import pack_members
from shoal.types import Address

__all__ = ["Measured", "Moment", "Progress", "measure"]

_JOIN_LEAD: Final = 0.2
"""Seconds between the order to start nodes and the first of them."""
_AGREE_SECONDS: Final = 20.0
"""For the views to become equal once all deaths are known."""
_HOLD_STEP: Final = 1.0

Progress = Callable[[str, int], AbstractContextManager[Callable[[], None]]]
"""Shows one phase: its name, and how many steps it has; what it yields is called for each."""


@dataclass(frozen=True, slots=True)
class Moment:
    """All workers' readings as one: sums, but the worst of the lags."""

    at: float
    """Seconds since the first node was ordered."""
    total: Reading


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run saw."""

    moments: Sequence[Moment]
    """While the cluster formed, in order."""
    formed: Moment
    """All views complete."""
    before: Moment
    """The hold begins."""
    after: Moment
    """The hold ends."""
    ended: Moment
    """The last verdict has fallen, or the time for it is over."""
    killed_at: float
    """Monotonic seconds."""
    sightings: Sequence[Sightings]
    """Of each worker."""


def measure(plan: Plan, progress: Progress) -> Measured:
    """Run it. Raises `BenchError`; whatever happens, no process is left behind."""
    limits.check(plan)
    with Fleet(plan) as fleet:
        return _Run(plan, fleet, progress).measure()


class _Run:
    def __init__(self, plan: Plan, fleet: Fleet, progress: Progress) -> None:
        self._plan = plan
        self._fleet = fleet
        self._progress = progress
        self._pause = min(1.0, max(0.05, plan.nodes / 5000))
        self._began = 0.0

    def measure(self) -> Measured:
        self._look()  # the interpreters are up: what follows is the nodes' own time
        moments = self._form()
        before = self._settle()
        self._rest("holding", self._plan.hold)
        after = self._look()
        killed_at, ended = self._kill() if self._plan.kill else (0.0, after)
        return Measured(moments, moments[-1], before, after, ended, killed_at, self._collect())

    def _form(self) -> list[Moment]:
        plan = self._plan
        self._began = time.monotonic()
        deadline = self._began + plan.form_timeout
        moments: list[Moment] = []
        if plan.formed:
            self._adopt()
        else:
            self._open_others(self._open_seeds())
        with _gauge(self._progress("forming", plan.nodes)) as show:
            while True:
                moments.append(self._look())
                total = moments[-1].total
                show(total.known // plan.nodes)
                if total.complete == plan.nodes:
                    return moments
                if time.monotonic() > deadline:
                    raise BenchError(
                        f"the cluster did not form within {plan.form_timeout:g} seconds: {total.started:,} of "
                        f"{plan.nodes:,} nodes are up, {total.complete:,} see all others, and the views are "
                        f"{total.known / plan.nodes**2:.1%} complete; use fewer nodes, another --rate, or more time "
                        "(--form-timeout)"
                    )
                self._fleet.rest(self._pause)

    def _open_seeds(self) -> list[Address]:
        """The seeds, one after the other, each of which joins through those before it."""
        addresses: list[Address] = []
        for number in range(self._plan.seed_count):
            home = number % self._plan.processes
            order, nothing = Open([(number, 0.0)], tuple(addresses), wait=True), Open([], (), wait=True)
            answers = self._fleet.ask(Opened, lambda worker: order if worker == home else nothing)  # noqa: B023
            addresses += answers[home].addresses
        return addresses

    def _open_others(self, seeds: Sequence[Address]) -> None:
        plan = self._plan
        begin = time.monotonic() + _JOIN_LEAD

        def order(worker: int) -> Open:
            numbers = (number for number in plan.share_of(worker) if number >= plan.seed_count)
            return Open([(number, begin + (number - plan.seed_count) / plan.rate) for number in numbers], seeds)

        self._fleet.ask(Opened, order)

    def _settle(self) -> Moment:
        """Rest until the strain of the joins is over: a node that is unwell probes, and costs, less than it should."""
        deadline = time.monotonic() + self._plan.settle_timeout
        self._rest("settling", self._plan.settle)
        with _gauge(self._progress("recovering", self._plan.nodes)) as show:
            while True:
                moment = self._look()
                show(self._plan.nodes - moment.total.unwell)
                if not moment.total.unwell or time.monotonic() > deadline:
                    return moment
                self._fleet.rest(_HOLD_STEP)

    def _adopt(self) -> None:
        plan = self._plan
        prepared = self._fleet.ask(Prepared, lambda worker: Prepare(plan.share_of(worker)))
        members = pack_members(plan.config.cluster, (member for each in prepared for member in each.members))
        self._fleet.ask(Done, lambda _worker: Adopt(members))
        self._fleet.ask(Done, lambda _worker: Start())  # all at once: whom nobody answers yet would be suspected

    def _kill(self) -> tuple[float, Moment]:
        plan = self._plan
        victims = plan.victims()
        at = max(done.at for done in self._fleet.ask(Done, lambda _worker: Kill(victims)))
        wanted = plan.kill * (plan.nodes - plan.kill)
        with _gauge(self._progress("detecting", wanted)) as show:
            while True:
                moment = self._look()
                show(moment.total.verdicts)
                if moment.total.verdicts >= wanted or time.monotonic() > at + plan.detect_timeout:
                    return at, moment
                self._fleet.rest(self._pause)

    def _collect(self) -> list[Sightings]:
        deadline = time.monotonic() + _AGREE_SECONDS
        while True:
            sightings = self._fleet.ask(Sightings, lambda _worker: Collect())
            if len(frozenset().union(*(each.digests for each in sightings))) <= 1 or time.monotonic() > deadline:
                return sightings
            self._fleet.rest(1.0)

    def _look(self) -> Moment:
        readings = self._fleet.ask(Reading, lambda _worker: Look(self._plan.nodes))
        return Moment(time.monotonic() - self._began, _sum(readings))

    def _rest(self, phase: str, seconds: float) -> None:
        end = time.monotonic() + seconds
        with self._progress(phase, max(1, round(seconds / _HOLD_STEP))) as advance:
            while (left := end - time.monotonic()) > 0:
                self._fleet.rest(min(_HOLD_STEP, left))
                advance()


def _sum(readings: Sequence[Reading]) -> Reading:
    worst = {"at", "longest_lag"}
    return Reading(
        **{
            field.name: (max if field.name in worst else sum)(getattr(reading, field.name) for reading in readings)
            for field in fields(Reading)
        }
    )


@contextmanager
def _gauge(steps: AbstractContextManager[Callable[[], None]]) -> Iterator[Callable[[int], None]]:
    """Shows how many are done on something that counts steps."""
    shown = 0

    def show(done: int) -> None:
        nonlocal shown
        while shown < done:
            shown += 1
            advance()

    with steps as advance:
        yield show
