"""Hypothesis strategies for the vocabulary, and for every message and update. All they draw can be sent."""

from hypothesis import strategies as st

from shoal.types import Address, MemberState, NodeId, NodeInfo, Readiness, Tags, is_host_name, is_node_name
from shoal.wire.messages import (
    Ack,
    Alive,
    Dead,
    Gossip,
    Left,
    Message,
    Nack,
    Ping,
    PingRequest,
    Stall,
    Suspect,
    SyncRecord,
    SyncRequest,
    SyncResponse,
    Update,
    UserBroadcast,
    UserMessage,
)
from shoal.wire.native import MAX_AGE, MAX_INCARNATION, MAX_STALL, MAX_TIMEOUT

U64 = st.integers(0, 2**64 - 1)

node_ids = st.binary(min_size=NodeId.SIZE, max_size=NodeId.SIZE).map(NodeId)
incarnations = st.integers(0, 300) | st.integers(0, MAX_INCARNATION)

_labels = st.from_regex(r"[a-z0-9_]([a-z0-9_-]{0,8}[a-z0-9_])?", fullmatch=True)
host_names = st.lists(_labels, min_size=1, max_size=4).map(".".join).filter(is_host_name)
hosts = st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map(str) | host_names
addresses = st.builds(Address, hosts, st.integers(1, 65535))

node_names = st.text(min_size=1, max_size=32).filter(is_node_name)
tags = st.dictionaries(st.text(max_size=12), st.text(max_size=40), max_size=6).map(Tags)
infos = st.builds(NodeInfo, node_names, node_ids, addresses, tags, st.sampled_from(Readiness))

payloads = st.binary(max_size=300)

alives = st.builds(Alive, infos, incarnations)
suspects = st.builds(Suspect, node_ids, incarnations, node_ids)
deads = st.builds(Dead, node_ids, incarnations, node_ids)
lefts = st.builds(Left, node_ids, incarnations)
user_broadcasts = st.builds(UserBroadcast, node_ids, U64, payloads)
stalls = st.builds(Stall, node_ids, U64, st.integers(0, int(MAX_STALL)).map(float))
updates: st.SearchStrategy[Update] = st.one_of(alives, suspects, deads, lefts, user_broadcasts, stalls)

timeouts = st.integers(0, int(MAX_TIMEOUT) * 1000).map(lambda milliseconds: milliseconds / 1000)
pings = st.builds(Ping, U64, U64, node_ids, node_ids)
acks = st.builds(Ack, U64, U64, node_ids)
ping_requests = st.builds(PingRequest, U64, U64, node_ids, node_ids, addresses, timeouts)
nacks = st.builds(Nack, U64, U64, node_ids)
gossips = st.builds(Gossip, U64, U64, node_ids)
user_messages = st.builds(UserMessage, U64, U64, node_ids, payloads)
packet_messages: st.SearchStrategy[Message] = st.one_of(pings, acks, ping_requests, nacks, gossips, user_messages)
"""Messages that updates can be attached to."""

ages = st.integers(0, int(MAX_AGE)).map(float)
sync_records = st.builds(SyncRecord, infos, st.sampled_from(MemberState), incarnations, ages)
sync_requests = st.builds(SyncRequest, U64, U64, node_ids, st.lists(sync_records, max_size=5))
sync_responses = st.builds(SyncResponse, U64, U64, node_ids, st.lists(sync_records, max_size=5))
messages: st.SearchStrategy[Message] = st.one_of(packet_messages, sync_requests, sync_responses)
