"""What the node gives its API about markets (`net.gateway.market_data.MarketData`): the last final state, and what the
ledger remembers.
"""

from collections.abc import Collection, Sequence

import numpy as np

from engine import views
from engine.funding import CLAMP_RATE, RATE_ONE, RATE_PER_BPS
from engine.params import MarketParams
from engine.state import EngineState
from engine.tables import EXPIRY_COUNT, KIND_CALL, KIND_PERPETUAL, KIND_PUT, UNDERLYING_COUNT
from net.gateway.market_data import (
    CandleView,
    ExpiryView,
    FundingView,
    ListingView,
    SettlementView,
    TickerView,
    TradeView,
    UnderlyingView,
)
from validator.book_levels import list_side
from validator.executor import Executed, Executor
from validator.history import Trade
from validator.ledger import Ledger
from validator.listings import list_markets
from validator.orders import quote_per_tick_lot
from validator.shown import show_trade
from validator.store import Store
from validator.surfaces import implied_vols_ppb, read_forward_e8, read_surface_e8, surface_vols_ppb
from validator.trade_search import find_trades

# Trades that are walked past to reach the span that is asked about; beyond, it is searched for by time.
NEWER_TRADES_MAX = 5_000
DAY_MS = 24 * 3600 * 1000
_OPTIONS = (KIND_CALL, KIND_PUT)
_LISTING = ("listed_ms", "phase", "delist_ms", "settle_e8")  # as `ListingView` has them


