"""Scenarios in virtual time: of every member the whole node but its sockets, in one process, repeatable by a seed.

The simulator's own checkers (docs/simulator.md) watch every event of the run beside the scenario's conditions; what
they find is a finding of the audit. Where a simulated network differs from a real one: a lost frame is lost for good,
because there is no TCP that sends it again, and a member that crashes loses what its disk had not synced.
"""

import time
from collections.abc import Callable

from engine.params import DEFAULT_MARKETS
from engine.payload import KIND_DEPOSIT
from testnet.scenario.backend import Abilities
from testnet.scenario.conditions import CONDITIONS, CheckpointOnChain, EvidenceNames
from testnet.scenario.facts import Books, Facts, Final, Liquidation, Sample, Verdict
from testnet.scenario.harms import (
    KINDS,
    Byzantine,
    ClockSkew,
    Crash,
    Delay,
    DiskFull,
    DiskLost,
    Fault,
    Harm,
    Loss,
    NoPrices,
    Partition,
    Pause,
    PriceMove,
    SlowDisk,
    TimeLeap,
)
from testnet.scenario.inspection import Inspector
from testnet.scenario.probes import TRIALS, LostAnswer, Probe
from testnet.scenario.records import Scenario
from testnet.scenario.simulator_probes import attempt_trial
from testnet.sim.clocks import START_MS
from testnet.sim.exchange import ORDERS_MAX
from testnet.sim.markets import list_markets
from testnet.sim.network import Weather
from testnet.sim.node import Node
from testnet.sim.onchain import Onchain
from testnet.sim.oracle import Move
from testnet.sim.plan import Plan
from testnet.sim.stage import Stage

# What only contracts can tell. They cost a second, and signatures on the curve.
ABOUT_CONTRACTS = (CheckpointOnChain, EvidenceNames)
# Deposits are final after two seconds, and everybody has found everybody.
WARM_UP_MS = 5_000
FOR_EVER_MS = 1 << 50
FAR_EXPIRY_MS = 3 * 86_400_000
BEHAVIOURS = {
    "equivocate": "equivocator", "withhold": "hoarder", "forge": "forger", "censor": "self server",
    "stale_prices": "stale prices", "false_prices": "dear prices",
}  # fmt: skip


