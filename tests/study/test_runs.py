from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shoal.errors import ShoalError
from shoal.study import plans, tables
from shoal.study.configurations import ABLATIONS, DEFAULT, PAPER
from shoal.study.kill import KillCell, QuietCell
from shoal.study.lifeguard import Cell, IntervalOutcome, Latency, ThresholdOutcome
from shoal.study.runs import Results, Run, collect

RUNS = [Run(DEFAULT, KillCell(nodes=4, settle=2.0)), Run("SWIM", QuietCell(nodes=4, seconds=5.0, settle=1.0))]


def collected(runs: list[Run], cache: Path) -> tuple[Results, list[tuple[int, Run | None]]]:
    seen: list[tuple[int, Run | None]] = []
    with ThreadPoolExecutor(1) as executor:
        results = collect(runs, executor, cache, lambda done, _total, run: seen.append((done, run)))
    return results, seen


def test_finished_runs_are_not_done_again(tmp_path: Path) -> None:
    cache = tmp_path / "deep" / "runs.jsonl"

    first, _ = collected(RUNS[:1], cache)
    both, seen = collected(RUNS, cache)

    assert seen == [(1, None), (2, RUNS[1])]
    assert both[RUNS[0]] == first[RUNS[0]]
    assert collected(RUNS, cache) == (both, [(2, None)])


def test_a_line_that_was_cut_off_is_done_again(tmp_path: Path) -> None:
    cache = tmp_path / "runs.jsonl"
    whole, _ = collected(RUNS[:1], cache)
    cache.write_text(cache.read_text(encoding="utf-8")[:-20], encoding="utf-8")

    again, seen = collected(RUNS[:1], cache)

    assert again == whole
    assert [done for done, _ in seen] == [0, 1]
    assert collected(RUNS[:1], cache) == (whole, [(1, None)])


@pytest.mark.parametrize("line", ["{nonsense", "[]", '{"run": "a"}', '{"run": 1, "outcome": {}}'])
def test_what_is_no_result_is_named(tmp_path: Path, line: str) -> None:
    cache = tmp_path / "runs.jsonl"
    collected(RUNS[:1], cache)
    with cache.open("a", encoding="utf-8") as file:
        file.write(line + "\n")

    with pytest.raises(ShoalError, match=r"runs\.jsonl, line 2: it is no result of a run .*; remove the file"):
        collected(RUNS[:1], cache)


def test_plans_meet_every_configuration_with_the_same_cells() -> None:
    runs = plans.tables(2)

    for name in (*PAPER, DEFAULT):
        mine = [run.cell for run in runs if run.configuration == name]
        assert mine == [*plans.THRESHOLD_CELLS, *plans.INTERVAL_CELLS[:2]]
    assert {run.configuration for run in plans.ablation(1)} == {DEFAULT, *ABLATIONS}


def test_more_cells_of_the_grid_go_on_with_the_same_order() -> None:
    few, many = plans.grid(10), plans.grid(20)
    assert many[: len(few)] == few
    assert len({run.cell for run in many}) == 20
    assert len({run.cell for run in plans.grid(1000)}) == 9 * 3 * 8


def test_quantiles_are_values_that_were_seen() -> None:
    assert [tables.quantile([3.0, 1.0, 2.0], share) for share in (0.0, 0.5, 0.99, 1.0)] == [1.0, 2.0, 3.0, 3.0]


def test_tables_set_percentages_of_swim_beside_the_published_ones() -> None:
    interval, threshold = Cell(1, 1.0, 1.0), Cell(1, 16.384)
    results: Results = {}
    for name in (*PAPER, DEFAULT):
        share = 200 if name == "SWIM" else 50
        results[Run(name, interval)] = IntervalOutcome(share, share // 10, share, share, 0.0)
        results[Run(name, threshold)] = ThresholdOutcome((Latency(12.4, 12.9),), 0)

    rows = {row[0]: row for row in tables.false_positives_table(results).rows}
    latencies = {row[0]: row for row in tables.latency_table(results).rows}

    assert rows["Lifeguard"] == ("Lifeguard", "50", "5", "25.00", "1.53", "25.00", "1.89")
    assert latencies["SWIM"][3:5] == ("12.40 / 12.40 / 12.40", "12.44 / 16.96 / 19.4")
    assert "| Lifeguard " in tables.load_table(results).markdown()
