import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from random import Random
from typing import Any

import pytest

from shoal.config import ClusterConfig, Encryption
from shoal.errors import ReceiveError
from shoal.keys import ClusterKey
from shoal.net.memory import MemoryNetwork, MemoryTransport
from shoal.net.sealed import SealedTransport
from shoal.net.steady_clock import SteadyClock
from shoal.net.transport import Transport
from shoal.types import Address
from shoal.wire.access import Access
from shoal.wire.certificates import Authority, Certificate, Right
from shoal.wire.envelope import OVERHEAD, Channel, Sealer, channel_of
from shoal.wire.identity_keys import IdentityKey
from shoal.wire.key_messages import KeyOperation, KeyReply, KeyRequest
from shoal.wire.keyring import Keyring
from shoal.wire.seals import Suite
from tests.net.receivers import PATIENCE, Recorder

OLD, NEW, OTHER = (ClusterKey(bytes([number] * 32)) for number in range(3))
A, B, C = (Address(f"10.0.0.{number}", 7946) for number in (1, 2, 3))
INSTALL_NEW = KeyRequest(KeyOperation.INSTALL, key=NEW)


class Clock:
    """One that each node may read wrongly."""

    def __init__(self) -> None:
        self.uptime = 0.0
        self.wall = 1_800_000_000.0

    def pass_time(self, seconds: float) -> None:
        self.uptime += seconds
        self.wall += seconds

    def steady(self) -> SteadyClock:
        return SteadyClock(wall=lambda: self.wall, uptime=lambda: self.uptime)


