"""`shoal info`."""

from __future__ import annotations

import click

from shoal.agent import schema
from shoal.agent.text import partition_text, printable, tags_text
from shoal.cli.client import AgentClient
from shoal.cli.options import agent_option, json_option
from shoal.cli.output import age_text, print_json, print_pairs


@click.command()
@click.argument("member", required=False, metavar="[NAME]")
@json_option
@agent_option
def info(member: str | None, *, as_json: bool, client: AgentClient) -> None:
    """Show the agent's own state, or the member of that name or id as the agent sees it."""
    if member is not None:
        found = client.member(member)
        print_json(found) if as_json else print_pairs(_member_pairs(found))
        return
    found_info = client.info()
    print_json(found_info) if as_json else print_pairs(_info_pairs(found_info))


def _member_pairs(member: schema.Member) -> list[tuple[str, str]]:
    return [
        ("name", printable(member.name)),
        ("id", member.id),
        ("address", member.address),
        ("state", f"{member.state} for {age_text(member.age)}"),
        ("readiness", member.readiness),
        ("incarnation", str(member.incarnation)),
        ("tags", tags_text(member.tags) or "none"),
    ]


def _info_pairs(info: schema.Info) -> list[tuple[str, str]]:
    health = info.health
    probed = health.last_probe_success_age
    now = ", ".join(dict.fromkeys(health.local_health_points))
    reasons = ", ".join(f"{reason} {count}" for reason, count in health.local_health_reasons.items() if count)
    return [
        *_member_pairs(info.member),
        ("cluster", printable(info.cluster)),
        ("members", ", ".join(f"{count} {state}" for state, count in health.counts.items())),
        ("status", _status(health)),
        ("agreement", _agreement(health.agreement)),
        *([] if info.partition is None else [("partition", partition_text(info.partition))]),
        ("local health", f"{health.local_health} (0 is best){f', for {now}' if now else ''}"),
        ("raised so far by", reasons or "nothing"),
        ("last probe answered", "never" if probed is None else f"{age_text(probed)} ago"),
        ("event subscribers", str(health.subscribers)),
        ("version", info.version),
    ]


def _agreement(share: float | None) -> str:
    return (
        "unknown, no probe was answered yet" if share is None else f"{share:.0%} of the last probes met an equal view"
    )


def _status(health: schema.Health) -> str:
    if health.superseded:
        return "superseded: a newer run holds this name"
    if health.leaving:
        return "leaving"
    if not health.running:
        return "not running"
    return "running, joined" if health.joined else "running, alone"
