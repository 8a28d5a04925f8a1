"""Sockets for one node: UDP and TCP on the same port, with the options that the configuration asks for."""

from __future__ import annotations

import errno
import logging
import socket
import sys

from shoal.config import ClusterConfig
from shoal.errors import BindError
from shoal.net.failures import reason
from shoal.net.streams import BACKLOG
from shoal.types import Address

__all__ = ["PORT_TRIES", "bind_pair", "client_socket", "family_of"]

PORT_TRIES = 32
"""Free TCP ports that are tried for UDP when any port will do."""

_log = logging.getLogger("shoal.net")


def family_of(host: str) -> socket.AddressFamily:
    """The family of a numeric address."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def bind_pair(config: ClusterConfig, host: str) -> tuple[socket.socket, socket.socket]:
    """A datagram socket and a listening stream socket on the port of `config.bind` and the numeric `host`.

    Port 0 takes any port that is free for both. Raises `BindError`.
    """
    wanted = Address(host, config.bind.port)
    for _ in range(PORT_TRIES if wanted.port == 0 else 1):
        # TCP first: its free ports are the scarcer ones, because connections going out hold some.
        streams = _bind(config, wanted, socket.SOCK_STREAM)
        try:
            datagrams = _bind(config, Address(host, streams.getsockname()[1]), socket.SOCK_DGRAM)
        except BindError as error:
            streams.close()
            if wanted.port == 0 and error.errno == errno.EADDRINUSE:
                continue
            raise
        return datagrams, streams
    raise BindError(f"cannot listen on {wanted}: none of {PORT_TRIES} free TCP ports is free for UDP too; name a port")


def client_socket(config: ClusterConfig, family: socket.AddressFamily) -> socket.socket:
    """An unconnected stream socket that uses the configured interface. Raises `OSError`."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if config.interface is not None:
            _use_interface(sock, config.interface)
    except BaseException:
        sock.close()
        raise
    return sock


def _bind(config: ClusterConfig, address: Address, kind: socket.SocketKind) -> socket.socket:
    try:
        sock = socket.socket(family_of(address.host), kind)
    except OSError as error:
        raise _bind_error(address, kind, error) from error
    try:
        sock.setblocking(False)
        _set_options(sock, config, kind)
        sock.bind(address)
        if kind == socket.SOCK_STREAM:
            sock.listen(BACKLOG)  # on Linux it is here that a second listener is found out
    except OSError as error:
        sock.close()
        if isinstance(error, BindError):
            raise
        raise _bind_error(address, kind, error) from error
    return sock


def _set_options(sock: socket.socket, config: ClusterConfig, kind: socket.SocketKind) -> None:
    if sock.family == socket.AF_INET6:
        # Otherwise :: would take the port of IPv4 too on some systems and not on others.
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if config.interface is not None:
        _use_interface(sock, config.interface)
    _set_reuse(sock, config.reuse_address, kind)
    if kind == socket.SOCK_DGRAM:
        _set_buffer(sock, "receive_buffer", socket.SO_RCVBUF, config.receive_buffer)
        _set_buffer(sock, "send_buffer", socket.SO_SNDBUF, config.send_buffer)
        if config.send_buffer == 0 and sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) < config.max_datagram:
            # macOS's default carries datagrams of 9216 bytes.
            _set_buffer(sock, "max_datagram", socket.SO_SNDBUF, config.max_datagram)


def _set_reuse(sock: socket.socket, shared: bool, kind: socket.SocketKind) -> None:
    if sys.platform == "win32" and not shared:
        # Without it another process could take the port over by asking for reuse.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        return
    if shared or kind == socket.SOCK_STREAM:
        # For TCP it only lets a restarted node listen while connections of the last run fade out.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared and hasattr(socket, "SO_REUSEPORT"):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


def _set_buffer(sock: socket.socket, setting: str, option: int, wanted: int) -> None:
    if wanted == 0:
        return
    sock.setsockopt(socket.SOL_SOCKET, option, wanted)
    granted = sock.getsockopt(socket.SOL_SOCKET, option)
    if granted < wanted:
        _log.warning(
            "%s = %d: the system grants %d bytes; raise its limit (on Linux net.core.%s) or ask for less",
            setting,
            wanted,
            granted,
            "rmem_max" if option == socket.SO_RCVBUF else "wmem_max",
        )


def _use_interface(sock: socket.socket, interface: str) -> None:
    if not hasattr(socket, "SO_BINDTODEVICE"):
        raise BindError(
            f"interface = {interface!r}: only Linux can bind to an interface; set bind to its address instead"
        )
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
    except PermissionError as error:
        raise BindError(f"interface = {interface!r}: no permission; it needs the capability CAP_NET_RAW") from error
    except OSError as error:
        raise BindError(f"interface = {interface!r}: {reason(error)}; see `ip link` for the names") from error


def _bind_error(address: Address, kind: socket.SocketKind, error: OSError) -> BindError:
    protocol = "TCP" if kind == socket.SOCK_STREAM else "UDP"
    failure = BindError(f"cannot listen on {address} ({protocol}): {_advice(address, error)}")
    failure.errno = error.errno
    return failure


def _advice(address: Address, error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return "the port is in use; stop what uses it, choose another, or port 0 for any free one"
        case errno.EADDRNOTAVAIL:
            return (
                "no interface of this machine has that address; bind to one of its own, or to 0.0.0.0 or [::] for all, "
                "and set advertise to the address that peers shall use"
            )
        case errno.EACCES | errno.EPERM if 0 < address.port < 1024:
            return "no permission; a port below 1024 needs a privilege, choose a higher one"
        case errno.EACCES | errno.EPERM:
            return "no permission; the system or another process reserves the port, choose another"
        case errno.EAFNOSUPPORT:
            return "this machine has no IPv6; bind to an IPv4 address"
        case _:
            return reason(error)
