"""What happened when: every sighting on one clock, the views they add up to, and how long each detection took."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from shoal.demo.acts import Act, Verdict, judge
from shoal.demo.sightings import Sighting, View

__all__ = ["Performance", "Spread", "Timeline"]


@dataclass(frozen=True, slots=True)
class Performance:
    """An act that has begun."""

    act: Act
    since: float
    """When its deed was done, in seconds since the demo began."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How differently the nodes fared in one act, in seconds after the deed."""

    first: float
    median: float
    last: float
    first_observer: str
    last_observer: str

    @classmethod
    def of(cls, delays: Mapping[str, float]) -> Spread | None:
        """None when no node reported."""
        if not delays:
            return None
        first, last = min(delays, key=delays.__getitem__), max(delays, key=delays.__getitem__)
        return cls(delays[first], statistics.median(delays.values()), delays[last], first, last)


class Timeline:
    """The demo's memory. Times are seconds since it was made."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._origin = clock()
        self.sightings: list[Sighting] = []
        self.performances: list[Performance] = []
        self.agreement: dict[str, float | None] = {}
        """Of each running node, the share of its last probes that met an equal view, when it was asked last."""
        self._views: dict[str, View] = {}

    def now(self) -> float:
        """Seconds since the demo began."""
        return self._clock() - self._origin

    def begin(self, act: Act) -> Performance:
        """Note that the act's deed is done now."""
        performance = Performance(act, self.now())
        self.performances.append(performance)
        return performance

    def view(self, observer: str) -> View:
        """What the observer has reported so far."""
        return self._views.setdefault(observer, View())

    def begin_view(self, observer: str) -> None:
        """A new process of that name begins to look around."""
        self._views[observer] = View()

    def add(self, sightings: Iterable[Sighting]) -> list[Sighting]:
        """Remember what is news in its observer's view, and return that."""
        news = [sighting for sighting in sightings if self.view(sighting.observer).apply(sighting)]
        self.sightings.extend(news)
        return news

    def verdict(self, performance: Performance) -> Verdict:
        """How an act stands by now."""
        return judge(performance.act, performance.since, self.sightings)

    def member_names(self) -> list[str]:
        """Everybody that anybody has reported, in the order of the first report."""
        return list(dict.fromkeys(name for view in self._views.values() for name in view))
