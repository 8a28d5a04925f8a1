"""Changing the keys of a whole cluster while it runs: every member is asked, and every member's answer is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from shoal.config import Encryption
from shoal.errors import ForbiddenError, ShoalError
from shoal.keys import ClusterKey, KeyId
from shoal.net.sealed import SealedTransport
from shoal.types import Member, MemberState, NodeId
from shoal.wire.certificates import Right
from shoal.wire.key_messages import KeyOperation, KeyReply, KeyRequest

__all__ = ["KeyReport", "KeyRotation", "MemberKeys"]

_AT_ONCE: Final = 16
"""Members that are asked at once."""
_NAMED: Final = 5
"""Members that a sentence names; the report has all."""


@dataclass(frozen=True, slots=True)
class MemberKeys:
    """What one member answered."""

    member: Member
    ids: tuple[KeyId, ...]
    """Its keys, the one that it seals with first; empty when it did not answer."""
    encryption: Encryption | None
    """How it seals; None when it did not answer."""
    problem: str
    """Why it did not answer or did not do as asked; empty otherwise."""

    @property
    def primary(self) -> KeyId | None:
        """The key that it seals with; None when it did not answer."""
        return self.ids[0] if self.ids else None


@dataclass(frozen=True, slots=True)
class KeyReport:
    """What became of one operation, member by member."""

    members: tuple[MemberKeys, ...]
    refusal: str = ""
    """Why nothing was changed anywhere; empty when the operation was carried out or only looked."""

    @property
    def is_complete(self) -> bool:
        """Whether every member answered and did as asked."""
        return not self.refusal and not any(each.problem for each in self.members)


class KeyRotation:
    """Asks all present members, a few at a time, each for at most `timeout` seconds.

    `members` and `local` are this node's view and its own id in it.
    """

    __slots__ = ("_local", "_members", "_timeout", "_transport")

    def __init__(
        self,
        transport: SealedTransport,
        members: Callable[[], Iterable[Member]],
        local: Callable[[], NodeId],
        timeout: float,
    ) -> None:
        self._transport = transport
        self._members = members
        self._local = local
        self._timeout = timeout

    async def list(self) -> KeyReport:
        """Who holds which keys."""
        return KeyReport(await self._ask_all(KeyRequest(KeyOperation.LIST)))

    async def install(self, key: ClusterKey) -> KeyReport:
        """Let every member open with `key`. It may be repeated until all have it."""
        if refusal := self._transport.refusal(Right.KEYS):
            return KeyReport((await self.list()).members, refusal)
        return KeyReport(await self._ask_all(KeyRequest(KeyOperation.INSTALL, key=key)))

    async def use(self, id: KeyId) -> KeyReport:
        """Let every member seal with the key of that id. Refused unless all present members hold it."""
        before = (await self.list()).members
        if refusal := self._transport.refusal(Right.KEYS):
            return KeyReport(before, refusal)
        silent = [each.member for each in before if not each.ids]
        lacking = [each.member for each in before if each.ids and id not in each.ids]
        if lacking:
            return KeyReport(before, f"{_names(lacking)} would be cut off: the key {id} is to be installed there first")
        if silent:
            return KeyReport(before, f"{_names(silent)} did not answer, and would be cut off without the key {id}")
        return KeyReport(await self._ask_all(KeyRequest(KeyOperation.USE, id=id)))

    async def remove(self, id: KeyId, *, strand: bool = False) -> KeyReport:
        """Let every member forget the key of that id.

        Refused as long as a present member seals with it or does not answer, or one is dead that may come back with
        it: with `strand`, the latter two are left behind.
        """
        before = (await self.list()).members
        if refusal := self._transport.refusal(Right.KEYS):
            return KeyReport(before, refusal)
        using = [each.member for each in before if each.primary == id]
        if using:
            return KeyReport(before, f"{_names(using)} would be cut off: the key {id} seals there; use another first")
        lost = [each.member for each in before if not each.ids]
        names = {each.member.name for each in before}  # later runs of some of the dead
        lost += [each for each in self._members() if each.state is MemberState.DEAD and each.name not in names]
        if lost and not strand:
            return KeyReport(
                before,
                f"{_names(lost)} may come back with the key {id} alone; wait, or strand them on purpose",
            )
        return KeyReport(await self._ask_all(KeyRequest(KeyOperation.REMOVE, id=id)))

    async def ask_to_leave(self, member: Member) -> None:
        """Ask another member to leave. Raises `ForbiddenError` if it refuses, and as `SealedTransport.ask_keys`."""
        refusal = self._transport.refusal(Right.LEAVE)
        if not refusal:
            request = KeyRequest(KeyOperation.LEAVE)
            refusal = (await self._transport.ask_keys(member.address, request, self._timeout)).refusal
        if refusal:
            raise ForbiddenError(f"{member.name} cannot be asked to leave: {refusal}")

    async def _ask_all(self, request: KeyRequest) -> tuple[MemberKeys, ...]:
        turn = asyncio.Semaphore(_AT_ONCE)
        present = sorted((each for each in self._members() if each.state.is_present), key=lambda each: each.name)
        return tuple(await asyncio.gather(*(self._ask(member, request, turn) for member in present)))

    async def _ask(self, member: Member, request: KeyRequest, turn: asyncio.Semaphore) -> MemberKeys:
        if member.id == self._local():
            return _answer(member, self._transport.change_keys(request))
        async with turn:
            try:
                reply = await self._transport.ask_keys(member.address, request, self._timeout)
            except ShoalError as error:
                return MemberKeys(member, (), None, str(error))
        return _answer(member, reply)


def _answer(member: Member, reply: KeyReply) -> MemberKeys:
    return MemberKeys(member, reply.ids, Encryption[reply.suite.name], reply.refusal)


def _names(members: list[Member]) -> str:
    more = f" and {len(members) - _NAMED} more" if len(members) > _NAMED else ""
    return ", ".join(member.name for member in members[:_NAMED]) + more
