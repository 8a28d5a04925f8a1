"""One member's process dies: who suspects it, who confirms, and when each member believes it dead.

The victim is probed by its neighbours on the ring once in their turn (`pace`), and by anybody else at random: each
probe fails after the direct timeout and the relays'. What members make of that follows
docs/protocol.md §7 and §8: challengers check an accusation before everybody hears of it, the suspicion lasts from when
the first accuser began it, confirmations shorten it, and a reported death is believed at three quarters of the least.
Without `corroborate` everybody hears of each accusation at once, and without `suspicion_ages` a suspicion lasts from
when a member heard of it.

Members 0 up to `challengers` stand before the victim on the ring, the nearest first. Left out, besides what `spread`
leaves out: who probes the victim twice, the members that watch in the place of a suspect, and `adaptive_timeout`.

An update is the set of accusers that it names, a bit for each, and one bit more if it tells the death.
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
from shoal.sim.model.pace import Pace
from shoal.sim.model.setting import Setting
from shoal.sim.model.spread import Spread
from shoal.swim.announcements import PATIENCE
from shoal.swim.corroboration import checking_time
from shoal.swim.suspicion import SHARE_OF_LATE, SHARE_OF_REPORTED, suspicion_bounds, suspicion_timeout

__all__ = ["KillOutcome", "play_kill"]

_MOST_ACCUSERS: Final = 30  # later ones change nothing, for confirmations are complete long before
_DEAD: Final = 1 << _MOST_ACCUSERS
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
        #: Stands for any accusers that are enough.
        self._enough = (1 << bounds.confirmations + 1) - 1
        self._reported = SHARE_OF_REPORTED * bounds.least if config.doubt_deaths else 0.0
        self._timeouts = np.array([suspicion_timeout(bounds, count) for count in range(bounds.confirmations + 1)])
        self._least = bounds.least
        self._late = SHARE_OF_LATE * bounds.least
        self._lasts = checking_time(config)
        self._checking_time = setting.checking_time
        self._challengers = np.arange(min(config.challengers, members - 1), dtype=np.int32)
        self._victim = members - 1
        self._began = inf
        self._heard = np.full(members, inf)
        self._started = np.full(members, inf)
        self._deadline = np.full(members, inf)
        self._dead = np.full(members, inf)
        self._accusers: Ints = np.zeros(members, np.int32)
        self._is_held = np.zeros(members, np.bool_)
        self._is_reported = np.zeros(members, np.bool_)
        self._probes, self._patience, self._deadlines = Agenda(), Agenda(), Agenda()
        #: Whose bit is which.
        self._accusing: list[int] = []
        self._spread = Spread(setting, random, self._hear, silent=self._victim)

    def play(self, shares: Sequence[float]) -> KillOutcome:
        self._draw_probes()
        while (now := min(self._own_next, self._spread.next)) < inf:
            if self._probes.next == now:
                self._fail(self._probes.pop()[0], now)
            elif self._patience.next == now:
                self._stop_holding(self._patience.pop()[0], now)
            elif self._deadlines.next == now:
                self._expire(self._deadlines.pop()[0], now)
            else:
                self._spread.step()
        others = slice(0, self._victim)
        first_suspected = float(self._heard[others].min())
        return KillOutcome(
            first_suspected=first_suspected,
            first=float(self._dead[others].min()),
            all_know=float(self._dead[others].max()),
            suspected=spread_of(self._heard[others] - first_suspected, shares),
            rounds_per_member=self._spread.rounds / self._setting.members,
            sends_per_member=self._spread.carried / self._setting.members,
        )

    @property
    def _own_next(self) -> float:
        return min(self._probes.next, self._patience.next, self._deadlines.next)

    # Probes

    def _draw_probes(self) -> None:
        """Who probes the victim of his own accord, and when."""
        config, random = self._setting.config, self._random
        pace = Pace.of(config)
        before = config.neighbour_probes
        after = self._victim - 1 - np.arange(pace.neighbours - before)
        near = np.concatenate((np.arange(before), after)).astype(np.int32)
        waits = pace.grace * random.integers(0, 2, len(near))
        # One member in `stray` of the shuffled order, each with the same chance: together a Poisson process.
        count = int(random.poisson(_PROBED_FOR / pace.stray))
        far = random.choice(self._victim, min(count, self._victim), replace=False).astype(np.int32)
        phases = np.concatenate((random.random(len(near)) * pace.turn + waits, random.random(len(far)) * _PROBED_FOR))
        self._plan_failures(np.concatenate((near, far)), phases * config.probe_interval, 0.0)

    def _plan_failures(self, probers: Ints, begin: np.typing.NDArray[np.float64], now: float) -> None:
        self._probes.add(probers[np.newaxis], begin + self._lasts, now)

    def _fail(self, probers: Ints, now: float) -> None:
        """Probes end without an answer: their probers accuse, unless they believe the victim dead by then."""
        for prober in probers[np.isinf(self._dead[probers])].tolist():
            if prober not in self._accusing and len(self._accusing) < _MOST_ACCUSERS:
                self._accusing.append(prober)
                known = self._accusers[prober]
                one = np.array([prober], np.int32)
                self._hear_accusation(one, np.array([1 << len(self._accusing) - 1], np.int32), now)
                if self._is_held[prober] and self._accusers[prober] != known:
                    self._have_checked(prober, now)

    def _have_checked(self, accuser: int, now: float) -> None:
        """An accuser tells the challengers and whoever accused before it, and waits for what they find."""
        known = int(self._accusers[accuser])
        first = self._accusing[(known & -known).bit_length() - 1]
        told = np.union1d(self._challengers, np.array([first], np.int32))
        self._spread.tell(accuser, told[told != accuser], known, now)
        checked_for = now - float(self._started[accuser])
        patience = max(PATIENCE * self._checking_time - checked_for, (PATIENCE - 1) * self._checking_time)
        self._patience.add(np.array([[accuser]], np.int32), np.array([now + patience]), now)

    def _stop_holding(self, members: Ints, now: float) -> None:
        """Too few confirmed in time: everybody is told of what there is."""
        members = np.unique(members[self._is_held[members]])
        self._is_held[members] = False
        self._spread.say(members, self._accusers[members], now)

    # News

    def _hear(self, members: Ints, updates: Ints, now: float) -> None:
        believing = np.isinf(self._dead[members])
        members, updates = members[believing], updates[believing]
        accusers = updates & ~_DEAD
        if (accuses := accusers != 0).any():
            self._challenge(members[accuses & np.isinf(self._heard[members])], now)
            self._hear_accusation(members[accuses], accusers[accuses], now)
        if (is_death := updates & _DEAD != 0).any():
            self._hear_death(members[is_death], now)

    def _challenge(self, members: Ints, now: float) -> None:
        """Those who are new to the suspicion and stand near the victim on the ring probe it."""
        near = members[members < len(self._challengers)]
        self._plan_failures(near, np.full(len(near), now), now)

    def _hear_accusation(self, members: Ints, accusers: Ints, now: float) -> None:
        known = self._accusers[members]
        merged = known | accusers
        merged[np.bitwise_count(merged) > self._confirmations] = self._enough
        is_new = np.isinf(self._heard[members])
        changed = is_new | (merged != known)
        members, accusers, merged, is_new = (each[changed] for each in (members, accusers, merged, is_new))
        if not len(members):
            return
        self._accusers[members] = merged
        self._suspect(members[is_new], now)
        self._backdate(members, now)
        self._arm(members[~self._is_reported[members]], now)
        is_enough = np.bitwise_count(merged) > self._confirmations
        told = merged if self._checking_time else accusers
        is_released = self._is_held[members] & is_enough
        is_news = (is_new & ~self._is_held[members]) | is_released
        confirms = ~is_new & ~self._is_held[members]
        self._is_held[members[is_released]] = False
        self._spread.say(members[is_news], told[is_news], now)
        self._spread.say(members[confirms], told[confirms], now, is_common=True)

    def _suspect(self, members: Ints, now: float) -> None:
        """A suspicion begins here, where others hear of it at once or after those who check it did."""
        self._heard[members] = self._started[members] = now
        self._began = min(self._began, now)
        checks = (members < len(self._challengers)) | np.isin(members, self._accusing)
        self._is_held[members] = checks & (self._checking_time > 0)

    def _backdate(self, members: Ints, now: float) -> None:
        """Count suspicions from when the first one began; as no older than a check takes, if few confirmed or late."""
        if self._setting.config.suspicion_ages:
            is_enough = np.bitwise_count(self._accusers[members]) > self._confirmations
            in_time = now - self._began <= self._least
            began = np.where(is_enough & in_time, self._began, max(self._began, now - self._lasts))
            self._started[members] = np.minimum(self._started[members], began)

    def _hear_death(self, members: Ints, now: float) -> None:
        members = members[~self._is_reported[members] & np.isinf(self._dead[members])]
        if not len(members):
            return
        self._suspect(members[np.isinf(self._heard[members])], now)
        self._is_reported[members] = True
        self._is_held[members] = False
        has_all = np.bitwise_count(self._accusers[members]) > self._confirmations
        for is_common in (False, True):
            told = members[has_all == is_common]
            self._spread.say(told, self._death(told), now, is_common=is_common)
        self._arm(members, now)

    def _death(self, members: Ints) -> Ints:
        """What members tell who believe the victim dead: the accusers too, unless everybody heard of each at once."""
        accusers = self._accusers[members] if self._checking_time else np.zeros(len(members), np.int32)
        return accusers | _DEAD

    # The verdict

    def _arm(self, members: Ints, now: float) -> None:
        """Plan when the suspicion ends; it may be over already."""
        confirmations = np.maximum(np.bitwise_count(self._accusers[members]).astype(np.int64) - 1, 0)
        lasts = np.where(self._is_reported[members], self._reported, self._timeouts[confirmations])
        due = np.maximum(self._started[members] + lasts, self._heard[members] + self._late)
        self._deadline[members] = np.maximum(due, now)
        self._deadlines.add(members[np.newaxis], self._deadline[members], now)

    def _expire(self, members: Ints, now: float) -> None:
        """Suspicions are over, unless other deadlines took the place of these."""
        members = np.unique(members)
        is_due = (self._deadline[members] <= now + TICK) & np.isinf(self._dead[members])
        self._die(members[is_due], now)

    def _die(self, members: Ints, now: float) -> None:
        """These members believe the victim dead from now on."""
        self._dead[members] = now
        self._is_held[members] = False
        telling = members[~self._is_reported[members]]
        self._spread.say(telling, self._death(telling), now, is_common=True)
