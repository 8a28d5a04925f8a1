"""How far a long command is: a bar with the time left in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

__all__ = ["Advance", "progress", "virtual_time"]

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


@contextmanager
def virtual_time(what: str, least: float) -> Iterator[Callable[[float], None]]:
    """Show on standard error how virtual time goes by, and for how long yet until it is `least`."""
    clock = _VirtualClock(least)
    console = Console(stderr=True)
    if console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[speed]}"))
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task(what, total=least, speed="")
            yield lambda now: bar.update(task, completed=now, speed=clock.text(now))
    else:
        yield lambda now: clock.say(what, now)
    if clock.elapsed >= _LINE_EVERY:
        click.echo(f"{what}: {clock.summary()}", err=True)


class _VirtualClock:
    """Compares virtual with real time."""

    def __init__(self, least: float) -> None:
        self._least = least
        self._began = self._said = time.monotonic()
        self._now = 0.0

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._began

    def text(self, now: float) -> str:
        """How far it is at a virtual time; what is left if all goes on at this speed, until that is no longer known."""
        self._now = now
        left = self.elapsed / now * (self._least - now) if now > 0 else 0.0
        return self.summary() + (f", at least {left:.0f} s left" if left > 0 else "")

    def summary(self) -> str:
        """How far it has come until this moment."""
        real = self.elapsed
        return f"{self._now:.0f} virtual s in {real:.0f} s, {self._now / max(real, 0.001):.2f} of real time"

    def say(self, what: str, now: float) -> None:
        text = self.text(now)
        if time.monotonic() - self._said >= _LINE_EVERY:
            self._said = time.monotonic()
            click.echo(f"{what}: {text}", err=True)


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
