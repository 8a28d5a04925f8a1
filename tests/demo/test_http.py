import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.demo.http import EventDecoder, fetch, request
from shoal.types import Address

STREAM = (
    b': shoal\n\nevent: x\ndata: {"a":1}\n\n: heartbeat\r\n\r\ndata: two\r\ndata:lines\r\n\r\nid: 7\n\ndata: unfinished'
)


@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_events_do_not_depend_on_where_the_stream_is_cut(cuts: list[int]) -> None:
    decoder = EventDecoder()
    edges = [0, *sorted(cuts), len(STREAM)]
    events = [event for start, end in itertools.pairwise(edges) for event in decoder.feed(STREAM[start:end])]
    assert events == [b'{"a":1}', b"two\nlines"]


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[Address]:
    """A server that answers every request with these bytes and hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield Address(*server.sockets[0].getsockname()[:2])


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    ],
    ids=["plain", "chunked"],
)
async def test_the_body_of_an_answer_is_fetched(answer: bytes) -> None:
    async with answering(answer) as server:
        assert await fetch(server, "/") == b"hello"


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"HTTP/1.1 503 Unavailable\r\n\r\n", "status 503"),
        (b"SSH-2.0-nonsense\r\n\r\n", "no HTTP"),
        (b"", "no HTTP"),
    ],
)
async def test_an_answer_that_is_no_success_is_an_error(answer: bytes, problem: str) -> None:
    async with answering(answer) as server:
        with pytest.raises(OSError, match=problem):
            await fetch(server, "/")


async def test_a_stream_that_breaks_off_in_a_chunk_just_ends() -> None:
    async with (
        answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n9\r\nll") as server,
        request(server, "GET", "/") as response,
    ):
        assert [part async for part in response.parts()] == [b"he"]
