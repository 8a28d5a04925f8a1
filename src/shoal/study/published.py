"""What the papers measured, for the comparison (values as the spec of the project quotes them)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = [
    "AIMS", "KILLS", "LIFEGUARD", "RUNS_PER_CONCURRENT", "SWIM_BY_CONCURRENT", "SWIM_FIRST_DETECTION_PERIODS",
    "SWIM_LOAD", "TUNING", "Aims", "Kill", "LifeguardRow", "Quantiles", "TuningRow", "false_detection",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Seconds."""

    median: float
    p99: float
    p999: float


@dataclass(frozen=True, slots=True)
class LifeguardRow:
    """One configuration of the Lifeguard paper at alpha 5, beta 6 (its Tables IV to VI)."""

    false_positives: int
    at_healthy: int
    first: Quantiles
    full: Quantiles
    messages_percent: float
    bytes_percent: float


LIFEGUARD: Final = {
    "SWIM": LifeguardRow(339_002, 1_326, Quantiles(12.44, 16.96, 19.40), Quantiles(12.90, 16.93, 20.17), 100.0, 100.0),
    "LHA-Probe": LifeguardRow(
        229_574, 436, Quantiles(12.42, 17.75, 20.10), Quantiles(12.90, 17.98, 20.56), 98.46, 90.03
    ),
    "LHA-Suspicion": LifeguardRow(
        10_174, 89, Quantiles(12.42, 17.47, 25.41), Quantiles(12.89, 17.33, 23.80), 111.31, 106.52
    ),
    "Buddy System": LifeguardRow(
        318_935, 591, Quantiles(12.45, 17.12, 19.16), Quantiles(12.92, 17.18, 19.81), 100.07, 99.01
    ),
    "Lifeguard": LifeguardRow(5_193, 25, Quantiles(12.45, 17.90, 21.20), Quantiles(12.91, 18.05, 21.68), 110.59, 97.97),
}

RUNS_PER_CONCURRENT: Final = 480
"""Interval runs behind each entry of `SWIM_BY_CONCURRENT`."""
SWIM_BY_CONCURRENT: Final = {
    1: 906, 4: 5973, 8: 11286, 12: 23147, 16: 34502, 20: 45486, 24: 58966, 28: 77070, 32: 81671,
}  # fmt: skip
"""SWIM's false positives by the number of concurrent anomalies."""


@dataclass(frozen=True, slots=True)
class TuningRow:
    """Full Lifeguard with another alpha and beta, in percent of SWIM (the paper's Table VII)."""

    first_median: float
    first_p99: float
    first_p999: float
    false_positives: float
    at_healthy: float


TUNING: Final = {
    "alpha 2, beta 2": TuningRow(53.14, 69.81, 76.08, 98.37, 31.15),
    "alpha 2, beta 4": TuningRow(54.10, 72.88, 75.41, 43.64, 22.47),
    "alpha 2, beta 6": TuningRow(54.34, 75.53, 80.36, 24.16, 13.65),
    "alpha 4, beta 2": TuningRow(82.96, 94.28, 99.07, 37.72, 20.29),
    "alpha 4, beta 4": TuningRow(83.04, 96.17, 93.71, 8.04, 9.50),
    "alpha 4, beta 6": TuningRow(83.12, 96.82, 94.69, 3.18, 4.83),
    "alpha 5, beta 2": TuningRow(99.76, 104.95, 112.32, 26.61, 15.38),
    "alpha 5, beta 4": TuningRow(99.52, 102.71, 111.44, 5.43, 5.05),
    "alpha 5, beta 6": TuningRow(100.08, 105.54, 109.28, 1.53, 1.89),
}


@dataclass(frozen=True, slots=True)
class Aims:
    """What the default profile is meant to reach in the same experiments; seconds, and percent of SWIM."""

    first_median: float = 4.0
    first_p999: float = 8.0
    spread_median: float = 0.5
    false_positives: float = 1.5
    at_healthy: float = 1.9
    bytes: float = 60.0


AIMS: Final = Aims()


@dataclass(frozen=True, slots=True)
class Kill:
    """Seconds until all know of a kill, at 100 nodes and 1 % loss."""

    median: float
    p99: float


KILLS: Final = {"kinship": Kill(9.5, 12.5), "memberlist": Kill(9.9, 12.0)}

SWIM_LOAD: Final = {5: 2.08, 13: 2.11, 21: 2.10, 28: 2.00, 36: 2.02, 44: 1.98, 51: 2.13, 55: 1.98}
"""Messages sent per member and period, by the number of members."""
SWIM_FIRST_DETECTION_PERIODS: Final = 1.76
"""Mean over 29 crashes in clusters of 8 to 40."""


def false_detection(loss: float, relays: int) -> float:
    """The chance that one probe of a live member fails (SWIM 3.1 without the factor for how many probe it).

    `loss` is that of one packet; a direct probe needs two, an indirect one four.
    """
    arrives = 1.0 - loss
    return (1.0 - arrives**2) * (1.0 - arrives**4) ** relays
