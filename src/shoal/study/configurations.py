"""The configurations that are compared: the published ones, the default profile, and the default without one part."""

from __future__ import annotations

from typing import Any, Final

from shoal.config import ClusterConfig
from shoal.sim.profiles import LIFEGUARD, MEMBERLIST, SWIM

__all__ = ["ABLATIONS", "CONFIGURATIONS", "DEFAULT", "PAPER", "PLAIN", "TUNING", "configuration", "ticks", "tuned"]

DEFAULT: Final = "shoal"
"""What the default LAN profile is called."""

_SUSPICION: Final = {"lha_suspicion": True, "suspicion_beta": 6.0, "suspicion_confirmations": 3}

PAPER: Final[dict[str, ClusterConfig]] = {
    "SWIM": SWIM,
    "LHA-Probe": SWIM.replace(lha_probe=True),
    "LHA-Suspicion": SWIM.replace(**_SUSPICION),
    "Buddy System": SWIM.replace(buddy=True),
    "Lifeguard": LIFEGUARD,
}
"""The rows of the Lifeguard paper's tables: alpha 5, beta 6."""

_PARTS: Final[dict[str, dict[str, Any]]] = {
    "neighbours": {"neighbour_probes": 0},
    "mutual probes": {"mutual_probes": False},
    "challengers": {"challengers": 0},
    "trust in contact": {"trust_contact": False},
    "withheld verdicts": {"withhold_verdicts": 0.0},
    "forgiven stalls": {"forgive_stalls": False},
    "corroboration": {"corroborate": False},
    "ages of suspicions": {"suspicion_ages": False},
    "riding news": {"gossip_rounds": 64},
    "gossip to neighbours": {"gossip_to_neighbours": False},
    "slower gossip when unwell": {"lha_gossip": False},
    "gossip feedback": {"gossip_feedback": False},
    "stream pings": {"stream_probe": False},
    "relays": {"indirect_probes": 0},
    "slower probes when unwell": {"lha_probe": False},
    "longer suspicions by few": {"lha_suspicion": False},
    "buddy": {"buddy": False},
    "doubt of deaths": {"doubt_deaths": False},
    "tolerance of stalls": {"stall_tolerance": 0.0},
    "damping": {"damping": False},
    "short suspicion": {"suspicion_alpha": 4.0, "suspicion_floor": 4.0},
}

ABLATIONS: Final[dict[str, ClusterConfig]] = {
    **{f"without {part}": ClusterConfig.lan(**changes) for part, changes in _PARTS.items()},
    "with adaptive timeout": ClusterConfig.lan(adaptive_timeout=True),
}
"""The default profile with one part switched off, or on; without the short suspicion it has memberlist's."""


def tuned(alpha: float, beta: float) -> ClusterConfig:
    """Full Lifeguard with another alpha and beta."""
    return LIFEGUARD.replace(suspicion_alpha=alpha, suspicion_floor=alpha, suspicion_beta=beta)


TUNING: Final[dict[str, ClusterConfig]] = {
    f"alpha {alpha}, beta {beta}": tuned(alpha, beta) for alpha in (2, 4, 5) for beta in (2, 4, 6)
}
"""The rows of the paper's tuning table."""

_PLAIN: Final = SWIM.replace(gossip_fanout=0, stream_probe=False, retransmit_mult=6)

PLAIN: Final[dict[str, ClusterConfig]] = {
    "plain SWIM": _PLAIN.replace(indirect_probes=1),
    # Suspicions that outlast the run: a false one shall be counted, not acted upon.
    **{f"plain SWIM, k {k}": _PLAIN.replace(indirect_probes=k, suspicion_alpha=100.0) for k in range(1, 6)},
}
"""The SWIM paper's: news rides on probes and acks only, and there are no streams."""

CONFIGURATIONS: Final[dict[str, ClusterConfig]] = {
    **PAPER,
    DEFAULT: ClusterConfig.lan(),
    "memberlist": MEMBERLIST,
    **ABLATIONS,
    **TUNING,
    **PLAIN,
}
"""All of them by name."""


def configuration(name: str) -> ClusterConfig:
    """The configuration of that name. Raises `ValueError` for an unknown one."""
    if name not in CONFIGURATIONS:
        raise ValueError(f"configuration {name!r}: there is none; choose from {', '.join(CONFIGURATIONS)}")
    return CONFIGURATIONS[name]


def ticks(name: str) -> bool:
    """Whether that configuration stands for memberlist, which gossips at fixed ticks."""
    return name != DEFAULT and name not in ABLATIONS
