"""The native dialect, version 1: docs/protocol.md says byte for byte what is written and read here.

Ids and fixed fields come first in every layout, so that one precompiled `Struct` reads them; what varies in size
follows. The first six bytes (version, type, cluster) are the same for all messages of a type: one look-up checks them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from math import ceil
from struct import Struct
from typing import Final

from shoal.records import RecordCodec
from shoal.types import MemberState, NodeId
from shoal.wire.columns import MAX_AGE, read_snapshot, write_snapshot
from shoal.wire.compression import CAN_COMPRESS, compress, decompress
from shoal.wire.dialect import DecodeError, Flaw, RecordOf
from shoal.wire.fields import (
    MIN_INFO_SIZE,
    info_end,
    read_address,
    read_bytes,
    write_address,
    write_info,
    write_tags,
)
from shoal.wire.messages import (
    MAX_ACCUSERS,
    Ack,
    Alive,
    Compare,
    Dead,
    Gossip,
    Left,
    Message,
    Nack,
    Ping,
    PingRequest,
    Repeated,
    Stall,
    Suspect,
    SyncRequest,
    SyncResponse,
    Update,
    UserBroadcast,
    UserMessage,
    Witness,
)
from shoal.wire.ranges import read_ranges, write_ranges
from shoal.wire.records import NativeRecords
from shoal.wire.varint import read_varint, write_varint
from shoal.wire.witnesses import MAX_WITNESSES, SIGNATURE_SIZE, WITNESS_SIZE, read_witnesses, write_witnesses

__all__ = [
    "MAX_AGE",
    "MAX_INCARNATION",
    "MAX_MEMBERS",
    "MAX_STALL",
    "MAX_STEPS",
    "MAX_TIMEOUT",
    "STALL_PROOF_SIZE",
    "VERSION",
    "NativeDialect",
]

VERSION: Final = 1
MAX_INCARNATION: Final = (1 << 48) - 1
"""Highest incarnation that can be sent: ten a second for 890,000 years."""
MAX_TIMEOUT: Final = 3600.0
"""Seconds. Longest timeout that a ping request can carry; a longer one is sent as this."""

MAX_STALL: Final = 3600.0
"""Seconds. Longest stall that can be declared; a longer one is sent as this."""
STALL_PROOF_SIZE: Final = 2 + SIGNATURE_SIZE
"""Bytes of a declared stall's proof: for how many seconds it was declared, and the signature."""

MAX_MEMBERS: Final = (1 << 32) - 1
"""How many members a comparison can count."""
MAX_STEPS: Final = 255
"""How many further answers a comparison can ask for."""

_MAX_TIMEOUT_MS: Final = int(MAX_TIMEOUT * 1000)
_MAX_AGE_MS: Final = (1 << 16) - 1
_MAX_OTHERS: Final = 255
_MAX_NUMBER: Final = (1 << 64) - 1
_MAX_SIZE: Final = (1 << 32) - 1

# What `unpack_from` reads leaves out the prefix of a message and the kind of an update, which are known by then.
_HEADER = Struct(">6sQQ16s")
_HEADER_FIELDS = Struct(">6xQQ16s").unpack_from
_TARGETED = Struct(">6sQQ16s16s")
_TARGETED_FIELDS = Struct(">6xQQ16s16s").unpack_from
_DEATH = Struct(">B16s16s")
# With the first byte of the incarnation, which nearly always is the only one.
_DEATH_FIELDS = Struct(">x16s16sB").unpack_from
_SUSPICION = Struct(">B16sH")
_SUSPICION_FIELDS = Struct(">x16sH").unpack_from
_AGE = Struct(">H")
_SUBJECT = Struct(">B16s")
_SUBJECT_FIELDS = Struct(">x16s").unpack_from

_PREFIX_SIZE: Final = 6
_COMPRESSED: Final = 10
_MOST_DECOMPRESSED: Final = 1 << 28
_MOST_GAIN: Final = 64
"""How many times as large as its compressed form a message may be; whole views are three to ten times as large."""
_HEADER_SIZE: Final = _HEADER.size
_TARGETED_SIZE: Final = _TARGETED.size
_DEATH_FIELDS_SIZE: Final = _DEATH.size + 1
_SUSPICION_SIZE: Final = _SUSPICION.size
_AGE_AT: Final = _SUSPICION_SIZE - _AGE.size
_SUBJECT_SIZE: Final = _SUBJECT.size
_MIN_RECORD_SIZE: Final = 3 + MIN_INFO_SIZE  # and one byte each for state, incarnation and age

