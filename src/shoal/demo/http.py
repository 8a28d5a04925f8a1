"""Just enough of HTTP/1.1 on asyncio streams to ask an agent and to follow its events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shoal.types import Address

__all__ = ["EventDecoder", "Response", "fetch", "request"]

_TIMEOUT = 10.0
"""Seconds for an answer."""
_READ_SIZE = 65_536

_HEAD = "\r\n".join(
    [
        "{method} {path} HTTP/1.1",
        "Host: {server}",
        "Connection: close",
        "Content-Type: application/json",
        "Content-Length: 0",
        "\r\n",
    ]
)


class EventDecoder:
    """Cuts a stream of bytes into the data of server-sent events (HTML Living Standard §9.2)."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, part: bytes) -> list[bytes]:
        """The data of each event that is complete with these bytes."""
        *lines, self._rest = (self._rest + part).split(b"\n")
        return [data for line in lines if (data := self._take(line.removesuffix(b"\r")))]

    def _take(self, line: bytes) -> bytes:
        if not line:
            data, self._data = b"\n".join(self._data), []
            return data
        field, _, value = line.partition(b":")
        if field == b"data":
            self._data.append(value.removeprefix(b" "))
        return b""


class Response:
    """An answer whose head has been read."""

    def __init__(self, status: int, is_chunked: bool, reader: asyncio.StreamReader) -> None:
        self.status = status
        self._is_chunked = is_chunked
        self._reader = reader

    async def parts(self) -> AsyncIterator[bytes]:
        """The body as it comes, until it or the connection ends."""
        while part := await self._part():
            yield part

    async def _part(self) -> bytes:
        try:
            if not self._is_chunked:
                return await self._reader.read(_READ_SIZE)
            size = int(await self._reader.readuntil(b"\r\n"), 16)
            return (await self._reader.readexactly(size + 2))[:-2]
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""


@asynccontextmanager
async def request(server: Address, method: str, path: str) -> AsyncIterator[Response]:
    """Ask, and read the head of the answer; the connection closes with the context.

    Raises `OSError` when nobody answers, or not in HTTP, within 10 seconds.
    """
    async with asyncio.timeout(_TIMEOUT):
        reader, writer = await asyncio.open_connection(server.host, server.port)
    try:
        writer.write(_HEAD.format(method=method, path=path, server=server).encode())
        async with asyncio.timeout(_TIMEOUT):
            response = await _read_head(reader)
        yield response
    finally:
        writer.close()


async def fetch(server: Address, path: str, method: str = "GET") -> bytes:
    """The whole body of the answer. Raises `OSError` when there is none within 10 seconds, or no success."""
    async with asyncio.timeout(_TIMEOUT), request(server, method, path) as response:
        body = b"".join([part async for part in response.parts()])
    if response.status not in range(200, 300):
        raise OSError(f"{method} {path} was answered with status {response.status}")
    return body


async def _read_head(reader: asyncio.StreamReader) -> Response:
    try:
        status_line, *fields = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
        status = int(status_line.split()[1])
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, IndexError) as error:
        raise OSError("the answer is no HTTP") from error
    is_chunked = any(field.replace(b" ", b"") == b"transfer-encoding:chunked" for field in fields)
    return Response(status, is_chunked, reader)
