"""Whether the views of all running nodes are complete and the same, and how far they say so themselves."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence

from shoal.agent import schema

__all__ = ["agreement_text", "disagreements"]


def agreement_text(agreement: Mapping[str, float | None]) -> str:
    """What the nodes' probes say, in a few words."""
    shares = [share for share in agreement.values() if share is not None]
    if not shares:
        return "no probe was answered yet"
    return (
        f"{statistics.mean(shares):.0%} of the last probes met an equal view, "
        f"{min(shares):.0%} on the node with the fewest"
    )


def disagreements(views: Mapping[str, Sequence[schema.Member]], names: Iterable[str]) -> list[str]:
    """What is wrong in the views, one sentence each.

    `views` are the lists of members by the running agents that gave them. Of `names`, every running one must be alive
    in all views, as the run that it says it is; the others must be present in none.
    """
    present = {observer: _present(members) for observer, members in views.items()}
    runs = {name: held[name].id for name, held in present.items() if name in held}
    return [
        f"{observer} {problem}"
        for observer, held in present.items()
        for name in names
        if (problem := _problem(name, held.get(name), runs.get(name), is_running=name in views)) is not None
    ]


def _present(members: Iterable[schema.Member]) -> dict[str, schema.Member]:
    return {member.name: member for member in members if member.state in {"alive", "suspect"}}


def _problem(name: str, held: schema.Member | None, run: str | None, *, is_running: bool) -> str | None:
    if not is_running:
        return None if held is None else f"still holds {name} {held.state}"
    if held is None:
        return f"misses {name}"
    if held.state != "alive":
        return f"holds {name} {held.state}"
    if held.id != run:
        return f"holds another run of {name}"
    return None
