"""The driver, with cores made by hand and with the real one, on a clock of the test's own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from random import Random

import pytest

from shoal.config import ClusterConfig
from shoal.errors import AlreadyStartedError, BindError, ClosedError, ConfigError, NotStartedError
from shoal.events import BroadcastReceived, Event, MemberFailed, MemberJoined
from shoal.net.driver import FAULT_PAUSE, Driver
from shoal.net.memory import MemoryNetwork
from shoal.swim.core import Swim
from shoal.swim.outputs import Datagram, Output, StreamExchange
from shoal.types import Address, MemberState, NodeId, NodeInfo, Tags
from shoal.wire.native import NativeDialect
from tests.net.loops import VirtualClockLoop
from tests.net.receivers import Recorder

HERE, THERE = Address("10.0.0.1", 7946), Address("10.0.0.2", 7946)
NEWS = BroadcastReceived(NodeId(bytes(16)), b"news")


class FakeCore:
    """Writes down how its doors were used, and checks that the driver keeps its promises."""

    def __init__(self) -> None:
        self.driver: Driver | None = None
        self.received: list[bytes] = []
        self.advanced: list[float] = []
        self.outcomes: list[tuple[int, bytes | str]] = []
        self.deadline: float | None = None
        self.outputs: list[Output] = []
        self.news: list[Event] = []
        self.faults: dict[str, Exception] = {}
        self.on_advance: Callable[[float], None] = lambda now: None
        self._latest = 0.0

    def _entered(self, door: str, now: float) -> None:
        assert self.driver is not None
        assert self.driver.lock.locked()
        assert now >= self._latest
        self._latest = now
        if (fault := self.faults.get(door)) is not None:
            raise fault

    def start(self, now: float) -> None:
        self._entered("start", now)

    def receive(self, data: bytes, source: Address, now: float) -> None:
        self._entered("receive", now)
        if data == b"poison":
            raise ValueError("poisoned")
        self.received.append(data)

    def receive_stream(self, data: bytes, source: Address, now: float) -> bytes | None:
        self._entered("receive_stream", now)
        return b"re: " + data

    def stream_replied(self, token: int, data: bytes, now: float) -> None:
        self._entered("stream_replied", now)
        self.outcomes.append((token, data))

    def stream_failed(self, token: int, reason: str, now: float) -> None:
        self._entered("stream_failed", now)
        self.outcomes.append((token, reason))

    def stream_refused(self, token: int, reason: str, now: float) -> None:
        self._entered("stream_refused", now)
        self.outcomes.append((token, reason))

    def stream_silent(self, token: int, reason: str, now: float) -> None:
        self._entered("stream_silent", now)
        self.outcomes.append((token, reason))

    def advance(self, now: float) -> None:
        self.advanced.append(now)
        self._entered("advance", now)
        assert self.deadline is not None
        assert now >= self.deadline
        self.deadline = None
        self.on_advance(now)

    def next_deadline(self) -> float | None:
        return self.deadline

    def knows(self, address: Address) -> bool:
        return False

    def outgoing(self) -> list[Output]:
        self._entered("outgoing", self._latest)
        outputs, self.outputs = self.outputs, []
        return outputs

    def events(self) -> list[Event]:
        news, self.news = self.news, []
        return news

    # Commands

    def ask(self, output: Output, now: float) -> None:
        self._entered("ask", now)
        self.outputs.append(output)

    def schedule(self, deadline: float | None, now: float) -> None:
        self._entered("schedule", now)
        self.deadline = deadline

    def refuse(self, now: float) -> None:
        self.outputs.append(Datagram(b"all the same", THERE))
        raise ConfigError("tags", {}, "refused")

    def report(self, event: Event, now: float) -> int:
        self.news.append(event)
        return len(self.news)


class Bench:
    """One driver with a hand-made core, and a peer that records."""

    def __init__(self, network: MemoryNetwork) -> None:
        self.network = network
        self.core = FakeCore()
        self.peer = Recorder()
        self.seen: list[Event] = []
        self.listener: Callable[[Sequence[Event]], None] = self.seen.extend
        self.transport = network.transport(HERE)
        self.wakes: list[float] = []
        self.driver = Driver(
            self.core, self.transport, on_events=self._on_events, on_wake=self._on_wake, max_streams_out=3
        )
        self.core.driver = self.driver
        self.peer_transport = network.transport(THERE)

    def _on_events(self, events: Sequence[Event]) -> None:
        self.listener(events)

    def _on_wake(self, _late: float) -> None:
        self.wakes.append(asyncio.get_running_loop().time())

    def hear(self, data: bytes) -> None:
        """Something comes from the peer."""
        self.peer_transport.send(data, HERE)

    @property
    def peer_heard(self) -> list[bytes]:
        return [data for data, _ in self.peer.datagrams]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench(MemoryNetwork(Random(1)))
    await bench.peer_transport.start(bench.peer)
    await bench.driver.start()
    yield bench
    await bench.driver.stop()
    await bench.peer_transport.close()


@pytest.fixture
async def loop() -> VirtualClockLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualClockLoop)
    return loop


async def soon() -> None:
    """Let everything happen that needs no time."""
    for _ in range(10):
        await asyncio.sleep(0)


# Feeding


async def test_datagrams_reach_the_core_and_its_answers_the_peer(bench: Bench) -> None:
    bench.core.outputs.append(Datagram(b"answer", THERE))

    bench.hear(b"question")
    await soon()

    assert bench.core.received == [b"question"]
    assert bench.peer_heard == [b"answer"]


async def test_a_stream_message_is_answered_by_the_core(bench: Bench) -> None:
    assert await bench.peer_transport.exchange(HERE, b"sync", 1) == b"re: sync"


async def test_a_command_returns_its_result_and_is_carried_out(bench: Bench) -> None:
    assert bench.driver.call(bench.core.report, NEWS) == 1
    assert bench.seen == [NEWS]


async def test_a_command_that_raises_raises_to_its_caller_and_is_carried_out(bench: Bench) -> None:
    with pytest.raises(ConfigError):
        bench.driver.call(bench.core.refuse)
    await soon()

    assert bench.peer_heard == [b"all the same"]
    assert bench.driver.stats.core_faults == 0


# Timer


async def test_the_core_is_woken_at_its_deadline(bench: Bench, loop: VirtualClockLoop) -> None:
    bench.driver.call(bench.core.schedule, 5.0)

    await asyncio.sleep(10)

    assert bench.core.advanced == [pytest.approx(5.0)]


async def test_an_earlier_deadline_replaces_the_timer(bench: Bench) -> None:
    bench.driver.call(bench.core.schedule, 5.0)
    bench.driver.call(bench.core.schedule, 2.0)

    await asyncio.sleep(10)

    assert bench.core.advanced == [pytest.approx(2.0)]


async def test_a_deadline_that_recedes_wakes_nobody_before(bench: Bench) -> None:
    bench.driver.call(bench.core.schedule, 1.0)
    bench.driver.call(bench.core.schedule, 3.0)

    await asyncio.sleep(10)

    assert bench.wakes == [3.0]
    assert bench.core.advanced == [pytest.approx(3.0)]


async def test_a_deadline_that_is_withdrawn_wakes_nobody(bench: Bench) -> None:
    bench.driver.call(bench.core.schedule, 1.0)
    bench.driver.call(bench.core.schedule, None)

    await asyncio.sleep(10)

    assert bench.core.advanced == []


async def test_a_periodic_deadline_keeps_its_period(bench: Bench) -> None:
    def again(now: float) -> None:
        bench.core.deadline = now + 0.5

    bench.core.on_advance = again
    bench.driver.call(bench.core.schedule, 0.5)

    await asyncio.sleep(5.1)

    assert bench.core.advanced == pytest.approx([0.5 * step for step in range(1, 11)])


async def test_a_loop_that_fires_early_wakes_the_core_once_and_its_time_never_falls(
    bench: Bench, loop: VirtualClockLoop
) -> None:
    loop.fires_early_by = 0.0005
    bench.driver.call(bench.core.schedule, 1.0)
    armed = loop.timers_armed
    loop.call_later(0.9999, bench.hear, b"just after")

    await asyncio.sleep(2)

    assert bench.core.advanced == [1.0]
    assert bench.core.received == [b"just after"]
    assert loop.timers_armed == armed + 2  # those of this test


class Slack:
    """A driver that may be late, whose core asks to be woken again after a while."""

    def __init__(self, network: MemoryNetwork, address: Address, *, pause: float) -> None:
        self.core = FakeCore()
        self.late: list[float] = []
        transport = network.transport(address)
        self.driver = Driver(
            self.core,
            transport,
            on_events=lambda _events: None,
            on_wake=self.late.append,
            max_streams_out=1,
            timer_slack=0.05,
        )
        self.core.driver = self.driver
        self.core.on_advance = self._again
        self._pause = pause

    def _again(self, now: float) -> None:
        if len(self.core.advanced) < 4:
            self.core.deadline = now + self._pause


async def test_with_slack_what_follows_from_a_wakeup_is_not_rounded_up_again() -> None:
    node = Slack(MemoryNetwork(Random(1)), HERE, pause=0.5)
    await node.driver.start()
    node.driver.call(node.core.schedule, 1.01)

    await asyncio.sleep(5)
    await node.driver.stop()

    assert node.core.advanced == pytest.approx([1.05, 1.55, 2.05, 2.55])


async def test_a_wakeup_within_the_slack_is_not_late(loop: VirtualClockLoop) -> None:
    node = Slack(MemoryNetwork(Random(1)), HERE, pause=0.5)
    await node.driver.start()
    node.driver.call(node.core.schedule, 1.01)
    loop.fires_early_by = -0.02  # as a busy loop

    await asyncio.sleep(5)
    await node.driver.stop()

    assert node.core.advanced == pytest.approx([1.05, 1.55, 2.05, 2.55])
    assert node.late == pytest.approx([0.0, 0.02, 0.02, 0.02])


async def test_a_wakeup_beyond_the_slack_shows_the_core_the_time_that_it_is(loop: VirtualClockLoop) -> None:
    node = Slack(MemoryNetwork(Random(1)), HERE, pause=10.0)
    await node.driver.start()
    loop.fires_early_by = -0.3  # as a loop that stalls
    node.driver.call(node.core.schedule, 1.01)

    await asyncio.sleep(2)
    await node.driver.stop()

    assert node.core.advanced == pytest.approx([1.35])
    assert node.late == pytest.approx([0.3])


# Stream exchanges


async def test_a_reply_goes_back_into_the_core(bench: Bench) -> None:
    bench.driver.call(bench.core.ask, StreamExchange(7, THERE, b"ping", 1.0))
    await soon()

    assert bench.core.outcomes == [(7, b"ping")]


async def test_a_failed_exchange_is_told_with_its_reason(bench: Bench) -> None:
    nobody = Address("10.0.0.3", 1)
    bench.driver.call(bench.core.ask, StreamExchange(7, nobody, b"ping", 1.0))
    await soon()

    assert bench.core.outcomes == [(7, f"cannot connect to {nobody}: connection refused")]


async def test_an_exchange_that_times_out_is_told(bench: Bench) -> None:
    bench.network.cut(HERE, THERE)
    bench.driver.call(bench.core.ask, StreamExchange(7, THERE, b"ping", 1.5))

    await asyncio.sleep(2)

    assert bench.core.outcomes == [(7, f"the stream to {THERE} timed out after 1.5 seconds while connecting")]


async def test_exchanges_beyond_the_limit_fail_at_once(bench: Bench) -> None:
    bench.network.cut(HERE, THERE)
    for token in range(5):
        bench.driver.call(bench.core.ask, StreamExchange(token, THERE, b"ping", 1.0))
    await soon()

    reason = "too many exchanges are under way (max_streams_out)"
    assert bench.core.outcomes == [(3, reason), (4, reason)]
    assert bench.driver.stats.exchanges_refused == 2

    bench.network.heal()
    await asyncio.sleep(2)
    assert sorted(token for token, _ in bench.core.outcomes) == [0, 1, 2, 3, 4]


# Events


async def test_a_listener_that_raises_is_logged_and_the_node_goes_on(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(events: Sequence[Event]) -> None:
        raise ValueError("a user's bug")

    bench.listener = fail
    bench.driver.call(bench.core.report, NEWS)
    bench.listener = bench.seen.extend
    bench.driver.call(bench.core.report, NEWS)

    assert bench.driver.stats.listener_faults == 1
    assert "a listener for events" in caplog.text
    assert "a user's bug" in caplog.text
    assert bench.seen == [NEWS]


async def test_a_listener_may_use_commands(bench: Bench) -> None:
    def react(events: Sequence[Event]) -> None:
        assert not bench.driver.lock.locked()
        bench.driver.call(bench.core.ask, Datagram(b"reaction", THERE))

    bench.listener = react
    bench.driver.call(bench.core.report, NEWS)
    await soon()

    assert bench.peer_heard == [b"reaction"]


# Faults of the core


async def test_a_fault_on_one_datagram_is_counted_shown_and_survived(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.driver.datagrams_received([(b"one", THERE), (b"poison", THERE), (b"two", THERE)])

    assert bench.core.received == [b"one", b"two"]
    assert bench.driver.stats.core_faults == 1
    assert f"the core: receive of 6 bytes ({b'poison'.hex()}) from {THERE}" in caplog.text
    assert "poisoned" in caplog.text


async def test_faults_are_reported_once_a_second_and_all_are_counted(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(10):
        bench.driver.datagrams_received([(b"poison", THERE)])
    await asyncio.sleep(1)
    bench.driver.datagrams_received([(b"poison", THERE)])

    assert bench.driver.stats.core_faults == 11
    assert [message.partition("(")[2] for message in caplog.messages if "fault in" in message]
    assert len([message for message in caplog.messages if "fault in" in message]) == 2
    assert "9 more since the last report" in caplog.messages[-1]


async def test_a_timer_that_raises_is_tried_again_after_a_pause(bench: Bench) -> None:
    bench.core.faults["advance"] = ValueError("a bug")
    bench.driver.call(bench.core.schedule, 1.0)
    asyncio.get_running_loop().call_later(1 + 2.5 * FAULT_PAUSE, bench.core.faults.clear)

    await asyncio.sleep(3)

    assert bench.core.advanced == pytest.approx([1 + FAULT_PAUSE * step for step in range(4)])
    assert bench.core.deadline is None


@pytest.mark.parametrize("door", ["receive", "receive_stream", "stream_replied", "stream_refused", "outgoing"])
async def test_no_fault_of_any_door_ends_the_node(bench: Bench, door: str) -> None:
    bench.core.faults[door] = ValueError("a bug")
    bench.hear(b"a datagram")
    stream = asyncio.create_task(bench.peer_transport.exchange(HERE, b"sync", 1))
    bench.core.outputs += [StreamExchange(1, THERE, b"", 1.0), StreamExchange(2, Address("10.0.0.3", 1), b"", 1.0)]
    await asyncio.wait([stream])
    stream.exception()
    assert bench.driver.stats.core_faults >= 1

    bench.core.faults.clear()
    bench.hear(b"later")
    bench.driver.call(bench.core.schedule, 100.0)
    await asyncio.sleep(200)

    assert bench.core.received[-1] == b"later"
    assert bench.core.advanced == [pytest.approx(100.0)]


# Life


async def test_stopping_leaves_nothing_under_way(bench: Bench) -> None:
    bench.network.cut(HERE, THERE)
    bench.driver.call(bench.core.ask, StreamExchange(1, THERE, b"", 100.0))
    bench.driver.call(bench.core.schedule, 5.0)
    await soon()

    await bench.driver.stop()
    bench.hear(b"too late")
    await asyncio.sleep(200)

    assert bench.core.advanced == []
    assert bench.core.outcomes == []
    assert bench.core.received == []
    with pytest.raises(ClosedError):
        bench.driver.call(bench.core.schedule, 1.0)
    with pytest.raises(ClosedError):
        bench.transport.send(b"", THERE)


async def test_what_a_listener_asks_for_while_stopping_is_refused(bench: Bench) -> None:
    stopping: list[asyncio.Task[None]] = []

    def stop(events: Sequence[Event]) -> None:
        stopping.append(asyncio.ensure_future(bench.driver.stop()))

    bench.listener = stop
    bench.driver.call(bench.core.report, NEWS)
    await asyncio.gather(*stopping, bench.driver.stop())

    assert bench.driver.stream_received(b"", THERE) is None
    with pytest.raises(ClosedError):
        bench.driver.call(bench.core.report, NEWS)


async def test_a_cancelled_stop_still_closes_the_transport(bench: Bench) -> None:
    bench.network.cut(HERE, THERE)
    bench.driver.call(bench.core.ask, StreamExchange(1, THERE, b"", 100.0))
    stop = asyncio.create_task(bench.driver.stop())
    await asyncio.sleep(0)

    stop.cancel()
    await asyncio.wait([stop])

    with pytest.raises(ClosedError):
        bench.transport.send(b"", THERE)


async def test_a_driver_that_cannot_start_leaves_nothing(bench: Bench) -> None:
    other = Bench(bench.network)

    with pytest.raises(BindError):
        await other.driver.start()

    with pytest.raises(ClosedError):
        await other.driver.start()


async def test_a_driver_is_used_between_start_and_stop(bench: Bench) -> None:
    fresh = Bench(MemoryNetwork(Random(1)))

    with pytest.raises(NotStartedError):
        fresh.driver.call(fresh.core.schedule, 1.0)
    with pytest.raises(AlreadyStartedError):
        await bench.driver.start()

    await fresh.driver.stop()


# Logging


async def test_every_send_and_receive_is_logged_at_debug(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "shoal.net")
    bench.core.outputs += [Datagram(b"answer", THERE), StreamExchange(1, THERE, b"sync", 1.0)]
    bench.hear(b"question")
    await bench.peer_transport.exchange(HERE, b"stream", 1)

    assert f"{HERE} received 8 bytes from {THERE}" in caplog.messages
    assert f"{HERE} sends 6 bytes to {THERE}" in caplog.messages
    assert f"{HERE} sends 4 bytes to {THERE}" in caplog.messages
    assert f"{HERE} received 6 bytes over a stream from {THERE}" in caplog.messages


async def test_nothing_is_logged_otherwise(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "shoal.net")
    bench.core.outputs.append(Datagram(b"answer", THERE))
    bench.hear(b"question")
    await soon()

    assert caplog.messages == []


# With the real core


class Member:
    def __init__(self, network: MemoryNetwork, number: int) -> None:
        random = Random(number)
        self.name = f"node-{number}"
        self.address = Address(f"10.0.0.{number}", 7946)
        info = NodeInfo(self.name, NodeId.mint(number, random), self.address, Tags())
        config = ClusterConfig()
        self.core = Swim(config, info, NativeDialect(config.cluster), random, 0.0)
        self.seen: list[Event] = []
        self.driver = Driver(
            self.core,
            network.transport(self.address),
            on_events=self.seen.extend,
            max_streams_out=config.max_streams_out,
        )

    def view(self) -> dict[str, MemberState]:
        return {member.name: member.state for member in self.core.members()}


@pytest.fixture
async def cluster() -> AsyncIterator[tuple[MemoryNetwork, list[Member]]]:
    network = MemoryNetwork(Random(1), loss=0.02, delay=lambda random: random.uniform(0.001, 0.01))
    members = [Member(network, number) for number in range(1, 6)]
    for member in members:
        await member.driver.start()
        member.driver.call(member.core.join, [members[0].address])
    yield network, members
    for member in members:
        await member.driver.stop()


async def test_real_cores_find_each_other_lose_each_other_and_heal(
    cluster: tuple[MemoryNetwork, list[Member]],
) -> None:
    network, members = cluster
    names = {member.name for member in members}
    everybody = dict.fromkeys(names, MemberState.ALIVE)
    await asyncio.sleep(10)
    assert [member.view() for member in members] == [everybody] * 5

    lost = members[-1]
    network.partition([[lost.address]])
    await asyncio.sleep(60)
    assert all(member.view() == everybody | {lost.name: MemberState.DEAD} for member in members[:-1])
    assert any(isinstance(event, MemberFailed) for event in members[0].seen)

    network.heal()
    await asyncio.sleep(120)
    assert [member.view() for member in members] == [everybody] * 5
    assert {event.member.name for event in members[0].seen if isinstance(event, MemberJoined)} == names - {"node-1"}
    assert all(member.driver.stats.core_faults == 0 for member in members)
