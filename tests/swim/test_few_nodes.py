"""A handful of cores that talk to each other, with what is lost chosen exactly."""

import os
import subprocess
import sys
from hashlib import sha256
from itertools import combinations
from pathlib import Path

import pytest

from shoal.events import (
    BroadcastReceived,
    LeaveCompleted,
    MemberFailed,
    MemberJoined,
    MemberLeft,
    MemberRecovered,
    MemberSuspected,
    MemberUpdated,
    VerdictReason,
)
from shoal.swim.outputs import Datagram
from shoal.types import MemberState
from tests.swim.harness import Net, Solo, address_of, info_of, node_id

ALIVE, SUSPECT, DEAD, LEFT = MemberState
LONGEST = 24.0


def _others(net: Net, number: int) -> list[Solo]:
    return [node for node in net.nodes.values() if node is not net[number]]


def _quiet(net: Net) -> Net:
    for node in net.nodes.values():
        node.quiet()
    return net


def _agree(net: Net) -> bool:
    return len({node.core.digest for node in net.nodes.values() if node not in net.down}) == 1


def test_everybody_finds_everybody_through_one_seed() -> None:
    net = Net(5).form(3.0)
    expected = {f"n{number}": ALIVE for number in range(1, 6)}
    assert all(node.states() == expected for node in net.nodes.values())
    assert all(node.core.joined for node in net.nodes.values())
    assert _agree(net)


def test_a_cluster_at_rest_only_pings() -> None:
    net = _quiet(Net(5).form(20.0))
    before = [node.core.stats.as_dict() for node in net.nodes.values()]
    net.sleep(100.0)
    for node, then in zip(net.nodes.values(), before, strict=True):
        stats = node.core.stats.as_dict()
        changed = {key: stats[key] - then.get(key, 0) for key in stats if stats[key] != then.get(key, 0)}
        # Two neighbours, each in turn with the node itself once in two intervals, and one of all in eight.
        assert 60 <= changed["probes"] <= 64
        assert changed["datagrams_out"] <= 2 * 64 + 20
        probes = {"probes", "probes_acked", "probes_agreed"}
        assert changed.keys() == {"datagrams_in", "datagrams_out", "bytes_in", "bytes_out"} | probes
        assert node.events() == []


def test_a_killed_member_is_suspected_by_a_probe_and_then_dead_for_all() -> None:
    net = _quiet(Net(5).form())
    net.down.add(net[5])
    net.sleep(30.0)
    reasons = set()
    for node in _others(net, 5):
        assert node.state(5) is DEAD
        events = node.events((MemberSuspected, MemberFailed))
        assert [type(event) for event in events] == [MemberSuspected, MemberFailed]
        reasons.add(events[0].evidence.reason)
    assert VerdictReason.PROBE_FAILED in reasons
    assert _agree(net)


def test_the_killed_member_comes_back_as_a_new_run_of_its_name() -> None:
    net = Net(4).form()
    net.down.add(net[4])
    net.sleep(1.5)
    again = Solo(info=info_of(50, "n4", at=address_of(4)), seed=50)
    again.now = net.now
    net.nodes[address_of(4)] = again
    _quiet(net)
    again.start()
    again.join(address_of(1))
    net.sleep(1.0)
    for node in _others(net, 4):
        assert node.core.member(node_id(4)) is None
        assert node.state(50) is ALIVE
        assert [event.member.id for event in node.events(MemberJoined)] == [node_id(50)]


def test_a_member_that_was_cut_off_for_a_moment_refutes() -> None:
    net = _quiet(Net(5, seed=1).form())
    net.down.add(net[5])
    begin = net.now
    while {node.state(5) for node in _others(net, 5)} != {SUSPECT}:
        net.sleep(0.1)
        assert net.now < begin + 5.0
    net.down.clear()
    net.sleep(3.0)
    for node in _others(net, 5):
        assert node.state(5) is ALIVE
        assert len(node.events(MemberRecovered)) == 1
    assert net[5].core.local.incarnation > 0
    net.sleep(100.0)
    assert all(node.events(MemberFailed) == [] for node in _others(net, 5))


def test_a_member_that_was_held_dead_comes_back_by_itself() -> None:
    net = Net(4).form()
    net.down.add(net[4])
    net.sleep(60.0)
    assert {node.state(4) for node in _others(net, 4)} == {DEAD}
    net.down.clear()
    net.sleep(60.0)
    assert all(set(node.states().values()) == {ALIVE} for node in net.nodes.values())
    assert _agree(net)


