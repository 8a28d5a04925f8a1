"""Cluster membership, failure detection and discovery in one Python package.

    async with shoal.Cluster(name="gpu-7", bind="127.0.0.1:7946", seeds=["127.0.0.1:7950"]) as cluster:
        workers = cluster.members(role="worker")

`shoal.blocking` has the same for synchronous code, `shoal.swim` the protocol without any input or output.
"""

import logging
from importlib.metadata import version as _version

from shoal.cluster import Cluster, Health
from shoal.config import ClusterConfig, Encryption, PartitionStrategy, Profile
from shoal.errors import *  # noqa: F403
from shoal.errors import __all__ as _errors
from shoal.events import *  # noqa: F403
from shoal.events import __all__ as _events
from shoal.keys import ClusterKey, KeyId
from shoal.persistence import SavedEvent
from shoal.persistence import StateStore as _StateStore
from shoal.persistence import register_store as _register_store
from shoal.rotation import KeyReport, MemberKeys
from shoal.subscription import Subscription
from shoal.swim.heartbeats import Heartbeat
from shoal.types import Address, FailureDomain, Member, MemberState, NodeId, Readiness, Tags

__all__ = [  # noqa: PLE0604
    "Address",
    "Cluster",
    "ClusterConfig",
    "ClusterKey",
    "Encryption",
    "Health",
    "FailureDomain",
    "Heartbeat",
    "KeyId",
    "KeyReport",
    "Member",
    "MemberKeys",
    "MemberState",
    "NodeId",
    "PartitionStrategy",
    "Profile",
    "Readiness",
    "SavedEvent",
    "Subscription",
    "Tags",
    "__version__",
    *_errors,
    *_events,
]

__version__ = _version("shoal")


def _directory_store(path: str) -> _StateStore:
    from shoal.store.directory_store import DirectoryStore  # noqa: PLC0415 - loads SQLite, which few need

    return DirectoryStore(path)


_register_store(_directory_store)

logging.getLogger("shoal").addHandler(logging.NullHandler())
