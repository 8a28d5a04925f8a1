"""`Cluster`, as a user sees it. Most tests run in memory, on a clock that jumps; the rest over loopback."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from random import Random
from typing import Any

import pytest

import shoal
from shoal import Cluster, MemberState, Readiness
from shoal.cluster import Health, _Complaints
from shoal.errors import (
    AlreadyStartedError,
    BindError,
    ClosedError,
    ConfigError,
    LifecycleError,
    MessageTooLargeError,
    NotStartedError,
    ShoalTimeoutError,
    UnknownMemberError,
)
from shoal.events import (
    BroadcastReceived,
    Event,
    JoinCompleted,
    LeaveCompleted,
    MemberFailed,
    MemberJoined,
    MemberLeft,
    MemberUpdated,
    MessageReceived,
    NameConflict,
    SeedUnreachable,
    VerdictReason,
    ViewChanged,
)
from shoal.net.memory import MemoryNetwork, MemoryTransport
from shoal.net.sockets import SocketTransport
from shoal.subscription import Subscription
from shoal.swim.core import Swim
from shoal.types import Address, NodeId, NodeInfo, Tags
from shoal.wire.native import NativeDialect
from tests.clusters import FAST, Lan, in_memory, in_real_time, open_sockets, until

NOBODY = Address("10.9.9.9", 7946)

Command = Callable[[Cluster], Coroutine[Any, Any, None]]
COMMANDS: dict[str, Command] = {
    "leave": lambda cluster: cluster.leave(),
    "join": lambda cluster: cluster.join([NOBODY]),
    "set_tags": lambda cluster: cluster.set_tags({"role": "worker"}),
    "set_readiness": lambda cluster: cluster.set_readiness(Readiness.STALLED),
    "drain": lambda cluster: cluster.drain(),
    "update_tags": lambda cluster: cluster.update_tags({"role": "worker"}),
    "broadcast": lambda cluster: cluster.broadcast(b"hello"),
    "send": lambda cluster: cluster.send("a", b"hello"),
    "wait_for_members": lambda cluster: cluster.wait_for_members(1),
}
Read = Callable[[Cluster], object]
READS: dict[str, Read] = {
    "local": lambda cluster: cluster.local,
    "members": lambda cluster: cluster.members(),
    "all_members": lambda cluster: cluster.all_members(),
    "member": lambda cluster: cluster.member("a"),
    "health": lambda cluster: cluster.health(),
    "stats": lambda cluster: cluster.stats(),
    "now": lambda cluster: cluster.now(),
}


def drained(events: Subscription) -> list[Event]:
    """What waits in a subscription, without what only sums up the rest."""
    found: list[Event] = []
    while (event := events.take()) is not None:
        found += [] if isinstance(event, ViewChanged) else [event]
    return found


def about(kind: type[Event], events: Sequence[Event]) -> list[str]:
    """The names of the members that events of one kind are about, in order."""
    return [event.member.name for event in events if isinstance(event, kind) and hasattr(event, "member")]


def names(cluster: Cluster, **tags: str) -> set[str]:
    return {member.name for member in cluster.members(**tags)}


def state_of(cluster: Cluster, name: str) -> MemberState | None:
    member = cluster.member(name)
    return None if member is None else member.state


async def started(*clusters: Cluster) -> None:
    for cluster in clusters:
        await cluster.start()
    for cluster in clusters:
        await cluster.wait_for_members(len(clusters))


async def closed(*clusters: Cluster) -> None:
    for cluster in clusters:
        await cluster.close()


async def trio(lan: Lan, **changes: Any) -> tuple[Cluster, Cluster, Cluster]:
    """Three nodes that know each other: a, b and c."""
    a = lan.node("a", **changes)
    await a.start()
    b, c = lan.node("b", seeds=[a], **changes), lan.node("c", seeds=[a], **changes)
    await started(b, c)
    await until(lambda: all(len(node.members()) == 3 for node in (a, b, c)))
    return a, b, c


class TestMembership:
    @in_memory
    async def test_nodes_that_share_a_seed_find_each_other(self) -> None:
        nodes = await trio(Lan())

        assert [names(node) for node in nodes] == [{"a", "b", "c"}] * 3
        assert all(node.health().has_joined for node in nodes)
        await closed(*nodes)

    @in_memory
    async def test_a_node_without_seeds_is_a_cluster_of_one(self) -> None:
        async with Lan().node("a", tags={"role": "worker"}) as a:
            assert a.members() == (a.local,) == a.all_members()
            assert a.local.tags == {"role": "worker"}

    @in_memory
    async def test_a_node_may_be_its_own_seed(self, caplog: pytest.LogCaptureFixture) -> None:
        lan = Lan()
        address = Address("10.0.0.7", 7946)
        async with lan.node_at(address, "a", seeds=[address]) as a, lan.node("b", seeds=[address, a]) as b:
            await a.wait_for_members(2)
            await b.wait_for_members(2)
        assert not [record for record in caplog.records if record.levelno >= logging.WARNING]

    @in_memory
    async def test_seeds_can_be_added_later(self) -> None:
        lan = Lan()
        async with lan.node("a") as a, lan.node("b") as b:
            await b.join([str(a.local.address)])
            await a.wait_for_members(2)
            await b.wait_for_members(2)

    @in_memory
    async def test_one_text_or_address_is_taken_for_a_list_or_refused(self) -> None:
        lan = Lan()
        async with lan.node("a") as a, lan.node("b") as b:
            with pytest.raises(ConfigError, match="list of addresses"):
                await b.join(a.local.address)  # type: ignore[arg-type]
            await b.join(str(a.local.address))
            await b.wait_for_members(2)

    @in_memory
    async def test_members_are_chosen_by_tags(self) -> None:
        lan = Lan()
        async with (
            lan.node("a", tags={"role": "worker", "zone": "x"}) as a,
            lan.node("b", seeds=[a], tags={"role": "worker", "self": "yes"}) as b,
        ):
            await b.wait_for_members(2)
            assert names(b) == names(b, role="worker") == {"a", "b"}
            assert names(b, role="worker", zone="x") == {"a"}
            assert names(b, self="yes") == {"b"}
            assert names(b, role="router") == set()

    @in_memory
    async def test_published_tags_reach_everybody(self) -> None:
        a, b, c = await trio(Lan(), tags={"load": "0", "old": "yes"})
        with b.events() as events:
            await a.update_tags({"load": "1", "old": None, "new": "yes"})
            await until(lambda: names(b, load="1") == names(c, load="1") == {"a"})
            (update,) = (event for event in drained(events) if isinstance(event, MemberUpdated))
            assert update.previous_tags == {"load": "0", "old": "yes"}
            assert update.member.tags == a.local.tags == {"load": "1", "new": "yes"}

            await a.set_tags({})
            await until(lambda: names(b, load="1") == names(c, load="1") == set())
        await closed(a, b, c)

    @in_memory
    async def test_tags_that_cannot_be_published_change_nothing(self) -> None:
        async with Lan().node("a", tags={"role": "worker"}) as a:
            with pytest.raises(MessageTooLargeError, match="max_tag_bytes"):
                await a.update_tags({"text": "x" * 600})
            with pytest.raises(ConfigError, match="tags"):
                await a.update_tags({"load": 1})  # type: ignore[dict-item]
            assert a.local.tags == {"role": "worker"}

    @in_memory
    async def test_a_broadcast_reaches_the_others_once(self) -> None:
        a, b, c = await trio(Lan())
        streams = [node.events() for node in (a, b, c)]
        await a.broadcast(b"hello")
        await asyncio.sleep(5)
        got = [[event for event in drained(stream) if isinstance(event, BroadcastReceived)] for stream in streams]
        assert got == [[], [BroadcastReceived(a.local.id, b"hello")], [BroadcastReceived(a.local.id, b"hello")]]
        await closed(a, b, c)

    @in_memory
    async def test_a_message_reaches_the_one_it_is_for_by_name_id_or_member(self) -> None:
        a, b, c = await trio(Lan())
        with b.events() as at_b, c.events() as at_c:
            for to in ("b", b.local.id, b.local):
                await a.send(to, b"hello")
            await asyncio.sleep(5)
            assert drained(at_b) == [MessageReceived(a.local.id, b"hello")] * 3
            assert drained(at_c) == []
        await closed(a, b, c)

    @in_memory
    async def test_messages_that_cannot_be_sent_raise(self) -> None:
        async with Lan().node("a") as a:
            for to in ("nobody", NodeId(bytes(16))):
                with pytest.raises(UnknownMemberError):
                    await a.send(to, b"hello")
            with pytest.raises(MessageTooLargeError, match="max_datagram"):
                await a.broadcast(bytes(1400))
            with pytest.raises(MessageTooLargeError, match="max_datagram"):
                await a.send(a.local, bytes(1400))

    @in_memory
    async def test_a_payload_that_is_no_bytes_is_refused_in_words(self) -> None:
        async with Lan().node("a") as a:
            for attempt in (a.broadcast("hello"), a.send("a", "hello")):  # type: ignore[arg-type]
                with pytest.raises(TypeError, match="a payload is bytes, not str; encode it first"):
                    await attempt

    @in_memory
    async def test_a_payload_may_be_changed_once_it_is_on_its_way(self) -> None:
        a, b, c = await trio(Lan())
        with b.events() as events:
            payload = bytearray(b"before")
            await a.broadcast(payload)
            await a.send("b", memoryview(payload))
            payload[:] = b"AFTER!"
            await asyncio.sleep(5)
            assert [event.payload for event in drained(events)] == [b"before"] * 2  # type: ignore[union-attr]
        await closed(a, b, c)

    @in_memory
    async def test_waiting_for_members_ends_with_an_error_when_they_do_not_come(self) -> None:
        async with Lan().node("a") as a:
            await a.wait_for_members(1, timeout=0)
            with pytest.raises(ShoalTimeoutError, match="1 of 2 members are alive after 3 seconds"):
                await a.wait_for_members(2, timeout=3)


class TestEnds:
    @in_memory
    async def test_a_goodbye_is_seen_as_left_and_never_as_failed(self) -> None:
        a, b, c = await trio(Lan())
        with b.events() as events:
            async with asyncio.timeout(5):
                await a.leave()
            await a.close()
            await asyncio.sleep(30)
            seen = drained(events)
            assert about(MemberLeft, seen) == ["a"]
            assert about(MemberFailed, seen) == []
            assert state_of(b, "a") is state_of(c, "a") is MemberState.LEFT
            assert names(b) == names(c) == {"b", "c"}
        await closed(b, c)

    @in_memory
    async def test_closing_without_a_goodbye_is_seen_as_a_failure(self) -> None:
        a, b, c = await trio(Lan())
        with b.events() as events:
            await a.close()
            await until(lambda: state_of(b, "a") is state_of(c, "a") is MemberState.DEAD)
            seen = drained(events)
            assert about(MemberFailed, seen) == ["a"]
            assert about(MemberLeft, seen) == []
        await closed(b, c)

    @pytest.mark.parametrize("moves", [False, True], ids=["in place", "to another address"])
    @in_memory
    async def test_a_restart_under_the_same_name_takes_over_at_once(self, moves: bool) -> None:
        lan = Lan()
        a, b, c = await trio(lan)
        await a.close()
        with b.events() as events:
            address = Address("10.0.0.99", 7946) if moves else a.local.address
            again = lan.node_at(address, "a", seeds=[b])
            await again.start()
            assert again.local.id > a.local.id
            assert b.member("a") == next(member for member in b.members() if member.name == "a")
            assert b.member(again.local.id) == b.member("a")
            seen = drained(events)
            (failure,) = (event for event in seen if isinstance(event, MemberFailed))
            assert failure.member.id == a.local.id
            assert failure.evidence.reason is VerdictReason.REPLACED
            assert about(MemberJoined, seen) == ["a"]
            await until(lambda: c.member(again.local.id) is not None)
            assert len(c.members()) == 3
        await closed(again, b, c)

    @in_memory
    async def test_a_second_node_of_one_name_takes_it_over_and_the_log_says_so(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        lan = Lan()
        a, b, c = await trio(lan)
        with b.events() as events:
            rival = lan.node("a", seeds=[b])
            await rival.start()
            await until(lambda: a.health().is_superseded)
            assert NameConflict in map(type, drained(events))
        warnings = [record.getMessage() for record in caplog.records if record.name == "shoal.cluster"]
        assert warnings
        assert all(
            "two nodes are named a" in line and str(rival.local.address) in line and str(a.local.address) in line
            for line in warnings
        )
        await closed(a, b, c, rival)


class TestLifecycle:
    @pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
    @in_memory
    async def test_commands_need_a_start(self, command: Command) -> None:
        with pytest.raises(NotStartedError, match="async with"):
            await command(Lan().node("a"))

    @pytest.mark.parametrize("read", READS.values(), ids=READS)
    @in_memory
    async def test_reads_need_a_start(self, read: Read) -> None:
        with pytest.raises(NotStartedError, match="async with"):
            read(Lan().node("a"))

    @pytest.mark.parametrize("command", [COMMANDS[name] for name in COMMANDS if name != "leave"])
    @in_memory
    async def test_commands_are_refused_after_close(self, command: Command) -> None:
        a = Lan().node("a")
        await a.start()
        await a.close()
        with pytest.raises(ClosedError):
            await command(a)
        with pytest.raises(ClosedError):
            a.events()

    @pytest.mark.parametrize("name", ["join", "set_tags", "update_tags", "set_readiness", "drain", "broadcast", "send"])
    @in_memory
    async def test_commands_are_refused_after_a_goodbye(self, name: str) -> None:
        async with Lan().node("a") as a:
            await a.leave()
            with pytest.raises(ClosedError, match="said goodbye"):
                await COMMANDS[name](a)

    @in_memory
    async def test_reads_after_close_show_what_was_known_last(self) -> None:
        a, b, c = await trio(Lan())
        before = a.all_members(), a.members(), a.member("b"), a.local
        await closed(a)
        assert (a.all_members(), a.members(), a.member("b"), a.local) == before
        assert not a.health().is_running
        assert a.stats()["transport_datagrams_in"] > 0
        assert a.now() >= a.local.since
        await closed(b, c)

    @in_memory
    async def test_an_object_starts_once(self) -> None:
        async with Lan().node("a") as a:
            with pytest.raises(AlreadyStartedError):
                await a.start()
            assert a.health().is_running
        with pytest.raises(ClosedError, match="make a new one"):
            await a.start()

    @in_memory
    async def test_a_second_start_during_the_first_is_refused(self) -> None:
        lan = Lan()
        lan.network.delay = 1.0
        a = lan.node("a", seeds=[NOBODY])
        first = asyncio.create_task(a.start())
        await asyncio.sleep(0)
        with pytest.raises(AlreadyStartedError):
            await a.start()
        await first
        assert a.health().is_running
        await a.close()

    @in_memory
    async def test_closing_twice_and_before_a_start_is_fine(self) -> None:
        a = Lan().node("a")
        await a.close()
        await a.close()
        with pytest.raises(ClosedError):
            await a.start()
        b = Lan().node("b")
        await b.start()
        await b.close()
        await b.close()

    @in_memory
    async def test_who_closes_while_another_does_waits_until_it_is_done(self) -> None:
        class SlowToClose(MemoryTransport):
            is_closed = False

            async def close(self) -> None:
                await super().close()
                if not self.is_closed:
                    self.is_closed = True
                    await asyncio.sleep(1)

        network = MemoryNetwork(Random(1))
        a = Cluster(FAST, transport=SlowToClose(network, Address("10.0.0.1", 7946), 65536))
        await a.start()
        first = asyncio.create_task(a.close())
        await asyncio.sleep(0)
        await a.close()
        assert first.done()

    @in_memory
    async def test_leaving_twice_at_once_and_after_close_is_fine(self) -> None:
        a, b, c = await trio(Lan())
        await asyncio.gather(a.leave(), a.leave())
        await a.leave()
        assert a.health().is_leaving
        assert a.local.state is MemberState.LEFT
        await a.close()
        await a.leave()
        await closed(b, c)

    @in_memory
    async def test_a_goodbye_that_cannot_spread_ends_after_its_time(self) -> None:
        a, b, c = await trio(Lan(), gossip_interval=60.0, leave_timeout=7.0)
        began = a.now()
        await a.leave()
        assert a.now() - began == pytest.approx(7.0)
        await closed(a, b, c)

    @in_memory
    async def test_leaving_ends_with_the_smallest_event_buffer(self) -> None:
        a, b, c = await trio(Lan(), event_buffer=1)
        async with asyncio.timeout(10):
            await a.leave()
        await closed(a, b, c)

    @in_memory
    async def test_closing_ends_a_start_that_waits_for_seeds(self) -> None:
        lan = Lan()
        lan.network.delay = 3.0
        a = lan.node("a", seeds=[NOBODY])
        start = asyncio.create_task(a.start())
        await asyncio.sleep(1)
        assert not a.health().is_running
        await a.close()
        with pytest.raises(ClosedError, match="while it started"):
            await start
        assert not a.health().is_running

    @in_real_time
    async def test_closing_ends_a_start_that_binds(self) -> None:
        asked, answer = asyncio.Event(), asyncio.Event()

        async def look_up(host: str, family: socket.AddressFamily) -> Sequence[str]:
            asked.set()
            await answer.wait()
            return ["127.0.0.1"]

        config = FAST.replace(bind="here:0")
        a = Cluster(config, transport=SocketTransport(config, look_up=look_up))
        sockets = open_sockets()
        start = asyncio.create_task(a.start())
        await asked.wait()
        closing = asyncio.create_task(a.close())
        await asyncio.sleep(0)
        assert not closing.done()
        answer.set()
        await closing
        assert open_sockets() == sockets
        with pytest.raises(ClosedError):
            await start

    @in_memory
    async def test_closing_ends_a_goodbye_a_wait_and_every_event_stream(self) -> None:
        a, b, c = await trio(Lan(), gossip_interval=60.0)
        reader = asyncio.create_task(_listed(a.events()))
        waiter = asyncio.create_task(a.wait_for_members(9, timeout=1000))
        leaver = asyncio.create_task(a.leave())
        await asyncio.sleep(1)
        assert not leaver.done()
        await a.close()
        await leaver
        assert LeaveCompleted() not in await reader
        with pytest.raises(ClosedError, match="while it waited"):
            await waiter
        await closed(b, c)

    @in_memory
    async def test_a_start_that_is_given_up_leaves_nothing_open(self) -> None:
        lan = Lan()
        lan.network.delay = 3.0
        a = lan.node("a", seeds=[NOBODY])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await a.start()
        with pytest.raises(ClosedError):
            await a.start()

    @in_memory
    async def test_a_transport_serves_one_node_and_the_second_does_not_hurt_the_first(self) -> None:
        transport = Lan().network.transport(Address("10.0.0.1", 7946))
        async with Cluster(FAST, transport=transport) as first:
            with pytest.raises(AlreadyStartedError):
                await Cluster(FAST, transport=transport).start()
            assert first.health().is_running
            transport.send(b"hello", NOBODY)

    @in_memory
    async def test_what_the_body_raises_passes_and_peers_see_a_goodbye(self) -> None:
        lan = Lan()
        async with lan.node("b") as b:

            async def crash() -> None:
                async with lan.node("a", seeds=[b]) as a:
                    events = a.events()
                    await b.set_tags({"load": "1"})
                    async for _ in events:
                        raise ZeroDivisionError

            with pytest.raises(ZeroDivisionError):
                await crash()
            await until(lambda: state_of(b, "a") is MemberState.LEFT)

    @in_memory
    async def test_a_node_closed_in_the_body_leaves_the_block_quietly(self) -> None:
        async with Lan().node("a") as a:
            await a.close()

    @in_memory
    async def test_health_tells_where_a_node_is_in_its_life(self) -> None:
        lan = Lan()
        a, b, c = await trio(lan)
        await asyncio.sleep(2)
        with a.events():
            health = a.health()
        assert health == Health(
            is_running=True,
            is_leaving=False,
            is_superseded=False,
            has_joined=True,
            readiness=Readiness.READY,
            address=a.local.address,
            counts={MemberState.ALIVE: 3, MemberState.SUSPECT: 0, MemberState.DEAD: 0, MemberState.LEFT: 0},
            agreement=health.agreement,
            last_probe_success_age=health.last_probe_success_age,
            local_health=0,
            local_health_points=(),
            local_health_reasons=dict.fromkeys(health.local_health_reasons, 0),
            subscribers=1,
        )
        assert health.agreement is not None
        assert 0.0 <= health.agreement <= 1.0
        assert health.last_probe_success_age is not None
        assert 0 <= health.last_probe_success_age < 1
        await a.leave()
        assert a.health().is_leaving
        await closed(a, b, c)

    @in_memory
    async def test_faults_of_the_node_itself_are_counted_where_a_user_looks(self) -> None:
        async with Lan().node("a") as a:
            stats = a.stats()
            assert stats["driver_core_faults"] == stats["driver_listener_faults"] == 0
            assert stats["transport_datagrams_out"] == stats["datagrams_out"] == 0
            assert all(isinstance(count, int) for count in stats.values())


class TestQuorum:
    @in_memory
    async def test_a_quorum_that_is_too_small_for_the_cluster_is_one_warning(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        lan = Lan()
        settings: dict[str, Any] = {"partition_strategy": "static-quorum", "partition_quorum": 2}
        async with lan.node("a", **settings) as a, lan.node("b", seeds=[a]), lan.node("c", seeds=[a]):
            await a.wait_for_members(3)
            assert logged(caplog, logging.WARNING) == []
            async with lan.node("d", seeds=[a]), lan.node("e", seeds=[a]):
                await a.wait_for_members(5)
                await asyncio.sleep(5)
                (warning,) = logged(caplog, logging.WARNING)
        assert "a: a quorum of 2 is too small for " in warning

    @in_memory
    async def test_only_members_of_the_role_count_for_the_quorum(self, caplog: pytest.LogCaptureFixture) -> None:
        lan = Lan()
        settings: dict[str, Any] = {
            "partition_strategy": "static-quorum",
            "partition_quorum": 1,
            "partition_role": {"role": "core"},
        }
        async with lan.node("a", **settings) as a, lan.node("b", seeds=[a]), lan.node("c", seeds=[a]):
            await a.wait_for_members(3)
            assert logged(caplog, logging.WARNING) == []


class TestSeeds:
    @in_memory
    async def test_an_unreachable_seed_is_an_event_and_one_warning_and_no_failure(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        lan = Lan()
        a = lan.node("a", seeds=[NOBODY])
        with a.events() as events:
            await a.start()
            assert a.health().is_running
            assert not a.health().has_joined
            (failure,) = (event for event in drained(events) if isinstance(event, SeedUnreachable))
            assert failure.address == NOBODY
            assert "connection refused" in failure.reason
            await asyncio.sleep(5)
            assert len(drained(events)) > 5
        (warning,) = logged(caplog, logging.WARNING)
        assert "a: " in warning
        assert str(NOBODY) in warning
        assert "connection refused" in warning
        assert logged(caplog, logging.INFO) == []
        await a.close()

    @in_memory
    async def test_repeated_failures_of_a_seed_are_for_debugging_and_its_recovery_is_told(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG, "shoal.cluster")
        lan = Lan()
        for outage in (1, 2):
            a = lan.node("a", seeds=[NOBODY])
            await a.start()
            await asyncio.sleep(2)
            assert len(logged(caplog, logging.WARNING)) == outage
            assert len(logged(caplog, logging.DEBUG)) > 5
            async with lan.node_at(NOBODY, "b"):
                await a.wait_for_members(2)
                assert len(logged(caplog, logging.INFO)) == outage
            assert str(NOBODY) in logged(caplog, logging.INFO)[-1]
            await a.close()

    @in_memory
    async def test_a_seed_that_fails_again_after_its_recovery_is_a_warning_again(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        lan = Lan()
        a = lan.node("a", seeds=[NOBODY])
        await a.start()
        for outages in (1, 2):
            await until(lambda: len(logged(caplog, logging.WARNING)) == outages)  # noqa: B023 - it is awaited here
            async with lan.node_at(NOBODY, "b"):
                await a.wait_for_members(2)
        await a.close()

    def test_no_more_failed_seeds_are_remembered_than_there_are_seeds(self) -> None:
        info = NodeInfo("a", NodeId(bytes(16)), Address("10.0.0.1", 7946), Tags())
        core = Swim(FAST, info, NativeDialect("shoal"), Random(1), 0.0)
        complaints = _Complaints(core, FAST)
        for number in range(1000):
            seed = Address("10.1.0.0", 1 + number)
            core.join([seed], 0.0)
            complaints.look_at([SeedUnreachable(seed, "no answer")])
        assert len(core.missing_seeds) == 256
        assert complaints._unreachable == set(core.missing_seeds)

    @in_real_time
    async def test_a_seed_whose_name_has_no_address_is_a_warning(self, caplog: pytest.LogCaptureFixture) -> None:
        async def look_up(host: str, family: socket.AddressFamily) -> Sequence[str]:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        config = FAST.replace(name="a", seeds="nowhere.example:7946")
        a = Cluster(config, transport=SocketTransport(config, look_up=look_up))
        with a.events() as events:
            await a.start()
            (failure,) = (event for event in drained(events) if isinstance(event, SeedUnreachable))
            assert failure.address == Address("nowhere.example", 7946)
        (warning,) = logged(caplog, logging.WARNING)
        assert "nowhere.example:7946" in warning
        assert "name or service not known" in warning
        await a.close()

    @in_real_time
    async def test_a_seed_given_by_name_that_leads_to_the_node_itself_is_no_trouble(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def look_up(host: str, family: socket.AddressFamily) -> Sequence[str]:
            return ["127.0.0.1"]

        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        config = FAST.replace(name="a", bind=f"127.0.0.1:{port}", seeds=f"here.example:{port}")
        async with Cluster(config, transport=SocketTransport(config, look_up=look_up)) as a:
            assert a.health().is_running
        # A busy machine has other things to warn of.
        assert [line for line in logged(caplog, logging.WARNING) if "seed" in line] == []

    @in_memory
    async def test_starting_waits_for_the_first_seed_that_answers_only(self) -> None:
        lan = Lan()
        lan.network.delay = 0.1
        async with lan.node("b") as b:
            lost = Address("10.9.9.8", 1)
            lan.network.cut(Address("10.0.0.2", 7946), lost)
            a = lan.node("a", seeds=[lost, b])
            began = asyncio.get_running_loop().time()
            await a.start()
            assert a.health().has_joined
            assert asyncio.get_running_loop().time() - began < 1
            assert JoinCompleted not in map(type, drained(a.events()))
            await a.close()


class TestSockets:
    @in_real_time
    async def test_nodes_meet_talk_and_part(self) -> None:
        async with Cluster(FAST, name="a") as a, Cluster(FAST, name="b", seeds=[a.local.address]) as b:
            c = Cluster(FAST, name="c", seeds=[str(a.local.address)])
            await c.start()
            with b.events() as events:
                await until(lambda: names(a) == names(b) == names(c) == {"a", "b", "c"})
                await a.update_tags({"role": "worker"})
                await a.broadcast(b"all")
                await a.send("b", b"one")
                await until(lambda: names(c, role="worker") == {"a"})
                seen: list[Event] = []

                def has_seen(*wanted: Event) -> bool:
                    seen.extend(drained(events))
                    return all(event in seen for event in wanted)

                one, everyone = MessageReceived(a.local.id, b"one"), BroadcastReceived(a.local.id, b"all")
                await until(lambda: has_seen(one, everyone))
                await c.leave()
                await c.close()
                await until(lambda: state_of(a, "c") is state_of(b, "c") is MemberState.LEFT)
                assert has_seen()
                assert about(MemberFailed, seen) == []

    @in_real_time
    async def test_a_crash_is_found_out(self) -> None:
        async with Cluster(FAST, name="a") as a, Cluster(FAST, name="b", seeds=[a.local.address]) as b:
            c = Cluster(FAST, name="c", seeds=[a.local.address])
            await c.start()
            await until(lambda: names(a) == names(b) == {"a", "b", "c"})
            await c.close()
            await until(lambda: state_of(a, "c") is state_of(b, "c") is MemberState.DEAD)

    @in_real_time
    async def test_a_port_in_use_is_named_and_nothing_stays_open(self) -> None:
        async with Cluster(FAST) as a:
            port = a.local.address.port
            second = Cluster(FAST, bind=f"127.0.0.1:{port}")
            with pytest.raises(BindError, match=rf"127\.0\.0\.1:{port}.*in use"):
                await second.start()
            with pytest.raises(ClosedError):
                await second.start()

    @in_real_time
    async def test_a_node_on_every_interface_needs_to_know_its_address(self) -> None:
        everywhere = FAST.replace(bind="0.0.0.0:0", allow_unencrypted=True)
        with pytest.raises(ConfigError, match="advertise"):
            await Cluster(everywhere).start()
        async with Cluster(everywhere, advertise="127.0.0.1:0", name="a") as a:
            assert a.local.address.host == "127.0.0.1"
            assert a.local.address == a.health().address
            async with Cluster(everywhere, seeds=[a.local.address], name="b") as b:
                assert b.local.address.host == "127.0.0.1"
                await a.wait_for_members(2)
                await b.wait_for_members(2)

    @in_real_time
    async def test_a_nameless_node_is_named_after_its_host(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("platform.node", lambda: "gpu-7")
        async with Cluster(FAST) as a, Cluster(FAST) as b:
            assert a.local.name.startswith("gpu-7-")
            assert a.config.name == a.local.name != b.local.name

    @pytest.mark.parametrize("host", ["", "\x00\u202e", "ü" * 200, "\udcff" * 9])
    def test_any_host_name_makes_a_good_name(self, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("platform.node", lambda: host)
        assert shoal.Cluster().config.name


class TestThreads:
    @in_real_time
    async def test_reads_from_other_threads_are_consistent_while_the_cluster_changes(self) -> None:
        lan = Lan()
        async with lan.node("a") as a:
            done = threading.Event()
            with ThreadPoolExecutor(3, thread_name_prefix="reader") as pool:
                readers = [pool.submit(_read_all, a, done) for _ in range(3)]
                try:
                    for _ in range(15):
                        async with lan.node("b", seeds=[a], tags={"role": "worker"}) as b, lan.node("c", seeds=[b]):
                            await a.wait_for_members(2)
                            await b.update_tags({"load": "1"})
                            await asyncio.sleep(0.01)
                finally:
                    done.set()
                assert all([await asyncio.wrap_future(reader) > 0 for reader in readers])

    @in_real_time
    async def test_reads_do_not_wait_for_a_busy_event_loop(self) -> None:
        async with Lan().node("a") as a:
            with ThreadPoolExecutor(1) as pool:  # its results are waited for here, so the loop cannot turn
                assert pool.submit(a.members).result() == a.members()
                assert pool.submit(a.health).result().is_running

    @pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
    @in_real_time
    async def test_commands_on_another_event_loop_are_refused(self, command: Command) -> None:
        async with Lan().node("a") as a:
            with pytest.raises(LifecycleError, match="another event loop"):
                await asyncio.to_thread(lambda: asyncio.run(command(a)))
            assert not a.health().is_leaving

    @in_real_time
    async def test_events_and_close_on_another_event_loop_are_refused(self) -> None:
        async with Lan().node("a") as a:
            for strange in (lambda: _listed(a.events()), a.close):
                with pytest.raises(LifecycleError, match="another event loop"):
                    await asyncio.to_thread(_run, strange)
            assert a.health().is_running

    @in_real_time
    async def test_without_an_event_loop_commands_are_refused(self) -> None:
        async with Lan().node("a") as a:
            with pytest.raises(LifecycleError, match="no asyncio event loop"):
                await asyncio.to_thread(lambda: a.leave().send(None))

    def test_a_stream_read_on_one_loop_keeps_the_node_from_starting_on_another(self) -> None:
        a = Lan().node("a")

        async def wait() -> None:
            with suppress(TimeoutError):
                async with asyncio.timeout(0.01):
                    await anext(a.events())

        asyncio.run(wait())
        with pytest.raises(LifecycleError, match="another event loop"):
            asyncio.run(a.start())


def _run(main: Callable[[], Coroutine[Any, Any, object]]) -> None:
    asyncio.run(main())


def _read_all(cluster: Cluster, done: threading.Event) -> int:
    """Read until told to stop, and see that what comes together fits together."""
    rounds = 0
    while not done.is_set():
        members = cluster.all_members()
        assert len({member.name for member in members}) == len(members) == len({member.id for member in members})
        assert cluster.local.id in {member.id for member in cluster.members()}
        for member in cluster.members(role="worker"):
            assert (member.name, member.state) == ("b", MemberState.ALIVE)
        health = cluster.health()
        assert health.counts[MemberState.ALIVE] >= 1
        assert 1 <= sum(health.counts.values()) <= 3
        assert cluster.stats()["transport_datagrams_out"] >= 0
        cluster.events()
        rounds += 1
    return rounds


async def _listed(events: Subscription) -> list[Event]:
    return [event async for event in events]


def logged(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    """The lines of one level, but for those of nodes that end."""
    return [
        record.getMessage()
        for record in caplog.records
        if (record.name, record.levelno) == ("shoal.cluster", level) and getattr(record, "event", "") != "node_closed"
    ]
