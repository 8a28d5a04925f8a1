"""How long an answer takes here, learned from the answers (RFC 6298).

A direct ping that is not answered in the usual time is most likely lost, and the sooner the relays are asked, the
sooner a death is known. A value that is too low costs messages, not deaths, because the relays and the stream still
get their time.
"""

from __future__ import annotations

from typing import Final

from shoal.config import ClusterConfig

__all__ = ["RoundTrip"]

_GAIN: Final = 1 / 8
_VARIATION_GAIN: Final = 1 / 4
_VARIATIONS: Final = 4
_LEAST_SHARE: Final = 0.2
"""Of the probe timeout. Below it pauses of the peer's process, not the network, are what makes an answer late."""


class RoundTrip:
    """A running estimate over all peers."""

    __slots__ = ("_config", "_mean", "_variation")

    def __init__(self, config: ClusterConfig) -> None:
        self._config = config
        self._mean: float | None = None
        self._variation = 0.0

    def learn(self, seconds: float) -> None:
        """A direct ping was answered after `seconds`; only such, for others do not measure the path."""
        if self._mean is None:
            self._mean, self._variation = seconds, seconds / 2
            return
        self._variation += _VARIATION_GAIN * (abs(seconds - self._mean) - self._variation)
        self._mean += _GAIN * (seconds - self._mean)

    @property
    def timeout(self) -> float:
        """Seconds to wait for the answer to a direct ping; `probe_timeout` at most, and until something was learned."""
        longest = self._config.probe_timeout
        if self._mean is None or not self._config.adaptive_timeout:
            return longest
        return min(longest, max(_LEAST_SHARE * longest, self._mean + _VARIATIONS * self._variation))
