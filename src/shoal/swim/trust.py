"""Whose word this node takes: the strategy that a core is made with."""

from __future__ import annotations

from typing import Protocol

from shoal.events import Mistrust
from shoal.types import NodeId, NodeInfo

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

    def sign_accusation(self, id: NodeId, incarnation: int, accuser: NodeId) -> bytes:
        """This node's word, as `accuser`, that a run does not answer at an incarnation; empty if nobody asks for it."""
        ...

    def has_accused(self, accuser: NodeInfo, id: NodeId, incarnation: int, signature: bytes) -> bool:
        """Whether a member, by its record, gave such a word."""
        ...

    def sign_goodbye(self, id: NodeId, incarnation: int) -> bytes:
        """This node's word that its run goes; empty if nobody asks for it."""
        ...

    def has_left(self, info: NodeInfo, incarnation: int, signature: bytes) -> bool:
        """Whether a member, by its record, gave such a word."""
        ...

    def sign_stall(self, id: NodeId, number: int, seconds: float) -> bytes:
        """This node's word that its run does not answer for a while, 3,600 seconds at most; empty if nobody asks."""
        ...

    def has_declared(self, info: NodeInfo, number: int, seconds: float, proof: bytes) -> bool:
        """Whether a member, by its record, gave such a word, for at least so long."""
        ...

    def revocation_of(self, info: NodeInfo) -> bytes:
        """The proof that what admitted a member was taken back, as far as this node knows; empty if it was not."""
        ...

    def has_revoked(self, info: NodeInfo, proof: bytes) -> bool:
        """Whether something is such a proof, which then is known."""
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

    def sign_accusation(self, id: NodeId, incarnation: int, accuser: NodeId) -> bytes:
        """Nothing."""
        return b""

    def has_accused(self, accuser: NodeInfo, id: NodeId, incarnation: int, signature: bytes) -> bool:
        """Everybody may say so of everybody."""
        return True

    def sign_goodbye(self, id: NodeId, incarnation: int) -> bytes:
        """Nothing."""
        return b""

    def has_left(self, info: NodeInfo, incarnation: int, signature: bytes) -> bool:
        """Everybody may say so of everybody."""
        return True

    def sign_stall(self, id: NodeId, number: int, seconds: float) -> bytes:
        """Nothing."""
        return b""

    def has_declared(self, info: NodeInfo, number: int, seconds: float, proof: bytes) -> bool:
        """Everybody may say so of everybody."""
        return True

    def revocation_of(self, info: NodeInfo) -> bytes:
        """Nothing."""
        return b""

    def has_revoked(self, info: NodeInfo, proof: bytes) -> bool:
        """Nobody is admitted, so nothing is taken back."""
        return False
