"""The campaign: kill validators of a running network at random points until so many have died, audit everything."""

import math
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from testnet.crash.audit import Audit
from testnet.crash.validators import Validator, Validators

LOOK_INTERVAL_S = 0.15
WAIT_S_MAX = 1.6
DOWN_S_MAX = 0.5
LONG_DOWN_SHARE = 0.03
LONG_DOWN_S = 6.0
PROGRESS_S_MAX = 60.0
# How many die at once: (share of all events, seats).
AT_ONCE = ((0.76, 1), (0.14, 2), (0.10, 0))
OUTAGE_S = 75.0
CATCH_UP_DISTANCE_BLOCKS = 3
OBSERVE_S = 3.0


@dataclass(slots=True)
class Findings:
    """What the campaign measured and found wrong."""

    kills: int = 0
    events: dict[str, int] = field(default_factory=dict)
    killed_before_first_vote: int = 0
    restart_to_vote_s: list[float] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    heights_compared: int = 0
    catch_up_blocks: int = 0
    catch_up_blocks_per_s: float = 0.0
    network_blocks_per_s: float = 0.0
    disk_lost_to_vote_s: float = 0.0

    @property
    def catch_up_ratio(self) -> float:
        return self.catch_up_blocks_per_s / self.network_blocks_per_s if self.network_blocks_per_s else 0.0