class NodeMarketData:
    """Implements `MarketData`. Tickers are made once a block, for whoever asks first."""

    def __init__(self, executor: Executor, ledger: Ledger, store: Store) -> None:
        self._executor = executor
        self._ledger = ledger
        self._store = store
        self._markets = list_markets(executor.final.state)
        self._markets_of = ledger.listing_changes
        self._tickers: dict[int, TickerView] = {}
        self._tickers_of: Executed | None = None
        self._begins_ms: int | None = None  # no block is ever stored before the first

    def markets(self) -> tuple[MarketParams, ...]:
        """See `MarketData.markets`."""
        if self._markets_of != self._ledger.listing_changes:
            self._markets = list_markets(self._executor.final.state)
            self._markets_of = self._ledger.listing_changes
        return self._markets

    def listing(self, market: int) -> ListingView:
        row = self._executor.final.state.tables.markets[market]
        return ListingView(market, *(int(row[name]) for name in _LISTING))

    def listing_marks(self) -> bytes:
        """See `MarketData.listing_marks`."""
        state = self._executor.final.state
        rows = state.tables.markets[: views.market_count(state)]
        return b"".join(rows[name].tobytes() for name in _LISTING)

    def phases(self) -> Sequence[int]:
        """See `MarketData.phases`."""
        state = self._executor.final.state
        found: list[int] = state.tables.markets["phase"][: views.market_count(state)].tolist()
        return found

    def ticker(self, market: int) -> TickerView:
        final = self._executor.final
        if self._tickers_of is not final:
            self._tickers.clear()
            self._tickers_of = final
        if market not in self._tickers:
            self._tickers[market] = self._make_ticker(final, market)
        return self._tickers[market]

    def _make_ticker(self, final: Executed, market: int) -> TickerView:
        state = final.state
        row = state.tables.markets[market]
        underlying = state.tables.underlyings[int(row["underlying"])]
        best = [_read_best(state, market, side) for side in (0, 1)]
        day_began_ms = final.time_ms - DAY_MS
        volume_lots, high_ticks, low_ticks, turnover = self._store.market_day(market, day_began_ms)
        tick_e8, index_e8 = int(row["tick_e8"]), int(underlying["index_e8"])
        forward_e8, delivery_e8 = _read_dated(state, row)
        vols_ppb = [0, 0, 0]
        if int(row["kind"]) in _OPTIONS:
            vols_ppb = surface_vols_ppb(state, int(row["expiry"]), [int(row["strike_e8"])])
            vols_ppb += implied_vols_ppb(state, market, [best[0][0] * tick_e8, best[1][0] * tick_e8])
        return TickerView(
            market=market, height=final.height, time_ms=final.time_ms, mark_price_ticks=int(row["mark_ticks"]),
            index_price_ticks=index_e8 // tick_e8, last_price_ticks=int(row["last_ticks"]), best_bid_ticks=best[0][0],
            best_bid_lots=best[0][1], best_ask_ticks=best[1][0], best_ask_lots=best[1][1],
            open_interest_lots=int(row["open_interest_lots"]), volume_24h_lots=volume_lots,
            volume_24h_quote=turnover * quote_per_tick_lot(state, market), high_24h_ticks=high_ticks,
            low_24h_ticks=low_ticks, funding_8h_ppb=self._ledger.funding_rates_ppb.get(market, 0),
            current_funding_ppb=_funding_so_far_ppb(row), phase=int(row["phase"]), is_fresh=bool(row["is_fresh"]),
            greeks_e8=_show_greeks_e8(row, forward_e8), mark_e8=int(row["mark_e8"]), index_e8=index_e8,
            forward_e8=forward_e8, delivery_e8=delivery_e8, settle_e8=int(row["settle_e8"]), mark_vol_ppb=vols_ppb[0],
            bid_vol_ppb=vols_ppb[1], ask_vol_ppb=vols_ppb[2], buy_limit_ticks=int(row["buy_limit_ticks"]),
            sell_limit_ticks=int(row["sell_limit_ticks"]),
            first_24h_ticks=self._ledger.market_history.first_trade_ticks(market, day_began_ms),
        )  # fmt: skip

    def underlyings(self) -> Sequence[UnderlyingView]:
        """See `MarketData.underlyings`."""
        state = self._executor.final.state
        rows = state.tables.underlyings[: int(state.tables.counters[UNDERLYING_COUNT])]
        return [
            UnderlyingView(
                number, state.params.underlyings[number], int(row["index_e8"]), int(row["index_ms"]),
                bool(row["is_fresh"]), int(row["dispersion_bps"]),
            )
            for number, row in enumerate(rows)
        ]  # fmt: skip

    def expiries(self) -> Sequence[ExpiryView]:
        """See `MarketData.expiries`."""
        state = self._executor.final.state
        rows = state.tables.expiries[: int(state.tables.counters[EXPIRY_COUNT])]
        return [
            ExpiryView(
                number, int(row["underlying"]), int(row["expiry_ms"]), read_forward_e8(row), read_surface_e8(row),
                int(row["surface_ms"]), _read_delivery_e8(state, row), int(row["settle_e8"]),
            )
            for number, row in enumerate(rows)
        ]  # fmt: skip

    def surface_vols_ppb(self, number: int, strikes_e8: Sequence[int]) -> Sequence[int]:
        return surface_vols_ppb(self._executor.final.state, number, strikes_e8)

    def trades_between(
        self, markets: Collection[int] | None, span_ms: tuple[int, int], span_ids: tuple[int, int], count: int,
        is_oldest_first: bool,
    ) -> tuple[Sequence[TradeView], bool]:  # fmt: skip
        """See `MarketData.trades_between`."""
        found = None
        if markets is not None and len(markets) == 1 and not is_oldest_first:
            found = self._walk_trades(next(iter(markets)), span_ms, span_ids, count)
        trades, has_more = found or find_trades(self._store, markets, span_ms, span_ids, count, is_oldest_first)
        return [show_trade(trade) for trade in trades], has_more

    def _walk_trades(
        self, market: int, span_ms: tuple[int, int], span_ids: tuple[int, int], count: int
    ) -> tuple[list[Trade], bool] | None:
        """The newest within both spans, by the chain of the market's own trades; None when too many are newer."""
        found: list[Trade] = []
        for newer_count, trade in enumerate(self._ledger.history.newest_of_market(market)):
            if trade.number < span_ids[0] or trade.time_ms < span_ms[0]:
                break
            if trade.number <= span_ids[1] and trade.time_ms <= span_ms[1]:
                found.append(trade)
                if len(found) > count:
                    return found[:count], True
            elif newer_count >= NEWER_TRADES_MAX:
                return None
        return found, False

    def candles(self, market: int, span_ms: tuple[int, int], resolution_ms: int) -> Sequence[CandleView]:
        """See `MarketData.candles`."""
        return self._ledger.market_history.candles(market, span_ms, resolution_ms)

    def marks(self, market: int, span_ms: tuple[int, int], count: int) -> Sequence[tuple[int, int]]:
        """See `MarketData.marks`."""
        return self._ledger.market_history.marks(market, span_ms, count)

    def indexes(self, underlying: int, span_ms: tuple[int, int], count: int) -> Sequence[tuple[int, int]]:
        """See `MarketData.indexes`."""
        return self._ledger.market_history.indexes(underlying, span_ms, count)

    def fundings(self, market: int, span_ms: tuple[int, int], count: int) -> Sequence[FundingView]:
        """See `MarketData.fundings`."""
        return self._ledger.market_history.fundings(market, span_ms, count)

    def settlements(self, markets: Collection[int] | None, before_ms: int, count: int) -> Sequence[SettlementView]:
        """See `MarketData.settlements`."""
        return self._ledger.market_history.settlements(markets, before_ms, count)

    def history_begins_ms(self) -> int:
        """See `MarketData.history_begins_ms`."""
        if self._begins_ms is None:
            first = next(self._store.finals(0, 1), None)
            if first is None:
                return 0
            header = first.block.header
            self._begins_ms = 0 if header.height <= 1 else header.timestamp_ms
        return self._begins_ms