class Lab:
    """Sealed transports on a network in memory, and what each of them received."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self.network = MemoryNetwork(Random(1))
        self.clock = Clock()
        self.received: dict[Address, Recorder] = {}
        self.on_wire: list[tuple[bytes, Address, Address]] = []
        send = self.network._send

        def recorded(data: bytes, source: Address, target: Address) -> None:
            self.on_wire.append((data, source, target))
            send(data, source, target)

        self.network._send = recorded  # type: ignore[method-assign]

    async def node(
        self,
        address: Address,
        *keys: ClusterKey,
        clock: Clock | None = None,
        ring: Keyring | None = None,
        has_run_before: bool = False,
        access: Access | None = None,
        **how: Any,
    ) -> SealedTransport:
        inner = self.network.transport(address)
        transport = SealedTransport(
            inner,
            ring or Keyring(keys or [OLD]),
            ClusterConfig(**how),
            clock=(clock or self.clock).steady(),
            has_run_before=has_run_before,
            access=access,
        )
        await self.start(transport, address)
        return transport

    async def plain(self, address: Address) -> MemoryTransport:
        transport = self.network.transport(address)
        await self.start(transport, address)
        return transport

    async def start(self, transport: Transport, address: Address) -> None:
        self.received[address] = Recorder()
        await transport.start(self.received[address])
        self._stack.push_async_callback(transport.close)

    async def settle(self) -> None:
        """Let everything arrive."""
        for _ in range(30):
            await asyncio.sleep(0)

    def messages(self, address: Address) -> list[bytes]:
        return [data for data, _ in self.received[address].datagrams]


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    async with AsyncExitStack() as stack:
        yield Lab(stack)


async def test_what_is_on_the_wire_hides_and_outgrows_the_message_by_the_overhead(lab: Lab) -> None:
    a = await lab.node(A)
    await lab.node(B)
    a.send(b"a secret message", B)
    await lab.settle()
    [(data, _, _)] = lab.on_wire
    assert b"secret" not in data
    assert len(data) == len(b"a secret message") + OVERHEAD
    assert lab.messages(B) == [b"a secret message"]


@pytest.mark.parametrize("encryption", Encryption)
async def test_nodes_that_seal_differently_understand_each_other(lab: Lab, encryption: Encryption) -> None:
    a = await lab.node(A, encryption=encryption)
    await lab.node(B)
    a.send(b"x", B)
    await lab.settle()
    assert lab.messages(B) == [b"x"]
    assert await a.exchange(B, b"question", PATIENCE) == b"question"


@pytest.mark.parametrize("encryption", Encryption)
async def test_keys_travel_encrypted_whatever_else_does(
    lab: Lab, encryption: Encryption, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = await lab.node(A, encryption=encryption)
    await lab.node(B, encryption=encryption)
    sent: list[bytes] = []
    exchange = MemoryTransport.exchange

    async def tapped(self: MemoryTransport, address: Address, data: bytes, timeout: float) -> bytes:
        sent.append(data)
        return await exchange(self, address, data, timeout)

    monkeypatch.setattr(MemoryTransport, "exchange", tapped)
    assert NEW.id in (await a.ask_keys(B, INSTALL_NEW, PATIENCE)).ids
    assert len(sent) == 1
    assert NEW.secret not in sent[0]


# Drops, each under its reason


async def test_plain_messages_are_dropped(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    b, stranger = await lab.node(B), await lab.plain(A)
    stranger.send(b"\1 plain", B)
    await lab.settle()
    with pytest.raises(ReceiveError):
        await stranger.exchange(B, b"\1 plain", PATIENCE)
    assert lab.messages(B) == []
    assert not lab.received[B].streams
    assert b.stats.dropped_not_sealed == 2
    assert "it is not sealed" in caplog.text


async def test_another_key_or_cluster_is_dropped_and_told_how_to_mend(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    b = await lab.node(B)
    stranger, foreigner = await lab.node(A, OTHER), await lab.node(C, cluster="other")
    for each in (stranger, foreigner):
        each.send(b"x", B)
        with pytest.raises(ReceiveError, match="share no key or no cluster name"):
            await each.exchange(B, b"x", PATIENCE)
    assert (b.stats.dropped_unknown_key, b.stats.dropped_bad_tag) == (2, 2)
    assert "keyring" in caplog.text
    assert "cluster has another name" in caplog.text


async def test_a_replayed_datagram_is_dropped_whoever_sends_it(lab: Lab) -> None:
    a, b, attacker = await lab.node(A), await lab.node(B), await lab.plain(C)
    a.send(b"x", B)
    await lab.settle()
    for _ in range(3):
        attacker.send(lab.on_wire[0][0], B)
    await lab.settle()
    assert lab.messages(B) == [b"x"]
    assert b.stats.dropped_replayed == 3


async def test_a_restarted_node_refuses_what_was_recorded_before_the_window(lab: Lab) -> None:
    a, attacker = await lab.node(A), await lab.plain(C)
    a.send(b"recorded", B)  # while B is down
    await lab.settle()
    lab.clock.pass_time(61)
    b = await lab.node(B)
    attacker.send(lab.on_wire[0][0], B)
    await lab.settle()
    assert lab.messages(B) == []
    assert b.stats.dropped_stale == 1


async def test_a_replayed_request_is_not_answered(lab: Lab) -> None:
    seals = Sealer(Keyring([OLD]), "shoal", Suite.AES_256_GCM, Channel.REQUEST, bytes)
    b, attacker = await lab.node(B), await lab.plain(C)
    recorded = seals.seal(b"question", int(lab.clock.wall))
    await attacker.exchange(B, recorded, PATIENCE)
    with pytest.raises(ReceiveError):
        await attacker.exchange(B, recorded, PATIENCE)
    assert len(lab.received[B].streams) == 1
    assert b.stats.dropped_replayed == 1


async def test_an_answer_to_another_request_is_refused(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    a = await lab.node(A)
    await lab.node(B)
    answers: list[bytes] = []
    exchange = MemoryTransport.exchange

    async def intercepted(self: MemoryTransport, address: Address, data: bytes, timeout: float) -> bytes:
        answers.append(await exchange(self, address, data, timeout))
        return answers[0]

    monkeypatch.setattr(MemoryTransport, "exchange", intercepted)
    assert await a.exchange(B, b"first", PATIENCE) == b"first"
    with pytest.raises(ReceiveError, match="does not open: bad_tag"):
        await a.exchange(B, b"second", PATIENCE)


async def test_one_warning_a_minute_is_enough_for_each_reason(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    b, stranger = await lab.node(B), await lab.plain(A)
    for seconds in (0, 30, 31, 1):
        lab.clock.pass_time(seconds)
        stranger.send(b"plain", B)
        await lab.settle()
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 2
    assert b.stats.dropped_not_sealed == 4


# Clocks


async def test_a_clock_that_is_set_during_the_run_disturbs_nobody(lab: Lab) -> None:
    wrong = Clock()
    a = await lab.node(A, clock=wrong)
    await lab.node(B)
    wrong.wall += 86_400
    a.send(b"x", B)
    await lab.settle()
    assert lab.messages(B) == [b"x"]


async def test_a_node_whose_clock_was_wrong_at_the_start_is_heard_once_it_is_set(lab: Lab) -> None:
    wrong = Clock()
    wrong.wall = 0.0
    a, b = await lab.node(A, clock=wrong), await lab.node(B)
    a.send(b"lost", B)
    await lab.settle()
    assert b.stats.dropped_stale == 1
    wrong.wall = lab.clock.wall
    for clock in (wrong, lab.clock):
        clock.pass_time(61)
    a.send(b"heard", B)
    await lab.settle()
    assert lab.messages(B) == [b"heard"]


# Keys


async def test_a_member_installs_uses_and_removes_keys_when_asked(lab: Lab) -> None:
    ring = Keyring([OLD])
    a, c = await lab.node(A), await lab.node(C, NEW)
    await lab.node(B, ring=ring)
    assert await a.ask_keys(B, KeyRequest(KeyOperation.LIST), PATIENCE) == KeyReply((OLD.id,), Suite.AES_256_GCM)
    assert (await a.ask_keys(B, INSTALL_NEW, PATIENCE)).ids == (OLD.id, NEW.id)
    refusal = (await c.ask_keys(B, KeyRequest(KeyOperation.REMOVE, id=OLD.id), PATIENCE)).refusal
    assert "seals; use another one first" in refusal
    assert ring.primary is OLD
    assert (await a.ask_keys(B, KeyRequest(KeyOperation.USE, id=NEW.id), PATIENCE)).ids == (NEW.id, OLD.id)
    refusal = (await a.ask_keys(B, KeyRequest(KeyOperation.REMOVE, id=OLD.id), PATIENCE)).refusal
    assert "itself seals with the key" in refusal
    assert (await c.ask_keys(B, KeyRequest(KeyOperation.REMOVE, id=OLD.id), PATIENCE)).ids == (NEW.id,)
    assert not lab.received[B].streams


async def test_whoever_has_no_key_cannot_change_any(lab: Lab) -> None:
    ring = Keyring([OLD])
    stranger = await lab.node(A, OTHER)
    await lab.node(B, ring=ring)
    with pytest.raises(ReceiveError):
        await stranger.ask_keys(B, INSTALL_NEW, PATIENCE)
    assert ring.ids == (OLD.id,)


async def test_an_answer_is_sealed_with_the_key_of_the_question(lab: Lab) -> None:
    a = await lab.node(A, OLD)
    await lab.node(B, NEW, OLD)
    assert await a.exchange(B, b"question", PATIENCE) == b"question"


async def test_a_member_that_comes_back_with_the_old_key_is_handed_the_new_one(lab: Lab) -> None:
    ring = Keyring([OLD])
    a = await lab.node(A, ring=ring)
    b = await lab.node(B, NEW, OLD)
    b.send(b"not understood", A)
    a.send(b"hello", B)
    await lab.settle()
    assert ring.ids == (OLD.id, NEW.id)
    b.send(b"understood", A)
    await lab.settle()
    assert lab.messages(A) == [b"understood"]


async def test_a_node_that_restarted_hands_the_new_key_over_too(lab: Lab) -> None:
    ring = Keyring([OLD])
    await lab.node(B, NEW, OLD, has_run_before=True)
    lab.clock.pass_time(2.0)
    a = await lab.node(A, ring=ring)
    a.send(b"hello", B)
    await lab.settle()
    assert lab.messages(B) == [b"hello"]
    assert ring.ids == (OLD.id, NEW.id)


async def test_a_change_that_is_on_its_way_is_not_hurried(lab: Lab) -> None:
    late, early = Keyring([OLD]), Keyring([OLD])
    a, b = await lab.node(A, ring=late), await lab.node(B, ring=early)
    a.send(b"known before the change", B)
    await lab.settle()
    early.install(NEW)
    early.use(NEW.id)
    for seconds in (0, 1, 2):
        await asyncio.sleep(seconds)
        assert late.ids == (OLD.id,)
        a.send(b"x", B)
        await lab.settle()
    assert late.ids == (OLD.id, NEW.id)
    assert b.stats.streams_out == 1


async def test_who_starts_with_the_old_key_after_a_change_is_handed_the_new_one_at_once(lab: Lab) -> None:
    late, early = Keyring([OLD]), Keyring([OLD])
    await lab.node(B, ring=early)
    early.install(NEW)
    early.use(NEW.id)
    a = await lab.node(A, ring=late)
    a.send(b"hello", B)
    await lab.settle()
    assert late.ids == (OLD.id, NEW.id)


async def test_each_run_at_an_address_is_handed_the_new_key_once(lab: Lab) -> None:
    b = await lab.node(B, NEW, OLD)
    for runs in (1, 2, 3):
        ring = Keyring([OLD])
        a = await lab.node(A, ring=ring)
        for _ in range(3):
            a.send(b"hello", B)
            await lab.settle()
        assert ring.ids == (OLD.id, NEW.id)
        assert b.stats.streams_out == runs
        await a.close()


async def test_who_was_away_while_a_key_was_removed_says_so_once(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    ring = Keyring([OLD, NEW])
    await lab.node(A, ring=ring)
    for address in (B, C):
        peer = await lab.node(address, ring=Keyring([NEW], removed=[OLD.id]))
        for _ in range(3):
            peer.send(b"hello", A)
            await lab.settle()
            await asyncio.sleep(31)
    [warning] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert f"does not take the key {OLD.id}" in warning
    assert f"{OLD.id} was removed here" in warning


async def test_who_was_away_while_a_key_was_removed_does_not_bring_it_back(lab: Lab) -> None:
    away, ring = Keyring([OLD, NEW]), Keyring([OLD, NEW])
    await lab.node(A, ring=away)
    b = await lab.node(B, ring=ring)
    ring.use(NEW.id)
    ring.remove(OLD.id)
    b.send(b"hello", A)
    await lab.settle()
    assert ring.ids == (NEW.id,)
    ring.install(OLD)
    assert set(ring.ids) == {NEW.id, OLD.id}, "whoever operates the cluster may"


async def test_a_change_during_a_hand_over_is_handed_over_too(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    late, early = Keyring([OLD]), Keyring([NEW, OLD])
    a, b = await lab.node(A, ring=late), await lab.node(B, ring=early)
    exchange = MemoryTransport.exchange

    async def interrupted(self: MemoryTransport, address: Address, data: bytes, timeout: float) -> bytes:
        reply = await exchange(self, address, data, timeout)
        early.install(OTHER)
        early.use(OTHER.id)
        return reply

    monkeypatch.setattr(MemoryTransport, "exchange", interrupted)
    a.send(b"hello", B)
    await lab.settle()
    await asyncio.sleep(10)
    a.send(b"hello again", B)
    await lab.settle()
    assert set(late.ids) == {OLD.id, NEW.id, OTHER.id}
    assert b.stats.streams_out == 2


# After a restart


async def tapped(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What goes over streams, requests and replies."""
    carried: list[bytes] = []
    exchange = MemoryTransport.exchange

    async def tap(self: MemoryTransport, address: Address, data: bytes, timeout: float) -> bytes:
        carried.append(data)
        carried.append(reply := await exchange(self, address, data, timeout))
        return reply

    monkeypatch.setattr(MemoryTransport, "exchange", tap)
    return carried


