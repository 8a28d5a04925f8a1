from pathlib import Path

import pytest

from shoal.sim import steps
from shoal.sim.files import STEPS, ScenarioFileError, read_scenario
from shoal.sim.latency import Constant, LogNormal, Uniform
from shoal.sim.network import Link, StreamMode
from shoal.sim.runner import FixedRecipe, Trial, run_seed
from shoal.sim.scenario import Scenario, play
from shoal.sim.steps import ImpossibleStepError

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
        (step("agree-without", 'nodes = ["n1", "n2"]\nat_most = 60'), steps.AgreeWithout(("n1", "n2"), 60.0)),
        (step("restart", 'node = "n1"\nclock_step = -3600'), steps.Restart("n1", clock_step=-3600.0)),
    ],
)
def test_steps_have_the_fields_of_their_class(file: Path, text: str, expected: steps.Step) -> None:
    assert read(file, HEAD + START + text).steps[1:] == (expected,)


def test_every_step_can_stand_in_a_file() -> None:
    assert set(STEPS.values()) == {
        getattr(steps, name) for name in steps.__all__ if name not in {"Step", "ScenarioFailed", "ImpossibleStepError"}
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
        (
            HEAD + "[link]\nlatency = 3\n" + START,
            "link: latency = 3: must be { seconds = ... }, { low = ..., high = ... } or { median = ..., sigma = ...",
        ),
        (
            HEAD + "[link]\nlatency = { median = 0, sigma = 1 }\n" + START,
            "median = 0: must be a number, 1e-09 to 1e+06",
        ),
        (HEAD + "[link]\nlatency = { median = 1, sigma = 90 }\n" + START, "sigma = 90: must be a number, 0 to 3"),
        (HEAD + "[link]\nlatency = { low = 2, high = 1 }\n" + START, "latency: low = 2.0: must be at most high, which"),
        (HEAD + "seeds = 9\n" + START, "seeds = 9: must be at most the 5 nodes"),
        (HEAD + step("start", 'node = "x"\nknown_as = "a\\nb"'), "step 1: known_as = 'a\\nb': must be 1 to 128 bytes"),
        (HEAD + step("start", 'node = "a\\nb"'), "step 1: node = 'a\\nb': must be 1 to 128 bytes without control char"),
        (HEAD + step("start", 'node = ""'), "step 1: node = '': must be 1 to 128 bytes"),
        (HEAD + step("crash", 'node = ""'), "step 1: node = '': there is no such node yet"),
        (HEAD + step("crash", 'node = "n1"'), "step 1: node = 'n1': was not started yet; start it first"),
        (HEAD + step("set-tags", 'node = "n1"'), "step 1: node = 'n1': was not started yet; start it first"),
        (HEAD + START + step("start", 'node = "n1"'), "step 2: node = 'n1': runs already; let it crash or leave first"),
        (
            HEAD + START + step("crash", 'node = "n1"') + step("freeze", 'node = "n1"'),
            "step 3: node = 'n1': has crashed; start it first",
        ),
        (
            HEAD + START + step("freeze", 'node = "n1"') + step("leave", 'node = "n1"'),
            "step 3: node = 'n1': is frozen; thaw it first",
        ),
        (
            HEAD + START + step("leave", 'node = "n1"') + step("drain", 'node = "n1"'),
            "step 3: node = 'n1': has left; start it first",
        ),
        (HEAD + step("partition", "sides = []"), "step 1: sides = []: must name at least one node"),
        (HEAD + step("partition", 'sides = [["n0"]]'), "step 1: sides = [['n0']]: must be two sides or more"),
        (HEAD + step("partition", 'sides = [["n0"], []]'), "sides = [['n0'], []]: must name at least one node on each"),
        (
            HEAD + step("partition", 'sides = [["n0"], ["n0", "n1"]]'),
            "sides = 'n0': is there 2 times; each node has one",
        ),
        (HEAD + step("cut", 'sources = []\ntargets = ["n1"]'), "step 1: sources = []: must name at least one node"),
        (
            HEAD + step("agree-without", 'nodes = ["n9"]\nat_most = 60'),
            "step 1: nodes = 'n9': there is no such node yet",
        ),
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
        (
            HEAD + step("clock-rate", 'node = "n1"\nrate = 1e9'),
            "step 1 (clock-rate): rate = 1000000000.0: must be 0.001 to",
        ),
        ("nodes = 5\nstep = [3]", "step 1: 3 is no table"),
        ("nodes = 5\nzones = 3\n" + START, "zones = 3: must be a table of lists of nodes"),
        (HEAD + START + '[zones]\neast = ["n9"]', "zones: east = 'n9': there is no such node; there are n0 to n4"),
        (HEAD + START + '[zones]\na = ["n1"]\nb = ["n1"]', "zones: b = 'n1': is in a already; each node has one zone"),
        (
            HEAD + step("set-zone-link", 'zones = ["a", "b"]\nlink = {}'),
            "zones = 'a': there is no such zone; [zones] has",
        ),
        (HEAD + step("set-link", 'nodes = ["n0"]\nlink = {}'), "nodes = ['n0']: must be a list of two names"),
        (HEAD + step("set-link", 'nodes = ["n0", "n9"]\nlink = {}'), "nodes = 'n9': there is no such node yet"),
        (HEAD + step("set-link", 'nodes = ["n0", "n1"]'), "step 1 (set-link): link is missing; it must be a table, as"),
        (
            HEAD + step("set-link", 'nodes = ["n0", "n1"]\nlink = { loss = 2 }'),
            "step 1 (set-link), link: loss = 2: must be a number, 0 to 1",
        ),
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


def test_faults_that_follow_from_each_other_are_taken(file: Path) -> None:
    names = (
        "freeze",
        "thaw",
        "block-io",
        "unblock-io",
        "drain",
        "leave",
        "crash",
        "start",
        "crash",
        "restart",
        "freeze",
    )
    text = "".join(step(do, 'node = "n1"') for do in names) + step("repair") + step("leave", 'node = "n1"')

    assert len(read(file, HEAD + START + text).steps) == len(names) + 3


def test_tags_above_the_limit_are_told_and_are_no_violation(file: Path) -> None:
    read(file, HEAD + START + step("set-tags", f'node = "n1"\ntags = {{ a = "{"x" * 600}" }}'))

    with pytest.raises(ImpossibleStepError, match=r"n1 publishes .*the limit is 512 \(max_tag_bytes\)"):
        run_seed(Trial(FixedRecipe(read_scenario(file))), 1)


def test_zones_and_the_paths_between_them_can_be_said(file: Path) -> None:
    text = """
        nodes = 3

        [zones]
        east = ["n0", "n1"]
        west = ["n2", "late"]

        [[step]]
        do = "set-zone-link"
        zones = ["east", "west"]
        link = { latency = { seconds = 0.04 }, loss = 0.01, duplication = 0.02, reordering = 0.03 }

        [[step]]
        do = "set-link"
        nodes = ["n0", "n1"]
        link = { latency = { median = 0.002, sigma = 0.5 } }

        [[step]]
        do = "start-all"

        [[step]]
        do = "start"
        node = "late"
    """

    made = read(file, text)

    assert made.zones == {"east": ("n0", "n1"), "west": ("n2", "late")}
    assert made.steps[:2] == (
        steps.SetZoneLink(("east", "west"), Link(Constant(0.04), 0.01, 0.02, 0.03)),
        steps.SetLink(("n0", "n1"), Link(LogNormal(0.002, 0.5))),
    )
    assert play(made).node("late").host.zone == "west"
