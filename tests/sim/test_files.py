from pathlib import Path

import pytest

from shoal.sim import steps
from shoal.sim.files import STEPS, ScenarioFileError, read_scenario
from shoal.sim.latency import Constant, LogNormal, Uniform
from shoal.sim.network import Link, StreamMode
from shoal.sim.runner import FixedRecipe, Trial, run_seed
from shoal.sim.scenario import Scenario

HEAD = "nodes = 5\n"
START = '[[step]]\ndo = "start-all"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "scenario.toml"


def read(file: Path, text: str) -> Scenario:
    file.write_text(text, encoding="utf-8")
    return read_scenario(file, seed=7)


def step(do: str, fields: str = "") -> str:
    return f'[[step]]\ndo = "{do}"\n{fields}\n'


def test_a_file_makes_the_scenario_that_it_describes(file: Path) -> None:
    text = """
        nodes = 5
        seeds = 2
        formed = true

        [link]
        latency = { median = 0.002, sigma = 0.5 }
        loss = 0.01

        [[step]]
        do = "start-all"

        [[step]]
        do = "wait"
        seconds = 5

        [[step]]
        do = "crash"
        node = "n3"
        silent = true

        [[step]]
        do = "agree"
        at_most = 60
        stay = 2.5
    """

    assert read(file, text) == Scenario(
        seed=7,
        nodes=5,
        seeds=2,
        formed=True,
        link=Link(LogNormal(0.002, 0.5), loss=0.01),
        steps=(steps.StartAll(), steps.Wait(5.0), steps.Crash("n3", silent=True), steps.Agree(60.0, stay=2.5)),
    )
    assert not run_seed(Trial(FixedRecipe(read_scenario(file))), 1).violations


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (step("partition", 'sides = [["n0", "n1"], ["n2"]]'), steps.Partition((("n0", "n1"), ("n2",)))),
        (step("cut", 'sources = ["n0"]\ntargets = ["n1"]'), steps.Cut(("n0",), ("n1",))),
        (step("set-streams", 'node = "n1"\nmode = "stalled"'), steps.SetStreams("n1", StreamMode.STALLED)),
        (step("set-tags", 'node = "n1"\ntags = { a = "b" }'), steps.SetTags("n1", {"a": "b"})),
        (step("broadcast", 'node = "n1"\npayload = "ä"'), steps.Broadcast("n1", "ä".encode())),
        (step("set-rate", 'node = "n1"\nrate = 1000'), steps.SetRate("n1", 1000.0)),
        (step("set-rate", 'node = "n1"'), steps.SetRate("n1", None)),
        (step("block-io", 'node = "n1"'), steps.BlockIo("n1")),
        (step("start", 'node = "rival"\nknown_as = "n1"'), steps.Start("rival", known_as="n1")),
        (step("restart", 'node = "n1"\nclock_step = -3600'), steps.Restart("n1", clock_step=-3600.0)),
    ],
)
def test_steps_have_the_fields_of_their_class(file: Path, text: str, expected: steps.Step) -> None:
    assert read(file, HEAD + START + text).steps[1:] == (expected,)


def test_every_step_can_stand_in_a_file() -> None:
    assert set(STEPS.values()) == {
        getattr(steps, name) for name in steps.__all__ if name not in {"Step", "ScenarioFailed"}
    }
    assert {"start-all", "set-node-loss", "unblock-io", "agree"} <= set(STEPS)


@pytest.mark.parametrize(
    ("text", "latency"),
    [("{ seconds = 0.04 }", Constant(0.04)), ("{ low = 0.001, high = 0.1 }", Uniform(0.001, 0.1))],
)
def test_latencies_are_known_by_their_fields(file: Path, text: str, latency: object) -> None:
    assert read(file, f"{HEAD}[link]\nlatency = {text}\n{START}").link.latency == latency


def test_a_started_node_can_be_named_from_then_on(file: Path) -> None:
    named = read(file, HEAD + START + step("start", 'node = "x"') + step("crash", 'node = "x"'))

    assert named.steps[-1] == steps.Crash("x")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nodes = ", "is no TOML: "),
        (HEAD, "has no steps; write each as a table"),
        (START, "says no number of nodes: write nodes = 1 to 60000"),
        ("nodes = 0\n" + START, "nodes = 0: must be a whole number, 1 to 60000"),
        ('nodes = "5"\n' + START, "nodes = '5': must be a whole number, 1 to 60000"),
        ("nodes = 5\nnode = 3\n" + START, "node = 3: there is no such field; did you mean nodes?"),
        (HEAD + "[link]\nloss = 1.5\n" + START, "link: loss = 1.5: must be a number, 0 to 1"),
        (HEAD + "[link]\nlost = 1\n" + START, "link: lost = 1: there is no such field; did you mean loss?"),
        ("nodes = 5\nlink = 3\n" + START, "link: 3 is no table"),
        (HEAD + "[link]\nlatency = 3\n" + START, "link: latency = 3: must be { seconds = ... }, { low"),
        (HEAD + step("crsh"), "step 1: do = 'crsh': there is no such step; did you mean crash?"),
        (HEAD + START + "[[step]]\nnode = 'n1'", "step 2: do = None: there is no such step; there are agree, "),
        (HEAD + START + step("crash"), "step 2 (crash): node is missing; it must be a text"),
        (HEAD + step("wait", "seconds = -1"), "step 1 (wait): seconds = -1: must be a number, 0 to 1e+06"),
        (HEAD + step("wait", "seconds = true"), "step 1 (wait): seconds = True: must be a number"),
        (HEAD + step("wait", "minutes = 1"), "step 1 (wait): minutes = 1: there is no such field; there are seconds"),
        (HEAD + step("crash", 'node = "n5"'), "step 1: node = 'n5': there is no such node yet; there are n0 to n4"),
        (HEAD + step("partition", 'sides = [["n0"], ["n9"]]'), "step 1: sides = 'n9': there is no such node yet"),
        (HEAD + step("partition", "sides = 3"), "sides = 3: must be a list of lists of nodes"),
        (HEAD + step("set-streams", 'node = "n1"\nmode = "x"'), "mode = 'x': must be one of open, refused, stalled"),
        (HEAD + step("clock-rate", 'node = "n1"\nrate = 0'), "rate = 0: must be a number, 0.001 to"),
        ("nodes = 5\nstep = [3]", "step 1: 3 is no table"),
    ],
)
def test_what_is_wrong_is_told_with_place_value_and_what_is_allowed(file: Path, text: str, said: str) -> None:
    with pytest.raises(ScenarioFileError) as caught:
        read(file, text)

    assert str(caught.value).startswith(str(file))
    assert said in str(caught.value)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ScenarioFileError, match="cannot be read"):
        read_scenario(tmp_path / "none.toml")
