"""Which numbers a simulation takes."""

from __future__ import annotations

from typing import Final, NamedTuple

from shoal.errors import ConfigError

__all__ = ["CLOCK_RATES", "MEDIANS", "MOST_NODES", "NODES", "RATES", "SHARES", "SIGMAS", "TIMES", "Range", "require"]

MOST_NODES: Final = 60_000
"""More do not fit in the tables of the default profile."""


class Range(NamedTuple):
    """Both ends included."""

    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether the number lies in it; NaN lies in none."""
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}"


NODES: Final = Range(1, MOST_NODES)
SHARES: Final = Range(0.0, 1.0)
TIMES: Final = Range(0.0, 1e6)
"""Seconds."""
MEDIANS: Final = Range(1e-9, 1e6)
"""Seconds; 0 has no logarithm."""
SIGMAS: Final = Range(0.0, 3.0)
"""At 3 one packet in a thousand takes 10,000 medians."""
RATES: Final = Range(0.001, 1e12)
"""Bytes a second."""
CLOCK_RATES: Final = Range(0.001, 1000.0)
"""Seconds of a clock for each virtual second."""


def require(field: str, value: float, allowed: Range) -> None:
    """Raise `ConfigError` for a number that is not in the range."""
    if not allowed.holds(value):
        raise ConfigError(field, value, f"must be {allowed}")