_ALIVE: Final = 1
_ALIVE_KIND: Final = bytes((_ALIVE,))
_SUSPECT: Final = 2
_DEAD: Final = 3
_LEFT: Final = 4
_USER_BROADCAST: Final = 5
_STALL: Final = 6
_SUSPECT_STALLED: Final = 7
_SUSPECT_SIGNED: Final = 8
_SUSPECT_STALLED_SIGNED: Final = 9
_DEAD_SIGNED: Final = 10
_LEFT_SIGNED: Final = 11
_STALL_SIGNED: Final = 12

_MessageReader = Callable[[bytes], tuple[Message, int]]
_UpdateReader = Callable[[bytes, int], tuple[Update, int]]

_STATES: Final = {int(state): state for state in MemberState}


_RECORDS: Final = NativeRecords()


class NativeDialect:
    """The native wire format of one cluster; implements `Dialect`.

    Encoding trusts its caller: a value outside the limits of docs/protocol.md is a mistake in the core, and raises
    `ValueError` or `struct.error` or makes bytes that no receiver takes. Ages and timeouts are cut down to theirs.
    """

    records: RecordCodec = _RECORDS
    can_compress = CAN_COMPRESS
    packet_overhead = 0
    update_overhead = 0

    def __init__(self, cluster: str) -> None:
        self._cluster = blake2b(cluster.encode()).digest()[:4]
        self._prefixes = {kind: bytes((VERSION, number)) + self._cluster for kind, (number, _) in _MESSAGES.items()}
        self._compressed = bytes((VERSION, _COMPRESSED)) + self._cluster
        self._readers = {self._prefixes[kind]: read for kind, (_, read) in _MESSAGES.items()}

    def encode(self, message: Message) -> bytes:
        """The packet or stream message without updates."""
        prefix = self._prefixes[type(message)]
        if isinstance(message, Ping):  # by far the most frequent, with their answers
            return _TARGETED.pack(prefix, message.seq, message.digest, message.sender, message.target)
        header = _HEADER.pack(prefix, message.seq, message.digest, message.sender)
        match message:
            case Ack() | Nack() | Gossip():
                return header
            case PingRequest():
                timeout = min(round(message.timeout * 1000), _MAX_TIMEOUT_MS)
                return b"".join((header, message.target, write_address(message.address), write_varint(timeout)))
            case UserMessage():
                return b"".join((header, write_varint(len(message.payload)), message.payload))
            case Compare():
                ranges = write_ranges(message.ranges)
                return b"".join((header, write_varint(message.members), write_varint(message.steps), ranges))
            case SyncRequest():
                takes, ranges = bytes((message.takes_compressed,)), write_ranges(message.ranges)
                return b"".join((header, takes, ranges, write_snapshot(message.rows)))
            case SyncResponse():
                takes, ranges = bytes((message.takes_compressed,)), write_ranges(message.ranges)
                others = (write_varint(len(message.others)), *map(write_address, message.others))
                return b"".join((header, takes, ranges, *others, write_snapshot(message.rows)))

    def encode_update(self, update: Update) -> bytes:
        """One update, to be attached to any number of packets."""
        match update:
            case Alive():
                return self.encode_alive(update.record or write_info(update.info), update.incarnation)
            case Repeated():
                raise TypeError("a Repeated has no record to send; send an Alive")
            case Suspect():
                return _write_suspect(update)
            case Dead() if update.witnesses:
                head = _DEATH.pack(_DEAD_SIGNED, update.id, update.accuser)
                return b"".join((head, write_varint(update.incarnation), *_write_witnesses(update.witnesses)))
            case Dead():
                return _DEATH.pack(_DEAD, update.id, update.accuser) + write_varint(update.incarnation)
            case Left():
                kind = _LEFT_SIGNED if update.signature else _LEFT
                return b"".join((_SUBJECT.pack(kind, update.id), write_varint(update.incarnation), update.signature))
            case UserBroadcast():
                number, size = write_varint(update.number), write_varint(len(update.payload))
                return b"".join((_SUBJECT.pack(_USER_BROADCAST, update.origin), number, size, update.payload))
            case Stall():
                head = _SUBJECT.pack(_STALL_SIGNED if update.proof else _STALL, update.id)
                seconds = write_varint(ceil(min(update.seconds, MAX_STALL)))
                return b"".join((head, write_varint(update.number), seconds, update.proof))

    def encode_alive(self, record: bytes, incarnation: int) -> bytes:
        """The same as `encode_update` of an `Alive`, from a record."""
        return b"".join((_ALIVE_KIND, write_varint(incarnation), record))

    def aged(self, suspect: bytes, age: float) -> bytes:
        """An encoded `Suspect`, with whatever updates follow it, as it is `age` seconds after it began."""
        return b"".join((suspect[:_AGE_AT], _write_age(age), suspect[_SUSPICION_SIZE:]))

    def compress(self, data: bytes) -> bytes:
        """A message of `encode` in fewer bytes, for a peer that takes that. Only where `can_compress`."""
        packed = compress(data)
        return b"".join((data[:1], bytes((_COMPRESSED,)), data[2:_PREFIX_SIZE], write_varint(len(data)), packed))

    def attach(self, packet: bytes, updates: Sequence[bytes]) -> bytes:
        """`packet` followed by `updates`. A sync message takes none."""
        return packet + b"".join(updates)

    def tags_size(self, tags: Mapping[str, str]) -> int:
        """Bytes that `tags` take in a message, the count included. Raises `ValueError` for text that has no UTF-8."""
        return len(write_tags(tags))

    def decode(self, data: bytes, record_of: RecordOf | None = None) -> tuple[Message, Sequence[Update]]:
        """Read a packet or stream message. Raises `DecodeError` for everything else, and nothing but that.

        An `Alive` whose record is just what `record_of` gives comes as `Repeated`, unread.

        All or nothing: one bad update rejects the whole packet. The time it takes is linear in the size of `data`.
        """
        read = self._readers.get(data[:_PREFIX_SIZE])
        if read is None:
            raise DecodeError(self._flaw_of_prefix(data))
        try:
            message, position = read(data)
            if position == len(data):
                return message, ()
            return message, _read_updates(data, position, record_of)
        except (IndexError, struct.error):
            raise DecodeError(Flaw.TRUNCATED if len(data) >= _HEADER_SIZE else Flaw.TOO_SHORT) from None
        except UnicodeDecodeError:
            raise DecodeError(Flaw.BAD_VALUE) from None

    def decode_stream(self, data: bytes) -> tuple[Message, Sequence[Update]]:
        """The same for what came over a stream, where alone a message may be compressed."""
        return self.decode(_decompress(data) if data[:_PREFIX_SIZE] == self._compressed else data)

    def _flaw_of_prefix(self, data: bytes) -> Flaw:
        if len(data) < _HEADER_SIZE:
            return Flaw.TOO_SHORT
        if data[0] != VERSION:
            return Flaw.UNKNOWN_VERSION
        if data[2:_PREFIX_SIZE] != self._cluster:
            return Flaw.FOREIGN_CLUSTER
        return Flaw.UNKNOWN_TYPE


