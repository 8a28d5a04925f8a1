"""What the client says when what it meets is no agent, or no healthy one."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from shoal.cli.client import AgentClient, AgentError
from shoal.types import Address
from tests.agent.processes import unused_address

Impostor = Callable[[bytes], AgentClient]


@pytest.fixture
def impostor() -> Iterator[Impostor]:
    """Makes a client of a server that gives one fixed answer, and then closes."""
    with ExitStack() as stack:

        def make(answer: bytes) -> AgentClient:
            listener = stack.enter_context(closing(socket.create_server(("127.0.0.1", 0))))
            thread = threading.Thread(target=serve_once, args=(listener, answer), daemon=True)
            thread.start()
            stack.callback(thread.join, 10)
            return AgentClient(Address(*listener.getsockname()[:2]), timeout=10)

        yield make


def serve_once(listener: socket.socket, answer: bytes) -> None:
    connection, _ = listener.accept()
    with closing(connection):
        connection.recv(65536)
        connection.sendall(answer)


def http(body: bytes, status: str = "200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


def test_where_nobody_listens_the_remedy_is_told() -> None:
    unused = Address.parse(unused_address())

    with pytest.raises(AgentError, match=f"no agent answers at {unused}; start one with `shoal agent`"):
        AgentClient(unused).members()


def test_a_host_without_address_has_no_agent() -> None:
    with pytest.raises(AgentError, match=r"no agent answers at nowhere\.invalid:7980"):
        AgentClient(Address("nowhere.invalid", 7980)).members()


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"",
        http(b"<html>"),
        http(b'{"members": []}'),
        http(b"<html>", "502 Bad Gateway"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[]",
    ],
)
def test_a_stranger_is_called_one(impostor: Impostor, answer: bytes) -> None:
    with pytest.raises(AgentError, match=r"no shoal agent of this version|no agent answers"):
        impostor(answer).members()


def test_a_refusal_is_passed_on(impostor: Impostor) -> None:
    with pytest.raises(AgentError, match=r"^the reason$"):
        impostor(http(b'{"error": "the reason"}', "400 Bad Request")).members()


def test_an_event_of_a_newer_agent_is_an_error_and_no_crash(impostor: Impostor) -> None:
    with pytest.raises(AgentError, match="no shoal agent of this version"):
        list(impostor(http(b'event: later\ndata: {"event":"later"}\n\n')).events())


def test_comments_in_the_stream_are_skipped_and_its_end_is_the_end(impostor: Impostor) -> None:
    lost = b'data: {"event":"events_lost","time":"2026-11-21T12:00:00Z","count":3}\n'

    (event,) = impostor(http(b": heartbeat\n\nevent: events_lost\n" + lost + b"\n")).events()

    assert event.__struct_config__.tag == "events_lost"


def test_an_agent_that_never_answers_is_called_frozen() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        client = AgentClient(Address(*listener.getsockname()[:2]), timeout=0.05)

        with pytest.raises(AgentError, match="may be frozen"):
            client.members()