class SimulatorBackend:
    """One run. `clock` tells processor seconds, for the report alone."""

    name = "sim"

    def __init__(self, clock: Callable[[], float] = time.process_time) -> None:
        self.abilities = Abilities(frozenset(KINDS), frozenset(CONDITIONS), frozenset(TRIALS))
        self._clock = clock
        self._begun_s = 0.0

    def find_obstacle(self, scenario: Scenario) -> str:
        names = {market.underlying_name for market in DEFAULT_MARKETS}
        for fault in scenario.faults:
            if isinstance(fault.harm, PriceMove) and fault.harm.underlying not in ("", *names):
                return f"the simulator has no underlying {fault.harm.underlying!r}: {', '.join(sorted(names))}"
        for probe in scenario.probes:
            if isinstance(probe.trial, LostAnswer) and probe.trial.orders > ORDERS_MAX:
                return f"an account of a simulated exchange has at most {ORDERS_MAX} orders: write fewer"
        if scenario.network.epoch_s:
            return "a simulated committee stays for the whole run: leave epoch_s out, or run it on processes"
        return ""

    async def start(self, scenario: Scenario) -> None:
        self._begun_s = self._clock()
        network = scenario.network
        plan = Plan(
            network.seed, network.validators, "scenario", deposits_per_minute=0.0,
            byzantine={member: BEHAVIOURS[name] for member, name in scenario.liars.items()},
            load_per_s=scenario.load.commands_per_s if scenario.load is not None else 0.0,
            has_real_signatures=needs_contracts(scenario),
        )  # fmt: skip
        onchain = Onchain(plan.member_count, plan.seed) if plan.has_real_signatures else None
        withdraw_after_s = scenario.load.withdraw_after_s if scenario.load is not None else 0.0
        markets = list_markets(choose_expiry_ms(scenario))
        self.stage = Stage(plan, markets, onchain, WARM_UP_MS + round(withdraw_after_s * 1000))
        self._inspector = Inspector(markets, frozenset(scenario.liars))
        self.stage.on_block = self._inspector.see
        if any(not isinstance(fault.harm, Byzantine) for fault in scenario.faults):
            self.stage.exchange_checker.expect_faults()
        self.stage.play_until(WARM_UP_MS)
        self.stage.looks.clear()
        self._first_onchain_height = 0 if onchain is None else onchain.settlement.last().height

    async def wait_until(self, at_s: float) -> float:
        self.stage.play_until(WARM_UP_MS + round(at_s * 1000))
        return self._now_s()

    def _now_s(self) -> float:
        return (self.stage.now_ms - WARM_UP_MS) / 1000

    async def apply(self, fault: Fault) -> None:
        stage = self.stage
        lasts_ms = round((fault.ends_s - fault.at_s) * 1000) if fault.is_healed else FOR_EVER_MS
        match fault.harm:
            case PriceMove(change_bps=change_bps, underlying=name):
                number = stage.exchange.params.underlyings.index(name) if name else None
                ends_ms = stage.now_ms + round((fault.ends_s - fault.at_s) * 1000)
                stage.oracle.moves.append(Move(stage.now_ms, ends_ms, change_bps, number))
            case TimeLeap(leap_s=leap_s):
                stage.leap(round(leap_s * 1000))
            case Delay() | Loss():
                stage.network.begin_weather(fault.number, make_weather(fault))
            case Partition(direction=direction):
                stage.network.cut(list_cuts(fault.targets, direction, stage.plan.member_count))
            case Byzantine() | NoPrices() | ClockSkew():
                self._bend(fault, is_begun=True)
            case Crash() | DiskLost() | Pause() | DiskFull() | SlowDisk():
                for member in fault.targets:
                    for node in stage.members[member]:
                        break_machine(node, fault.harm, lasts_ms)
            case _:
                stage.faults.stalled = dict.fromkeys(range(stage.plan.member_count))

    async def heal(self, fault: Fault) -> None:
        """Who was down or paused comes back by itself."""
        stage = self.stage
        match fault.harm:
            case Delay() | Loss():
                stage.network.end_weather(fault.number)
            case Partition(direction=direction):
                links = list_cuts(fault.targets, direction, stage.plan.member_count)
                stage.network.mend(links)
                stage.reconnect(links)
            case Byzantine() | NoPrices() | ClockSkew():
                self._bend(fault, is_begun=False)
            case DiskFull() | SlowDisk():
                for member in fault.targets:
                    for node in stage.members[member]:
                        mend_machine(node, fault.harm)
            case Crash() | DiskLost() | Pause() | PriceMove() | TimeLeap():
                pass
            case _:
                stage.faults.stalled = {}

    def _bend(self, fault: Fault, is_begun: bool) -> None:
        """What members say, not what their machines do."""
        stage = self.stage
        for member in fault.targets:
            if isinstance(fault.harm, NoPrices):
                stage.oracle.faults.pop(member, None)
                if is_begun:
                    stage.oracle.faults[member] = "missing"
            if isinstance(fault.harm, Byzantine):
                stage.wake(member, is_begun)
            if isinstance(fault.harm, ClockSkew):
                for node in stage.members[member]:
                    node.clocks.offset_ms += fault.harm.skew_ms if is_begun else -fault.harm.skew_ms

    async def attempt(self, probe: Probe) -> list[Verdict]:
        return attempt_trial(probe.trial, self.stage)

    async def observe(self) -> Facts:
        stage = self.stage
        found = self._inspector.findings
        compared, disagreements = compare_stores(stage.honest)
        offences = {
            member: tuple(f"E{number}" for number in found) for member, found in stage.checkers.offences.items()
        }
        convicted = offences if stage.onchain is None else stage.onchain.try_all(stage.checkers.evidence)
        return Facts(
            stage.plan.member_count,
            duration_s=self._now_s(),
            samples=[Sample((look.at_ms - WARM_UP_MS) / 1000, look.heights) for look in stage.looks],
            finals=[Final((item.at_ms - WARM_UP_MS) / 1000, item.height, item.latency_ms) for item in stage.deliveries],
            are_alive=tuple(stage.is_answering(member) for member in range(stage.plan.member_count)),
            heights_compared=compared,
            disagreements=disagreements,
            books=self._close_books(),
            trades=stage.trade_count,
            liquidations=[
                Liquidation(self._find_s(case.height), case.height, case.account, case.fault) for case in found.cases
            ],
            funding_blocks=found.funding_blocks,
            funding_payments=found.funding_payments,
            funding_breaks=found.funding_breaks,
            priced_blocks=found.priced_blocks,
            price_breaks=found.price_breaks,
            expiries_settled=len(found.settled),
            settlement_breaks=found.settlement_breaks,
            offences=offences,
            convicted=tuple(convicted),
            first_onchain_height=self._first_onchain_height,
            onchain_height=0 if stage.onchain is None else stage.onchain.settlement.last().height,
            onchain_findings=compare_checkpoints(stage),
            audit_blocks=stage.checkers.height,
            audit_findings=[stage.violation] if stage.violation else [],
            broken=stage.violation,
            state_root=stage.auditor.state.state_root.hex(),
            notes=[
                f"in virtual time: {stage.event_count} events with audit hash {stage.audit.hexdigest()}, the same in"
                f" every run of seed {stage.plan.seed}",
            ],
        )

    def _find_s(self, height: int) -> float:
        """When a height was first final."""
        return (self.stage.final_ms[height] - WARM_UP_MS) / 1000

    def _close_books(self) -> Books:
        """Without contracts, what was paid in is what they would hold."""
        onchain = self.stage.onchain
        state, entries = self.stage.auditor.state, self.stage.settlement.entries
        deposits = [entry.amount if entry.kind == KIND_DEPOSIT else 0 for entry in entries]
        return Books(
            claims_quote=int.from_bytes(state.account_sums[:16], "big"),
            debt_quote=int.from_bytes(state.account_sums[16:], "big"),
            withdrawals_quote=state.withdrawals_total_quote,
            consumed_quote=sum(deposits[: state.inbox_cursor]),
            deposits_quote=sum(deposits),
            claimed_quote=0 if onchain is None else onchain.settlement.paid_total(),
            escrow_quote=sum(deposits) if onchain is None else onchain.settlement.token_balance(onchain.contract),
        )

    async def stop(self) -> None:
        """Nothing was started."""


