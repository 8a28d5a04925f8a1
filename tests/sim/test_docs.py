"""The page on simulation names what exists."""

import dataclasses
import re
from pathlib import Path

import pytest

from shoal.sim.files import STEPS, read_scenario
from shoal.sim.presets import PRESETS
from shoal.sim.runner import FixedRecipe, Trial, run_seed
from shoal.sim.summary import Summary

PAGE = (Path(__file__).parents[2] / "docs" / "simulation.md").read_text("utf-8")


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_described_with_its_parameters(name: str) -> None:
    one = PRESETS[name]
    parameters = ", ".join(f"`{parameter}` {value:g}" for parameter, value in one.parameters.items())

    assert f"| `{name}` | {one.summary} | {one.nodes} | {parameters} |" in PAGE


def test_every_step_and_every_result_is_named() -> None:
    assert all(f"`{name}`" in PAGE for name in STEPS)
    assert all(f"`{field.name}`" in PAGE for field in dataclasses.fields(Summary))


def test_the_scenario_file_of_the_page_can_be_played(tmp_path: Path) -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path / "page.toml"
    path.write_text(text, "utf-8")

    assert not run_seed(Trial(FixedRecipe(read_scenario(path))), 1).violations
