"""Scenarios in TOML files.

    nodes = 5

    [link]
    latency = { low = 0.001, high = 0.02 }
    loss = 0.01

    [[step]]
    do = "start-all"

    [[step]]
    do = "crash"
    node = "n3"
    silent = true

A step's `do` is the name of its class in `shoal.sim.steps`, its other fields are the class's.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import tomllib
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from shoal.errors import ConfigError, ShoalError
from shoal.sim import steps
from shoal.sim.course import Course
from shoal.sim.latency import Constant, Latency, LogNormal, Uniform
from shoal.sim.network import Link, StreamMode
from shoal.sim.ranges import MEDIANS, NODES, RATES, SHARES, SIGMAS, TIMES, Range
from shoal.sim.scenario import Scenario
from shoal.sim.steps import Step

__all__ = ["STEPS", "ScenarioFileError", "read_scenario"]

_T = TypeVar("_T")


class ScenarioFileError(ShoalError, ValueError):
    """A scenario file cannot be read; the message names the place in it, the value and what is allowed."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"{where}: {problem}")


def _kebab(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()


_NO_STEPS: Final = frozenset({"Step", "ScenarioFailed", "ImpossibleStepError"})

STEPS: Final[Mapping[str, type[Any]]] = {
    _kebab(name): getattr(steps, name) for name in steps.__all__ if name not in _NO_STEPS
}
"""The steps by the name that files call them."""

_LATENCIES: Final[tuple[type[Any], ...]] = (Constant, Uniform, LogNormal)
_NUMBERS: Final = frozenset({int, float, float | None})
_RANGES: Final[Mapping[str, Range]] = {
    "nodes": NODES,
    "seeds": NODES,
    **dict.fromkeys(("loss", "duplication", "reordering", "ingress", "egress"), SHARES),
    **dict.fromkeys(("held_back", "seconds", "at_most", "stay", "delay", "low", "high"), TIMES),
    "median": MEDIANS,
    "sigma": SIGMAS,
    "clock_step": Range(-1e9, 1e9),
    "rate": RATES,
}


def read_scenario(path: Path | str, seed: int = 0) -> Scenario:
    """Read a file; raises `ScenarioFileError` when it cannot be read, or something in it is unknown or out of range."""
    try:
        with open(path, "rb") as file:
            table = tomllib.load(file)
    except OSError as error:
        raise ScenarioFileError(str(path), f"cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ScenarioFileError(str(path), f"is no TOML: {error}") from error
    return _scenario(str(path), table, seed)


def _scenario(path: str, table: dict[str, Any], seed: int) -> Scenario:
    given = dict(table)
    link = _read_link(f"{path}, link", given.pop("link", {}))
    entries = given.pop("step", None)
    if not isinstance(entries, list) or not entries:
        raise ScenarioFileError(path, "has no steps; write each as a table [[step]] with do = ...")
    known = {"formed": bool, "identities": bool, "nodes": int, "seeds": int, "zones": Mapping[str, tuple[str, ...]]}
    values = {name: _value(path, name, value, known) for name, value in given.items()}
    if "nodes" not in values:
        raise ScenarioFileError(path, f"says no number of nodes: write nodes = {_RANGES['nodes']}")
    if values.get("seeds", 1) > values["nodes"]:
        raise ScenarioFileError(path, f"seeds = {values['seeds']}: must be at most the {values['nodes']} nodes")
    course = Course(values["nodes"], values.get("zones", {}))
    played = tuple(_steps(path, entries, course))
    for problem in course.problems_of_zones():
        raise ScenarioFileError(f"{path}, zones", problem)
    return Scenario(seed=seed, steps=played, link=link, **values)


def _steps(path: str, entries: list[object], course: Course) -> Iterable[Step]:
    for number, entry in enumerate(entries, 1):
        where = f"{path}, step {number}"
        step = _read_step(where, entry)
        for problem in course.problems(step):
            raise ScenarioFileError(where, problem)
        course.take(step)
        yield step


def _read_step(where: str, entry: object) -> Step:
    if not isinstance(entry, dict):
        raise ScenarioFileError(where, f"{entry!r} is no table; write [[step]] and do = ...")
    fields = dict(entry)
    do = fields.pop("do", None)
    if do not in STEPS:
        raise ScenarioFileError(where, f"do = {do!r}: {_unknown('step', str(do), STEPS)}")
    step: Step = _read_into(STEPS[do], f"{where} ({do})", fields)
    return step


def _read_link(where: str, given: object) -> Link:
    if not isinstance(given, dict):
        raise ScenarioFileError(where, f"{given!r} is no table; write latency, loss and so on in one")
    fields = dict(given)
    latency = fields.pop("latency", None)
    link: Link = _read_into(Link, where, fields)
    return link if latency is None else dataclasses.replace(link, latency=_read_latency(where, latency))


def _read_latency(where: str, given: object) -> Latency:
    for kind in _LATENCIES:
        if isinstance(given, dict) and set(given) == {field.name for field in dataclasses.fields(kind)}:
            latency: Latency = _read_into(kind, f"{where}.latency", given)
            return latency
    raise ScenarioFileError(
        where,
        f"latency = {given!r}: must be {{ seconds = ... }}, {{ low = ..., high = ... }}"
        " or { median = ..., sigma = ... }, in seconds",
    )


def _read_into(kind: type[_T], where: str, given: Mapping[str, object]) -> _T:
    """An object of a dataclass, its fields from a table."""
    types = typing.get_type_hints(kind)
    values: dict[str, Any] = {name: _value(where, name, value, types) for name, value in given.items()}
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        if field.name not in given and _is_required(field):
            if types[field.name] != float | None:
                raise ScenarioFileError(where, f"{field.name} is missing; it must be {_allowed(field.name, types)}")
            values[field.name] = None
    try:
        return kind(**values)
    except ConfigError as error:
        raise ScenarioFileError(where, str(error)) from None


def _value(where: str, name: str, value: object, types: Mapping[str, Any]) -> Any:
    if name not in types:
        raise ScenarioFileError(where, f"{name} = {value!r}: {_unknown('field', name, types)}")
    wanted = types[name]
    if wanted is Link:
        return _read_link(f"{where}, {name}", value)
    typed: Any
    try:
        typed = value.encode() if wanted is bytes and isinstance(value, str) else msgspec.convert(value, wanted)
    except msgspec.ValidationError:
        raise ScenarioFileError(where, f"{name} = {value!r}: must be {_allowed(name, types)}") from None
    allowed = _range_of(name, wanted)
    if allowed is not None and typed is not None and not allowed.holds(typed):
        raise ScenarioFileError(where, f"{name} = {value!r}: must be {_allowed(name, types)}")
    return typed


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known) or 'none'}"
    return f"there is no such {what}; {hint}"


_KINDS: Final[Mapping[Any, str]] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    float | None: "a number",
    str: "a text",
    str | None: "a text",
    bytes: "a text",
    tuple[str, ...]: "a list of nodes",
    tuple[tuple[str, ...], ...]: "a list of lists of nodes",
    tuple[str, str]: "a list of two names",
    Mapping[str, str]: "a table of texts",
    Mapping[str, tuple[str, ...]]: "a table of lists of nodes",
    Link: "a table, as [link]",
    StreamMode: f"one of {', '.join(StreamMode)}",
}


def _allowed(name: str, types: Mapping[str, Any]) -> str:
    allowed = _range_of(name, types[name])
    return _KINDS[types[name]] + (f", {allowed}" if allowed is not None else "")


def _range_of(name: str, kind: Any) -> Range | None:
    return _RANGES.get(name) if kind in _NUMBERS else None
