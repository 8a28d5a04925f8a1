"""How far a long command is: a bar with the time left in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

__all__ = ["Advance", "progress"]

_LINE_EVERY: Final = 10.0  # seconds


class Advance(Protocol):
    """Called for each thing that is done."""

    def __call__(self) -> None:
        """One more is done."""
        ...


@contextmanager
def progress(what: str, total: int) -> Iterator[Advance]:
    """Show on standard error how many of `total` are done."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(what, total)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)


class _Lines:
    """Plain lines, with the time left as estimated from what is done."""

    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = total
        self._done = 0
        self._began = self._said = time.monotonic()

    def __call__(self) -> None:
        self._done += 1
        now = time.monotonic()
        if now - self._said >= _LINE_EVERY:
            self._said = now
            left = (now - self._began) / self._done * (self._total - self._done)
            click.echo(f"{self._what}: {self._done} of {self._total}, {left:.0f} s left", err=True)
