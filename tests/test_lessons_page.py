"""The page of lessons names tests, presets, invariants and commands that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from shoal.sim import invariants
from shoal.sim.presets import PRESETS

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "lessons.md").read_text("utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| seen elsewhere")]


def test_every_lesson_has_a_row_with_a_test() -> None:
    assert len(ROWS) == 16 + 8
    assert all("`tests/" in row for row in ROWS if not row.startswith("| what |"))


@pytest.mark.parametrize("named", sorted(set(re.findall(r"`(tests/[^`]+)`", PAGE))))
def test_every_test_that_is_named_exists(named: str) -> None:
    path, _, function = named.partition("::")
    tree = ast.parse((ROOT / path).read_text("utf-8"))

    found = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert not function or function in found


def test_every_preset_invariant_and_command_that_is_named_exists() -> None:
    presets = re.findall(r"`([a-z-]+)`", " ".join(re.findall(r"presets? (`[a-z-]+`(?: and `[a-z-]+`)?)", PAGE)))
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)

    assert presets
    assert set(presets) <= PRESETS.keys()
    assert set(re.findall(r"invariant `(\w+)`", PAGE)) <= set(invariants.__all__)
    assert set(re.findall(r"`make ([a-z-]+)`", PAGE)) <= set(targets)
