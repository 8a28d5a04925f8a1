"""What remains of a demo: its timeline, how long every detection took on every node, and the last view."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from msgspec import Struct
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shoal.agent import schema
from shoal.config import Profile
from shoal.demo.acts import Start, Verdict
from shoal.demo.agreement import agreement_text
from shoal.demo.director import Outcome
from shoal.demo.matrix import STATE_STYLES
from shoal.demo.reporter import Stage, spread_text
from shoal.demo.timeline import Performance, Spread
from shoal.types import MemberState

__all__ = ["ActReport", "Event", "Report", "print_summary", "report_of"]

_MAX_FAILURES = 12
"""How many missed observations are printed; one cause can make hundreds."""


def print_summary(outcome: Outcome, stage: Stage, console: Console) -> None:
    """Tell people what happened."""
    _headline(console, "Timeline, in seconds")
    console.print(_timeline(outcome))
    _headline(console, "Seconds from each deed until a node reported what came of it")
    console.print(_delays(outcome, stage.names))
    starts = [performance.act for performance, _ in outcome.performances if isinstance(performance.act.deed, Start)]
    console.print(Text(f"{' and '.join(act.outcome for act in starts)}: the start of the process included", "dim"))
    if outcome.is_success:
        _headline(console, f"Final view, the same on all {len(outcome.views)} running nodes")
        console.print(_members(next(iter(outcome.views.values()))))
        console.print(Text(f"Agreement: {agreement_text(outcome.agreement)}", "dim"))
    _print_result(outcome, console)


def _headline(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, "bold"))


def _print_result(outcome: Outcome, console: Console) -> None:
    console.print()
    if outcome.is_success:
        console.print(Text("Everything that was announced was observed.", "bold green"))
        return
    failures = outcome.failures
    for failure in failures[:_MAX_FAILURES]:
        console.print(Text(f"Not as announced: {failure}", "bold red"))
    if len(failures) > _MAX_FAILURES:
        console.print(Text(f"… and {len(failures) - _MAX_FAILURES} more", "red"))
    if outcome.unplayed:
        console.print(Text(f"Not played any more: {', '.join(act.title for act in outcome.unplayed)}", "red"))


def _timeline(outcome: Outcome) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column()
    for performance, verdict in outcome.performances:
        act = performance.act
        grid.add_row(Text(f"{performance.since:.2f}", "dim"), Text(act.title, "bold"), act.story)
        result = (
            Text(spread_text(act, verdict), "green")
            if verdict.is_fulfilled
            else Text("not everything was observed", "red")
        )
        grid.add_row("", "", result)
    return grid


def _delays(outcome: Outcome, names: Sequence[str]) -> Table:
    """A row for each node and three below for all of them; a column for each act."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column("")
    for performance, _ in outcome.performances:
        table.add_column(performance.act.outcome, justify="right")
    columns = [verdict.delays for _, verdict in outcome.performances]
    for name in names:
        table.add_row(name, *(_seconds(delays.get(name)) for delays in columns), end_section=name == names[-1])
    for label, of in (("min", min), ("median", statistics.median), ("max", max)):
        table.add_row(label, *(_seconds(of(delays.values()) if delays else None) for delays in columns), style="dim")
    return table


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _members(members: Sequence[schema.Member]) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    newest = {member.name: member for member in sorted(members, key=lambda member: member.id)}
    for member in sorted(newest.values(), key=lambda member: (len(member.name), member.name)):
        state = Text(member.state, STATE_STYLES[MemberState[member.state.upper()]])
        grid.add_row(member.name, state, member.address, Text(f"run {member.id}", "dim"))
    return grid


# For programs


class ActReport(Struct, frozen=True, kw_only=True):
    """One act. Times are seconds since the demo began, delays seconds since the deed."""

    title: str
    story: str
    at: float
    outcome: str
    observed: bool
    delays: dict[str, float]
    """By the node that reported."""
    min: float | None
    median: float | None
    max: float | None


class Event(Struct, frozen=True, kw_only=True):
    """One thing that a node reported."""

    at: float
    observer: str
    event: str
    member: str
    id: str
    accusers: Sequence[str]


class Report(Struct, frozen=True, kw_only=True):
    """What `--json` prints."""

    success: bool
    failures: list[str]
    nodes: int
    profile: Profile
    acts: list[ActReport]
    timeline: list[Event]
    members: dict[str, Sequence[schema.Member]]
    """The members at the end, by the node that lists them."""
    agreement: dict[str, float | None]
    """Of each of these nodes, the share of its last probes that met an equal view."""


def report_of(outcome: Outcome, stage: Stage) -> Report:
    """Tell programs what happened."""
    return Report(
        success=outcome.is_success,
        failures=outcome.failures,
        nodes=len(stage.names),
        profile=stage.profile,
        acts=[_act_report(performance, verdict) for performance, verdict in outcome.performances],
        timeline=[
            Event(
                at=round(sighting.at, 3),
                observer=sighting.observer,
                event=sighting.sight,
                member=sighting.subject,
                id=sighting.run,
                accusers=sighting.accusers,
            )
            for sighting in stage.timeline.sightings
        ],
        members=dict(outcome.views),
        agreement=dict(outcome.agreement),
    )


def _act_report(performance: Performance, verdict: Verdict) -> ActReport:
    act, spread = performance.act, Spread.of(verdict.delays)
    return ActReport(
        title=act.title,
        story=act.story,
        at=round(performance.since, 3),
        outcome=act.outcome,
        observed=verdict.is_fulfilled,
        delays={observer: round(delay, 3) for observer, delay in verdict.delays.items()},
        min=None if spread is None else round(spread.first, 3),
        median=None if spread is None else round(spread.median, 3),
        max=None if spread is None else round(spread.last, 3),
    )
