from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.keys import ClusterKey, KeyId
from shoal.wire.envelope import LINE_SIZE, Position
from shoal.wire.key_messages import (
    KeyMessageError,
    KeyOperation,
    KeyReply,
    KeyRequest,
    decode_proof,
    decode_reply,
    decode_request,
    encode_proof,
    encode_reply,
    encode_request,
)
from shoal.wire.keyring import MAX_KEYS
from shoal.wire.seals import Suite

KEY = ClusterKey(bytes(range(32)))

ids = st.binary(min_size=4, max_size=4).map(KeyId)
replies = st.builds(
    KeyReply, st.lists(ids, min_size=1, max_size=MAX_KEYS).map(tuple), st.sampled_from(Suite), st.text(max_size=200)
)

numbers = st.integers(0, 2**32 - 1)
positions = st.builds(Position, st.binary(min_size=LINE_SIZE, max_size=LINE_SIZE), numbers, numbers)

REQUESTS = [
    KeyRequest(KeyOperation.LIST),
    KeyRequest(KeyOperation.INSTALL, key=KEY),
    KeyRequest(KeyOperation.USE, id=KEY.id),
    KeyRequest(KeyOperation.REMOVE, id=KEY.id),
    KeyRequest(KeyOperation.PROVE),
    KeyRequest(KeyOperation.LEAVE),
    KeyRequest(KeyOperation.LEAVE, shown=b"who I am"),
    KeyRequest(KeyOperation.INSTALL, key=KEY, shown=b"who I am"),
    KeyRequest(KeyOperation.USE, id=KEY.id, shown=b"who I am"),
    KeyRequest(KeyOperation.HAND_OVER, key=KEY),
    KeyRequest(KeyOperation.HAND_OVER, key=KEY, shown=b"who I am"),
]


@pytest.mark.parametrize("request_", REQUESTS)
def test_a_request_is_read_as_it_was_written(request_: KeyRequest) -> None:
    assert decode_request(encode_request(request_)) == request_


@given(replies)
def test_a_reply_is_read_as_it_was_written(reply: KeyReply) -> None:
    assert decode_reply(encode_reply(reply)) == reply


@given(st.lists(positions, min_size=1, max_size=8).map(tuple))
def test_a_proof_is_read_as_it_was_written(proof: tuple[Position, ...]) -> None:
    assert decode_proof(encode_proof(proof)) == proof


@pytest.mark.parametrize("data", [b"", bytes(28), bytes(30), bytes(9 * 29)])
def test_what_is_no_proof_is_refused(data: bytes) -> None:
    with pytest.raises(KeyMessageError):
        decode_proof(data)


@pytest.mark.parametrize("data", [b"", b"\4x", b"\6", b"\0x", b"\1" + bytes(31), b"\2abc", b"\3", b"\5" + bytes(2049)])
def test_what_is_no_request_is_refused(data: bytes) -> None:
    with pytest.raises(KeyMessageError):
        decode_request(data)


@pytest.mark.parametrize("data", [b"", b"\1", b"\0\1abcd", b"\1\0", b"\1\x11" + bytes(68), b"\1\2abcd"])
def test_what_is_no_reply_is_refused(data: bytes) -> None:
    with pytest.raises(KeyMessageError):
        decode_reply(data)


@given(st.binary(max_size=100))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    for decode in (decode_request, decode_reply, decode_proof):
        with suppress(KeyMessageError):
            decode(data)
