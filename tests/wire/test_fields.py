import pytest
from hypothesis import given

from shoal.types import Address, NodeInfo, Readiness, Tags
from shoal.wire.dialect import DecodeError, Flaw
from shoal.wire.fields import MAX_TAG_BYTES, read_address, read_info, write_address, write_info, write_tags
from shoal.wire.varint import write_varint
from tests.strategies import addresses, infos
from tests.strategies import tags as tag_sets
from tests.wire.examples import A

PORT = (7946).to_bytes(2)


def _flaw_of_address(data: bytes) -> Flaw:
    with pytest.raises(DecodeError) as caught:
        read_address(data, 0)
    return caught.value.flaw


def _host_name(name: bytes) -> bytes:
    return bytes((0, len(name))) + name + PORT


def _info(name: bytes = b"a", tags: bytes = b"\x00", readiness: int = 0) -> bytes:
    return A + bytes((readiness,)) + write_address(Address("192.0.2.1", 7946)) + bytes((len(name),)) + name + tags


def _tags(*texts: bytes) -> bytes:
    return write_varint(len(texts) // 2) + b"".join(write_varint(len(text)) + text for text in texts)


def _assert_bad(info: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        read_info(info, 0)
    assert caught.value.flaw is Flaw.BAD_VALUE


@given(addresses)
def test_an_address_is_read_as_it_was_written(address: Address) -> None:
    written = write_address(address)
    assert read_address(b"\xff" + written + b"\xff", 1) == (address, 1 + len(written))


@given(addresses)
def test_an_address_that_is_read_prints_and_parses_as_itself(address: Address) -> None:
    read, _ = read_address(write_address(address), 0)
    assert Address.parse(str(read)) == read


def test_the_zone_of_an_address_stays_on_its_machine() -> None:
    assert read_address(write_address(Address("fe80::1%eth0", 1)), 0)[0] == Address("fe80::1", 1)


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "gpu.example"])
def test_port_zero_is_refused_in_every_family(host: str) -> None:
    assert _flaw_of_address(write_address(Address(host, 0))) is Flaw.BAD_VALUE


@pytest.mark.parametrize("family", [1, 2, 3, 5, 7, 255])
def test_an_unknown_family_is_refused(family: int) -> None:
    assert _flaw_of_address(bytes((family,)) + bytes(18)) is Flaw.BAD_VALUE


@pytest.mark.parametrize(
    "name",
    [
        b"",
        b".",
        b"a..b",
        b".a",
        b"-a",
        b"a-",
        b"a b",
        b"a:1",
        b"[::1]",
        b"::1",
        b"192.0.2.1",
        b"127.1",
        b"2130706433",
        b"GPU",
        b"a\n",
        b"a\x00",
        b"a" * 64,
        b".".join([b"a" * 63] * 4),
    ],
)
def test_what_is_no_host_name_is_refused_as_one(name: bytes) -> None:
    assert _flaw_of_address(_host_name(name)) is Flaw.BAD_VALUE


def test_a_host_name_of_other_letters_than_ascii_is_refused() -> None:
    with pytest.raises(UnicodeDecodeError):
        read_address(_host_name("größe".encode()), 0)


@pytest.mark.parametrize("name", [b"a", b"a.", b"_srv.gpu-1.example", b"1a", b".".join([b"a" * 62] * 4)])
def test_host_names_are_taken(name: bytes) -> None:
    assert read_address(_host_name(name), 0)[0].host == name.decode()


@given(infos)
def test_an_info_is_read_as_it_was_written(info: NodeInfo) -> None:
    written = write_info(info)
    assert read_info(b"\xff" + written + b"\xff", 1) == (info, 1 + len(written))


@pytest.mark.parametrize("name", ["x" * 128, "ü" * 64, "a b", "节点", "🐟"])
def test_names_of_up_to_128_bytes_are_taken(name: str) -> None:
    assert read_info(_info(name.encode()), 0)[0].name == name


@pytest.mark.parametrize("readiness", Readiness)
def test_every_readiness_is_taken(readiness: Readiness) -> None:
    assert read_info(_info(readiness=readiness), 0)[0].readiness is readiness


def test_an_unknown_readiness_is_refused() -> None:
    _assert_bad(_info(readiness=3))


@pytest.mark.parametrize("name", ["", "x" * 129])
def test_names_that_are_empty_or_too_long_are_refused(name: str) -> None:
    _assert_bad(_info(name.encode()))


@pytest.mark.parametrize("character", "\x00\x1b\n\r\t\x7f\x85\x9b\u2028\u2029\u202e\u2066")
def test_names_that_could_forge_a_log_line_are_refused(character: str) -> None:
    _assert_bad(_info(f"a{character}b".encode()))


@given(tag_sets)
def test_equal_tags_are_equal_bytes(tags: Tags) -> None:
    backwards = dict(reversed(tags.items()))
    assert write_tags(backwards) == write_tags(tags)


def test_tags_whose_keys_do_not_ascend_are_refused() -> None:
    _assert_bad(_info(tags=_tags(b"b", b"1", b"a", b"2")))


def test_tags_with_a_key_twice_are_refused() -> None:
    _assert_bad(_info(tags=_tags(b"a", b"1", b"a", b"2")))


def test_the_largest_tag_set_is_taken_and_the_next_larger_refused() -> None:
    overhead = len(_tags(b"k", b"v" * 20_000)) - 20_000
    largest = _tags(b"k", b"v" * (MAX_TAG_BYTES - overhead))
    assert len(largest) == MAX_TAG_BYTES
    assert read_info(_info(tags=largest), 0)[0].tags == {"k": "v" * (MAX_TAG_BYTES - overhead)}
    _assert_bad(_info(tags=_tags(b"k", b"v" * (MAX_TAG_BYTES - overhead + 1))))


def test_many_small_tags_are_bounded_in_sum() -> None:
    keys = [f"{number:05}".encode() for number in range(5_000)]
    _assert_bad(_info(tags=_tags(*(text for key in keys for text in (key, b"")))))