# Messages: each reader gets the whole of the data and returns the message and the position behind it.


def _read_ping(data: bytes) -> tuple[Ping, int]:
    seq, digest, sender, target = _TARGETED_FIELDS(data)
    return Ping(seq, digest, NodeId(sender), NodeId(target)), _TARGETED_SIZE


def _bare_reader(make: Callable[[int, int, NodeId], Message]) -> _MessageReader:
    def read(data: bytes) -> tuple[Message, int]:
        seq, digest, sender = _HEADER_FIELDS(data)
        return make(seq, digest, NodeId(sender)), _HEADER_SIZE

    return read


def _read_ping_request(data: bytes) -> tuple[PingRequest, int]:
    seq, digest, sender, target = _TARGETED_FIELDS(data)
    address, position = read_address(data, _TARGETED_SIZE)
    milliseconds, position = read_varint(data, position, _MAX_TIMEOUT_MS)
    return PingRequest(seq, digest, NodeId(sender), NodeId(target), address, milliseconds / 1000), position


def _read_user_message(data: bytes) -> tuple[UserMessage, int]:
    seq, digest, sender = _HEADER_FIELDS(data)
    size, position = read_varint(data, _HEADER_SIZE, _MAX_SIZE)
    payload, position = read_bytes(data, position, size)
    return UserMessage(seq, digest, NodeId(sender), payload), position


def _read_compare(data: bytes) -> tuple[Compare, int]:
    seq, digest, sender = _HEADER_FIELDS(data)
    members, position = read_varint(data, _HEADER_SIZE, MAX_MEMBERS)
    steps, position = read_varint(data, position, MAX_STEPS)
    ranges, position = read_ranges(data, position)
    return Compare(seq, digest, NodeId(sender), members, steps, ranges), position