def test_two_halves_that_held_each_other_dead_find_together_again() -> None:
    net = Net(4).form()
    halves = {address_of(number): number % 2 for number in range(1, 5)}
    net.lost = lambda sender, packet: halves[sender.info.address] != halves[packet.address]
    net.cut = lambda sender, address: halves[sender.info.address] != halves[address]
    net.sleep(120.0)
    assert sorted(net[1].states().values()) == [ALIVE, ALIVE, DEAD, DEAD]
    net.lost = lambda _sender, _packet: False
    net.cut = lambda _sender, _address: False
    net.sleep(60.0)
    assert all(set(node.states().values()) == {ALIVE} for node in net.nodes.values())
    assert _agree(net)


def test_a_broken_path_between_two_members_is_bridged_by_relays() -> None:
    net = Net(5, stream_probe=False).form()
    pair = {address_of(1), net.after(1).info.address}
    net.lost = lambda sender, packet: {sender.info.address, packet.address} == pair
    _quiet(net)
    net.sleep(60.0)
    assert all(node.events() == [] for node in net.nodes.values())
    assert net[1].core.stats.probes_acked_by_relay > 3
    assert sum(node.core.stats.relayed_acks for node in net.nodes.values()) > 6


def test_a_member_that_loses_all_datagrams_is_found_by_streams() -> None:
    net = Net(4).form()
    deaf = net.after(1)
    net.lost = lambda _sender, packet: packet.address == deaf.info.address
    _quiet(net)
    net.sleep(60.0)
    assert all(node.events(MemberSuspected) == [] for node in net.nodes.values() if node is not deaf)
    assert net[1].core.stats.probes_acked_by_stream > 3


@pytest.mark.parametrize("nodes", [2, 5])
def test_a_leaver_is_seen_to_leave_and_never_to_fail(nodes: int) -> None:
    net = _quiet(Net(nodes).form())
    net[2].leave()
    net.sleep(1.0)
    assert net[2].core.has_left
    assert net[2].events() == [LeaveCompleted()]
    net.down.add(net[2])
    net.sleep(100.0)
    for node in _others(net, 2):
        assert node.state(2) is LEFT
        assert [type(event) for event in node.events()] == [MemberLeft]


def test_tags_reach_everybody() -> None:
    net = _quiet(Net(5).form())
    net[3].core.set_tags({"role": "worker"}, net.now)
    net.sleep(1.0)
    for node in _others(net, 3):
        assert node.member(3).tags == {"role": "worker"}
        assert len(node.events(MemberUpdated)) == 1
    assert _agree(net)


def test_a_broadcast_reaches_everybody_once() -> None:
    net = _quiet(Net(5).form())
    net[3].core.broadcast(b"hi", net.now)
    net.sleep(5.0)
    for node in _others(net, 3):
        assert node.events() == [BroadcastReceived(node_id(3), b"hi")]
    assert net[3].events() == []


def test_a_member_that_missed_all_news_repairs_itself() -> None:
    net = Net(5).form()
    deaf = net[5]
    net.lost = lambda _sender, packet: packet.address == deaf.info.address
    net[3].core.set_tags({"role": "worker"}, net.now)
    net.sleep(10.0)
    net.lost = lambda _sender, _packet: False
    assert deaf.member(3).tags == {}
    net.sleep(30.0)
    assert deaf.member(3).tags == {"role": "worker"}
    assert _agree(net)


# The same again


def _script(seed: int) -> list[bytes]:
    """Everything that happens to a cluster, in 60 seconds; returns every byte sent."""
    net = Net(5, seed=seed)
    drops = [0]

    def lost(_sender: Solo, _packet: Datagram) -> bool:
        drops[0] += 1
        return drops[0] % 7 == 0

    net.lost = lost
    net.form(5.0)
    net[2].core.set_tags({"role": "worker"}, net.now)
    net[3].core.broadcast(b"hi", net.now)
    net.sleep(3.0)
    net.down.add(net[5])
    net.sleep(12.0)
    net.down.clear()
    net[4].leave()
    net.sleep(40.0)
    return net.log


def _run_elsewhere(hash_seed: int) -> str:
    """The script in a process of its own, whose sets and dicts of bytes have an order of their own."""
    code = "from hashlib import sha256; from tests.swim.test_few_nodes import _script as run; "
    code += "print(sha256(b''.join(run(1))).hexdigest())"
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONHASHSEED": str(hash_seed)},
        cwd=Path(__file__).parents[2],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout.strip()


def test_two_runs_with_one_seed_are_identical_byte_for_byte() -> None:
    one, other = _script(1), _script(1)
    assert len(one) > 1000
    assert one == other
    assert {_run_elsewhere(1), _run_elsewhere(2)} == {sha256(b"".join(one)).hexdigest()}


def test_runs_with_different_seeds_differ() -> None:
    logs = [_script(seed) for seed in range(3)]
    assert all(one != other for one, other in combinations(logs, 2))
