"""The bytes in docs/protocol.md are the bytes that the native dialect writes and reads."""

import re
from pathlib import Path

import pytest

from shoal.wire.dialect import DecodeError, Flaw
from shoal.wire.native import NativeDialect
from tests.wire.examples import CLUSTER, MESSAGES, PACKETS, UPDATES, encode

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")
DIALECT = NativeDialect(CLUSTER)


def _vector(block: str) -> bytes:
    return bytes.fromhex("".join(line.split("  ", 1)[0] for line in block.splitlines()))


_BLOCK = re.compile(r"^#### ([^\n]+)\n\n```hex\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_REJECTED_ROW = re.compile(r"^\| (.+) \| `(\w+)` \| `([0-9a-f]+)` \|$", re.MULTILINE)

VECTORS = {name: _vector(block) for name, block in _BLOCK.findall(PAGE)}
REJECTED = _REJECTED_ROW.findall(PAGE)


def test_every_example_has_a_vector_and_every_vector_an_example() -> None:
    assert list(VECTORS) == [*MESSAGES, *PACKETS, *UPDATES]


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_is_written_and_read_as_its_vector_says(name: str) -> None:
    assert DIALECT.encode(MESSAGES[name]).hex() == VECTORS[name].hex()
    assert DIALECT.decode(VECTORS[name]) == (MESSAGES[name], ())


@pytest.mark.parametrize("name", PACKETS)
def test_a_packet_is_written_and_read_as_its_vector_says(name: str) -> None:
    message, updates = PACKETS[name]
    assert encode(DIALECT, message, updates).hex() == VECTORS[name].hex()
    assert DIALECT.decode(VECTORS[name]) == (message, updates)


@pytest.mark.parametrize("name", UPDATES)
def test_an_update_is_written_and_read_as_its_vector_says(name: str) -> None:
    assert DIALECT.encode_update(UPDATES[name]).hex() == VECTORS[name].hex()
    assert DIALECT.decode(VECTORS["gossip"] + VECTORS[name]) == (MESSAGES["gossip"], [UPDATES[name]])


def test_the_page_has_rejected_bytes_for_every_flaw() -> None:
    assert {flaw for _, flaw, _ in REJECTED} == set(Flaw)


@pytest.mark.parametrize(("what", "flaw", "data"), REJECTED, ids=[what for what, _, _ in REJECTED])
def test_what_the_page_calls_rejected_is_rejected_for_that_flaw(what: str, flaw: str, data: str) -> None:
    with pytest.raises(DecodeError) as caught:
        DIALECT.decode(bytes.fromhex(data))
    assert caught.value.flaw == flaw
