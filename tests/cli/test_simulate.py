import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from shoal.cli.root import shoal
from shoal.sim.presets import PRESETS
from tests.agent.processes import PATIENCE, environment

SPLIT = """
nodes = 4
[[step]]
do = "start-all"
[[step]]
do = "wait"
seconds = 5
[[step]]
do = "partition"
sides = [["n0"], ["n1", "n2", "n3"]]
[[step]]
do = "wait"
seconds = 20
[[step]]
do = "agree"
at_most = 1
"""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(shoal, ["simulate", *arguments])


def run_json(*arguments: str) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def split(tmp_path: Path) -> Path:
    path = tmp_path / "split.toml"
    path.write_text(SPLIT, encoding="utf-8")
    return path


def test_a_run_says_its_seed_and_how_the_cluster_fared() -> None:
    result = run("--scenario", "crash", "--nodes", "5", "--seed", "3")

    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("crash: one process dies; 5 nodes, profile lan\nseed:              3\n")
    assert "outages:           1; 1 detected, 1 known by all observers" in result.stdout
    assert re.search(r"^violations: +0$", result.stdout, re.MULTILINE)


def test_results_as_json_are_pooled_over_the_seeds() -> None:
    form = run_json("--nodes", "5", "--loss", "0.01", "--seeds", "0..3", "--jobs", "2")

    for name in ("first_detection_s", "all_know_s"):
        assert 0 < form[name]["p50"] <= form[name]["p99"] <= form[name]["p999"] <= form[name]["max"]
    assert (form["false_deaths"], form["violations"], form["outages"], form["runs"]) == (0, 0, 4, 4)
    assert form["false_suspicions"] >= 0
    assert form["bytes_per_node_s"] > form["messages_per_node_s"] > 0
    assert form["seeds"] == {"first": 0, "last": 3}


def test_the_number_of_processes_changes_nothing() -> None:
    options = ("--scenario", "churn", "--nodes", "4", "--param", "seconds=10", "--seeds", "0..3")

    assert run_json(*options, "--jobs", "1") == run_json(*options, "--jobs", "2")


@pytest.mark.parametrize("profile", ["lan", "wan", "local", "swim", "lifeguard", "memberlist"])
def test_every_profile_detects_a_crash(profile: str) -> None:
    form = run_json("--nodes", "4", "--profile", profile)

    assert (form["profile"], form["detected"], form["violations"]) == (profile, 1, 0)


def test_any_setting_of_a_node_can_be_changed() -> None:
    usual = run_json("--nodes", "5")
    idle = run_json("--nodes", "5", "--set", "probe_interval=4", "--set", "probe_timeout=1.5")

    assert idle["first_detection_s"]["p50"] > usual["first_detection_s"]["p50"]
    assert idle["settings"] == {"probe_interval": "4", "probe_timeout": "1.5"}


def test_a_violation_shows_seed_scenario_and_the_command_that_plays_it_again(split: Path) -> None:
    result = run("--scenario", str(split), "--seeds", "4..5", "--set", "gossip_fanout=2", "--loss", "0.01")

    assert result.exit_code == 1
    assert "seed 4 violated:\n  26.000 s: ScenarioFailed: views do not agree" in result.stderr
    command = f"shoal simulate --scenario {split} --seed 5 --loss 0.01 --set gossip_fanout=2"
    assert f"to play it again: {command}" in result.stderr
    assert "Scenario(\n    seed=4," in result.stderr
    again = run(*command.split()[2:], "--json")
    assert again.exit_code == 1
    (violated,) = json.loads(again.stdout)["violated"]
    assert violated["replay"] == command


