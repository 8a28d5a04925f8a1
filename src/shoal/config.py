"""Every number and name that a node can be told, in one frozen, validated value.

A field's docstring gives its unit, its range, where the default comes from and what changing it does. Sources are
abbreviated: SWIM (Das et al., DSN 2002), LG (Lifeguard, arXiv 1707.00788), ML (memberlist's LAN defaults).
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Self

import msgspec

from shoal.errors import ConfigError, InvalidAddressError
from shoal.keys import HIDDEN, ClusterKey, parse_keys
from shoal.types import Address, Tags, is_node_name

__all__ = ["ENVIRONMENT_PREFIX", "ClusterConfig", "Encryption", "PartitionStrategy", "Profile"]

ENVIRONMENT_PREFIX = "SHOAL_"
_COMMAND_LINE_VARIABLES = frozenset({"SHOAL_AGENT", "SHOAL_HTTP_TOKEN", "SHOAL_HTTP_TOKEN_FILE", "SHOAL_LEASE_FILE"})
"""They share the prefix, and stand for options of the command line, not for fields."""
_SECRETS = ("key", "token")
"""What in the name of a setting says that its value must not be shown, also where the name is misspelt."""
_PATHS = ("state_dir", "identity_key", "identity_certificate", "authority", "admission_token", "revocations")
"""Settings that may be given as a `Path` too."""
_SIGNED_DEATH = 95
"""Bytes of a ping that carries a death, without its signatures."""
_WITNESS = 80
"""Bytes of a signature and of whose it is."""
_SEALED_DATAGRAM = 576
"""Bytes: with keys, the least of `max_datagram`, of which sealing takes its part."""
_SEAL = 45
"""Bytes that sealing takes."""

_T = typing.TypeVar("_T", int, float)
_DAY = 86_400.0
_MIB = 1 << 20


class Profile(StrEnum):
    """Named sets of timings."""

    LAN = "lan"
    WAN = "wan"
    LOCAL = "local"


class Encryption(StrEnum):
    """What keys do to messages."""

    AES_256_GCM = "aes-256-gcm"
    CHACHA20_POLY1305 = "chacha20-poly1305"
    HMAC_SHA256 = "hmac-sha256"
    """Authenticates, and encrypts nothing."""


class PartitionStrategy(StrEnum):
    """Ways to choose the side of a partition that lives on."""

    NONE = "none"
    KEEP_MAJORITY = "keep-majority"
    STATIC_QUORUM = "static-quorum"
    KEEP_OLDEST = "keep-oldest"
    KEEP_REFEREE = "keep-referee"
    DOWN_ALL = "down-all"
    LEASE = "lease"


@dataclass(frozen=True, slots=True)
class _Range:
    low: float
    high: float
    unit: str

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low:.15g} to {self.high:.15g} {self.unit}".rstrip()


def _number(default: _T, low: float, high: float, unit: str) -> _T:
    """A field that must lie in `low` to `high`, both included."""
    return dataclasses.field(default=default, metadata={"range": _Range(low, high, unit)})


def _seconds(default: float, low: float, high: float) -> float:
    return _number(default, low, high, "seconds")


def _count(default: int, low: int, high: int, unit: str) -> int:
    return _number(default, low, high, unit)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterConfig:
    """How one node behaves. Raises `ConfigError` when a field is of the wrong type or out of range."""

    # Who and where

    name: str | None = None
    """Who this node is, unique in the cluster, 1 to 128 bytes of UTF-8. Default: the host's name and a random
    suffix."""
    cluster: str = "shoal"
    """Name of the cluster, 1 to 128 bytes of UTF-8. It is in every packet; packets of other clusters are dropped."""
    bind: Address = Address("127.0.0.1", 7946)
    """Where to listen, UDP and TCP on the same port (ML's port). Port 0 takes any free one."""
    advertise: Address | None = None
    """What peers are told to send to, when it differs from `bind` (NAT, containers). Port 0 stands for the bound
    port."""
    seeds: tuple[Address, ...] = ()
    """Members to join through. Unreachable ones are tried again for ever; this node itself may be among them."""
    tags: Tags = Tags()
    """What this node says of itself at the start; see `max_tag_bytes`."""
    state_dir: str | None = None
    """Directory in which this node keeps who it was, whom it knew, its tags, its keyring and the last events, so that a
    restarted one finds back without a seed. It is made if it is not there, and is for one node. Default: nothing is
    kept."""
    interface: str | None = None
    """Name of the one network interface to use (Linux only). Default: whatever the routes say."""
    reuse_address: bool = False
    """Share the port with sockets of other processes that ask for it too (SO_REUSEADDR, and SO_REUSEPORT where it
    exists)."""
    receive_buffer: int = _count(0, 0, 256 * _MIB, "bytes")
    """Bytes, 0 to 268435456. The datagram socket's receive buffer; 0 leaves the system's default. Larger survives
    longer stalls."""
    send_buffer: int = _count(0, 0, 256 * _MIB, "bytes")
    """Bytes, 0 to 268435456. The datagram socket's send buffer; 0 leaves the system's default."""

    # Security

    keys: tuple[ClusterKey, ...] = ()
    """Secrets of 32 bytes, in base64, that all members share: the first seals what this node sends, and all open what
    it gets. Without any, nothing is encrypted or authenticated. Never shown, nor among the plain values."""
    key_file: str | None = None
    """Path of a file with such keys, one a line, the first one sealing; # begins a comment. In the place of `keys`."""
    encryption: Encryption = Encryption.AES_256_GCM
    """How this node seals, if it has keys: aes-256-gcm, chacha20-poly1305 (for processors without AES instructions), or
    hmac-sha256, which authenticates and leaves everything readable. A node opens all three."""
    replay_window: float = _seconds(60.0, 5.0, _DAY)
    """Seconds, 5 to 86400. How far the clock of a node that is new to this one may be off, and for how long a recorded
    message may fool a node that has restarted since without its `state_dir`. Keep it above the difference of any two
    clocks."""
    identity_key: str | None = None
    """Path of a file with this node's own key, as `shoal keygen --identity` makes it. Members then sign what they say
    of themselves, and take nobody's word for another; so all need one, or none. Default: no identities."""
    authority: str | None = None
    """Path of a file with the public key of an authority, as `shoal keygen --identity` writes it into FILE.pub. Nobody
    joins then without a certificate or token by it, or changes keys without the right to. Needs `identity_certificate`
    or `admission_token`."""
    identity_certificate: str | None = None
    """Path of a file with this node's certificate, as `shoal keys issue` makes it for its name and the public part of
    its `identity_key`. Needs `authority`."""
    admission_token: str | None = None
    """Path of a file with a token, as `shoal keys token` makes it, with which nodes of its names may join. In the place
    of `identity_certificate`. Needs `authority`."""
    revocations: str | None = None
    """Path of a file with what the authority took back, as `shoal keys revoke` writes it; looked at again every 10 s.
    Whom it names is put out and not let in again, here and, told by this node, everywhere. Needs `authority`."""
    death_signatures: int = _count(2, 1, 8, "members")
    """Members, 1 to 8. With identities, a member is held dead only when so many others signed that it does not answer,
    this node among them if it found so itself: fewer stolen nodes than that kill nobody. Where there are fewer others,
    it takes all of them. Without identities it says nothing."""
    allow_unencrypted: bool = False
    """Let a node without keys use an address that other machines can reach. Whoever can send to it is then believed."""

    limit_sources: bool = True
    """Take no more from any one source, and from all strangers together, than the next four settings allow. Off:
    whatever comes is read."""
    source_datagrams: int = _count(5000, 10, 10_000_000, "datagrams a second")
    """Datagrams a second, 10 to 10000000, from the address of one member, far above what the protocol sends. Any other
    address may send a tenth, and all other addresses together as much as one member."""
    source_bytes: int = _count(16 * _MIB, _MIB, 1024 * _MIB, "bytes a second")
    """Bytes a second, 1048576 to 1073741824, in datagrams, likewise."""
    source_streams: int = _count(1000, 1, 1_000_000, "connections a second")
    """Connections a second, 1 to 1000000, from one host; all nodes of one machine share it."""
    max_streams_per_source: int = _count(96, 1, 10_000, "connections")
    """Connections, 1 to 10000. So many of `max_streams_in` one host may hold open, so that it cannot take all."""
    max_new_members: int = _count(256, 1, 100_000, "members")
    """Members, 1 to 100000. So many members that are new to this node one datagram may tell of; 1,400 bytes hold fewer
    than 30."""

    # Probing

    probe_interval: float = _seconds(1.0, 0.01, 60.0)
    """Seconds, 0.01 to 60. One member is probed in each (SWIM's protocol period; LG, ML: 1). Half of it detects in
    half the time for twice the load."""
    probe_timeout: float = _seconds(0.5, 0.005, 30.0)
    """Seconds, 0.005 to 30, below `probe_interval`. After it the relays are asked, and after it once more the verdict
    falls (LG, ML: 0.5). Choose a high quantile of the round-trip time: too low costs messages, not false deaths."""
    adaptive_timeout: bool = False
    """Ask the relays earlier than `probe_timeout` where answers are usually quicker (RFC 6298), not below a fifth of
    it. Saves up to 0.4 s, but hurries slow members: five packets a probe in the place of one drown who can handle ten
    a second."""
    indirect_probes: int = _count(3, 0, 16, "relays")
    """Relays, 0 to 16. How many members are asked to ping in our place (SWIM's k; ML: 3). More tolerates more loss."""
    neighbour_probes: int = _count(1, 0, 8, "members")
    """Members, 0 to 8. So many neighbours on the ring of members, on either side, are probed again and again, which
    bounds the wait for the first probe of a dead member. Without `mutual_probes` it is those after it alone, for each
    member in shuffled order. 0 is SWIM's order."""
    mutual_probes: bool = True
    """Let neighbours on the ring ping each other in turn, so that one exchange checks both ends: all are checked as
    often with five eighths of the datagrams. Off: each node pings for itself (SWIM)."""
    challengers: int = _count(6, 0, 32, "members")
    """Members, 0 to 32. So many neighbours of a suspect probe it themselves as soon as they hear of the suspicion: a
    live one refutes a round trip later, and a dead one is confirmed dead within an interval. 0 is Lifeguard's way."""
    corroborate: bool = True
    """Let the challengers of a suspect check an accusation before everybody hears of it, so that whoever is only slow
    costs few packets. Off: everybody hears of each accusation at once (SWIM, LG)."""
    max_challenges: int = _count(16, 1, 1000, "probes")
    """Probes, 1 to 1000. With so many probes under way this node challenges no further suspect, and leaves it to
    others."""
    withhold_verdicts: float = _seconds(30.0, 0.0, 3600.0)
    """Seconds, 0 to 3600. For so long a node that hears from nobody passes no verdict on others."""
    max_stall: float = _seconds(600.0, 0.0, 3600.0)
    """Seconds, 0 to 3600. Longest stall that this node declares, and that it honours when a peer has declared one. 0
    honours none."""
    stream_probe: bool = True
    """Ping over a stream beside the relays (ML), which finds members whose datagrams alone are lost."""
    nack_fraction: float = _number(0.8, 0.1, 1.0, "of the wait")
    """Fraction of the wait, 0.1 to 1. When, of the time until the prober's verdict, a relay without an answer says so
    (LG: 0.8)."""
    max_relayed: int = _count(1024, 1, 1_000_000, "probes")
    """Probes, 1 to 1000000. How many indirect probes this node carries at once; more are dropped and counted."""

    # Local health (Lifeguard)

    lha_probe: bool = True
    """Stretch our own probe interval and timeout while our local health is bad (LHA-Probe, LG §IV-A)."""
    lha_gossip: bool = True
    """Stretch our gossip interval likewise: a process that is late, or hears little, does not add to the load that may
    be why."""
    trust_contact: bool = True
    """Take any message that arrives while relays are asked for proof that our own link works: then a failed probe
    leaves our local health alone. Off: the score rises with each failed probe, and again when any relay owes its nack
    (LG), which slows the healthy down just when many fail."""
    local_health_max: int = _count(8, 0, 64, "points")
    """Points, 0 to 64. The ceiling of the local health score (LG's S: 8); timings stretch up to this many times plus
    one."""

    # Suspicion

    suspicion_alpha: float = _number(0.65, 0.1, 100.0, "")
    """Factor, 0.1 to 100. Least suspicion time is max(floor, alpha * log10 n) * probe_interval (LG: 5, ML: 4)."""
    suspicion_floor: float = _number(2.0, 0.1, 100.0, "probe intervals")
    """Probe intervals, 0.1 to 100. Lower bound of the least suspicion time: one for the challengers' probes and one
    for a refutation (ML: alpha)."""
    suspicion_beta: float = _number(6.0, 1.0, 100.0, "")
    """Factor, 1 to 100. Longest suspicion time is beta times the least (LG, ML: 6). Used with `lha_suspicion`."""
    suspicion_confirmations: int = _count(2, 0, 16, "confirmations")
    """Confirmations, 0 to 16. So many further accusers bring the suspicion time down to its least (LG's K: 3, ML:
    alpha - 2)."""
    lha_suspicion: bool = True
    """Start suspicion at its longest and let confirmations shorten it (LHA-Suspicion, LG §IV-B). Off: always the
    least."""
    suspicion_ages: bool = True
    """Count a suspicion from when the first accuser began it, as news of it says, so that it ends everywhere at nearly
    the same moment. Off: from when this node hears of it (SWIM, LG)."""
    doubt_deaths: bool = True
    """Believe a death that others report only after the member had the least suspicion time, as counted here, to
    refute, and not what members say that were held dead until a moment ago: they may come from the other side of a
    partition. Off: one report is enough, also that of a member whose own link is bad (SWIM, LG)."""
    damping: bool = True
    """Do not rely on members that come and go again and again (after RFC 2439). Off: no return is held against one."""
    damping_half_life: float = _seconds(60.0, 0.1, _DAY)
    """Seconds, 0.1 to 86400. In so long half of the penalty for coming and going is forgotten."""
    damping_suppress: float = _number(1.5, 1.0, 1000.0, "points")
    """Points, 1 to 1000. A member with this penalty is damped: a return from the dead costs 1, a restart after
    a crash 0.75, a refuted suspicion 0.25, or 0.75 if `suspicion_confirmations` others confirmed it."""
    damping_reuse: float = _number(0.5, 0.01, 0.9, "points")
    """Points, 0.01 to 0.9. Where the penalty of a damped member has decayed to, it is relied
    on again."""
    damping_max_share: float = _number(0.25, 0.0, 1.0, "of the members")
    """Fraction of the members, 0 to 1. So many are damped at most, or one member if that is less: where more come and
    go, it is the network."""
    stall_tolerance: float = _seconds(12.0, 0.0, 3600.0)
    """Seconds, 0 to 3600. So long a suspect is not held dead whose machine accepts connections while the process says
    nothing: it stands still, in a garbage collection, say, or stopped. 0 holds it dead as soon as any other."""
    buddy: bool = True
    """Tell a suspect of the suspicion in every ping to it (LG §IV-C), so that it refutes a round trip later."""

    forgive_stalls: bool = True
    """Pass no verdict on a probe or suspicion whose time ran out while this process itself was not running (late
    timers)."""

    # Many at once

    removal_share: float = _number(0.5, 0.0, 1.0, "of the members")
    """Fraction of the members, 0 to 1. When more than that would be removed within `removal_window`, removal stops and
    they stay suspect: this node has rather been cut off. 1 never stops."""
    removal_domain_share: float = _number(1.0, 0.0, 1.0, "of the members")
    """Fraction of the members, 0 to 1, of one failure domain (a zone, rack or host, by their tags), likewise. The
    default lets a whole rack go."""
    removal_least: int = _count(5, 1, 1_000_000, "members")
    """Members, 1 to 1000000. So many may always be removed within `removal_window`, however small the cluster is."""
    removal_window: float = _seconds(10.0, 0.1, 3600.0)
    """Seconds, 0.1 to 3600. What is removed within it counts as one failure."""
    removal_hold: float = _seconds(60.0, 0.0, _DAY)
    """Seconds, 0 to 86400. When members whose removal stopped are still silent after that, they are removed."""
    view_change_delay: float = _seconds(0.5, 0.0, 60.0)
    """Seconds, 0 to 60. A summary of changes is told when nothing further changed for so long and nobody in a failed
    member's failure domain is suspect, or after ten times that."""
    partition_share: float = _number(0.2, 0.0, 1.0, "of the members")
    """Fraction of the members, 0 to 1. When so many, two at least, are lost within `partition_window`, a partition is
    suspected; also when a whole failure domain of three or more is lost."""
    partition_window: float = _seconds(15.0, 0.1, 3600.0)
    """Seconds, 0.1 to 3600. Members lost within it are taken to be lost by one cause."""
    partition_strategy: PartitionStrategy = PartitionStrategy.NONE
    """Which side of a partition should live on: none (nobody is told), keep-majority, static-quorum, keep-oldest,
    keep-referee, down-all or lease. The decision is an event; see `partition_stand_down`."""
    partition_quorum: int = _count(0, 0, 1_000_000, "members")
    """Members, 0 to 1000000. What a side needs to live on with static-quorum, which needs it: more than half of all
    there will be, and where there are twice as many or more nobody lives on. 0 is not given."""
    partition_referee: str = ""
    """Name of the member whose side lives on with keep-referee, which needs it."""
    partition_down_if_alone: bool = True
    """With keep-oldest, let the oldest give way if it is cut off alone from two others or more. Off: its side lives on
    in any case, and when the oldest crashes all others are told to stand down."""
    partition_role: Tags = Tags()
    """Tags of the members that count for the strategy; empty counts all."""
    partition_stand_down: bool = False
    """Leave the cluster when the strategy says so."""

    # Gossip

    gossip_interval: float = _seconds(0.2, 0.01, 60.0)
    """Seconds, 0.01 to 60. Least time between two rounds of gossip; there is none while there is no news (ML: 0.2)."""
    gossip_fanout: int = _count(2, 0, 64, "members")
    """Members, 0 to 64. How many members get each round (ML: 3). 0 leaves all news to probes and acks, as SWIM does."""
    gossip_rounds: int = _count(2, 1, 64, "rounds")
    """Rounds, 1 to 64. So many rounds a node gives to an update; afterwards the update rides on probes and acks alone,
    which are sent in any case. With more, the last few members know sooner, for `gossip_fanout` datagrams a member each
    (ML: until `retransmit_mult` ends it)."""
    gossip_to_neighbours: bool = True
    """Send one packet of each round to a neighbour on the ring, on either side in turn, so that whom chance misses
    hears from both (with a `gossip_fanout` of 2 or more; ML: chance alone)."""
    retransmit_mult: int = _count(4, 1, 64, "")
    """Factor, 1 to 64. Each update is sent at most lambda * ceil(log10(n + 1)) times (SWIM: 3 with ln, ML: 4)."""
    gossip_feedback: bool = True
    """Say less of what others tell of as well: to hear what one is telling counts as having told it once more (Demers
    et al. 1987, §1.4: feedback and counter), though no round of gossip is spared; and what most members find out by
    themselves is told half as often."""
    gossip_to_dead: float = _seconds(30.0, 0.0, 3600.0)
    """Seconds, 0 to 3600. For so long a dead member still gets gossip, so that a live one can refute (ML: 30)."""
    gossip_queue_limit: int = _count(8192, 16, 1_000_000, "updates")
    """Updates, 16 to 1000000. Bound of the gossip queue; the least urgent, most often sent update is dropped first."""
    broadcast_history: int = _count(4096, 16, 1_000_000, "broadcasts")
    """Broadcasts, 16 to 1000000. How many user broadcasts are remembered to drop repeats; must exceed those in
    flight."""

    # Agreement

    sync_interval: float = _seconds(10.0, 0.1, 3600.0)
    """Seconds, 0.1 to 3600. Least time between two state syncs that this node starts because its view differs much from
    a peer's; small differences are settled in datagrams. Equal views never sync (ML syncs every 30 s whether needed or
    not)."""
    sync_threshold: int = _count(5, 1, 1000, "packets")
    """Packets, 1 to 1000. By how many packets with another digest those with an equal one are outnumbered before
    views are compared."""

    # Joining and coming back

    join_timeout: float = _seconds(5.0, 0.0, 3600.0)
    """Seconds, 0 to 3600. How long starting waits for the first seed to answer; the node starts in any case."""
    rejoin_interval: float = _seconds(2.0, 0.1, 3600.0)
    """Seconds, 0.1 to 3600. First pause before a node that knows no live member tries seeds and former members again;
    it doubles up to `rejoin_interval_max`."""
    rejoin_interval_max: float = _seconds(30.0, 0.1, 3600.0)
    """Seconds, 0.1 to 3600. Longest such pause. It is tried for ever."""
    reconnect_interval: float = _seconds(10.0, 0.1, 3600.0)
    """Seconds, 0.1 to 3600. How often a node with live members tries one missing seed and one dead member, to heal
    partitions (Serf: 30)."""
    leave_timeout: float = _seconds(5.0, 0.0, 60.0)
    """Seconds, 0 to 60. Longest wait for a goodbye to spread."""
    tombstone_life: float = _seconds(3600.0, 1.0, 7 * _DAY)
    """Seconds, 1 to 604800. How long a dead or left member is remembered, so that old news cannot revive it. Must
    outlast the longest partition after which nodes shall still find each other."""
    max_tombstones: int = _count(16_384, 16, 1_000_000, "members")
    """Members, 16 to 1000000. Bound of the remembered dead; the oldest are forgotten first."""
    max_members: int = _count(65_536, 2, 10_000_000, "members")
    """Members, 2 to 10000000. Bound of the member table; joins beyond it are dropped and counted. Protects against a
    forger."""

    # Sizes

    max_datagram: int = _count(1400, 512, 65_507, "bytes")
    """Bytes, 512 to 65507. Largest datagram sent (ML: 1400, below the usual MTU). An update that does not fit waits."""
    max_tag_bytes: int = _count(512, 0, 32_768, "bytes")
    """Bytes, 0 to 32768. Largest encoded tag set of this node (ML's limit for metadata); it must fit in a datagram."""
    max_stream: int = _count(64 * _MIB, 65_536, 1024 * _MIB, "bytes")
    """Bytes, 65536 to 1073741824. Largest message on a stream; a state sync takes about 100 bytes a member."""

    # Streams

    stream_timeout: float = _seconds(10.0, 0.05, 600.0)
    """Seconds, 0.05 to 600. Longest time for one try of a stream exchange, connect to reply (ML: 10)."""
    stream_attempts: int = _count(3, 1, 100, "tries")
    """Tries, 1 to 100. How often a stream exchange is tried before it counts as failed; a stream ping is tried once."""
    backoff_initial: float = _seconds(0.2, 0.001, 60.0)
    """Seconds, 0.001 to 60. Pause before the second try; each pause is drawn from half of it to all of it."""
    backoff_max: float = _seconds(5.0, 0.001, 600.0)
    """Seconds, 0.001 to 600. Longest pause between tries."""
    backoff_multiplier: float = _number(2.0, 1.0, 10.0, "")
    """Factor, 1 to 10. Growth of the pause from try to try."""
    max_streams_out: int = _count(16, 1, 10_000, "exchanges")
    """Exchanges, 1 to 10000. How many stream exchanges this node has under way; further ones wait their turn or are
    dropped."""
    max_streams_in: int = _count(128, 1, 10_000, "connections")
    """Connections, 1 to 10000. How many incoming streams are served at once; further ones are closed and counted."""
    stream_grace: float = _seconds(1.0, 0.01, 600.0)
    """Seconds, 0.01 to 600. An incoming stream that has been open for so long gives way where another one would find no
    room; one that nobody waits for has until `stream_timeout`."""
    resolve_ttl: float = _seconds(30.0, 0.0, _DAY)
    """Seconds, 0 to 86400. How long the answer for a host name is kept."""
    max_resolved: int = _count(1024, 1, 1_000_000, "names")
    """Names, 1 to 1000000. How many answers for host names are kept."""

    # This process

    timer_slack: float = _seconds(0.1, 0.0, 1.0)
    """Seconds, 0 to 1. So late a timer may fire, though not later than a fifth of `probe_timeout`, to wake the process
    once for many nodes on one event loop: 200 of them take less than half the CPU. 0 wakes each on time."""

    # Users

    event_buffer: int = _count(1024, 1, 1_000_000, "events")
    """Events, 1 to 1000000. How many events wait for one slow subscriber before the oldest are dropped and it is
    told."""

    @classmethod
    def lan(cls, **changes: Any) -> Self:
        """For one data centre: the defaults."""
        return cls().replace(**changes)

    @classmethod
    def wan(cls, **changes: Any) -> Self:
        """For members far apart: slower probes, longer patience, wider gossip (ML's WAN defaults)."""
        wan = cls(
            probe_interval=5.0,
            probe_timeout=3.0,
            gossip_interval=0.5,
            gossip_fanout=3,
            gossip_to_dead=60.0,
            stream_timeout=30.0,
        )
        return wan.replace(**changes)

    @classmethod
    def local(cls, **changes: Any) -> Self:
        """For processes of one machine: short timeouts and quick gossip (ML's local defaults)."""
        local = cls(
            probe_timeout=0.2,
            indirect_probes=1,
            gossip_interval=0.1,
            retransmit_mult=3,
            gossip_to_dead=15.0,
        )
        return local.replace(**changes)

    @classmethod
    def of_profile(cls, profile: str) -> Self:
        """The preset of that name; raises `ConfigError` for an unknown one."""
        match profile:
            case Profile.LAN:
                return cls.lan()
            case Profile.WAN:
                return cls.wan()
            case Profile.LOCAL:
                return cls.local()
            case _:
                raise ConfigError("profile", profile, f"must be one of {', '.join(Profile)}")

    @classmethod
    def from_toml(cls, path: Path | str) -> Self:
        """Read a TOML file: fields by name, and `profile` to start from a preset.

        Raises `ConfigError` when the file cannot be read, is no TOML, or holds an unknown or bad field.
        """
        return cls.load(path)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Read `SHOAL_*` variables.

        `SHOAL_PROBE_INTERVAL=0.5`, `SHOAL_SEEDS=a:7946,b:7946`, `SHOAL_TAGS=role=worker,zone=a`, `SHOAL_PROFILE=wan`.
        """
        return cls.load(environ=environ)

    @classmethod
    def load(
        cls, path: Path | str | None = None, environ: Mapping[str, str] | None = None, profile: str | None = None
    ) -> Self:
        """Lay the sources over each other: preset, then file, then `SHOAL_*` variables.

        `profile` outranks the profile that file and variables name. Raises `ConfigError`.
        """
        from_file = _read_toml(path) if path is not None else {}
        from_variables = _read_environment(environ or {})
        chosen = profile or from_variables.pop("profile", None) or from_file.get("profile", Profile.LAN)
        from_file.pop("profile", None)
        from_variables.pop("profile", None)
        return cls.of_profile(chosen).replace(**from_file | from_variables)

    @property
    def has_turns(self) -> bool:
        """Whether neighbours on the ring ping each other in turn: with `mutual_probes`, and neighbours to do it."""
        return self.mutual_probes and self.neighbour_probes > 0

    def replace(self, **changes: Any) -> Self:
        """A copy with other values. Texts are read as TOML and the command line would: "host:port", "0.5", "true".

        Raises `ConfigError` for an unknown field or a bad value.
        """
        types = _field_types()
        typed = {field: _read(field, value, types) for field, value in changes.items()}
        return dataclasses.replace(self, **typed)

    def as_dict(self) -> dict[str, object]:
        """All fields as plain values, but for the keys, which are secret: what `replace` reads and JSON can hold."""
        return {
            field.name: _plain(getattr(self, field.name)) for field in dataclasses.fields(self) if field.name != "keys"
        }

    def __post_init__(self) -> None:
        types = _field_types()
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            typed = _read(field.name, value, types)
            if (allowed := field.metadata.get("range")) is not None and typed not in allowed:
                raise ConfigError(field.name, typed, f"must be {allowed}")
            object.__setattr__(self, field.name, typed)
        _check_name("name", self.name)
        _check_name("cluster", self.cluster)
        if self.state_dir == "":
            raise ConfigError("state_dir", "", "must name a directory; leave it out to keep nothing")
        _check_tags(self.tags)
        self._check_relations()

    def _check_relations(self) -> None:
        if self.probe_timeout >= self.probe_interval:
            raise ConfigError(
                "probe_timeout", self.probe_timeout, f"must be below probe_interval ({self.probe_interval} seconds)"
            )
        if self.backoff_initial > self.backoff_max:
            raise ConfigError(
                "backoff_initial", self.backoff_initial, f"must not exceed backoff_max ({self.backoff_max})"
            )
        if self.rejoin_interval > self.rejoin_interval_max:
            raise ConfigError(
                "rejoin_interval",
                self.rejoin_interval,
                f"must not exceed rejoin_interval_max ({self.rejoin_interval_max})",
            )
        if self.keys and self.key_file is not None:
            raise ConfigError("key_file", self.key_file, "keys are given too; keep one of the two")
        if (self.keys or self.key_file is not None) and self.max_datagram < _SEALED_DATAGRAM:
            raise ConfigError("max_datagram", self.max_datagram, f"must be {_SEALED_DATAGRAM} bytes or more with keys")
        self._check_identity()
        self._check_partition()
        for seed in self.seeds:
            if seed.port == 0:
                raise ConfigError("seeds", str(seed), "a seed needs a port from 1 to 65535")
        if self.advertise is not None and self.advertise.is_unspecified:
            raise ConfigError("advertise", str(self.advertise), "no peer can send to it; give an address of this node")
        if self.advertise is not None and "%" in self.advertise.host:
            raise ConfigError("advertise", str(self.advertise), "the zone (%) means nothing to peers; leave it out")

    def _check_partition(self) -> None:
        strategy = self.partition_strategy
        if strategy is PartitionStrategy.STATIC_QUORUM and self.partition_quorum == 0:
            problem = "static-quorum needs it; give more than half of all members that there will be"
            raise ConfigError("partition_quorum", self.partition_quorum, problem)
        if strategy is PartitionStrategy.KEEP_REFEREE and not self.partition_referee:
            problem = "keep-referee needs it; give the name of the member whose side is to live on"
            raise ConfigError("partition_referee", self.partition_referee, problem)

    def _check_identity(self) -> None:
        least = _SIGNED_DEATH + self.death_signatures * _WITNESS
        least += _SEAL if self.keys or self.key_file is not None else 0
        if self.identity_key is not None and self.max_datagram < least:
            problem = f"must fit in a datagram; lower it, or raise max_datagram ({self.max_datagram}) to {least}"
            raise ConfigError("death_signatures", self.death_signatures, problem)
        if self.identity_certificate is not None and self.admission_token is not None:
            raise ConfigError(
                "admission_token", self.admission_token, "identity_certificate is given too; keep one of the two"
            )
        if self.authority is not None and self.identity_certificate is None and self.admission_token is None:
            raise ConfigError(
                "authority",
                self.authority,
                "needs identity_certificate or admission_token; see `shoal keys issue` and `shoal keys token`",
            )
        if self.admission_token is not None and self.authority is None:
            raise ConfigError("admission_token", self.admission_token, "needs authority, who issued it")
        if self.identity_certificate is not None and self.authority is None:
            raise ConfigError("identity_certificate", self.identity_certificate, "needs authority, who issued it")
        if self.revocations is not None and self.authority is None:
            raise ConfigError("revocations", self.revocations, "needs authority, who issued them")
        if self.authority is not None and self.identity_key is None:
            raise ConfigError("authority", self.authority, "needs identity_key; see `shoal keygen --identity`")


@cache
def _field_types() -> dict[str, Any]:
    return typing.get_type_hints(ClusterConfig)


def _read(field: str, value: object, types: Mapping[str, Any]) -> Any:
    """`value` in the type of `field`; texts are parsed."""
    if field not in types:
        raise ConfigError(field, _shown(field, value), f"there is no such setting{_did_you_mean(field, types)}")
    wanted = types[field]
    try:
        if wanted in (int, float):
            return _read_number(field, value, wanted)
        if field in ("bind", "advertise") and value is not None:
            return _read_address(value)
        if field == "seeds":
            return tuple(map(_read_address, _read_list(value)))
        if field == "keys":
            return parse_keys(_read_keys(value))
        if isinstance(wanted, type) and issubclass(wanted, StrEnum):
            return _read_choice(field, value, wanted)
        if field in _PATHS and isinstance(value, Path):
            return str(value)
        if field in ("tags", "partition_role"):
            return Tags(msgspec.convert(_read_tags(value), dict[str, str]))
        return msgspec.convert(value, wanted, strict=not isinstance(value, str))
    except InvalidAddressError as error:
        raise ConfigError(field, value, str(error)) from None
    except msgspec.ValidationError as error:
        raise ConfigError(field, value, str(error).lower()) from None


def _read_number(field: str, value: object, wanted: type[int] | type[float]) -> float:
    try:
        if isinstance(value, bool):
            raise msgspec.ValidationError
        return msgspec.convert(value, wanted, strict=not isinstance(value, str))
    except msgspec.ValidationError:
        kind = "a whole number" if wanted is int else "a number"
        allowed = ClusterConfig.__dataclass_fields__[field].metadata["range"]
        raise ConfigError(field, value, f"must be {kind}, {allowed}") from None


def _did_you_mean(field: str, types: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(field, types, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _read_address(value: object) -> Address:
    if isinstance(value, (str, Address)):
        return Address.parse(str(value))
    raise InvalidAddressError(repr(value), "expected a text such as 127.0.0.1:7946")


def _read_list(value: object) -> tuple[object, ...]:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(value, (list, tuple)) and not isinstance(value, Address):
        return tuple(value)
    raise InvalidAddressError(repr(value), "expected a list of addresses")


def _read_keys(value: object) -> tuple[object, ...]:
    if isinstance(value, (str, list, tuple)):
        return _read_list(value)
    raise ConfigError("keys", HIDDEN, "expected a list of keys in base64")


def _read_choice(field: str, value: object, wanted: type[StrEnum]) -> StrEnum:
    try:
        return wanted(str(value))
    except ValueError:
        raise ConfigError(field, value, f"must be one of {', '.join(wanted)}") from None


def _shown(field: str, value: object) -> object:
    return HIDDEN if any(word in field.lower() for word in _SECRETS) else value


def _read_tags(value: object) -> object:
    if not isinstance(value, str):
        return dict(value) if isinstance(value, Mapping) else value
    pairs = [part.partition("=") for part in value.split(",") if part.strip()]
    for key, equals, _ in pairs:
        if not equals:
            raise ConfigError("tags", value, f"{key!r} has no value; write key=value,key=value")
    return {key.strip(): text.strip() for key, _, text in pairs}


def _check_name(field: str, name: str | None) -> None:
    if name is not None and not is_node_name(name):
        raise ConfigError(field, name, "must have 1 to 128 bytes of UTF-8 and no control characters")


def _check_tags(tags: Tags) -> None:
    for text in (*tags.keys(), *tags.values()):
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ConfigError("tags", dict(tags), f"{text!r} has no UTF-8") from None


def _plain(value: object) -> object:
    if isinstance(value, Address):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, StrEnum):
        return value.value
    return value


def _read_toml(path: Path | str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as error:
        problem = f"cannot be read: {error.strerror or error}; correct the path"
        raise ConfigError("config", str(path), problem) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError("config", str(path), f"is no TOML: {error}") from error


def _read_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    known = {"profile", *_field_types()}
    found = {
        key.removeprefix(ENVIRONMENT_PREFIX).lower(): value
        for key, value in environ.items()
        if key.startswith(ENVIRONMENT_PREFIX) and key not in _COMMAND_LINE_VARIABLES
    }
    for field, value in found.items():
        if field not in known:
            raise ConfigError(
                ENVIRONMENT_PREFIX + field.upper(),
                _shown(field, value),
                f"there is no such setting{_did_you_mean(field, _field_types())}",
            )
    return found
