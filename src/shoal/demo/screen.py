"""The demo as a screen that draws itself again and again: acts, every node's view of every member, latest events."""

from __future__ import annotations

from collections import deque
from types import TracebackType
from typing import Self

from rich import box
from rich.console import Console, RenderableType
from rich.layout import Layout
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from shoal.demo.acts import Verdict
from shoal.demo.matrix import STATE_MARKS, STATE_STYLES, matrix
from shoal.demo.reporter import Stage, spread_text
from shoal.demo.sightings import Sighting
from shoal.demo.timeline import Performance

__all__ = ["ScreenReporter"]

_LOG_LINES = 100
_HEAD_HEIGHT = 3
_FRAME_HEIGHT = 2
_FRAME_WIDTH = 4
_MIN_LOG_HEIGHT = 7
_MIN_LOG_WIDTH = 30


class ScreenReporter:
    """The whole terminal, until the context ends and gives back what was there before."""

    pause = 1.5

    def __init__(self, stage: Stage, console: Console) -> None:
        self._stage = stage
        self._console = console
        self._log: deque[Text] = deque(maxlen=_LOG_LINES)
        self._live = Live(console=console, screen=True, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.stop()

    def note(self, text: str) -> None:
        """A dim line among the events."""
        self._add(self._stage.timeline.now(), Text(text, "dim"))

    def sighted(self, sighting: Sighting) -> None:
        """A line among the events, but not for what was there before the observer: the matrix shows that."""
        if sighting.from_snapshot:
            return
        state = sighting.sight.state
        line = Text(f"{STATE_MARKS[state]} {sighting.subject} {sighting.sight.word:<9}", STATE_STYLES[state])
        accused = f", accused by {', '.join(sighting.accusers)}" if sighting.accusers else ""
        self._add(sighting.at, Text.assemble(line, (f"  on {sighting.observer}{accused}", "dim")))

    def act_began(self, performance: Performance, number: int) -> None:
        """A bold line among the events."""
        self._add(performance.since, Text(performance.act.story, "bold"))

    def act_ended(self, performance: Performance, verdict: Verdict) -> None:
        """A green or red line among the events."""
        now = self._stage.timeline.now()
        if verdict.is_fulfilled:
            self._add(now, Text(spread_text(performance.act, verdict), "bold green"))
        else:
            self._add(now, Text("not everything was observed", "bold red"))

    def refresh(self) -> None:
        """Draw the screen."""
        self._live.update(self._draw(), refresh=True)

    def _add(self, at: float, text: Text) -> None:
        self._log.append(Text.assemble((f"{at:6.2f}  ", "dim"), text))

    def _draw(self) -> RenderableType:
        """Head above views above events; where that is too high, views beside events."""
        width, height = self._console.size
        height -= _HEAD_HEIGHT
        views_height = 1 + len(self._stage.names) + _FRAME_HEIGHT
        body = Layout()
        if views_height + _MIN_LOG_HEIGHT <= height:
            views = _framed(matrix(self._stage, width - _FRAME_WIDTH), "members, as each node sees them")
            body.split_column(Layout(views, size=views_height), Layout(self._events(height - views_height)))
        else:
            table = matrix(self._stage, width - _MIN_LOG_WIDTH)
            views_width = self._console.measure(table).maximum + 1
            body.split_row(Layout(table, size=views_width), Layout(self._events(height)))
        screen = Layout()
        screen.split_column(Layout(_head(self._stage), size=_HEAD_HEIGHT), body)
        return screen

    def _events(self, height: int) -> RenderableType:
        lines = list(self._log)[-max(1, height - _FRAME_HEIGHT) :]
        return _framed(Text("\n", no_wrap=True, overflow="ellipsis").join(lines), "events")


def _framed(content: RenderableType, title: str) -> Panel:
    return Panel(content, title=title, title_align="left", border_style="bright_black", box=box.ROUNDED)


def _head(stage: Stage) -> RenderableType:
    grid = Table.grid(expand=True, padding=(0, 1))
    grid.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    grid.add_column(no_wrap=True, justify="right")
    title = Text.assemble(("shoal demo", "bold"), (f"  {len(stage.names)} nodes, profile {stage.profile}", "dim"))
    grid.add_row(title, Text(f"{stage.timeline.now():.1f} s", "bold"))
    if not stage.timeline.performances:
        return grid
    performance = stage.timeline.performances[-1]
    verdict = stage.timeline.verdict(performance)
    grid.add_row(_programme(stage, verdict), _convergence(stage))
    grid.add_row(Text(performance.act.story, "cyan"), _progress(performance, verdict))
    return grid


def _programme(stage: Stage, verdict: Verdict) -> Text:
    """All acts, the present one marked."""
    present = len(stage.timeline.performances) - 1
    line = Text()
    for number, act in enumerate(stage.acts):
        if number < present or (number == present and verdict.is_fulfilled):
            mark, style = "✓", "green"
        elif number == present:
            mark, style = "▶", "bold cyan"
        else:
            mark, style = "○", "dim"
        line.append(f"{mark} {act.title}   ", style)
    return line


def _convergence(stage: Stage) -> Text:
    """How far the views agree, by the node that meets the fewest equal ones."""
    shares = [share for share in stage.timeline.agreement.values() if share is not None]
    if not shares:
        return Text("")
    least = min(shares)
    return Text(f"agreement {least:.0%}", "green" if least == 1.0 else "yellow")


def _progress(performance: Performance, verdict: Verdict) -> Text:
    """How many nodes have seen what the act announces."""
    observers = {expectation.observer for expectation in performance.act.expectations}
    waiting = {expectation.observer for expectation in verdict.missing}
    style = "yellow" if waiting else "green"
    return Text(f"{len(observers) - len(waiting)} of {len(observers)} nodes", style)
