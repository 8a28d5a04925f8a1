"""`shoal simulate`."""

from __future__ import annotations

import dataclasses
import os
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
from click.core import ParameterSource

from shoal.cli.options import Number, file_option, json_option, read_setting, reader, setting
from shoal.cli.output import print_json, print_pairs, write_text
from shoal.cli.progress import progress, virtual_time
from shoal.config import ClusterConfig, Profile
from shoal.errors import ConfigError, ShoalError
from shoal.sim.files import read_scenario
from shoal.sim.model.setting import MOST_MEMBERS
from shoal.sim.plot import svg
from shoal.sim.presets import LEAST_NODES, PRESETS, preset
from shoal.sim.profiles import LIFEGUARD, MEMBERLIST, SWIM
from shoal.sim.ranges import MOST_NODES
from shoal.sim.runner import FixedRecipe, PresetRecipe, Recipe, RunResult, SeedLost, Trial, run_seed, run_seeds
from shoal.sim.seeds import read_seeds
from shoal.sim.summary import Quantiles, Summary
from shoal.sim.trace import ReplayError, replay
from shoal.sim.workers import Workers

_PUBLISHED: Final[Mapping[str, ClusterConfig]] = {"swim": SWIM, "lifeguard": LIFEGUARD, "memberlist": MEMBERLIST}
_PROFILES: Final = (*(profile.value for profile in Profile), *_PUBLISHED)
_INTERRUPTED: Final = 130  # what shells report of a command that SIGINT ended
_OF_REPLAY: Final = frozenset({"trace_to_replay", "as_json"})
_NOT_OF_MODEL: Final = frozenset({"scenario", "parameters", "jobs", "plot", "trace", "formed", "identities"})


@dataclass(frozen=True, slots=True)
class _Order:
    """What the options ask for."""

    scenario: str
    nodes: int | None
    profile: str
    settings: tuple[tuple[str, str], ...]
    parameters: tuple[tuple[str, float], ...]
    loss: float | None
    formed: bool | None
    identities: bool

    @property
    def config(self) -> ClusterConfig:
        """How nodes behave; raises `ConfigError`."""
        base = _PUBLISHED[self.profile] if self.profile in _PUBLISHED else ClusterConfig.of_profile(self.profile)
        return base.replace(**dict(self.settings))

    def trial(self, first: int) -> Trial:
        """What to run; raises `ConfigError` or `ScenarioFileError`. The timeline is kept of the `first` seed."""
        trial = Trial(
            self._recipe(), self.config, self.loss, timeline_of=first, formed=self.formed, identities=self.identities
        )
        trial.scenario(first)
        return trial

    def _recipe(self) -> Recipe:
        path = Path(self.scenario)
        if self.scenario in PRESETS or not (path.suffix == ".toml" or path.exists()):
            return PresetRecipe(self.scenario, self.nodes, dict(self.parameters))
        if self.nodes is not None or self.parameters:
            option = "--nodes" if self.nodes is not None else "--param"
            raise ConfigError(option, self.nodes or dict(self.parameters), "is for presets; change the file instead")
        return FixedRecipe(read_scenario(path))

    def command(self, seed: int) -> str:
        """The command that plays one seed of it."""
        words = ["shoal", "simulate", "--scenario", self.scenario, "--seed", str(seed)]
        words += ["--nodes", str(self.nodes)] if self.nodes is not None else []
        words += ["--profile", self.profile] if self.profile != Profile.LAN else []
        words += ["--loss", str(self.loss)] if self.loss is not None else []
        words += [] if self.formed is None else ["--formed" if self.formed else "--joining"]
        words += ["--identities"] if self.identities else []
        for name, value in self.settings:
            words += ["--set", f"{name}={value}"]
        for name, number in self.parameters:
            words += ["--param", f"{name}={number:g}"]
        return shlex.join(words)


def _read_parameter(text: str) -> tuple[str, float]:
    name, value = read_setting(text)
    try:
        return name, float(value)
    except ValueError:
        raise ShoalError(f"{text!r}: {value!r} is no number") from None


