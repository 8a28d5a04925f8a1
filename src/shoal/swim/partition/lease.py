"""What the lease strategy needs from outside: something that only one side can hold."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Lease"]


class Lease(Protocol):
    """A lock held by one owner at a time, in a place that both sides of a partition can reach, or none.

    An owner is a side, not a member: all who see the same survivors ask under one name. Calls may block; they are made
    in a thread.
    """

    def acquire(self, owner: str) -> bool:
        """Take or keep it; False when another owner has it. Raises `OSError` when the place cannot be reached."""
        ...

    def release(self, owner: str) -> None:
        """Give it back, if this owner has it, so that any other can take it; else nothing."""
        ...
