"""Hypothesis strategies for the vocabulary, and for every message and update. All they draw can be sent."""

from hypothesis import strategies as st

from shoal.types import Address, MemberState, NodeId, NodeInfo, Readiness, Tags, is_host_name, is_node_name
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
from shoal.wire.native import MAX_AGE, MAX_INCARNATION, MAX_MEMBERS, MAX_STALL, MAX_STEPS, MAX_TIMEOUT, STALL_PROOF_SIZE
from shoal.wire.witnesses import MAX_WITNESSES, SIGNATURE_SIZE, write_witnesses
from tests.rows import rows

U64 = st.integers(0, 2**64 - 1)

node_ids = st.binary(min_size=NodeId.SIZE, max_size=NodeId.SIZE).map(NodeId)
incarnations = st.integers(0, 300) | st.integers(0, MAX_INCARNATION)

_labels = st.from_regex(r"[a-z0-9_]([a-z0-9_-]{0,8}[a-z0-9_])?", fullmatch=True)
host_names = st.lists(_labels, min_size=1, max_size=4).map(".".join).filter(is_host_name)
hosts = st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map(str) | host_names
addresses = st.builds(Address, hosts, st.integers(1, 65535))

node_names = st.text(min_size=1, max_size=32).filter(is_node_name)
tags = st.dictionaries(st.text(max_size=12), st.text(max_size=40), max_size=6).map(Tags)
proofs = st.one_of(st.just(b""), st.binary(min_size=1, max_size=200))
infos = st.builds(NodeInfo, node_names, node_ids, addresses, tags, st.sampled_from(Readiness), proofs)

payloads = st.binary(max_size=300)

alives = st.builds(Alive, infos, incarnations)
signatures = st.binary(min_size=SIGNATURE_SIZE, max_size=SIGNATURE_SIZE)
_witnesses = st.lists(
    st.builds(Witness, node_ids, signatures), max_size=MAX_WITNESSES, unique_by=lambda witness: witness.id
).map(tuple)


def _suspect(
    id: NodeId,
    incarnation: int,
    accusers: tuple[NodeId, ...],
    witnesses: tuple[Witness, ...],
    age: float,
    *,
    stalled: bool,
) -> Suspect:
    if witnesses:
        return Suspect(id, incarnation, witnesses[0].id, stalled, witnesses, age=age)
    return Suspect(id, incarnation, accusers[0], stalled, confirmers=tuple(each.head for each in accusers[1:]), age=age)


_accusers = st.lists(node_ids, min_size=1, max_size=MAX_ACCUSERS).map(tuple)
_ages = st.integers(0, 65_535).map(lambda milliseconds: milliseconds / 1000)
suspects = st.builds(_suspect, node_ids, incarnations, _accusers, _witnesses, _ages, stalled=st.booleans())
deads = st.builds(Dead, node_ids, incarnations, node_ids, _witnesses)
lefts = st.builds(Left, node_ids, incarnations, st.just(b"") | signatures)
user_broadcasts = st.builds(UserBroadcast, node_ids, U64, payloads)
stalls = st.builds(
    Stall,
    node_ids,
    U64,
    st.integers(0, int(MAX_STALL)).map(float),
    st.just(b"") | st.binary(min_size=STALL_PROOF_SIZE, max_size=STALL_PROOF_SIZE),
)
updates: st.SearchStrategy[Update] = st.one_of(alives, suspects, deads, lefts, user_broadcasts, stalls)

timeouts = st.integers(0, int(MAX_TIMEOUT) * 1000).map(lambda milliseconds: milliseconds / 1000)
pings = st.builds(Ping, U64, U64, node_ids, node_ids)
acks = st.builds(Ack, U64, U64, node_ids)
ping_requests = st.builds(PingRequest, U64, U64, node_ids, node_ids, addresses, timeouts)
nacks = st.builds(Nack, U64, U64, node_ids)
gossips = st.builds(Gossip, U64, U64, node_ids)
user_messages = st.builds(UserMessage, U64, U64, node_ids, payloads)
_values = st.integers(0, 2**32 - 1)
_said = st.one_of(
    st.just((RangeKind.SKIP, ())),
    st.tuples(st.just(RangeKind.FINGERPRINT), st.tuples(_values)),
    st.tuples(st.sampled_from([RangeKind.HELD, RangeKind.WANTED]), st.lists(_values, max_size=5).map(tuple)),
)


def _ranges(ends: set[bytes], *, is_open: bool, said: list[tuple[RangeKind, tuple[int, ...]]]) -> list[Range]:
    bounds = [*sorted(ends), *([b""] if is_open else [])]
    return [Range(end, kind, values) for end, (kind, values) in zip(bounds, said, strict=False)]


# Bounds of few letters share beginnings, and one is often the beginning of another.
_ends = st.binary(min_size=1, max_size=NodeId.SIZE) | st.text("ab", min_size=1, max_size=NodeId.SIZE).map(str.encode)
ranges = st.builds(_ranges, st.sets(_ends, max_size=5), is_open=st.booleans(), said=st.lists(_said, max_size=6))
compares = st.builds(Compare, U64, U64, node_ids, st.integers(0, MAX_MEMBERS), st.integers(0, MAX_STEPS), ranges)
packet_messages: st.SearchStrategy[Message] = st.one_of(
    pings, acks, ping_requests, nacks, gossips, user_messages, compares
)
"""Messages that updates can be attached to."""

ages = st.integers(0, int(MAX_AGE)).map(float)
_present = st.sampled_from((MemberState.ALIVE, MemberState.SUSPECT))
sync_records = st.one_of(
    st.builds(SyncRecord, infos, _present, incarnations, ages),
    st.builds(SyncRecord, infos, st.just(MemberState.DEAD), incarnations, ages, _witnesses.map(write_witnesses)),
    st.builds(SyncRecord, infos, st.just(MemberState.LEFT), incarnations, ages, st.just(b"") | signatures),
)
views = st.lists(sync_records, max_size=5, unique_by=lambda record: record.info.id).map(lambda some: rows(*some))
sync_requests = st.builds(SyncRequest, U64, U64, node_ids, st.booleans(), ranges, views)
sync_responses = st.builds(
    SyncResponse, U64, U64, node_ids, st.booleans(), ranges, st.lists(addresses, max_size=3), views
)
messages: st.SearchStrategy[Message] = st.one_of(packet_messages, sync_requests, sync_responses)
