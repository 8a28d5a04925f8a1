"""Which runs make up each part of the study: a stated subset of the published grids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import product
from random import Random
from typing import Final

from shoal.study.configurations import ABLATIONS, DEFAULT, PAPER, TUNING
from shoal.study.kill import KillCell, QuietCell
from shoal.study.lifeguard import Cell
from shoal.study.processes import ProcessModel
from shoal.study.runs import AnyCell, Run
from shoal.study.scale import ScaleCell

__all__ = [
    "INTERVAL_CELLS", "SENSITIVITY_CELLS", "THRESHOLD_CELLS", "ablation", "across", "formula", "grid", "kills",
    "quiet", "scale", "sensitivity", "tables", "tuning",
]  # fmt: skip

INTERVAL_CELLS: Final[tuple[Cell, ...]] = tuple(
    Cell(concurrent, blocked, normal)
    for concurrent, blocked, normal in (
        (8, 16.384, 0.256),
        (8, 2.048, 0.004),
        (8, 32.768, 0.064),
        (8, 16.384, 0.004),
        (8, 16.384, 1.024),
        (4, 32.768, 0.256),
        (16, 16.384, 0.064),
        (8, 8.192, 0.016),
        (16, 2.048, 0.256),
        (16, 32.768, 0.004),
        (4, 8.192, 0.004),
        (8, 32.768, 1.024),
    )
)
"""Of the paper's 9 × 6 × 8 grid of C × D × I, in seconds; ordered so that the first few already span it."""

_GRID: Final = tuple(
    product(
        (1, 4, 8, 12, 16, 20, 24, 28, 32),
        (8.192, 16.384, 32.768),
        (0.001, 0.004, 0.016, 0.064, 0.256, 1.024, 4.096, 16.384),
    )
)
"""The half of it in which agents are blocked for nearly as long as a suspicion lasts, 10.5 s, or longer: in the others
hardly anybody is declared dead falsely."""

THRESHOLD_CELLS: Final[tuple[Cell, ...]] = tuple(
    Cell(concurrent, blocked, seed=seed)
    for blocked, seeds in ((16.384, (1, 2, 3, 4)), (32.768, (5, 6, 7, 8)))
    for concurrent in (4, 16)
    for seed in seeds
)
"""The two lengths that outlast a suspicion time, with two numbers of agents."""

SENSITIVITY_CELLS: Final[tuple[Cell, ...]] = (Cell(8, 2.048, 0.004), Cell(8, 16.384, 0.256))
_LOSSY: Final = tuple(QuietCell(loss=0.2, seconds=60.0, seed=seed) for seed in (1, 2))


def across(configurations: Iterable[str], cells: Sequence[AnyCell]) -> list[Run]:
    """Every configuration in every cell, cell by cell."""
    names = list(configurations)
    return [Run(name, cell) for cell in cells for name in names]


def tables(cells: int | None = None) -> list[Run]:
    """The published tables: all configurations with the first so many interval cells."""
    return across((*PAPER, DEFAULT), (*THRESHOLD_CELLS, *INTERVAL_CELLS[:cells]))


def grid(cells: int) -> list[Run]:
    """All configurations in so many cells of the paper's grid with long blocks, the first ones of a random order."""
    drawn = Random(1).sample(_GRID, len(_GRID))[:cells]
    return across((*PAPER, DEFAULT), [Cell(*cell, seed=seed) for seed, cell in enumerate(drawn, 1)])


def tuning() -> list[Run]:
    """The rows for alpha and beta, in one interval cell and six threshold cells."""
    cells = [Cell(16, blocked, seed=seed) for blocked in (16.384, 32.768) for seed in (1, 2, 3)]
    return across(("SWIM", *TUNING), (*cells, SENSITIVITY_CELLS[1]))


def sensitivity() -> list[Run]:
    """The same anomaly with other models of a blocked process."""
    variants = [
        replace(cell, model=model, packet_work=work)
        for cell in SENSITIVITY_CELLS[1:]
        for model, work in (
            *((ProcessModel.LOOPS, work) for work in (0.0, 0.000_5)),
            (ProcessModel.TIMERS, 0.000_1),
            (ProcessModel.FROZEN, 0.000_1),
        )
    ]
    return across(("SWIM", "Lifeguard", DEFAULT), (*SENSITIVITY_CELLS, *variants))


def ablation(seeds: int = 60) -> list[Run]:
    """The default profile without one part: kills, two blocked cells, and much loss."""
    cells: tuple[AnyCell, ...] = (*(KillCell(seed=seed) for seed in range(1, seeds + 1)), *_LOSSY, *SENSITIVITY_CELLS)
    return across((DEFAULT, *ABLATIONS), cells)


def kills(seeds: int = 100, large: int = 2) -> list[Run]:
    """A kill at 100 and at 1,000 nodes, next to memberlist."""
    cells = [KillCell(seed=seed) for seed in range(1, seeds + 1)]
    cells += [KillCell(nodes=1000, seed=seed) for seed in range(1, large + 1)]
    return across((DEFAULT, "memberlist"), cells)


def quiet(hours: int = 20, nodes: int = 100) -> list[Run]:
    """So many times 100 node-hours at 1 % loss, in clusters of that size: false deaths."""
    seconds = 3600.0 * 100 / nodes
    return across((DEFAULT,), [QuietCell(nodes, seconds=seconds, seed=seed) for seed in range(1, hours + 1)])


def scale(nodes: Sequence[int] = (200, 1000), kills: int = 20) -> list[Run]:
    """Changes and kills in clusters of so many members."""
    return across((DEFAULT,), [ScaleCell(members, changes=max(1, kills // 2), kills=kills) for members in nodes])


def formula() -> list[Run]:
    """SWIM's load, detection time and false detections."""
    load = across(("plain SWIM",), [QuietCell(nodes=nodes, loss=0.0, seconds=120.0) for nodes in (5, 13, 28, 55, 128)])
    detection = across(("plain SWIM",), [KillCell(nodes=40, loss=0.0, seed=seed) for seed in range(1, 151)])
    lossy = [QuietCell(loss=loss, seconds=120.0) for loss in (0.01, 0.05, 0.1)]
    return [*load, *detection, *across([f"plain SWIM, k {k}" for k in range(1, 6)], lossy)]