def test_a_trace_is_written_and_replays(tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"

    assert run("--nodes", "4", "--seed", "2", "--trace", str(trace)).exit_code == 0
    replayed = run("--replay", str(trace))

    assert replayed.exit_code == 0
    assert re.search(r": \d+ inputs, and every core answered as in the trace$", replayed.stdout.strip())
    assert run_json("--replay", str(trace))["identical"] is True


def test_a_trace_with_other_answers_is_told_by_its_line(tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    run("--nodes", "4", "--trace", str(trace))
    trace.write_text(re.sub(r'"seed":"0/core/n1/1"', '"seed":"9/core/n1/1"', trace.read_text("utf-8")), "utf-8")

    result = run("--replay", str(trace))

    assert result.exit_code == 1
    assert re.search(r"line \d+: n1 made something else", result.stderr)


def test_a_plot_is_drawn(tmp_path: Path) -> None:
    plot = tmp_path / "plot.svg"

    assert run("--nodes", "4", "--seeds", "1..2", "--plot", str(plot)).exit_code == 0

    text = plot.read_text("utf-8")
    assert "<title>crash: one process dies; 4 nodes, profile lan, seeds 1..2</title>" in text
    assert "Timeline of seed 1" in text


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--scenario", "earthquake"), 1, "'earthquake': is neither a file nor a preset; the presets are crash, churn"),
        (("--scenario", "none.toml"), 1, "none.toml: cannot be read: No such file"),
        (("--nodes", "3"), 2, "3 is not in the range 4<=x<="),
        (("--nodes", "60001"), 1, "nodes = 60001: crash takes at most 60000"),
        (("--loss", "2"), 2, "0<=x<=1"),
        (("--loss", "nan"), 2, "'nan' is no number"),
        (("--seeds", "5"), 1, "--seeds: '5' is no range of seeds; write FIRST..LAST"),
        (("--seeds", "5..2"), 1, "'5..2' is no range of seeds"),
        (("--seed", "1", "--seeds", "1..2"), 2, "--seed and --seeds exclude each other"),
        (("--seeds", "1..2", "--trace", "x"), 2, "--trace needs a single seed"),
        (("--trace", "/nowhere/x"), 1, "--trace: cannot write /nowhere/x: No such file or directory"),
        (("--plot", "/nowhere/x"), 1, "--plot: cannot write /nowhere/x: No such file or directory"),
        (("--plot", f"{__file__}/x"), 1, "Not a directory"),
        (("--profile", "moon"), 2, "'moon' is not one of"),
        (("--set", "probe_interval"), 1, "'probe_interval' is no setting; write FIELD=VALUE"),
        (("--set", "probe_intervall=1"), 1, "did you mean probe_interval?"),
        (("--set", "probe_interval=x"), 1, "must be a number, 0.01 to 60 seconds"),
        (("--param", "x=1"), 1, "crash has no such parameter; it has: none"),
        (("--param", "x=y"), 1, "--param: 'x=y': 'y' is no number"),
    ],
)
def test_what_makes_no_sense_is_told(arguments: tuple[str, ...], code: int, said: str) -> None:
    result = run(*arguments)

    assert result.exit_code == code
    assert said in result.stderr


@pytest.mark.parametrize("option", [("--nodes", "5"), ("--param", "seconds=5")])
def test_a_file_takes_no_options_of_presets(split: Path, option: tuple[str, str]) -> None:
    result = run("--scenario", str(split), *option)

    assert result.exit_code == 1
    assert "is for presets; change the file instead" in result.stderr


def test_the_help_names_every_preset() -> None:
    text = "".join(run("--help").output.split())  # lines may break at hyphens

    assert all(name in text for name in PRESETS)


# Whoever runs the tests may ignore SIGINT, and so would this.
INTERRUPTIBLE = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_an_interrupt_ends_all_workers() -> None:
    code = f"{INTERRUPTIBLE} from shoal.cli import main; main()"
    command = [sys.executable, "-c", code, "simulate", "--nodes", "64", "--seeds", "0..9999", "--jobs", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment()) as process:
        try:
            while process.poll() is None and len(workers_of(process.pid)) < 2:
                time.sleep(0.05)
            workers = workers_of(process.pid)
            process.send_signal(signal.SIGINT)
            _, stderr = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()

    assert process.returncode == 130, stderr
    assert re.fullmatch(r"(crash: .*\n)*interrupted after \d+ of 10000 seeds\n", stderr)
    assert len(workers) == 2
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]


