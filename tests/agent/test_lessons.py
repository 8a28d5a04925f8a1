"""What broke in other systems, with real processes: see docs/lessons.md."""

import base64
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from signal import SIGCONT, SIGSTOP, SIGTERM

import pytest

from shoal import blocking
from tests.agent.processes import QUICK, AgentProcess, Agents, environment, wait_until
from tests.clusters import FAST

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot stop a process and let it go on")

AT_ONCE = QUICK | {"SHOAL_STALL_TOLERANCE": "0"}
"""Whoever stands still is dead within a second or two."""
OFTEN = {"SHOAL_REJOIN_INTERVAL": "0.2", "SHOAL_RECONNECT_INTERVAL": "0.2"}
"""Whoever is missing is looked for all the time."""
LIVELY = OFTEN | {"SHOAL_PROBE_INTERVAL": "1", "SHOAL_PROBE_TIMEOUT": "0.5"}
"""And whatever gossip missed is found within seconds."""


def sees(agent: AgentProcess, *names: str) -> Callable[[], bool]:
    return lambda: {member.name for member in agent.client.members(("alive",))} == set(names)


@contextmanager
def fleet(seed: AgentProcess, *names: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Nodes of one process; killed at the end."""
    cluster = seed.wait_for_log("agent_started")["cluster"]
    command = [sys.executable, "-m", "tests.agent.fleet", cluster, seed.gossip, *names]
    process = subprocess.Popen(command, env=environment(**variables), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "up\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_who_lost_everybody_finds_them_where_they_were(agents: Agents) -> None:
    a = agents.start("--name", "a", **AT_ONCE, **OFTEN)
    b = agents.start("--name", "b", "--join", a.gossip, **AT_ONCE)
    wait_until(sees(a, "a", "b"), "a sees b")
    place = b.gossip
    b.kill()
    a.wait_for_state("b", "dead")

    again = agents.start("--name", "b", "--bind", place, **AT_ONCE)

    wait_until(sees(a, "a", "b"), "a, which was told of no seed, has found b, which was told of none either")
    wait_until(sees(again, "a", "b"), "and b knows it")


def test_runs_that_are_over_leave_no_ghosts(agents: Agents) -> None:
    a = agents.start("--name", "a", **AT_ONCE)
    for _ in range(4):
        b = agents.start("--name", "b", "--join", a.gossip, **AT_ONCE)
        both = {agent.client.local().id for agent in (a, b)}
        wait_until(lambda both=both: {member.id for member in a.client.members()} == both, "one b, the newest")  # type: ignore[misc]
        b.kill()
    a.wait_for_state("b", "dead")

    assert len(a.client.members()) == 2
    counts = a.client.info().health.counts
    assert (counts["dead"], counts["alive"]) == (1, 1)


def test_two_that_hold_each_other_dead_do_not_shout_and_make_up(agents: Agents) -> None:
    a, b = agents.pair(**AT_ONCE, **OFTEN)
    try:
        b.signal(SIGSTOP)
        a.wait_for_log("member_failed")
        a.signal(SIGSTOP)
        b.signal(SIGCONT)
        b.wait_for_log("member_failed")
    finally:
        a.signal(SIGCONT)
    began, sent = time.monotonic(), datagrams(a, b)
    for agent in (a, b):
        wait_until(sees(agent, "a", "b"), "they are together again")
    time.sleep(3.0)

    rate = (datagrams(a, b) - sent) / (time.monotonic() - began)
    assert rate < 200, "each sends 10 a second for its probes, and some news"
    assert a.client.local().id == a.client.member("a").id


def datagrams(*agents: AgentProcess) -> int:
    return sum(agent.client.info().stats["datagrams_out"] for agent in agents)


def test_a_joiner_gets_its_view_while_others_have_much_to_tell(agents: Agents) -> None:
    a = agents.start("--name", "a")
    others = [agents.start("--name", name, "--join", a.gossip) for name in "bcd"]
    for agent in (a, *others):
        wait_until(sees(agent, *"abcd"), "all see all")
    for turn in range(100):
        for agent in (a, *others):
            agent.client.update_tags({"ballast": f"{turn:0200}"})

    late = agents.start("--name", "late", "--join", a.gossip)
    late.wait_for_log("join_completed")

    assert {member.name for member in late.client.members(("alive",))} == {*"abcd", "late"}


def test_clocks_that_are_set_change_nobodys_liveness_nor_lock_anybody_out(agents: Agents, tmp_path: Path) -> None:
    offset, keys = tmp_path / "offset", tmp_path / "keys"
    offset.write_text("0")
    keys.touch(0o600)
    keys.write_text(base64.b64encode(secrets.token_bytes(32)).decode())
    (tmp_path / "sitecustomize.py").write_text(
        "import time\n"
        "real = time.time\n"
        f"time.time = lambda: real() + float(open({str(offset)!r}).read() or 0)\n"
        "time.time_ns = lambda: int(time.time() * 1e9)\n"
    )
    sealed = ("--key-file", str(keys))
    a = agents.start("--name", "a", *sealed, **QUICK)
    b = agents.start("--name", "b", "--join", a.gossip, *sealed, **QUICK, PYTHONPATH=str(tmp_path))
    wait_until(sees(a, "a", "b"), "a sees b")
    assert b.client.member("a").state == "alive"

    for turn, step in enumerate(("86400", "-86400", "0")):
        offset.write_text(step)
        time.sleep(2.0)
        b.client.update_tags({"turn": str(turn)})
        wait_until(lambda turn=turn: a.client.member("b").tags.get("turn") == str(turn), "a still hears b")  # type: ignore[misc]

    assert not a.lines("member_failed")
    assert not b.lines("member_failed")


def test_most_members_going_at_once_stop_removal_and_end_nobody(agents: Agents) -> None:
    names = [f"n{number}" for number in range(12)]
    a, b = agents.pair(**AT_ONCE)
    with fleet(a, *names, **AT_ONCE) as process:
        for agent in (a, b):
            wait_until(sees(agent, "a", "b", *names), "all are there")
        process.kill()
        for agent in (a, b):
            halted = agent.wait_for_log("removal_halted")
            assert halted["removed"] <= halted["members"] / 2
            agent.wait_for_log("partition_suspected")
    wait_until(sees(a, "a", "b"), "all others are dead or suspect")
    assert a.client.members(("suspect",))

    with fleet(a, *names, **AT_ONCE):
        for agent in (a, b):
            wait_until(sees(agent, "a", "b", *names), "all are back")
            assert agent.wait_for_log("removal_resumed")["removed"] == 0
            assert not agent.lines("partition_decided"), "nobody asked for a decision"
            assert agent.process.poll() is None


def test_a_rack_that_dies_is_one_change_of_the_view(agents: Agents) -> None:
    quick = AT_ONCE | {"SHOAL_VIEW_CHANGE_DELAY": "1"}
    debug = ("--log-level", "debug")
    a = agents.start("--name", "a", *debug, **quick)
    others = [agents.start("--name", name, "--join", a.gossip, *debug, **quick) for name in "bcd"]
    with fleet(a, "r1", "r2", "r3", **quick) as process:
        for agent in (a, *others):
            wait_until(lambda agent=agent: told(agent, "joined") >= {"r1", "r2", "r3"}, "all are told that they came")  # type: ignore[misc]
        process.kill()
        for agent in (a, *others):
            wait_until(lambda agent=agent: told(agent, "failed"), "it is told")  # type: ignore[misc]
            (change,) = [line for line in agent.lines("view_changed") if line["failed"]]
            assert sorted(member["name"] for member in change["failed"]) == ["r1", "r2", "r3"]
            assert change["domains"] == ["rack=r1"]


def told(agent: AgentProcess, what: str) -> set[str]:
    """Of whom changes of the view have told that."""
    return {member["name"] for line in agent.lines("view_changed") for member in line[what]}


def test_who_stops_again_and_again_is_damped_until_it_is_steady(agents: Agents) -> None:
    settings = QUICK | {"SHOAL_DAMPING_HALF_LIFE": "6"}
    a = agents.start("--name", "a", **settings)
    b, c = (agents.start("--name", name, "--join", a.gossip, **settings) for name in "bc")
    for agent in (a, b, c):
        wait_until(sees(agent, *"abc"), "all see all")
    for _ in range(12):
        try:
            c.signal(SIGSTOP)
            wait_until(lambda: not sees(a, *"abc")() and not sees(b, *"abc")(), "both suspect it")
        finally:
            c.signal(SIGCONT)
        for agent in (a, b):
            wait_until(sees(agent, *"abc"), "it came back")
        if a.lines("member_damped"):
            break
    damped = a.wait_for_log("member_damped")

    assert damped["member"]["name"] == "c"
    assert not a.lines("member_failed"), "it stays a member"
    assert a.wait_for_log("member_reinstated")["member"]["name"] == "c"


def test_nobody_is_accused_before_its_relays_have_spoken(agents: Agents) -> None:
    a = agents.start("--name", "a", **AT_ONCE)
    others = [agents.start("--name", name, "--join", a.gossip, **AT_ONCE) for name in "bcd"]
    for agent in (a, *others):
        wait_until(sees(agent, *"abcd"), "all see all")
    others[-1].signal(SIGSTOP)
    for agent in (a, *others[:-1]):
        agent.wait_for_state("d", "dead")

    probes = [
        probe
        for agent in (a, *others[:-1])
        for verdict in agent.client.evidence("d")
        for probe in verdict.evidence.probes
    ]
    assert probes
    for probe in probes:
        assert probe.relays
        assert set(probe.relays) < set("abc")
        assert probe.stream_tried
        assert probe.deadline > 1.5 * probe.timeout > 0


def test_a_verdict_keeps_nobody_from_being_spoken_to(agents: Agents) -> None:
    b = agents.start("--name", "b", "--log-level", "debug")
    cluster = b.wait_for_log("agent_started")["cluster"]
    config = FAST.replace(cluster=cluster, seeds=[b.gossip], stall_tolerance=0.0, reconnect_interval=600.0)
    with blocking.Cluster(config, name="a") as a:
        a.wait_for_members(2)
        b.signal(SIGSTOP)
        wait_until(lambda: a.member("b").state.name == "DEAD", "b is dead")  # type: ignore[union-attr]
        a.send("b", b"are you there?")
        b.signal(SIGCONT)

        assert b.wait_for_log("message_received")


def test_clusters_of_different_names_stay_apart_even_with_one_key(agents: Agents, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.touch(0o600)
    keys.write_text(base64.b64encode(secrets.token_bytes(32)).decode())
    for options in ((), ("--key-file", str(keys))):
        a = agents.start("--name", "a", *options)
        stranger = agents.start("--name", "s", "--join", a.gossip, *options, SHOAL_CLUSTER="another")
        stranger.wait_for_log("seed_unreachable")
        time.sleep(1.0)

        assert [member.name for member in a.client.members()] == ["a"]
        assert [member.name for member in stranger.client.members()] == ["s"]
        assert any("dropped" in name and count for name, count in a.client.info().stats.items())


def test_all_start_at_once_with_one_seed_down_and_one_cluster_forms(agents: Agents) -> None:
    with ExitStack() as stack:
        held = [stack.enter_context(closing(socket.socket())) for _ in range(6)]
        for one in held:
            one.bind(("127.0.0.1", 0))
        places = [f"127.0.0.1:{one.getsockname()[1]}" for one in held]
    seeds = [option for place in places for option in ("--join", place)]
    started = [
        agents.start("--name", f"n{number}", "--bind", place, *seeds, **LIVELY)
        for number, place in enumerate(places[:5])
    ]
    stranger = agents.start("--name", "stranger", *seeds, SHOAL_CLUSTER="another")

    for agent in started:
        wait_until(sees(agent, *(f"n{number}" for number in range(5))), "one cluster, with everybody in it")
    assert [member.name for member in stranger.client.members()] == ["stranger"]
    last = agents.start("--name", "n5", "--bind", places[5], **LIVELY)  # the seed that was down, with no seed itself
    for agent in (last, *started):
        wait_until(sees(agent, *(f"n{number}" for number in range(6))), "and it, too")


def test_agents_that_restart_one_after_the_other_are_never_missed_nor_given_work_when_gone(agents: Agents) -> None:
    names = [f"n{number}" for number in range(4)]
    running = {"n0": agents.start("--name", "n0", **QUICK)}
    seed = running["n0"].gossip
    running |= {name: agents.start("--name", name, "--join", seed, **QUICK) for name in names[1:]}
    places = {name: agent.gossip for name, agent in running.items()}
    for agent in running.values():
        wait_until(sees(agent, *names), "all see all")
    for name in names:
        others = [agent for other, agent in running.items() if other != name]
        running[name].signal(SIGTERM)
        assert running[name].wait() == 0
        for agent in others:
            ready = {member.name for member in agent.client.members(("alive",), readiness=("ready",))}
            assert name not in ready, "it has ended, and is still selected"
        joins = [option for other, place in places.items() if other != name for option in ("--join", place)]
        running[name] = agents.start("--name", name, "--bind", places[name], *joins, **QUICK)
        for agent in running.values():
            wait_until(sees(agent, *names), "all see all again")

    for agent in running.values():
        assert not agent.lines("member_failed")
