"""The figures of one run."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from shoal.bench.messages import Reading
from shoal.bench.plan import Plan
from shoal.bench.scale import Measured
from shoal.net.loops import loop_factory
from shoal.sim.summary import Quantiles

__all__ = ["Report", "delays"]

_HEADERS: Final = 28
"""Bytes of the IP and UDP headers of a datagram over IPv4."""


@dataclass(frozen=True, slots=True)
class Report:
    """What programs read; rates are per node and second of the hold, unless a name says otherwise."""

    nodes: int
    processes: int
    killed: int
    formed: bool
    """The nodes knew each other from the start: `formation_s` is what it took to start them."""
    rate: float
    """Nodes that started in a second, where they joined."""
    cores: int
    python: str
    event_loop: str
    formation_s: float
    """From the first node's start until every view was complete."""
    formation_cpu_s: float
    formation_bytes: int
    """All that was sent meanwhile, datagrams and streams."""
    settling_s: float
    """From then until the hold: the rest that was asked for, and until every node's local health was good again."""
    unwell_nodes: int
    """Whose local health was not good at the beginning or the end of the hold: they probe, and cost, less."""
    hold_s: float
    cpu_ms_per_node_s: float
    cpu_share: float
    """Of all cores of the machine, in the hold."""
    longest_lag_s: float
    """By which the latest timer of the hold came too late."""
    resident_bytes: int
    """That all nodes together added to their processes."""
    bytes_per_member: float
    """That, for each member in each view: what a node has whoever it knows is in it too."""
    datagrams_per_node_s: float
    bytes_per_node_s: float
    """With IP and UDP headers, and the payload of streams."""
    streams_per_node_s: float
    false_suspicions: int
    """Of nodes that ran, from the end of the formation to the end of the run; each observer's counted."""
    false_deaths: int
    falsely_suspected_nodes: int
    """Different ones, in the whole run."""
    falsely_dead_nodes: int
    formation_false_suspicions: int
    formation_false_deaths: int
    detection_s: Quantiles | None
    """From the kill until the first survivor held a killed node dead; over the killed nodes."""
    all_know_s: Quantiles | None
    """Until the last survivor did; over the killed nodes known to all."""
    detected: int
    known_by_all: int
    views_at_end: int
    """Different ones among the survivors: 1 when they agree."""
    datagrams_dropped: int
    """By the senders' own full buffers, in the whole run."""
    core_faults: int
    """Exceptions in the protocol core: bugs."""

    @classmethod
    def of(cls, plan: Plan, measured: Measured) -> Report:
        """Work them out."""
        formed, before, after, ended = (
            moment.total for moment in (measured.formed, measured.before, measured.after, measured.ended)
        )
        hold = after.at - before.at
        cpu = after.cpu_seconds - before.cpu_seconds
        node_seconds = hold * plan.nodes
        cores = os.cpu_count() or 1
        resident = after.resident_bytes - after.bytes_before
        verdicts = delays(measured)
        survivors = plan.nodes - plan.kill
        return cls(
            nodes=plan.nodes,
            processes=plan.processes,
            killed=plan.kill,
            formed=plan.formed,
            rate=plan.rate,
            cores=cores,
            python=platform.python_version(),
            event_loop="asyncio" if loop_factory() is None else "uvloop",
            formation_s=round(measured.formed.at, 3),
            formation_cpu_s=round(formed.cpu_seconds - measured.moments[0].total.cpu_seconds, 3),
            formation_bytes=_wire_bytes(formed),
            settling_s=round(measured.before.at - measured.formed.at, 3),
            unwell_nodes=max(before.unwell, after.unwell),
            hold_s=round(hold, 3),
            cpu_ms_per_node_s=round(1000 * cpu / node_seconds, 4),
            cpu_share=round(cpu / hold / cores, 4),
            longest_lag_s=round(after.longest_lag, 3),
            resident_bytes=resident,
            bytes_per_member=round(resident / plan.nodes**2, 1),
            datagrams_per_node_s=round((after.datagrams_out - before.datagrams_out) / node_seconds, 3),
            bytes_per_node_s=round((_wire_bytes(after) - _wire_bytes(before)) / node_seconds, 1),
            streams_per_node_s=round((after.streams_out - before.streams_out) / node_seconds, 4),
            false_suspicions=ended.false_suspicions - formed.false_suspicions,
            false_deaths=ended.false_deaths - formed.false_deaths,
            falsely_suspected_nodes=ended.falsely_suspected,
            falsely_dead_nodes=ended.falsely_dead,
            formation_false_suspicions=formed.false_suspicions,
            formation_false_deaths=formed.false_deaths,
            detection_s=Quantiles.of(times[0] for times in verdicts if times),
            all_know_s=Quantiles.of(times[-1] for times in verdicts if len(times) >= survivors),
            detected=sum(bool(times) for times in verdicts),
            known_by_all=sum(len(times) >= survivors for times in verdicts),
            views_at_end=len(frozenset().union(*(each.digests for each in measured.sightings))),
            datagrams_dropped=ended.send_full,
            core_faults=ended.core_faults,
        )

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Lines for people."""
        yield "nodes", f"{self.nodes:,} in {self.processes} processes on {self.cores} cores ({self.event_loop})"
        yield (
            "formation",
            f"{self.formation_s:.2f} s, {self.formation_cpu_s:.1f} s of CPU, {self.formation_bytes / 1e6:,.1f} MB "
            f"sent, {'all known from the start' if self.formed else f'{self.rate:g} joins a second'}",
        )
        yield (
            "rest",
            f"{self.settling_s:.0f} s to settle, {self.hold_s:.0f} s measured; {self.unwell_nodes} nodes in bad health "
            "in it",
        )
        yield (
            "CPU",
            f"{self.cpu_ms_per_node_s:.3f} ms per node and second; {self.cpu_share:.0%} of the machine",
        )
        yield (
            "memory",
            f"{self.bytes_per_member:,.0f} bytes a member and view, {self.resident_bytes / self.nodes / 1024:,.0f} KiB "
            f"a node, {self.resident_bytes / 1e6:,.0f} MB in all",
        )
        yield (
            "load",
            f"{self.datagrams_per_node_s:.2f} datagrams, {self.bytes_per_node_s:,.0f} bytes, "
            f"{self.streams_per_node_s:g} streams sent per node and second; {self.datagrams_dropped} datagrams dropped",
        )
        yield "latest timer", f"{self.longest_lag_s:.3f} s late"
        yield (
            "false suspicions",
            f"{self.false_suspicions} of {self.falsely_suspected_nodes} nodes (while forming: "
            f"{self.formation_false_suspicions})",
        )
        yield (
            "false deaths",
            f"{self.false_deaths} of {self.falsely_dead_nodes} nodes (while forming: {self.formation_false_deaths})",
        )
        if self.killed:
            yield "killed", f"{self.killed}: {self.detected} detected, {self.known_by_all} known to all survivors"
            yield "first detection", _quantiles(self.detection_s)
            yield "all know", _quantiles(self.all_know_s)
        yield "views at the end", "equal" if self.views_at_end == 1 else f"{self.views_at_end} different ones"
        if self.core_faults:
            yield "core faults", f"{self.core_faults}: exceptions, see standard error"


def delays(measured: Measured) -> list[list[float]]:
    """For each killed node the seconds until each observer held it dead, in order."""
    victims = {victim for sightings in measured.sightings for victim in sightings.verdicts}
    return [
        sorted(
            time - measured.killed_at for sightings in measured.sightings for time in sightings.verdicts.get(victim, ())
        )
        for victim in sorted(victims)
    ]


def _wire_bytes(total: Reading) -> int:
    return total.datagram_bytes_out + _HEADERS * total.datagrams_out + total.stream_bytes_out


def _quantiles(times: Quantiles | None) -> str:
    return "never" if times is None else f"{times.p50:.2f} s median, {times.p99:.2f} s 99 %, {times.max:.2f} s at most"