def workers_of(pid: int) -> list[str]:
    """The worker processes that a process has started, on Linux."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
    return [child for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def test_the_model_is_asked_for_clusters_too_large_to_play() -> None:
    result = run("--model", "--nodes", "2000", "--loss", "0.01", "--seeds", "0..1", "--json")

    said = json.loads(result.stdout)
    assert result.exit_code == 0
    assert said["nodes"] == 2000
    assert 3 < said["first_detection_s"]["p50"] <= said["all_know_s"]["p50"] < 6
    assert [limit["what"] for limit in said["limits"]]


def test_what_the_model_says_is_printed_with_what_breaks_first() -> None:
    result = run("--model", "--nodes", "500")

    assert "model of 500 members" in result.stdout
    assert "what breaks as it grows" in result.stdout


def test_nodes_can_be_made_to_join_in_the_place_of_knowing_each_other() -> None:
    joined, formed = (
        json.loads(run("--scenario", "crash", "--nodes", "8", way, "--json").stdout)
        for way in ("--joining", "--formed")
    )

    assert joined["bytes_per_node_s"] > formed["bytes_per_node_s"]


def test_nodes_can_have_identities() -> None:
    plain, signed = (
        json.loads(run("--scenario", "crash", "--nodes", "8", *more, "--json").stdout)
        for more in ([], ["--identities"])
    )

    assert signed["violations"] == plain["violations"]
    assert signed["bytes_per_node_s"] > plain["bytes_per_node_s"]


@pytest.mark.parametrize(
    "given",
    [
        ("--identities",),
        ("--scenario", "crash"),
        ("--plot", "x.svg"),
        ("--trace", "x.jsonl"),
        ("--param", "share=0.5"),
        ("--jobs", "2"),
        ("--joining",),
        ("--formed",),
    ],
)
def test_the_model_refuses_what_it_would_ignore(given: tuple[str, ...]) -> None:
    result = run("--model", "--nodes", "500", *given)

    assert result.exit_code == 2
    assert f"{given[0]} is for the simulator" in result.stderr


@pytest.mark.parametrize(
    "given",
    [("--scenario", "crash"), ("--plot", "x.svg"), ("--seed", "0"), ("--loss", "0"), ("--joining",), ("--model",)],
)
def test_a_replay_refuses_what_it_would_ignore(tmp_path: Path, given: tuple[str, ...]) -> None:
    trace = tmp_path / "trace.jsonl"
    trace.touch()

    result = run("--replay", str(trace), *given)

    assert result.exit_code == 2
    assert f"{given[0]} is for runs: --replay takes all from the trace" in result.stderr


def test_what_never_happens_in_the_model_is_never() -> None:
    result = run("--model", "--nodes", "100", "--loss", "0.95")

    assert re.search("^a kill, all know: +never$", result.stdout, re.MULTILINE)
    assert "inf" not in result.stdout


@pytest.mark.parametrize(("given", "played"), [((), 0.3), (("--loss", "0"), 0.0), (("--loss", "0.1"), 0.1)])
def test_results_say_the_loss_that_was_played(tmp_path: Path, given: tuple[str, ...], played: float) -> None:
    path = tmp_path / "lossy.toml"
    path.write_text('nodes = 4\n[link]\nloss = 0.3\n[[step]]\ndo = "start-all"\n', encoding="utf-8")

    assert run_json("--scenario", str(path), *given)["loss"] == played


def test_a_report_is_printed_even_if_its_plot_cannot_be_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_path: Path, _text: str, **_options: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", full)

    result = run("--nodes", "4", "--plot", str(tmp_path / "plot.svg"))

    assert result.exit_code == 1
    assert "violations:" in result.stdout
    assert "No space left on device" in result.stderr


def test_a_trace_that_was_cut_off_does_not_replay(tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    run("--nodes", "4", "--trace", str(trace))
    trace.write_text("".join(trace.read_text("utf-8").splitlines(keepends=True)[:-5]), "utf-8")

    result = run("--replay", str(trace))

    assert result.exit_code == 1
    assert "the trace has no end: it was cut off after" in result.stderr
