"""What one core counted since it was made."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["Drop", "Stats"]


class Drop(StrEnum):
    """Why the core ignored something that was well-formed; `shoal.wire.dialect.Flaw` names what was not."""

    FROM_OURSELVES = "from_ourselves"
    WRONG_TARGET = "wrong_target"
    """A ping for another run, which had our address before, or a request to ping ourselves."""
    WRONG_CHANNEL = "wrong_channel"
    """A stream message in a datagram, or the other way round."""
    UNMATCHED_REPLY = "unmatched_reply"
    """An ack or nack that answers nothing that is still open: late, repeated or forged."""
    UNKNOWN_MEMBER = "unknown_member"
    """A suspicion or death of a member that is not in the table."""
    STALE = "stale"
    """News that is older than what is known, or the same."""
    OLD_RUN = "old_run"
    """News of a run whose name or address a newer run holds."""
    UNKNOWN_INCARNATION = "unknown_incarnation"
    """A suspicion, death or goodbye at an incarnation of which the owner's own word has not come, where nodes sign."""
    UNSIGNED_ACCUSATION = "unsigned_accusation"
    """A suspicion that no present member signed, or with a signature that is not its member's, where nodes sign."""
    UNPROVED_DEATH = "unproved_death"
    """A death that too few members signed, where nodes sign; those who did are taken for accusers."""
    UNSIGNED_GOODBYE = "unsigned_goodbye"
    """A goodbye that its member did not sign, where nodes sign."""
    UNSIGNED_STALL = "unsigned_stall"
    """A declared stall that its member did not sign, or not for so long, where nodes sign."""
    TAKEN_ADDRESS = "taken_address"
    """News of a run at the address of a present member of another name, where nodes sign."""
    MISMATCHED_RUN = "mismatched_run"
    """An id that is known under another name: forged."""
    REPEATED_BROADCAST = "repeated_broadcast"
    DECLARED_STALL = "declared_stall"
    """A suspicion or death of a member that has declared a stall."""
    DAMPED_ACCUSER = "damped_accuser"
    """A suspicion or death by a member that is damped."""
    ESTRANGED_ACCUSER = "estranged_accuser"
    """A suspicion or death by a member that is held dead here, or was a moment ago."""
    TABLE_FULL = "table_full"
    TOO_MANY_NEW = "too_many_new"
    """A member that is new to this node, in a datagram that tells of more such than `max_new_members`."""
    RELAYS_FULL = "relays_full"
    QUEUE_FULL = "queue_full"
    """An update pushed out of the gossip queue before it had spread."""
    OVERSIZED = "oversized"
    """News that fits in none of this node's datagrams, and so was not passed on."""
    ABOVE_RATE = "above_rate"
    """An answer about differing views that was cut short or left out, because this node has given many already."""
    UNWELL = "unwell"
    """A question about differing views while this node's local health is bad."""
    EXCHANGES_FULL = "exchanges_full"
    """A stream exchange that was not started because too many are under way."""


@dataclass(slots=True)
class Stats:
    """Counters; they only rise."""

    datagrams_in: int = 0
    datagrams_out: int = 0
    bytes_in: int = 0
    """Bytes of datagrams, without IP and UDP headers."""
    bytes_out: int = 0
    updates_in: int = 0
    updates_out: int = 0
    """Updates attached to datagrams; one sent to three members counts three times."""
    probes: int = 0
    challenges: int = 0
    """Probes out of turn, of members that others had come to suspect; counted among `probes` too."""
    probes_acked: int = 0
    """By whichever way."""
    probes_agreed: int = 0
    """Answered by an ack that carried our digest: of `probes_acked`, the share that found equal views."""
    probes_acked_by_relay: int = 0
    probes_acked_by_stream: int = 0
    probes_failed: int = 0
    probes_inconclusive: int = 0
    """Without an answer, but this node itself had stalled meanwhile."""
    ping_requests_out: int = 0
    nacks_in: int = 0
    nacks_out: int = 0
    relayed_acks: int = 0
    """Acks passed on to a member that had asked for a ping in its place."""
    suspicions: int = 0
    """Members that this node came to hold suspect, by its own probe or by report."""
    refutations: int = 0
    """Times that this node refuted a suspicion or death of itself."""
    deaths: int = 0
    """Members that this node came to hold dead."""
    dampings: int = 0
    """Times that a member was damped."""
    dampings_capped: int = 0
    """Times that one was not, because too many were already."""
    gossip_rounds: int = 0
    comparisons: int = 0
    """Comparisons of views in datagrams that this node began."""
    comparison_datagrams_out: int = 0
    comparison_bytes_out: int = 0
    """Of them, and of the answers to those of others; counted among `datagrams_out` and `bytes_out` too."""
    syncs_started: int = 0
    syncs_completed: int = 0
    syncs_served: int = 0
    syncs_passed_on: int = 0
    """Joiners that were sent on to other members, because many had come; counted among `syncs_served` too."""
    exchanges_failed: int = 0
    """Stream exchanges given up after all their tries."""
    renewals: int = 0
    """Times that this node took a new id, because a higher one of its name was known or its own had left."""
    dropped: dict[str, int] = field(default_factory=dict)
    """What was ignored, by reason: values of `Drop` and of `shoal.wire.dialect.Flaw`."""

    def drop(self, reason: str, times: int = 1) -> None:
        """Count something ignored."""
        self.dropped[reason] = self.dropped.get(reason, 0) + times

    def as_dict(self) -> dict[str, int]:
        """All counters by name, the dropped ones as `dropped_<reason>`."""
        counters = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "dropped"}
        return counters | {f"dropped_{reason}": count for reason, count in sorted(self.dropped.items())}
