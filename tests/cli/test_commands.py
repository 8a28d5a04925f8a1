"""The commands, against real agents."""

import json
import re
import subprocess
import sys
from pathlib import Path
from signal import SIGINT
from typing import Any

import pytest
from click.testing import CliRunner, Result

from shoal.cli.root import shoal
from tests.agent.processes import PATIENCE, QUICK, AgentProcess, Agents, environment, unused_address, wait_until

Pair = tuple[AgentProcess, AgentProcess]

COMMANDS = "agent members events info tags join drain ready leave keys keygen demo simulate bench".split()
CLIENTS = [
    ["members"],
    ["events"],
    ["info"],
    ["tags"],
    ["tags", "set", "a=b"],
    ["join", "127.0.0.1:1"],
    ["drain"],
    ["ready"],
    ["leave"],
]


def run(*arguments: str, agent: AgentProcess | None = None) -> Result:
    variables = {"SHOAL_AGENT": None if agent is None else str(agent.http)}
    return CliRunner(env=variables).invoke(shoal, arguments)


def run_json(*arguments: str, agent: AgentProcess) -> Any:
    result = run(*arguments, "--json", agent=agent)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


# The group


def test_help_lists_every_command_and_loads_none() -> None:
    code = (
        "import sys; from shoal.cli.root import shoal; shoal(['--help'], standalone_mode=False);"
        "sys.exit(', '.join({'rich', 'starlette', 'uvicorn', 'http.client'} & set(sys.modules)) or 0)"
    )

    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=False)

    assert ended.returncode == 0, ended.stderr
    listed = re.findall(r"^  (\w+)  ", ended.stdout.partition("Commands:")[2], re.MULTILINE)
    assert listed == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    result = run(command, "--help")

    assert result.exit_code == 0
    assert f"Usage: shoal {command}" in result.output


def test_the_version_is_told() -> None:
    assert re.fullmatch(r"shoal, version \d+\.\d+\.\d+\n", run("--version").output)


@pytest.mark.parametrize(
    ("module", "arguments", "extra"),
    [("click", ["--help"], "cli"), ("rich", ["members"], "cli"), ("uvicorn", ["agent"], "http")],
)
def test_a_missing_extra_is_one_line_that_names_it(module: str, arguments: list[str], extra: str) -> None:
    code = f"import sys; sys.modules[{module!r}] = None; from shoal.cli import main; sys.argv[1:] = {arguments}; main()"

    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=False)

    assert ended.returncode == 1
    assert re.fullmatch(rf"Error: .*pip install 'shoal\[{extra}\]'\n", ended.stderr)


# Asking


def test_members_are_a_table(pair: Pair) -> None:
    header, a, b = run("members", agent=pair[0]).output.splitlines()

    assert header.split() == ["NAME", "STATE", "ADDRESS", "INC", "FOR", "TAGS"]
    assert a.split()[:3] == ["a", "alive", pair[0].gossip]
    assert a.endswith("role=worker")
    assert b.split()[:3] == ["b", "alive", pair[1].gossip]


def test_members_as_json_are_objects(pair: Pair) -> None:
    members = run_json("members", agent=pair[1])

    assert [member["name"] for member in members] == ["a", "b"]
    assert set(members[0]) >= {"name", "id", "address", "state", "incarnation", "tags"}


def test_members_can_be_chosen(pair: Pair) -> None:
    chosen = run_json("members", "--tag", "role=worker", "--state", "alive", agent=pair[0])

    assert [member["name"] for member in chosen] == ["a"]
    assert run_json("members", "--state", "dead", agent=pair[0]) == []


def test_one_member_is_shown_by_name(pair: Pair) -> None:
    _, row = run("members", "b", agent=pair[0]).output.splitlines()
    [form] = run_json("members", "b", agent=pair[0])

    assert row.split()[:2] == ["b", "alive"]
    assert form["name"] == "b"
    assert run("members", "nobody", agent=pair[0]).stderr == "Error: no member has the name or id 'nobody'\n"


def test_without_verdicts_why_says_so(pair: Pair) -> None:
    assert run("members", "b", "--why", agent=pair[0]).output == "no verdict on b is remembered\n"
    assert run_json("members", "b", "--why", agent=pair[0]) == []


