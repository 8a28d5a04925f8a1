import struct
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shoal.state import precedence
from shoal.types import Address, MemberState, Tags
from shoal.wire.compression import compress
from shoal.wire.dialect import DecodeError, Dialect, Flaw
from shoal.wire.fields import read_info
from shoal.wire.messages import (
    Ack,
    Alive,
    Left,
    Message,
    Ping,
    PingRequest,
    Repeated,
    SyncRecord,
    SyncRequest,
    SyncResponse,
    Update,
)
from shoal.wire.native import MAX_AGE, MAX_INCARNATION, MAX_TIMEOUT, NativeDialect
from shoal.wire.varint import write_varint
from tests.rows import rows
from tests.strategies import messages, packet_messages, sync_records, tags, updates
from tests.wire.examples import CLUSTER, DIGEST, GPU_1, MESSAGES, SEQ, UPDATES, A, B, encode, encodings

DIALECT = NativeDialect(CLUSTER)
ACK = DIALECT.encode(MESSAGES["ack"])
PING = DIALECT.encode(MESSAGES["ping"])
LEFT = DIALECT.encode_update(UPDATES["left"])
EMPTY_SYNC = DIALECT.encode(SyncRequest(SEQ, DIGEST, A, False, [], rows()))
ROW = DIALECT.encode(SyncRequest(SEQ, DIGEST, A, False, [], rows(SyncRecord(GPU_1, MemberState.ALIVE, 0, 0.0))))[41:]
RECORD = ROW[6:]
"""Behind the three columns of one byte and its width each."""


def _without_testimonies(message: SyncResponse) -> bytes:
    return DIALECT.encode(replace(message, rows=replace(message.rows, testimonies={})))


def _sync(count: int, columns: bytes) -> bytes:
    return EMPTY_SYNC[:40] + write_varint(count) + columns


def _flaw(data: bytes) -> Flaw:
    with pytest.raises(DecodeError) as caught:
        DIALECT.decode(data)
    return caught.value.flaw


def test_it_is_a_dialect() -> None:
    dialect: Dialect = DIALECT
    assert (dialect.packet_overhead, dialect.update_overhead) == (0, 0)


# There and back


@given(messages)
def test_a_message_is_decoded_as_it_was_encoded(message: Message) -> None:
    assert DIALECT.decode(DIALECT.encode(message)) == (message, ())


@given(packet_messages, st.lists(updates, min_size=1, max_size=8))
def test_updates_are_decoded_in_the_order_they_were_attached(message: Message, news: list[Update]) -> None:
    assert DIALECT.decode(encode(DIALECT, message, news)) == (message, news)


@given(updates, st.booleans())
def test_an_alive_with_a_record_that_the_reader_holds_comes_as_a_repeated_one(update: Update, same: bool) -> None:
    packet = encode(DIALECT, Ack(1, 2, A), [update, UPDATES["left"]])
    held: dict[bytes, bytes] = {}
    if isinstance(update, Alive):
        info = update.info if same else replace(update.info, tags=Tags({**update.info.tags, "more": "of them"}))
        held[info.id] = DIALECT.records.pack(info)
    _, [first, second] = DIALECT.decode(packet, lambda id: held.get(id, b""))
    if isinstance(update, Alive) and same:
        assert first == Repeated(update.info.id, update.incarnation)
    else:
        assert first == update
    assert second == UPDATES["left"]


def test_a_repeated_alive_is_nothing_to_send() -> None:
    with pytest.raises(TypeError):
        DIALECT.encode_update(Repeated(A, 0))


@given(updates)
def test_an_alive_that_was_read_is_written_as_it_was(update: Update) -> None:
    data = DIALECT.encode_update(update)
    _, [read] = DIALECT.decode(DIALECT.attach(DIALECT.encode(Ack(1, 2, A)), [data]))
    assert DIALECT.encode_update(read) == data
    assert (read, repr(read)[:5]) == (update, repr(update)[:5])


