"""Where a cluster that grows meets its bounds, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import exp
from typing import Final

from shoal.sim.model.footprint import Footprint
from shoal.sim.model.load import churn_load
from shoal.sim.model.pace import Pace
from shoal.sim.model.setting import LEAST_MEMBERS, MOST_MEMBERS, Setting
from shoal.swim.suspicion import suspicion_bounds

__all__ = ["Limit", "limits", "probe_pass"]

_CHURN: Final = 0.01
_LINK: Final = 125_000_000  # bytes per second
_MEMORY: Final = 100_000_000  # bytes
_DAY: Final = 86_400.0
_DETECTED: Final = 5.0


@dataclass(frozen=True, slots=True)
class Limit:
    """Something that stops to work, or to work well, when there are more members."""

    members: int | None
    """The first number at which it does; None if the model's largest cluster is still below it."""
    what: str


def probe_pass(setting: Setting) -> float:
    """Seconds until a member has probed every other once in its shuffled order."""
    return (setting.members - 1) * Pace.of(setting.config).stray * setting.config.probe_interval


def limits(setting: Setting, footprint: Footprint) -> tuple[Limit, ...]:
    """All of them, the one that is met first in front."""
    found = [Limit(_first(setting, breaks), what) for what, breaks in _conditions(setting, footprint)]
    return tuple(sorted(found, key=lambda limit: limit.members or MOST_MEMBERS + 1))


def _conditions(setting: Setting, footprint: Footprint) -> Iterator[tuple[str, Callable[[Setting], bool]]]:
    config = setting.config
    yield (
        f"a kill takes more than {_DETECTED:g} s to be detected, at the median",
        lambda at: _median_detection(at) > _DETECTED,
    )
    yield (
        "a pass over all members takes more than a day: only neighbours on the ring find a dead member in time",
        lambda at: probe_pass(at) > _DAY,
    )
    yield f"max_members ({config.max_members:,}) is reached", lambda at: at.members > config.max_members
    yield (
        f"a table takes more than {_MEMORY / 1e6:g} MB in each process",
        lambda at: at.members * footprint.in_table > _MEMORY,
    )
    yield (
        f"with {_CHURN:.0%} of the members replaced a minute, joiners fetch more than 1 Gbit/s of views",
        lambda at: at.members * _CHURN / 60 * at.members * footprint.in_snapshot > _LINK,
    )
    yield (
        f"with {_CHURN:.0%} of the members replaced a minute, packets have no room for all news",
        lambda at: churn_load(at, _CHURN).room_used > 1,
    )
    yield (
        f"a joiner's view is larger than max_stream ({config.max_stream >> 20} MiB)",
        lambda at: at.members * footprint.in_snapshot > config.max_stream,
    )


def _median_detection(setting: Setting) -> float:
    """Until the first member believes a killed one dead: the first probe, its verdict, the least suspicion time.

    Of v neighbours each probes at a moment uniform in their turn of p intervals, half of them a grace later, and all
    others together once in s intervals, so the first probe is later than t with the chance (1 - t / p)^v exp(-t / s).
    """
    config, pace = setting.config, Pace.of(setting.config)
    low, high = 0.0, pace.turn
    while high - low > 0.001:
        middle = (low + high) / 2
        is_later = (1 - middle / pace.turn) ** pace.neighbours * exp(-middle / pace.stray)
        low, high = (middle, high) if is_later > 0.5 else (low, middle)
    first_probe = (high + pace.grace / 2) * config.probe_interval
    return first_probe + 2 * config.probe_timeout + suspicion_bounds(config, setting.members).least


def _first(setting: Setting, breaks: Callable[[Setting], bool]) -> int | None:
    """The smallest cluster that breaks it, by bisection: more members never mend anything."""
    low, high = LEAST_MEMBERS - 1, MOST_MEMBERS
    if not breaks(replace(setting, members=high)):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        if breaks(replace(setting, members=middle)):
            high = middle
        else:
            low = middle
    return high
