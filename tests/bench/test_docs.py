"""The page names what exists."""

from pathlib import Path

import pytest

from shoal.cli.bench import scale

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text("utf-8")


@pytest.mark.parametrize("option", [parameter.opts[0] for parameter in scale.params])
def test_every_option_of_the_scale_benchmark_is_described(option: str) -> None:
    section = PAGE.partition("## bench scale")[2]

    assert f"| `{option}" in section