@pytest.mark.parametrize("skew", [-50.0, 0.0, 50.0])
async def test_a_restarted_node_takes_nothing_that_was_sealed_before_whatever_the_senders_clock(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, skew: float
) -> None:
    streams = await tapped(lab, monkeypatch)
    clock = Clock()
    clock.wall += skew
    a, b = await lab.node(A, clock=clock), await lab.node(B)
    for number in range(5):
        a.send(b"%d" % number, B)
    await a.exchange(B, b"question", PATIENCE)
    await a.ask_keys(B, INSTALL_NEW, PATIENCE)
    await lab.settle()
    recorded = [data for data, _, _ in lab.on_wire]
    assert len(lab.messages(B)) == 5
    requests = list(streams)
    await b.close()
    ring = Keyring([OLD])
    b = await lab.node(B, ring=ring, has_run_before=True)
    eve = await lab.plain(C)
    for _ in range(3):
        for data in recorded:
            eve.send(data, B)
            a._inner.send(data, B)  # the same from where it came at first, and from somebody who can prove to run
        for data in requests:
            with contextlib.suppress(ReceiveError):
                await eve.exchange(B, data, PATIENCE)
        await lab.settle()
        clock.pass_time(1.0)
        lab.clock.pass_time(1.0)
    assert lab.messages(B) == []
    assert not lab.received[B].streams
    assert ring.ids == (OLD.id,)


