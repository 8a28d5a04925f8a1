"""A bound UDP socket, read until it is empty."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import time
from collections.abc import Callable, Sequence

from shoal.errors import ClosedError
from shoal.net.admission import Admission
from shoal.net.failures import reason
from shoal.net.transport import TransportStats
from shoal.types import Address

__all__ = ["BATCH", "DatagramSocket"]

BATCH = 64
"""Datagrams read in one turn of the loop at most, so that a flood leaves turns to other tasks."""

_READ_SIZE = 65_536
"""Above every UDP payload, so that nothing is ever truncated; the buffer shrinks to what arrived."""
_ERROR_PAUSE = 0.01
"""Seconds that one-by-one reading rests after an error, which might come back at once."""
_FULL = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS, errno.ENOMEM})
_UNREACHABLE = frozenset(
    {
        errno.ENETUNREACH,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.EHOSTDOWN,
        errno.EADDRNOTAVAIL,
        errno.EAFNOSUPPORT,
        errno.ECONNREFUSED,
    }
)

_log = logging.getLogger("shoal.net")


class DatagramSocket:
    """Owns a bound, non-blocking socket.

    Where the loop can watch sockets, a callback drains it; the proactor loop of Windows cannot, so a task awaits the
    first datagram of each batch. Either way errors are counted and reading goes on.
    """

    __slots__ = ("_admission", "_closed", "_deliver", "_loop", "_reader", "_sock", "_stats")

    def __init__(self, sock: socket.socket, stats: TransportStats) -> None:
        self._sock = sock
        self._stats = stats
        self._closed = False
        self._admission: Admission | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reader: asyncio.Task[None] | None = None
        self._deliver: Callable[[Sequence[tuple[bytes, Address]]], None]

    def start(
        self, deliver: Callable[[Sequence[tuple[bytes, Address]]], None], admission: Admission | None = None
    ) -> None:
        """Begin to read on the running loop; what `admission` refuses is not delivered."""
        self._deliver = deliver
        self._admission = admission
        loop = asyncio.get_running_loop()
        try:
            loop.add_reader(self._sock, self._drain)
        except NotImplementedError:
            self._reader = loop.create_task(self._read(loop), name="shoal datagrams")
        else:
            self._loop = loop

    def send(self, data: bytes, address: Address) -> None:
        """Send to a numeric address, or drop and count."""
        try:
            self._sock.sendto(data, address)
        except (OSError, OverflowError) as error:  # the latter for a port above 65535
            self._send_failed(error, data, address)
        else:
            stats = self._stats
            stats.datagrams_out += 1
            stats.bytes_out += len(data)

    async def close(self) -> None:
        """Stop reading and close the socket; may be called again."""
        if self._loop is not None:
            self._loop.remove_reader(self._sock)
            self._loop = None
        self._closed = True
        if self._reader is not None:  # its read must be off the socket before the socket is gone
            self._reader.cancel()
            await asyncio.wait([self._reader])
        self._sock.close()

    def _drain(self) -> None:
        batch: list[tuple[bytes, Address]] = []
        self._read_waiting(batch)
        if batch:
            self._received(batch)

    async def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            try:
                data, source = await loop.sock_recvfrom(self._sock, _READ_SIZE)
            except OSError as error:
                self._receive_failed(error)
                await asyncio.sleep(_ERROR_PAUSE)
                continue
            batch = [(data, Address(*source[:2]))]
            self._read_waiting(batch)
            self._received(batch)
            await asyncio.sleep(0)  # a read that finds data does not pause by itself

    def _read_waiting(self, batch: list[tuple[bytes, Address]]) -> None:
        receive = self._sock.recvfrom
        make = tuple.__new__  # half the cost of Address(...), for every datagram
        try:
            while len(batch) < BATCH:
                data, source = receive(_READ_SIZE)
                batch.append((data, make(Address, source[:2])))
        except BlockingIOError:
            pass
        except OSError as error:
            self._receive_failed(error)

    def _received(self, batch: Sequence[tuple[bytes, Address]]) -> None:
        size = 0
        for data, _ in batch:
            size += len(data)
        stats = self._stats
        stats.datagrams_in += len(batch)
        stats.bytes_in += size
        if self._admission is not None:
            batch = self._admission.admit(batch, size, time.monotonic())
        if batch:
            self._deliver(batch)

    def _receive_failed(self, error: OSError) -> None:
        self._stats.receive_errors += 1
        _log.debug("reading datagrams: %s", reason(error))

    def _send_failed(self, error: OSError | OverflowError, data: bytes, address: Address) -> None:
        if self._closed:
            raise ClosedError(f"cannot send to {address}: the transport is closed") from None
        stats = self._stats
        code = error.errno if isinstance(error, OSError) else None
        if code in _FULL:
            stats.send_full += 1
        elif code == errno.EMSGSIZE:
            stats.send_too_large += 1
        elif code in _UNREACHABLE or isinstance(error, socket.gaierror):
            stats.send_unreachable += 1
        else:
            stats.send_failed += 1
        _log.debug("dropped a datagram of %d bytes to %s: %s", len(data), address, reason(error))
