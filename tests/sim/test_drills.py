"""The drills of `make drills`, few of them: that all end well, and that one which does not is told."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest

from benchmarks import drills
from benchmarks.drills import DRILLS, Drill
from shoal.sim import presets, steps
from shoal.sim.presets import Setting


@pytest.mark.parametrize("drill", DRILLS, ids=lambda drill: drill.name)
def test_a_drill_breaks_nothing_and_kills_nobody_that_is_well(drill: Drill) -> None:
    report = drills.run(drill, range(2))

    assert (report.seeds, report.deaths_of_well, report.violated) == (2, 0, ())
    assert report.agreement_s is not None


def test_sizes_follow_the_seed() -> None:
    assert {DRILLS[0].nodes(seed) for seed in range(1000)} == set(range(12, 21))


def test_a_drill_that_goes_wrong_is_told_with_the_command_that_plays_it_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def without_a_heal(setting: Setting, *, share: float = 0.5) -> tuple[steps.Step, ...]:
        apart = setting.some(share * len(setting.names))
        rest = tuple(name for name in setting.names if name not in apart)
        return (*setting.quiesce(), steps.Partition((apart, rest)), steps.Wait(10.0), steps.Agree(5.0))

    broken = replace(presets.PRESETS["partition"], make=without_a_heal)
    monkeypatch.setattr(presets, "PRESETS", {**presets.PRESETS, "partition": broken})
    monkeypatch.setattr(drills, "DRILLS", (Drill("partition", {"share": 0.25}),))

    assert drills.main(["--seeds", "3..3"]) == 1

    told = capsys.readouterr().err
    assert "partition share=0.25, seed 3: " in told
    assert "views do not agree" in told
    again = shlex.split(told.splitlines()[-1].partition("again: ")[2])
    assert again == shlex.split(
        "shoal simulate --scenario partition --seed 3 --nodes 15 --loss 0.01 --param share=0.25"
    )
