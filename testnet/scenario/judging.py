"""Whether a condition holds, and what was measured for it."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from testnet.scenario import conditions as kinds
from testnet.scenario.conditions import Condition
from testnet.scenario.facts import Facts, Sample, Verdict
from testnet.scenario.harms import kind_of
from testnet.scenario.records import Scenario

Judged = tuple[str, bool]
SHOWN_MAX = 3


def judge_all(scenario: Scenario, facts: Facts) -> list[Verdict]:
    """A run that its back end broke off has failed, whatever its conditions ask for."""
    found = [judge(condition, scenario, facts) for condition in scenario.conditions]
    if facts.broken:
        found.append(Verdict("broken", "No property that the back end watches breaks", facts.broken, False))
    return found


def judge(condition: Condition, scenario: Scenario, facts: Facts) -> Verdict:
    measured, is_met = _JUDGES[type(condition)](condition, scenario, facts)
    return Verdict(kind_of(type(condition)), describe(condition), measured, is_met)


def describe(condition: Condition) -> str:
    """The first sentence of what its kind says."""
    text = " ".join((type(condition).__doc__ or "").split())
    return text.partition(". ")[0].removesuffix(".")


def list_recoveries(scenario: Scenario) -> Iterator[float]:
    """Times at which faults end and none that ends is left; the beginning counts where there are none."""
    ends = [fault for fault in scenario.faults if fault.is_healed]
    if not ends:
        yield 0.0
    for fault in ends:
        if not any(other.at_s <= fault.ends_s < other.ends_s for other in ends):
            yield fault.ends_s


def find_growth_s(samples: list[Sample], since_s: float, blocks: int) -> float | None:
    """How long after that time all members stood `blocks` above where the highest was then; None: never."""
    before = max((sample.newest for sample in samples if sample.at_s <= since_s), default=0)
    for sample in samples:
        if sample.at_s > since_s and all(height is not None and height >= before + blocks for height in sample.heights):
            return sample.at_s - since_s
    return None


def find_gap_s(samples: list[Sample], end_s: float) -> float:
    """The longest time in which the newest height stayed what it was."""
    gap_s, newest, since_s = 0.0, 0, 0.0
    for sample in samples:
        if sample.newest > newest:
            gap_s, newest, since_s = max(gap_s, sample.at_s - since_s), sample.newest, sample.at_s
    return max(gap_s, end_s - since_s)


def find_resumptions_s(samples: list[Sample], halt_s: float) -> list[float]:
    """When a new height came after at least so long a time without one."""
    found, newest, since_s = [], 0, 0.0
    for sample in samples:
        if sample.newest > newest:
            if newest and sample.at_s - since_s >= halt_s:
                found.append(sample.at_s)
            newest, since_s = sample.newest, sample.at_s
    return found


def _nodes_alive(_: kinds.NodesAlive, scenario: Scenario, facts: Facts) -> Judged:
    are_there = bool(facts.are_alive) and all(facts.are_alive[member] for member in scenario.honest)
    return f"{sum(facts.are_alive)} of {facts.member_count} answer", are_there


def _heights_grow(condition: kinds.HeightsGrow, scenario: Scenario, facts: Facts) -> Judged:
    members = scenario.honest
    honest = [Sample(sample.at_s, tuple(sample.heights[member] for member in members)) for sample in facts.samples]
    times_s = [find_growth_s(honest, since_s, condition.blocks) for since_s in list_recoveries(scenario)]
    worst_s = max((time_s for time_s in times_s if time_s is not None), default=0.0)
    if None in times_s:
        return f"not within the run, after {times_s.index(None)} of {len(times_s)} recoveries", False
    return f"{worst_s:.1f} s", bool(times_s) and worst_s <= condition.within_s


def _keeps_going(condition: kinds.KeepsGoing, _: Scenario, facts: Facts) -> Judged:
    gap_s = find_gap_s(facts.samples, facts.duration_s)
    return f"longest pause {gap_s:.1f} s", bool(facts.samples) and gap_s <= condition.gap_s


def _stands_still(condition: kinds.StandsStill, _: Scenario, facts: Facts) -> Judged:
    within = [sample.newest for sample in facts.samples if condition.from_s <= sample.at_s <= condition.to_s]
    seen = [height for height in within if height]
    added = max(seen) - min(seen) if seen else 0
    return f"{added} heights from {condition.from_s:g} s to {condition.to_s:g} s, {len(within)} looks", (
        added == 0 and bool(within)
    )


def _caught_up(condition: kinds.CaughtUp, scenario: Scenario, facts: Facts) -> Judged:
    if not facts.samples:
        return "nobody was seen", False
    last = facts.samples[-1]
    behind = [last.newest - (last.heights[member] or 0) for member in scenario.honest]
    return f"at most {max(behind)} heights behind {last.newest}", max(behind) <= condition.blocks


def _roots_equal(condition: kinds.RootsEqual, _: Scenario, facts: Facts) -> Judged:
    found = f"{facts.heights_compared} heights compared, {len(facts.disagreements)} differ"
    return _with_examples(found, facts.disagreements), (
        not facts.disagreements and facts.heights_compared >= condition.heights
    )


def _money_conserved(_: kinds.MoneyConserved, _scenario: Scenario, facts: Facts) -> Judged:
    books = facts.books
    if books is None:
        return "there are no books", False
    is_met = books.missing_quote == 0 == books.escrow_missing_quote and books.consumed_quote > 0
    missing = f"{books.missing_quote} and {books.escrow_missing_quote} units missing"
    return f"{missing} of {books.consumed_quote}", is_met


def _no_wrong_liquidation(condition: kinds.NoWrongLiquidation, _: Scenario, facts: Facts) -> Judged:
    wrong = [f"height {item.height}: {item.fault}" for item in facts.liquidations if item.fault]
    found = f"{len(facts.liquidations)} liquidations, {len(wrong)} wrong"
    return _with_examples(found, wrong), not wrong and len(facts.liquidations) >= condition.liquidations


def _no_liquidation_within(condition: kinds.NoLiquidationWithin, _: Scenario, facts: Facts) -> Judged:
    resumed = find_resumptions_s(facts.samples, condition.halt_s)
    early = [
        item for item in facts.liquidations if any(0 <= item.at_s - at_s < condition.of_s for at_s in resumed)
    ]  # fmt: skip
    return f"{len(early)} within {condition.of_s:g} s of {len(resumed)} resumptions", bool(resumed) and not early


def _funding_continuous(condition: kinds.FundingContinuous, _: Scenario, facts: Facts) -> Judged:
    found = f"{facts.funding_blocks} blocks, {facts.funding_payments} payments, {len(facts.funding_breaks)} breaks"
    is_seen = facts.funding_blocks > 0 and facts.funding_payments >= condition.payments
    return _with_examples(found, facts.funding_breaks), is_seen and not facts.funding_breaks


def _prices_honest(_: kinds.PricesHonest, _scenario: Scenario, facts: Facts) -> Judged:
    found = f"{facts.priced_blocks} blocks with reports, {len(facts.price_breaks)} breaks"
    return _with_examples(found, facts.price_breaks), facts.priced_blocks > 0 and not facts.price_breaks


def _settled_by_rule(condition: kinds.SettledByRule, _: Scenario, facts: Facts) -> Judged:
    found = f"{facts.expiries_settled} expiries settled, {len(facts.settlement_breaks)} breaks"
    is_seen = facts.expiries_settled >= condition.expiries
    return _with_examples(found, facts.settlement_breaks), is_seen and not facts.settlement_breaks


def _finality_below(condition: kinds.FinalityBelow, _: Scenario, facts: Facts) -> Judged:
    times_ms = sorted(final.finality_ms for final in facts.finals)
    if not times_ms:
        return "no block was timed", False
    p99_ms = times_ms[min(len(times_ms) - 1, len(times_ms) * 99 // 100)]
    return f"p99 {p99_ms:.0f} ms of {len(times_ms)}", p99_ms <= condition.p99_ms


def _evidence_names(condition: kinds.EvidenceNames, _: Scenario, facts: Facts) -> Judged:
    proven = "; ".join(f"{member}: {', '.join(names)}" for member, names in sorted(facts.offences.items()))
    wanted = tuple(sorted(condition.members))
    is_met = tuple(sorted(facts.offences)) == wanted == tuple(sorted(facts.convicted))
    return f"proven {proven or 'of nobody'}; convicted {list(facts.convicted)}", is_met


def _nobody_honest_slashed(_: kinds.NobodyHonestSlashed, scenario: Scenario, facts: Facts) -> Judged:
    accused = sorted({*facts.offences, *facts.convicted} & {*scenario.honest})
    return f"accused without a reason: {accused or 'nobody'}", not accused


def _audit_clean(_: kinds.AuditClean, _scenario: Scenario, facts: Facts) -> Judged:
    found = f"{facts.audit_blocks} blocks replayed, {len(facts.audit_findings)} findings"
    return _with_examples(found, facts.audit_findings), facts.audit_blocks > 0 and not facts.audit_findings


def _checkpoint_on_chain(condition: kinds.CheckpointOnChain, _: Scenario, facts: Facts) -> Judged:
    found = f"height {facts.first_onchain_height} to {facts.onchain_height}, {len(facts.onchain_findings)} foreign"
    is_later = facts.onchain_height >= facts.first_onchain_height + condition.checkpoints
    return _with_examples(found, facts.onchain_findings), is_later and not facts.onchain_findings


def _traded(condition: kinds.Traded, _: Scenario, facts: Facts) -> Judged:
    return f"{facts.trades} trades", facts.trades >= condition.trades


def _with_examples(text: str, findings: list[str]) -> str:
    return ": ".join([text, *([", ".join(findings[:SHOWN_MAX])] if findings else [])])


_JUDGES: Mapping[type, Callable[[Any, Scenario, Facts], Judged]] = {
    kinds.NodesAlive: _nodes_alive,
    kinds.HeightsGrow: _heights_grow,
    kinds.KeepsGoing: _keeps_going,
    kinds.StandsStill: _stands_still,
    kinds.CaughtUp: _caught_up,
    kinds.RootsEqual: _roots_equal,
    kinds.MoneyConserved: _money_conserved,
    kinds.NoWrongLiquidation: _no_wrong_liquidation,
    kinds.NoLiquidationWithin: _no_liquidation_within,
    kinds.FundingContinuous: _funding_continuous,
    kinds.PricesHonest: _prices_honest,
    kinds.SettledByRule: _settled_by_rule,
    kinds.FinalityBelow: _finality_below,
    kinds.EvidenceNames: _evidence_names,
    kinds.NobodyHonestSlashed: _nobody_honest_slashed,
    kinds.AuditClean: _audit_clean,
    kinds.CheckpointOnChain: _checkpoint_on_chain,
    kinds.Traded: _traded,
}
