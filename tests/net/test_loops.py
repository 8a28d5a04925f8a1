"""The choice of the event loop."""

import asyncio
import sys

import pytest

from shoal.errors import LifecycleError
from shoal.net.loops import AsyncOnly, loop_factory, run


async def answer() -> int:
    await asyncio.sleep(0)
    return 42


def test_a_coroutine_is_run_to_its_result() -> None:
    assert run(answer()) == 42


def test_uvloop_is_used_where_it_is_installed() -> None:
    uvloop = pytest.importorskip("uvloop")

    assert loop_factory() is uvloop.new_event_loop


def test_without_uvloop_the_standard_loop_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)

    assert loop_factory() is None
    assert run(answer()) == 42


def test_what_only_async_with_can_enter_says_so() -> None:
    with pytest.raises(LifecycleError, match="use 'async with'"), AsyncOnly():  # type: ignore[attr-defined]
        raise AssertionError("entered")
