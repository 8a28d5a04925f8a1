"""One example of every message and update, under the names that docs/protocol.md gives their bytes."""

from collections.abc import Iterable

from shoal.types import Address, MemberState, NodeId, NodeInfo, Readiness, Tags
from shoal.wire.identity import SignedIdentity
from shoal.wire.identity_keys import IdentityKey
from shoal.wire.messages import (
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
    Range,
    RangeKind,
    Stall,
    Suspect,
    SyncRecord,
    SyncRequest,
    SyncResponse,
    Update,
    UserBroadcast,
    UserMessage,
    Witness,
)
from shoal.wire.native import NativeDialect
from shoal.wire.witnesses import write_witnesses
from tests.rows import rows

CLUSTER = "shoal"

A = NodeId.parse("019a8f3e-7c00-7000-8000-00000000000a")
B = NodeId.parse("019a8f3e-7c00-7000-8000-00000000000b")
C = NodeId.parse("019a8f3e-7c00-7000-8000-00000000000c")

GPU_1 = NodeInfo("gpu-1", A, Address("192.0.2.1", 7946), Tags({"zone": "a", "role": "worker"}))
GPU_2 = NodeInfo("gpu-2", B, Address("2001:db8::2", 7946), Tags())
GPU_3 = NodeInfo("größe-3", C, Address("gpu-3.example", 65535), Tags({"": "", "text": "µ"}), Readiness.DRAINING)

IDENTITY = SignedIdentity(IdentityKey(bytes(range(32))), CLUSTER)

OTHER_IDENTITY = SignedIdentity(IdentityKey(bytes(range(32, 64))), CLUSTER)
BY_A = Witness(A, IDENTITY.sign_accusation(B, 1, A))
BY_C = Witness(C, OTHER_IDENTITY.sign_accusation(B, 1, C))

SEQ = 0x0102030405060708
DIGEST = 0xA1A2A3A4A5A6A7A8

RANGES = [
    Range(bytes.fromhex("019a8f3e7b"), RangeKind.FINGERPRINT, (0x11223344,)),
    Range(bytes(B), RangeKind.SKIP, ()),
    Range(bytes(C), RangeKind.HELD, (0x55667788, 0x99AABBCC)),
    Range(b"", RangeKind.WANTED, (0xDDEEFF00,)),
]

MESSAGES: dict[str, Message] = {
    "ping": Ping(SEQ, DIGEST, A, B),
    "ack": Ack(SEQ, DIGEST, A),
    "ping request": PingRequest(SEQ, DIGEST, A, B, Address("192.0.2.2", 7946), 0.5),
    "nack": Nack(SEQ, DIGEST, A),
    "gossip": Gossip(0, DIGEST, A),
    "user message": UserMessage(0, DIGEST, A, b"hello"),
    "sync request": SyncRequest(
        SEQ,
        DIGEST,
        A,
        True,
        [Range(b"", RangeKind.HELD, ())],
        rows(SyncRecord(GPU_1, MemberState.ALIVE, 0, 0.0), SyncRecord(GPU_2, MemberState.DEAD, 300, 3600.0)),
    ),
    "sync request, following": SyncRequest(SEQ, DIGEST, A, True, [Range(b"", RangeKind.SKIP)], rows()),
    "sync response": SyncResponse(
        SEQ,
        DIGEST,
        B,
        False,
        [Range(b"", RangeKind.WANTED, (1,))],
        [GPU_2.address],
        rows(SyncRecord(GPU_3, MemberState.LEFT, 1, 5.0)),
    ),
    "sync response, signed": SyncResponse(
        SEQ,
        DIGEST,
        A,
        False,
        [],
        [],
        rows(
            SyncRecord(GPU_2, MemberState.DEAD, 1, 5.0, write_witnesses([BY_A, BY_C])),
            SyncRecord(GPU_3, MemberState.LEFT, 1, 5.0, OTHER_IDENTITY.sign_goodbye(C, 1)),
        ),
    ),
    "compare": Compare(SEQ, DIGEST, A, 300, 16, RANGES),
}

UPDATES: dict[str, Update] = {
    "alive": Alive(GPU_1, 1),
    "alive, IPv6": Alive(GPU_2, 2**48 - 1),
    "alive, host name": Alive(GPU_3, 128),
    "alive, signed": Alive(IDENTITY.sign(GPU_2, 1), 1),
    "suspect": Suspect(B, 1, A, confirmers=(C.head,), age=1.5),
    "suspect, stalled": Suspect(B, 1, A, is_stalled=True),
    "dead": Dead(B, 1, A),
    "left": Left(B, 127),
    "suspect, signed": Suspect(B, 1, A, witnesses=(BY_A,)),
    "suspect, stalled, signed": Suspect(B, 1, A, is_stalled=True, witnesses=(BY_A,)),
    "dead, signed": Dead(B, 1, A, (BY_A, BY_C)),
    "left, signed": Left(C, 1, OTHER_IDENTITY.sign_goodbye(C, 1)),
    "user broadcast": UserBroadcast(A, 1, b"hi"),
    "stall": Stall(B, 1, 90.0),
    "stall, signed": Stall(B, 1, 60.0, IDENTITY.sign_stall(B, 1, 90.0)),
}

PACKETS: dict[str, tuple[Message, list[Update]]] = {
    "ping with two updates": (MESSAGES["ping"], [UPDATES["suspect"], UPDATES["left"]]),
}


def encode(dialect: NativeDialect, message: Message, updates: Iterable[Update] = ()) -> bytes:
    """A whole packet or stream message."""
    return dialect.attach(dialect.encode(message), [dialect.encode_update(update) for update in updates])


def encodings(dialect: NativeDialect) -> list[bytes]:
    """Every message, every update on its own, and a packet with all of them."""
    gossip = MESSAGES["gossip"]
    return [
        *(dialect.encode(message) for message in MESSAGES.values()),
        *(encode(dialect, gossip, [update]) for update in UPDATES.values()),
        encode(dialect, MESSAGES["ping"], UPDATES.values()),
    ]
