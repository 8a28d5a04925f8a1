"""Small plans, changed as a test needs it."""

from typing import Any

from shoal.bench.plan import Plan
from shoal.config import ClusterConfig

__all__ = ["plan"]


def plan(**changes: Any) -> Plan:
    """Twelve nodes in two processes, quick ones, of which one is killed."""
    base: dict[str, Any] = {
        "nodes": 12,
        "processes": 2,
        "kill": 1,
        "rate": 100.0,
        "formed": False,
        "seeds": 2,
        "hold": 1.0,
        "settle": 0.5,
        "settle_timeout": 5.0,
        "form_timeout": 40.0,
        "detect_timeout": 40.0,
        "config": ClusterConfig.local(probe_interval=0.2, probe_timeout=0.1),
    }
    return Plan(**{**base, **changes})
