"""The example programs run as they are, and the guide says what is true."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import shoal
from tests.clusters import PATIENCE, in_real_time

ROOT = Path(__file__).resolve().parent.parent
PRINTS = {
    "workers_by_tag": ["least loaded: gpu-2", "least loaded: gpu-1", "least loaded: gpu-2"],
    "watch_events": ["polite left", "hasty failed: suspicion expired"],
    "blocking_worker": ["the answer is 42"],
}
GUIDE = (ROOT / "docs" / "guide.md").read_text("utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)


def test_every_example_is_tried() -> None:
    assert {path.stem for path in (ROOT / "examples").glob("*.py")} == set(PRINTS)


@pytest.mark.parametrize("name", PRINTS)
def test_an_example_does_what_it_says_without_a_complaint(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", ROOT / "examples" / f"{name}.py"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert [line for line in done.stdout.splitlines() if line in PRINTS[name]] == PRINTS[name]


@pytest.mark.parametrize("block", BLOCKS)
def test_the_guide_names_what_exists(block: str) -> None:
    compile(block, "guide.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    for name in re.findall(r"\bshoal\.(\w+)", block):
        assert hasattr(shoal, name) or importlib.util.find_spec(f"shoal.{name}"), name
    for name in re.findall(r"\bcluster\.(\w+)", block):
        assert hasattr(shoal.Cluster, name), name


@in_real_time
async def test_the_guides_network_in_memory_works() -> None:
    (block,) = (block for block in BLOCKS if "MemoryNetwork" in block)
    namespace: dict[str, object] = {"shoal": shoal}
    exec(f"async def main():\n{textwrap.indent(block, '    ')}", namespace)
    await namespace["main"]()  # type: ignore[operator]
