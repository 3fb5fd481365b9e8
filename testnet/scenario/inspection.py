"""Follows a replay of blocks and computes again what must not be wrong: liquidations, funding, prices, settlements.

Integers, from the rules of docs/spec.md and not from the engine's functions: what the engine did is what is judged. Of
each block it sees the state after it (whose memory the next block may reuse, so what is needed later is copied).
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from engine.params import MarketParams
from engine.state import EngineState
from engine.tables import (
    ACCOUNT_COUNT,
    KIND_CALL,
    KIND_PERPETUAL,
    KIND_PUT,
    MARKET_COUNT,
    MODE_PORTFOLIO,
    NOTICE_FUNDING,
    NOTICE_SETTLEMENT,
    PHASE,
    PHASE_CONTINUOUS,
    UNDERLYING_COUNT,
    USER_ACCOUNT_FIRST,
)
from validator.executor import Executed

# FND-3, FND-4 of docs/spec.md.
RATE_ONE, RATE_PER_BPS, CLAMP_RATE = 10**9, 100_000, 500_000
HOURS_SCALE = 8 * 10**9
# EXP-1.
TWAP_MS, SLOT_MS = 1_800_000, 4_000
BREAKS_MAX = 20


@dataclass(frozen=True, slots=True)
class Case:
    """One liquidation. `fault` empty: it was due."""

    time_ms: int
    height: int
    account: int
    fault: str


@dataclass(slots=True)
class Findings:
    """What a replay has shown besides that it agrees with the certificates."""

    cases: list[Case] = field(default_factory=list)
    funding_blocks: int = 0
    funding_payments: int = 0
    funding_breaks: list[str] = field(default_factory=list)
    priced_blocks: int = 0
    price_breaks: list[str] = field(default_factory=list)
    settled: set[int] = field(default_factory=set)  # numbers of expiries
    settlement_breaks: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Funding:
    index_quote: int
    rest: int
    premium_sum: int
    premium_count: int


class Inspector:
    """`see` every block in order. `liars`: whose price reports count for nothing here."""

    def __init__(self, markets: tuple[MarketParams, ...], liars: frozenset[int]) -> None:
        self._markets, self._liars = markets, liars
        self.findings = Findings()
        self._holdings: dict[int, list[tuple[int, int]]] = {}
        self._funding: dict[int, _Funding] = {}
        self._index_e8: dict[int, int] = {}
        self._samples_e8: dict[int, dict[int, int]] = defaultdict(dict)

    def see(self, executed: Executed) -> None:
        state, result = executed.state, executed.result
        if result is None:
            return
        for row in result.liquidations:
            self.findings.cases.append(self._judge_liquidation(executed, row))
        self._check_funding(executed)
        self._check_prices(executed)
        self._check_settlements(executed)
        self._holdings = read_holdings(state)

    def _name(self, market: int) -> str:
        return self._markets[market].symbol if market < len(self._markets) else f"market {market}"

    # -------------------------------------------------------- liquidations

    def _judge_liquidation(self, executed: Executed, row: Any) -> Case:
        """LIQ-2, LIQ-4: below maintenance by the holdings before the block and the marks of it, all of them fresh."""
        state, account = executed.state, int(row["account"])
        held, tables = self._holdings.get(account, []), state.tables
        equity_quote = int(row["balance_quote"])
        maintenance_quote = 0
        faults = []
        for market, lots in held:
            params = tables.markets[market]
            equity_quote += lots * int(params["value_unit"])
            maintenance_quote += abs(lots) * int(params["mm_short_unit" if lots < 0 else "mm_long_unit"])
            underlying = tables.underlyings[int(params["underlying"])]
            age_ms = state.time_ms - int(underlying["index_ms"])
            if age_ms > int(underlying["oracle_stale_ms"]):
                faults.append(f"the price of {self._name(market)} was {age_ms} ms old")
        is_portfolio = int(tables.accounts[account]["mode"]) == MODE_PORTFOLIO
        told_quote = int(row["equity_quote"]), int(row["maintenance_quote"])
        if told_quote[0] >= told_quote[1]:
            faults.append(f"equity {told_quote[0]} was not below maintenance {told_quote[1]}")
        if equity_quote != told_quote[0] or (not is_portfolio and maintenance_quote != told_quote[1]):
            faults.append(f"equity and maintenance {told_quote} are {equity_quote, maintenance_quote} by its holdings")
        if int(tables.counters[PHASE]) != PHASE_CONTINUOUS:
            faults.append("the exchange was halted")
        return Case(executed.time_ms, executed.height, account, "; ".join(faults))

    # -------------------------------------------------------- funding

    def _check_funding(self, executed: Executed) -> None:
        """FND-3, FND-4: F moves by an hour's rate of the index, computed from the samples before, or not at all."""
        findings, state = self.findings, executed.state
        assert executed.result is not None
        paid = {int(note["subject"]) for note in executed.result.notices if int(note["kind"]) == NOTICE_FUNDING}
        findings.funding_blocks += 1
        for market in range(int(state.tables.counters[MARKET_COUNT])):
            row = state.tables.markets[market]
            if int(row["kind"]) != KIND_PERPETUAL:
                continue
            now = _Funding(*(int(row[n]) for n in ("funding_quote", "funding_rest", "premium_sum", "premium_count")))
            before = self._funding.get(market)
            self._funding[market] = now
            if before is None:
                continue
            due = before
            if market in paid:
                findings.funding_payments += 1
                due = compute_due(before, row, int(state.tables.underlyings[int(row["underlying"])]["index_e8"]))
            is_right = (now.index_quote, now.rest) == (due.index_quote, due.rest)
            # The sample of a new minute may follow the payment in the same block.
            is_counted = now.premium_count - due.premium_count in (0, 1)
            if not (is_right and is_counted) and len(findings.funding_breaks) < BREAKS_MAX:
                findings.funding_breaks.append(f"height {executed.height}, {self._name(market)}: {now} must be {due}")

    # -------------------------------------------------------- prices

    def _check_prices(self, executed: Executed) -> None:
        """ORA-1: between the honest reports, or on the way there from the index before."""
        tables = executed.state.tables
        reports = () if executed.payload is None else executed.payload.price_reports
        honest = [report.feeds_e8 for report in reports if report.validator not in self._liars]
        self.findings.priced_blocks += bool(reports)
        for underlying in range(int(tables.counters[UNDERLYING_COUNT])):
            index_e8 = int(tables.underlyings[underlying]["index_e8"])
            before_e8 = self._index_e8.get(underlying, 0)
            told = [feeds[underlying] for feeds in honest if feeds[underlying]]
            # An index is on its underlying's grid, which may lie a tick beside every report.
            tick_e8 = int(tables.underlyings[underlying]["feed_tick_e8"])
            allowed = [value for value in (before_e8, *told) if value]
            is_within = bool(allowed) and min(allowed) - tick_e8 <= index_e8 <= max(allowed) + tick_e8
            if index_e8 != before_e8 and not is_within and len(self.findings.price_breaks) < BREAKS_MAX:
                self.findings.price_breaks.append(
                    f"height {executed.height}, underlying {underlying}: {index_e8} after {before_e8}, reported {told}"
                )
            self._index_e8[underlying] = index_e8

    # -------------------------------------------------------- settlements

    def _check_settlements(self, executed: Executed) -> None:
        """EXP-1: the mean of the first fresh index of every slot of 4 s in the last 30 minutes."""
        state, tables = executed.state, executed.state.tables
        assert executed.result is not None
        for note in executed.result.notices:
            if int(note["kind"]) != NOTICE_SETTLEMENT:
                continue
            market, settled_e8 = int(note["subject"]), int(note["value_a"])
            expiry_number = int(tables.markets[market]["expiry"])
            samples = list(self._samples_e8[expiry_number].values())
            mean_e8 = sum(samples) // len(samples) if samples else 0
            due_e8 = compute_payoff(tables.markets[market], mean_e8)
            self.findings.settled.add(expiry_number)
            if settled_e8 != due_e8 and len(self.findings.settlement_breaks) < BREAKS_MAX:
                self.findings.settlement_breaks.append(
                    f"{self._name(market)} settled at {settled_e8}, the mean {mean_e8} of {len(samples)} indexes makes"
                    f" it {due_e8}"
                )
        for number, dated in enumerate(tables.expiries):
            begins_ms = int(dated["expiry_ms"]) - TWAP_MS
            underlying = tables.underlyings[int(dated["underlying"])]
            if begins_ms <= state.time_ms < int(dated["expiry_ms"]) and int(underlying["is_fresh"]):
                slot = (state.time_ms - begins_ms) // SLOT_MS
                self._samples_e8[number].setdefault(slot, int(underlying["index_e8"]))


