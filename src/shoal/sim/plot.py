"""What came out of a simulation as one picture: an SVG that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from shoal.sim.drawing import (
    BLUE,
    GREEN,
    GREY,
    LEFT,
    ORANGE,
    RED,
    RIGHT,
    WIDTH,
    Curve,
    Frame,
    line,
    panels,
    picture,
    text,
    time_axis,
)
from shoal.sim.measures import Mark
from shoal.sim.runner import RunResult

__all__ = ["svg"]

_ROW_HEIGHT: Final = 24
_LABELS: Final = 150  # pixels left of the timeline

_ROWS: Final = (
    ("MemberSuspected", "suspected", ORANGE),
    ("MemberRecovered", "recovered", GREEN),
    ("MemberFailed", "failed", RED),
    ("MemberLeft", "left", GREY),
    ("MemberJoined", "joined", BLUE),
)


def svg(title: str, results: Sequence[RunResult]) -> str:
    """Draw how outages were detected, how the news spread, and the timeline of the first result that keeps one."""
    outages = [outage for result in results for outage in result.outages]
    detected = [outage for outage in outages if outage.first is not None]
    detection = (
        Curve("first observer", BLUE, _sorted(outage.first for outage in outages), len(outages)),
        Curve("all observers", ORANGE, _sorted(outage.all_know for outage in outages), len(outages)),
    )
    delays = _sorted(delay for outage in detected for delay in outage.delays)
    spread = (Curve("observers that know", GREEN, delays, sum(outage.observers for outage in detected)),)
    body, top = panels(
        ("Detection: share of outages, by seconds since the outage", detection),
        ("Dissemination: share of observers, by seconds since the first", spread),
    )
    timed = next((result for result in results if result.timeline), None)
    height = float(top)
    if timed is not None:
        body += _timeline(timed, top)
        height += _ROW_HEIGHT * (len(_ROWS) + 1) + 40
    return picture(title, body, height)


def _sorted(times: Iterable[float | None]) -> list[float]:
    return sorted(time for time in times if time is not None)


def _timeline(result: RunResult, top: float) -> Iterable[str]:
    height = _ROW_HEIGHT * (len(_ROWS) + 1)
    frame = Frame(_LABELS, top, WIDTH - _LABELS - RIGHT, height, max(result.seconds, 1.0))
    yield text(LEFT, top - 14, f"Timeline of seed {result.seed}: what observers saw; darker is more of them")
    events = {name for name, _, _ in _ROWS}
    yield from _row(frame, 0, "scenario", "#000000", [mark for mark in result.timeline if mark.what not in events])
    for row, (name, label, colour) in enumerate(_ROWS, 1):
        yield from _row(frame, row, label, colour, [mark for mark in result.timeline if mark.what == name])
    yield from time_axis(frame)


def _row(frame: Frame, row: int, label: str, colour: str, marks: Sequence[Mark]) -> Iterable[str]:
    top = frame.top + row * _ROW_HEIGHT
    yield text(frame.left - 10, top + 16, label, colour, anchor="end")
    yield line(frame.left, top + _ROW_HEIGHT, frame.left + frame.width, top + _ROW_HEIGHT, "#dddddd")
    most = max((mark.observers for mark in marks), default=0)
    for mark in marks:
        strength = 0.3 + 0.7 * mark.observers / most if most else 1.0
        said = f"{mark.time:.1f} s: " + (f"{label} at {mark.observers}" if mark.observers else mark.what)
        yield (
            f'<rect x="{frame.x(mark.time):.1f}" y="{top + 4:.0f}" width="2" height="{_ROW_HEIGHT - 8}"'
            f' fill="{colour}" fill-opacity="{strength:.2f}"><title>{escape(said)}</title></rect>'
        )