def needs_contracts(scenario: Scenario) -> bool:
    return bool(scenario.probes) or any(isinstance(condition, ABOUT_CONTRACTS) for condition in scenario.conditions)


def choose_expiry_ms(scenario: Scenario) -> int | None:
    """By the wall clock; None where nothing expires."""
    if not scenario.network.has_options:
        return None
    return START_MS + WARM_UP_MS + (round(scenario.network.expiry_s * 1000) or FAR_EXPIRY_MS)


def make_weather(fault: Fault) -> Weather:
    if isinstance(fault.harm, Delay):
        return Weather(fault.targets, round(fault.harm.delay_ms), round(fault.harm.jitter_ms))
    assert isinstance(fault.harm, Loss)
    return Weather(fault.targets, loss=fault.harm.share)


def list_cuts(targets: tuple[int, ...], direction: str, member_count: int) -> list[tuple[int, int]]:
    """One-way links from source to target that a partition cuts."""
    inside = dict.fromkeys(targets)
    others = [member for member in range(member_count) if member not in inside]
    to = [(other, member) for other in others for member in targets] if direction != "from" else []
    return to + [(member, other) for other in others for member in targets if direction != "to"]


def break_machine(node: Node, harm: Harm, lasts_ms: int) -> None:
    match harm:
        case Crash() | DiskLost():
            node.down_ms = lasts_ms
            if node.is_up:
                node.crash()
            if isinstance(harm, DiskLost):
                node.store.wipe()
        case Pause():
            node.paused_until_ms = node.world.now_ms + lasts_ms
        case DiskFull():
            node.disk.is_full = node.store.fails = True
        case SlowDisk(sync_ms=sync_ms):
            node.sync_extra_ms = sync_ms


def mend_machine(node: Node, harm: Harm) -> None:
    if isinstance(harm, SlowDisk):
        node.sync_extra_ms = 0
    else:
        node.disk.is_full = node.store.fails = False


def compare_checkpoints(stage: Stage) -> list[str]:
    """Posted headers that are not those of the chain."""
    if stage.onchain is None:
        return []
    records = stage.onchain.list_checkpoints()
    finals = stage.checkers.final_headers
    return [f"height {record.height}" for record in records if finals[record.height][0] != record.header_hash]


def compare_stores(nodes: list[Node]) -> tuple[int, list[str]]:
    """How many heights stand on several disks, and where their blocks or roots differ."""
    compared, differing = 0, []
    for height in range(1, max((node.store.height() for node in nodes), default=0) + 1):
        held = [final.block for node in nodes if (final := node.store.final(height)) is not None]
        if len(held) > 1:
            compared += 1
            if any(block.hash() != held[0].hash() for block in held):
                differing.append(f"height {height}")
    return compared, differing