@click.command()
@click.option(
    "--scenario",
    metavar="NAME|FILE",
    default="crash",
    show_default=True,
    help=f"A TOML file, or one of {', '.join(PRESETS)}.",
)
@click.option(
    "--nodes",
    type=click.IntRange(LEAST_NODES, MOST_MEMBERS),
    help=f"How many, up to {MOST_NODES:,} without --model.  [default: the scenario's own number]",
)
@click.option("--seed", type=click.IntRange(min=0), help="One seed.  [default: 0]")
@click.option("--seeds", callback=reader(read_seeds), metavar="FIRST..LAST", help="Many seeds, both ends included.")
@click.option(
    "--loss",
    type=Number(0, 1),
    metavar="SHARE",
    help="Packets that vanish, 0 to 1, on every path that the scenario says nothing else of.  [default: its own loss]",
)
@click.option(
    "--profile",
    type=click.Choice(_PROFILES),
    default=Profile.LAN.value,
    show_default=True,
    help="Set of timings; the last three are for comparison.",
)
@click.option(
    "--set",
    "settings",
    callback=setting,
    multiple=True,
    metavar="FIELD=VALUE",
    help="Any setting of a node, such as probe_interval=0.5.",
)
@click.option(
    "--param",
    "parameters",
    callback=reader(_read_parameter),
    multiple=True,
    metavar="NAME=NUMBER",
    help="A parameter of the preset, such as blocked=16.384.",
)
@click.option("--jobs", type=click.IntRange(1, 1024), help="Processes.  [default: one for each CPU]")
@file_option("--plot", "Draw curves as SVG.")
@file_option("--trace", "Write every input of every core; needs a single seed.")
@click.option(
    "--replay",
    "trace_to_replay",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Feed a trace to fresh cores instead, and compare what they answer.",
)
@click.option(
    "--formed/--joining",
    default=None,
    help="Whether the nodes know each other from the start.  [default: as the scenario says]",
)
@click.option("--identities", is_flag=True, help="Give each node an identity, so that deaths need signatures.")
@click.option(
    "--model",
    "is_model",
    is_flag=True,
    help="Ask the vectorised model instead, for a change and a kill among up to 10,000,000 nodes.",
)
@json_option
@click.pass_context
def simulate(
    ctx: click.Context,
    *,
    scenario: str,
    nodes: int | None,
    seed: int | None,
    seeds: range | None,
    loss: float | None,
    profile: str,
    settings: tuple[tuple[str, str], ...],
    parameters: tuple[tuple[str, float], ...],
    jobs: int | None,
    plot: Path | None,
    trace: Path | None,
    trace_to_replay: Path | None,
    formed: bool | None,
    identities: bool,
    is_model: bool,
    as_json: bool,
) -> None:
    """Run a whole cluster on a virtual clock and network, fault by fault, and say how it fared.

    The real protocol runs; one seed gives one run, on any machine. Exits 1 when a run violates an invariant, and shows
    the seed, the scenario and the command that plays it again.
    """
    if trace_to_replay is not None:
        _refuse_given(ctx, set(ctx.params) - _OF_REPLAY, "is for runs: --replay takes all from the trace")
        _replay(trace_to_replay, as_json=as_json)
        return
    if seed is not None and seeds is not None:
        raise click.UsageError("--seed and --seeds exclude each other")
    chosen = seeds or range(seed or 0, (seed or 0) + 1)
    if trace is not None and len(chosen) > 1:
        raise click.UsageError("--trace needs a single seed: give --seed N")
    order = _Order(scenario, nodes, profile, settings, parameters, loss, formed, identities)
    if is_model:
        _refuse_given(ctx, _NOT_OF_MODEL, "is for the simulator: the model plays a change and a kill, and nothing else")
        _ask_model(order, chosen, as_json=as_json)
        return
    trial = order.trial(chosen[0])
    results = [_run_traced(trial, chosen[0], trace)] if len(chosen) == 1 else _run_all(order, trial, chosen, jobs)
    _report(order, trial, chosen, results, as_json=as_json)
    if plot is not None:
        write_text(plot, svg(f"{_title(order, trial)}, seeds {_span(chosen)}", results))
    if any(result.violations for result in results):
        raise SystemExit(1)


def _refuse_given(ctx: click.Context, names: Collection[str], reason: str) -> None:
    """Raise click's own error for options that were given, though they would do nothing."""
    for param in ctx.command.params:
        if param.name in names and ctx.get_parameter_source(param.name) is not ParameterSource.DEFAULT:
            is_off = ctx.params[param.name] is False
            raise click.UsageError(f"{(param.secondary_opts if is_off else param.opts)[0]} {reason}")


def _ask_model(order: _Order, seeds: range, *, as_json: bool) -> None:
    from shoal.cli.forecast import report_forecast  # noqa: PLC0415 - needs numpy, which only the model does

    report_forecast(order.nodes, order.config, order.loss or 0.0, seeds, as_json=as_json)


def _run_traced(trial: Trial, seed: int, path: Path | None) -> RunResult:
    with ExitStack() as stack:
        try:
            trace = None if path is None else stack.enter_context(path.open("w", encoding="utf-8"))
        except OSError as error:
            raise click.ClickException(f"cannot write {path}: {error.strerror}") from error
        tell = stack.enter_context(virtual_time(f"seed {seed}", trial.scenario(seed).least_seconds))
        return run_seed(trial, seed, trace, tell)


