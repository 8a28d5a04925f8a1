import copy
import pickle
import uuid
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.errors import InvalidAddressError
from shoal.types import Address, Member, MemberState, NodeId, Tags, is_host_name, is_node_name
from tests.strategies import addresses, node_ids, tags

MAX_MS = (1 << 48) - 1
times = st.integers(0, MAX_MS)
seeds = st.integers(0, 1000).map(Random)

# Address


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:7946", "127.0.0.1", 7946),
        ("0.0.0.0:0", "0.0.0.0", 0),
        ("localhost:65535", "localhost", 65535),
        ("GPU-7.Example.ORG:1", "gpu-7.example.org", 1),
        ("my_service:80", "my_service", 80),
        ("example.org.:80", "example.org.", 80),
        ("[::1]:7946", "::1", 7946),
        ("[2001:DB8:0:0::1]:1", "2001:db8::1", 1),
        ("[fe80::1%eth0]:1", "fe80::1%eth0", 1),
        ("host:00080", "host", 80),
        ("host:000080", "host", 80),
    ],
)
def test_an_address_is_read(text: str, host: str, port: int) -> None:
    assert Address.parse(text) == (host, port)


MALFORMED = {
    "": "it is empty; write host:port",
    " a:1": "it has spaces around it",
    "a:1\n": "it has spaces around it",
    "localhost": "the port is missing; write host:port",
    "::1:7946": "an IPv6 address needs brackets; write [address]:port",
    ":7946": "the host is missing; write host:port",
    "[::1:7946": "the closing bracket is missing; write [address]:port",
    "[::1]": "the port is missing; write [address]:port",
    "[::1]7946": "the port is missing; write [address]:port",
    "[]:7946": "'' is no IPv6 address",
    "[127.0.0.1]:7946": "'127.0.0.1' is no IPv6 address",
    "[::g]:7946": "'::g' is no IPv6 address",
    "256.0.0.1:7946": "'256.0.0.1' is no IPv4 address",
    "1.2.3:7946": "'1.2.3' is no IPv4 address",
    "1234:7946": "'1234' is no IPv4 address",
    "\u0661.2.3.4:7946": "'\u0661.2.3.4' is no IPv4 address",
    "a b:7946": "'a b' is no host name",
    "-a:7946": "'-a' is no host name",
    "a..b:7946": "'a..b' is no host name",
    "größe:7946": "'größe' is no host name",
    "a" * 64 + ":7946": f"'{'a' * 64}' is no host name",
    "a." * 127 + ":7946": f"'{'a.' * 127}' is no host name",
    "http://a:80": "an IPv6 address needs brackets; write [address]:port",
    "a/b:80": "'a/b' is no host name",
    "host:": "the port is empty",
    "[::1]:": "the port is empty",
    "host:http": "the port 'http' is no number",
    "host:-1": "the port '-1' is no number",
    "host:+1": "the port '+1' is no number",
    "host:1.5": "the port '1.5' is no number",
    "host: 1": "the port ' 1' is no number",
    "host:\u0661": "the port '\u0661' is no number",
    "host:65536": "the port 65536 is above 65535",
    "host:" + "9" * 9999: f"the port {'9' * 9999} is above 65535",
}


@pytest.mark.parametrize("text", MALFORMED)
def test_a_malformed_address_is_told_what_is_wrong(text: str) -> None:
    with pytest.raises(InvalidAddressError) as caught:
        Address.parse(text)
    assert str(caught.value) == f"invalid address {text!r}: {MALFORMED[text]}"
    assert caught.value.text == text


@given(addresses)
def test_an_address_is_read_as_it_was_printed(address: Address) -> None:
    assert Address.parse(str(address)) == address


@given(st.text(max_size=30) | st.from_regex(r"[\[\]:.%a-f0-9]{0,20}:[0-9]{0,6}", fullmatch=True))
def test_any_text_is_an_address_or_an_error_and_reading_is_final(text: str) -> None:
    try:
        address = Address.parse(text)
    except InvalidAddressError:
        return
    assert Address.parse(str(address)) == address
    assert 0 <= address.port <= 65535


def test_an_ipv6_address_is_printed_in_brackets() -> None:
    assert str(Address("::1", 7946)) == "[::1]:7946"
    assert str(Address("127.0.0.1", 7946)) == "127.0.0.1:7946"


@pytest.mark.parametrize(
    ("host", "is_name", "is_unspecified", "is_loopback"),
    [
        ("localhost", True, False, True),
        ("example.org", True, False, False),
        ("127.8.0.1", False, False, True),
        ("::1", False, False, True),
        ("0.0.0.0", False, True, False),
        ("::", False, True, False),
        ("192.0.2.1", False, False, False),
        ("fe80::1%eth0", False, False, False),
    ],
)
def test_an_address_knows_its_kind(host: str, is_name: bool, is_unspecified: bool, is_loopback: bool) -> None:
    address = Address(host, 1)
    assert (address.is_name, address.is_unspecified, address.is_loopback) == (is_name, is_unspecified, is_loopback)


# Names


@pytest.mark.parametrize("name", ["a", "größe-3", "gpu 7", "a" * 128, "ü" * 64, "\U0001f41f"])
def test_a_node_name_is_1_to_128_bytes_of_text(name: str) -> None:
    assert is_node_name(name)


@pytest.mark.parametrize(
    "name", ["", "a" * 129, "ü" * 65, "a\nb", "\x00", "\x7f", "\x9b1m", "a\u2028b", "\u202ea", "\u2066a", "\ud800"]
)
def test_a_node_name_cannot_forge_a_line_or_upset_a_terminal(name: str) -> None:
    assert not is_node_name(name)


