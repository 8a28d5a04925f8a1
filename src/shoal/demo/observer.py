"""Watching the cluster as a user can: through each agent's own event stream and list of members."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

import msgspec

from shoal.agent import schema
from shoal.demo.failure import DemoError
from shoal.demo.http import EventDecoder, fetch, request
from shoal.demo.processes import Agent
from shoal.demo.sightings import Sight, Sighting
from shoal.types import MemberState

__all__ = ["fetch_agreement", "fetch_members", "sightings"]

_MEMBERS = msgspec.json.Decoder(list[schema.Member])
_INFO = msgspec.json.Decoder(schema.Info)
_EVENT: msgspec.json.Decoder[schema.Event] = msgspec.json.Decoder(schema.Event)


async def fetch_members(agent: Agent) -> list[schema.Member]:
    """Every member that the agent knows. Raises `OSError` when it does not answer."""
    return _MEMBERS.decode(await fetch(agent.http, "/v1/members"))


async def fetch_agreement(agent: Agent) -> float | None:
    """How far the agent's view agreed with its peers' lately. Raises `OSError` when it does not answer."""
    return _INFO.decode(await fetch(agent.http, "/v1/info")).health.agreement


async def sightings(agent: Agent, now: Callable[[], float]) -> AsyncGenerator[list[Sighting], None]:
    """What the agent tells of the others, dated on arrival by `now`, until its process ends.

    The stream is opened first and the members are read then, so that nothing falls between the two. Raises `DemoError`
    when the stream ends although the agent should be there, or when the agent says that events were lost.
    """
    try:
        async with request(agent.http, "GET", "/v1/events") as response:
            members = await fetch_members(agent)
            yield [_met(agent.name, member, now()) for member in members if member.name != agent.name]
            decoder = EventDecoder()
            async for part in response.parts():
                at = now()
                told = [_told(agent.name, _EVENT.decode(data), at) for data in decoder.feed(part)]
                yield [sighting for sighting in told if sighting is not None]
    except OSError as error:
        cause = str(error)
    else:
        cause = "its event stream ended"
    if agent.is_expected_to_answer:
        raise DemoError(f"{agent.name} cannot be observed any more: {cause}; {await agent.last_words()}")


def _met(observer: str, member: schema.Member, at: float) -> Sighting:
    sight = Sight.of_state(MemberState[member.state.upper()])
    return Sighting(at, observer, sight, member.name, member.id, from_snapshot=True)


def _told(observer: str, event: schema.Event, at: float) -> Sighting | None:
    """The event as a sighting; None for what is no change of another member's state."""
    accusers: tuple[str, ...] = ()
    match event:
        case schema.MemberSuspected(evidence=evidence) | schema.MemberFailed(evidence=evidence):
            accusers = tuple(accusation.accuser for accusation in evidence.accusations)
            if evidence.declared_by is not None and evidence.declared_by not in accusers:
                accusers += (evidence.declared_by,)
        case schema.MemberJoined() | schema.MemberRecovered() | schema.MemberLeft():
            pass
        case schema.EventsLost(count=count):
            raise DemoError(f"{observer} lost {count} events, so what it saw is not known")
        case _:
            return None
    member = event.member
    if member.name == observer:
        return None
    return Sighting(at, observer, Sight(schema.event_name(event)), member.name, member.id, accusers)