@given(packet_messages, st.lists(updates, max_size=8))
def test_attaching_adds_the_overhead_that_the_dialect_declares(message: Message, news: list[Update]) -> None:
    packet, parts = DIALECT.encode(message), [DIALECT.encode_update(update) for update in news]
    overhead = DIALECT.packet_overhead + DIALECT.update_overhead * len(parts)
    assert len(DIALECT.attach(packet, parts)) == len(packet) + sum(map(len, parts)) + overhead


@given(tags)
def test_the_size_of_tags_is_what_they_add_to_a_message(tags: Tags) -> None:
    def size(tags: Tags) -> int:
        return len(DIALECT.encode_update(Alive(replace(GPU_1, tags=tags), 0)))

    assert DIALECT.tags_size(tags) - DIALECT.tags_size(Tags()) == size(tags) - size(Tags())


def test_tags_without_utf8_have_no_size() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        DIALECT.tags_size({"key": "\ud800"})


@given(st.floats(0, 1e6))
def test_an_age_never_shrinks_on_its_way(age: float) -> None:
    message, _ = DIALECT.decode(
        DIALECT.encode(SyncResponse(0, 0, A, False, [], [], rows(SyncRecord(GPU_1, MemberState.LEFT, 0, age))))
    )
    assert isinstance(message, SyncResponse)
    assert 0 <= message.rows.ages[0] - age <= 1


@pytest.mark.parametrize("age", [MAX_AGE, MAX_AGE + 1, 1e300, float("inf")])
def test_an_age_above_the_limit_is_sent_as_the_limit(age: float) -> None:
    message, _ = DIALECT.decode(
        DIALECT.encode(SyncResponse(0, 0, A, False, [], [], rows(SyncRecord(GPU_1, MemberState.LEFT, 0, age))))
    )
    assert isinstance(message, SyncResponse)
    assert message.rows.ages[0] == MAX_AGE


@pytest.mark.parametrize(("timeout", "sent"), [(0.0, 0.0), (0.0304, 0.03), (0.57, 0.57), (1e9, MAX_TIMEOUT)])
def test_a_timeout_is_sent_in_whole_milliseconds_up_to_its_limit(timeout: float, sent: float) -> None:
    message, _ = DIALECT.decode(DIALECT.encode(PingRequest(1, 2, A, B, Address("192.0.2.1", 1), timeout)))
    assert isinstance(message, PingRequest)
    assert message.timeout == sent


# Whatever comes in


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda noise: ACK + noise))
@example(b"")
def test_noise_is_a_message_or_a_decode_error(noise: bytes) -> None:
    _assert_total_and_canonical(noise)


@given(messages, st.lists(updates, max_size=3), st.data())
def test_a_damaged_packet_is_a_message_or_a_decode_error(
    message: Message, news: list[Update], data: st.DataObject
) -> None:
    packet = encode(DIALECT, message, news)
    at = data.draw(st.integers(0, len(packet)))
    cut = data.draw(st.integers(0, 4))
    noise = data.draw(st.binary(max_size=4))
    _assert_total_and_canonical(packet[:at] + noise + packet[at + cut :])


def _assert_total_and_canonical(data: bytes) -> None:
    try:
        message, news = DIALECT.decode(data)
    except DecodeError:
        return
    assert encode(DIALECT, message, news) == data


@pytest.mark.parametrize("packet", encodings(DIALECT))
def test_a_prefix_is_never_read_past_its_end(packet: bytes) -> None:
    """Cut off anywhere: a packet is too short, truncated, or ends between two updates."""
    for end in range(len(packet)):
        _assert_total_and_canonical(packet[:end])


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_cut_off_anywhere_is_too_short_or_truncated(name: str) -> None:
    message = MESSAGES[name]
    packet = DIALECT.encode(message)
    for end in range(len(packet)):
        if isinstance(message, SyncResponse) and packet[:end] == _without_testimonies(message):
            continue  # Rows that need none have none.
        assert _flaw(packet[:end]) is (Flaw.TOO_SHORT if end < 38 else Flaw.TRUNCATED)


@pytest.mark.parametrize("name", UPDATES)
def test_an_update_cut_off_anywhere_is_truncated(name: str) -> None:
    update = DIALECT.encode_update(UPDATES[name])
    for end in range(1, len(update)):
        assert _flaw(ACK + update[:end]) is Flaw.TRUNCATED


