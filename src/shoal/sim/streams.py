"""Stream exchanges on the virtual network: connect, request, reply, close, as TCP would carry them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from shoal.sim.network import Host, Network, StreamMode
from shoal.types import Address

__all__ = ["REFUSED", "SILENT", "Stream", "open_stream"]

REFUSED: Final = "connection refused"
SILENT: Final = "timed out while waiting for the reply"

_RETRANSMIT_AFTER = 0.2  # seconds; TCP's least retransmission timeout, which doubles from try to try


def open_stream(
    network: Network,
    client: Host,
    address: Address,
    data: bytes,
    timeout: float,
    replied: Callable[[bytes], None],
    failed: Callable[[str], None],
) -> Stream:
    """Send a request and get a reply; calls either `replied` or `failed`, once, at most `timeout` seconds from now."""
    stream = Stream(network, client, network.host_at(address), data, replied, failed)
    stream.open(timeout)
    return stream


class Stream:
    """One exchange. Each leg is tried until it gets through; the timeout ends whatever hangs."""

    __slots__ = ("_client", "_data", "_failed", "_is_connected", "_network", "_over", "_replied", "_server")

    def __init__(
        self,
        network: Network,
        client: Host,
        server: Host | None,
        data: bytes,
        replied: Callable[[bytes], None],
        failed: Callable[[str], None],
    ) -> None:
        self._network = network
        self._client = client
        self._server = server
        self._data = data
        self._replied = replied
        self._failed = failed
        self._over = False
        self._is_connected = False

    def open(self, timeout: float) -> None:
        """Begin to connect."""
        self._client.traffic.streams_out += 1
        self._network.scheduler.after(timeout, self._time_out)
        if self._server is not None:
            self._leg(self._client, self._server, 0, self._connected)

    def abort(self) -> None:
        """The client is gone: nothing more is sent, and nobody is told of the outcome."""
        self._over = True

    def _connected(self) -> None:
        server = self._server
        assert server is not None
        if server.is_off:
            return
        if server.port is None or server.streams is StreamMode.REFUSED or not server.port.accepts_streams:
            self._leg(server, self._client, 0, self._fail, REFUSED)
        else:
            self._leg(server, self._client, 0, self._accepted)

    def _accepted(self) -> None:
        assert self._server is not None
        self._is_connected = True
        if self._server.streams is StreamMode.STALLED:
            return
        self._client.traffic.stream_bytes_out += len(self._data)
        self._leg(self._client, self._server, len(self._data), self._requested)

    def _requested(self) -> None:
        server = self._server
        assert server is not None
        if server.is_off:
            return
        if server.port is None:
            self._leg(server, self._client, 0, self._fail, "connection reset")
            return
        server.traffic.stream_bytes_in += len(self._data)
        server.port.stream(self._data, self._client.address, self._answer)

    def _answer(self, reply: bytes | None) -> None:
        server = self._server
        assert server is not None
        if server.is_off:
            return
        if reply is None:
            self._leg(server, self._client, 0, self._fail, "closed without a reply")
        elif server.streams is StreamMode.RESET:
            self._leg(server, self._client, 0, self._fail, "connection reset")
        else:
            server.traffic.stream_bytes_out += len(reply)
            self._leg(server, self._client, len(reply), self._finish, reply)

    def _finish(self, reply: bytes) -> None:
        if not self._over:
            self._over = True
            self._client.traffic.stream_bytes_in += len(reply)
            self._replied(reply)

    def _time_out(self) -> None:
        self._fail(SILENT if self._is_connected else "timed out")

    def _fail(self, reason: str) -> None:
        if not self._over:
            self._over = True
            self._failed(reason)

    def _leg(self, sender: Host, receiver: Host, size: int, then: Callable[..., None], *arguments: object) -> None:
        """Get `size` bytes across, however often that takes, and go on with `then`."""
        self._try_leg(sender, receiver, size, _RETRANSMIT_AFTER, then, arguments)

    def _try_leg(
        self,
        sender: Host,
        receiver: Host,
        size: int,
        pause: float,
        then: Callable[..., None],
        arguments: tuple[object, ...],
    ) -> None:
        if self._over:
            return
        network, scheduler = self._network, self._network.scheduler
        link = network.path(sender, receiver)
        if network.is_cut(sender, receiver) or network.is_lost(sender, receiver, link):
            scheduler.after(pause, self._try_leg, sender, receiver, size, 2 * pause, then, arguments)
            return
        queued = sender.transmit(size, scheduler.now, patient=True) or 0.0
        scheduler.after(queued + link.latency.draw(sender.random), then, *arguments)
