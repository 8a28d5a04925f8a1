"""Members and events in words, for logs and terminals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, assert_never

from shoal.agent import schema
from shoal.events import VerdictReason

__all__ = ["describe", "evidence_text", "partition_text", "printable", "tags_text"]

_MOST_NAMES: Final = 8


def printable(text: str) -> str:
    """`text` with control characters escaped, so that what a peer chose cannot forge a line or steer a terminal."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def tags_text(tags: Mapping[str, str]) -> str:
    """`a=1 b=2`, in the order of the keys."""
    return printable(" ".join(f"{key}={value}" for key, value in sorted(tags.items())))


def evidence_text(evidence: schema.Evidence) -> str:
    """Why a member is held suspect or dead, in one line."""
    parts = [evidence.reason]
    if evidence.reason == VerdictReason.SUSPICION_EXPIRED.value and evidence.suspicion is not None:
        parts[0] += f" after {evidence.suspicion.lasted:.2f} s"
    elif evidence.declared_by is not None:
        parts.append(f"declared dead by {evidence.declared_by}")
    if evidence.accusations:
        parts.append(f"accused by {', '.join(accusation.accuser for accusation in evidence.accusations)}")
    if evidence.signers:
        parts.append(f"signed by {', '.join(evidence.signers)}")
    if evidence.probes:
        probe = evidence.probes[0]
        parts.append(
            f"own probe without an answer for {probe.deadline:.2f} s ({len(probe.relays)} relays,"
            f" {len(probe.nacks)} nacks, {_stream_text(probe)})"
        )
    if evidence.local_health:
        parts.append(f"local health {len(evidence.local_health)}")
    return printable("; ".join(parts))


def _stream_text(probe: schema.ProbeReport) -> str:
    if not probe.stream_tried:
        return "no stream ping"
    return "a stream ping" if probe.stream_end is None else f"a {probe.stream_end} stream ping"


def partition_text(partition: schema.Partition) -> str:
    """A suspected partition in one line."""
    names = [printable(member.name) for member in partition.lost[:_MOST_NAMES]]
    more = f" and {len(partition.lost) - len(names)} more" if len(partition.lost) > len(names) else ""
    domains = f"; all of {printable(', '.join(partition.domains))}" if partition.domains else ""
    return (
        f"{len(partition.lost)} members ({partition.share:.0%}) were lost together, {partition.present} are here: "
        f"{', '.join(names)}{more}{domains}"
    )


def describe(event: schema.Event) -> str:
    """What happened, in one line."""
    match event:
        case schema.MemberJoined(member=member):
            return f"{_who(member)} joined{_with_tags(member.tags)}"
        case schema.MemberSuspected(member=member, evidence=evidence):
            return f"{_who(member)} is suspected: {evidence_text(evidence)}"
        case schema.MemberStalled(member=member):
            return f"{_who(member)} stands still: its machine accepts connections, its process says nothing"
        case schema.MemberRecovered(member=member):
            return f"{_who(member)} refuted the suspicion"
        case schema.MemberFailed(member=member, evidence=evidence):
            return f"{_who(member)} failed: {evidence_text(evidence)}"
        case schema.MemberLeft(member=member):
            return f"{_who(member)} left"
        case schema.MemberUpdated(member=member, previous_tags=previous):
            return f"{_who(member)} changed its tags: {_tag_changes(previous, member.tags)}"
        case schema.MemberReadinessChanged(member=member, previous=before):
            return f"{_who(member)} is {member.readiness}, and was {before}"
        case schema.MemberDamped(member=member, returns=returns, accusers=accusers):
            by = f", accused by {', '.join(map(printable, accusers))}" if accusers else ""
            return f"{_who(member)} is damped: it came back {returns} times{by}"
        case schema.MemberReinstated(member=member):
            return f"{_who(member)} is no longer damped"
        case schema.RemovalHalted(removed=removed, members=of, domain=domain):
            where = f" of {printable(domain)}" if domain is not None else ""
            return f"removal stops: {removed} of {of} members{where} were removed within seconds, and more are suspect"
        case schema.RemovalResumed(removed=removed, returned=back):
            return f"removal goes on: of those held back {removed} are removed now, {back} came back"
        case schema.PartitionSuspected(partition=partition):
            return partition_text(partition)
        case schema.PartitionDecided(decision=decision):
            return f"{decision.strategy} says {decision.ruling}: {printable(decision.why)}"
        case schema.PartitionHealed(returned=returned, still_lost=still_lost, lasted=lasted):
            rest = f", {len(still_lost)} are still lost" if still_lost else ""
            return f"{len(returned)} lost members are back after {lasted:.1f} s{rest}"
        case schema.ViewChanged(joined=joined, failed=failed, left=gone, domains=domains):
            lost = f"; all of {printable(', '.join(domains))} failed" if domains else ""
            return f"{len(joined)} joined, {len(failed)} failed, {len(gone)} left{lost}"
        case schema.NameConflict(winner=winner, loser=loser):
            name = printable(winner.name)
            return f"two nodes are named {name}: {winner.address} holds the name now, {loser.address} lost it"
        case schema.IdentityRefused(node=name, address=address, reason=reason):
            return f"refused {printable(name)} at {address}: {reason.replace('_', ' ')}"
        case schema.BroadcastReceived(origin=origin, payload=payload):
            return f"broadcast of {len(payload)} bytes from {origin}"
        case schema.MessageReceived(sender=sender, payload=payload):
            return f"message of {len(payload)} bytes from {sender}"
        case schema.JoinCompleted():
            return "this node has joined the cluster"
        case schema.LeaveCompleted():
            return "this node has left the cluster"
        case schema.LeaveRequested(by=by):
            return f"{printable(by)} has asked this node to leave"
        case schema.SeedUnreachable(address=address, reason=reason):
            return f"seed {address} is unreachable: {printable(reason)}"
        case schema.EventsLost(count=count):
            return f"{count} events were lost, because they were read too slowly"
        case _:
            assert_never(event)


def _who(member: schema.Member) -> str:
    return f"{printable(member.name)} at {member.address}"


def _with_tags(tags: Mapping[str, str]) -> str:
    return f" with {tags_text(tags)}" if tags else ""


def _tag_changes(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    changed = {key: value for key, value in new.items() if old.get(key) != value}
    gone = " ".join(f"-{printable(key)}" for key in sorted(old.keys() - new.keys()))
    return f"{tags_text(changed)} {gone}".strip()