# Every flaw by name


@pytest.mark.parametrize("size", [0, 1, 6, 37])
def test_less_than_a_header_is_too_short(size: int) -> None:
    assert _flaw(ACK[:size]) is Flaw.TOO_SHORT


@pytest.mark.parametrize("version", [0, 2, 255])
def test_another_version_is_unknown_whatever_follows(version: int) -> None:
    assert _flaw(bytes((version,)) + b"\xff" * 37) is Flaw.UNKNOWN_VERSION


def test_a_packet_of_another_cluster_is_foreign() -> None:
    assert _flaw(NativeDialect("other").encode(Ack(SEQ, DIGEST, A))) is Flaw.FOREIGN_CLUSTER


@pytest.mark.parametrize("kind", [0, 99, 255])
def test_a_type_without_meaning_is_unknown(kind: int) -> None:
    assert _flaw(ACK[:1] + bytes((kind,)) + ACK[2:]) is Flaw.UNKNOWN_TYPE


@pytest.mark.parametrize("kind", [0, 13, 255])
def test_an_update_of_unknown_kind_rejects_the_packet(kind: int) -> None:
    assert _flaw(ACK + LEFT + bytes((kind,)) + LEFT) is Flaw.UNKNOWN_TYPE


def test_a_payload_that_is_longer_than_the_packet_is_truncated() -> None:
    packet = DIALECT.encode(MESSAGES["user message"])
    assert _flaw(packet[:38] + b"\x06" + packet[40:]) is Flaw.TRUNCATED


@pytest.mark.parametrize("count", [3, 127, 2**32 - 1])
def test_a_count_that_the_message_has_no_room_for_is_truncated(count: int) -> None:
    assert _flaw(_sync(count, ROW)) is Flaw.TRUNCATED


@pytest.mark.parametrize("sync", [_sync(0, b"\x00"), _sync(1, ROW + RECORD), _sync(1, ROW + LEFT)])
def test_nothing_may_follow_the_rows_of_a_sync(sync: bytes) -> None:
    assert _flaw(sync) is Flaw.TRAILING_BYTES


@pytest.mark.parametrize("column", [b"\x03\0\0\0", b"\x02\0\0", b"\x00", b"\x08\0\x04\0\0\0\0\0\0"])
def test_a_column_has_one_form_and_its_values_a_limit(column: bytes) -> None:
    assert _flaw(_sync(1, column + ROW[2:])) is Flaw.BAD_VALUE


def test_an_incarnation_above_the_limit_is_a_bad_value() -> None:
    good = DIALECT.encode_update(Left(B, MAX_INCARNATION))
    assert DIALECT.decode(ACK + good)[1] == [Left(B, MAX_INCARNATION)]
    assert _flaw(ACK + DIALECT.encode_update(Left(B, MAX_INCARNATION + 1))) is Flaw.BAD_VALUE


def test_the_table_holds_every_incarnation_that_can_be_sent_and_no_other() -> None:
    assert precedence.MAX_INCARNATION == MAX_INCARNATION


def test_a_timeout_above_the_limit_is_a_bad_value() -> None:
    request = DIALECT.encode(PingRequest(1, 2, A, B, Address("192.0.2.1", 1), 0.0))[:-1]
    assert _flaw(request + write_varint(3_600_001)) is Flaw.BAD_VALUE


def test_an_age_above_the_limit_is_a_bad_value() -> None:
    assert _flaw(_sync(1, ROW[:2] + b"\x08" + (2**32).to_bytes(8) + ROW[4:])) is Flaw.BAD_VALUE


@pytest.mark.parametrize(
    ("part", "other"),
    [
        (b"gpu-1", b"gpu-\xff"),
        (b"gpu-1", b"gpu\n1"),
        (b"role", b"rol\xff"),
        (bytes(A) + b"\x00", bytes(A) + b"\x09"),
        (b"\x1f\x0a", b"\x00\x00"),
        (b"role", b"zzzz"),
    ],
    ids=["name", "line", "tag", "readiness", "port", "order of tags"],
)
def test_what_a_record_must_not_hold_is_a_bad_value(part: bytes, other: bytes) -> None:
    assert RECORD.count(part) == 1
    assert _flaw(_sync(1, ROW[:6] + RECORD.replace(part, other))) is Flaw.BAD_VALUE


