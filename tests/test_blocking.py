"""`shoal.blocking`: the same cluster for code without an event loop."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from shoal import MemberState, Readiness
from shoal.blocking import Cluster
from shoal.errors import (
    AlreadyStartedError,
    BindError,
    ClosedError,
    LifecycleError,
    NotStartedError,
    ShoalTimeoutError,
)
from shoal.events import BroadcastReceived, MemberJoined, MemberLeft, MemberUpdated, MessageReceived
from tests.clusters import FAST, PATIENCE, open_sockets, waited_for

NOBODY = "127.0.0.1:1"

Call = Callable[[Cluster], object]
COMMANDS: dict[str, Call] = {
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
READS: dict[str, Call] = {
    "local": lambda cluster: cluster.local,
    "members": lambda cluster: cluster.members(),
    "all_members": lambda cluster: cluster.all_members(),
    "member": lambda cluster: cluster.member("a"),
    "health": lambda cluster: cluster.health(),
    "stats": lambda cluster: cluster.stats(),
    "now": lambda cluster: cluster.now(),
}


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    threads, sockets = set(threading.enumerate()), open_sockets()
    yield
    waited_for(lambda: set(threading.enumerate()) <= threads)  # the pool for look-ups ends by itself, a moment later
    assert open_sockets() == sockets


def node(name: str = "a", *, seeds: Any = (), **changes: Any) -> Cluster:
    return Cluster(FAST, name=name, seeds=seeds, **changes)


@contextmanager
def in_background(work: Callable[[], Any]) -> Iterator[Future[Any]]:
    """Do `work` on another thread."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(work)


class TestMembership:
    def test_nodes_meet_talk_and_part(self) -> None:
        with node("a") as a, node("b", seeds=[str(a.local.address)], tags={"role": "worker"}) as b:
            a.wait_for_members(2)
            assert {member.name for member in a.members()} == {"a", "b"}
            assert [member.name for member in a.members(role="worker")] == ["b"]
            assert a.member("b") == a.member(b.local.id)
            assert a.config.name == "a"
            assert a.health().has_joined
            assert a.now() >= a.local.since
            with b.events() as events:
                a.update_tags({"role": "router"})
                assert _first(events, MemberUpdated).member.tags == {"role": "router"}
                a.broadcast(b"all")
                assert _first(events, BroadcastReceived).payload == b"all"
                a.send(b.local, b"one")
                assert _first(events, MessageReceived).payload == b"one"
                a.leave()
                assert _first(events, MemberLeft).member.name == "a"

    def test_seeds_can_be_added_later(self) -> None:
        with node("a") as a, node("b") as b:
            b.join([a.local.address])
            a.wait_for_members(2)

    def test_an_unreachable_seed_does_not_keep_a_node_from_starting(self) -> None:
        with node(seeds=[NOBODY]) as a:
            assert a.members() == (a.local,)

    def test_errors_of_the_node_come_through(self) -> None:
        with node() as a:
            with pytest.raises(ShoalTimeoutError, match="1 of 2"):
                a.wait_for_members(2, timeout=0.01)
            with pytest.raises(AlreadyStartedError):
                a.start()

    def test_what_the_body_raises_passes_and_peers_see_a_goodbye(self) -> None:
        with node("b") as b:
            with pytest.raises(ZeroDivisionError), node("a", seeds=[b.local.address]):
                raise ZeroDivisionError
            waited_for(lambda: (member := b.member("a")) and member.state is MemberState.LEFT)

    def test_a_node_can_be_used_beside_a_running_event_loop(self) -> None:
        async def main() -> None:
            with node() as a:
                assert a.members() == (a.local,)
                await asyncio.to_thread(a.set_tags, {"role": "worker"})
                assert a.local.tags == {"role": "worker"}

        asyncio.run(main())


class TestLifecycle:
    @pytest.mark.parametrize("call", [*COMMANDS.values(), *READS.values()], ids=[*COMMANDS, *READS])
    def test_calls_need_a_start(self, call: Call) -> None:
        with pytest.raises(NotStartedError):
            call(node())

    @pytest.mark.parametrize("name", [name for name in COMMANDS if name != "leave"])
    def test_commands_are_refused_after_close(self, name: str) -> None:
        with node() as a:
            pass
        with pytest.raises(ClosedError):
            COMMANDS[name](a)
        a.leave()
        a.close()

    @pytest.mark.parametrize("read", READS.values(), ids=READS)
    def test_reads_after_close_show_what_was_known_last(self, read: Call) -> None:
        with node() as a:
            pass
        read(a)
        assert not a.health().is_running
        assert a.local.state is MemberState.LEFT

    def test_a_closed_node_cannot_start(self) -> None:
        with node() as a:
            pass
        b = node()
        b.close()
        for closed in (a, b):
            with pytest.raises(ClosedError, match="make a new one"):
                closed.start()
            with pytest.raises(ClosedError):
                closed.broadcast(b"hello")

    def test_a_start_that_fails_ends_its_thread(self) -> None:
        with node() as a:
            b = node(bind=a.local.address)
            with pytest.raises(BindError, match="in use"):
                b.start()
            with pytest.raises(ClosedError):
                b.start()

    def test_the_thread_bears_the_name_of_the_node(self) -> None:
        with node("gpu-7"):
            (thread,) = (thread for thread in threading.enumerate() if "gpu-7" in thread.name)
            assert thread.daemon


