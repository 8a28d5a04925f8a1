"""Settings under which the core behaves as the published protocols do: for comparing, not for using."""

from __future__ import annotations

from typing import Any, Final

from shoal.config import ClusterConfig

__all__ = ["LIFEGUARD", "MEMBERLIST", "SWIM"]

_WITHOUT_OUR_PARTS: Final[dict[str, Any]] = {
    "neighbour_probes": 0,
    "mutual_probes": False,
    "challengers": 0,
    "corroborate": False,
    "suspicion_ages": False,
    "gossip_fanout": 3,
    "gossip_rounds": 64,
    "gossip_to_neighbours": False,
    "lha_gossip": False,
    "adaptive_timeout": False,
    "trust_contact": False,
    "doubt_deaths": False,
    "gossip_feedback": False,
    "damping": False,
    "stall_tolerance": 0.0,
    "removal_share": 1.0,
    "forgive_stalls": False,
    "withhold_verdicts": 0.0,
}

SWIM: Final = ClusterConfig.lan(
    **_WITHOUT_OUR_PARTS,
    suspicion_alpha=5.0,
    suspicion_floor=5.0,
    lha_probe=False,
    lha_suspicion=False,
    buddy=False,
)
"""SWIM as the Lifeguard paper's baseline runs it: a fixed suspicion time with alpha 5, no local health, no buddy
system."""

LIFEGUARD: Final = SWIM.replace(
    suspicion_beta=6.0, suspicion_confirmations=3, lha_probe=True, lha_suspicion=True, buddy=True
)
"""The Lifeguard paper's settings: alpha 5, beta 6, K 3."""

MEMBERLIST: Final = LIFEGUARD.replace(suspicion_alpha=4.0, suspicion_floor=4.0, suspicion_confirmations=2)
"""memberlist's LAN defaults."""