def test_an_id_is_in_a_view_once() -> None:
    twice = b"\x01\0\0\x01\0\0" + ROW[4:6] + ROW[5:6] + 2 * RECORD
    assert _flaw(_sync(2, twice)) is Flaw.BAD_VALUE


@given(st.lists(sync_records, min_size=1, max_size=4, unique_by=lambda record: record.info.id), st.data())
def test_many_records_at_once_are_checked_as_strictly_as_each(some: list[SyncRecord], data: st.DataObject) -> None:
    view = rows(*some)
    number = data.draw(st.integers(0, len(some) - 1))
    record = bytearray(view.records[number])
    record[data.draw(st.integers(16, len(record) - 1))] = data.draw(st.integers(0, 255))
    view.records[number] = bytes(record)
    packet = DIALECT.encode(SyncRequest(SEQ, DIGEST, A, False, [], view))
    try:
        is_good = read_info(bytes(record), 0)[1] == len(record)
    except (DecodeError, IndexError, struct.error, UnicodeDecodeError):
        is_good = False
    if is_good:
        assert DIALECT.decode(packet)[0] == SyncRequest(SEQ, DIGEST, A, False, [], view)
    else:
        with pytest.raises(DecodeError):
            DIALECT.decode(packet)


# Compressed


@pytest.mark.parametrize("name", ["sync request", "sync response"])
def test_a_compressed_message_is_read_as_the_message(name: str) -> None:
    assert DIALECT.decode_stream(DIALECT.compress(DIALECT.encode(MESSAGES[name]))) == (MESSAGES[name], ())


def test_a_compressed_message_in_a_datagram_is_not_even_opened() -> None:
    assert _flaw(DIALECT.compress(EMPTY_SYNC)) is Flaw.UNKNOWN_TYPE


def _flaw_in_stream(data: bytes) -> Flaw:
    with pytest.raises(DecodeError) as failure:
        DIALECT.decode_stream(data)
    return failure.value.flaw


def _compressed(size: int, content: bytes) -> bytes:
    return EMPTY_SYNC[:1] + b"\x0a" + EMPTY_SYNC[2:6] + write_varint(size) + content


@pytest.mark.parametrize(
    "data",
    [
        _compressed(len(EMPTY_SYNC) + 1, compress(EMPTY_SYNC)),
        _compressed(len(EMPTY_SYNC) - 1, compress(EMPTY_SYNC)),
        _compressed(len(EMPTY_SYNC), compress(EMPTY_SYNC)[:-1]),
        _compressed(len(EMPTY_SYNC), compress(EMPTY_SYNC) + b"\x00"),
        _compressed(len(EMPTY_SYNC), EMPTY_SYNC),
        _compressed(1 << 27, compress(bytes(1 << 27))),
    ],
    ids=["larger", "smaller", "cut off", "followed", "plain", "bomb"],
)
def test_what_does_not_decompress_to_just_the_announced_size_or_to_too_much_is_a_bad_value(data: bytes) -> None:
    assert _flaw_in_stream(data) is Flaw.BAD_VALUE


def test_nothing_is_compressed_twice() -> None:
    assert _flaw_in_stream(DIALECT.compress(DIALECT.compress(EMPTY_SYNC))) is Flaw.UNKNOWN_TYPE


# The cluster's name


@given(st.text(min_size=1, max_size=40), st.text(min_size=1, max_size=40))
def test_only_a_cluster_of_the_same_name_understands(one: str, other: str) -> None:
    ping = Ping(SEQ, DIGEST, A, B)
    packet = NativeDialect(one).encode(ping)
    if one == other:
        assert NativeDialect(other).decode(packet) == (ping, ())
    else:
        with pytest.raises(DecodeError) as caught:
            NativeDialect(other).decode(packet)
        assert caught.value.flaw is Flaw.FOREIGN_CLUSTER
