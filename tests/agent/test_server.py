"""An agent's life as a process: how it starts, or does not, and how it ends."""

import socket
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from signal import SIGINT, SIGTERM, Signals

import pytest

from tests.agent.processes import AgentProcess, Agents, shoal, wait_until

needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send SIGTERM to a process")


def why_it_did_not_start(*options: str, **variables: str) -> str:
    """The one line that a failed start leaves."""
    ended = shoal("agent", "--bind", "127.0.0.1:0", "--http", "none", *options, **variables)
    assert ended.returncode != 0
    (line,) = ended.stderr.splitlines()
    assert line.startswith("Error: ")
    return line


def test_an_agent_says_where_it_listens(agents: Agents) -> None:
    started = agents.start("--name", "a", "--cluster", "blue", "--tag", "zone=x").wait_for_log("agent_started")

    assert (started["cluster"], started["member"]["name"], started["member"]["tags"]) == ("blue", "a", {"zone": "x"})
    assert not started["member"]["address"].endswith(":0")
    assert not started["http"].endswith(":0")


def test_settings_are_layered(agents: Agents, tmp_path: Path) -> None:
    file = tmp_path / "shoal.toml"
    file.write_text('name = "file"\ncluster = "file"\ntags = {zone = "file", rack = "file"}\n')

    a = agents.start("--config", str(file), "--name", "option", "--tag", "zone=option", SHOAL_CLUSTER="variable")

    started = a.wait_for_log("agent_started")
    assert (started["member"]["name"], started["cluster"]) == ("option", "variable")
    assert started["member"]["tags"] == {"zone": "option", "rack": "file"}


def test_an_agent_without_http_is_a_member(agents: Agents) -> None:
    a = agents.start("--name", "a")
    b = agents.start("--name", "b", "--join", a.gossip, "--http", "none")

    assert b.wait_for_log("agent_started")["http"] is None
    a.wait_for_state("b", "alive")


def test_the_variable_of_the_command_line_is_no_setting(agents: Agents) -> None:
    agents.start("--name", "a", SHOAL_AGENT="127.0.0.1:7980").wait_for_log("agent_started")


# Starts that fail


def test_a_gossip_port_in_use_is_named() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        line = why_it_did_not_start("--bind", f"127.0.0.1:{port}")

    assert f"127.0.0.1:{port}" in line
    assert "in use" in line


def test_an_http_port_in_use_is_named() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        line = why_it_did_not_start("--http", f"127.0.0.1:{port}")

    assert f"cannot serve HTTP on 127.0.0.1:{port}: the port is in use" in line
    assert "--http none" in line


def test_an_address_of_another_machine_is_refused() -> None:
    assert "no interface of this machine has that address" in why_it_did_not_start("--bind", "192.0.2.1:7946")


def test_http_beyond_this_machine_has_to_be_wanted(agents: Agents) -> None:
    line = why_it_did_not_start("--http", "0.0.0.0:0")
    assert "0.0.0.0:0" in line
    assert "--http-allow-remote" in line

    wanted = agents.start("--http", "0.0.0.0:0", "--http-allow-remote")
    assert wanted.wait_for_log("agent_started")["http"].startswith("0.0.0.0:")


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing.toml"

    line = why_it_did_not_start("--config", str(missing))

    assert str(missing) in line
    assert "cannot be read" in line


# Seeds


def test_an_unresolvable_seed_is_a_warning_and_no_end(agents: Agents) -> None:
    a = agents.start("--name", "a", "--join", "nowhere.invalid:7946")

    line = a.wait_for_log("seed_unreachable", address="nowhere.invalid:7946")

    assert line["level"] == "warning"
    assert a.client.info().health.ready


def test_a_seed_that_turns_up_late_is_joined(agents: Agents) -> None:
    with closing(socket.socket()) as reserved:
        reserved.bind(("127.0.0.1", 0))
        seed = f"127.0.0.1:{reserved.getsockname()[1]}"
        a = agents.start("--name", "a", "--join", seed, SHOAL_REJOIN_INTERVAL="0.1")
        a.wait_for_log("seed_unreachable", address=seed)

    agents.start("--name", "s", "--bind", seed)

    a.wait_for_state("s", "alive")
    a.wait_for_log("seed_recovered", address=seed)
    assert len([line for line in a.lines("seed_unreachable") if line["level"] == "warning"]) == 1


# The end


@needs_signals
@pytest.mark.parametrize("number", [SIGTERM, SIGINT])
def test_a_signal_is_a_goodbye(agents: Agents, number: Signals) -> None:
    a, b = agents.pair()

    b.signal(number)

    assert b.wait() == 0
    a.wait_for_state("b", "left")
    assert a.lines("member_left")
    assert not a.lines("member_failed")
    steps = ["agent_leaving", "member_readiness_changed", "leave_completed", "agent_stopped"]
    assert [line["event"] for line in b.log if line["event"] in steps] == steps


