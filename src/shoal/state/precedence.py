"""Which of two beliefs about one run of a member wins (SWIM §4.2).

A belief is packed into one integer, `incarnation << 2 | state`, so that one comparison decides: a higher incarnation
wins, and at one incarnation ALIVE < SUSPECT < DEAD < LEFT. Two consequences are meant: a death is refuted by a higher
incarnation, and an alive at an equal one changes nothing, because only the owner's new word counts. LEFT is final,
whatever comes.
"""

from __future__ import annotations

from typing import Final

from shoal.types import MemberState

__all__ = ["MAX_INCARNATION", "incarnation_of", "pack", "state_of", "supersedes"]

MAX_INCARNATION: Final = (1 << 48) - 1
"""A node that counted up once a millisecond would reach it after 8,900 years; a forger reaches it at once."""

_STATE_BITS: Final = 2
_STATE_MASK: Final = 3
_LEFT: Final = int(MemberState.LEFT)
_STATES: Final = tuple(MemberState)


def pack(incarnation: int, state: MemberState) -> int:
    """The belief as one integer."""
    return incarnation << _STATE_BITS | state


def incarnation_of(belief: int) -> int:
    """The incarnation of a packed belief."""
    return belief >> _STATE_BITS


def state_of(belief: int) -> MemberState:
    """The state of a packed belief."""
    return _STATES[belief & _STATE_MASK]


def supersedes(incoming: int, current: int) -> bool:
    """Whether the packed belief `incoming` replaces `current`."""
    return incoming > current and current & _STATE_MASK != _LEFT
