"""Plans drawn from seeds. Ranges are drawn first, so that most runs lack most faults and some have plenty of one."""

import random
from collections.abc import Callable

from testnet.sim.byzantine import BEHAVIOURS
from testnet.sim.faults import SHAPES
from testnet.sim.network import FILTERS
from testnet.sim.plan import Fault, Plan

# Members, how often, and how long the safety phase is: the work grows with the square of the members.
SIZES = (
    (4, 640, 34_000),
    (5, 120, 30_000),
    (7, 130, 22_000),
    (10, 80, 10_000),
    (16, 24, 5_000),
    (31, 5, 3_000),
    (100, 1, 500),
)
# Every lie goes to everybody, who answer it: thirty liars among a hundred members are a day's work.
LIARS_MAX = 10
ORACLE_FAULTS = ("missing", "stale", "extreme")
FAULTS_OF_A_KIND_MAX = 4
BIG_STEP_MS = 10_000
WEATHER_SEED = 0xF06  # drawn apart from all the rest, which stays as it is

Draw = Callable[[random.Random, Plan], list[Fault]]


def draw_plan(seed: int, safety_ms: int | None = None) -> Plan:
    """`safety_ms` overrides the length of the first phase."""
    rng = random.Random(seed)
    member_count, _, usual_ms = rng.choices(SIZES, weights=[weight for _, weight, _ in SIZES])[0]
    plan = Plan(seed, member_count, safety_ms=safety_ms or usual_ms)
    plan.byzantine = draw_liars(rng, plan)
    plan.delay_least_ms = rng.choice((1, 1, 1, 5, 30))
    plan.delay_mean_ms = rng.choice((1.0, 3.0, 10.0, 30.0, 80.0, 250.0))
    plan.loss = rng.choice((0.0, 0.0, 0.01, 0.05, 0.15, 0.3))
    plan.duplicates = rng.choice((0.0, 0.0, 0.1, 0.5))
    plan.bandwidth_bytes_per_ms = rng.choice((0, 0, 0, 100, 1_000))
    plan.execution_mean_ms = rng.choice((0.5, 0.5, 5.0, 50.0))
    plan.sync_mean_ms = rng.choice((0.2, 1.0, 5.0, 30.0))
    plan.load_per_s = rng.choice((0.0, 1.0, 3.0, 8.0))
    plan.deposits_per_minute = rng.choice((0.0, 5.0, 30.0))
    plan.retain_views = rng.choice((6, 16, 64))
    plan.snapshot_blocks = rng.choice((8, 32, 1_000))
    plan.has_memo = rng.random() >= 0.05
    plan.has_real_signatures = member_count <= 7 and rng.random() < 0.01
    draw_clocks(rng, plan)
    for draw in DRAWS:
        if rng.random() < 0.3:
            plan.faults += draw(rng, plan)
    plan.faults += draw_weather(random.Random(seed ^ WEATHER_SEED), plan)
    plan.faults.sort(key=lambda fault: fault.at_ms)
    plan.snapshot_gap_blocks = rng.choice((plan.snapshot_gap_blocks, 60, 20))
    return plan


def draw_liars(rng: random.Random, plan: Plan) -> dict[int, str]:
    """None in a third of the runs with four members. The first liar's behaviour goes with the seed, so that short
    campaigns have every kind, too.
    """
    count = max(rng.randint(0, plan.fault_bound), rng.choice((0, 0, 1)))
    members = rng.sample(range(plan.member_count), min(count, plan.fault_bound, LIARS_MAX))
    kinds = [BEHAVIOURS[plan.seed % len(BEHAVIOURS)], *rng.choices(BEHAVIOURS, k=plan.fault_bound)]
    return {member: kind.name for member, kind in zip(members, kinds)}


