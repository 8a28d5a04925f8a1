"""The HTTP API of real agents, asked over real connections."""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from shoal.agent.api import only_hosts_of
from shoal.types import Address
from tests.agent.processes import QUICK, AgentProcess, Agents, unused_address, wait_until

Pair = tuple[AgentProcess, AgentProcess]

JSON = {"Content-Type": "application/json"}


def ask(
    agent: AgentProcess, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    """Status and decoded body of the answer; `body` is sent as it is if it is bytes, else as JSON."""
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    with closing(http.client.HTTPConnection(*agent.http, timeout=30)) as connection:
        connection.request(method, path, data, JSON if headers is None else headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())


@contextmanager
def event_stream(agent: AgentProcess) -> Iterator[http.client.HTTPResponse]:
    with closing(http.client.HTTPConnection(*agent.http, timeout=30)) as connection:
        connection.request("GET", "/v1/events")
        with connection.getresponse() as response:
            yield response


def wait_for_event(stream: http.client.HTTPResponse, name: str) -> Any:
    """The data of the next event of that name; others and comments are skipped."""
    while (line := stream.readline().decode()) != f"event: {name}\n":
        assert line, f"the stream ended without {name}"
    data = stream.readline().decode()
    assert stream.readline() == b"\n"
    return json.loads(data.removeprefix("data: "))


# Reading


def test_members_are_told_in_order_and_in_full(pair: Pair) -> None:
    a, b = pair

    status, members = ask(a, "GET", "/v1/members")

    assert status == 200
    assert [(member["name"], member["address"], member["state"]) for member in members] == [
        ("a", a.gossip, "alive"),
        ("b", b.gossip, "alive"),
    ]
    assert set(members[0]) == {"name", "id", "address", "state", "incarnation", "tags", "age", "readiness", "damped"}
    assert members[0]["tags"] == {"role": "worker"}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("?tag=role=worker", ["a"]),
        ("?tag=role=worker&tag=zone=x", []),
        ("?state=alive", ["a", "b"]),
        ("?state=dead&state=left", []),
        ("?state=alive&state=dead&tag=role=worker", ["a"]),
    ],
)
def test_members_are_chosen_by_state_and_tags(pair: Pair, query: str, names: list[str]) -> None:
    _, members = ask(pair[0], "GET", f"/v1/members{query}")

    assert [member["name"] for member in members] == names


def test_one_member_is_found_by_name_and_by_id(pair: Pair) -> None:
    status, by_name = ask(pair[0], "GET", "/v1/members/b")
    _, by_id = ask(pair[0], "GET", f"/v1/members/{by_name['id']}")

    assert status == 200
    assert by_name["name"] == by_id["name"] == "b"


def test_the_evidence_against_a_dead_member_is_told_in_facts_and_in_words(agents: Agents) -> None:
    a, b = agents.pair(**QUICK)
    b.kill()
    id = a.wait_for_state("b", "dead").id

    status, verdicts = ask(a, "GET", "/v1/members/b/evidence")

    assert status == 200
    suspected, died = verdicts[-2:]
    assert [(verdict["id"], verdict["state"]) for verdict in (suspected, died)] == [(id, "suspect"), (id, "dead")]
    assert died["evidence"]["declared_by"] == "a"
    assert died["evidence"]["accusations"][0] == {"accuser": "a", "time": died["evidence"]["suspicion"]["since"]}
    assert died["evidence"]["probes"][0]["stream_tried"]
    assert died["explanation"][1].startswith("a accused it first, ")
    assert died["refuted"] is None
    assert len(ask(a, "GET", f"/v1/members/{id}/evidence")[1]) == len(verdicts)


def test_there_is_no_evidence_against_who_was_never_accused(pair: Pair) -> None:
    assert ask(pair[0], "GET", "/v1/members/b/evidence") == (200, [])
    assert ask(pair[0], "GET", "/v1/members/nobody/evidence")[0] == 404


