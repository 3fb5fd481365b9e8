"""From a failing plan to a small one that fails alike: leave out one thing after the other, keep what still fails."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from testnet.sim.plan import Plan, encode_plan
from testnet.sim.world import World

SAFETY_MS_MIN = 500

Step = tuple[str, Callable[[Plan], Plan]]


def name_property(failure: str) -> str:
    """Which property broke: the first word; of an exception its kind too."""
    words = failure.split()
    return " ".join(words[:2]) if words[:1] == ["exception"] else words[0]


def fails_alike(plan: Plan, wanted: str) -> bool:
    """A run may change its plan, hence the copy."""
    failure = World(copy_plan(plan)).run().failure
    return bool(failure) and name_property(failure) == wanted


def copy_plan(plan: Plan) -> Plan:
    return replace(plan, byzantine=dict(plan.byzantine), faults=list(plan.faults))


def iterate_steps(plan: Plan) -> Iterator[Step]:
    """What may be left out of this plan, the coarsest first."""
    quiet = Plan(plan.seed, plan.member_count)
    if len(plan.faults) > 1:
        middle = len(plan.faults) // 2
        yield "the later half of the faults", lambda old: replace(old, faults=old.faults[:middle])
        yield "the earlier half of the faults", lambda old: replace(old, faults=old.faults[middle:])
    for fault in plan.faults:
        yield (
            f"{fault.kind} at {fault.at_ms}",
            lambda old, gone=fault: replace(  # type: ignore[misc]
                old, faults=[kept for kept in old.faults if kept is not gone]
            ),
        )
    for member in plan.byzantine:
        yield (
            f"byzantine member {member}",
            lambda old, gone=member: replace(  # type: ignore[misc]
                old, byzantine={kept: name for kept, name in old.byzantine.items() if kept != gone}
            ),
        )
    for name in (
        "loss", "duplicates", "bandwidth_bytes_per_ms", "delay_least_ms", "delay_mean_ms", "execution_mean_ms",
        "sync_mean_ms", "wall_offsets_ms", "wall_drifts_ppm", "timer_drifts_ppm", "retain_views", "snapshot_blocks",
        "has_real_signatures", "has_memo",
    ):  # fmt: skip
        if getattr(plan, name) != getattr(quiet, name):
            yield name, lambda old, usual=name: replace(old, **{usual: getattr(quiet, usual)})  # type: ignore[misc]
    for name in ("load_per_s", "deposits_per_minute"):
        if getattr(plan, name):
            yield name, lambda old, zero=name: replace(old, **{zero: 0.0})  # type: ignore[misc]
    if plan.safety_ms > SAFETY_MS_MIN:
        yield "half of the time", lambda old: replace(old, safety_ms=max(SAFETY_MS_MIN, old.safety_ms // 2))
        yield "a tenth of the time", lambda old: replace(old, safety_ms=max(SAFETY_MS_MIN, old.safety_ms * 9 // 10))


def reduce_plan(plan: Plan, failure: str) -> Iterator[str]:
    """Notes on the way; the last is the command that runs what is left."""
    wanted = name_property(failure)
    is_smaller = True
    while is_smaller:
        is_smaller = False
        for name, step in iterate_steps(plan):
            smaller = step(plan)
            if fails_alike(smaller, wanted):
                plan, is_smaller = smaller, True
                yield f"still {wanted} without {name}"
                break
    yield f"python -m testnet.simulate --trace --plan '{encode_plan(plan)}'"