def _run_all(order: _Order, trial: Trial, seeds: range, jobs: int | None) -> list[RunResult]:
    count = min(jobs or os.cpu_count() or 1, len(seeds))
    results: list[RunResult] = []
    try:
        with _ended(Workers(count)) as workers, progress(order.scenario, len(seeds)) as advance:
            for result in run_seeds(trial, seeds, workers, at_once=2 * count):
                results.append(result)
                advance()
    except KeyboardInterrupt:
        click.echo(f"interrupted after {len(results)} of {len(seeds)} seeds", err=True)
        raise SystemExit(_INTERRUPTED) from None
    except SeedLost as error:
        raise click.ClickException(f"{error}; to run it again: {order.command(error.seed)}") from error
    return sorted(results, key=lambda result: result.seed)


@contextmanager
def _ended(workers: Workers) -> Iterator[Workers]:
    """See that no process goes on, whatever happens."""
    try:
        yield workers
    finally:
        workers.terminate()


def _replay(path: Path, *, as_json: bool) -> None:
    try:
        with path.open(encoding="utf-8") as lines:
            inputs = sum(1 for _ in replay(lines))
    except (ReplayError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{path}: {error}") from error
    if as_json:
        print_json({"inputs": inputs, "identical": True})
    else:
        click.echo(f"{path}: {inputs} inputs, and every core answered as in the trace")


def _report(order: _Order, trial: Trial, seeds: range, results: Sequence[RunResult], *, as_json: bool) -> None:
    summary = Summary.of(results)
    violated = [result for result in results if result.violations]
    if as_json:
        print_json(_form(order, trial, seeds, results, summary, violated))
    else:
        click.echo(f"{_title(order, trial)}")
        print_pairs(_pairs(seeds, summary))
    for result in violated:
        click.echo(f"\nseed {result.seed} violated:\n  " + "\n  ".join(result.violations), err=True)
        click.echo(f"  to play it again: {order.command(result.seed)}", err=True)
    if violated:
        click.echo(f"\n{violated[0].notes}", err=True)


def _form(
    order: _Order,
    trial: Trial,
    seeds: range,
    results: Sequence[RunResult],
    summary: Summary,
    violated: Sequence[RunResult],
) -> dict[str, object]:
    return {
        "scenario": order.scenario,
        "nodes": max(result.nodes for result in results),
        "profile": order.profile,
        "settings": dict(order.settings),
        "parameters": dict(order.parameters),
        "loss": trial.scenario(seeds[0]).link.loss,
        "seeds": {"first": seeds[0], "last": seeds[-1]},
        **dataclasses.asdict(summary),
        "violated": [
            {"seed": result.seed, "violations": result.violations, "replay": order.command(result.seed)}
            for result in violated
        ],
    }


def _title(order: _Order, trial: Trial) -> str:
    scenario = trial.scenario(0)
    summary = f": {preset(order.scenario).summary}" if order.scenario in PRESETS else ""
    loss = f", {scenario.link.loss:.3g} loss" if scenario.link.loss else ""
    return f"{order.scenario}{summary}; {scenario.nodes} nodes, profile {order.profile}{loss}"


def _span(seeds: range) -> str:
    return str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]}..{seeds[-1]}"


def _pairs(seeds: range, summary: Summary) -> Iterator[tuple[str, str]]:
    yield ("seed" if len(seeds) == 1 else "seeds"), _span(seeds)
    if summary.outages:
        yield (
            "outages",
            f"{summary.outages}; {summary.detected} detected, {summary.known_by_all} known by all observers",
        )
        yield "first detection", _quantiles(summary.first_detection_s)
        yield "all know", _quantiles(summary.all_know_s)
    if summary.agreement_s is not None:
        yield "views agree", _quantiles(summary.agreement_s)
    yield "false deaths", f"{summary.false_deaths}, at healthy observers {summary.false_deaths_at_healthy}"
    yield "false suspicions", f"{summary.false_suspicions}, at healthy observers {summary.false_suspicions_at_healthy}"
    if summary.impaired_deaths:
        yield "deaths of impaired members", str(summary.impaired_deaths)
    if summary.unreachable_deaths:
        yield "deaths across cuts", str(summary.unreachable_deaths)
    yield "load", f"{summary.messages_per_node_s:g} messages, {summary.bytes_per_node_s:g} bytes per node and second"
    yield "node hours", f"{summary.node_hours:.3g}"
    yield "violations", str(summary.violations)


def _quantiles(times: Quantiles | None) -> str:
    if times is None:
        return "never"
    return f"{times.p50:.2f} s median, {times.p99:.2f} s 99 %, {times.p999:.2f} s 99.9 %, {times.max:.2f} s at most"