def test_a_stall_is_declared_to_the_cluster_and_taken_back(agents: Agents) -> None:
    a, b = agents.pair()

    status, member = ask(a, "POST", "/v1/stall", {"reason": "loading weights", "at_most": 90})

    assert (status, member["name"], member["readiness"]) == (200, "a", "stalled")
    wait_until(lambda: ask(b, "GET", "/v1/members/a")[1]["readiness"] == "stalled", "b knows of the stall")
    assert a.lines("stall_declared")[0]["reason"] == "loading weights"
    assert ask(a, "POST", "/v1/stall", {"reason": "loaded", "at_most": 0})[1]["readiness"] == "ready"
    wait_until(lambda: ask(b, "GET", "/v1/members/a")[1]["readiness"] == "ready", "b knows that it is over")
    status, refusal = ask(a, "POST", "/v1/stall", {"reason": "for ever", "at_most": 1e6})
    assert (status, "max_stall" in refusal["error"]) == (400, True)


def test_a_node_knows_itself(pair: Pair) -> None:
    assert [ask(agent, "GET", "/v1/self")[1]["name"] for agent in pair] == ["a", "b"]


def test_info_has_health_and_counters(pair: Pair) -> None:
    _, info = ask(pair[0], "GET", "/v1/info")

    assert info["cluster"].startswith("test-")
    assert info["member"]["name"] == "a"
    assert info["health"]["counts"] == {"alive": 2, "suspect": 0, "dead": 0, "left": 0}
    assert info["stats"]["datagrams_in"] > 0


def test_a_running_node_is_ready(pair: Pair) -> None:
    status, health = ask(pair[0], "GET", "/healthz")

    assert status == 200
    assert health["ready"]
    assert health["joined"]
    assert set(health["local_health_reasons"]) >= {"probe_failed", "suspected"}


# Events


def test_events_are_streamed_by_name_with_their_data(agents: Agents) -> None:
    a, b = agents.pair(**QUICK)
    with event_stream(a) as stream:
        ask(b, "PATCH", "/v1/tags", {"zone": "x"})
        updated = wait_for_event(stream, "member_updated")
        b.kill()
        suspected = wait_for_event(stream, "member_suspected")
        failed = wait_for_event(stream, "member_failed")

    assert (updated["event"], updated["member"]["tags"], updated["previous_tags"]) == (
        "member_updated",
        {"zone": "x"},
        {},
    )
    assert suspected["evidence"]["reason"] == "probe failed"
    assert (failed["member"]["name"], failed["member"]["state"]) == ("b", "dead")
    assert failed["evidence"]["accusations"][0]["accuser"] == "a"
    assert ask(a, "GET", "/v1/members?state=dead")[1][0]["name"] == "b"


def test_a_stream_ends_when_the_agent_does(agents: Agents) -> None:
    a = agents.start("--name", "a")
    with event_stream(a) as stream:
        ask(a, "POST", "/v1/leave")

        assert b"leave_completed" in stream.read()
    assert a.wait() == 0


