"""One run of the scale benchmark as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from shoal.bench.plan import Plan
from shoal.bench.report import delays
from shoal.bench.scale import Measured, Moment
from shoal.sim.drawing import BLUE, GREEN, ORANGE, Curve, panels, picture

__all__ = ["svg"]

_STEPS: Final = 1000
"""Of a curve that grows by shares."""


def svg(plan: Plan, measured: Measured) -> str:
    """Draw how the cluster formed, and how the news of the killed nodes spread."""
    verdicts = delays(measured)
    forming = (
        Curve("nodes started", BLUE, _started(measured.moments, plan.nodes), plan.nodes),
        Curve("members known", GREEN, _known(measured.moments, plan.nodes), _STEPS),
    )
    detecting = (
        Curve("killed nodes detected", BLUE, sorted(times[0] for times in verdicts if times), plan.kill),
        Curve(
            "survivors that know", ORANGE, sorted(time for times in verdicts for time in times), sum(map(len, verdicts))
        ),
    )
    body, height = panels(
        ("Formation: by seconds since the first node's start", forming),
        ("Detection: by seconds since the kill", detecting),
    )
    return picture(f"{plan.nodes:,} real nodes in {plan.processes} processes, {plan.kill} killed", body, height)


def _started(moments: Sequence[Moment], nodes: int) -> list[float]:
    return _growth(moments, [moment.total.started for moment in moments], nodes)


def _known(moments: Sequence[Moment], nodes: int) -> list[float]:
    return _growth(moments, [moment.total.known * _STEPS // nodes**2 for moment in moments], _STEPS)


def _growth(moments: Sequence[Moment], counts: Sequence[int], most: int) -> list[float]:
    """When a count that was looked at now and then rose by one, at the latest."""
    highest = [0, *(min(most, max(counts[: index + 1])) for index in range(len(counts)))]
    rises = (after - before for before, after in pairwise(highest))
    return [moment.at for moment, rise in zip(moments, rises, strict=True) for _ in range(rise)]