def _read_sync_request(data: bytes) -> tuple[SyncRequest, int]:
    seq, digest, sender = _HEADER_FIELDS(data)
    takes_compressed, position = _read_flag(data, _HEADER_SIZE)
    ranges, position = read_ranges(data, position)
    rows = read_snapshot(data, position)
    return SyncRequest(seq, digest, NodeId(sender), takes_compressed, ranges, rows), len(data)


def _read_sync_response(data: bytes) -> tuple[SyncResponse, int]:
    seq, digest, sender = _HEADER_FIELDS(data)
    takes_compressed, position = _read_flag(data, _HEADER_SIZE)
    ranges, position = read_ranges(data, position)
    count, position = read_varint(data, position, _MAX_OTHERS)
    others = []
    for _ in range(count):
        address, position = read_address(data, position)
        others.append(address)
    rows = read_snapshot(data, position)
    return SyncResponse(seq, digest, NodeId(sender), takes_compressed, ranges, others, rows), len(data)


def _read_flag(data: bytes, position: int) -> tuple[bool, int]:
    value = data[position]
    if value > 1:
        raise DecodeError(Flaw.BAD_VALUE)
    return value == 1, position + 1


_MESSAGES: Final[dict[type[Message], tuple[int, _MessageReader]]] = {
    Ping: (1, _read_ping),
    Ack: (2, _bare_reader(Ack)),
    PingRequest: (3, _read_ping_request),
    Nack: (4, _bare_reader(Nack)),
    Gossip: (5, _bare_reader(Gossip)),
    UserMessage: (6, _read_user_message),
    SyncRequest: (7, _read_sync_request),
    SyncResponse: (8, _read_sync_response),
    Compare: (9, _read_compare),
}


def _decompress(data: bytes) -> bytes:
    """The message in a compressed one, which has at most the announced size, and that is bounded."""
    try:
        size, position = read_varint(data, _PREFIX_SIZE, _MOST_DECOMPRESSED)
    except IndexError:
        raise DecodeError(Flaw.TRUNCATED) from None
    if size > _MOST_GAIN * len(data):
        raise DecodeError(Flaw.BAD_VALUE)
    message = decompress(data[position:], size)
    if message is None:
        raise DecodeError(Flaw.BAD_VALUE)
    return message


# Updates: each reader gets the position of the kind and returns the update and the position behind it.


def _read_updates(data: bytes, position: int, record_of: RecordOf | None) -> list[Update]:
    """The updates that fill the rest of a packet."""
    updates: list[Update] = []
    while position < len(data):
        kind = data[position]
        if kind == _ALIVE:
            update, position = _read_alive(data, position, record_of)
        else:
            read = _UPDATES.get(kind)
            if read is None:
                raise DecodeError(Flaw.UNKNOWN_TYPE)
            update, position = read(data, position)
        updates.append(update)
    return updates


def _read_alive(data: bytes, position: int, record_of: RecordOf | None) -> tuple[Update, int]:
    incarnation, position = data[position + 1], position + 2
    if incarnation >= 0x80:
        incarnation, position = read_varint(data, position - 1, MAX_INCARNATION)
    if record_of is not None:
        id = data[position : position + NodeId.SIZE]
        record = record_of(id)
        # No record is the beginning of another, so one that stands here is all that stands here.
        if record and data.startswith(record, position):
            return Repeated(NodeId(id), incarnation), position + len(record)
    end = info_end(data, position)
    return Alive.read(data[position:end], incarnation, _RECORDS.unpack), end


def _read_dead(data: bytes, position: int) -> tuple[Dead, int]:
    member, accuser, incarnation = _DEATH_FIELDS(data, position)
    position += _DEATH_FIELDS_SIZE
    if incarnation >= 0x80:
        incarnation, position = read_varint(data, position - 1, MAX_INCARNATION)
    return Dead(NodeId(member), incarnation, NodeId(accuser)), position


def _write_age(seconds: float) -> bytes:
    return _AGE.pack(min(max(0, round(seconds * 1000)), _MAX_AGE_MS))


def _write_suspect(suspect: Suspect) -> bytes:
    head = suspect.id, _write_age(suspect.age), write_varint(suspect.incarnation)
    if suspect.witnesses:
        kind = _SUSPECT_STALLED_SIGNED if suspect.is_stalled else _SUSPECT_SIGNED
        return b"".join((bytes((kind,)), *head, *_write_witnesses(suspect.witnesses)))
    kind = _SUSPECT_STALLED if suspect.is_stalled else _SUSPECT
    count = bytes((len(suspect.confirmers),))
    return b"".join((bytes((kind,)), *head, suspect.accuser, count, *suspect.confirmers))


