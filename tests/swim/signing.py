"""Members with identities, and what they sign."""

from shoal.types import NodeInfo
from shoal.wire.identity import SignedIdentity
from shoal.wire.identity_keys import IdentityKey
from shoal.wire.messages import Dead, Left, Stall, Suspect, Witness
from tests.swim.harness import info_of, node_id

__all__ = ["dead", "identity", "left", "signed", "stall", "suspect", "witness"]


def identity(number: int) -> SignedIdentity:
    """The key of node `number`."""
    return SignedIdentity(IdentityKey(number.to_bytes(32)), "shoal")


def signed(number: int, incarnation: int = 0, *, by: int | None = None, name: str | None = None) -> NodeInfo:
    """What node `number` publishes."""
    return identity(number if by is None else by).sign(info_of(number, name), incarnation)


def witness(accused: int, by: int, incarnation: int = 0, *, key: int | None = None) -> Witness:
    """The word of node `by` that `accused` does not answer, signed by the key of `key` if that is another."""
    signer = identity(by if key is None else key)
    return Witness(node_id(by), signer.sign_accusation(node_id(accused), incarnation, node_id(by)))


def suspect(accused: int, *by: int, incarnation: int = 0) -> Suspect:
    """A suspicion that these nodes signed."""
    witnesses = tuple(witness(accused, each, incarnation) for each in by)
    return Suspect(node_id(accused), incarnation, node_id(by[0]), witnesses=witnesses)


def dead(accused: int, *by: int, incarnation: int = 0) -> Dead:
    """A death that these nodes signed, declared by the first."""
    return Dead(
        node_id(accused), incarnation, node_id(by[0]), tuple(witness(accused, each, incarnation) for each in by)
    )


def left(number: int, incarnation: int = 0, *, by: int | None = None) -> Left:
    """A goodbye, signed by its owner or by another."""
    signer = identity(number if by is None else by)
    return Left(node_id(number), incarnation, signer.sign_goodbye(node_id(number), incarnation))


def stall(number: int, seconds: float, *, of: float | None = None, count: int = 1, by: int | None = None) -> Stall:
    """A declared stall, signed by its owner or by another; `seconds` are left `of` those that were declared."""
    signer = identity(number if by is None else by)
    proof = signer.sign_stall(node_id(number), count, seconds if of is None else of)
    return Stall(node_id(number), count, seconds, proof)
