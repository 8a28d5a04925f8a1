"""Whose word this node takes: the strategy that a core is made with."""

from __future__ import annotations

from typing import Protocol

from shoal.events import Mistrust
from shoal.types import NodeInfo

__all__ = ["Credulous", "Trust"]


class Trust(Protocol):
    """Signs what this node says of itself, and checks what is said of others.

    What the core knows already it does not ask about, so a check may cost what verifying a signature costs.
    """

    is_credulous: bool
    """Everybody may speak for everybody. If not, a member's own word alone brings in a new incarnation of it, and ends
    the run before it; a member of another name cannot take its address."""

    def sign(self, info: NodeInfo, incarnation: int) -> NodeInfo:
        """This node's own record with the proof that it is; a proof that it had is replaced.

        Raises `ConfigError` for what this node may not publish.
        """
        ...

    def check(self, info: NodeInfo, incarnation: int, known: NodeInfo | None) -> Mistrust | None:
        """Why a record is not its owner's word; None if it is. `known` is what the table holds of its name."""
        ...


class Credulous:
    """Takes everybody's word, and costs nothing."""

    __slots__ = ()

    is_credulous = True

    def sign(self, info: NodeInfo, incarnation: int) -> NodeInfo:
        """The record as it is."""
        return info

    def check(self, info: NodeInfo, incarnation: int, known: NodeInfo | None) -> Mistrust | None:
        """Nothing speaks against it."""
        return None
