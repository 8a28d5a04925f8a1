import time

import pytest

from shoal.cli.progress import virtual_time


class Clock:
    """What `time.monotonic` says; moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_a_single_run_says_what_is_left(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with virtual_time("seed 3", least=40.0) as tell:
        clock.now += 20
        tell(10.0)

    assert capsys.readouterr().err.splitlines() == [
        "seed 3: 10 virtual s in 20 s, 0.50 of real time, at least 60 s left",
        "seed 3: 10 virtual s in 20 s, 0.50 of real time",
    ]


def test_past_the_least_length_of_a_scenario_nobody_knows_what_is_left(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with virtual_time("seed 3", least=5.0) as tell:
        clock.now += 20
        tell(10.0)

    assert "left" not in capsys.readouterr().err


def test_the_last_line_counts_the_time_until_the_end(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with virtual_time("seed 3", least=32.0) as tell:
        clock.now += 1
        tell(32.0)
        clock.now += 13

    assert capsys.readouterr().err == "seed 3: 32 virtual s in 14 s, 2.29 of real time\n"


def test_a_short_run_says_nothing(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with virtual_time("seed 3", least=32.0) as tell:
        clock.now += 3
        tell(32.0)

    assert not capsys.readouterr().err