class TestThreads:
    def test_every_method_may_be_called_from_any_thread(self) -> None:
        with node("a") as a, node("b", seeds=[a.local.address]) as b:

            def work(number: int) -> None:
                for turn in range(20):
                    b.update_tags({str(number): str(turn)})
                    b.broadcast(b"hello")
                    b.send("a", b"hello")
                    assert b.local.id in {member.id for member in b.members()}
                    assert b.health().is_running
                    b.stats()

            with ThreadPoolExecutor(4) as pool:
                list(pool.map(work, range(4)))
            assert b.local.tags == {str(number): "19" for number in range(4)}
            waited_for(lambda: a.members(**b.local.tags) != ())

    def test_only_one_of_many_starts_succeeds(self) -> None:
        a = node()
        with ThreadPoolExecutor(4) as pool:
            starts = [pool.submit(a.start) for _ in range(4)]
        errors = [start.exception() for start in starts]
        assert errors.count(None) == 1
        assert sum(isinstance(error, AlreadyStartedError) for error in errors) == 3
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: a.close(), range(4)))

    def test_closing_ends_whatever_other_threads_wait_for(self) -> None:
        a = node(leave_timeout=60.0, gossip_interval=60.0)
        a.start()
        with node("b", seeds=[a.local.address]) as b, ThreadPoolExecutor(4) as pool:
            a.wait_for_members(2)
            events = a.events()
            reader = pool.submit(list, events)
            waiter = pool.submit(a.wait_for_members, 9, PATIENCE)
            forever = pool.submit(a.run, asyncio.sleep(PATIENCE))
            leaver = pool.submit(a.leave)
            waited_for(lambda: a.health().is_leaving and a.health().subscribers >= 3)
            a.close()
            assert reader.result(PATIENCE) is not None
            assert leaver.result(PATIENCE) is None
            for ended in (waiter, forever):
                assert isinstance(ended.exception(PATIENCE), ClosedError)
            assert b.members()

    def test_calls_that_meet_the_close_end_or_are_refused(self) -> None:
        for _ in range(10):
            a = node()
            a.start()
            with ThreadPoolExecutor(3) as pool:
                callers = [pool.submit(_broadcast_for_ever, a) for _ in range(3)]
                a.broadcast(b"hello")
                a.close()
                for caller in callers:
                    assert isinstance(caller.exception(PATIENCE), ClosedError)

    def test_the_nodes_own_thread_cannot_wait_for_itself(self) -> None:
        async def misuse(cluster: Cluster) -> None:
            assert cluster.members()
            cluster.broadcast(b"hello")

        with node() as a, pytest.raises(LifecycleError, match="cannot wait for itself"):
            a.run(misuse(a))

    def test_closing_a_stream_ends_its_reader(self) -> None:
        with node() as a:
            events = a.events()
            with in_background(lambda: list(events)) as reader:
                waited_for(lambda: a.health().subscribers == 1)
                events.close()
                assert reader.result(PATIENCE) == []
            events.close()

    def test_what_waits_in_a_stream_is_still_read_after_the_close(self) -> None:
        with node("b") as b:
            a = node("a", seeds=[b.local.address])
            early = a.events()
            with a:
                late = a.events()
                a.set_tags({"role": "worker"})
            assert next(type(event) for event in early) is MemberJoined
            assert next(type(event) for event in late) is MemberUpdated
            early.close()
            with pytest.raises(ClosedError):
                a.events()

    def test_a_stream_can_be_closed_before_the_start(self) -> None:
        a = node()
        with a.events() as events, pytest.raises(NotStartedError):
            next(events)
        with a:
            assert list(events) == []
            assert a.health().subscribers == 0


