"""Whatever comes in at the doors: the core does not raise, keeps its bounds, and keeps its books straight."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from shoal.errors import ClosedError
from shoal.events import (
    Event,
    MemberFailed,
    MemberJoined,
    MemberLeft,
    MemberRecovered,
    MemberSuspected,
    MemberUpdated,
)
from shoal.state.digest import ViewDigest
from shoal.state.precedence import MAX_INCARNATION, pack
from shoal.swim.outputs import StreamExchange
from shoal.types import Address, MemberState, NodeId, NodeInfo, Tags
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
    Suspect,
    SyncRecord,
    SyncRequest,
    SyncResponse,
    Update,
    UserBroadcast,
)
from tests.rows import rows
from tests.strategies import messages, packet_messages, ranges, updates
from tests.swim.harness import DIALECT, OUR_SETTINGS, OWN, Solo, address_of, info_of, node_id

ALIVE, SUSPECT, DEAD, LEFT = MemberState

# Few enough names, ids and addresses that they meet, ours among them.
numbers = st.sampled_from([1, 2, 3, 4, OWN, 150, 200])
ids = numbers.map(node_id)
names = st.sampled_from(["me", "n1", "n2", "n3", "n4"])
places = numbers.map(address_of)
incarnations = st.sampled_from([0, 0, 0, 1, 1, 2, 3, MAX_INCARNATION - 1, MAX_INCARNATION])
tags = st.sampled_from([Tags(), Tags(role="worker"), Tags(text="x" * 600)])
honest = st.builds(info_of, st.integers(1, 4), role=st.sampled_from("ab"))
restarted = st.builds(info_of, st.sampled_from([150, 200]), names)
forged = st.builds(NodeInfo, names, ids, places, tags)
infos = st.one_of(honest, honest, restarted, forged)
seqs = st.integers(0, 3)

pooled_updates: st.SearchStrategy[Update] = st.one_of(
    st.builds(Alive, infos, incarnations),
    st.builds(Suspect, ids, incarnations, ids),
    st.builds(Dead, ids, incarnations, ids),
    st.builds(Left, ids, incarnations),
    st.builds(UserBroadcast, ids, st.integers(0, 40), st.binary(max_size=3)),
)
pooled_packets: st.SearchStrategy[Message] = st.one_of(
    st.builds(Gossip, seqs, st.just(0), ids),
    st.builds(Ping, seqs, st.just(0), ids, ids),
    st.builds(Ack, seqs, st.just(0), ids),
    st.builds(Nack, seqs, st.just(0), ids),
    st.builds(Compare, seqs, st.just(0), ids, st.sampled_from([0, 5, 1000]), st.sampled_from([0, 1, 255]), ranges),
    st.builds(PingRequest, seqs, st.just(0), ids, ids, places, st.sampled_from([0.0, 0.5, 3600.0])),
)
records = st.lists(
    st.builds(SyncRecord, infos, st.sampled_from(MemberState), incarnations, st.sampled_from([0.0, 5.0, 59.0, 1e9])),
    max_size=6,
    unique_by=lambda record: record.info.id,
).map(lambda some: rows(*some))
pooled_streams: st.SearchStrategy[Message] = st.one_of(
    st.builds(SyncRequest, seqs, st.just(0), ids, st.booleans(), ranges, records),
    st.builds(SyncResponse, seqs, st.just(0), ids, st.booleans(), ranges, st.lists(places, max_size=2), records),
    st.builds(Ping, seqs, st.just(0), ids, ids),
)

CONFIG = OUR_SETTINGS | {
    "max_members": 20,
    "max_tombstones": 16,
    "tombstone_life": 60.0,
    "gossip_queue_limit": 16,
    "broadcast_history": 16,
    "max_relayed": 3,
    "max_streams_out": 2,
    "max_datagram": 512,
    "sync_threshold": 1,
    "sync_interval": 0.1,
}

FOLLOWS: dict[type[object], tuple[set[MemberState | None], MemberState | None]] = {
    MemberJoined: ({None}, ALIVE),
    MemberSuspected: ({ALIVE}, SUSPECT),
    MemberRecovered: ({SUSPECT}, ALIVE),
    MemberFailed: ({ALIVE, SUSPECT}, None),
    MemberLeft: ({ALIVE, SUSPECT}, None),
}


class HostilePeers(RuleBasedStateMachine):
    """One core among peers that say anything that can be said."""

    def __init__(self) -> None:
        super().__init__()
        self.solo = Solo(**CONFIG)
        self.pinged: list[tuple[int, NodeId]] = []
        self.streams: list[StreamExchange] = []
        self.told: dict[NodeId, MemberState | None] = {}
        self.own = {self.solo.core.local.id}

    @initialize(known=st.sets(st.integers(1, 4)), settled=st.booleans())
    def begin(self, known: set[int], settled: bool) -> None:
        self.solo.start()
        self.solo.meet(*sorted(known))
        if settled:
            self.solo.sync_from(node_id(1))

    # What comes in

    @rule(message=pooled_packets | packet_messages, news=st.lists(pooled_updates | updates, max_size=5), place=places)
    def datagram(self, message: Message, news: list[Update], place: Address) -> None:
        self.solo.receive(message, *news, source=place)

    @rule(news=st.lists(pooled_updates, min_size=1, max_size=5))
    def news(self, news: list[Update]) -> None:
        self.solo.hear(*news)

    @rule(message=pooled_streams | messages)
    def stream(self, message: Message) -> None:
        self.solo.ask(message)

    @precondition(lambda self: self.pinged)
    @rule(answer=st.sampled_from([Ack, Nack]), sender=st.none() | ids)
    def answer(self, answer: type[Ack] | type[Nack], sender: NodeId | None) -> None:
        seq, target = self.pinged.pop()
        self.solo.receive(answer(seq, 0, sender or target))

    @precondition(lambda self: self.streams)
    @rule(message=pooled_streams | messages)
    def reply(self, message: Message) -> None:
        self.solo.reply(self.streams.pop(0), message)

    @precondition(lambda self: self.streams)
    @rule(noise=st.none() | st.binary(max_size=60))
    def no_reply(self, noise: bytes | None) -> None:
        exchange = self.streams.pop(0)
        if noise is None:
            self.solo.fail(exchange)
        else:
            self.solo.core.stream_replied(exchange.token, noise, self.solo.now)

    # Time and commands

    @rule(seconds=st.sampled_from([0.0, 0.3, 1.0, 5.0, 30.0]))
    def sleep(self, seconds: float) -> None:
        self.solo.sleep(seconds)

    @rule(seconds=st.sampled_from([0.7, 3.0, 60.0]))
    def stall(self, seconds: float) -> None:
        self.solo.stall(seconds)

    @rule(tags=tags.filter(lambda tags: "text" not in tags), payload=st.binary(max_size=3))
    def command(self, tags: Tags, payload: bytes) -> None:
        core, now = self.solo.core, self.solo.now
        try:
            core.set_tags(tags, now)
            core.broadcast(payload, now)
            self.solo.join(address_of(1))
        except ClosedError:
            assert core.is_leaving

    @precondition(lambda self: self.solo.now > 60.0)
    @rule()
    def leave(self) -> None:
        self.solo.leave()

    # What must hold

    @invariant()
    def outputs_keep_their_limits(self) -> None:
        self.solo.collect()
        self.streams += self.solo.streams()
        for packet in self.solo.sent():
            assert packet.size <= 512
            if isinstance(packet.message, Ping):
                self.pinged.append((packet.message.seq, packet.message.target))
        core = self.solo.core
        assert len(core._exchanges) <= 2
        assert len(core._prober._relayed) <= 3
        assert len(core._context.queue) <= 16
        assert len(core._timers) < 100
        assert len(core._membership.deaths.recent) <= 16
        assert core._membership.suspicions.to_probe == []
        assert len(core._prober._probes) <= 16 + 3

    @invariant()
    def the_books_are_straight(self) -> None:
        core = self.solo.core
        members = core.members()
        present = [member for member in members if member.state.is_present]
        assert len(members) <= 20
        assert len({member.name for member in members}) == len(members)
        assert len({member.address for member in present}) == len(present)
        digest = ViewDigest(b"shoal")
        for member in present:
            digest.add(member.id, pack(member.incarnation, member.state))
            slot = core._table.slot_at(member.address)
            assert slot is not None
            assert core._table.info(slot).id == member.id
        assert core.digest == digest.value
        gone = {member.id for member in members if not member.state.is_present} - {core.local.id}
        assert set(core._membership.deaths.tombstones) == gone
        assert len(gone) <= 16
        suspected = {member.id for member in members if member.state is SUSPECT}
        assert core._membership.suspicions.ids() == suspected

    @invariant()
    def we_hold_ourselves_alive(self) -> None:
        core = self.solo.core
        assert core.local.name == "me"
        assert core.local.state is (LEFT if core.is_leaving else ALIVE)
        assert (core.member(core.local.id) is None) is core.is_superseded

    @invariant()
    def events_tell_the_view(self) -> None:
        self.solo.collect()
        self.own.add(self.solo.core.local.id)
        for event in self.solo.events():
            self._follow(event)
        for id, member in ((member.id, member) for member in self.solo.core.members()):
            held = member.state if member.state.is_present else None
            assert id in self.own or self.told.get(id) is held
        for id, told in self.told.items():
            assert told is None or id in self.own or self.solo.core.member(id) is not None

    def _follow(self, event: Event) -> None:
        if isinstance(event, MemberUpdated):
            assert event.member.id in self.own or self.told[event.member.id] is not None
        elif isinstance(event, MemberJoined | MemberSuspected | MemberRecovered | MemberFailed | MemberLeft):
            allowed, then = FOLLOWS[type(event)]
            assert self.told.get(event.member.id) in allowed
            self.told[event.member.id] = then


TestHostilePeers = HostilePeers.TestCase
TestHostilePeers.settings = settings(max_examples=100, stateful_step_count=40)


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_noise_is_counted_and_changes_nothing(noise: bytes, more: bytes) -> None:
    solo = Solo()
    before = solo.core.members()
    prefix = DIALECT.encode(Gossip(0, 0, node_id(1)))[:6]
    for data in (noise, prefix + more):
        solo.core.receive(data, address_of(1), 0.0)
    assert solo.core.stats.datagrams_in == 2
    assert solo.core.stats.bytes_in == len(noise) + len(prefix + more)
    if solo.core.stats.updates_in == 0:
        assert solo.core.members() is before
