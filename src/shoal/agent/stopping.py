"""When an agent ends: asked once it leaves, asked again it goes at once."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

__all__ = ["StopRequest"]

_SIGNALS: Final = [signal.SIGTERM, signal.SIGINT]


class StopRequest:
    """Whether the agent was asked to end, and how urgently. Made inside the running event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.asked = asyncio.Event()
        """Leave, then end."""
        self.urged = asyncio.Event()
        """End at once."""

    def ask(self) -> None:
        """Ask for the end; a second time, urge it."""
        if self.asked.is_set():
            self.urged.set()
        self.asked.set()

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Let SIGTERM and SIGINT ask. Only in the main thread."""
        # signal.signal rather than loop.add_signal_handler, which Windows' loops lack.
        before = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._loop.call_soon_threadsafe(self.ask)