def _suspect_reader(*, is_stalled: bool) -> _UpdateReader:
    def read(data: bytes, position: int) -> tuple[Suspect, int]:
        member, age = _SUSPICION_FIELDS(data, position)
        incarnation, position = read_varint(data, position + _SUSPICION_SIZE, MAX_INCARNATION)
        accuser, position = read_bytes(data, position, NodeId.SIZE)
        count, position = data[position], position + 1
        if count >= MAX_ACCUSERS:
            raise DecodeError(Flaw.BAD_VALUE)
        heads, position = read_bytes(data, position, count * NodeId.HEAD_SIZE)
        confirmers = tuple([heads[at : at + NodeId.HEAD_SIZE] for at in range(0, len(heads), NodeId.HEAD_SIZE)])
        suspect = Suspect(NodeId(member), incarnation, NodeId(accuser), is_stalled, (), confirmers, age / 1000)
        return suspect, position

    return read


def _write_witnesses(witnesses: Sequence[Witness]) -> tuple[bytes, bytes]:
    return write_varint(len(witnesses)), write_witnesses(witnesses)


def _read_witnesses(data: bytes, position: int) -> tuple[tuple[Witness, ...], int]:
    count, position = data[position], position + 1
    if not 0 < count <= MAX_WITNESSES:
        raise DecodeError(Flaw.BAD_VALUE)
    packed, position = read_bytes(data, position, count * WITNESS_SIZE)
    return read_witnesses(packed), position


def _signed_suspect_reader(*, is_stalled: bool) -> _UpdateReader:
    def read(data: bytes, position: int) -> tuple[Update, int]:
        member, age = _SUSPICION_FIELDS(data, position)
        incarnation, position = read_varint(data, position + _SUSPICION_SIZE, MAX_INCARNATION)
        witnesses, position = _read_witnesses(data, position)
        suspect = Suspect(NodeId(member), incarnation, witnesses[0].id, is_stalled, witnesses, age=age / 1000)
        return suspect, position

    return read


def _read_signed_dead(data: bytes, position: int) -> tuple[Dead, int]:
    member, accuser, _ = _DEATH_FIELDS(data, position)
    incarnation, position = read_varint(data, position + _DEATH.size, MAX_INCARNATION)
    witnesses, position = _read_witnesses(data, position)
    return Dead(NodeId(member), incarnation, NodeId(accuser), witnesses), position


def _read_signed_left(data: bytes, position: int) -> tuple[Left, int]:
    left, position = _read_left(data, position)
    left.signature, position = read_bytes(data, position, SIGNATURE_SIZE)
    return left, position


def _read_left(data: bytes, position: int) -> tuple[Left, int]:
    (member,) = _SUBJECT_FIELDS(data, position)
    incarnation, position = read_varint(data, position + _SUBJECT_SIZE, MAX_INCARNATION)
    return Left(NodeId(member), incarnation), position


def _read_user_broadcast(data: bytes, position: int) -> tuple[UserBroadcast, int]:
    (origin,) = _SUBJECT_FIELDS(data, position)
    number, position = read_varint(data, position + _SUBJECT_SIZE, _MAX_NUMBER)
    size, position = read_varint(data, position, _MAX_SIZE)
    payload, position = read_bytes(data, position, size)
    return UserBroadcast(NodeId(origin), number, payload), position


def _read_stall(data: bytes, position: int) -> tuple[Stall, int]:
    (member,) = _SUBJECT_FIELDS(data, position)
    number, position = read_varint(data, position + _SUBJECT_SIZE, _MAX_NUMBER)
    seconds, position = read_varint(data, position, int(MAX_STALL))
    return Stall(NodeId(member), number, float(seconds)), position


def _read_signed_stall(data: bytes, position: int) -> tuple[Stall, int]:
    stall, position = _read_stall(data, position)
    stall.proof, position = read_bytes(data, position, STALL_PROOF_SIZE)
    return stall, position


_UPDATES: Final[dict[int, _UpdateReader]] = {
    _SUSPECT: _suspect_reader(is_stalled=False),
    _DEAD: _read_dead,
    _LEFT: _read_left,
    _USER_BROADCAST: _read_user_broadcast,
    _STALL: _read_stall,
    _SUSPECT_STALLED: _suspect_reader(is_stalled=True),
    _SUSPECT_SIGNED: _signed_suspect_reader(is_stalled=False),
    _SUSPECT_STALLED_SIGNED: _signed_suspect_reader(is_stalled=True),
    _DEAD_SIGNED: _read_signed_dead,
    _LEFT_SIGNED: _read_signed_left,
    _STALL_SIGNED: _read_signed_stall,
}
