"""Each floor of the package imports only from the floors below it, and nothing below `net` reaches the world.

The rules read the sources with `ast`, so they also see imports inside functions and under `TYPE_CHECKING`.
"""

import ast
import graphlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypeAlias

import pytest

SRC = Path(__file__).resolve().parent.parent / "src"

Sources: TypeAlias = Mapping[str, str]  # dotted module name -> source text


class Floor(NamedTuple):
    """The parts that stand on one level, and whether they may import one another."""

    parts: frozenset[str]
    acquainted: bool = False


FLOORS = (
    Floor(frozenset({"types", "errors", "events", "config", "keys", "records", "snapshot"}), acquainted=True),
    Floor(frozenset({"wire", "state"})),
    Floor(frozenset({"swim"})),
    Floor(frozenset({"net", "sim"})),
    Floor(
        frozenset(
            {
                *("cluster", "companion", "leasing", "rotation", "subscription", "blocking", "persistence"),
                *("shutdown", "testing"),
            }
        ),
        acquainted=True,
    ),
    Floor(frozenset({"discovery", "health", "store", "telemetry"})),
    Floor(frozenset({"rpc"})),
    Floor(frozenset({"shoal"})),  # the package's own face, which re-exports what users hold
    Floor(frozenset({"agent", "bench", "cli", "study", "demo", "__main__"}), acquainted=True),
)
LEVEL = {part: level for level, floor in enumerate(FLOORS) for part in floor.parts}

# All that code without clock, socket, thread, event loop, file or hidden randomness may import.
PURE = frozenset(
    "__future__ abc array base64 binascii bisect collections contextlib copy dataclasses difflib enum"
    " functools hashlib heapq hmac ipaddress itertools json math operator re string struct types typing"
    " zlib".split()
)
PURE_NAMES = {"random": frozenset({"Random"}), "uuid": frozenset({"UUID"})}
PURE_EXTRAS = {
    "shoal.config": frozenset({"msgspec", "open", "pathlib", "tomllib"}),  # it reads a file, once
    "shoal.wire.compression": frozenset({"importlib"}),  # of what may be missing: functions of bytes
    "shoal.wire.seals": frozenset({"cryptography"}),  # functions of bytes only
    "shoal.wire.identity_keys": frozenset({"cryptography"}),  # likewise
    "shoal.wire.envelope": frozenset({"cryptography"}),  # the error that they raise
}
IMPURE_BUILTINS = frozenset({"__import__", "eval", "exec", "input", "open", "print"})


def sources_under(src: Path) -> dict[str, str]:
    """Every module of the package in `src`, a package standing for its `__init__`."""
    return {
        ".".join(path.relative_to(src).with_suffix("").parts).removesuffix(".__init__"): path.read_text("utf-8")
        for path in sorted((src / "shoal").rglob("*.py"))
    }


def part_of(module: str) -> str:
    """The entry of `FLOORS` that `module` belongs to."""
    return module.split(".")[1] if "." in module else module


def imported(source: str) -> Iterator[tuple[str, str | None]]:
    """Each import as (module, name): `name` is None for a plain `import module`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from ((module, alias.name) for alias in node.names)


def own_imports(module: str, sources: Sources) -> Iterator[str]:
    """The modules of shoal that `module` imports; `from shoal import wire` means `shoal.wire`."""
    for base, name in imported(sources[module]):
        if base.split(".")[0] == "shoal":
            inner = f"{base}.{name}"
            yield inner if inner in sources or (base == "shoal" and name in LEVEL) else base


def upward(sources: Sources) -> Iterator[str]:
    """Imports of a higher floor, of a neighbour that must stay unknown, or from no known floor at all."""
    for module in sources:
        here = part_of(module)
        if here not in LEVEL:
            yield f"{module} stands on no floor: add {here!r} to FLOORS"
            continue
        for target in own_imports(module, sources):
            there = part_of(target)
            if there not in LEVEL:
                yield f"{module} imports {target}, which stands on no floor"
            elif LEVEL[there] > LEVEL[here]:
                yield f"{module} imports {target}, which stands above it"
            elif there != here and LEVEL[there] == LEVEL[here] and not FLOORS[LEVEL[here]].acquainted:
                yield f"{module} imports {target}, its neighbour"


def relative(sources: Sources) -> Iterator[str]:
    """Relative imports, which the other rules could not follow."""
    for module, source in sources.items():
        for base, _ in imported(source):
            if base.startswith("."):
                yield f"{module} imports {base} relatively: write the whole name"


def impure(sources: Sources) -> Iterator[str]:
    """What names the outside world below `net`."""
    for module, source in sources.items():
        if LEVEL.get(part_of(module), len(FLOORS)) < LEVEL["net"]:
            allowed = PURE | PURE_EXTRAS.get(module, frozenset())
            yield from (f"{module} {what}" for what in impurities(source, allowed))


def impurities(source: str, allowed: frozenset[str]) -> Iterator[str]:
    """Imports and names of one module that are neither shoal's own nor `allowed`."""
    partly: dict[str, str] = {}  # local name -> the module of which only some names are pure
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            partly |= {alias.asname or alias.name: alias.name for alias in node.names if alias.name in PURE_NAMES}
    for base, name in imported(source):
        top = base.split(".")[0]
        if top in allowed or top in {"shoal", ""}:
            continue
        if top not in PURE_NAMES:
            yield f"imports {base}"
        elif name is not None and name not in PURE_NAMES[top]:
            yield f"uses {base}.{name}"
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=local), attr=name) if local in partly:
                if name not in PURE_NAMES[partly[local]]:
                    yield f"uses {partly[local]}.{name}"
            case ast.Call(func=ast.Name(id="Random") | ast.Attribute(attr="Random"), args=[], keywords=[]):
                yield "seeds a Random from the system"
            case ast.Name(id=name) if name in IMPURE_BUILTINS - allowed:
                yield f"uses {name}"


