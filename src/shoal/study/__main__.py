"""`python -m shoal.study PART`: runs a part of the study and prints its tables."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Final, NamedTuple

from shoal.bench.arguments import at_least
from shoal.errors import ShoalError
from shoal.sim.model.setting import LEAST_MEMBERS
from shoal.study import plans, tables
from shoal.study.runs import Bar, Results, Run, collect

__all__ = ["main"]


_LARGE: Final = "shoal.study.large"


class _Part(NamedTuple):
    summary: str
    runs: Callable[[argparse.Namespace], list[Run]]
    tables: tuple[Callable[[Results], tables.Table], ...]
    needs_numpy: bool = False


def _table_of_model(name: str) -> Callable[[Results], tables.Table]:
    """One of the tables that need numpy, which is imported when they are made."""

    def make(results: Results) -> tables.Table:
        table: tables.Table = getattr(import_module(_LARGE), name)(results)
        return table

    return make


_PARTS: Final = {
    "tables": _Part(
        "Lifeguard's tables IV to VI, and the aims",
        lambda options: plans.tables(options.cells),
        (
            tables.false_positives_table,
            tables.cells_table,
            tables.latency_table,
            tables.load_table,
            tables.aims_table,
        ),
    ),
    "grid": _Part(
        "false positives in random cells of Lifeguard's grid",
        lambda options: plans.grid(options.cells or 36),
        (tables.false_positives_table, tables.cells_table),
    ),
    "tuning": _Part("alpha and beta (table VII)", lambda _: plans.tuning(), (tables.tuning_table,)),
    "sensitivity": _Part("other models of a blocked process", lambda _: plans.sensitivity(), (tables.variants_table,)),
    "formula": _Part(
        "SWIM's load, detection time and false detections",
        lambda _: plans.formula(),
        (tables.swim_load_table, tables.detection_table, tables.false_detection_table),
    ),
    "kills": _Part(
        "a kill, next to memberlist's settings", lambda options: plans.kills(options.seeds), (tables.kills_table,)
    ),
    "ablation": _Part(
        "the default profile without one part",
        lambda options: plans.ablation(min(options.seeds, 60)),
        (tables.ablation_table,),
    ),
    "model": _Part(
        "the vectorised model next to the simulator, and 1,000,000 members",
        lambda options: plans.scale(options.nodes, options.kills),
        (_table_of_model("agreement_table"), _table_of_model("forecast_table"), _table_of_model("limits_table")),
        needs_numpy=True,
    ),
    "quiet": _Part("false deaths at 1 % loss", lambda options: plans.quiet(options.hours), (tables.quiet_table,)),
    "quiet-1000": _Part(
        "the same with 1,000 nodes", lambda options: plans.quiet(options.hours, 1000), (tables.quiet_table,)
    ),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the parts that the command line names, one after the other; what keeps them from it is told in one line."""
    options = _parser().parse_args(arguments)
    parts = {name: _PARTS[name] for name in options.parts or _PARTS}
    try:
        _require(parts.values(), options.cache)
        with ProcessPoolExecutor(options.jobs) as executor:
            for name, part in parts.items():
                results = collect(part.runs(options), executor, options.cache, Bar(name))
                for make in part.tables:
                    table = make(results)
                    print(json.dumps(asdict(table)) if options.json else table.markdown(), flush=True)
    except ShoalError as error:
        raise SystemExit(f"error: {error}") from None


def _require(parts: Iterable[_Part], cache: Path) -> None:
    """Raise `ShoalError` now for what would be missing after hours of runs."""
    if any(part.needs_numpy for part in parts):
        import_module(_LARGE)
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        cache.open("a").close()
    except OSError as error:
        raise ShoalError(f"--cache: cannot write {cache}: {error.strerror}") from error


def _parser() -> argparse.ArgumentParser:
    parts = "\n".join(f"  {name:<12} {part.summary}" for name, part in _PARTS.items())
    parser = argparse.ArgumentParser(
        "python -m shoal.study",
        description=f"Compare failure detectors in the simulator.\n\nparts (default: all)\n{parts}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", choices=[[], *_PARTS], metavar="PART", help="which tables to make")
    parser.add_argument("--jobs", type=at_least(1), default=2, help="processes (default: 2)")
    parser.add_argument("--cells", type=at_least(1), help="only the first so many interval cells (grid: 36)")
    parser.add_argument(
        "--seeds", type=at_least(1), default=100, help="kills per configuration at 100 nodes (default: 100)"
    )
    parser.add_argument("--hours", type=at_least(1), default=10, help="quiet runs of 100 node-hours each (default: 10)")
    parser.add_argument(
        "--nodes",
        type=at_least(LEAST_MEMBERS),
        nargs="+",
        default=(200, 1000),
        help="sizes to simulate for the model (default: 200 1000)",
    )
    parser.add_argument("--kills", type=at_least(1), default=20, help="kills at each of these sizes (default: 20)")
    parser.add_argument("--json", action="store_true", help="one JSON object per table")
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path(".cache/study/runs.jsonl"),
        help="finished runs are kept here and not done again (default: %(default)s)",
    )
    return parser


if __name__ == "__main__":
    main()
