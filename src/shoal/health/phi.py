"""The phi accrual failure detector (Hayashibara et al., SRDS 2004): suspicion as a number instead of a verdict.

phi = -log10 P(a heartbeat still comes), judged by the intervals at which heartbeats came before: at phi 1 one
suspicion in ten is wrong, at phi 8 one in a hundred million, if the intervals were distributed as assumed. Whoever
uses it sets the threshold, so that one detector serves a cautious user and a hasty one at the same time.

Pure: times come in, in seconds of any clock that does not fall.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from math import erfc, exp, isfinite, log, log1p, log10, pi, sqrt
from typing import Final

from shoal.errors import ConfigError

__all__ = ["PhiDetector", "PhiForm", "phi_logistic", "phi_normal"]

_LN_10: Final = log(10)
_FAR: Final = 26.0
"""From here on `erfc` loses digits and then underflows; its asymptotic expansion is exact to nine digits there."""
_NANOSECONDS: Final = 1_000_000_000


def phi_normal(elapsed: float, mean: float, deviation: float) -> float:
    """Phi for normally distributed intervals, from `erfc`: `1 - F` would be 0 from about phi 16 on.

    All three are in seconds. Raises `ConfigError` unless `deviation` is finite and above 0.
    """
    _check("deviation", deviation, deviation > 0)
    x = (elapsed - mean) / (deviation * sqrt(2))
    if x < _FAR:
        return -log10(erfc(x) / 2)
    return (x * x + log(2 * x * sqrt(pi)) - log1p(-1 / (2 * x * x))) / _LN_10


def phi_logistic(elapsed: float, mean: float, deviation: float) -> float:
    """Phi by the logistic approximation of the normal distribution, as Akka has it.

    It needs no `erfc`, and overstates phi from about three standard deviations on. Raises as `phi_normal`.
    """
    _check("deviation", deviation, deviation > 0)
    y = (elapsed - mean) / deviation
    z = y * (1.5976 + 0.070566 * y * y)
    return (max(z, 0.0) + log1p(exp(-abs(z)))) / _LN_10


class PhiForm(Enum):
    """Which formula turns the time since the last heartbeat into phi."""

    NORMAL = "normal"
    LOGISTIC = "logistic"


class PhiDetector:
    """Learns at which intervals one peer's heartbeats come, and says how unusual its silence is.

    `expected` is the interval to assume at first; the window of learned intervals starts with it, give or take a
    quarter.
    """

    __slots__ = (
        "_form",
        "_intervals",
        "_last",
        "_least_deviation",
        "_pause",
        "_squares",
        "_sum",
        "_threshold",
    )

    def __init__(
        self,
        expected: float,
        *,
        form: PhiForm = PhiForm.NORMAL,
        window: int = 1000,
        least_deviation: float = 0.1,
        pause: float = 0.0,
        threshold: float = 8.0,
    ) -> None:
        """`window` is in intervals, 2 to 1,000,000; all else in seconds, but for `threshold`, which is a phi.

        `least_deviation` keeps a very regular peer from being suspected for a blink. `pause` is a silence to accept
        on top of the usual interval (garbage collection, a stalled process). An interval that only ended above
        `threshold` was an outage, and is not learned from. Raises `ConfigError`.
        """
        _check("expected", expected, expected > 0)
        _check("window", window, 2 <= window <= 1_000_000)
        _check("least_deviation", least_deviation, least_deviation > 0)
        _check("pause", pause, pause >= 0)
        _check("threshold", threshold, threshold > 0)
        self._form = form
        self._least_deviation = least_deviation
        self._pause = pause
        self._threshold = threshold
        self._last: float | None = None
        #: In whole nanoseconds, so that the sums stay exact however long it runs.
        self._intervals: deque[int] = deque(maxlen=window)
        self._sum = 0
        self._squares = 0
        self._learn(expected * 0.75)
        self._learn(expected * 1.25)

    @property
    def mean(self) -> float:
        """The usual interval, in seconds."""
        return self._sum / len(self._intervals) / _NANOSECONDS

    @property
    def deviation(self) -> float:
        """The standard deviation of the intervals, in seconds; `least_deviation` at least."""
        count = len(self._intervals)
        variance = (count * self._squares - self._sum * self._sum) / (count * count)
        return max(self._least_deviation, sqrt(variance) / _NANOSECONDS)

    @property
    def threshold(self) -> float:
        """The phi from which on the peer counts as gone."""
        return self._threshold

    def heartbeat(self, at: float) -> None:
        """A heartbeat came. One that is older than the last counts for nothing."""
        if self._last is not None:
            if at < self._last:
                return
            if self.phi(at) < self._threshold:
                self._learn(at - self._last)
        self._last = at

    def forgive(self, seconds: float, now: float) -> None:
        """So much of the silence until `now` was our own, so it does not count against the peer."""
        if self._last is not None:
            self._last = min(now, self._last + seconds)

    def elapsed(self, now: float) -> float:
        """Seconds of silence; 0 before the first heartbeat."""
        return 0.0 if self._last is None else max(0.0, now - self._last)

    def phi(self, now: float) -> float:
        """How suspicious the silence is; 0 before the first heartbeat."""
        if self._last is None:
            return 0.0
        formula = phi_normal if self._form is PhiForm.NORMAL else phi_logistic
        return formula(self.elapsed(now), self.mean + self._pause, self.deviation)

    def _learn(self, interval: float) -> None:
        if len(self._intervals) == self._intervals.maxlen:
            oldest = self._intervals[0]
            self._sum -= oldest
            self._squares -= oldest * oldest
        newest = round(interval * _NANOSECONDS)
        self._intervals.append(newest)
        self._sum += newest
        self._squares += newest * newest


def _check(field: str, value: float, is_good: bool) -> None:
    if not (is_good and isfinite(value)):
        bounds = {"window": "must be 2 to 1000000 intervals", "pause": "must be 0 or more seconds"}
        raise ConfigError(field, value, bounds.get(field, "must be a finite number above 0"))