@pytest.mark.parametrize(("name", "is_one"), [("a" * 63, True), ("a" * 64, False), ("1.2.3.4", False), ("1a", True)])
def test_a_host_name_is_made_of_labels_and_is_no_number(name: str, is_one: bool) -> None:
    assert is_host_name(name) is is_one


# NodeId


@given(times, seeds)
def test_an_id_is_a_uuid_of_version_7(unix_ms: int, random: Random) -> None:
    id = NodeId.mint(unix_ms, random)
    as_uuid = uuid.UUID(bytes=bytes(id))
    assert len(id) == NodeId.SIZE
    assert (as_uuid.version, as_uuid.variant) == (7, uuid.RFC_4122)
    assert as_uuid.int >> 80 == unix_ms == id.unix_ms


def test_the_74_other_bits_of_an_id_are_random() -> None:
    random = Random(7)
    ids = [int.from_bytes(NodeId.mint(0, random)) for _ in range(400)]
    ones = [bit for bit in range(128) if 100 < sum(id >> bit & 1 for id in ids) < 300]
    assert ones == [*range(62), *range(64, 76)]


def test_a_time_beyond_48_bits_is_cut_to_them() -> None:
    assert NodeId.mint(MAX_MS + 6, Random(1)).unix_ms == 5


@given(times, times, seeds)
def test_ids_order_by_the_time_they_were_minted(one: int, other: int, random: Random) -> None:
    if one != other:
        assert (NodeId.mint(one, random) < NodeId.mint(other, random)) is (one < other)


@given(node_ids.filter(lambda id: id.unix_ms < MAX_MS), seeds)
def test_an_id_minted_after_another_is_higher(other: NodeId, random: Random) -> None:
    assert NodeId.mint_after(other, random) > other


@given(seeds, st.integers(0, (1 << 80) - 2))
def test_an_id_above_a_forged_one_of_the_last_millisecond_does_not_wrap(random: Random, rest: int) -> None:
    forged = NodeId(((MAX_MS << 80) + rest).to_bytes(16))
    assert NodeId.mint_after(forged, random) > forged


def test_there_is_no_id_above_the_highest() -> None:
    highest = NodeId(b"\xff" * 16)
    assert NodeId.mint_after(highest, Random(1)) == highest


@given(node_ids)
def test_an_id_is_read_as_it_was_printed(id: NodeId) -> None:
    assert NodeId.parse(str(id)) == id
    assert repr(id) == f"NodeId('{id}')"


@pytest.mark.parametrize("text", ["", "gpu-7", "019a8f3e-7c00-7000-8000-00000000000"])
def test_what_is_no_uuid_is_no_id(text: str) -> None:
    with pytest.raises(ValueError, match="badly formed"):
        NodeId.parse(text)


@given(node_ids)
def test_an_id_survives_copying_and_hashes_as_its_bytes(id: NodeId) -> None:
    again = pickle.loads(pickle.dumps(id))  # noqa: S301 - our own bytes
    assert (again, type(again)) == (id, NodeId)
    assert hash(id) == hash(bytes(id))


# Tags

CHANGES: dict[str, Callable[[Tags], object]] = {
    "set": lambda tags: tags.__setitem__("a", "2"),
    "delete": lambda tags: tags.__delitem__("a"),
    "clear": lambda tags: tags.clear(),
    "pop": lambda tags: tags.pop("a"),
    "popitem": lambda tags: tags.popitem(),
    "setdefault": lambda tags: tags.setdefault("b", "1"),
    "update": lambda tags: tags.update(b="1"),
    "or": lambda tags: tags.__ior__({"b": "1"}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_tags_cannot_be_changed(change: str) -> None:
    tags = Tags(a="1")
    with pytest.raises(TypeError, match="tags are a value"):
        CHANGES[change](tags)
    assert tags == {"a": "1"}


@given(tags)
def test_tags_survive_copying(tags: Tags) -> None:
    for again in (pickle.loads(pickle.dumps(tags)), copy.copy(tags), copy.deepcopy(tags)):  # noqa: S301
        assert (again, type(again), hash(again)) == (tags, Tags, hash(tags))


@given(tags)
def test_equal_tags_hash_equally_in_any_order(tags: Tags) -> None:
    assert hash(Tags(reversed(tags.items()))) == hash(tags)


# States and members


def test_states_order_by_precedence_and_print_in_lower_case() -> None:
    assert [str(state) for state in sorted(MemberState)] == ["alive", "suspect", "dead", "left"]


def test_a_suspect_is_present_until_it_is_declared_dead() -> None:
    assert [state for state in MemberState if state.is_present] == [MemberState.ALIVE, MemberState.SUSPECT]


GPU = Member("gpu", NodeId(16), Address("192.0.2.1", 1), MemberState.ALIVE, 0, Tags(role="worker", zone="a"), 0.0)


def test_a_member_matches_tags_that_it_has() -> None:
    assert GPU.has_tags({})
    assert GPU.has_tags({"role": "worker"})
    assert GPU.has_tags({"role": "worker", "zone": "a"})
    assert not GPU.has_tags({"role": "worker", "zone": "b"})
    assert not GPU.has_tags({"rack": "1"})


def test_a_member_is_a_value() -> None:
    with pytest.raises(FrozenInstanceError):
        GPU.state = MemberState.DEAD  # type: ignore[misc]
    again = pickle.loads(pickle.dumps(GPU))  # noqa: S301 - our own bytes
    assert again == GPU
    assert hash(again) == hash(GPU)
