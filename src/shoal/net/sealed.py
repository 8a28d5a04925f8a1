"""A transport that seals whatever goes through another one, and lets in only what was sealed."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from shoal.config import ClusterConfig
from shoal.errors import KeyringError, ReceiveError, ShoalError
from shoal.keys import ClusterKey, KeyId
from shoal.net.hand_over import HandOver
from shoal.net.proofs import Proofs
from shoal.net.steady_clock import SteadyClock
from shoal.net.transport import Receiver, Transport, TransportStats
from shoal.types import Address
from shoal.wire.access import Access
from shoal.wire.certificates import Right
from shoal.wire.envelope import Channel, Opened, Opener, OpenError, Position, Sealer, SealFlaw, channel_of, position_of
from shoal.wire.key_messages import (
    KeyMessageError,
    KeyOperation,
    KeyReply,
    KeyRequest,
    decode_proof,
    decode_reply,
    decode_request,
    encode_proof,
    encode_reply,
    encode_request,
)
from shoal.wire.keyring import Keyring
from shoal.wire.seals import TAG_SIZE, Suite

__all__ = ["SealedTransport"]

_WARNING_SILENCE: Final = 60.0
"""Seconds between two warnings of one kind, so that nobody outside can fill the log."""

_ADVICE: Final = {
    SealFlaw.NOT_SEALED: "it is not sealed, or not for this use; give every member keys",
    SealFlaw.UNKNOWN_KEY: "its key is not in this node's keyring; compare `shoal keys list` on both sides",
    SealFlaw.STALE: "by this node's clock it is too old or from the future; set the clocks, or raise replay_window",
    SealFlaw.BAD_TAG: "it is forged or damaged, or the sender's cluster has another name",
}
"""What to tell of a flaw; a replay alone is no news, for networks duplicate packets, nor is a proof that is awaited."""

_NO_AUTHORITY: Final = "without an authority nobody may ask another to leave; see `shoal keys issue --allow leave`"
_CHALLENGE_SIZE: Final = 16
_ABOUT_KEYS: Final = frozenset({Channel.KEY_REQUEST, Channel.KEY_REPLY})
_ASKING: Final = (Channel.DATAGRAM, Channel.REQUEST, Channel.KEY_REQUEST)
"""What a member may begin with."""

_log = logging.getLogger("shoal.net")


class SealedTransport:
    """A `Transport` around `inner`, of which it also is the receiver.

    Every datagram grows by `shoal.wire.envelope.OVERHEAD` bytes, and every stream message. A reply opens only as the
    answer to the request that it was made for, and is sealed with the key of that request. What does not open is
    dropped, counted in `stats`, and warned of at most once a minute for each reason. It also carries what members say
    about their keyrings: see `ask_keys`.

    A node that `has_run_before` takes nothing that may have been sealed before it started, by whichever clock: senders
    that are new to it prove first that they run now.
    """

    __slots__ = (
        "_access",
        "_challenge",
        "_clock",
        "_datagrams",
        "_hand_over",
        "_hands_over",
        "_heard_at",
        "_inner",
        "_keyring",
        "_opener",
        "_patience",
        "_primary",
        "_proofs",
        "_receiver",
        "_sealers",
        "_started",
        "_suite",
        "_warn_after",
        "on_leave",
    )

    def __init__(
        self,
        inner: Transport,
        keyring: Keyring,
        config: ClusterConfig,
        *,
        clock: SteadyClock | None = None,
        new_salt: Callable[[int], bytes] = secrets.token_bytes,
        has_run_before: bool = False,
        access: Access | None = None,
    ) -> None:
        self._inner = inner
        self._keyring = keyring
        self._suite = Suite.of(config.encryption)
        self._clock = clock or SteadyClock()
        self._patience = config.replay_window
        self._opener = Opener(keyring, config.cluster, max_age=config.replay_window, max_senders=config.max_members)
        self._sealers = {
            channel: Sealer(keyring, config.cluster, _suite_for(channel, self._suite), channel, new_salt)
            for channel in Channel
        }
        self._datagrams = self._sealers[Channel.DATAGRAM]
        self._access = access
        #: Called when a member that may, by the name given, asks this node to leave.
        self.on_leave: Callable[[str], None] | None = None
        self._hands_over = not self.refusal(Right.KEYS)
        self._hand_over = HandOver(keyring, self.ask_keys)
        self._proofs = Proofs(self._ask_for_proof, self.datagrams_received)
        self._challenge = secrets.token_bytes(_CHALLENGE_SIZE) if has_run_before else b""
        self._started = self._clock.now()
        self._distrust_the_past()
        self._primary = keyring.primary.id
        keyring.subscribe(self._keys_changed)
        self._receiver: Receiver
        self._heard_at = self._clock.now()
        self._warn_after: dict[SealFlaw, float] = {}

    @property
    def address(self) -> Address:
        """As `Transport.address`."""
        return self._inner.address

    @property
    def stats(self) -> TransportStats:
        """As `Transport.stats`: those of the inner transport, which counts sealed bytes, and what was dropped here."""
        return self._inner.stats

    async def bind(self) -> None:
        """As `Transport.bind`."""
        await self._inner.bind()

    async def start(self, receiver: Receiver) -> None:
        """As `Transport.start`."""
        self._receiver = receiver
        await self._inner.start(self)

    def send(self, data: bytes, address: Address) -> None:
        """As `Transport.send`."""
        now = self._clock.now()
        if now - self._heard_at > self._patience:
            now = self._look_at_the_clock()
        self._inner.send(self._datagrams.seal(data, int(now)), address)

    async def exchange(self, address: Address, data: bytes, timeout: float) -> bytes:
        """As `Transport.exchange`. Also raises `ReceiveError` for a reply that does not open."""
        return await self._ask(address, data, timeout, Channel.REQUEST, Channel.REPLY)

    async def close(self) -> None:
        """As `Transport.close`."""
        await self._proofs.close()
        await self._hand_over.close()
        await self._inner.close()

    # What arrives

    def datagrams_received(self, batch: Sequence[tuple[bytes, Address]]) -> None:
        """As `Receiver.datagrams_received`."""
        opened: list[tuple[bytes, Address]] = []
        now, primary, unseal = self._clock.now(), self._primary, self._opener.open
        for data, source in batch:
            try:
                message, sender = unseal(data, Channel.DATAGRAM, now)
            except OpenError as error:
                if error.flaw is not SealFlaw.UNPROVEN or not self._proofs.hold(data, source):
                    self._drop(error.flaw, source, now)
                continue
            opened.append((message, source))
            if sender.key_id != primary and self._hands_over:
                self._hand_over.consider(source, sender)
        if opened:
            self._heard_at = now
            self._receiver.datagrams_received(opened)

    def stream_received(self, data: bytes, source: Address) -> bytes | None:
        """As `Receiver.stream_received`."""
        is_about_keys = channel_of(data) is Channel.KEY_REQUEST
        now = self._clock.now()
        try:
            message, sender = self._opener.open(data, Channel.KEY_REQUEST if is_about_keys else Channel.REQUEST, now)
        except OpenError as error:
            self._drop(error.flaw, source, now)
            return self._challenge_for(data) if error.flaw is SealFlaw.UNPROVEN else None
        self._heard_at = now
        if is_about_keys:
            answer = self._answer(message, source, sender, position_of(data))
            return self._reply(Channel.KEY_REPLY, answer, data, sender)
        return self._reply(Channel.REPLY, self._receiver.stream_received(message, source), data, sender)

    def knows(self, address: Address) -> bool:
        """As `Receiver.knows`."""
        return self._receiver.knows(address)

    # Keys

    def refusal(self, right: Right) -> str:
        """Why this node may not do something to others; empty if it may. Without an authority all may change keys."""
        if self._access is not None:
            return self._access.refusal(right)
        return "" if right is Right.KEYS else _NO_AUTHORITY

    async def ask_keys(
        self, address: Address, request: KeyRequest, timeout: float, *, key: ClusterKey | None = None
    ) -> KeyReply:
        """Let the member at `address` change its keyring, or list it; sealed with the primary key, or with `key`.

        Raises what `exchange` raises.
        """
        reply = await self._ask(address, request, timeout, Channel.KEY_REQUEST, Channel.KEY_REPLY, key)
        try:
            return decode_reply(reply)
        except KeyMessageError as error:
            raise ReceiveError(f"the reply of {address} about its keys cannot be read: {error}") from None

    def change_keys(self, request: KeyRequest) -> KeyReply:
        """Change this node's keyring, or list it."""
        ring, refusal = self._keyring, ""
        try:
            match request.operation:
                case KeyOperation.INSTALL if request.key is not None:
                    ring.install(request.key)
                case KeyOperation.HAND_OVER if request.key is not None:
                    ring.accept(request.key)
                case KeyOperation.USE if request.id is not None:
                    ring.use(request.id)
                case KeyOperation.REMOVE if request.id is not None:
                    ring.remove(request.id)
        except KeyringError as error:
            refusal = str(error)
        return KeyReply(ring.ids, self._suite, refusal)

    def _keys_changed(self, keys: tuple[ClusterKey, ...]) -> None:
        self._primary = keys[0].id

    def _answer(self, message: bytes, source: Address, sender: Opened, position: Position) -> bytes | None:
        try:
            request = decode_request(message)
        except KeyMessageError as error:
            _log.warning(
                "%s asked for a change of keys that cannot be read: %s; see that it runs this version", source, error
            )
            return None
        if request.operation is KeyOperation.PROVE:
            now = int(self._clock.now())
            return encode_proof(self._sealers[channel].position(now) for channel in _ASKING)
        before = self._keyring.ids
        asker, refusal = self._check(request, position)
        if refusal:
            _log.warning(
                "%s asked for a change that it may not make: %s; it was refused",
                source,
                refusal,
                extra={"event": "request_refused"},
            )
            return encode_reply(KeyReply(before, self._suite, refusal))
        if request.operation is KeyOperation.LEAVE and self.on_leave is not None:
            self.on_leave(asker)
        if request.operation is KeyOperation.REMOVE and request.id == sender.key_id:
            reply = KeyReply(
                before, self._suite, f"{source} itself seals with the key {request.id}, and would be cut off"
            )
        else:
            reply = self.change_keys(request)
        if reply.ids != before:
            _log.info("%s changed the keyring: it holds %s now", source, ", ".join(map(str, reply.ids)))
        return encode_reply(reply)

    def _check(self, request: KeyRequest, position: Position) -> tuple[str, str]:
        """Who asks, as far as it is known, and why that is refused; empty if it is not."""
        right = request.operation.right
        if right is None:
            return "", ""
        if self._access is None:
            return "", "" if right is Right.KEYS else _NO_AUTHORITY
        return self._access.check(request.shown, encode_request(replace(request, shown=b"")), position, right)

    # Sealing

    def _seal(
        self, channel: Channel, data: bytes | KeyRequest, bound: bytes = b"", key: ClusterKey | None = None
    ) -> bytes:
        now = self._clock.now()
        if now - self._heard_at > self._patience:
            now = self._look_at_the_clock()
        sealer = self._sealers[channel]
        if isinstance(data, KeyRequest):
            data = self._signed(data, sealer.next_position(int(now), key))
        return sealer.seal(data, int(now), bound=bound, key=key)

    def _signed(self, request: KeyRequest, position: Position) -> bytes:
        """A request, with what shows the right to it if it needs one."""
        data = encode_request(request)
        if self._access is None or request.operation.right is None:
            return data
        return data + self._access.show(data, position)

    async def _ask(
        self,
        address: Address,
        data: bytes | KeyRequest,
        timeout: float,
        asking: Channel,
        answering: Channel,
        key: ClusterKey | None = None,
    ) -> bytes:
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout
        request = self._seal(asking, data, key=key)
        reply = await self._exchange(address, request, timeout)
        if channel_of(reply) is Channel.CHALLENGE:
            challenge = self._open_reply(address, reply, Channel.CHALLENGE, request)
            request = self._seal(asking, data, challenge, key)
            reply = await self._exchange(address, request, max(0.0, until - loop.time()))
        return self._open_reply(address, reply, answering, request)

    async def _exchange(self, address: Address, request: bytes, timeout: float) -> bytes:
        try:
            return await self._inner.exchange(address, request, timeout)
        except ReceiveError as error:
            raise ReceiveError(f"{error} (so do peers that share no key or no cluster name)") from error

    def _open_reply(self, address: Address, reply: bytes, channel: Channel, request: bytes) -> bytes:
        now = self._clock.now()
        try:
            message, _ = self._opener.open(reply, channel, now, bound=_tag(request))
        except OpenError as error:
            self._drop(error.flaw, address, now)
            raise ReceiveError(f"the reply of {address} does not open: {error.flaw}") from None
        self._heard_at = now
        return message

    def _reply(self, channel: Channel, message: bytes | None, request: bytes, sender: Opened) -> bytes | None:
        if message is None:
            return None
        return self._seal(channel, message, _tag(request), self._keyring.get(sender.key_id))

    # After a restart

    def _distrust_the_past(self) -> None:
        if self._challenge:
            # Nobody's clock is further ahead of ours than the window, so nothing later was sealed before.
            self._opener.distrust(self._started + self._patience, self._challenge)

    def _challenge_for(self, request: bytes) -> bytes:
        """In the place of a reply to what may have been recorded before this run."""
        key = self._keyring.get(_key_id(request))
        return self._seal(Channel.CHALLENGE, self._challenge, _tag(request), key)

    async def _ask_for_proof(self, address: Address, held: Sequence[bytes], timeout: float) -> bool:
        """Introduce the member at `address`, so that what it sealed since this node started can be taken.

        Returns whether it answered; if not, what was held of it is dropped.
        """
        asked_at = self._clock.now()
        request = KeyRequest(KeyOperation.PROVE)
        key = self._keyring.get(_key_id(held[0]))  # It may lack this node's own.
        try:
            reply = await self._ask(address, request, timeout, Channel.KEY_REQUEST, Channel.KEY_REPLY, key)
            proof = decode_proof(reply)
        except (ShoalError, KeyMessageError) as error:
            self.stats.dropped_unproven += len(held)
            _log.debug("%s has not proved that it runs now: %s", address, error)
            return False
        came = [position_of(data) for data in held]
        for position in proof:
            # When this node started, by the sender's clock, whose seconds are whole: no later than this.
            start = position.seconds + 1 - (asked_at - self._started)
            since = [each.count for each in came if each.line == position.line and each.seconds >= start]
            self._opener.introduce(replace(position, count=min(since, default=position.count + 1) - 1))
        return True

    def _look_at_the_clock(self) -> float:
        """Nobody is heard: perhaps because the clock was wrong when this node started, and was set since."""
        if self._clock.reset():
            for sealer in self._sealers.values():
                sealer.renew()
            self._started = self._clock.now()
            self._distrust_the_past()
        self._heard_at = self._clock.now()
        return self._heard_at

    def _drop(self, flaw: SealFlaw, source: Address, now: float) -> None:
        stats = self._inner.stats
        match flaw:
            case SealFlaw.NOT_SEALED:
                stats.dropped_not_sealed += 1
            case SealFlaw.UNKNOWN_KEY:
                stats.dropped_unknown_key += 1
            case SealFlaw.STALE:
                stats.dropped_stale += 1
            case SealFlaw.REPLAYED:
                stats.dropped_replayed += 1
            case SealFlaw.BAD_TAG:
                stats.dropped_bad_tag += 1
            case SealFlaw.UNPROVEN:
                stats.dropped_unproven += 1
        if (advice := _ADVICE.get(flaw)) is not None and now >= self._warn_after.get(flaw, now):
            self._warn_after[flaw] = now + _WARNING_SILENCE
            _log.warning(
                "%s: dropped a message from %s: %s",
                self._inner.address,
                source,
                advice,
                extra={"event": "message_dropped", "address": str(source), "reason": flaw.value},
            )


def _suite_for(channel: Channel, suite: Suite) -> Suite:
    """Keys travel encrypted also where nothing else does."""
    return Suite.AES_256_GCM if channel in _ABOUT_KEYS and suite is Suite.HMAC_SHA256 else suite


def _key_id(sealed: bytes) -> bytes:
    return position_of(sealed).line[1 : 1 + KeyId.SIZE]


def _tag(sealed: bytes) -> bytes:
    return sealed[-TAG_SIZE:]
