"""Pieces of pictures in SVG: panels with curves over time, their axes, texts and lines."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final, NamedTuple

__all__ = [
    "BLUE",
    "GREEN",
    "GREY",
    "LEFT",
    "ORANGE",
    "RED",
    "RIGHT",
    "WIDTH",
    "Curve",
    "Frame",
    "line",
    "panels",
    "picture",
    "text",
    "time_axis",
]

WIDTH: Final = 960
"""Pixels, as all lengths here."""
_PANEL_HEIGHT: Final = 220
_TOP: Final = 76
_GAP: Final = 70
LEFT: Final = 64
RIGHT: Final = 24
BLUE, ORANGE, GREEN, RED, GREY = "#2f6fb7", "#d9822b", "#3d9a5f", "#c23b3b", "#808080"
_MOST_TICKS: Final = 8


class Curve(NamedTuple):
    """A share that grows at each of these times."""

    label: str
    colour: str
    times: Sequence[float]
    of: int
    """How many times there would be if the share reached 1."""


class Frame(NamedTuple):
    """Where a panel lies, and which time its right edge shows."""

    left: float
    top: float
    width: float
    height: float
    last: float

    def x(self, time: float) -> float:
        """Where a time is."""
        return self.left + self.width * time / self.last

    def y(self, share: float) -> float:
        """Where a share is: 1 at the top."""
        return self.top + self.height * (1 - share)


def picture(title: str, body: Iterable[str], height: float) -> str:
    """A whole file that needs nothing but itself."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}"'
        f' height="{height:.0f}" font-family="sans-serif" font-size="12" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{height:.0f}" fill="#ffffff"/>',
        text(LEFT, 28, title, size=16),
    )
    return "\n".join((*head, *body, "</svg>", ""))


def panels(*two: tuple[str, Sequence[Curve]]) -> tuple[list[str], int]:
    """Two panels side by side under the title, each with its own title; and where what comes below them begins."""
    width = (WIDTH - 2 * LEFT - 2 * RIGHT) / 2
    drawn = [
        part
        for column, (title, curves) in enumerate(two)
        for part in _panel(title, curves, column * WIDTH / 2 + LEFT, width)
    ]
    return drawn, _TOP + _PANEL_HEIGHT + _GAP


def _panel(title: str, curves: Sequence[Curve], left: float, width: float) -> Iterable[str]:
    last = max((curve.times[-1] for curve in curves if curve.times), default=0.0)
    frame = Frame(left, _TOP, width, _PANEL_HEIGHT, _round_up(last))
    yield text(left, _TOP - 14, title)
    yield from _axes(frame)
    for index, curve in enumerate(curves):
        yield text(left + width - 8, frame.y(0) - 12 - 16 * index, curve.label, curve.colour, anchor="end")
        if curve.times:
            yield f'<path d="{_steps(frame, curve)}" fill="none" stroke="{curve.colour}" stroke-width="2"/>'
    if not any(curve.times for curve in curves):
        yield text(left + width / 2, frame.y(0.5), "nothing was detected", GREY, anchor="middle")


def _axes(frame: Frame) -> Iterable[str]:
    for share in (0.0, 0.5, 1.0):
        y = frame.y(share)
        yield line(frame.left, y, frame.left + frame.width, y, "#dddddd")
        yield text(frame.left - 6, y + 4, f"{share:.0%}", GREY, anchor="end")
    yield from time_axis(frame)


def time_axis(frame: Frame) -> Iterable[str]:
    """Ticks with their seconds along the bottom."""
    bottom = frame.top + frame.height
    tick = _tick(frame.last)
    for number in range(math.floor(frame.last / tick + 1e-9) + 1):
        time = number * tick
        yield line(frame.x(time), bottom, frame.x(time), bottom + 4, GREY)
        yield text(frame.x(time), bottom + 18, f"{time:.3g} s", GREY, anchor="middle")


def _steps(frame: Frame, curve: Curve) -> str:
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


def text(x: float, y: float, content: str, colour: str = "#000000", *, anchor: str = "start", size: int = 12) -> str:
    """A text, escaped."""
    where = f'x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}" font-size="{size}"'
    return f"<text {where}>{escape(content)}</text>"


def line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    """A thin line."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'
