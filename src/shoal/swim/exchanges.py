"""Stream exchanges under way, with their tries.

The driver opens a stream once per `StreamExchange` and reports how it went; this part decides on further tries, so that
retries are replayed with everything else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random

from shoal.config import ClusterConfig
from shoal.events import StreamEnd
from shoal.swim.context import Context
from shoal.swim.outbox import Outbox
from shoal.swim.outputs import StreamExchange
from shoal.swim.stats import Drop
from shoal.types import Address, Note

__all__ = ["Exchanges", "backoff"]

OnReply = Callable[[bytes, float], None]
"""Called with the reply and the time."""
OnEnd = Callable[[StreamEnd], None]
"""Called with how each failed try ended."""
OnFailure = Callable[[str, float], None]
"""Called with the reason of the last failed try and the time."""


def backoff(config: ClusterConfig, failures: int, random: Random) -> float:
    """The pause after so many failed tries, in seconds.

    Exponential, and drawn from its upper half, so that peers that failed together do not come back together.
    """
    pause = min(config.backoff_max, config.backoff_initial * config.backoff_multiplier ** (failures - 1))
    return pause * (1.0 + random.random()) / 2


@dataclass(slots=True)
class _Exchange:
    address: Address
    data: bytes
    timeout: float
    tries_left: int
    failures: int
    on_reply: OnReply
    on_failure: OnFailure
    on_end: OnEnd | None


class Exchanges:
    """At most `max_streams_out` exchanges, waiting for a reply or for their next try."""

    __slots__ = ("_config", "_last_token", "_outbox", "_random", "_stats", "_timers", "_under_way")

    def __init__(self, context: Context, outbox: Outbox) -> None:
        self._config = context.config
        self._timers = context.timers
        self._random = context.random
        self._stats = context.stats
        self._outbox = outbox
        self._under_way: dict[int, _Exchange] = {}
        self._last_token = 0

    def __len__(self) -> int:
        return len(self._under_way)

    def take_stock(self, note: Note) -> None:
        """Note what it keeps."""
        note("stream exchanges", len(self._under_way), self._config.max_streams_out)

    def open(
        self,
        address: Address,
        data: bytes,
        on_reply: OnReply,
        on_failure: OnFailure,
        *,
        timeout: float | None = None,
        attempts: int | None = None,
        on_end: OnEnd | None = None,
    ) -> bool:
        """Start an exchange; False, and nothing happens later, when too many are under way."""
        if len(self._under_way) >= self._config.max_streams_out:
            self._stats.drop(Drop.EXCHANGES_FULL)
            return False
        self._last_token += 1
        exchange = _Exchange(
            address=address,
            data=data,
            timeout=timeout if timeout is not None else self._config.stream_timeout,
            tries_left=attempts if attempts is not None else self._config.stream_attempts,
            failures=0,
            on_reply=on_reply,
            on_failure=on_failure,
            on_end=on_end,
        )
        self._under_way[self._last_token] = exchange
        self._try(self._last_token, 0.0)
        return True

    def replied(self, token: int, data: bytes, now: float) -> None:
        """The driver got a reply."""
        exchange = self._under_way.pop(token, None)
        if exchange is not None:
            exchange.on_reply(data, now)

    def failed(self, token: int, reason: str, now: float, end: StreamEnd = StreamEnd.FAILED) -> None:
        """The driver got none."""
        exchange = self._under_way.get(token)
        if exchange is None:
            return
        exchange.failures += 1
        if exchange.on_end is not None:
            exchange.on_end(end)
        if exchange.tries_left > 0:
            pause = backoff(self._config, exchange.failures, self._random)
            self._timers.at(now + pause, partial(self._try, token))
        else:
            del self._under_way[token]
            self._stats.exchanges_failed += 1
            exchange.on_failure(reason, now)

    def _try(self, token: int, _now: float) -> None:
        exchange = self._under_way[token]
        exchange.tries_left -= 1
        self._outbox.put(StreamExchange(token, exchange.address, exchange.data, exchange.timeout))
