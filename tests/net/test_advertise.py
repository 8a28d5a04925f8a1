"""Which address a node gives to its peers."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from shoal.config import ClusterConfig
from shoal.errors import ConfigError
from shoal.net.advertise import advertised_address
from shoal.types import Address

EVERYWHERE = Address("0.0.0.0", 7946)


def advertised(bound: Address = EVERYWHERE, **changes: Any) -> str:
    return str(advertised_address(ClusterConfig(**changes), bound))


@pytest.fixture
def routes(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Which own address leads to which host; others cannot be reached."""
    own: dict[str, str] = {}

    class Probe(socket.socket):
        def connect(self, address: Any) -> None:
            if address[0] not in own:
                raise OSError("network is unreachable")
            self.own = own[address[0]]

        def getsockname(self) -> tuple[str, int]:
            return self.own, 5

    monkeypatch.setattr("socket.socket", Probe)
    return own


def test_the_bound_address_is_given_where_nothing_else_is_said() -> None:
    assert advertised(Address("10.0.0.1", 7946), seeds="10.0.0.2:7946") == "10.0.0.1:7946"


@pytest.mark.parametrize("bound", ["10.0.0.1:7000", "0.0.0.0:7000", "[::]:7000"])
def test_the_configured_address_is_given_whatever_is_bound(bound: str) -> None:
    assert advertised(Address.parse(bound), advertise="203.0.113.7:9000") == "203.0.113.7:9000"
    assert advertised(Address.parse(bound), advertise="node.example:9000") == "node.example:9000"


def test_port_0_stands_for_the_bound_port() -> None:
    assert advertised(Address("10.0.0.1", 7000), advertise="203.0.113.7:0") == "203.0.113.7:7000"


def test_a_node_on_every_interface_gives_the_address_that_leads_to_a_seed(routes: dict[str, str]) -> None:
    routes["10.0.0.2"] = "10.0.0.1"
    assert advertised(seeds="10.9.9.9:7946,10.0.0.2:7000") == "10.0.0.1:7946"


def test_an_address_that_leads_elsewhere_is_better_than_loopback(routes: dict[str, str]) -> None:
    routes |= {"127.0.0.1": "127.0.0.1", "10.0.0.2": "10.0.0.1"}
    assert advertised(seeds="127.0.0.1:7947,10.0.0.2:7946") == "10.0.0.1:7946"


def test_an_address_with_a_zone_is_of_no_use_to_peers(routes: dict[str, str]) -> None:
    routes |= {"fe80::2": "fe80::1%eth0", "2001:db8::2": "2001:db8::1"}
    assert advertised(Address("::", 7946), seeds="[fe80::2]:7946,[2001:db8::2]:7946") == "[2001:db8::1]:7946"


@pytest.mark.parametrize("seeds", ["", "node.example:7946", "[::1]:7946", "10.9.9.9:7946"])
def test_a_node_on_every_interface_that_cannot_tell_says_what_to_give(seeds: str, routes: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"advertise = None: bind = '0\.0\.0\.0:7946' means every interface"):
        advertised(seeds=seeds)


def test_the_system_is_asked_for_the_way() -> None:
    assert advertised(seeds="127.0.0.1:7947") == "127.0.0.1:7946"


def test_the_system_is_asked_for_the_way_in_the_family_of_the_bound_address() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    assert advertised(Address("::", 7946), seeds="127.0.0.1:7947,[::1]:7947") == "[::1]:7946"
