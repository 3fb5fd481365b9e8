"""The schedules that mutants are run on. Unmutated code passes every one of them.

`swarm` is the campaign as it is. The others bend its plans towards one kind of trouble, because a bug is found fast
only by the member who exploits it or the fault that uncovers it. "Unguarded" takes away the signer's guard, which
would hide what agreement does wrong; "forgetful" takes away agreement's memory of its votes, which would hide what the
guard does wrong.
"""

import itertools
import random
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from consensus import recovery
from testnet.sim.campaign import run_seed
from testnet.sim.clocks import START_MS
from testnet.sim.forks import run_fork
from testnet.sim.markets import list_markets
from testnet.sim.mutants.patches import Patches, Plant
from testnet.sim.oracle import Move
from testnet.sim.plan import Fault, Plan
from testnet.sim.stage import Stage
from testnet.sim.twins import iterate_cases, run_case

SLOW_MS = 200
SAFETY_MS = 8_000
SETTLES_MS, HALT_MS, HALT_LASTS_MS = 16_000, 18_000, 620_000
Play = Callable[[int], str]  # a seed's failure; empty if all is well
MakeFaults = Callable[[random.Random], list[Fault]]
CALM: dict[str, Any] = {
    "member_count": 4, "loss": 0.0, "duplicates": 0.0, "delay_mean_ms": 5.0, "delay_least_ms": 1,
    "bandwidth_bytes_per_ms": 0, "execution_mean_ms": 0.5, "sync_mean_ms": 1.0, "load_per_s": 5.0,
    "deposits_per_minute": 30.0, "wall_offsets_ms": {}, "wall_drifts_ppm": {}, "timer_drifts_ppm": {},
    "retain_views": 16, "has_memo": True, "has_real_signatures": False,
}  # fmt: skip


def swarm(**changes: Any) -> Play:
    """Plans as they are drawn, with these changes."""
    return lambda seed: run_seed(seed, safety_ms=SAFETY_MS, **changes).failure


def calm(
    behaviour: str = "", make_faults: MakeFaults | None = None, safety_ms: int = SAFETY_MS, **changes: Any
) -> Play:
    """A sound network of four and nothing but this liar, or these faults."""

    def play(seed: int) -> str:
        liars = {seed % 4: behaviour} if behaviour else {}
        faults = make_faults(random.Random(seed)) if make_faults is not None else []
        plan = {**CALM, "byzantine": liars, "faults": faults, **changes}
        return run_seed(seed, safety_ms=safety_ms, **plan).failure

    return play


def crash_often(rng: random.Random) -> list[Fault]:
    """Everybody, again and again, between any two effects."""
    return [
        Fault("crash", at_ms, rng.randint(50, 300), rng.randrange(4), rng.randint(0, 30))
        for at_ms in range(500, SAFETY_MS - 500, 250)
    ]


def break_disks(kind: str) -> MakeFaults:
    """One member's disk, and a crash soon after."""

    def make_faults(rng: random.Random) -> list[Fault]:
        member, at_ms = rng.randrange(4), rng.randint(1_000, 3_000)
        again = [
            Fault("crash", at_ms + wait_ms, 100, member, rng.randint(0, 30)) for wait_ms in (300, 900, 1_500, 2_500)
        ]
        return [Fault(kind, at_ms, rng.randint(50, 200), member), *again]

    return make_faults


def rot_disks(rng: random.Random) -> list[Fault]:
    return [Fault("disk rot", rng.randint(2_000, 6_000), 50, rng.randrange(4))]


def stay_away(rng: random.Random) -> list[Fault]:
    """One member is away for so long that only ranges bring it back."""
    return [Fault("crash", 1_000, 6_500, rng.randrange(4), rng.randint(0, 9))]


@lru_cache(maxsize=1)
def list_cases() -> list[Any]:
    return list(itertools.islice(iterate_cases(), 300))


def twins(seed: int) -> str:
    cases = list_cases()
    return run_case(seed, cases[seed % len(cases)]).failure


def slow_links(seed: int) -> str:
    """Twins whose every message takes so long that a view's first patience does not suffice."""
    cases = list_cases()
    return run_case(seed, cases[seed % len(cases)], SLOW_MS).failure


def forks(seed: int) -> str:
    return run_fork(seed).result.failure


def market(seed: int) -> str:
    """A future that settles while the price falls, then a halt of ten minutes in which it falls again; one member
    reports what it likes.
    """
    plan = Plan(seed, load_per_s=20.0, deposits_per_minute=0.0, byzantine={seed % 4: "extreme prices"})
    stage = Stage(plan, list_markets(START_MS + SETTLES_MS))
    stage.exchange_checker.expect_faults()
    stage.wake(seed % 4, is_awake=True)
    stage.oracle.moves.append(Move(7_000, SETTLES_MS, -900, None))
    stage.play_until(HALT_MS)
    for node in stage.nodes:
        node.down_ms = HALT_LASTS_MS
        node.crash()
    resumes_ms = HALT_MS + HALT_LASTS_MS
    stage.oracle.moves.append(Move(HALT_MS, resumes_ms, -2_500, None))
    stage.play_until(resumes_ms + 40_000)
    return stage.violation


def leave_as_is(_: Patches) -> None:
    pass


def forget_votes(patches: Patches) -> None:
    patches.put(recovery, "restore_vote", lambda *_: None)


LIARS = (
    "forger", "usurper", "slanderer", "retagger", "wrong result", "replayer", "batch hider", "batch forger",
    "report forger", "lone reporter", "clock liar", "inbox forger", "bad order",
)  # fmt: skip
PROFILES: dict[str, Play] = {
    "swarm": swarm(),
    "unguarded": swarm(has_guard=False),
    "unguarded equivocator": swarm(has_guard=False, byzantine={1: "equivocator"}),
    "skipper": swarm(byzantine={1: "skipper"}),
    "fabricator": swarm(byzantine={1: "fabricator"}),
    "lossy": swarm(loss=0.3),
    "quiet": calm(safety_ms=3 * SAFETY_MS),
    **{name: calm(name) for name in LIARS},
    "crashes": calm(make_faults=crash_often),
    "crashes unguarded": calm(make_faults=crash_often, has_guard=False),
    "forgetful": calm(make_faults=crash_often, loss=0.15, delay_mean_ms=30.0),
    "disk errors": calm(make_faults=break_disks("disk error")),
    "full disks": calm(make_faults=break_disks("disk full")),
    "rotten disks": calm(make_faults=rot_disks, has_guard=False),
    "long outage": calm(make_faults=stay_away, retain_views=2, delay_mean_ms=30.0),
    "sync liar": calm("sync liar", make_faults=stay_away, retain_views=2),
    "sync inventor": calm("sync inventor", make_faults=stay_away, retain_views=2),
    "market": market,
    "slow links": slow_links,
    "twins": twins,
    "forks": forks,
}
# What a profile takes out of the code, for its mutants and its controls alike.
PLANTED: dict[str, Plant] = {"forgetful": forget_votes}