def circles(sources: Sources) -> Iterator[str]:
    """The first circle of imports, if there is one."""
    graph = {
        module: {target for target in own_imports(module, sources) if target in sources and target != module}
        for module in sources
    }
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        yield "circle: " + " -> ".join(reversed(error.args[1]))


def test_the_package_keeps_its_floors() -> None:
    sources = sources_under(SRC)

    broken = [*relative(sources), *upward(sources), *impure(sources), *circles(sources)]

    assert not broken, "\n".join(broken)


def test_the_package_is_really_read() -> None:
    assert "shoal.__main__" in sources_under(SRC)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("shoal.types", "from shoal.wire import codec"),
        ("shoal.wire.native", "import shoal.swim.core"),
        ("shoal.state.table", "from shoal.swim import core"),
        ("shoal.swim.core", "def later():\n    from shoal.net import udp"),
        ("shoal.swim.core", "if TYPE_CHECKING:\n    from shoal import cluster"),
        ("shoal.net.udp", "from shoal.cluster import Cluster"),
        ("shoal.cluster", "from shoal.discovery import dns"),
        ("shoal.health", "import shoal.rpc"),
        ("shoal.rpc", "from shoal.agent import app"),
        ("shoal.cluster", "from shoal import Cluster"),
        ("shoal", "from shoal.cli import main"),
    ],
)
def test_an_import_from_a_higher_floor_is_refused(module: str, source: str) -> None:
    assert [line for line in upward({module: source}) if line.endswith("above it")]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("shoal.wire.native", "from shoal.state import table"),
        ("shoal.state", "import shoal.wire"),
        ("shoal.sim.network", "from shoal import net"),
        ("shoal.store.sqlite", "from shoal.telemetry import metrics"),
    ],
)
def test_neighbours_that_must_not_know_each_other_are_kept_apart(module: str, source: str) -> None:
    assert [line for line in upward({module: source}) if line.endswith("its neighbour")]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "shoal.swim.core",
            "from shoal.swim.gossip import Queue\nfrom shoal.wire import Ping\nimport shoal.types",
        ),
        ("shoal.config", "from shoal.types import Address"),
        ("shoal.blocking", "from shoal.cluster import Cluster"),
        ("shoal", "from shoal.cluster import Cluster"),
        ("shoal.cli", "from shoal import Cluster\nfrom shoal.demo import run"),
        ("shoal.__main__", "from shoal.cli import main"),
    ],
)
def test_imports_from_below_are_welcome(module: str, source: str) -> None:
    assert not list(upward({module: source}))


def test_a_module_on_no_floor_is_refused() -> None:
    assert list(upward({"shoal.util": ""})) == ["shoal.util stands on no floor: add 'util' to FLOORS"]
    assert list(upward({"shoal.cli": "import shoal.util"})) == [
        "shoal.cli imports shoal.util, which stands on no floor"
    ]


def test_a_relative_import_is_refused() -> None:
    assert list(relative({"shoal.swim.core": "from . import gossip"}))
    assert list(relative({"shoal.swim.core": "from ..net.udp import Socket"}))
    assert not list(relative({"shoal.swim.core": "from shoal.swim import gossip"}))


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "from time import monotonic",
        "import asyncio",
        "import socket as s",
        "import threading",
        "import os",
        "import logging",
        "import msgspec",
        "def later():\n    from datetime import datetime",
        "from random import shuffle",
        "import random\nrandom.shuffle(members)",
        "import random as r\njitter = r.random",
        "import random\nrng = random.Random()",
        "from random import Random\nrng = Random()",
        "import uuid\nuuid.uuid4()",
        "open('seeds')",
        "__import__('time')",
    ],
)
@pytest.mark.parametrize("module", ["shoal.types", "shoal.wire.native", "shoal.state", "shoal.swim.core"])
def test_what_reaches_the_world_is_refused_below_net(module: str, source: str) -> None:
    assert list(impure({module: source}))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("shoal.swim.core", "import random\ndef shuffled(rng: random.Random): rng.shuffle([])"),
        ("shoal.swim.core", "from random import Random\nrng = Random(7)"),
        (
            "shoal.swim.core",
            "from random import Random\nfrom collections.abc import Iterator\nimport shoal.types",
        ),
        ("shoal.types", "import uuid\nuuid.UUID(int=0)"),
        ("shoal.config", "import msgspec, tomllib\nopen('shoal.toml')"),
        ("shoal.net.udp", "import asyncio, socket, time"),
        ("shoal", "import importlib.metadata"),
    ],
)
def test_pure_code_and_code_from_net_upwards_is_free(module: str, source: str) -> None:
    assert not list(impure({module: source}))


def test_a_circle_of_imports_is_found_and_shown() -> None:
    sources = {
        "shoal.swim": "from shoal.swim.core import Swim",
        "shoal.swim.core": "from shoal.swim import probing",
        "shoal.swim.probing": "from shoal.swim import Swim",
    }

    (circle,) = circles(sources)

    assert circle.count(" -> ") == len(sources)
    assert all(module in circle for module in sources)


def test_shared_foundations_are_no_circle() -> None:
    sources = {
        "shoal.swim": "from shoal.swim.core import Swim\nfrom shoal.swim.probing import Prober",
        "shoal.swim.core": "from shoal.swim import probing",
        "shoal.swim.probing": "import shoal.types",
        "shoal.types": "import typing",
    }

    assert not list(circles(sources))
