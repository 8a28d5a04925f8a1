"""The sealed messages in docs/protocol.md are those that are written and read."""

import re
from pathlib import Path

import pytest

from shoal.keys import ClusterKey
from shoal.wire.envelope import OVERHEAD, Channel, Opener, Sealer, SealFlaw
from shoal.wire.keyring import Keyring
from shoal.wire.seals import Suite

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")
KEY = ClusterKey(bytes(range(32)))
SALT = bytes(range(0xA0, 0xB0))
NOW = 1_800_000_000

VECTORS = [
    (Suite(int(suite)), Channel(int(channel)), bytes.fromhex(data))
    for suite, channel, data in re.findall(r"^\| (\d), (\d)[^|]* \| `([0-9a-f]+)` \|$", PAGE, re.MULTILINE)
]
REQUEST = next(data for _, channel, data in VECTORS if channel is Channel.REQUEST)


def test_the_page_has_a_vector_for_every_suite_and_direction() -> None:
    assert {suite for suite, _, _ in VECTORS} == set(Suite)
    assert {channel for _, channel, _ in VECTORS} == {
        Channel.DATAGRAM,
        Channel.REQUEST,
        Channel.REPLY,
        Channel.CHALLENGE,
    }


@pytest.mark.parametrize(("suite", "channel", "data"), VECTORS)
def test_a_message_is_sealed_and_opened_as_its_vector_says(suite: Suite, channel: Channel, data: bytes) -> None:
    ring = Keyring([KEY])
    bound = REQUEST[-16:] if channel in (Channel.REPLY, Channel.CHALLENGE) else b""
    sealer = Sealer(ring, "shoal", suite, channel, lambda _: SALT)
    assert sealer.seal(b"hello", NOW, bound=bound).hex() == data.hex()
    opener = Opener(ring, "shoal", max_age=60, max_senders=10)
    assert opener.open(data, channel, NOW, bound=bound)[0] == b"hello"


def test_the_page_states_the_overhead_the_key_id_and_every_flaw() -> None:
    assert f"Sealing adds **{OVERHEAD} bytes**" in PAGE
    assert f"its id `{KEY.id}`" in PAGE
    assert all(f"| `{flaw}` |" in PAGE for flaw in SealFlaw)
