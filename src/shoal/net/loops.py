"""Which event loop to run on, and what can be used on one alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from shoal.errors import LifecycleError

__all__ = ["AsyncOnly", "OwnLoop", "loop_factory", "run"]

_Result = TypeVar("_Result")


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes a uvloop where that is installed; None, which stands for asyncio's own loop, elsewhere."""
    try:
        import uvloop  # noqa: PLC0415 - optional
    except ImportError:
        return None
    return uvloop.new_event_loop


def run(main: Coroutine[Any, Any, _Result]) -> _Result:
    """As `asyncio.run`, on a uvloop where that is installed."""
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(main)


class OwnLoop:
    """The one event loop that something belongs to: the first on which it was used."""

    __slots__ = ("_loop",)

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def check(self) -> asyncio.AbstractEventLoop:
        """The running loop, if it is the own one; raises `LifecycleError` otherwise."""
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            raise LifecycleError("no asyncio event loop runs here; call it from one, or use shoal.blocking") from None
        if self._loop is None:
            self._loop = running
        if self._loop is not running:
            raise LifecycleError("this node belongs to another event loop; call it there, or use shoal.blocking")
        return running


class AsyncOnly:
    """What only `async with` can enter, and says so to a plain `with`: `LifecycleError`."""

    if not TYPE_CHECKING:  # Type checkers see by the lack of these that a plain `with` is wrong.

        def __enter__(self) -> NoReturn:
            raise LifecycleError("this works on an event loop; use 'async with', or shoal.blocking where there is none")

        def __exit__(self, *_: object) -> None:
            """`with` looks for it before it enters."""
