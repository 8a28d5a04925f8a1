"""Keys and tokens of real agents, through the command line."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shoal.agent.token import HttpToken
from shoal.cli.client import AgentClient, AgentError
from shoal.keys import ClusterKey
from tests.agent.processes import CALM, QUICK, AgentProcess, Agents, running_agents, shoal, wait_until

OLD, NEW = (ClusterKey(secrets.token_bytes(32)) for _ in range(2))
TOKEN = secrets.token_urlsafe()


@pytest.fixture
def agents() -> Iterator[Agents]:
    with running_agents() as agents:
        yield agents


@pytest.fixture
def old_file(tmp_path: Path) -> str:
    return written(tmp_path / "old", OLD.text)


@pytest.fixture
def new_file(tmp_path: Path) -> str:
    return written(tmp_path / "new", NEW.text)


def written(path: Path, text: str) -> str:
    path.touch(0o600)
    path.write_text(text)
    return str(path)


def keys(agent: AgentProcess, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = shoal("keys", *arguments, "--json", "--agent", str(agent.http))
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def held(report: dict[str, Any]) -> dict[str, list[str]]:
    return {member["name"]: member["keys"] for member in report["members"]}


def test_three_agents_rotate_and_one_that_was_down_is_not_stranded(
    agents: Agents, old_file: str, new_file: str, tmp_path: Path
) -> None:
    settings = CALM | QUICK
    a = agents.start("--name", "a", "--key-file", old_file, **settings)
    b = agents.start("--name", "b", "--key-file", old_file, "--join", a.gossip, **settings)
    c = agents.start("--name", "c", "--key-file", old_file, "--join", a.gossip, **settings)
    for agent in (a, b, c):
        for name in "abc":
            agent.wait_for_state(name, "alive")
    old, new = str(OLD.id), str(NEW.id)

    # The new key is unknown yet, and the old one in use.
    code, report = keys(a, "use", new)
    assert code == 1
    assert "installed there first" in report["refusal"]
    code, report = keys(a, "remove", old)
    assert code == 1
    assert "use another first" in report["refusal"]

    where = c.gossip
    c.kill()
    a.wait_for_state("c", "dead")
    b.wait_for_state("c", "dead")
    assert keys(a, "install", new_file)[0] == 0
    code, report = keys(b, "use", new)
    assert (code, held(report)) == (0, {"a": [new, old], "b": [new, old]})
    code, report = keys(b, "remove", old)
    assert code == 1
    assert report["refusal"].startswith("c may come back")

    # It comes back with the old key alone, and is handed the new one.
    c = agents.start("--name", "c", "--bind", where, "--key-file", old_file, "--join", a.gossip, **settings)
    wait_until(lambda: held(keys(a, "list")[1]).get("c") == [old, new], "c holds both keys")
    listed = keys(a, "list")[1]
    assert {member["encryption"] for member in listed["members"]} == {"aes-256-gcm"}
    a.wait_for_state("c", "alive")
    assert keys(c, "use", new)[0] == 0
    code, report = keys(a, "remove", old)
    assert (code, held(report)) == (0, {"a": [new], "b": [new], "c": [new]})
    c.wait_for_state("b", "alive")

    text = shoal("keys", "list", "--agent", str(a.http)).stdout
    assert [line.split()[2] for line in text.splitlines()] == ["KEYS", new, new, new]
    seen = text + json.dumps([agent.log for agent in (a, b, c)]) + json.dumps(listed)
    assert OLD.text not in seen
    assert NEW.text not in seen


def test_an_agent_without_keys_says_how_to_have_some(agents: Agents) -> None:
    a = agents.start("--name", "a")
    done = shoal("keys", "list", "--agent", str(a.http))
    assert done.returncode == 1
    assert "runs without keys" in done.stderr


def test_a_file_without_exactly_one_key_is_not_installed(agents: Agents, old_file: str, tmp_path: Path) -> None:
    a = agents.start("--name", "a", "--key-file", old_file)
    both = written(tmp_path / "both", f"{OLD.text}\n{NEW.text}")
    done = shoal("keys", "install", both, "--agent", str(a.http))
    assert done.returncode == 1
    assert "holds 2 keys" in done.stderr
    assert NEW.text not in done.stderr


def test_a_key_in_the_place_of_its_file_is_not_shown() -> None:
    done = shoal("keys", "install", NEW.text)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: FILE = (not shown): is a key and no path; put it into a file")


@pytest.mark.parametrize("text", ["YWJj", "c2hvcnQ=", "größe"])
def test_a_file_with_a_bad_key_is_named_and_the_key_not_shown(text: str, tmp_path: Path) -> None:
    path = written(tmp_path / "key", text)
    done = shoal("keys", "install", path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: FILE = '{path}': a key is 32 bytes in base64, as `shoal keygen` prints it")
    assert text not in done.stderr


@pytest.mark.parametrize(
    ("text", "problem"),
    [(None, "cannot be read: No such file"), ("", "there is no key in it"), ("c2hvcnQ=", "this one has 5 bytes")],
)
def test_an_agent_with_a_bad_key_file_says_so_in_one_line(tmp_path: Path, text: str | None, problem: str) -> None:
    path = tmp_path / "keys"
    if text is not None:
        written(path, text)
    done = shoal("agent", "--bind", "127.0.0.1:0", "--http", "none", "--key-file", str(path))
    assert done.returncode == 1
    assert problem in done.stderr
    assert done.stderr.count("\n") == 1
    assert "c2hvcnQ=" not in done.stderr


def test_an_agent_without_keys_stays_on_this_machine_unless_told_otherwise(agents: Agents) -> None:
    exposed = ["--advertise", "192.0.2.1:7946"]
    done = shoal("agent", "--bind", "127.0.0.1:0", "--http", "none", *exposed)
    assert done.returncode == 1
    assert "set key_file or keys" in done.stderr
    assert agents.start("--insecure", *exposed).wait_for_log("unencrypted")["level"] == "warning"


def test_an_api_with_a_token_serves_those_who_show_it(agents: Agents, tmp_path: Path) -> None:
    path = written(tmp_path / "token", TOKEN)
    a = agents.start("--name", "a", "--http", "0.0.0.0:0", "--http-token-file", path)
    where = f"127.0.0.1:{a.http.port}"

    assert shoal("members", "--agent", where, "--token-file", path).returncode == 0
    assert shoal("members", "--agent", where, SHOAL_HTTP_TOKEN=TOKEN).returncode == 0
    assert shoal("members", "--agent", where, SHOAL_HTTP_TOKEN_FILE=path).returncode == 0
    for variables in ({}, {"SHOAL_HTTP_TOKEN": TOKEN[::-1]}):
        refused = shoal("leave", "--agent", where, **variables)
        assert refused.returncode == 1
        assert "token" in refused.stderr

    with pytest.raises(AgentError, match="does not show this agent's token"):
        AgentClient(a.http, token=HttpToken(TOKEN + "x")).info()
    assert AgentClient(a.http, token=HttpToken(TOKEN)).info().member.name == "a"
    assert TOKEN not in json.dumps(a.log)


def test_secrets_that_others_can_read_are_warned_of(agents: Agents, old_file: str, tmp_path: Path) -> None:
    token, new = (Path(written(tmp_path / name, text)) for name, text in (("token", TOKEN), ("new", NEW.text)))
    for path in (token, new):
        path.chmod(0o644)
    a = agents.start("--name", "a", "--key-file", old_file, "--http-token-file", str(token))

    done = shoal("keys", "install", str(new), "--agent", str(a.http), "--token-file", str(token))

    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        f"Warning: {setting} = '{path}': other users may read it; chmod 600 {path}"
        for setting, path in (("token file", token), ("FILE", new))
    ]
    (warning,) = (line for line in a.log if "chmod 600" in line["message"])
    assert warning["level"] == "warning"
    assert str(token) in warning["message"]


def test_a_token_that_is_given_twice_is_refused_in_one_line(tmp_path: Path) -> None:
    path = written(tmp_path / "token", TOKEN)
    for command in (["agent", "--http-token-file", path], ["members", "--token-file", path]):
        done = shoal(*command, SHOAL_HTTP_TOKEN=TOKEN)
        assert done.returncode == 1
        assert done.stderr == f"Error: token file = '{path}': SHOAL_HTTP_TOKEN is set too; keep one of the two\n"


def test_a_new_key_is_printed_or_written_where_only_its_owner_reads(tmp_path: Path) -> None:
    printed = shoal("keygen")
    key = ClusterKey.parse(printed.stdout)
    assert str(key.id) in printed.stderr
    assert key.text not in printed.stderr

    path = tmp_path / "key"
    assert shoal("keygen", "--output", str(path)).stdout == ""
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.read_text()
    assert ClusterKey.parse(before) != key
    again = shoal("keygen", "-o", str(path))
    assert again.returncode == 1
    assert "exists" in again.stderr
    assert path.read_text() == before
