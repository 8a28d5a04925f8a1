"""How long a packet is under way. Each distribution raises `ConfigError` for numbers that make none."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from typing import Protocol

from shoal.errors import ConfigError
from shoal.sim.ranges import MEDIANS, SIGMAS, TIMES, require

__all__ = ["Constant", "Latency", "LogNormal", "Uniform"]

_TICK = 1e-9


class Latency(Protocol):
    """A distribution of one-way delays."""

    def draw(self, random: Random) -> float:
        """One delay in seconds, not negative."""
        ...


@dataclass(frozen=True, slots=True)
class Constant:
    """Always the same; packets of one path stay in order."""

    seconds: float

    def __post_init__(self) -> None:
        require("seconds", self.seconds, TIMES)

    def draw(self, random: Random) -> float:
        """The one delay there is."""
        return self.seconds


@dataclass(frozen=True, slots=True)
class Uniform:
    """Anything between two bounds, all equally likely."""

    low: float
    high: float

    def __post_init__(self) -> None:
        require("low", self.low, TIMES)
        require("high", self.high, TIMES)
        if self.low > self.high:
            raise ConfigError("low", self.low, f"must be at most high, which is {self.high:g}")

    def draw(self, random: Random) -> float:
        """One delay in seconds."""
        return self.low + (self.high - self.low) * random.random()


@dataclass(frozen=True, slots=True)
class LogNormal:
    """Mostly near the median, with a long tail: what is measured on real networks."""

    median: float
    sigma: float
    """Standard deviation of the logarithm; at 0.5 one packet in a hundred takes more than three medians."""

    def __post_init__(self) -> None:
        require("median", self.median, MEDIANS)
        require("sigma", self.sigma, SIGMAS)

    def draw(self, random: Random) -> float:
        """One delay in whole nanoseconds: the last bits of a logarithm differ between mathematical libraries."""
        return round(random.lognormvariate(math.log(self.median), self.sigma) / _TICK) * _TICK