def test_the_agent_can_be_named_by_option(pair: Pair) -> None:
    assert run("info", "--agent", str(pair[1].http)).output.startswith("name:                 b\n")


def test_info_tells_of_the_agent_and_of_a_member(pair: Pair) -> None:
    own, other = run("info", agent=pair[0]).output, run("info", "b", agent=pair[0]).output

    assert "2 alive, 0 suspect, 0 dead, 0 left" in own
    assert "running, joined" in own
    assert f"address:      {pair[1].gossip}\n" in other
    info, member = run_json("info", agent=pair[0]), run_json("info", "b", agent=pair[0])
    assert (info["member"]["name"], member["name"]) == ("a", "b")


# States


def test_every_state_is_seen(agents: Agents) -> None:
    a, b = agents.pair(**QUICK)
    c = agents.start("--name", "c", "--join", a.gossip, **QUICK)
    a.wait_for_state("c", "alive")

    assert run("drain", agent=c).output == "c is draining\n"
    assert [member["name"] for member in run_json("members", "--readiness", "draining", agent=c)] == ["c"]
    assert run("ready", agent=c).output == "c is ready\n"
    b.kill()
    assert run("leave", agent=c).output == "c has left\n"

    a.wait_for_state("b", "dead")
    a.wait_for_state("c", "left")
    members = run_json("members", agent=a)
    assert {member["name"]: member["state"] for member in members} == {"a": "alive", "b": "dead", "c": "left"}


def test_why_tells_each_verdict_as_a_paragraph(agents: Agents) -> None:
    a, b = agents.pair(**QUICK)
    b.kill()
    a.wait_for_state("b", "dead")

    told = run("members", "b", "--why", agent=a).output
    verdicts = run_json("members", "b", "--why", agent=a)

    suspected, died = told.split("\n\n")[-2:]
    assert "suspect, because its own probe had no answer.\n  a accused it first, " in suspected
    assert "dead, because it did not refute the suspicion in time.\n  a accused it first, " in died
    assert [verdict["state"] for verdict in verdicts[-2:]] == ["suspect", "dead"]


# Steering


def test_tags_are_shown_set_and_removed(agents: Agents) -> None:
    a = agents.start("--name", "a", "--tag", "zone=x")

    assert run("tags", agent=a).output == "zone=x\n"
    assert run("tags", "set", "rack=1", "zone=", agent=a).output == "rack=1\nzone=\n"
    assert run_json("tags", "remove", "rack", "unknown", agent=a) == {"zone": ""}
    assert run_json("tags", agent=a) == {"zone": ""}