def read_holdings(state: EngineState) -> dict[int, list[tuple[int, int]]]:
    """(market, lots) of every account that holds something."""
    tables, found = state.tables, {}
    for account in range(USER_ACCOUNT_FIRST, int(tables.counters[ACCOUNT_COUNT])):
        row, held = int(tables.accounts[account]["position_first"]), []
        while row:
            position = tables.positions[row]
            if lots := int(position["lots"]):
                held.append((int(position["market"]), lots))
            row = int(position["next"])
        if held:
            found[account] = held
    return found


def compute_payoff(row: Any, mean_e8: int) -> int:
    """EXP-2: what a unit pays, at most the market's highest price."""
    payoff_e8 = mean_e8
    if int(row["kind"]) == KIND_CALL:
        payoff_e8 = max(mean_e8 - int(row["strike_e8"]), 0)
    elif int(row["kind"]) == KIND_PUT:
        payoff_e8 = max(int(row["strike_e8"]) - mean_e8, 0)
    return min(payoff_e8, int(row["price_ticks_max"]) * int(row["tick_e8"]))


def compute_due(before: _Funding, row: Any, index_e8: int) -> _Funding:
    """What the hour's samples make of the market's funding."""
    premium = before.premium_sum // before.premium_count if before.premium_count else 0
    interest = int(row["interest_bps"]) * RATE_PER_BPS
    cap = min(int(row["funding_cap_bps"]) * RATE_PER_BPS, RATE_ONE)
    clamped = min(max(interest - premium, -CLAMP_RATE), CLAMP_RATE)
    rate = min(max(premium + clamped, -cap), cap)
    total = (index_e8 * int(row["lot_e8"]) // 10**10) * rate + before.rest
    return _Funding(before.index_quote + total // HOURS_SCALE, total % HOURS_SCALE, 0, 0)