async def test_a_restarted_node_hears_datagrams_as_soon_as_their_sender_has_proved_to_run(lab: Lab) -> None:
    a, b = await lab.node(A), await lab.node(B)
    a.send(b"before", B)
    await lab.settle()
    await b.close()
    b = await lab.node(B, has_run_before=True)
    lab.clock.pass_time(2.0)
    for message in (b"first", b"second"):  # held until the proof has come
        a.send(message, B)
    await lab.settle()
    a.send(b"third", B)
    await lab.settle()
    assert lab.messages(B) == [b"first", b"second", b"third"]
    assert b.stats.dropped_unproven == 0


async def test_a_restarted_node_is_asked_over_streams_with_one_challenge(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = await lab.node(A)
    b = await lab.node(B, has_run_before=True)
    carried = await tapped(lab, monkeypatch)
    for _ in range(2):
        assert await a.exchange(B, b"question", PATIENCE) == b"question"
    assert [channel_of(data) for data in carried] == [
        *(Channel.REQUEST, Channel.CHALLENGE, Channel.REQUEST, Channel.REPLY),
        *(Channel.REQUEST, Channel.REPLY),
    ]
    assert (await a.ask_keys(B, INSTALL_NEW, PATIENCE)).ids == (OLD.id, NEW.id)
    assert b.stats.dropped_unproven == 2


async def test_questions_that_were_challenged_together_are_all_answered(lab: Lab) -> None:
    a = await lab.node(A)
    await lab.node(B, has_run_before=True)
    answers = await asyncio.gather(*(a.exchange(B, b"%d" % number, PATIENCE) for number in range(5)))
    assert answers == [b"%d" % number for number in range(5)]


async def test_what_answers_a_challenge_is_taken_once(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    a = await lab.node(A)
    b = await lab.node(B, has_run_before=True)
    carried = await tapped(lab, monkeypatch)
    await a.exchange(B, b"question", PATIENCE)
    eve = await lab.plain(C)
    for data in list(carried):
        with pytest.raises(ReceiveError):
            await eve.exchange(B, data, PATIENCE)
    assert len(lab.received[B].streams) == 1
    assert b.stats.dropped_replayed == 2  # both requests; the others are no requests


async def test_nodes_that_restarted_together_hear_each_other(lab: Lab) -> None:
    a = await lab.node(A, has_run_before=True)
    b = await lab.node(B, has_run_before=True)
    lab.clock.pass_time(2.0)
    assert await a.exchange(B, b"question", PATIENCE) == b"question"
    a.send(b"to b", B)
    b.send(b"to a", A)
    await lab.settle()
    assert (lab.messages(A), lab.messages(B)) == ([b"to a"], [b"to b"])


async def test_after_the_window_nobody_needs_to_prove_anything(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    carried = await tapped(lab, monkeypatch)
    a = await lab.node(A)
    await lab.node(B, has_run_before=True)
    lab.clock.pass_time(61.0)
    a.send(b"x", B)
    await lab.settle()
    assert lab.messages(B) == [b"x"]
    assert carried == []


async def test_a_clock_that_was_wrong_at_the_restart_lets_nothing_old_in(lab: Lab) -> None:
    wrong, ahead = Clock(), Clock()
    wrong.wall -= 3600
    ahead.wall += 50
    a, b = await lab.node(A, clock=ahead), await lab.node(B)
    a.send(b"before", B)
    await lab.settle()
    [(recorded, _, _)] = lab.on_wire
    await b.close()
    b = await lab.node(B, clock=wrong, has_run_before=True)
    wrong.pass_time(31.0)
    wrong.wall = lab.clock.wall + 31.0
    wrong.pass_time(30.0)
    lab.clock.pass_time(30.0)
    b.send(b"", C)  # heard of nobody for the whole window: it looks at the clock, which was set meanwhile
    (await lab.plain(C)).send(recorded, B)
    await lab.settle()
    assert lab.messages(B) == []
    assert b.stats.dropped_unproven == 1


async def test_who_does_not_prove_itself_is_asked_seldom_and_what_it_sent_is_dropped(lab: Lab) -> None:
    a, b = await lab.node(A), await lab.node(B)
    a.send(b"before", B)
    await lab.settle()
    [(recorded, _, _)] = lab.on_wire
    await b.close()
    b = await lab.node(B, has_run_before=True)
    eve = await lab.plain(C)
    for _ in range(20):
        eve.send(recorded, B)
        await lab.settle()
    assert lab.messages(B) == []
    assert b.stats.dropped_unproven == 20
    assert len(lab.received[C].streams) == 1


# Rights

AUTHORITY = IdentityKey(bytes([9]) * 32)
LEAVE = KeyRequest(KeyOperation.LEAVE)


def access(number: int, *rights: Right) -> Access:
    key = IdentityKey(bytes([number]) * 32)
    certificate = Certificate.issue(AUTHORITY, "shoal", f"n{number}", key.public, expires=1 << 40, rights=rights)
    return Access(key, b"\x05shoal", Authority(AUTHORITY.public, "shoal", lambda: 1_800_000_000.0), certificate)


async def test_with_an_authority_only_who_has_the_right_changes_keys(lab: Lab) -> None:
    operator = await lab.node(A, access=access(1, Right.KEYS))
    other = await lab.node(C, access=access(3, Right.LEAVE))
    stranger = await lab.node(Address("10.0.0.4", 7946))
    b = await lab.node(B, access=access(2))
    for asker, why in ((other, "n3 does not have the right 'keys'"), (stranger, "does not show who makes it")):
        reply = await asker.ask_keys(B, INSTALL_NEW, PATIENCE)
        assert why in reply.refusal
        assert reply.ids == (OLD.id,)
        assert (await asker.ask_keys(B, KeyRequest(KeyOperation.LIST), PATIENCE)).refusal == ""
    for request in (INSTALL_NEW, KeyRequest(KeyOperation.USE, id=NEW.id), KeyRequest(KeyOperation.REMOVE, id=OLD.id)):
        operator.change_keys(request)
        reply = await operator.ask_keys(B, request, PATIENCE, key=OLD if request is INSTALL_NEW else None)
        assert (reply.refusal, reply.ids[0]) == ("", (OLD if request is INSTALL_NEW else NEW).id)
    assert [b.refusal(right) == "" for right in Right] == [False, False]


async def test_what_an_operator_showed_is_of_no_use_to_whom_it_showed_it(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = await lab.node(A, access=access(1, Right.KEYS))
    thief = await lab.node(B, access=access(2))
    shown: list[bytes] = []
    answer = SealedTransport._answer

    def listening(self: SealedTransport, message: bytes, *more: Any) -> bytes | None:
        shown.append(message)
        return answer(self, message, *more)

    monkeypatch.setattr(SealedTransport, "_answer", listening)
    assert (await operator.ask_keys(B, INSTALL_NEW, PATIENCE)).refusal == ""
    ring = Keyring([OLD])
    await lab.node(C, ring=ring, access=access(3))
    await thief._ask(C, shown[0], PATIENCE, Channel.KEY_REQUEST, Channel.KEY_REPLY)
    assert ring.ids == (OLD.id,)


async def test_a_restarted_node_takes_the_requests_of_who_has_the_right(lab: Lab) -> None:
    operator = await lab.node(A, access=access(1, Right.KEYS))
    await lab.node(B, access=access(2), has_run_before=True)
    assert (await operator.ask_keys(B, INSTALL_NEW, PATIENCE)).ids == (OLD.id, NEW.id)


async def test_only_who_has_the_right_is_let_another_leave(lab: Lab) -> None:
    operator = await lab.node(A, access=access(1, Right.LEAVE))
    other = await lab.node(C, access=access(3, Right.KEYS))
    b = await lab.node(B, access=access(2))
    asked: list[str] = []
    b.on_leave = asked.append
    assert "n3 does not have the right 'leave'" in (await other.ask_keys(B, LEAVE, PATIENCE)).refusal
    assert asked == []
    assert (await operator.ask_keys(B, LEAVE, PATIENCE)).refusal == ""
    assert asked == ["n1"]


async def test_without_an_authority_nobody_is_let_another_leave(lab: Lab) -> None:
    a, b = await lab.node(A), await lab.node(B)
    asked: list[str] = []
    b.on_leave = asked.append
    assert "without an authority nobody" in (await a.ask_keys(B, LEAVE, PATIENCE)).refusal
    assert a.refusal(Right.LEAVE)
    assert asked == []


@pytest.mark.parametrize("may", [True, False])
async def test_only_who_may_change_keys_hands_them_over(lab: Lab, monkeypatch: pytest.MonkeyPatch, may: bool) -> None:
    carried = await tapped(lab, monkeypatch)
    back = await lab.node(A, OLD, access=access(1))
    await lab.node(B, NEW, OLD, access=access(2, *([Right.KEYS] if may else [])))
    back.send(b"x", B)
    await lab.settle()
    assert bool(carried) is may
    assert [key.id for key in (back._keyring.primary,)] == [OLD.id]
    assert (NEW.id in back._keyring.ids) is may
