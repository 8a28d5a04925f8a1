"""How programs with a node in them end, as real processes, and what a peer in another process sees of it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from shoal import blocking
from shoal.events import MemberFailed, MemberLeft
from shoal.types import MemberState
from tests.clusters import FAST, PATIENCE, waited_for

HEAD = """
import asyncio, gc, signal, sys
from shoal import Cluster
from tests.clusters import FAST

signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may ignore it, and so would this
SEEDS = sys.argv[1:]

def say(what):
    print(what, flush=True)
"""
needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="Windows sends signals in another way")


@contextmanager
def program(text: str, *seeds: object) -> Iterator[subprocess.Popen[str]]:
    """A Python program that begins with `HEAD`; killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-X", "dev", "-c", HEAD + textwrap.dedent(text), *map(str, seeds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.fixture
def peer() -> Iterator[blocking.Cluster]:
    with blocking.Cluster(FAST, name="peer", stall_tolerance=0.0) as peer:
        yield peer


def ended_as(peer: blocking.Cluster, state: MemberState) -> None:
    """The peer holds b so."""
    waited_for(lambda: (member := peer.member("b")) is not None and member.state is state)


ENDS = {
    "the end of async with": """
        async def main():
            async with Cluster(FAST, name="b", seeds=SEEDS) as b:
                await b.wait_for_members(2)
        asyncio.run(main())
        """,
    "leave and close": """
        async def main():
            b = Cluster(FAST, name="b", seeds=SEEDS)
            await b.start()
            await b.wait_for_members(2)
            await asyncio.gather(b.leave(), b.leave())
            reports = await asyncio.gather(b.close(), b.close())
            assert reports[0] is reports[1] is await b.close()
            assert reports[0].is_clean, reports[0]
        asyncio.run(main())
        """,
    "a close out of the node's own event stream": """
        async def main():
            b = Cluster(FAST, name="b", seeds=SEEDS)
            with b.events() as events:
                await b.start()
                async for _ in events:
                    if len(b.members()) == 2:
                        await b.leave()
                        await b.close()
        asyncio.run(main())
        """,
    "the end of the event loop": """
        async def main():
            global b
            b = Cluster(FAST, name="b", seeds=SEEDS)
            await b.start()
            await b.wait_for_members(2)
        asyncio.run(main())
        assert b.shutdown_report.is_clean, b.shutdown_report
        """,
    "a task that is cancelled on SIGTERM": """
        async def main():
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)
            async with Cluster(FAST, name="b", seeds=SEEDS) as b:
                await b.wait_for_members(2)
                signal.raise_signal(signal.SIGTERM)
                await asyncio.sleep(3600)
        try:
            asyncio.run(main())
        except asyncio.CancelledError:
            pass
        """,
}


@needs_signals
@pytest.mark.parametrize("how", ENDS)
def test_an_orderly_end_is_a_goodbye_and_leaves_no_complaint(how: str, peer: blocking.Cluster) -> None:
    with peer.events() as events, program(ENDS[how], peer.local.address) as process:
        assert process.communicate(timeout=PATIENCE) == ("", "")
        assert process.returncode == 0
        ended_as(peer, MemberState.LEFT)
        end = next(event for event in events if isinstance(event, MemberLeft | MemberFailed))
    assert isinstance(end, MemberLeft)


@needs_signals
def test_an_interrupt_is_a_goodbye_and_passes_on(peer: blocking.Cluster) -> None:
    with program(
        """
        async def main():
            async with Cluster(FAST, name="b", seeds=SEEDS) as b:
                await b.wait_for_members(2)
                say("there")
                await asyncio.sleep(3600)
        asyncio.run(main())
        """,
        peer.local.address,
    ) as process:
        assert line_of(process) == "there\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE)
        assert errors.splitlines()[-1] == "KeyboardInterrupt"
        assert "ResourceWarning" not in errors
    ended_as(peer, MemberState.LEFT)


def test_a_close_without_goodbye_is_a_crash_to_the_peers(peer: blocking.Cluster) -> None:
    with program(
        """
        async def main():
            b = Cluster(FAST, name="b", seeds=SEEDS)
            await b.start()
            await b.wait_for_members(2)
            await b.close()
        asyncio.run(main())
        """,
        peer.local.address,
    ) as process:
        assert process.communicate(timeout=PATIENCE) == ("", "")
    ended_as(peer, MemberState.DEAD)


def test_a_node_that_is_dropped_warns_closes_its_sockets_and_holds_nothing_up(peer: blocking.Cluster) -> None:
    with program(
        """
        from tests.clusters import open_sockets

        async def main():
            before = open_sockets()
            b = Cluster(FAST, name="b", seeds=SEEDS)
            await b.start()
            await b.wait_for_members(2)
            del b
            gc.collect()
            while open_sockets() > before:
                await asyncio.sleep(0.01)
            say("closed")
        asyncio.run(main())
        """,
        peer.local.address,
    ) as process:
        output, errors = process.communicate(timeout=PATIENCE)
        assert (output, process.returncode) == ("closed\n", 0)
        assert "ResourceWarning: the node b was dropped without close" in errors
        assert errors.count("was dropped") == 1
        assert "unclosed" not in errors
    ended_as(peer, MemberState.DEAD)


@needs_signals
def test_an_interrupt_ends_a_start_that_waits_for_its_seeds() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        program(
            """
            asyncio.run(Cluster(FAST, seeds=SEEDS, join_timeout=600, stream_timeout=600).start())
            """,
            f"127.0.0.1:{silent.getsockname()[1]}",
        ) as process,
    ):
        silent.settimeout(PATIENCE)
        connection, _ = silent.accept()
        with connection:
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=PATIENCE)
            assert errors.splitlines()[-1] == "KeyboardInterrupt"
            assert "Warning" not in errors
