"""Numbers on the command lines of benchmarks and studies, for `argparse`."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable
from math import nan

from shoal.errors import ShoalError
from shoal.sim.seeds import read_seeds

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
    if ".." not in text:
        return range(at_least(1)(text))
    try:
        return read_seeds(text)
    except ShoalError as error:
        raise ArgumentTypeError(str(error)) from None


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
