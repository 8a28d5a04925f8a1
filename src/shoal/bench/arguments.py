"""Numbers on the command lines of benchmarks and studies, for `argparse`."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable
from math import nan

__all__ = ["at_least", "counts", "seconds", "seeds", "share"]

_LONGEST = 3600.0


def at_least(least: int) -> Callable[[str], int]:
    """Reads a whole number that is not smaller."""

    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise ArgumentTypeError(f"{text!r} is not a whole number of {least} or more")
        return int(text)

    return read


def counts(least: int) -> Callable[[str], list[int]]:
    """Reads some such numbers between commas."""
    read = at_least(least)
    return lambda text: [read(part) for part in text.split(",")]


def seeds(text: str) -> range:
    """FIRST..LAST, both included, or how many from 0 on."""
    first, dots, last = text.partition("..")
    chosen = range(at_least(0)(first), at_least(0)(last) + 1) if dots else range(at_least(1)(text))
    if not chosen:
        raise ArgumentTypeError(f"{text!r} is no range of seeds; write FIRST..LAST, as in 0..99")
    return chosen


def seconds(text: str) -> float:
    """From 0 to an hour."""
    return _between(text, _LONGEST, "a number of seconds from 0 to 3600")


def share(text: str) -> float:
    """From 0 to 1."""
    return _between(text, 1.0, "a share from 0 to 1")


def _between(text: str, most: float, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = nan
    if not 0 <= value <= most:
        raise ArgumentTypeError(f"{text!r} is not {what}")
    return value