def _read_best(state: EngineState, market: int, side: int) -> tuple[int, int]:
    """Price and lots of the best level of a side, zeros without one."""
    prices_ticks, sizes_lots = list_side(state, market, side, 1)
    return (int(prices_ticks[0]), int(sizes_lots[0])) if len(prices_ticks) else (0, 0)


def _read_dated(state: EngineState, row: np.void) -> tuple[int, int]:
    """Forward of a market's expiry, and what it would settle at; of one without expiry 0 and its index."""
    number = int(row["expiry"])
    if number < 0:
        return 0, int(state.tables.underlyings[int(row["underlying"])]["index_e8"])
    dated = state.tables.expiries[number]
    return read_forward_e8(dated), _read_delivery_e8(state, dated)


def _read_delivery_e8(state: EngineState, dated: np.void) -> int:
    """The mean so far, in the last half hour before it ends; else the index (docs/spec.md, EXP-1)."""
    if int(dated["is_settled"]):
        return int(dated["settle_e8"])
    if int(dated["twap_count"]):
        return int(dated["twap_sum_e8"]) // int(dated["twap_count"])
    return int(state.tables.underlyings[int(dated["underlying"])]["index_e8"])


def _funding_so_far_ppb(market: np.void) -> int:
    """The rate for eight hours that the samples of this hour give (FND-3), 0 without any."""
    if int(market["kind"]) != KIND_PERPETUAL or not market["premium_count"]:
        return 0
    clamp, cap = int(CLAMP_RATE), min(int(market["funding_cap_bps"]) * int(RATE_PER_BPS), int(RATE_ONE))
    premium = int(market["premium_sum"]) // int(market["premium_count"])
    interest = int(market["interest_bps"]) * int(RATE_PER_BPS)
    return min(max(premium + min(max(interest - premium, -clamp), clamp), -cap), cap)


def _show_greeks_e8(market: np.void, forward_e8: int) -> tuple[int, int, int, int, int] | None:
    """Of one unit of the base: delta, gamma (per USD), vega (USD per point of volatility), theta (USD per day), rho
    (USD per percent), floor; None for what is no option or has no forward.
    """
    if int(market["kind"]) not in _OPTIONS or not forward_e8:
        return None
    lot_e8 = int(market["lot_e8"])
    return (
        int(market["delta_unit"]) * 10**18 // (lot_e8 * forward_e8),
        int(market["gamma_unit"]) * 10**26 // (lot_e8 * forward_e8**2),
        int(market["vega_unit"]) * 10**8 // lot_e8,
        int(market["theta_unit"]) * 10**10 // lot_e8,
        int(market["rho_unit"]) * 10**8 // lot_e8,
    )
