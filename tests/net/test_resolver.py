"""Name resolution on a clock of the test's own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

import pytest

from shoal.errors import ResolutionError
from shoal.net.resolver import FAILURE_TTL, LOOKUP_TIMEOUT, MAX_LOOKUPS, Resolver, is_name

TTL = 30.0
LIMIT = 4


class Names:
    """Answers after a second; knows everything but `nobody`, and never answers for `tarpit`."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.addresses = ["10.0.0.1"]
        self.error: Exception = socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def __call__(self, host: str, family: socket.AddressFamily) -> Sequence[str]:
        assert family == socket.AF_INET
        self.asked.append(host)
        await asyncio.sleep(3600 if host == "tarpit" else 1)
        if host == "nobody":
            raise self.error
        return self.addresses


@pytest.fixture
def names() -> Names:
    return Names()


@pytest.fixture
def resolver(names: Names) -> Resolver:
    return Resolver(names, socket.AF_INET, ttl=TTL, limit=LIMIT)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "fe80::1%eth0"])
async def test_a_numeric_address_is_its_own_answer(resolver: Resolver, names: Names, host: str) -> None:
    assert not is_name(host)
    assert await resolver.resolve(host) == host
    assert names.asked == []


async def test_an_answer_is_kept_until_it_expires(resolver: Resolver, names: Names) -> None:
    assert await resolver.resolve("a") == "10.0.0.1"
    await asyncio.sleep(TTL - 0.1)
    assert await resolver.resolve("a") == "10.0.0.1"
    assert names.asked == ["a"]

    await asyncio.sleep(0.2)
    names.addresses = ["10.0.0.2"]

    assert resolver.known("a") is None
    assert await resolver.resolve("a") == "10.0.0.2"
    assert names.asked == ["a", "a"]


async def test_a_name_is_asked_for_once_at_a_time(resolver: Resolver, names: Names) -> None:
    found = await asyncio.gather(*(resolver.resolve("a") for _ in range(10)))

    assert set(found) == {"10.0.0.1"}
    assert names.asked == ["a"]


async def test_one_that_gives_up_waiting_does_not_spoil_it_for_others(resolver: Resolver, names: Names) -> None:
    impatient = asyncio.create_task(resolver.resolve("a"))
    patient = asyncio.create_task(resolver.resolve("a"))
    await asyncio.sleep(0.5)

    impatient.cancel()

    assert await patient == "10.0.0.1"
    assert names.asked == ["a"]


async def test_a_failure_is_remembered_briefly(resolver: Resolver, names: Names) -> None:
    for _ in range(3):
        with pytest.raises(ResolutionError, match="cannot resolve 'nobody': name or service not known"):
            await resolver.resolve("nobody")
    assert names.asked == ["nobody"]

    await asyncio.sleep(FAILURE_TTL)

    with pytest.raises(ResolutionError):
        await resolver.resolve("nobody")
    assert names.asked == ["nobody", "nobody"]


@pytest.mark.parametrize("error", [UnicodeError("label too long"), TimeoutError(), OSError(11, "try again")])
async def test_whatever_the_system_raises_becomes_one_error(resolver: Resolver, names: Names, error: Exception) -> None:
    names.error = error

    with pytest.raises(ResolutionError, match=r"cannot resolve 'nobody': ."):
        await resolver.resolve("nobody")


async def test_a_name_without_addresses_is_a_failure(resolver: Resolver, names: Names) -> None:
    names.addresses = []

    with pytest.raises(ResolutionError, match="no address of the family"):
        await resolver.resolve("a")


async def test_several_addresses_take_turns(resolver: Resolver, names: Names) -> None:
    names.addresses = ["10.0.0.1", "10.0.0.2"]

    assert [await resolver.resolve("a") for _ in range(3)] == ["10.0.0.1", "10.0.0.2", "10.0.0.1"]


async def test_a_look_up_without_an_answer_ends(resolver: Resolver) -> None:
    before = asyncio.get_running_loop().time()

    with pytest.raises(ResolutionError, match="no answer within 10 seconds"):
        await resolver.resolve("tarpit")

    assert asyncio.get_running_loop().time() - before == pytest.approx(LOOKUP_TIMEOUT)


async def test_the_oldest_answer_is_forgotten_first(resolver: Resolver, names: Names) -> None:
    for number in range(LIMIT + 1):
        await resolver.resolve(f"host-{number}")

    assert resolver.known("host-0") is None
    assert all(resolver.known(f"host-{number}") for number in range(1, LIMIT + 1))


async def test_look_ups_under_way_are_bounded(resolver: Resolver, names: Names) -> None:
    waiting = [asyncio.create_task(resolver.resolve(f"host-{number}")) for number in range(MAX_LOOKUPS)]
    await asyncio.sleep(0)

    with pytest.raises(ResolutionError, match="64 look-ups are under way"):
        await resolver.resolve("one-more")

    await asyncio.gather(*waiting)


async def test_closing_gives_up_what_is_under_way(resolver: Resolver) -> None:
    waiting = asyncio.create_task(resolver.resolve("tarpit"))
    await asyncio.sleep(1)

    await resolver.close()
    await resolver.close()

    with pytest.raises(asyncio.CancelledError):
        await waiting
