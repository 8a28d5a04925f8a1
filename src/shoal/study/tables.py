"""Turns results into tables that stand beside the published numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil, e, nan
from statistics import fmean
from typing import Final, TypeVar

from shoal.study import published
from shoal.study.configurations import ABLATIONS, DEFAULT, PAPER, TUNING
from shoal.study.kill import KillCell, KillOutcome, QuietCell, QuietOutcome
from shoal.study.lifeguard import Cell, IntervalOutcome, ThresholdOutcome
from shoal.study.runs import AnyCell, Outcome, Results

__all__ = [
    "Table", "ablation_table", "aims_table", "cells_table", "detection_table", "false_detection_table",
    "false_positives_table", "kills_table", "latency_table", "load_table", "quantile", "quiet_table", "swim_load_table",
    "tuning_table", "variants_table",
]  # fmt: skip

_O = TypeVar("_O", bound=Outcome)
_BASELINE: Final = "SWIM"


@dataclass(frozen=True, slots=True)
class Table:
    """A title, a header and rows of text."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """As a Markdown table, columns aligned."""
        lines = [self.header, *self.rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.header))]
        rule = tuple("-" * width for width in widths)
        text = "\n".join(
            "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
            for line in (self.header, rule, *self.rows)
        )
        return f"**{self.title}**\n\n{text}\n"


def quantile(values: Iterable[float], share: float) -> float:
    """The least value that `share` of all values do not exceed; NaN when there is none."""
    ordered = sorted(values)
    return ordered[max(0, ceil(share * len(ordered)) - 1)] if ordered else nan


# Lifeguard's tables


def false_positives_table(results: Results) -> Table:
    """FP and FP- of all interval runs, beside the published percentages."""
    sums = {name: _intervals(results, name) for name in (*PAPER, DEFAULT)}
    base = sums[_BASELINE]
    rows = []
    for name, outcomes in sums.items():
        row = published.LIFEGUARD.get(name)
        base_row = published.LIFEGUARD[_BASELINE]
        rows.append(
            (
                name,
                f"{_false(outcomes):,}",
                f"{_at_healthy(outcomes):,}",
                _percent(_false(outcomes), _false(base)),
                _percent(row.false_positives, base_row.false_positives) if row else "",
                _percent(_at_healthy(outcomes), _at_healthy(base)),
                _percent(row.at_healthy, base_row.at_healthy) if row else "",
            )
        )
    header = ("configuration", "FP", "FP-", "FP %", "published", "FP- %", "published")
    return Table(f"False positives, {len(base)} interval cells", header, tuple(rows))


def cells_table(results: Results) -> Table:
    """FP of each interval cell."""
    names = (*PAPER, DEFAULT)
    cells = sorted(
        {run.cell for run in results if isinstance(run.cell, Cell) and run.cell.normal},
        key=lambda cell: (cell.concurrent, cell.blocked, cell.normal),
    )
    rows = tuple(
        (
            str(cell.concurrent),
            f"{cell.blocked:g}",
            f"{cell.normal:g}",
            *(f"{_false(_outcomes(results, name, IntervalOutcome, cell.__eq__)):,}" for name in names),
        )
        for cell in cells
    )
    return Table("False positives by cell", ("C", "D s", "I s", *names), rows)


def latency_table(results: Results) -> Table:
    """First and full detection of the threshold runs, from the start of the anomaly."""
    rows = []
    for name in (*PAPER, DEFAULT):
        first, full, missed = _latencies(results, name)
        row = published.LIFEGUARD.get(name)
        theirs = [f"{row.median} / {row.p99} / {row.p999}" for row in (row.first, row.full)] if row else ["", ""]
        rows.append((name, str(len(first)), str(missed), _three(first), theirs[0], _three(full), theirs[1]))
    header = ("configuration", "detected", "not", "first: med / 99 / 99.9 %", "published", "full", "published")
    return Table("Latency of detection in seconds", header, tuple(rows))


def load_table(results: Results) -> Table:
    """Messages and bytes of all interval runs."""
    base = _intervals(results, _BASELINE)
    rows = []
    for name in (*PAPER, DEFAULT):
        outcomes, row = _intervals(results, name), published.LIFEGUARD.get(name)
        messages, size = sum(one.messages for one in outcomes), sum(one.bytes for one in outcomes)
        rows.append(
            (
                name,
                f"{messages / 1e6:.2f}",
                f"{size / 2**20:.0f}",
                _percent(messages, sum(one.messages for one in base)),
                f"{row.messages_percent:.1f}" if row else "",
                _percent(size, sum(one.bytes for one in base)),
                f"{row.bytes_percent:.1f}" if row else "",
            )
        )
    header = ("configuration", "messages (M)", "MiB", "msgs %", "published", "bytes %", "published")
    return Table("Load", header, tuple(rows))


def aims_table(results: Results) -> Table:
    """The default profile against the aims and the best published points."""
    first, _, _ = _latencies(results, DEFAULT)
    spread = [last - one for one, last in _pairs(results, DEFAULT)]
    ours, base = _intervals(results, DEFAULT), _intervals(results, _BASELINE)
    aims = published.AIMS
    rows = (
        ("first detection, median (s)", "12.45", f"<= {aims.first_median}", f"{quantile(first, 0.5):.2f}"),
        ("first detection, 99.9 % (s)", "14.8 to 21.2", f"<= {aims.first_p999}", f"{quantile(first, 0.999):.2f}"),
        ("from first to all, median (s)", "0.46", f"<= {aims.spread_median}", f"{quantile(spread, 0.5):.2f}"),
        ("FP, % of SWIM's", "1.53", f"<= {aims.false_positives}", _percent(_false(ours), _false(base))),
        ("FP-, % of SWIM's", "1.89", f"<= {aims.at_healthy}", _percent(_at_healthy(ours), _at_healthy(base))),
        (
            "bytes, % of SWIM's",
            "97.97",
            f"<= {aims.bytes:g}",
            _percent(sum(one.bytes for one in ours), sum(one.bytes for one in base)),
        ),
    )
    return Table("The default profile and the aims", ("", "best published", "aim", "shoal"), rows)


def tuning_table(results: Results) -> Table:
    """Lifeguard with other alpha and beta, in percent of SWIM."""
    base_first, _, _ = _latencies(results, _BASELINE)
    rows = []
    for name in TUNING:
        first, _, _ = _latencies(results, name)
        ours, base = _intervals(results, name), _intervals(results, _BASELINE)
        row = published.TUNING.get(name)
        rows.append(
            (
                name,
                _percent(quantile(first, 0.5), quantile(base_first, 0.5)),
                f"{row.first_median:.1f}" if row else "",
                _percent(quantile(first, 0.99), quantile(base_first, 0.99)),
                f"{row.first_p99:.1f}" if row else "",
                _percent(_false(ours), _false(base)),
                f"{row.false_positives:.2f}" if row else "",
            )
        )
    header = ("Lifeguard with", "first med %", "published", "first 99 %", "published", "FP %", "published")
    return Table("Alpha and beta, in percent of SWIM", header, tuple(rows))


def variants_table(results: Results) -> Table:
    """FP of the same cells under other models of a blocked process."""
    names = (_BASELINE, "Lifeguard", DEFAULT)
    cells = sorted(
        {run.cell for run in results if isinstance(run.cell, Cell) and run.cell.normal},
        key=lambda cell: (cell.blocked, cell.model, cell.packet_work),
    )
    rows = tuple(
        (
            f"{cell.concurrent} / {cell.blocked:g} / {cell.normal:g}",
            cell.model.value,
            f"{cell.packet_work * 1000:g}",
            *(
                f"{_false(found):,} ({_at_healthy(found):,})"
                for found in (_outcomes(results, name, IntervalOutcome, cell.__eq__) for name in names)
            ),
        )
        for cell in cells
    )
    return Table("FP (FP-) by model of the blocked process", ("C / D / I", "model", "ms a packet", *names), rows)


# Kills, loss, quiet


def kills_table(results: Results) -> Table:
    """How soon the first and all know of a kill."""
    rows = []
    for nodes in (100, 1000):
        for name in (DEFAULT, "memberlist"):
            outcomes = _kills(results, name, nodes)
            rows.append((f"{name}, {nodes} nodes", *_kill_cells(outcomes)))
    rows += [
        (f"{name}, 100 nodes (published)", "", "", f"{kill.median} / {kill.p99} / ", "", "", "")
        for name, kill in published.KILLS.items()
    ]
    return Table("A kill at 1 % loss, seconds", ("", *_KILL_HEADER), tuple(rows))


def ablation_table(results: Results) -> Table:
    """What each part of the default profile buys and costs."""
    rows = []
    for name in (DEFAULT, *ABLATIONS):
        blocked = _intervals(results, name)
        lossy = _outcomes(results, name, QuietOutcome, lambda _: True)
        rows.append(
            (
                name,
                *_kill_cells(_kills(results, name, 100))[:3],
                f"{_false(blocked):,}",
                f"{_at_healthy(blocked):,}",
                f"{sum(one.bytes for one in blocked) / 2**20:.0f}",
                f"{sum(one.false_suspicions for one in lossy):,}",
                f"{sum(one.false_deaths for one in lossy):,}",
                f"{fmean(one.bytes_per_node_s for one in lossy):.0f}" if lossy else "",
            )
        )
    header = (
        "", *_KILL_HEADER[:3], "FP", "FP-", "MiB", "suspicions at 20 % loss", "deaths", "bytes per node and s",
    )  # fmt: skip
    return Table("The default profile without one part", header, tuple(rows))


_KILL_HEADER: Final = (
    "kills", "first: med / 99 % / max", "all know: med / 99 % / max", "false deaths", "datagrams", "bytes",
)  # fmt: skip


def _kill_cells(outcomes: Sequence[KillOutcome]) -> tuple[str, ...]:
    if not outcomes:
        return ("0", "", "", "", "", "")
    first = [one.first for one in outcomes if one.first is not None]
    known = [one.all_know for one in outcomes if one.all_know is not None]
    return (
        str(len(outcomes)),
        _with_max(first),
        _with_max(known),
        str(sum(one.false_deaths for one in outcomes)),
        f"{fmean(one.messages_per_node_s for one in outcomes):.1f}",
        f"{fmean(one.bytes_per_node_s for one in outcomes):.0f}",
    )


def quiet_table(results: Results) -> Table:
    """False suspicions and deaths while nothing happens but loss."""
    rows = []
    for cell in sorted({run.cell for run in results if isinstance(run.cell, QuietCell)}, key=lambda one: one.seed)[:1]:
        outcomes = _outcomes(results, DEFAULT, QuietOutcome, lambda _: True)
        hours = len(outcomes) * cell.nodes * cell.seconds / 3600
        rows.append(
            (
                f"{cell.nodes}",
                f"{cell.loss:.0%}",
                f"{hours:,.0f}",
                f"{sum(one.probes for one in outcomes):,}",
                f"{sum(one.probes_failed for one in outcomes):,}",
                f"{sum(one.false_suspicions for one in outcomes):,}",
                f"{sum(one.false_deaths for one in outcomes):,}",
                f"{fmean(one.bytes_per_node_s for one in outcomes):.0f}",
            )
        )
    header = ("nodes", "loss", "node-hours", "probes", "failed", "suspicions", "false deaths", "bytes per node and s")
    return Table("Nothing happens", header, tuple(rows))


# SWIM's formulas


def swim_load_table(results: Results) -> Table:
    """Messages sent per member and period."""
    outcomes = [
        (run.cell, outcome)
        for run, outcome in results.items()
        if isinstance(run.cell, QuietCell) and not run.cell.loss and isinstance(outcome, QuietOutcome)
    ]
    rows = tuple(
        (str(cell.nodes), f"{outcome.messages_per_node_s:.3f}", f"{published.SWIM_LOAD.get(cell.nodes, '')}", "2.0")
        for cell, outcome in sorted(outcomes, key=lambda pair: pair[0].nodes)
    )
    return Table("SWIM: messages sent per member and period", ("members", "ours", "published", "formula"), rows)


def detection_table(results: Results) -> Table:
    """Periods until the first member suspects a dead one."""
    outcomes = _outcomes(results, "plain SWIM", KillOutcome, lambda _: True)
    times = [one.first_suspected for one in outcomes if one.first_suspected is not None]
    until_probe = fmean(times) - 1.0 if times else nan
    rows = (
        ("kill to start of the first probe", f"{until_probe:.2f}", "1.00 (phases unsynchronised)", ""),
        ("kill to first suspicion", f"{until_probe + 1.0:.2f}", "2.00", f"{published.SWIM_FIRST_DETECTION_PERIODS}"),
        ("in whole rounds", f"{fmean(map(ceil, (one - 1.0 for one in times))):.2f}", f"{e / (e - 1):.2f}", ""),
    )
    title = f"SWIM: periods to first detection, {len(times)} kills at 40 nodes, mean"
    return Table(title, ("", "ours", "formula", "published"), rows)


def false_detection_table(results: Results) -> Table:
    """Share of the probes of live members that fail, by loss and k, beside the formula."""
    rows = []
    for loss in (0.01, 0.05, 0.1):
        for relays in range(1, 6):
            outcomes = _outcomes(results, f"plain SWIM, k {relays}", QuietOutcome, partial(_has_loss, loss))
            probes, failed = sum(one.probes for one in outcomes), sum(one.probes_failed for one in outcomes)
            expected = published.false_detection(loss, relays)
            ours = f"{failed / probes:.2e}" if probes else ""
            rows.append((f"{loss:.0%}", str(relays), str(failed), f"{expected * probes:.1f}", ours, f"{expected:.2e}"))
    header = ("loss", "k", "failed probes", "expected", "ours", "formula")
    return Table("SWIM: false detections per probe", header, tuple(rows))


# Helpers


def _outcomes(results: Results, name: str, kind: type[_O], wanted: Callable[[AnyCell], bool]) -> list[_O]:
    return [
        outcome
        for run, outcome in results.items()
        if run.configuration == name and isinstance(outcome, kind) and wanted(run.cell)
    ]


def _intervals(results: Results, name: str) -> list[IntervalOutcome]:
    return _outcomes(results, name, IntervalOutcome, lambda _: True)


def _kills(results: Results, name: str, nodes: int) -> list[KillOutcome]:
    return _outcomes(results, name, KillOutcome, lambda cell: isinstance(cell, KillCell) and cell.nodes == nodes)


def _latencies(results: Results, name: str) -> tuple[list[float], list[float], int]:
    """First detections, full detections, and how many were not detected while the anomaly lasted."""
    outcomes = _outcomes(results, name, ThresholdOutcome, lambda _: True)
    first = [one.first for outcome in outcomes for one in outcome.detected]
    full = [one.full for outcome in outcomes for one in outcome.detected if one.full is not None]
    return first, full, sum(outcome.undetected for outcome in outcomes)


def _pairs(results: Results, name: str) -> list[tuple[float, float]]:
    outcomes = _outcomes(results, name, ThresholdOutcome, lambda _: True)
    return [(one.first, one.full) for outcome in outcomes for one in outcome.detected if one.full is not None]


def _false(outcomes: Iterable[IntervalOutcome]) -> int:
    return sum(one.false_positives for one in outcomes)


def _at_healthy(outcomes: Iterable[IntervalOutcome]) -> int:
    return sum(one.at_healthy for one in outcomes)


def _has_loss(loss: float, cell: AnyCell) -> bool:
    return isinstance(cell, QuietCell) and cell.loss == loss


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.2f}" if whole else "-"


def _three(values: Sequence[float]) -> str:
    return " / ".join(f"{quantile(values, share):.2f}" for share in (0.5, 0.99, 0.999))


def _with_max(values: Sequence[float]) -> str:
    return " / ".join(f"{quantile(values, share):.2f}" for share in (0.5, 0.99, 1.0))