def test_a_slow_reader_is_told_what_it_lost(agents: Agents) -> None:
    large = {"SHOAL_MAX_DATAGRAM": "65507", "SHOAL_MAX_TAG_BYTES": "32768", "SHOAL_EVENT_BUFFER": "2"}
    a = agents.start("--name", "a", **large)
    with closing(socket.socket()) as frozen:
        frozen.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        frozen.settimeout(30)
        frozen.connect(a.http)
        frozen.sendall(b"GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        wait_until(lambda: a.client.info().health.subscribers == 2, "the stream is open")
        for turn in range(200):
            ask(a, "PUT", "/v1/tags", {"ballast": f"{turn:030000}"})

        seen = b""
        while b"event: events_lost" not in seen:
            part = frozen.recv(1 << 20)
            assert part, "the stream ended"
            seen = seen[-64:] + part


# Steering


def test_tags_are_replaced_and_updated(agents: Agents) -> None:
    a, b = agents.pair()

    assert ask(a, "PUT", "/v1/tags", {"zone": "x", "rack": "1"}) == (200, {"zone": "x", "rack": "1"})
    assert ask(a, "PATCH", "/v1/tags", {"zone": "y", "rack": None}) == (200, {"zone": "y"})
    wait_until(lambda: b.client.member("a").tags == {"zone": "y"}, "b sees the tags of a")


def test_join_says_what_became_of_each_seed(agents: Agents) -> None:
    a, b = agents.start("--name", "a"), agents.start("--name", "b")
    unused = unused_address()
    by_name = f"localhost:{Address.parse(b.gossip).port}"

    status, result = ask(a, "POST", "/v1/join", {"seeds": [b.gossip, by_name, unused, a.gossip]})

    assert status == 200
    assert set(result["reached"]) == {b.gossip, by_name}
    assert {failure["seed"] for failure in result["unreachable"]} == {unused, a.gossip}
    assert result["pending"] == []
    b.wait_for_state("a", "alive")


def test_a_drained_agent_is_alive_unready_and_left_out_by_readiness(agents: Agents) -> None:
    a, b = agents.pair()

    status, member = ask(b, "POST", "/v1/drain", {})

    assert (status, member["name"], member["readiness"], member["state"]) == (200, "b", "draining", "alive")
    assert ask(b, "GET", "/healthz")[0] == 503
    wait_until(lambda: a.lines("member_readiness_changed"), "a knows of it")
    assert [m["name"] for m in ask(a, "GET", "/v1/members?readiness=ready")[1]] == ["a"]
    assert [m["name"] for m in ask(a, "GET", "/v1/members?readiness=draining&readiness=stalled")[1]] == ["b"]
    assert ask(b, "POST", "/v1/ready", {})[1]["readiness"] == "ready"
    assert ask(b, "GET", "/healthz")[0] == 200


def test_leave_is_a_goodbye_and_ends_the_agent(agents: Agents) -> None:
    a, b = agents.pair()

    status, member = ask(b, "POST", "/v1/leave", {})

    assert (status, member["name"], member["state"]) == (200, "b", "left")
    assert b.wait() == 0
    a.wait_for_state("b", "left")


# Refusals


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("GET", "/", None, 404, "nothing at /"),
        ("GET", "/v1/nonsense", None, 404, "nothing at /v1/nonsense"),
        ("POST", "/v1/members", {}, 405, "POST is not possible on /v1/members"),
        ("GET", "/v1/join", None, 405, "POST is"),
        ("GET", "/v1/members/nobody", None, 404, "name or id 'nobody'"),
        ("GET", "/v1/members?state=gone", None, 400, "alive, suspect, dead, left"),
        ("GET", "/v1/members?tag=role", None, 400, "write tag=KEY=VALUE"),
        ("GET", "/v1/members?tags=a", None, 400, "unknown parameter 'tags'; expected readiness, state, tag"),
        ("GET", "/v1/self?x=1", None, 400, "unknown parameter 'x'"),
        ("GET", "/v1/info?x=1", None, 400, "unknown parameter 'x'"),
        ("GET", "/v1/events?since=1", None, 400, "unknown parameter 'since'"),
        ("GET", "/healthz?x=1", None, 400, "unknown parameter 'x'"),
        ("POST", "/v1/join", b"", 400, "the body"),
        ("POST", "/v1/join", b"{", 400, "the body"),
        ("POST", "/v1/join", b"\xff\xfe", 400, "the body"),
        ("POST", "/v1/join", {}, 400, "`seeds`"),
        ("POST", "/v1/join", {"seeds": []}, 400, "length"),
        ("POST", "/v1/join", {"seeds": "127.0.0.1:1"}, 400, "expected `array`"),
        ("POST", "/v1/join", {"seeds": ["nowhere"]}, 400, "the port is missing"),
        ("POST", "/v1/join", {"seeds": ["127.0.0.1:0"]}, 400, "1 to 65535"),
        ("POST", "/v1/join", {"seed": ["127.0.0.1:1"]}, 400, "`seed"),
        ("POST", "/v1/leave", {"now": True}, 400, "unknown field `now`"),
        ("POST", "/v1/drain", {"now": True}, 400, "unknown field `now`"),
        ("GET", "/v1/members?readiness=busy", None, 400, "one of ready, draining, stalled"),
        ("PUT", "/v1/tags", [], 400, "expected `object`"),
        ("PUT", "/v1/tags", {"zone": None}, 400, "expected `str`"),
        ("PUT", "/v1/tags", {"zone": "x" * 1000}, 413, "max_tag_bytes"),
        ("PATCH", "/v1/tags", {"zone": 1}, 400, "expected `str | null`"),
        ("PATCH", "/v1/tags", b"[" * 300_000, 413, "larger than 262144 bytes"),
    ],
)
def test_a_bad_request_is_refused_in_one_sentence(
    pair: Pair, method: str, path: str, body: object, status: int, words: str
) -> None:
    answer = ask(pair[0], method, path, body)

    assert answer[0] == status
    assert set(answer[1]) == {"error"}
    assert words in answer[1]["error"]
    assert "\n" not in answer[1]["error"]


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""])
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v1/leave"), ("POST", "/v1/drain"), ("POST", "/v1/join"), ("PUT", "/v1/tags"), ("PATCH", "/v1/tags")],
)
def test_what_a_web_page_may_send_unasked_changes_nothing(pair: Pair, method: str, path: str, media_type: str) -> None:
    status, answer = ask(pair[0], method, path, {}, {"Content-Type": media_type})

    assert status == 415
    assert "application/json" in answer["error"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:7980"},
        {"Host": "192.0.2.1"},
        {"Host": "[::2]:7980"},
        {"Host": ""},
        {"Host": "["},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
    ],
)
def test_pages_from_elsewhere_are_refused(pair: Pair, headers: dict[str, str]) -> None:
    status, answer = ask(pair[0], "GET", "/v1/members", headers=headers)

    assert status == 403
    assert next(iter(headers)) in answer["error"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:7980", "[::1]:80", "127.1.2.3"])
def test_requests_to_this_machine_are_served(pair: Pair, host: str) -> None:
    assert ask(pair[0], "GET", "/v1/self", headers={"Host": host, "Origin": f"http://{host}"})[0] == 200


@pytest.mark.parametrize(
    ("bound", "host", "is_trusted"),
    [
        ("127.0.0.1:80", "10.0.0.5", False),
        ("10.0.0.5:80", "10.0.0.5", True),
        ("10.0.0.5:80", "10.0.0.6", False),
        ("10.0.0.5:80", "localhost", True),
        ("0.0.0.0:80", "10.0.0.5", True),
        ("0.0.0.0:80", "evil.example", False),
        ("[::]:80", "fe80::1", True),
        ("node-7:80", "node-7", True),
        ("node-7:80", "node-8", False),
    ],
)
def test_hosts_are_trusted_by_where_the_api_listens(bound: str, host: str, is_trusted: bool) -> None:
    assert only_hosts_of(Address.parse(bound))(host) is is_trusted


def test_the_number_of_event_streams_is_bounded(agents: Agents) -> None:
    a = agents.start("--name", "a")
    streams = [http.client.HTTPConnection(*a.http, timeout=30) for _ in range(64)]
    try:
        for stream in streams:
            stream.request("GET", "/v1/events")
            assert stream.getresponse().readline() == b": shoal\n"

        status, answer = ask(a, "GET", "/v1/events")
        assert (status, ask(a, "GET", "/healthz")[0]) == (503, 200)
        assert "64 event streams are open" in answer["error"]
    finally:
        for stream in streams:
            stream.close()
    wait_until(lambda: a.client.info().health.subscribers == 1, "the streams are closed")