DEV = [sys.executable, "-X", "dev", "-W", "error"]
HEAD = """
import _thread, asyncio, gc, os, signal, sys, threading, time, warnings
from shoal import LifecycleError, MemberState
from shoal.blocking import Cluster
from tests.clusters import FAST

signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may ignore it, and so would this

def say_when_the_main_thread_waits():
    while sys._current_frames()[threading.main_thread().ident].f_code.co_name != "wait":
        time.sleep(0.01)
    print("waits", flush=True)
"""


@contextmanager
def program(text: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A Python program that begins with `HEAD` and complains of everything; killed at the end."""
    process = subprocess.Popen(
        [*DEV, "-c", HEAD + textwrap.dedent(text)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=os.getcwd(),
        **options,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()


class TestPrograms:
    def test_a_program_that_closes_its_node_ends_without_a_complaint(self) -> None:
        with program(
            """
            with Cluster(FAST, name="a") as a, Cluster(FAST, name="b", seeds=[a.local.address]) as b:
                a.wait_for_members(2)
                events = a.events()
                b.set_tags({"role": "worker"})
                next(events)
            """
        ) as process:
            assert process.communicate(timeout=PATIENCE) == ("", "")
            assert process.returncode == 0

    def test_a_program_that_ends_without_closing_just_ends(self) -> None:
        with program(
            """
            a = Cluster(FAST, name="a", seeds=["127.0.0.1:1", "nowhere.invalid:1"], join_timeout=0)
            a.start()
            threading.Thread(target=lambda: list(a.events()), daemon=True).start()
            print("ends")
            """
        ) as process:
            assert process.communicate(timeout=PATIENCE) == ("ends\n", "")
            assert process.returncode == 0

    def test_a_program_that_crashes_shows_its_own_error_alone(self) -> None:
        with program(
            """
            with Cluster(FAST) as a:
                raise SystemExit(7)
            """
        ) as process:
            assert process.communicate(timeout=PATIENCE) == ("", "")
            assert process.returncode == 7

    @pytest.mark.skipif(sys.platform == "win32", reason="SIGINT is sent another way there")
    @pytest.mark.parametrize(
        "call",
        ["next(a.events())", "a.wait_for_members(9, timeout=600)", "a.run(asyncio.sleep(600))"],
    )
    def test_an_interrupt_ends_a_call_and_leaves_the_node_usable(self, call: str) -> None:
        with program(
            f"""
            with Cluster(FAST, name="a") as a:
                _thread.start_new_thread(say_when_the_main_thread_waits, ())
                try:
                    {call}
                except KeyboardInterrupt:
                    print("interrupted")
                while a.health().subscribers:  # the call itself ends too, and lets go of its stream
                    gc.collect()
                    time.sleep(0.01)
                a.broadcast(b"hello")
                assert a.health().is_running
            """
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "waits\n"
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=PATIENCE) == ("interrupted\n", "")
            assert process.returncode == 0

    @pytest.mark.skipif(sys.platform == "win32", reason="SIGINT is sent another way there")
    def test_an_interrupt_ends_a_start(self) -> None:
        with (
            socket.create_server(("127.0.0.1", 0)) as silent,
            program(
                f"""
            a = Cluster(FAST, seeds=["127.0.0.1:{silent.getsockname()[1]}"], join_timeout=600, stream_timeout=600)
            try:
                a.start()
            except KeyboardInterrupt:
                assert threading.active_count() == 1
                print("interrupted")
            """
            ) as process,
        ):
            silent.settimeout(PATIENCE)
            connection, _ = silent.accept()
            with connection:
                process.send_signal(signal.SIGINT)
                assert process.communicate(timeout=PATIENCE) == ("interrupted\n", "")
                assert process.returncode == 0

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
    def test_a_forked_child_can_leave_its_parents_node_alone(self) -> None:
        with program(
            """
            with Cluster(FAST, name="a") as a:
                warnings.simplefilter("ignore")  # of forks while there are threads
                child = os.fork()
                if child == 0:
                    try:
                        a.broadcast(b"hello")
                    except LifecycleError as error:
                        assert "fork" in str(error)
                        with Cluster(FAST, name="b", seeds=[a.local.address]) as b:
                            b.wait_for_members(2)
                            b.leave()
                        sys.exit(7)
                _, status = os.waitpid(child, 0)
                assert os.waitstatus_to_exitcode(status) == 7
                while a.member("b").state is not MemberState.LEFT:
                    time.sleep(0.01)
                a.broadcast(b"hello")
            """
        ) as process:
            assert process.communicate(timeout=PATIENCE) == ("", "")
            assert process.returncode == 0


def _first(events: Any, kind: type[Any]) -> Any:
    return next(event for event in events if isinstance(event, kind))


def _broadcast_for_ever(cluster: Cluster) -> None:
    while True:
        cluster.broadcast(b"hello")
