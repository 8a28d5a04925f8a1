"""Binding, socket options and host names of the transport over sockets."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import sys
from collections.abc import AsyncIterator, Sequence

import pytest

from shoal.config import ClusterConfig
from shoal.errors import BindError, ResolutionError, SendError
from shoal.net.binding import PORT_TRIES
from shoal.net.held import HELD_NAMES, HELD_PER_NAME
from shoal.net.sockets import SocketTransport
from shoal.types import Address
from tests.net.receivers import PATIENCE, Recorder, eventually

ANYWHERE = Address("127.0.0.1", 0)
NOT_OURS = "203.0.113.1"  # RFC 5737: nobody has it

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="an option of Linux")


class Names:
    """A name server made by hand; `open` lets its answers out."""

    def __init__(self, **addresses: str) -> None:
        self.addresses = addresses
        self.asked: list[str] = []
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self, host: str, family: socket.AddressFamily) -> Sequence[str]:
        self.asked.append(host)
        await self.open.wait()
        try:
            return self.addresses[host].split()
        except KeyError:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None


@pytest.fixture
async def receiver() -> Recorder:
    return Recorder()


@pytest.fixture
async def peer(receiver: Recorder) -> AsyncIterator[SocketTransport]:
    transport = SocketTransport(ClusterConfig(bind=ANYWHERE))
    await transport.start(receiver)
    yield transport
    await transport.close()


@pytest.fixture
async def names() -> Names:
    return Names(peer="127.0.0.1")


@pytest.fixture
async def node(names: Names) -> AsyncIterator[SocketTransport]:
    transport = SocketTransport(ClusterConfig(bind=ANYWHERE), look_up=names)
    await transport.start(Recorder())
    yield transport
    await transport.close()


# Binding


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
async def test_a_port_taken_for_either_protocol_is_refused(kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_INET, kind) as holder:
        holder.bind(ANYWHERE)
        if kind == socket.SOCK_STREAM:
            holder.listen()
        address = Address(*holder.getsockname())
        transport = SocketTransport(ClusterConfig(bind=address))

        with pytest.raises(BindError, match="the port is in use; stop what uses it") as failure:
            await transport.bind()

    assert str(address) in str(failure.value)
    assert failure.value.errno == errno.EADDRINUSE


async def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(BindError, match=rf"{NOT_OURS}:7946.*no interface of this machine .* set advertise"):
        await SocketTransport(ClusterConfig(bind=Address(NOT_OURS, 7946))).bind()


@pytest.mark.parametrize(
    ("error", "port", "advice"),
    [
        (PermissionError(errno.EACCES, "no"), 80, "a port below 1024 needs a privilege"),
        (PermissionError(errno.EACCES, "no"), 7946, "choose another"),
        (OSError(errno.EAFNOSUPPORT, "no"), 7946, "this machine has no IPv6"),
        (OSError(errno.ENOMEM, "no"), 7946, os.strerror(errno.ENOMEM).lower()),
    ],
)
async def test_other_refusals_say_what_to_do(
    monkeypatch: pytest.MonkeyPatch, error: OSError, port: int, advice: str
) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(socket.socket, "bind", refuse)

    with pytest.raises(BindError, match=advice):
        await SocketTransport(ClusterConfig(bind=Address("127.0.0.1", port))).bind()


@pytest.mark.parametrize(("collisions", "bound"), [(PORT_TRIES - 1, True), (PORT_TRIES, False)])
async def test_any_port_means_one_that_is_free_for_both_protocols(
    monkeypatch: pytest.MonkeyPatch, collisions: int, bound: bool
) -> None:
    really_bind = socket.socket.bind
    left = collisions

    def bind(sock: socket.socket, address: Address) -> None:
        nonlocal left
        if sock.type == socket.SOCK_DGRAM and left > 0:
            left -= 1
            raise OSError(errno.EADDRINUSE, "in use")
        really_bind(sock, address)

    monkeypatch.setattr(socket.socket, "bind", bind)
    transport = SocketTransport(ClusterConfig(bind=ANYWHERE))

    if bound:
        await transport.bind()
    else:
        with pytest.raises(BindError, match="name a port"):
            await transport.bind()
    await transport.close()


@on_linux
async def test_a_shared_port_needs_the_consent_of_both() -> None:
    first = SocketTransport(ClusterConfig(bind=ANYWHERE, reuse_address=True))
    await first.bind()
    shared = ClusterConfig(bind=first.address)

    with pytest.raises(BindError):
        await SocketTransport(shared).bind()
    second = SocketTransport(shared.replace(reuse_address=True))
    await second.bind()

    assert second.address == first.address
    await first.close()
    await second.close()


async def test_ipv6_leaves_the_port_of_ipv4_alone() -> None:
    v6 = SocketTransport(ClusterConfig(bind=Address("::", 0)))
    try:
        await v6.bind()
    except BindError:
        pytest.skip("this machine has no IPv6")
    v4 = SocketTransport(ClusterConfig(bind=Address("0.0.0.0", v6.address.port)))

    await v4.bind()

    assert v4.address.port == v6.address.port
    await v4.close()
    await v6.close()


@on_linux
async def test_one_interface_can_be_chosen() -> None:
    transport = SocketTransport(ClusterConfig(bind=ANYWHERE, interface="lo"))
    await transport.start(Recorder())

    assert await transport.exchange(transport.address, b"over lo", PATIENCE) == b"over lo"
    await transport.close()


@on_linux
async def test_an_unknown_interface_is_refused() -> None:
    with pytest.raises(BindError, match="interface = 'nosuch0'"):
        await SocketTransport(ClusterConfig(bind=ANYWHERE, interface="nosuch0")).bind()


async def test_a_system_without_that_option_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "SO_BINDTODEVICE", raising=False)

    with pytest.raises(BindError, match="interface = 'eth0': only Linux can bind to an interface"):
        await SocketTransport(ClusterConfig(bind=ANYWHERE, interface="eth0")).bind()


async def test_a_buffer_that_the_system_does_not_grant_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    wanted = 256 << 20
    transport = SocketTransport(ClusterConfig(bind=ANYWHERE, receive_buffer=wanted))

    with caplog.at_level(logging.WARNING, "shoal.net"):
        try:
            await transport.bind()
        except BindError:  # some systems refuse instead
            return

    warnings = [message for message in caplog.messages if message.startswith(f"receive_buffer = {wanted}")]
    assert len(warnings) <= 1  # none where the system is generous
    await transport.close()


async def test_a_bind_address_may_be_a_name_and_prefers_ipv4() -> None:
    names = Names(home="::1 127.0.0.1")
    transport = SocketTransport(ClusterConfig(bind=Address("home", 0)), look_up=names)

    await transport.bind()

    assert transport.address.host == "127.0.0.1"
    await transport.close()


@pytest.mark.parametrize("names", [Names(), Names(home="")])
async def test_a_bind_address_that_cannot_be_resolved_is_named(names: Names) -> None:
    with pytest.raises(ResolutionError, match="bind = 'home:7946'"):
        await SocketTransport(ClusterConfig(bind=Address("home", 7946)), look_up=names).bind()


async def test_the_system_resolves_names_by_default() -> None:
    transport = SocketTransport(ClusterConfig(bind=Address("localhost", 0)))
    await transport.start(Recorder())
    by_name = Address("localhost", transport.address.port)

    assert await transport.exchange(by_name, b"hello", PATIENCE) == b"hello"
    await transport.close()


# Host names of peers


async def test_a_stream_finds_a_peer_by_name(node: SocketTransport, peer: SocketTransport, names: Names) -> None:
    by_name = Address("peer", peer.address.port)

    assert await node.exchange(by_name, b"one", PATIENCE) == b"one"
    assert await node.exchange(by_name, b"two", PATIENCE) == b"two"

    assert names.asked == ["peer"]


async def test_a_stream_to_an_unknown_name_fails_with_the_name(node: SocketTransport) -> None:
    with pytest.raises(ResolutionError, match=r"cannot resolve 'nobody': name or service not known"):
        await node.exchange(Address("nobody", 7946), b"?", PATIENCE)

    assert node.stats.streams_failed == 1


async def test_a_stream_to_the_other_family_fails_with_the_address(node: SocketTransport) -> None:
    with pytest.raises(SendError, match=r"cannot connect to \[::1\]:7946"):
        await node.exchange(Address("::1", 7946), b"?", PATIENCE)


async def test_datagrams_wait_for_the_name_and_then_go_in_order(
    node: SocketTransport, peer: SocketTransport, receiver: Recorder, names: Names
) -> None:
    names.open.clear()
    by_name = Address("peer", peer.address.port)
    node.send(b"one", by_name)
    node.send(b"two", by_name)
    await asyncio.sleep(0)
    names.open.set()
    await receiver.until(datagrams=2)

    node.send(b"three", by_name)

    await receiver.until(datagrams=3)
    assert [data for data, _ in receiver.datagrams] == [b"one", b"two", b"three"]
    assert names.asked == ["peer"]


async def test_few_datagrams_wait_for_one_name(
    node: SocketTransport, peer: SocketTransport, receiver: Recorder, names: Names
) -> None:
    names.open.clear()
    for number in range(HELD_PER_NAME + 3):
        node.send(b"%d" % number, Address("peer", peer.address.port))

    names.open.set()

    await receiver.until(datagrams=HELD_PER_NAME)
    assert node.stats.send_unresolved == 3


async def test_datagrams_wait_for_few_names(node: SocketTransport, names: Names) -> None:
    names.open.clear()

    for number in range(HELD_NAMES + 2):
        node.send(b"", Address(f"host-{number}", 7946))

    assert node.stats.send_unresolved == 2


async def test_datagrams_to_an_unknown_name_are_dropped_and_counted(node: SocketTransport, names: Names) -> None:
    nobody = Address("nobody", 7946)
    node.send(b"", nobody)
    await eventually(lambda: node.stats.send_unresolved == 1)

    node.send(b"", nobody)  # at once, without asking again

    assert node.stats.send_unresolved == 2
    assert names.asked == ["nobody"]