def test_a_command_of_a_group_obeys_the_options_of_the_group(agents: Agents, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.touch(0o600)
    token.write_text("correct-horse-battery-staple")
    a, b = agents.start("--name", "a", "--http-token-file", str(token)), agents.start("--name", "b")
    to_a = ["--agent", str(a.http), "--token-file", str(token)]

    changed = run("tags", *to_a, "--json", "set", "zone=x", agent=b)

    assert changed.exit_code == 0, changed.output
    assert json.loads(changed.stdout) == {"zone": "x"}
    assert run("tags", *to_a, "remove", "nothing", agent=b).stdout == "zone=x\n"
    assert run("tags", "--agent", str(b.http), "set", *to_a, "rack=1").stdout == "rack=1\nzone=x\n"
    assert run("tags", *to_a[2:], "set", *to_a[:2], "rack=2", agent=b).stdout == "rack=2\nzone=x\n"
    assert b.client.local().tags == {}


def test_join_tells_what_it_reached(agents: Agents) -> None:
    a, b = agents.start("--name", "a"), agents.start("--name", "b")

    result = run("join", b.gossip, a.gossip, agent=a)

    assert result.exit_code == 0
    assert f"{b.gossip}: reached\n" in result.output
    assert f"{a.gossip}: unreachable: it is this node itself\n" in result.output
    assert run("join", a.gossip, agent=a).exit_code == 1


# Following


def start_following(agent: AgentProcess, *options: str) -> subprocess.Popen[str]:
    before = agent.client.info().health.subscribers
    command = [sys.executable, "-m", "shoal", "events", *options]
    follower = subprocess.Popen(
        command,
        env=environment(SHOAL_AGENT=str(agent.http)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: agent.client.info().health.subscribers > before, "events are followed")
    return follower


def test_events_end_after_the_wanted_count(agents: Agents) -> None:
    a = agents.start("--name", "a")
    with start_following(a, "--count", "2", "--json") as follower:
        for zone in ("x", "y", "z"):
            a.client.update_tags({"zone": zone})
        out, _ = follower.communicate(timeout=PATIENCE)

    assert [json.loads(line)["member"]["tags"] for line in out.splitlines()] == [{"zone": "x"}, {"zone": "y"}]
    assert follower.returncode == 0


def test_events_end_with_an_error_when_the_agent_does(agents: Agents) -> None:
    a = agents.start("--name", "a")
    with start_following(a) as follower:
        a.client.leave()
        out, errors = follower.communicate(timeout=PATIENCE)

    assert "leave_completed" in out
    assert errors == f"Error: the agent at {a.http} has ended\n"
    assert follower.returncode == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send SIGINT to one process")
def test_ctrl_c_is_a_good_end_of_following(agents: Agents) -> None:
    a = agents.start("--name", "a")
    with start_following(a) as follower:
        follower.send_signal(SIGINT)
        _, errors = follower.communicate(timeout=PATIENCE)

    assert (follower.returncode, errors) == (0, "")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send SIGINT to one process")
def test_watching_members_prints_them_again_when_they_change(agents: Agents) -> None:
    a = agents.start("--name", "a")
    command = [sys.executable, "-m", "shoal", "members", "--watch", "--agent", str(a.http)]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True) as watcher:
        assert watcher.stdout is not None
        assert watcher.stdout.readline().startswith("NAME")
        a.client.update_tags({"zone": "x"})
        seen = [watcher.stdout.readline() for _ in range(3)]
        watcher.send_signal(SIGINT)
        assert watcher.wait(PATIENCE) == 0

    assert "zone=x" not in seen[0]
    assert seen[1].startswith("NAME")
    assert seen[2].rstrip().endswith("zone=x")


# Mistakes


@pytest.mark.parametrize("command", CLIENTS)
def test_without_an_agent_the_remedy_is_told(command: list[str]) -> None:
    where = unused_address()

    result = run(*command, "--agent", where)

    assert result.exit_code == 1
    assert result.stderr == (
        f"Error: no agent answers at {where}; start one with `shoal agent`, or name another with --agent HOST:PORT\n"
    )


@pytest.mark.parametrize("command", CLIENTS)
def test_a_bad_agent_address_is_named(command: list[str]) -> None:
    result = run(*command, "--agent", "nowhere")

    assert result.exit_code == 1
    assert result.stderr == "Error: --agent: invalid address 'nowhere': the port is missing; write host:port\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["agent", "--bind", "nowhere"], "--bind: invalid address 'nowhere': the port is missing"),
        (["agent", "--bind", "1.2.3:80"], "--bind: invalid address"),
        (["agent", "--advertise", "0.0.0.0:1"], "no peer can send to it"),
        (["agent", "--http", "127.0.0.1:99999"], "--http: invalid address"),
        (["agent", "--http", "0.0.0.0:7980"], "--http-allow-remote"),
        (["agent", "--http", "node-7:7980"], "--http-allow-remote"),
        (["agent", "--join", "a"], "--join: invalid address 'a'"),
        (["agent", "--join", "127.0.0.1:0"], "a seed needs a port"),
        (["agent", "--tag", "role"], "--tag: 'role' is no tag; write KEY=VALUE"),
        (["agent", "--name", "a\nb"], "name = "),
        (["agent", "--cluster", ""], "cluster = ''"),
        (["members", "--tag", "role"], "--tag: 'role' is no tag"),
        (["tags", "set", "=x"], "'=x' is no tag"),
        (["join", "[::1"], "the closing bracket is missing"),
    ],
)
def test_a_bad_value_is_one_line_that_names_it(arguments: list[str], words: str) -> None:
    result = run(*arguments)

    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    assert words in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], "nonsense"),
        (["members", "a", "extra"], "extra"),
        (["members", "--why"], "--why goes with NAME"),
        (["members", "a", "--why", "--watch"], "--why goes with NAME"),
        (["members", "a", "--state", "alive"], "NAME shows one member"),
        (["members", "--state", "gone"], "'gone' is not one of"),
        (["events", "--count", "0"], "x>=1"),
        (["info", "a", "b"], "b"),
        (["tags", "set"], "KEY=VALUE"),
        (["tags", "remove"], "KEY"),
        (["tags", "rename"], "rename"),
        (["join"], "HOST:PORT"),
        (["leave", "a", "b"], "b"),
        (["agent", "--profile", "moon"], "'moon' is not one of"),
        (["agent", "--log-format", "xml"], "'xml' is not one of"),
        (["agent", "--log-level", "loud"], "'loud' is not one of"),
    ],
)
def test_a_wrong_use_is_told_with_the_usage(arguments: list[str], words: str) -> None:
    result = run(*arguments)

    assert result.exit_code == 2
    assert "Usage: shoal" in result.stderr
    assert words in result.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("probe_interval = 0", "probe_interval = 0"),
        ("probe_intervall = 1", "did you mean probe_interval?"),
        ("name = ", "is no TOML"),
        ('profile = "moon"', "lan, wan, local"),
    ],
)
def test_a_bad_file_is_one_line_that_names_the_fault(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "shoal.toml"
    file.write_text(text)

    result = run("agent", "--config", str(file))

    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert words in line


def test_a_bad_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_PROBE_INTERVALL", "1")

    assert "SHOAL_PROBE_INTERVALL" in run("agent").stderr


def test_a_refusal_of_the_agent_is_passed_on(pair: Pair) -> None:
    too_large = run("tags", "set", f"zone={'x' * 1000}", agent=pair[0])
    unknown = run("info", "nobody", agent=pair[0])

    assert (too_large.exit_code, unknown.exit_code) == (1, 1)
    assert "max_tag_bytes" in too_large.stderr
    assert unknown.stderr == "Error: no member has the name or id 'nobody'\n"


# Saved events


def test_saved_events_are_shown_by_the_agent_and_from_its_directory(agents: Agents, tmp_path: Path) -> None:
    state = str(tmp_path)
    a = agents.start("--name", "a")
    b = agents.start("--name", "b", "--state-dir", state, "--join", a.gossip, **QUICK)
    b.wait_for_state("a", "alive")
    a.kill()
    b.wait_for_log("member_failed")
    lines = [json.loads(line) for line in run("events", "--saved", "--json", agent=b).stdout.splitlines()]
    assert [line["event"] for line in lines] == ["member_joined", "member_suspected", "member_failed"]
    assert {(line["name"], line["address"]) for line in lines} == {("a", a.gossip)}
    assert b.client.saved_events(1) == b.client.saved_events()[-1:]

    def offline(*more: str) -> list[str]:
        return run("events", "--saved", "--state-dir", state, *more).stdout.splitlines()

    wait_until(lambda: len(offline("--json")) == 3, "all is written")  # beside the agent, which holds the directory
    b.kill()
    assert [json.loads(line) for line in offline("--json")] == lines
    heading, last = offline("--count", "1")
    assert heading.split() == ["TIME", "EVENT", "NAME", "ADDRESS", "DETAIL"]
    assert last.split()[2:] == ["member_failed", "a", a.gossip]


def test_an_agent_without_a_state_directory_says_so(pair: Pair) -> None:
    result = run("events", "--saved", agent=pair[0])
    assert result.exit_code == 1
    assert "this node keeps nothing, and so no events; set a directory" in result.output


def test_a_state_directory_is_for_saved_events_only(tmp_path: Path) -> None:
    result = run("events", "--state-dir", str(tmp_path))
    assert result.exit_code == 2
    assert "--state-dir goes with --saved" in result.output
    result = run("events", "--saved", "--state-dir", str(tmp_path))
    assert result.exit_code == 1
    assert "no node has kept its state there" in result.output
