"""What came out of a simulation as one picture: an SVG that needs nothing but itself."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final, NamedTuple

from shoal.sim.measures import Mark
from shoal.sim.runner import RunResult

__all__ = ["svg"]

_WIDTH: Final = 960
_PANEL_HEIGHT: Final = 220
_ROW_HEIGHT: Final = 24
_TOP: Final = 76
_GAP: Final = 70
_LEFT: Final = 64
_RIGHT: Final = 24
_LABELS: Final = 150  # pixels left of the timeline
_MOST_TICKS: Final = 8
_BLUE, _ORANGE, _GREEN, _RED, _GREY = "#2f6fb7", "#d9822b", "#3d9a5f", "#c23b3b", "#808080"

_ROWS: Final = (
    ("MemberSuspected", "suspected", _ORANGE),
    ("MemberRecovered", "recovered", _GREEN),
    ("MemberFailed", "failed", _RED),
    ("MemberLeft", "left", _GREY),
    ("MemberJoined", "joined", _BLUE),
)


class _Curve(NamedTuple):
    """A share that grows at each of these times."""

    label: str
    colour: str
    times: Sequence[float]
    of: int
    """How many times there would be if the share reached 1."""


class _Frame(NamedTuple):
    """Where a panel lies, and which time its right edge shows."""

    left: float
    top: float
    width: float
    height: float
    last: float

    def x(self, time: float) -> float:
        return self.left + self.width * time / self.last

    def y(self, share: float) -> float:
        return self.top + self.height * (1 - share)


def svg(title: str, results: Sequence[RunResult]) -> str:
    """Draw how outages were detected, how the news spread, and the timeline of the first result that keeps one."""
    outages = [outage for result in results for outage in result.outages]
    detected = [outage for outage in outages if outage.first is not None]
    detection = (
        _Curve("first observer", _BLUE, _sorted(outage.first for outage in outages), len(outages)),
        _Curve("all observers", _ORANGE, _sorted(outage.all_know for outage in outages), len(outages)),
    )
    delays = _sorted(delay for outage in detected for delay in outage.delays)
    spread = (_Curve("observers that know", _GREEN, delays, sum(outage.observers for outage in detected)),)
    width = (_WIDTH - 2 * _LEFT - 2 * _RIGHT) / 2
    body = [
        *_panel("Detection: share of outages, by seconds since the outage", detection, _LEFT, width),
        *_panel("Dissemination: share of observers, by seconds since the first", spread, _WIDTH / 2 + _LEFT, width),
    ]
    top = _TOP + _PANEL_HEIGHT + _GAP
    timed = next((result for result in results if result.timeline), None)
    height = float(top)
    if timed is not None:
        body += _timeline(timed, top)
        height += _ROW_HEIGHT * (len(_ROWS) + 1) + 40
    return "\n".join((*_head(title, height), *body, "</svg>", ""))


def _sorted(times: Iterable[float | None]) -> list[float]:
    return sorted(time for time in times if time is not None)


def _head(title: str, height: float) -> Iterable[str]:
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" width="{_WIDTH}"'
        f' height="{height:.0f}" font-family="sans-serif" font-size="12" role="img">'
    )
    yield f"<title>{escape(title)}</title>"
    yield f'<rect width="{_WIDTH}" height="{height:.0f}" fill="#ffffff"/>'
    yield _text(_LEFT, 28, title, size=16)


def _panel(title: str, curves: Sequence[_Curve], left: float, width: float) -> Iterable[str]:
    last = max((curve.times[-1] for curve in curves if curve.times), default=0.0)
    frame = _Frame(left, _TOP, width, _PANEL_HEIGHT, _round_up(last))
    yield _text(left, _TOP - 14, title)
    yield from _axes(frame)
    for index, curve in enumerate(curves):
        yield _text(left + width - 8, frame.y(0) - 12 - 16 * index, curve.label, curve.colour, anchor="end")
        if curve.times:
            yield f'<path d="{_steps(frame, curve)}" fill="none" stroke="{curve.colour}" stroke-width="2"/>'
    if not any(curve.times for curve in curves):
        yield _text(left + width / 2, frame.y(0.5), "nothing was detected", _GREY, anchor="middle")


def _axes(frame: _Frame) -> Iterable[str]:
    for share in (0.0, 0.5, 1.0):
        y = frame.y(share)
        yield _line(frame.left, y, frame.left + frame.width, y, "#dddddd")
        yield _text(frame.left - 6, y + 4, f"{share:.0%}", _GREY, anchor="end")
    yield from _time_axis(frame)


def _time_axis(frame: _Frame) -> Iterable[str]:
    bottom = frame.top + frame.height
    tick = _tick(frame.last)
    for number in range(math.floor(frame.last / tick + 1e-9) + 1):
        time = number * tick
        yield _line(frame.x(time), bottom, frame.x(time), bottom + 4, _GREY)
        yield _text(frame.x(time), bottom + 18, f"{time:.3g} s", _GREY, anchor="middle")


def _steps(frame: _Frame, curve: _Curve) -> str:
    """The path of a curve, with at most one step a pixel."""
    path = [f"M{frame.x(0):.1f} {frame.y(0):.1f}"]
    drawn = frame.x(0)
    for count, time in enumerate(curve.times, 1):
        x = frame.x(time)
        if x - drawn >= 1 or count == len(curve.times):
            path.append(f"H{x:.1f}V{frame.y(count / curve.of):.1f}")
            drawn = x
    path.append(f"H{frame.left + frame.width:.1f}")
    return "".join(path)


def _timeline(result: RunResult, top: float) -> Iterable[str]:
    height = _ROW_HEIGHT * (len(_ROWS) + 1)
    frame = _Frame(_LABELS, top, _WIDTH - _LABELS - _RIGHT, height, max(result.seconds, 1.0))
    yield _text(_LEFT, top - 14, f"Timeline of seed {result.seed}: what observers saw; darker is more of them")
    events = {name for name, _, _ in _ROWS}
    yield from _row(frame, 0, "scenario", "#000000", [mark for mark in result.timeline if mark.what not in events])
    for row, (name, label, colour) in enumerate(_ROWS, 1):
        yield from _row(frame, row, label, colour, [mark for mark in result.timeline if mark.what == name])
    yield from _time_axis(frame)


def _row(frame: _Frame, row: int, label: str, colour: str, marks: Sequence[Mark]) -> Iterable[str]:
    top = frame.top + row * _ROW_HEIGHT
    yield _text(frame.left - 10, top + 16, label, colour, anchor="end")
    yield _line(frame.left, top + _ROW_HEIGHT, frame.left + frame.width, top + _ROW_HEIGHT, "#dddddd")
    most = max((mark.observers for mark in marks), default=0)
    for mark in marks:
        strength = 0.3 + 0.7 * mark.observers / most if most else 1.0
        said = f"{mark.time:.1f} s: " + (f"{label} at {mark.observers}" if mark.observers else mark.what)
        yield (
            f'<rect x="{frame.x(mark.time):.1f}" y="{top + 4:.0f}" width="2" height="{_ROW_HEIGHT - 8}"'
            f' fill="{colour}" fill-opacity="{strength:.2f}"><title>{escape(said)}</title></rect>'
        )


def _tick(last: float) -> float:
    """The distance of ticks, one digit of 1, 2 or 5, so that not too many lead up to `last`."""
    least = last / _MOST_TICKS
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * digit for digit in (1, 2, 5, 10) if power * digit >= least)


def _round_up(time: float) -> float:
    """The first tick at or after `time`."""
    if time <= 0:
        return 1.0
    tick = _tick(time)
    return tick * math.ceil(time / tick)


def _text(x: float, y: float, text: str, colour: str = "#000000", *, anchor: str = "start", size: int = 12) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}" font-size="{size}">{escape(text)}</text>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'