def draw_clocks(rng: random.Random, plan: Plan) -> None:
    """Everybody a little wrong; sometimes up to f of them very."""
    members = range(plan.member_count)
    spread_ms = rng.choice((0, 20, 200))
    plan.wall_offsets_ms = {member: rng.randint(-spread_ms, spread_ms) for member in members if spread_ms}
    if rng.random() < 0.2:
        for member in rng.sample(members, rng.randint(0, plan.fault_bound)):
            plan.wall_offsets_ms[member] = rng.randint(-BIG_STEP_MS, BIG_STEP_MS)
    if rng.random() < 0.3:
        plan.wall_drifts_ppm = {member: rng.randint(-500, 500) for member in members}
        plan.timer_drifts_ppm = {member: rng.randint(-500, 500) for member in members}
        for member in rng.sample(members, rng.randint(0, plan.fault_bound)):
            plan.timer_drifts_ppm[member] = rng.randint(-300_000, 300_000)
            plan.wall_drifts_ppm[member] = rng.randint(-300_000, 300_000)


def draw_times(rng: random.Random, plan: Plan) -> list[int]:
    """When the faults of one kind begin."""
    last_ms = max(101, plan.safety_ms - 500)
    return [rng.randint(100, last_ms) for _ in range(rng.randint(1, FAULTS_OF_A_KIND_MAX))]


def draw_member(rng: random.Random, plan: Plan) -> int:
    return rng.randrange(plan.member_count)


def crashes(rng: random.Random, plan: Plan) -> list[Fault]:
    """Now and then one that lasts through the first phase, or a loop of them."""
    longest_ms = rng.choice((300, 3_000, plan.safety_ms))
    faults = [
        Fault("crash", at_ms, rng.randint(50, longest_ms), draw_member(rng, plan), rng.randint(0, 30))
        for at_ms in draw_times(rng, plan)
    ]
    if rng.random() < 0.3:
        member, at_ms = draw_member(rng, plan), rng.randint(100, max(101, plan.safety_ms - 4_000))
        faults += [Fault("crash", at_ms + turn * 400, 100, member, rng.randint(0, 20)) for turn in range(8)]
    return faults


def crashes_of_all(rng: random.Random, plan: Plan) -> list[Fault]:
    return [Fault("crash all", at_ms, rng.randint(50, 3_000)) for at_ms in draw_times(rng, plan)[:2]]


def pauses(rng: random.Random, plan: Plan) -> list[Fault]:
    return [
        Fault("pause", at_ms, rng.choice((1_000, 5_000, 20_000)), draw_member(rng, plan))
        for at_ms in draw_times(rng, plan)
    ]


def slow_nodes(rng: random.Random, plan: Plan) -> list[Fault]:
    return [
        Fault("slow", at_ms, rng.randint(1_000, 20_000), draw_member(rng, plan), rng.choice((10, 50, 200)))
        for at_ms in draw_times(rng, plan)
    ]


