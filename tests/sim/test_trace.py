import json
from io import StringIO

import pytest

from shoal.sim.cluster import SimCluster
from shoal.sim.node import SimulationError
from shoal.sim.scenario import Scenario, play, random_scenario
from shoal.sim.steps import Start, StartAll, Wait
from shoal.sim.trace import ReplayError, replay
from shoal.types import NodeId


def trace_of(seed: int = 1, seconds: float = 20.0) -> list[str]:
    """The trace of a small cluster in which every door is used."""
    trace = StringIO()
    cluster = SimCluster(nodes=3, seed=seed, trace=trace)
    cluster.start_all()
    cluster.run(seconds / 2)
    node = cluster.node("n0")
    node.set_tags({"role": "worker", "zone": "ä"})
    node.broadcast(b"\x00\xff")
    node.send(cluster.node("n1").id, b"hello")
    node.join(cluster.node("n2").address)
    cluster.leave("n2")
    cluster.run(seconds / 2)
    cluster.restart("n2")
    cluster.crash("n0", silent=True)
    cluster.run(seconds)
    cluster.end_trace()
    return trace.getvalue().splitlines()


def test_a_trace_is_json_lines_with_time_node_door_data_and_seed() -> None:
    records = [json.loads(line) for line in trace_of()]

    birth = records[0]
    assert (birth["door"], birth["node"], birth["run"], birth["now"]) == ("birth", "n0", 1, 0.0)
    assert birth["seed"] == "1/core/n0/1"
    assert NodeId.parse(birth["id"])
    received = next(record for record in records if record["door"] == "receive")
    assert bytes.fromhex(received["data"])
    assert received["source"].startswith("10.0.0.")


def test_a_trace_holds_every_door() -> None:
    *inputs, _end = trace_of()

    doors = {json.loads(line)["door"] for line in inputs}

    assert doors == {
        "birth", "receive", "receive_stream", "stream_replied", "stream_failed", "stream_refused", "advance", "start",
        "join", "leave", "set_tags", "broadcast", "send",
    }  # fmt: skip


def test_fresh_cores_make_the_same_of_a_trace_byte_for_byte() -> None:
    lines = trace_of()

    steps = list(replay(lines))

    births = sum('"birth"' in line for line in lines)
    assert len(steps) == len(lines) - births - 1
    assert births == 4
    assert sum(len(step.outputs) for step in steps) > 100


def test_random_scenarios_replay() -> None:
    for seed in range(5):
        trace = StringIO()
        play(random_scenario(seed), trace=trace)

        assert sum(1 for _ in replay(trace.getvalue().splitlines())) > 100


def test_a_core_that_behaves_otherwise_is_found_at_its_line() -> None:
    lines = trace_of()
    number, line = next((n, line) for n, line in enumerate(lines, 1) if '"receive"' in line)
    record = json.loads(line)
    record["out"] = "0" * 16
    lines[number - 1] = json.dumps(record)

    with pytest.raises(ReplayError, match=f"line {number}: "):
        list(replay(lines))


def test_another_seed_for_a_core_is_found_too() -> None:
    lines = [line.replace('"seed":"1/core/n1/1"', '"seed":"2/core/n1/1"') for line in trace_of()]

    with pytest.raises(ReplayError, match="n1 made something else"):
        list(replay(lines))


@pytest.mark.parametrize("line", ["", "no json", "[]", "{}", '{"door":"receive","node":"n0","run":9}'])
def test_what_is_no_trace_is_refused(line: str) -> None:
    with pytest.raises(ReplayError, match="line 1 is no line of a trace"):
        list(replay([line]))


def test_a_run_is_the_same_with_and_without_a_trace() -> None:
    scenario = random_scenario(3)

    traced, plain = play(scenario, trace=StringIO()), play(scenario)

    assert traced.observations == plain.observations
    assert traced.network.dropped == plain.network.dropped


def test_the_trace_of_a_formed_cluster_can_be_replayed() -> None:
    trace = StringIO()
    cluster = SimCluster(nodes=4, formed=True, trace=trace)
    cluster.start_all()
    cluster.run(5)
    cluster.end_trace()

    *_, last = replay(trace.getvalue().splitlines())

    assert len(last.core.members()) == 4


def test_a_trace_says_at_its_end_how_many_inputs_there_were() -> None:
    *lines, end = trace_of()

    assert json.loads(end) == {"door": "end", "inputs": sum('"birth"' not in line for line in lines)}


@pytest.mark.parametrize("kept", [0, 1, -2, -1])
def test_a_trace_that_was_cut_off_is_told(kept: int) -> None:
    with pytest.raises(ReplayError, match=r"the trace has no end: it was cut off after \d+ inputs"):
        list(replay(trace_of()[:kept]))


def test_missing_lines_are_told() -> None:
    birth, *_, end = trace_of()

    with pytest.raises(ReplayError, match=r"the trace has 0 inputs, and says at its end that there were \d+"):
        list(replay([birth, end]))


def test_lines_after_the_end_are_told() -> None:
    lines = trace_of()

    with pytest.raises(ReplayError, match=f"line {len(lines) + 1} comes after the end"):
        list(replay([*lines, lines[0]]))


def test_what_happens_after_the_end_of_a_trace_is_not_in_it() -> None:
    trace = StringIO()
    cluster = SimCluster(nodes=2, trace=trace)
    cluster.start_all()
    cluster.end_trace()
    cluster.run(5)

    assert list(replay(trace.getvalue().splitlines()))


def test_a_run_that_failed_has_a_whole_trace() -> None:
    trace = StringIO()

    with pytest.raises(SimulationError):
        play(Scenario(1, 2, (StartAll(), Wait(1.0), Start("n1"))), trace=trace)

    assert list(replay(trace.getvalue().splitlines()))
