"""What membership costs one member each second: closed formulas, with sizes as the native dialect encodes them."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, exp

from shoal.sim.model.pace import Pace
from shoal.sim.model.setting import Setting
from shoal.types import Address, NodeId, NodeInfo, Tags
from shoal.wire.messages import Ack, Alive, Dead, Gossip, Ping, PingRequest, Suspect
from shoal.wire.native import NativeDialect

__all__ = ["ChurnLoad", "Load", "Sizes", "churn_load", "quiet_load"]

_ID = NodeId(bytes(16))
_ADDRESS = Address("10.0.0.1", 7946)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes on the wire, without headers of lower layers; of an example member with an IPv4 address."""

    ping: int
    ack: int
    ping_request: int
    gossip: int
    alive: int
    suspicion: int
    """With one accuser."""
    death: int

    @classmethod
    def of(cls, cluster: str, name: str = "gpu-123456", tags: dict[str, str] | None = None) -> Sizes:
        """As the native dialect encodes them."""
        dialect = NativeDialect(cluster)
        info = NodeInfo(name, _ID, _ADDRESS, Tags(tags or {}))
        return cls(
            ping=len(dialect.encode(Ping(1, 0, _ID, _ID))),
            ack=len(dialect.encode(Ack(1, 0, _ID))),
            ping_request=len(dialect.encode(PingRequest(1, 0, _ID, _ID, _ADDRESS, 0.5))),
            gossip=len(dialect.encode(Gossip(0, 0, _ID))),
            alive=len(dialect.encode_update(Alive(info, 1))),
            suspicion=len(dialect.encode_update(Suspect(_ID, 1, _ID))),
            death=len(dialect.encode_update(Dead(_ID, 1, _ID))),
        )


@dataclass(frozen=True, slots=True)
class Load:
    """What one member sends each second."""

    datagrams: float
    bytes: float


@dataclass(frozen=True, slots=True)
class ChurnLoad:
    """What one member sends each second while members are killed and come back."""

    datagrams: float
    bytes: float
    updates: float
    """Copies of updates in its packets."""
    room_used: float
    """Share of the room for updates in its packets that they need; above 1 news waits longer and longer."""


def quiet_load(setting: Setting) -> Load:
    """Nothing happens but loss: pings, their acks, and relays where one of both was lost.

    With q = 1 - loss, a probe needs relays with the chance 1 - q²; each of k requests is a ping request, and if that
    arrives a ping, then an ack, then an ack that is passed on; a stream ping and its ack go beside them.
    """
    config, sizes = setting.config, Sizes.of(setting.config.cluster)
    q, k = 1 - setting.loss, config.indirect_probes
    asked = 1 - q * q
    datagrams = 1 + q + asked * k * (1 + q + q * q + q**3)
    relayed = sizes.ping_request + q * sizes.ping + q * q * sizes.ack + q**3 * sizes.ack
    stream = sizes.ping + sizes.ack if config.stream_probe else 0
    size = sizes.ping + q * sizes.ack + asked * (k * relayed + stream)
    probes = Pace.of(config).probes(setting.loss) / config.probe_interval
    return Load(probes * datagrams, probes * size)


def churn_load(setting: Setting, per_minute: float) -> ChurnLoad:
    """A share of the members is killed and comes back each minute.

    Each update keeps a member busy for the rounds of gossip that it is worth; updates of several changes share packets,
    so rounds go while at least one is under way: 1 - exp(-rate * time), as in a queue that never makes wait.
    Snapshots for those that come back are not included.
    """
    config, sizes, quiet = setting.config, Sizes.of(setting.config.cluster), quiet_load(setting)
    changes = setting.members * per_minute / 60
    rate = changes * (setting.waves_per_kill + 1)
    busy_for = ceil(setting.eager_sends / config.gossip_fanout) * config.gossip_interval
    most = config.gossip_fanout / config.gossip_interval
    rounds = most * (1 - exp(-rate * busy_for))
    copies = setting.waves_per_kill * setting.copies
    verdict = sizes.suspicion + setting.verdict_confirmers * NodeId.HEAD_SIZE + setting.deaths_told * sizes.death
    needed = changes * (copies * verdict + setting.copies * sizes.alive)
    room = (most + quiet.datagrams) * (config.max_datagram - sizes.gossip)
    return ChurnLoad(
        datagrams=quiet.datagrams + rounds,
        bytes=quiet.bytes + rounds * sizes.gossip + min(needed, room),
        updates=changes * (copies * (1 + setting.deaths_told) + setting.copies),
        room_used=needed / room,
    )
