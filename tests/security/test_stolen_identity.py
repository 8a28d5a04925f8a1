"""Members that turned bad, with their own keys: fewer of them than `death_signatures` end nobody, refuted or not."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from shoal.events import MemberFailed, MemberLeft
from shoal.types import MemberState, NodeId, Readiness
from shoal.wire.identity import SignedIdentity
from shoal.wire.identity_keys import IdentityKey
from shoal.wire.messages import Ack, Alive, Dead, Gossip, Left, Ping, Stall, Suspect, SyncRecord, Update, Witness
from shoal.wire.native import MAX_INCARNATION
from shoal.wire.witnesses import write_witnesses
from tests.swim.harness import DIALECT, OUR_SETTINGS, STRANGER, Net, Solo, address_of, node_id
from tests.swim.signing import dead, identity, left, signed, stall, suspect, witness

VICTIM = 1
HONEST = (2, 3, 4)
THIEVES = (5, 6)
INVENTED = (21, 22, 23)
REAL = tuple(map(node_id, (VICTIM, *HONEST, *THIEVES)))
PAST_PROBATION = 15.0


class Observer(Solo):
    """Knows six members, who answer every ping and refute nothing; who is invented answers none."""

    def __init__(self, wanted: int) -> None:
        super().__init__(trust=identity(100), **OUR_SETTINGS | {"death_signatures": wanted})
        self.start()
        self.hear(*(Alive(signed(number), 0) for number in (VICTIM, *HONEST, *THIEVES)))
        self.live(PAST_PROBATION)

    def live(self, seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            self.sleep(0.1)
            for packet in self.sent(Ping):
                ping = packet.message
                assert isinstance(ping, Ping)
                if ping.target in REAL:
                    self.receive(Ack(ping.seq, 0, ping.target), source=packet.to)


def _with(*witnesses: Witness, incarnation: int = 0) -> list[Update]:
    first = witnesses[0].id
    return [
        Suspect(node_id(VICTIM), incarnation, first, witnesses=witnesses),
        Dead(node_id(VICTIM), incarnation, first, witnesses),
    ]


Attack = Callable[[Sequence[int]], Sequence[Update]]
ATTACKS: dict[str, Attack] = {
    "their own signatures": lambda keys: [dead(VICTIM, *keys)],
    "no signature": lambda _keys: [Dead(node_id(VICTIM), 0, node_id(2)), Suspect(node_id(VICTIM), 0, node_id(3))],
    "signatures in the names of others": lambda keys: [
        update for key in keys for update in _with(*(witness(VICTIM, honest, key=key) for honest in HONEST))
    ],
    "one signature under several names": lambda keys: _with(
        witness(VICTIM, keys[0]), *(Witness(node_id(honest), witness(VICTIM, keys[0]).signature) for honest in HONEST)
    ),
    "accusers that nobody knows": lambda keys: _with(
        *(witness(VICTIM, keys[0]), *(witness(VICTIM, number) for number in INVENTED))
    ),
    "the victim against itself": lambda keys: _with(*(witness(VICTIM, key) for key in keys), witness(VICTIM, VICTIM)),
    "a suspicion of everybody": lambda keys: [
        *(suspect(honest, *keys) for honest in (*HONEST, 100)),
        dead(VICTIM, *keys),
    ],
    "a goodbye without signature": lambda _keys: [Left(node_id(VICTIM), 0)],
    "a goodbye that somebody else signed": lambda keys: [left(VICTIM, by=keys[0])],
    "its record's signature as its goodbye": lambda _keys: [Left(node_id(VICTIM), 0, signed(VICTIM).proof[32:96])],
    "a goodbye for another incarnation": lambda _keys: [left(VICTIM, 3), replace(left(VICTIM, 3), incarnation=0)],
}


@pytest.mark.parametrize("wanted", [2, 3])
@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_fewer_keys_than_a_death_takes_end_nobody_even_if_nobody_refutes(attack: Attack, wanted: int) -> None:
    observer = Observer(wanted)
    news = attack(THIEVES[: wanted - 1])
    for _ in range(8):
        observer.hear(*news)
        observer.live(2.5)
    members = {number: observer.state(number) for number in (VICTIM, *HONEST)}
    assert set(members.values()) <= {MemberState.ALIVE, MemberState.SUSPECT}
    assert observer.events((MemberFailed, MemberLeft)) == []


@pytest.mark.parametrize("wanted", [2, 3])
@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_the_same_in_a_view_that_a_peer_hands_over(attack: Attack, wanted: int) -> None:
    observer = Observer(wanted)
    rows = [row for update in attack(THIEVES[: wanted - 1]) for row in _rows(update)]
    for row in rows:
        observer.sync_from(node_id(THIEVES[0]), row)
        observer.live(5.0)
    observer.live(10.0)
    assert observer.state(VICTIM) in (MemberState.ALIVE, MemberState.SUSPECT)
    assert observer.events((MemberFailed, MemberLeft)) == []


def _rows(update: Update) -> list[SyncRecord]:
    match update:
        case Dead(id, incarnation, _, witnesses) if id == node_id(VICTIM):
            testimony = write_witnesses(witnesses)
            return [SyncRecord(signed(VICTIM), MemberState.DEAD, incarnation, 1.0, testimony)]
        case Left(_, incarnation, signature):
            return [SyncRecord(signed(VICTIM), MemberState.LEFT, incarnation, 1.0, signature)]
        case _:
            return []


def test_signatures_of_an_earlier_incarnation_count_for_nothing_after_a_refutation() -> None:
    observer = Observer(2)
    old = [witness(VICTIM, honest) for honest in HONEST]
    observer.hear(Alive(signed(VICTIM, 1), 1))
    observer.hear(*_with(*old), *_with(*old, incarnation=1))
    observer.live(20.0)
    assert observer.state(VICTIM) is MemberState.ALIVE


def test_signatures_for_another_cluster_count_for_nothing() -> None:
    observer = Observer(2)
    others = []
    for number in HONEST:
        elsewhere = SignedIdentity(IdentityKey(number.to_bytes(32)), "other")
        signature = elsewhere.sign_accusation(node_id(VICTIM), 0, node_id(number))
        others.append(Witness(node_id(number), signature))
    observer.hear(*_with(*others))
    observer.live(20.0)
    assert observer.state(VICTIM) is MemberState.ALIVE


def _inventions(incarnation: int) -> list[Update]:
    return [Alive(signed(number, incarnation), incarnation) for number in INVENTED]


def test_accusers_that_join_in_the_same_packet_count_for_nothing() -> None:
    observer = Observer(2)
    observer.hear(*_inventions(0), *_with(*(witness(VICTIM, number) for number in INVENTED)))
    observer.live(9.0)
    assert observer.state(VICTIM) is MemberState.SUSPECT


def test_an_invented_member_that_others_find_silent_confirms_nothing_however_often_it_refutes() -> None:
    observer = Observer(2)
    for incarnation in range(10):
        observer.hear(*_inventions(incarnation))
        observer.hear(*(suspect(number, *HONEST, incarnation=incarnation) for number in INVENTED))
        observer.live(2.0)
    observer.hear(*_inventions(10), *_with(*(witness(VICTIM, number) for number in INVENTED)))
    observer.live(9.0)
    assert observer.state(VICTIM) is MemberState.SUSPECT


def test_where_anybody_may_join_a_thief_that_runs_further_members_is_as_many() -> None:
    """Which an authority prevents: it certifies no names that nobody gave out."""
    observer = Observer(2)
    observer.hear(dead(VICTIM, *THIEVES))
    observer.live(5.0)
    assert observer.state(VICTIM) is MemberState.DEAD


def test_members_that_are_gone_confirm_no_death() -> None:
    observer = Observer(2)
    observer.hear(left(2), left(3))
    observer.hear(dead(VICTIM, 2, 3))
    observer.live(20.0)
    assert observer.state(VICTIM) is MemberState.ALIVE


def test_nobody_accuses_itself() -> None:
    observer = Observer(2)
    observer.hear(suspect(VICTIM, VICTIM))
    assert observer.state(VICTIM) is MemberState.ALIVE


def test_a_copy_of_a_witness_is_no_message() -> None:
    observer = Observer(2)
    observer.hear(dead(VICTIM, 5, 5))
    assert observer.state(VICTIM) is MemberState.ALIVE
    assert observer.dropped["bad_value"] == 1


def test_a_joiner_takes_over_no_death_and_only_goodbyes_that_are_signed() -> None:
    joiner = Solo(trust=identity(100))
    seed = NodeId(bytes(16))
    joiner.sync_from(
        seed,
        SyncRecord(signed(1), MemberState.DEAD, 0, 1.0, write_witnesses([witness(1, 5)])),
        SyncRecord(signed(2), MemberState.LEFT, 0, 1.0, left(2, by=5).signature),
        SyncRecord(signed(3), MemberState.LEFT, 0, 1.0),
        SyncRecord(signed(4), MemberState.LEFT, 0, 1.0, left(4).signature),
    )
    joiner.hear(*(Alive(signed(number), 0) for number in (1, 2, 3, 4)))
    assert {number: joiner.state(number) for number in (1, 2, 3, 4)} == {
        1: MemberState.ALIVE,
        2: MemberState.ALIVE,
        3: MemberState.ALIVE,
        4: MemberState.LEFT,
    }
    assert joiner.dropped["unsigned_goodbye"] == 2


FALSE_STALLS: dict[str, Update] = {
    "without a signature": Stall(node_id(VICTIM), 1, 600.0),
    "signed by the thief": stall(VICTIM, 600.0, by=THIEVES[0]),
    "with the signature of a goodbye": Stall(
        node_id(VICTIM), 1, 600.0, (600).to_bytes(2) + identity(VICTIM).sign_goodbye(node_id(VICTIM), 1)
    ),
    "with more left than was declared": stall(VICTIM, 600.0, of=1.0),
    "with a stretched declaration": Stall(node_id(VICTIM), 1, 600.0, (600).to_bytes(2) + stall(VICTIM, 1.0).proof[2:]),
    "with the number of another": replace(stall(VICTIM, 600.0, count=1), number=2),
    "of another": replace(stall(HONEST[0], 600.0), id=node_id(VICTIM)),
}


@pytest.mark.parametrize("forged", FALSE_STALLS.values(), ids=FALSE_STALLS)
def test_nobody_hides_the_death_of_another_behind_a_stall(forged: Update) -> None:
    observer = Observer(2)
    observer.hear(forged)
    assert observer.member(VICTIM).readiness is Readiness.READY
    assert observer.dropped["unsigned_stall"] == 1
    observer.hear(dead(VICTIM, *HONEST))
    observer.live(5.0)
    assert observer.state(VICTIM) is MemberState.DEAD


def test_a_stall_that_is_over_is_not_begun_again_by_its_repetition() -> None:
    observer = Observer(2)
    observer.hear(stall(VICTIM, 600.0), stall(VICTIM, 0.0, count=2), stall(VICTIM, 600.0))
    assert observer.member(VICTIM).readiness is Readiness.READY


# A cluster with one of them in it


def _say(net: Net, thief: int, *updates: Update) -> None:
    data = DIALECT.attach(DIALECT.encode(Gossip(0, 0, node_id(thief))), list(map(DIALECT.encode_update, updates)))
    for node in net.nodes.values():
        if node is not net[thief]:
            node.core.receive(data, address_of(thief), net.now)
            node.collect()


@pytest.mark.parametrize("wanted", [2, 3])
def test_a_cluster_lives_on_with_a_member_that_does_its_worst(wanted: int) -> None:
    thief = 6
    net = Net(thief, trust=identity, death_signatures=wanted).form(PAST_PROBATION)
    honest = range(1, thief)
    ids = {number: net[number].core.local.id for number in honest}
    for node in net.nodes.values():
        node.events()
    for turn in range(20):
        victim = 1 + turn % 5
        incarnation = net[victim].core.local.incarnation
        others = [number for number in honest if number != victim]
        forged = tuple(witness(victim, other, incarnation, key=thief) for other in others)
        _say(
            net,
            thief,
            suspect(victim, thief, incarnation=incarnation),
            dead(victim, thief, incarnation=incarnation),
            Dead(node_id(victim), incarnation, node_id(thief), forged),
            Dead(node_id(victim), MAX_INCARNATION, node_id(others[0])),
            Left(node_id(victim), incarnation, left(victim, incarnation, by=thief).signature),
            stall(victim, 600.0, count=100 + turn, by=thief),
        )
        row = SyncRecord(signed(victim, incarnation), MemberState.LEFT, incarnation, 0.0, bytes(64))
        net[others[0]].sync_from(node_id(thief), row)
        net.sleep(2.0)
    net.sleep(10.0)
    for number in honest:
        gone = net[number].events((MemberFailed, MemberLeft))
        assert [event.member.name for event in gone] == []
        assert net[number].core.local.id == ids[number]
        assert {net[number].state(other) for other in honest} == {MemberState.ALIVE}
        assert {net[number].member(other).readiness for other in honest} == {Readiness.READY}


def test_a_thief_cannot_keep_a_dead_member_from_being_found_dead() -> None:
    thief = 6
    net = Net(thief, trust=identity).form(PAST_PROBATION)
    net.down.add(net[1])
    for _ in range(10):
        _say(net, thief, Alive(signed(1, 1, by=thief), 1), dead(1, thief), suspect(2, thief))
        net.sleep(2.0)
    assert {net[number].state(1) for number in range(2, thief)} == {MemberState.DEAD}


def test_a_stranger_without_an_identity_says_nothing_of_anybody() -> None:
    observer = Observer(2)
    observer.receive(Gossip(0, 0, STRANGER), Left(node_id(VICTIM), 0), Dead(node_id(VICTIM), 0, STRANGER))
    observer.live(20.0)
    assert observer.state(VICTIM) is MemberState.ALIVE
    assert observer.dropped["unsigned_goodbye"] == observer.dropped["unproved_death"] == 1
