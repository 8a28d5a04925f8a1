"""Every node's view of every member as one table, for the screen."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from rich.table import Table
from rich.text import Text

from shoal.demo.processes import Condition
from shoal.demo.reporter import Stage
from shoal.demo.sightings import Seen
from shoal.types import MemberState

__all__ = ["STATE_MARKS", "STATE_STYLES", "matrix"]

STATE_STYLES = {
    MemberState.ALIVE: "green",
    MemberState.SUSPECT: "yellow",
    MemberState.DEAD: "red",
    MemberState.LEFT: "bright_blue",
}
STATE_MARKS = {
    MemberState.ALIVE: "●",
    MemberState.SUSPECT: "◐",
    MemberState.DEAD: "✗",
    MemberState.LEFT: "○",
}
_CONDITION_STYLES = {
    Condition.STARTING: "dim",
    Condition.RUNNING: "green",
    Condition.FROZEN: "bold cyan",
    Condition.KILLED: "red",
    Condition.LEAVING: "bright_blue",
    Condition.LEFT: "bright_blue",
}
_BLIND = {Condition.STARTING, Condition.KILLED, Condition.LEFT}
"""What sees nothing."""
_CONDITION_WIDTH = max(len(condition.value) for condition in Condition)
_FRESH = 1.0
"""Seconds for which a change stands out."""


class _Cell(IntEnum):
    """How wide the cells are."""

    WORD = 9
    """A mark and the state; columns bear the members' names."""
    NUMBER = 2
    """A mark; columns bear the last two characters of the names."""
    DIGIT = 1
    """A mark; columns bear the last character of the names, and colours alone tell the processes' conditions."""


def matrix(stage: Stage, width: int) -> Table:
    """A row for each node with what it holds of the others, as much in words as `width` columns allow."""
    members = list(dict.fromkeys([*stage.names, *stage.timeline.member_names()]))
    label_width = max(map(len, members))
    room = width - label_width - 1 - _CONDITION_WIDTH - 1
    cell = next((cell for cell in _Cell if len(members) * (cell + 1) <= room), _Cell.DIGIT)
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    table.add_column(width=label_width, no_wrap=True)
    for member in members:
        heading = member if cell is _Cell.WORD else member.rpartition("-")[2][-cell:]
        table.add_column(heading, width=cell, no_wrap=True, justify="left" if cell is _Cell.WORD else "right")
    if cell is not _Cell.DIGIT:
        table.add_column("process", width=_CONDITION_WIDTH, no_wrap=True)
    conditions = {agent.name: agent.condition for agent in stage.pool.agents()}
    for observer in stage.names:
        condition = conditions.get(observer, Condition.STARTING)
        cells = [_draw(seen, stage.timeline.now(), cell) for seen in _row(stage, observer, condition, members)]
        style = _CONDITION_STYLES[condition]
        if cell is _Cell.DIGIT:
            table.add_row(Text(observer, style), *cells)
        else:
            table.add_row(observer, *cells, Text(condition.value, style))
    return table


def _row(stage: Stage, observer: str, condition: Condition, members: Sequence[str]) -> list[Seen | None]:
    """What the observer holds of each member; nothing of itself, and nothing at all when it is not there."""
    if condition in _BLIND:
        return [None] * len(members)
    view = stage.timeline.view(observer)
    return [view.get(member) for member in members]


def _draw(seen: Seen | None, now: float, cell: _Cell) -> Text:
    if seen is None:
        return Text("·", "bright_black")
    mark = STATE_MARKS[seen.state]
    style = STATE_STYLES[seen.state] + (" reverse" if now - seen.since < _FRESH else "")
    return Text(f"{mark} {seen.state}" if cell is _Cell.WORD else mark, style)