def partitions(rng: random.Random, plan: Plan) -> list[Fault]:
    """One shape a run, once or flapping."""
    members, shape = plan.member_count, rng.choice(SHAPES)
    lasts_ms = rng.choice((200, 1_000, 5_000, 10_000))
    side_count = rng.choice((1, members // 2, members - 1))
    side = tuple(rng.sample(range(members), members // 2 + 1 if shape == "bridge" else side_count))
    times_ms = draw_times(rng, plan)
    if rng.random() < 0.3:
        first_ms = times_ms[0]
        times_ms = [first_ms + turn * lasts_ms * 2 for turn in range(6)]
    return [Fault("partition", at_ms, lasts_ms, shape=shape, side=side) for at_ms in times_ms]


def filters(rng: random.Random, plan: Plan) -> list[Fault]:
    return [
        Fault(
            "filter",
            at_ms,
            rng.randint(500, 8_000),
            rng.choice((-1, draw_member(rng, plan))),
            shape=rng.choice(FILTERS),
        )
        for at_ms in draw_times(rng, plan)
    ]


def swizzles(rng: random.Random, plan: Plan) -> list[Fault]:
    side = tuple(rng.sample(range(plan.member_count), plan.member_count // 2))
    return [Fault("swizzle", at_ms, rng.randint(500, 6_000), side=side) for at_ms in draw_times(rng, plan)[:2]]


def draw_weather(rng: random.Random, plan: Plan) -> list[Fault]:
    """In one run of five, links of some members that are slow or lose frames for a while."""
    if rng.random() >= 0.2:
        return []
    side = tuple(rng.sample(range(plan.member_count), rng.randint(0, plan.member_count // 2)))
    kind, degree = rng.choice((("delay", 20), ("delay", 150), ("delay", 600), ("loss", 50), ("loss", 300)))
    return [Fault(kind, at_ms, rng.randint(500, 8_000), degree=degree, side=side) for at_ms in draw_times(rng, plan)]


def clock_steps(rng: random.Random, plan: Plan) -> list[Fault]:
    step_ms = rng.choice((300, BIG_STEP_MS))
    return [
        Fault("clock step", at_ms, 0, draw_member(rng, plan), rng.randint(-step_ms, step_ms))
        for at_ms in draw_times(rng, plan)
    ]


def disk_faults(rng: random.Random, plan: Plan) -> list[Fault]:
    return [
        Fault(
            rng.choice(("disk slow", "disk full", "disk error")), at_ms, rng.randint(200, 5_000),
            draw_member(rng, plan), rng.choice((30, 300, 1_000)),
        )
        for at_ms in draw_times(rng, plan)
    ]  # fmt: skip


def lost_disks(rng: random.Random, plan: Plan) -> list[Fault]:
    """Only so many that a quorum of votes remains."""
    sound = [member for member in range(plan.member_count) if member not in plan.byzantine]
    count = min(plan.fault_bound - len(plan.byzantine), 2)
    return [
        Fault(rng.choice(("disk lost", "disk rot")), rng.randint(100, plan.safety_ms), rng.randint(50, 3_000), member)
        for member in rng.sample(sound, count)
    ]


def oracle_faults(rng: random.Random, plan: Plan) -> list[Fault]:
    count = rng.randint(1, max(1, plan.fault_bound))
    return [
        Fault(
            "oracle",
            rng.randint(0, plan.safety_ms),
            rng.randint(2_000, 20_000),
            member,
            shape=rng.choice(ORACLE_FAULTS),
        )
        for member in rng.sample(range(plan.member_count), count)
    ]


def settlement_faults(rng: random.Random, plan: Plan) -> list[Fault]:
    plan.deposits_per_minute = max(plan.deposits_per_minute, 30.0)
    faults = [Fault("reorganisation", at_ms) for at_ms in draw_times(rng, plan)]
    return faults + [
        Fault("rpc stall", at_ms, rng.randint(1_000, 20_000), draw_member(rng, plan)) for at_ms in draw_times(rng, plan)
    ]


def slow_executions(rng: random.Random, plan: Plan) -> list[Fault]:
    """Slower than delta for a while."""
    return [
        Fault("slow execution", at_ms, rng.randint(1_000, 5_000), degree=rng.choice((50, 150, 400)))
        for at_ms in draw_times(rng, plan)[:2]
    ]


def bursts(rng: random.Random, plan: Plan) -> list[Fault]:
    return [
        Fault("burst", at_ms, rng.randint(300, 3_000), degree=rng.choice((30, 100)))
        for at_ms in draw_times(rng, plan)[:2]
    ]


DRAWS: tuple[Draw, ...] = (
    crashes, crashes_of_all, pauses, slow_nodes, partitions, filters, swizzles, clock_steps, disk_faults, lost_disks,
    oracle_faults, settlement_faults, slow_executions, bursts,
)  # fmt: skip

# What a long campaign must have seen at work: everything that can be drawn.
EXPECTED = (
    *(f"behaviour: {kind.name}" for kind in BEHAVIOURS),
    *(
        f"fault: {kind}"
        for kind in (
            "crash", "crash all", "pause", "slow", "swizzle", "clock step", "disk slow", "disk full", "disk error",
            "disk lost", "disk rot", "reorganisation", "rpc stall", "slow execution", "burst",
        )
    ),
    *(f"partition: {shape}" for shape in SHAPES),
    *(f"filter: {kind}" for kind in FILTERS),
    *(f"oracle: {kind}" for kind in ORACLE_FAULTS),
    "weather: delay", "weather: loss", "network: loss", "network: duplicate", "network: bandwidth", "network: cut",
    "disk: unsynced writes lost", "disk: fatal error", "disk: start refused", "repair: block fetch",
    "repair: batch fetch", "repair: range sync", "repair: range taken", "repair: snapshot adopted", "load: message",
    "settlement: deposit", "evidence",
)  # fmt: skip
