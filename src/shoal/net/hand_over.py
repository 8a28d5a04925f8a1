"""Hands the key of this node to members that still seal with an older one of its ring."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from math import inf
from typing import Any, Final, NamedTuple, Protocol

from shoal.errors import ShoalError
from shoal.keys import ClusterKey, KeyId
from shoal.types import Address
from shoal.wire.envelope import Opened
from shoal.wire.key_messages import KeyOperation, KeyReply, KeyRequest
from shoal.wire.keyring import Keyring

__all__ = ["AskKeys", "HandOver"]

_PATIENCE: Final = 2.0
"""Seconds for which a change of the keyring may be on its way to members that were heard before it."""
_RETRY: Final = 30.0
"""Seconds until a member that could not be helped is tried again."""
_TIMEOUT: Final = 5.0
_AT_ONCE: Final = 4
_REMEMBERED: Final = 1024
"""Addresses that are remembered, until the keyring changes."""

_log = logging.getLogger("shoal.net")


class AskKeys(Protocol):
    """As `SealedTransport.ask_keys`."""

    def __call__(  # noqa: D102
        self, address: Address, request: KeyRequest, timeout: float, *, key: ClusterKey | None
    ) -> Coroutine[Any, Any, KeyReply]: ...


class _Attempt(NamedTuple):
    """To help one run of a member."""

    sender: Opened
    not_before: float
    """When the next one may follow."""


class HandOver:
    """Helps members that come back, and were away while a key was installed.

    They are sent the new key, sealed with the one that they have, as long as that is in the ring: at once if they were
    first heard after the last change, for nobody else understands them, and they would be held dead. Which one they
    seal with stays for `shoal keys use` to decide.
    """

    __slots__ = ("_ask", "_attempts", "_keyring", "_not_yet", "_refused", "_tasks")

    def __init__(self, keyring: Keyring, ask: AskKeys) -> None:
        self._keyring = keyring
        self._ask = ask
        self._not_yet = -inf
        self._attempts: dict[Address, _Attempt] = {}
        #: The last key that somebody did not take; the user is told once.
        self._refused: KeyId | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        keyring.subscribe(self._keys_changed)

    def consider(self, address: Address, sender: Opened) -> None:
        """`sender`, at `address`, seals with another key than this node: help it, unless that was done or must wait."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if len(self._tasks) >= _AT_ONCE or not self._is_due(address, sender, now):
            return
        key = self._keyring.get(sender.key_id)
        if key is None:
            return
        if len(self._attempts) >= _REMEMBERED:
            self._attempts.clear()
        attempt = self._attempts[address] = _Attempt(sender, now + _RETRY)
        task = loop.create_task(self._help(address, key, attempt), name=f"shoal key for {address}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Stop helping; may be called again."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _is_due(self, address: Address, sender: Opened, now: float) -> bool:
        is_newcomer = sender.changes_before == self._keyring.changes
        if now < self._not_yet and not is_newcomer:
            return False
        last = self._attempts.get(address)
        return last is None or last.sender is not sender or now >= last.not_before

    def _keys_changed(self, _keys: object) -> None:
        self._not_yet = asyncio.get_running_loop().time() + _PATIENCE
        self._attempts.clear()

    async def _help(self, address: Address, key: ClusterKey, attempt: _Attempt) -> None:
        primary = self._keyring.primary
        try:
            reply = await self._ask(address, KeyRequest(KeyOperation.HAND_OVER, key=primary), _TIMEOUT, key=key)
        except ShoalError as error:
            _log.debug("could not hand the key %s to %s: %s", primary.id, address, error)
            return
        if self._attempts.get(address) is attempt:  # Else the ring has changed again, or the member restarted.
            self._attempts[address] = attempt._replace(not_before=inf)
        if primary.id in reply.ids:
            _log.info("%s sealed with the key %s and holds %s now too", address, key.id, primary.id)
        elif self._refused != primary.id:
            self._refused = primary.id
            _log.warning(
                "%s does not take the key %s, with which this node seals: %s; give this node the key of the others",
                address,
                primary.id,
                reply.refusal,
            )
