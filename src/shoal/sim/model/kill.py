"""One member's process dies: who suspects it, who confirms, and when each member believes it dead.

The victim is probed by the member before it on the ring once in every `neighbour_probes + 1` intervals or so, and by
anybody else at random: each probe fails after the direct timeout and the relays'. What members make of the news follows
docs/protocol.md §8: the suspicion lasts from when a member heard of it, confirmations shorten it, and a reported death
is believed at three quarters of the least.

Members 0 up to `challengers` stand before the victim on the ring, the nearest first. Left out, besides what `spread`
leaves out: who probes the victim twice, the members that watch in the place of a suspect, and `adaptive_timeout`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Final

from shoal.errors import ConfigError
from shoal.sim.model.agenda import TICK, Agenda, Ints
from shoal.sim.model.arrays import np
from shoal.sim.model.change import spread_of
from shoal.sim.model.setting import Setting
from shoal.sim.model.spread import Spread
from shoal.swim.suspicion import SHARE_OF_REPORTED, suspicion_bounds, suspicion_timeout

__all__ = ["KillOutcome", "play_kill"]

_DEAD: Final = 255
_MOST_ACCUSERS: Final = 32  # bits of a mask; later ones change nothing, for confirmations are complete long before
_PROBED_FOR: Final = 20.0
"""Intervals after the kill from which probes of the victim are drawn."""


@dataclass(frozen=True, slots=True)
class KillOutcome:
    """How one death became known. Seconds from the kill."""

    first_suspected: float
    first: float
    """When the first member believed it dead."""
    all_know: float
    """When the last one did; infinite when one never did."""
    suspected: tuple[float, ...]
    """From the first suspicion until each of the shares that were asked for had heard of it."""
    rounds_per_member: float
    """Datagrams of gossip that one member sends because of it."""
    sends_per_member: float
    """Copies of updates that one member sends because of it."""


def play_kill(setting: Setting, seed: int, shares: Sequence[float]) -> KillOutcome:
    """Let one member die, until nobody speaks of it any more. Raises `ConfigError` for a profile it does not cover."""
    if setting.config.adaptive_timeout:
        raise ConfigError("adaptive_timeout", True, "the model has the fixed timeout only; simulate this profile")
    return _Kill(setting, np.random.default_rng(seed)).play(shares)


class _Kill:
    def __init__(self, setting: Setting, random: np.random.Generator) -> None:
        config, members = setting.config, setting.members
        bounds = suspicion_bounds(config, members)
        self._setting = setting
        self._random = random
        self._confirmations = bounds.confirmations
        self._reported = SHARE_OF_REPORTED * bounds.least
        self._timeouts = np.array([suspicion_timeout(bounds, count) for count in range(bounds.confirmations + 1)])
        self._lasts = 2 * config.probe_timeout
        self._victim = members - 1
        self._suspected = np.full(members, inf)
        self._deadline = np.full(members, inf)
        self._dead = np.full(members, inf)
        self._accusers = np.zeros(members, np.uint32)
        self._is_reported = np.zeros(members, np.bool_)
        self._is_probing = np.zeros(members, np.bool_)
        self._probes, self._deadlines = Agenda(), Agenda()
        self._accusations = 0
        self._spread = Spread(setting, random, self._hear, silent=self._victim, are_verdicts=True)

    def play(self, shares: Sequence[float]) -> KillOutcome:
        self._draw_probes()
        while (now := min(self._spread.next, self._probes.next, self._deadlines.next)) < inf:
            if self._probes.next == now:
                self._fail(self._probes.pop()[0], now)
            elif self._deadlines.next == now:
                self._expire(self._deadlines.pop()[0], now)
            else:
                self._spread.step()
        others = slice(0, self._victim)
        first_suspected = float(self._suspected[others].min())
        return KillOutcome(
            first_suspected=first_suspected,
            first=float(self._dead[others].min()),
            all_know=float(self._dead[others].max()),
            suspected=spread_of(self._suspected[others] - first_suspected, shares),
            rounds_per_member=self._spread.rounds / self._setting.members,
            sends_per_member=self._spread.carried / self._setting.members,
        )

    # Probes

    def _draw_probes(self) -> None:
        """Who probes the victim of his own accord, and when."""
        config, random = self._setting.config, self._random
        turns = config.neighbour_probes + 1
        near = np.arange(config.neighbour_probes, dtype=np.int32)
        # One member in `turns` of the shuffled order, each with the same chance: together a Poisson process.
        count = int(random.poisson(_PROBED_FOR / turns))
        far = random.choice(self._victim, min(count, self._victim), replace=False).astype(np.int32)
        phases = np.concatenate((random.random(len(near)) * turns, random.random(len(far)) * _PROBED_FOR))
        self._plan_failures(np.concatenate((near, far)), phases * config.probe_interval, 0.0)

    def _plan_failures(self, probers: Ints, begin: np.typing.NDArray[np.float64], now: float) -> None:
        self._probes.add(probers[np.newaxis], begin + self._lasts, now)

    def _fail(self, probers: Ints, now: float) -> None:
        """Probes end without an answer: their probers accuse, unless they believe the victim dead by then."""
        for prober in probers[np.isinf(self._dead[probers])].tolist():
            if self._accusations < _MOST_ACCUSERS:
                self._accusations += 1
                self._spread.skip_pings(now)
                self._hear(np.array([prober], np.int32), np.array([self._accusations], np.int32), now)

    def _challenge(self, members: Ints, now: float) -> None:
        """Those of the new suspicious that stand near the victim on the ring probe it, unless they accuse it."""
        near = members[members < self._setting.config.challengers]
        near = near[~self._is_probing[near]]
        self._is_probing[near] = True
        self._plan_failures(near, np.full(len(near), now), now)

    # News

    def _hear(self, members: Ints, updates: Ints, now: float) -> None:
        believing = np.isinf(self._dead[members])
        members, updates = members[believing], updates[believing]
        is_death = updates == _DEAD
        if is_death.any():
            self._hear_death(members[is_death], now)
            members, updates = members[~is_death], updates[~is_death]
        if len(members):
            self._hear_accusation(members, updates, now)

    def _hear_accusation(self, members: Ints, updates: Ints, now: float) -> None:
        bits = np.left_shift(np.uint32(1), (updates - 1).astype(np.uint32))
        is_new = self._suspected[members] == inf
        known = np.bitwise_count(self._accusers[members])
        confirms = ~is_new & (self._accusers[members] & bits == 0) & (known <= self._confirmations)
        changed = is_new | confirms
        if not changed.any():
            return
        self._suspect(members[is_new], bits[is_new], now)
        self._accusers[members[confirms]] |= bits[confirms]
        self._spread.say(members[is_new], updates[is_new], now)
        self._spread.say(members[confirms], updates[confirms], now, is_common=True)
        self._arm(members[changed & ~self._is_reported[members]], now)
        self._challenge(members[is_new & (known == 0)], now)

    def _suspect(self, members: Ints, bits: np.typing.NDArray[np.uint32], now: float) -> None:
        self._suspected[members] = now
        self._accusers[members] = bits

    def _hear_death(self, members: Ints, now: float) -> None:
        members = members[~self._is_reported[members]]
        if not len(members):
            return
        unaware = members[self._suspected[members] == inf]
        self._suspect(unaware, np.zeros(len(unaware), np.uint32), now)
        self._is_reported[members] = True
        self._spread.say(members, _DEAD, now)
        self._arm(members, now)

    def _arm(self, members: Ints, now: float) -> None:
        """Plan when the suspicion ends; it may be over already."""
        confirmations = np.maximum(np.bitwise_count(self._accusers[members]).astype(np.int64) - 1, 0)
        lasts = np.where(self._is_reported[members], self._reported, self._timeouts[confirmations])
        self._deadline[members] = self._suspected[members] + lasts
        is_over = self._deadline[members] <= now
        later = members[~is_over]
        self._deadlines.add(later[np.newaxis], self._deadline[later], now)
        self._die(members[is_over], now)

    def _expire(self, members: Ints, now: float) -> None:
        """Suspicions are over, unless other deadlines took the place of these."""
        members = np.unique(members)
        is_due = (self._deadline[members] <= now + TICK) & np.isinf(self._dead[members])
        self._die(members[is_due], now)

    def _die(self, members: Ints, now: float) -> None:
        """These members believe the victim dead from now on."""
        if len(members):
            self._dead[members] = now
            self._spread.skip_pings(now)
            self._spread.say(members[~self._is_reported[members]], _DEAD, now, is_common=True)
