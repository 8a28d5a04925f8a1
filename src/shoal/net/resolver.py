"""Host names to numeric addresses: remembered for a while, asked once at a time, bounded everywhere."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache

from shoal.errors import ResolutionError
from shoal.net.failures import reason
from shoal.types import Address

__all__ = ["FAILURE_TTL", "LOOKUP_TIMEOUT", "MAX_LOOKUPS", "LookUp", "Resolver", "is_name", "look_up"]

FAILURE_TTL = 2.0
"""Seconds for which a failed look-up is remembered: long enough to spare the name server, short enough for a retry."""
LOOKUP_TIMEOUT = 10.0
"""Seconds that one look-up may take: two rounds of the usual resolver's five."""
MAX_LOOKUPS = 64
"""Look-ups under way at once; further names fail at once. They wait in the loop's thread pool, which is smaller."""

LookUp = Callable[[str, socket.AddressFamily], Awaitable[Sequence[str]]]
"""Takes a host name and the wanted family, returns numeric addresses; raises `OSError` or `UnicodeError`, as
`getaddrinfo` does."""


@lru_cache(maxsize=16_384)
def is_name(host: str) -> bool:
    """Whether `host` has to be looked up; remembered, because every datagram sent asks."""
    return Address(host, 0).is_name


async def look_up(host: str, family: socket.AddressFamily) -> Sequence[str]:
    """Ask the system: a `LookUp`."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, None, family=family, type=socket.SOCK_DGRAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


class _Answer:
    """What is known of a name: addresses, or why there are none."""

    __slots__ = ("_addresses", "_turn", "expires", "problem")

    def __init__(self, addresses: Sequence[str], problem: str, expires: float) -> None:
        self._addresses = addresses
        self._turn = 0
        self.problem = problem
        self.expires = expires

    def address(self, name: str) -> str:
        """The addresses in turn, so that a retry reaches another one; raises `ResolutionError` when there are none."""
        if not self._addresses:
            raise ResolutionError(f"cannot resolve {name!r}: {self.problem}")
        self._turn += 1
        return self._addresses[(self._turn - 1) % len(self._addresses)]


class Resolver:
    """Resolves names to addresses of one family, on one loop.

    An answer is kept for `ttl` seconds, `limit` of them at most; the oldest goes first.
    """

    __slots__ = ("_answers", "_family", "_limit", "_look_up", "_pending", "_ttl")

    def __init__(self, look_up: LookUp, family: socket.AddressFamily, *, ttl: float, limit: int) -> None:
        self._look_up = look_up
        self._family = family
        self._ttl = ttl
        self._limit = limit
        self._answers: dict[str, _Answer] = {}
        self._pending: dict[str, asyncio.Task[_Answer]] = {}

    def known(self, name: str) -> str | None:
        """A remembered address; None when the name has to be asked for.

        Raises `ResolutionError` for a remembered failure.
        """
        answer = self._answers.get(name)
        if answer is None:
            return None
        if answer.expires <= asyncio.get_running_loop().time():
            del self._answers[name]
            return None
        return answer.address(name)

    async def resolve(self, host: str) -> str:
        """A numeric address of `host`, which may be one already. Raises `ResolutionError`."""
        if not is_name(host):
            return host
        if (known := self.known(host)) is not None:
            return known
        answer = await asyncio.shield(self._ask(host))
        return answer.address(host)

    async def close(self) -> None:
        """Give up the look-ups under way; whoever waits for one is cancelled."""
        pending = list(self._pending.values())
        for task in pending:
            task.cancel()
        if pending:
            await asyncio.wait(pending)

    def _ask(self, name: str) -> asyncio.Task[_Answer]:
        task = self._pending.get(name)
        if task is None:
            if len(self._pending) >= MAX_LOOKUPS:
                raise ResolutionError(f"cannot resolve {name!r}: {MAX_LOOKUPS} look-ups are under way")
            task = asyncio.get_running_loop().create_task(self._answer(name), name=f"shoal look-up of {name}")
            task.add_done_callback(lambda _: self._pending.pop(name))
            self._pending[name] = task
        return task

    async def _answer(self, name: str) -> _Answer:
        answer = await self._asked(name)
        self._answers.pop(name, None)
        while len(self._answers) >= self._limit:
            del self._answers[next(iter(self._answers))]
        self._answers[name] = answer
        return answer

    async def _asked(self, name: str) -> _Answer:
        addresses: Sequence[str] = ()
        problem = "it has no address of the family that we are bound to"
        try:
            async with asyncio.timeout(LOOKUP_TIMEOUT):
                addresses = await self._look_up(name, self._family)
        except TimeoutError:
            problem = f"no answer within {LOOKUP_TIMEOUT:g} seconds"
        except (OSError, UnicodeError) as error:  # the latter for a name that no name server takes
            problem = reason(error)
        ttl = self._ttl if addresses else FAILURE_TTL
        return _Answer(addresses, problem, asyncio.get_running_loop().time() + ttl)
