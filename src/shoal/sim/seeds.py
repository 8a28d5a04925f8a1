"""Seeds as people write them."""

from __future__ import annotations

from shoal.errors import ShoalError

__all__ = ["read_seeds"]


def read_seeds(text: str) -> range:
    """FIRST..LAST, both ends included; raises `ShoalError` for anything else."""
    first, dots, last = text.partition("..")
    if not (dots and first.isdecimal() and last.isdecimal() and int(first) <= int(last)):
        raise ShoalError(f"{text!r} is no range of seeds; write FIRST..LAST, as in 0..99")
    return range(int(first), int(last) + 1)
