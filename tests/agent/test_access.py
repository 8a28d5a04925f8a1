"""A cluster with an authority: who joins, who changes keys, who lets others leave, and who publishes which tags."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from shoal.keys import ClusterKey
from tests.agent.processes import AgentProcess, Agents, shoal, wait_until

KEY = ClusterKey(secrets.token_bytes(32))


def _made(*arguments: str) -> str:
    done = shoal(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def start(agents: Agents, tmp_path: Path) -> Callable[..., AgentProcess]:
    """Start an agent with an identity, admitted by what the command `shoal keys` makes for it, if that is given."""
    authority = str(tmp_path / "authority")
    _made("keygen", "--identity", "-o", authority)
    cluster = f"access-{secrets.token_hex(4)}"

    def start(name: str, *how: str, seed: AgentProcess | None = None, **variables: str) -> AgentProcess:
        identity = str(tmp_path / f"{name}-identity")
        _made("keygen", "--identity", "-o", identity)
        settings = {"SHOAL_KEYS": KEY.text, "SHOAL_IDENTITY_KEY": identity, "SHOAL_CLUSTER": cluster}
        if how:
            path = tmp_path / f"{name}-admission"
            path.touch(0o600)
            command = [*how, "--authority", authority, "--cluster", cluster]
            is_token = how[0] == "token"
            path.write_text(_made("keys", *command, *([] if is_token else ["--public-key", f"{identity}.pub"])))
            settings["SHOAL_ADMISSION_TOKEN" if is_token else "SHOAL_IDENTITY_CERTIFICATE"] = str(path)
            settings["SHOAL_AUTHORITY"] = f"{authority}.pub"
        join = [] if seed is None else ["--join", seed.gossip]
        return agents.start("--name", name, *join, **(settings | variables))

    return start


def test_nodes_join_with_a_certificate_or_a_token_and_nobody_without(start: Callable[..., AgentProcess]) -> None:
    a = start("a", "issue", "a")
    b = start("gpu-1", "token", "gpu-*", seed=a)
    c = start("gpu-2", "token", "gpu-*", seed=b)  # a token of its own, through a member that itself has one
    for agent in (a, b, c):
        for name in ("a", "gpu-1", "gpu-2"):
            agent.wait_for_state(name, "alive")
    start("stranger", seed=a)
    assert a.wait_for_log("identity_refused", node="stranger")["reason"] == "uncertified"
    assert {member.name for member in a.client.members()} == {"a", "gpu-1", "gpu-2"}


def test_a_right_lets_a_node_change_keys_and_others_leave(start: Callable[..., AgentProcess], tmp_path: Path) -> None:
    operator = start("op", "issue", "op", "--allow", "keys", "--allow", "leave")
    b = start("b", "issue", "b", seed=operator)
    c = start("gpu-1", "token", "gpu-*", "--tags", "role", seed=operator)
    for agent in (operator, b, c):
        for name in ("op", "b", "gpu-1"):
            agent.wait_for_state(name, "alive")

    new = tmp_path / "new"
    _made("keygen", "-o", str(new))
    refused = shoal("keys", "install", str(new), "--json", "--agent", str(b.http))
    assert refused.returncode == 1
    report = json.loads(refused.stdout)
    assert report["refusal"] == "b does not have the right 'keys'; see `shoal keys issue --allow keys`"
    assert {len(member["keys"]) for member in report["members"]} == {1}
    done = shoal("keys", "install", str(new), "--json", "--agent", str(operator.http))
    assert done.returncode == 0
    assert {len(member["keys"]) for member in json.loads(done.stdout)["members"]} == {2}

    # Tags are those of the token.
    assert _made("tags", "set", "role=worker", "--agent", str(c.http))
    refused = shoal("tags", "set", "gpu=1", "--agent", str(c.http))
    assert "allows role; have another issued" in refused.stderr

    refused = shoal("leave", "gpu-1", "--agent", str(b.http))
    assert refused.returncode == 1
    assert "gpu-1 cannot be asked to leave: b does not have the right 'leave'" in refused.stderr
    assert c.client.local().state == "alive"
    assert _made("leave", "gpu-1", "--agent", str(operator.http)) == "gpu-1 leaves\n"
    assert c.wait() == 0
    assert c.lines("leave_requested")[0]["by"] == "op"
    for agent in (operator, b):
        agent.wait_for_state("gpu-1", "left")


def test_without_an_authority_nobody_lets_others_leave(agents: Agents) -> None:
    a, b = agents.pair(SHOAL_KEYS=KEY.text)
    refused = shoal("leave", "b", "--agent", str(a.http))
    assert refused.returncode == 1
    assert "b cannot be asked to leave: without an authority nobody may ask another to leave" in refused.stderr
    assert b.client.local().state == "alive"


def test_a_member_names_itself_by_its_own_name(agents: Agents) -> None:
    a, _ = agents.pair()
    refused = shoal("leave", "b", "--agent", str(a.http))
    assert "this node runs without keys, so nobody can be asked to leave" in refused.stderr
    assert _made("leave", "a", "--agent", str(a.http)) == "a leaves\n"
    wait_until(lambda: a.process.poll() is not None, "it has ended")