def percentile(values: list[float], share: float) -> float:
    """The smallest value that so large a share does not exceed; 0 without values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


class Campaign:
    """See the module's text."""

    def __init__(self, validators: Validators, audit: Audit, seed: int, on_kill: Callable[[int], None]) -> None:
        self._validators = validators
        self._audit = audit
        self._rng = random.Random(seed)
        self._on_kill = on_kill
        # A restart among restarts says little about how soon a validator votes again.
        self._is_alone: dict[int, bool] = {}
        self.findings = Findings()

    def run(self, kill_count: int) -> None:
        """Raises `CrashTestError` when a validator neither starts nor ends."""
        for seat in self._validators.seats:
            self._start(seat)
        self._wait_for_progress("the start")
        while self.findings.kills < kill_count and not self.findings.violations:
            self._watch(self._rng.uniform(0.0, WAIT_S_MAX))
            self._strike(kill_count - self.findings.kills)
        self._wait_for_progress("the last kill")

    def _start(self, seat: Validator) -> None:
        seats = self._validators.seats
        self._is_alone[seat.index] = all(other.pid is not None and other.has_voted for other in seats if other != seat)
        self._validators.start(seat)

    def _strike(self, kills_left: int) -> None:
        """One event: some die at the same moment, and come back one after the other."""
        seats = self._validators.seats
        shares = [share for share, _ in AT_ONCE]
        count = self._rng.choices([size or len(seats) for _, size in AT_ONCE], shares)[0]
        victims = self._rng.sample(seats, min(count, kills_left))
        victims = [seat for seat in victims if seat.pid is not None]
        self.findings.killed_before_first_vote += sum(not seat.has_voted for seat in victims)
        # Whoever is starting now may have to wait for these: its time to the first vote would not be its own.
        self._is_alone.clear()
        self._validators.end(victims)
        self.findings.kills += len(victims)
        name = {1: "one", 2: "two", len(seats): "all"}.get(len(victims), "some")
        self.findings.events[name] = self.findings.events.get(name, 0) + 1
        for seat in victims:
            self._look(seat)
        self._on_kill(len(victims))
        is_long = self._rng.random() < LONG_DOWN_SHARE
        for seat in victims:
            self._watch(LONG_DOWN_S if is_long else self._rng.uniform(0.0, DOWN_S_MAX))
            is_long = False
            self._start(seat)

    def _look(self, seat: Validator) -> None:
        voted = self._audit.look(seat.index)
        if voted and not seat.has_voted and seat.pid is not None:
            seat.has_voted = True
            if self._is_alone.get(seat.index, False):
                self.findings.restart_to_vote_s.append(time.monotonic() - seat.started_s)
        self.findings.violations += self._audit.violations + self._validators.deaths
        self._audit.violations.clear()
        self._validators.deaths.clear()

    def _watch(self, duration_s: float) -> None:
        """Let the network run, and read what it writes."""
        until_s = time.monotonic() + duration_s
        while True:
            left_s = until_s - time.monotonic()
            self._validators.listen(max(0.0, min(LOOK_INTERVAL_S, left_s)))
            for seat in self._validators.seats:
                self._look(seat)
            if left_s <= 0:
                return

    def _heights(self) -> list[int]:
        return [self._audit.height_of(seat.index) for seat in self._validators.seats]

    def _wait_for_progress(self, after: str) -> None:
        """All validators on new common ground, or a violation: losing nobody's votes also means going on."""
        target = max(self._heights()) + 5
        give_up_at_s = time.monotonic() + PROGRESS_S_MAX
        while min(self._heights()) < target:
            self._watch(LOOK_INTERVAL_S)
            if time.monotonic() > give_up_at_s:
                self.findings.violations.append(f"no progress of all within {PROGRESS_S_MAX:.0f} s after {after}")
                return

    def measure_catch_up(self) -> None:
        """One validator sleeps, then catches up while the others go on. The clock runs from its first new block on: how
        long a start takes is another figure.
        """
        seats, findings = self._validators.seats, self.findings
        sleeper, other = seats[-1], seats[0]
        self._validators.end([sleeper])
        self._look(sleeper)
        first_height, first_s = self._audit.height_of(other.index), time.monotonic()
        self._watch(OUTAGE_S)
        findings.network_blocks_per_s = (self._audit.height_of(other.index) - first_height) / (
            time.monotonic() - first_s
        )
        slept_at = self._audit.height_of(sleeper.index)
        self._start(sleeper)
        begun_s = 0.0
        give_up_at_s = time.monotonic() + PROGRESS_S_MAX
        while time.monotonic() < give_up_at_s:
            self._validators.listen(0.01)
            self._look(sleeper)
            self._look(other)
            height, now_s = self._audit.height_of(sleeper.index), time.monotonic()
            if not begun_s and height > slept_at:
                begun_s, slept_at = now_s, height
            if begun_s and height >= self._audit.height_of(other.index) - CATCH_UP_DISTANCE_BLOCKS:
                findings.catch_up_blocks = height - slept_at
                findings.catch_up_blocks_per_s = (height - slept_at) / max(now_s - begun_s, 0.001)
                return
        findings.violations.append(f"node{sleeper.index} did not catch up within {PROGRESS_S_MAX:.0f} s")

    def measure_lost_disk(self, lose_disk: Callable[[int], None]) -> None:
        """One validator loses its blocks and states, not what it signed: it starts from a peer's snapshot."""
        seat = self._validators.seats[0]
        self._validators.end([seat])
        self._look(seat)
        lose_disk(seat.index)
        self._audit.forget_store(seat.index)
        self._start(seat)
        give_up_at_s = time.monotonic() + PROGRESS_S_MAX
        while not seat.has_voted and time.monotonic() < give_up_at_s:
            self._watch(LOOK_INTERVAL_S)
        self.findings.disk_lost_to_vote_s = time.monotonic() - seat.started_s
        if self._audit.lowest_height_of(seat.index) <= 1:
            self.findings.violations.append(f"node{seat.index} did not start from a snapshot")

    def measure_lost_guard(self, lose_all: Callable[[int], None], is_observer: Callable[[int], bool]) -> None:
        """One validator loses everything, what it signed too: it follows, and never votes."""
        seat, other = self._validators.seats[1], self._validators.seats[2]
        self._validators.end([seat])
        self._look(seat)
        lose_all(seat.index)
        self._audit.forget_store(seat.index)
        self._audit.forget_journal(seat.index)
        self._start(seat)
        give_up_at_s = time.monotonic() + PROGRESS_S_MAX
        target = self._audit.height_of(other.index)
        while self._audit.height_of(seat.index) < target and time.monotonic() < give_up_at_s:
            self._watch(LOOK_INTERVAL_S)
        self._watch(OBSERVE_S)
        if seat.has_voted or not is_observer(seat.index) or self._audit.height_of(seat.index) < target:
            self.findings.violations.append(f"node{seat.index} lost its guard and does not just follow")

    def finish(self) -> None:
        """Let all come to rest on one chain, and judge it."""
        self._wait_for_progress("all else")
        self._validators.end(self._validators.seats, signal.SIGTERM)
        self.findings.heights_compared = self._audit.judge_end()
        self.findings.violations += self._audit.violations + self._validators.deaths
