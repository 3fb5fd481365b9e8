"""M2, M3: nobody loses a position who should not, and no pause or restart touches what funding has come to.

| property | meaning |
|---|---|
| M2 | whoever is liquidated was below maintenance by a quorum's fresh prices, and no halt was being left (LIQ, PHA-3) |
| M3 | a market's funding index changes by what its notices say, at most once an hour, within its cap (FND-3) |
"""

from collections.abc import Iterator

import numpy as np

from engine.apply import BlockResult
from engine.params import ExchangeParams
from engine.state import EngineState
from engine.tables import KIND_PERPETUAL, NOTICE_FUNDING
from testnet.sim.checkers.prices import BPS, PriceChecker
from testnet.sim.checkers.violation import require

HOUR_MS = 3_600_000
STEPS_TO_RESUME = 3  # cancel-only, post-only, auction
HOURS_OF_A_RATE = 8


class LiquidationChecker:
    """Judges every row that the engine leaves of a liquidation, by holdings and prices of its own."""

    def __init__(self, params: ExchangeParams, prices: PriceChecker, start_ms: int) -> None:
        """`start_ms`: the time of the first state."""
        self._params = params
        self._prices = prices
        self._before_ms = start_ms
        self._closed_until_ms = 0
        self.count = 0

    def on_first_final(
        self, height: int, time_ms: int, parent: EngineState, state: EngineState, result: BlockResult
    ) -> None:
        """After the `PriceChecker` has seen the block."""
        if time_ms - self._before_ms > self._params.halt_gap_ms:
            self._closed_until_ms = time_ms + STEPS_TO_RESUME * self._params.resume_ms
        self._before_ms = time_ms
        for row in result.liquidations:
            self.count += 1
            fault = self._find_fault(time_ms, parent, state, result, row)
            require(not fault, f"M2 height {height} liquidates account {int(row['account'])} {fault}")

    def _find_fault(
        self, time_ms: int, parent: EngineState, state: EngineState, result: BlockResult, row: np.void
    ) -> str:
        if time_ms < self._closed_until_ms:
            return "while the exchange comes back from a halt"
        is_below = False
        for lots in iterate_holdings(parent, result, int(row["account"])):
            for market in lots:
                if not self._prices.is_fresh(int(state.tables.markets[market]["underlying"]), time_ms):
                    return f"although the price of market {market} is stale"
            value_quote, demand_quote = value_holdings(state, lots)
            is_below |= int(row["balance_quote"]) + value_quote < demand_quote
        return "" if is_below else "although it was above maintenance"


def iterate_holdings(parent: EngineState, result: BlockResult, account: int) -> Iterator[dict[int, int]]:
    """What the account may have held when it was judged, lots by market: as the block found it, or after the uncross
    of an auction that ended in the same block.
    """
    tables = parent.tables
    lots = {
        int(row["market"]): int(row["lots"])
        for row in tables.positions
        if int(row["account"]) == account and int(row["lots"])
    }
    yield lots
    traded = dict(lots)
    for fill in result.fills:
        market, size_lots, side = int(fill["market"]), int(fill["size_lots"]), int(fill["taker_side"])
        if int(fill["is_liquidation"]) or account not in (int(fill["taker_account"]), int(fill["maker_account"])):
            continue
        is_buyer = (int(fill["taker_account"]) == account) == (side == 0)
        traded[market] = traded.get(market, 0) + (size_lots if is_buyer else -size_lots)
    if traded != lots:
        yield traded


def value_holdings(state: EngineState, lots: dict[int, int]) -> tuple[int, int]:
    """What holdings are worth, and what they demand at maintenance, quote."""
    value_quote = demand_quote = 0
    for market, count in lots.items():
        row = state.tables.markets[market]
        value_quote += count * (int(row["mark_e8"]) * int(row["lot_e8"]) // 10**10 - int(row["funding_quote"]))
        demand_quote += abs(count) * int(row["mm_long_unit"] if count > 0 else row["mm_short_unit"])
    return value_quote, demand_quote


class FundingChecker:
    def __init__(self) -> None:
        self._paid_ms: dict[int, int] = {}  # by market: the last block that paid
        self.block_count = 0

    def on_first_final(
        self, height: int, time_ms: int, parent: EngineState, state: EngineState, result: BlockResult
    ) -> None:
        self.block_count += 1
        changes: dict[int, int] = {}
        for note in result.notices:
            if int(note["kind"]) == NOTICE_FUNDING:
                market = int(note["subject"])
                require(market not in changes, f"M3 height {height} pays funding of market {market} twice")
                changes[market] = int(note["value_b"])
        for market in range(len(state.params.markets)):
            before, row = parent.tables.markets[market], state.tables.markets[market]
            if int(row["kind"]) != KIND_PERPETUAL:
                continue
            moved_quote = int(row["funding_quote"]) - int(before["funding_quote"])
            change_quote = changes.get(market, 0)
            require(
                moved_quote == change_quote,
                f"M3 height {height} moves the funding of market {market} by {moved_quote}, and says {change_quote}",
            )
            if market in changes:
                self._check_payment(height, time_ms, state, market, change_quote)

    def _check_payment(self, height: int, time_ms: int, state: EngineState, market: int, change_quote: int) -> None:
        row = state.tables.markets[market]
        is_due = self._paid_ms.get(market, 0) // HOUR_MS != time_ms // HOUR_MS
        require(is_due, f"M3 height {height} pays funding of market {market} again within the hour")
        self._paid_ms[market] = time_ms
        index_e8 = int(state.tables.underlyings[int(row["underlying"])]["index_e8"])
        unit_quote = index_e8 * int(row["lot_e8"]) // 10**10
        most_quote = unit_quote * int(row["funding_cap_bps"]) // (BPS * HOURS_OF_A_RATE) + 1
        require(abs(change_quote) <= most_quote, f"M3 height {height} pays {change_quote}, at most {most_quote} a lot")
