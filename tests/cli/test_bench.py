import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from shoal.cli.root import shoal
from tests.agent.processes import environment

PATIENCE = 60.0


def run(*arguments: str) -> Result:
    return CliRunner().invoke(shoal, ["bench", "scale", *arguments])


@pytest.mark.timeout(180)
def test_a_run_prints_what_programs_look_for(tmp_path: Path) -> None:
    picture = tmp_path / "run.svg"
    quick = [
        "--set",
        "probe_interval=0.2",
        "--set",
        "probe_timeout=0.1",
        "--settle",
        "0",
        "--hold",
        "1",
        "--rate",
        "50",
    ]

    result = run("--nodes", "8", "--processes", "2", "--kill", "1", *quick, "--json", "--plot", str(picture))

    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["nodes"] == 8
    assert set(report["detection_s"]) == set(report["all_know_s"]) == {"p50", "p99", "p999", "max"}
    for name in (
        "formation_s cpu_ms_per_node_s bytes_per_member bytes_per_node_s datagrams_per_node_s false_suspicions "
        "false_deaths"
    ).split():
        assert report[name] >= 0, name
    assert "8 real nodes in 2 processes, 1 killed" in picture.read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--nodes", "2"], "2 is not in the range"),
        (["--nodes", "10", "--kill", "9"], "--kill = 9: leaves fewer than 2 of 10 nodes"),
        (["--nodes", "4", "--processes", "5"], "--processes = 5: must not exceed the 4 nodes"),
        (["--plot", "/nowhere/x"], "--plot: cannot write /nowhere/x: No such file or directory"),
        (["--set", "keys=abc"], "--set = 'keys=abc': the benchmark sets keys itself"),
        (["--set", "bind=0.0.0.0:1"], "--set = 'bind=0.0.0.0:1': the benchmark sets bind itself"),
        (["--set", "advertise=1.2.3.4:5"], "the benchmark sets advertise itself"),
        (["--set", "seeds=1.2.3.4:5"], "the benchmark sets seeds itself"),
        (["--set", "name=x"], "the benchmark sets name itself"),
        (["--set", "state_dir=/x"], "the benchmark sets state_dir itself"),
        (["--nodes", "5", "--set", "max_members=3"], "max_members = 3: must be at least the 5 nodes"),
        (["--set", "probe_interval"], "'probe_interval' is no setting; write FIELD=VALUE"),
        (["--set", "probe_interval=0"], "probe_interval = 0.0: must be 0.01 to 60 seconds"),
    ],
)
def test_what_cannot_be_run_is_refused_with_the_reason(arguments: list[str], said: str) -> None:
    result = run(*arguments)

    assert result.exit_code in {1, 2}
    assert said in result.output


@pytest.mark.skipif(sys.platform != "linux", reason="the limits are read as Linux shows them")
def test_a_limit_of_the_machine_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _which: (256, 1000))

    result = run("--nodes", "100")

    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert "open files, the hard limit is 1,000" in result.output
    assert result.output.count("\n") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="children are found as Linux lists them")
@pytest.mark.timeout(120)
def test_ctrl_c_ends_every_process() -> None:
    command = [sys.executable, "-m", "shoal", "bench", "scale", "--nodes", "10", "--hold", "3000"]
    with subprocess.Popen(
        command, env=environment(), stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            workers = waited_for_workers(process.pid)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()

    assert process.returncode == 130
    assert said.endswith("interrupted: all nodes are ended\n")
    assert not [worker for worker in workers if is_running(worker)]


def waited_for_workers(parent: int) -> list[int]:
    """The worker processes, once each has opened a node's sockets."""
    deadline = time.monotonic() + PATIENCE
    while True:
        assert time.monotonic() < deadline, "no worker opened a socket"
        children = map(int, Path(f"/proc/{parent}/task/{parent}/children").read_text("ascii").split())
        workers = [child for child in children if sockets_of(child) > 3]
        if len(workers) == min(10, os.cpu_count() or 1):
            return workers
        time.sleep(0.05)


def sockets_of(process: int) -> int:
    try:
        return sum(os.readlink(link).startswith("socket:") for link in Path(f"/proc/{process}/fd").iterdir())
    except OSError:
        return 0


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text("ascii").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    "option", ["--rate", "--settle", "--settle-timeout", "--hold", "--form-timeout", "--detect-timeout"]
)
@pytest.mark.parametrize("number", ["nan", "inf", "1e308", "-1"])
def test_a_number_that_is_no_time_is_refused(option: str, number: str) -> None:
    result = run(option, number)

    assert result.exit_code == 2
    assert f"Invalid value for '{option}': " in result.output
