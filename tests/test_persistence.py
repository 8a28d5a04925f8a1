"""A node that keeps its state: who it is after a restart, and how it finds back."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest

from shoal import Cluster, ClusterKey, MemberState, blocking
from shoal.errors import ConfigError, StateInUseError
from shoal.events import (
    JoinCompleted,
    MemberDamped,
    MemberFailed,
    MemberJoined,
    MemberReinstated,
    Partition,
    PartitionDecided,
    PartitionDecision,
    PartitionHealed,
    PartitionRuling,
    PartitionSuspected,
    RemovalHalted,
    RemovalResumed,
    SeedUnreachable,
    VerdictReason,
)
from shoal.persistence import MAX_PEERS, Keeper, OwnState, SavedPeer, SavedState, peers_among
from shoal.shutdown import Outcome, ShutdownPhase
from shoal.store.database import Database
from shoal.store.directory_store import DirectoryStore
from shoal.types import Address, FailureDomain, Member, NodeId, Tags
from tests.clusters import FAST, in_real_time, until

NO_TAGS = Tags()


def _node(directory: Path, **changes: Any) -> Cluster:
    return Cluster(FAST, state_dir=directory, **changes)


def _saved(directory: Path) -> SavedState:
    store = DirectoryStore(directory)
    try:
        return store.open()
    finally:
        store.close()


@in_real_time
async def test_a_restarted_node_finds_back_without_a_seed_and_replaces_its_old_run(tmp_path: Path) -> None:
    async with Cluster(FAST, name="a") as a:
        b = _node(tmp_path, seeds=[a.local.address], tags={"zone": "x"})
        await b.start()
        await b.wait_for_members(2)
        await b.update_tags({"rack": "7"})
        old = b.local
        report = await b.close()
        assert report[ShutdownPhase.STATE].outcome is Outcome.DONE
        with a.events() as events:
            async with _node(tmp_path, tags={"zone": "x"}) as again:
                await again.wait_for_members(2)
                assert (again.local.name, again.config.name) == (old.name, old.name)
                assert again.local.tags == {"zone": "x", "rack": "7"}
                assert again.local.id > old.id
                await until(lambda: a.member(again.local.id) is not None)
                while not isinstance(event := await anext(events), MemberJoined):
                    if isinstance(event, MemberFailed):
                        assert event.evidence.reason is VerdictReason.REPLACED
                assert event.member.id == again.local.id


@in_real_time
async def test_what_was_known_yesterday_is_tried_and_told_to_nobody(tmp_path: Path) -> None:
    async with Cluster(FAST, name="a") as a, Cluster(FAST, name="gone", seeds=[a.local.address]) as gone:
        async with _node(tmp_path, name="b", seeds=[a.local.address]) as b:
            await b.wait_for_members(3)
            missing = gone.local
        await gone.leave()
        await gone.close()
    async with Cluster(FAST, name="c") as c:
        store = DirectoryStore(tmp_path)
        store.open()
        store.save_peers({"gone": SavedPeer(missing.address), "c": SavedPeer(c.local.address)})
        store.close()
        async with _node(tmp_path) as b:
            with b.events() as events:
                await b.wait_for_members(2)
                assert {member.name for member in b.all_members()} == {"b", "c"}
                assert {member.name for member in c.all_members()} == {"b", "c"}
                assert not any(isinstance(event, SeedUnreachable) for event in iter(events.take, None))


@in_real_time
async def test_a_node_that_is_killed_before_it_found_anybody_still_knows_whom_it_knew(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    store.open()
    store.save_peers({"b": SavedPeer(Address("127.0.0.1", 1))})
    store.close()
    async with _node(tmp_path, name="a", join_timeout=0.1):
        pass
    assert _saved(tmp_path).peers == {"b": SavedPeer(Address("127.0.0.1", 1))}


@pytest.mark.parametrize("count", [2, 4])
@in_real_time
async def test_nodes_that_were_all_stopped_in_good_order_form_one_cluster_again_without_a_seed(
    count: int, tmp_path: Path
) -> None:
    directories = [tmp_path / str(number) for number in range(count)]
    nodes = [_node(directories[0])]
    await nodes[0].start()
    for directory in directories[1:]:
        nodes.append(_node(directory, seeds=[nodes[0].local.address]))
        await nodes[-1].start()
    for node in nodes:
        await node.wait_for_members(count)
    addresses = [node.local.address for node in nodes]
    for step in (Cluster.drain, Cluster.leave, Cluster.close):
        await asyncio.gather(*map(step, nodes))

    again = [
        _node(directory, bind=address, join_timeout=0)
        for directory, address in zip(directories, addresses, strict=True)
    ]
    for node in again:
        await node.start()
    for node in again:
        await node.wait_for_members(count)
    await asyncio.gather(*(node.close() for node in again))


@in_real_time
async def test_an_id_is_above_the_last_one_whatever_the_clock_says(tmp_path: Path) -> None:
    future = NodeId.mint(time.time_ns() // 1_000_000 + 86_400_000, Random(1))
    store = DirectoryStore(tmp_path)
    store.open()
    store.save_own(OwnState("shoal", "a", future, Tags(), Tags()))
    store.close()
    async with _node(tmp_path) as a:
        assert a.local.id > future
        mine = a.local.id
    own = _saved(tmp_path).own
    assert own is not None
    assert own.id == mine


@in_real_time
async def test_tags_that_are_configured_anew_outrank_those_that_were_published(tmp_path: Path) -> None:
    async with _node(tmp_path, tags={"zone": "x"}) as a:
        await a.set_tags({"zone": "y"})
    async with _node(tmp_path, tags={"zone": "x"}) as a:
        assert a.local.tags == {"zone": "y"}
    async with _node(tmp_path, tags={"zone": "z"}) as a:
        assert a.local.tags == {"zone": "z"}


@in_real_time
async def test_a_keyring_is_kept_as_it_was_last_changed_unless_other_keys_are_given(tmp_path: Path) -> None:
    old, new, other = (ClusterKey(bytes([number]) * 32) for number in (1, 2, 3))
    async with _node(tmp_path, keys=[old]) as a:
        await a.install_key(new)
        await a.use_key(new.id)
        await a.remove_key(old.id)
    async with _node(tmp_path, keys=[old]) as a:
        assert [key.id for key in a._keyring._keys] == [new.id]  # type: ignore[union-attr]
    async with _node(tmp_path, keys=[other]) as a:
        assert [key.id for key in a._keyring._keys] == [other.id]  # type: ignore[union-attr]


@in_real_time
async def test_a_state_that_could_not_be_saved_is_reported_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_args: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(Database, "write_own", refuse)
    node = _node(tmp_path)
    await node.start()
    phase = (await node.close())[ShutdownPhase.STATE]
    assert (phase.outcome, phase.problem) == (Outcome.FAILED, "what changed last could not be saved")
    (line,) = [record for record in caplog.records if getattr(record, "event", "") == "node_closed"]
    assert line.levelno == logging.WARNING
    assert "state failed (what changed last could not be saved)" in line.getMessage()
    assert not any(record.exc_info for record in caplog.records)


@in_real_time
async def test_a_second_node_on_one_directory_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    async with _node(tmp_path, name="a") as a:
        second = _node(tmp_path, name="b")
        with pytest.raises(StateInUseError, match="node a"):
            await second.start()
        assert second.is_closed
        assert a.health().counts[MemberState.ALIVE] == 1


@in_real_time
async def test_the_directory_of_another_cluster_is_refused(tmp_path: Path) -> None:
    async with _node(tmp_path, cluster="blue"):
        pass
    with pytest.raises(ConfigError, match="a node of cluster 'blue', not 'shoal'"):
        await _node(tmp_path).start()
    async with _node(tmp_path, cluster="blue"):
        pass


@in_real_time
async def test_events_are_kept(tmp_path: Path) -> None:
    async with Cluster(FAST, name="a") as a, _node(tmp_path, name="b", seeds=[a.local.address]) as b:
        await b.wait_for_members(2)
    first = _saved(tmp_path).events[0]
    assert (first.kind, first.member) == ("MemberJoined", "a")


def test_a_thread_keeps_its_state_too(tmp_path: Path) -> None:
    with blocking.Cluster(FAST, state_dir=str(tmp_path), name="a") as a:
        first = a.local
    with blocking.Cluster(FAST, store=DirectoryStore(tmp_path)) as a:
        assert (a.local.name, a.local.id > first.id) == ("a", True)


def test_a_given_name_outranks_the_saved_one(tmp_path: Path) -> None:
    with blocking.Cluster(FAST, state_dir=tmp_path, name="a"):
        pass
    with blocking.Cluster(FAST, state_dir=tmp_path, name="b") as b:
        assert b.local.name == "b"


@in_real_time
async def test_where_members_stand_is_kept_as_far_as_their_tags_say(tmp_path: Path) -> None:
    async with Cluster(FAST, name="a", tags={"zone": "x", "rack": "7"}) as a:
        async with _node(tmp_path, name="b", seeds=[a.local.address]) as b:
            await b.wait_for_members(2)
        assert _saved(tmp_path).peers == {"a": SavedPeer(a.local.address, a.local.tags)}


@in_real_time
async def test_whom_the_last_run_knew_is_remembered_for_a_while_beside_whom_this_one_found(tmp_path: Path) -> None:
    missing = SavedPeer(Address("127.0.0.1", 1), state=MemberState.LEFT)
    store = DirectoryStore(tmp_path)
    store.open()
    store.save_peers({"missing": missing})
    store.close()
    async with Cluster(FAST, name="a") as a, _node(tmp_path, name="b", seeds=[a.local.address]) as b:
        await b.wait_for_members(2)
        (running, keeper), found = (b._running, b._keeper), SavedPeer(a.local.address)
        assert running is not None
        assert keeper is not None
        keeper.save(running.core, b.now())
        assert _kept(keeper) == {"a": found, "missing": missing}
        keeper.save(running.core, b.now() + FAST.tombstone_life)
        assert _kept(keeper) == {"a": found}


def _kept(keeper: Keeper) -> Any:
    store = keeper.store
    assert isinstance(store, DirectoryStore)
    return store._peers


def _member(name: str, state: MemberState, since: float = 0.0, tags: Tags = NO_TAGS) -> Member:
    return Member(name, NodeId(bytes(16)), Address("127.0.0.1", 1), state, 0, tags, since)


def test_of_those_who_left_the_last_ones_are_remembered_after_all_others() -> None:
    left = [_member(f"left {number}", MemberState.LEFT, since=number) for number in range(1000)]
    others = [_member("dead", MemberState.DEAD), _member("suspect", MemberState.SUSPECT)]
    names = list(peers_among([*left, *others, _member("alive", MemberState.ALIVE)]))
    assert names == ["alive", "suspect", "dead", *(f"left {number}" for number in range(999, 871, -1))]


def test_a_name_is_remembered_where_it_is_present_and_no_more_names_than_are_of_use() -> None:
    present = [_member(f"present {number}", MemberState.ALIVE) for number in range(2 * MAX_PEERS)]
    peers = peers_among([_member("present 7", MemberState.LEFT), *present])
    assert len(peers) == MAX_PEERS
    assert {peer.state for peer in peers.values()} == {MemberState.ALIVE}


def test_of_long_tags_those_are_kept_that_have_room() -> None:
    tags = Tags(rack="7", zone="z" * 2000, weight="w" * 2000)
    assert SavedPeer.of(_member("a", MemberState.ALIVE, tags=tags)).tags == {"rack": "7", "weight": "w" * 2000}


def test_a_keeper_without_anything_kept_changes_nothing(tmp_path: Path) -> None:
    keeper = Keeper(DirectoryStore(tmp_path), FAST, is_named=False)
    assert (keeper.name, keeper.tags, keeper.peers) == (None, Tags(), ())
    assert keeper.keys([]) == ()


@in_real_time
async def test_what_happened_before_and_after_a_restart_can_be_read(tmp_path: Path) -> None:
    async with Cluster(FAST, name="a") as a:
        async with _node(tmp_path, name="b", seeds=[a.local.address]) as b:
            await b.wait_for_members(2)
        async with _node(tmp_path, name="b", seeds=[a.local.address]) as again:
            await again.wait_for_members(2)
    events = again.saved_events()
    assert [(event.kind, event.member) for event in events] == [("MemberJoined", "a")] * 2
    assert {(event.id, event.address) for event in events} == {(a.local.id, a.local.address)}
    assert events[0].at < events[1].at <= time.time()
    assert _saved(tmp_path).events == events


def test_what_the_node_saw_in_the_cluster_is_kept_as_its_own_with_the_figures(tmp_path: Path) -> None:
    me, other = _member("me", MemberState.ALIVE), _member("other", MemberState.SUSPECT)
    partition = Partition(since=0.0, lost=(other,) * 5, present=7, rate=1.0)
    decision = PartitionDecision("quorum", PartitionRuling.STAY, "7 of 12 are here" + "!" * 1000)
    store = DirectoryStore(tmp_path)
    Keeper(store, FAST, is_named=True).note(
        [
            MemberDamped(other, returns=4, accusers=(), penalty=5.0),
            MemberReinstated(other),
            RemovalHalted(removed=3, members=40, domain=FailureDomain("zone", "a")),
            RemovalResumed(removed=2, returned=1),
            PartitionSuspected(partition),
            PartitionDecided(partition, decision),
            PartitionHealed(returned=(other,) * 4, still_lost=(other,), lasted=12.34),
            JoinCompleted(),
        ],
        me,
    )
    assert [(event.kind, event.member, event.detail[:50]) for event in store.events()] == [
        ("MemberDamped", "other", "came back 4 times"),
        ("MemberReinstated", "other", ""),
        ("RemovalHalted", "me", "3 of 40 members of zone=a were removed"),
        ("RemovalResumed", "me", "2 were removed, 1 came back"),
        ("PartitionSuspected", "me", "5 members were lost, 7 are here"),
        ("PartitionDecided", "me", "quorum says stay: 7 of 12 are here!!!!!!!!!!!!!!!!"),
        ("PartitionHealed", "me", "4 members are back after 12.3 s, 1 are still lost"),
    ]
    assert max(len(event.detail) for event in store.events()) == 500


@in_real_time
async def test_a_node_that_keeps_nothing_has_no_saved_events() -> None:
    async with Cluster(FAST, name="a") as a:
        with pytest.raises(ConfigError, match="this node keeps nothing, and so no events; set a directory"):
            a.saved_events()