@needs_signals
def test_an_agent_drains_before_it_says_goodbye(agents: Agents) -> None:
    a, b = agents.pair()

    b.signal(SIGTERM)

    assert a.wait_for_log("member_readiness_changed")["member"]["readiness"] == "draining"
    assert b.wait() == 0
    told = ("member_readiness_changed", "member_left")
    assert [line["event"] for line in a.log if line["event"] in told] == list(told)


@needs_signals
def test_the_grace_can_be_cut_short(agents: Agents) -> None:
    a = agents.start("--name", "a", "--grace", "3600")
    b = agents.start("--name", "b", "--grace", "3600", "--join", a.gossip)
    a.wait_for_state("b", "alive")
    b.wait_for_state("a", "alive")
    b.signal(SIGTERM)
    a.wait_for_log("member_readiness_changed")
    assert b.process.poll() is None

    b.signal(SIGTERM)

    assert b.wait() == 1


@needs_signals
def test_a_second_signal_ends_at_once(agents: Agents) -> None:
    _, b = agents.pair(SHOAL_GOSSIP_INTERVAL="60", SHOAL_PROBE_INTERVAL="60", SHOAL_LEAVE_TIMEOUT="60")
    b.signal(SIGTERM)
    b.wait_for_log("agent_leaving")
    assert not b.client.info().health.ready

    b.signal(SIGTERM)

    assert b.wait() == 1
    assert not b.lines("leave_completed")


@needs_signals
def test_an_event_stream_that_nobody_reads_does_not_hold_up_the_end(agents: Agents) -> None:
    large = {"SHOAL_MAX_DATAGRAM": "65507", "SHOAL_MAX_TAG_BYTES": "32768"}
    a = agents.start("--name", "a", **large)
    with closing(socket.socket()) as frozen:
        frozen.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        frozen.connect(a.http)
        frozen.sendall(b"GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        wait_until(lambda: a.client.info().health.subscribers == 2, "the stream is open")
        for turn in range(200):
            a.client.update_tags({"ballast": f"{turn:030000}"})
        wait_until(lambda: len(a.lines("member_updated")) == 200, "the log is read")

        a.signal(SIGTERM)

        assert a.wait() == 0
    steps = ["agent_leaving", "leave_completed", "agent_stopped"]
    assert [line["event"] for line in a.log if line["event"] in steps] == steps


# Restarts


def test_after_a_power_cut_the_cluster_forms_again_by_itself(agents: Agents, tmp_path: Path) -> None:
    names = ["a", "b", "c", "d", "e"]
    first = agents.start("--name", "a", "--state-dir", str(tmp_path / "a"), SHOAL_REJOIN_INTERVAL="0.2")
    seed = first.gossip
    started = {"a": first} | {
        name: agents.start("--name", name, "--state-dir", str(tmp_path / name), "--join", seed) for name in names[1:]
    }
    ports = {name: agent.gossip for name, agent in started.items()}
    for agent in started.values():
        wait_until(lambda agent=agent: len(agent.client.members(("alive",))) == 5, "all see all")  # type: ignore[misc]
    ids = {member.name: member.id for member in first.client.members()}
    wait_until(lambda: all(_peers_in(tmp_path / name) == 4 for name in names), "all have saved whom they know")

    for agent in started.values():
        agent.kill()
    again = [
        agents.start("--state-dir", str(tmp_path / name), "--bind", ports[name], SHOAL_REJOIN_INTERVAL="0.2")
        for name in names
    ]

    for agent in again:
        wait_until(lambda agent=agent: len(agent.client.members(("alive",))) == 5, "all see all again")  # type: ignore[misc]
    members = {member.name: member for member in again[0].client.members()}
    assert members.keys() == set(names)
    assert all(members[name].id > ids[name] for name in names)


def test_agents_that_were_all_told_to_end_find_each_other_again_without_a_seed(agents: Agents, tmp_path: Path) -> None:
    def start(name: str, *options: str) -> AgentProcess:
        state = ["--state-dir", str(tmp_path / name), "--grace", "0"]
        return agents.start("--name", name, *state, *options, SHOAL_REJOIN_INTERVAL="0.2")

    a = start("a")
    b = start("b", "--join", a.gossip)
    a.wait_for_state("b", "alive")
    for agent in (a, b):
        agent.signal(SIGTERM)
    assert [a.wait(), b.wait()] == [0, 0]

    again = [start(name, "--bind", agent.gossip) for name, agent in (("a", a), ("b", b))]

    again[0].wait_for_state("b", "alive")
    again[1].wait_for_state("a", "alive")


def test_an_agent_without_a_usable_directory_says_so_in_one_line(agents: Agents, tmp_path: Path) -> None:
    a = agents.start("--name", "a", "--state-dir", str(tmp_path))
    a.wait_for_log("agent_started")

    assert f"is in use by process {a.process.pid}, node a" in why_it_did_not_start("--state-dir", str(tmp_path))
    assert "cannot be used" in why_it_did_not_start("--state-dir", __file__)


def _peers_in(directory: Path) -> int:
    with closing(sqlite3.connect(f"file:{directory / 'state.db'}?mode=ro", uri=True)) as database:
        (count,) = database.execute("SELECT count(*) FROM peers").fetchone()
    return int(count)
