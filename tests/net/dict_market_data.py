"""Markets of the dictionary exchange of `test_gateway_backend`: prices that never move, and whatever was traded."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.params import DEFAULT_MARKETS, MarketParams
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

if TYPE_CHECKING:
    from test_gateway_backend import DictBackend

HOUR_MS = 3_600_000
INDEX_E8 = 64_000 * 10**8
EXPIRY_MS = 1_798_185_600_000  # 2026-12-25 08:00 UTC
CALL_NAME = "BTC-25DEC26-64000-C"
CALL = MarketParams(
    CALL_NAME, "0.1", "0.001", 100, 500, 250, 2, 5, 1000, 500_000, 1_000_000, 500, 15_000, kind="call",
    expiry_ms=EXPIRY_MS, strike="64000",
)  # fmt: skip
FUTURE = MarketParams(
    "BTC-25DEC26", "0.1", "0.001", 100, 500, 250, 2, 5, 1000, 500_000, 1_000_000, 500, 15_000, kind="future",
    expiry_ms=EXPIRY_MS,
)  # fmt: skip


class DictMarketData:
    """Implements `MarketData`; `listed` may grow."""

    def __init__(self, backend: "DictBackend") -> None:
        self._backend = backend
        self.listed: tuple[MarketParams, ...] = DEFAULT_MARKETS
        self.ended: list[SettlementView] = []
        self.phase_of: dict[int, int] = {}  # of markets that are not continuous

    def markets(self) -> tuple[MarketParams, ...]:
        return self.listed

    def listing(self, market: int) -> ListingView:
        return ListingView(market, 0, self.phase_of.get(market, 0), 0, 0)

    def listing_marks(self) -> bytes:
        return bytes(self.phases())

    def phases(self) -> Sequence[int]:
        return [self.phase_of.get(market, 0) for market in range(len(self.listed))]

    def ticker(self, market: int) -> TickerView:
        return self._backend.ticker(market)

    def with_option(self, view: TickerView) -> TickerView:
        """What an option has beyond the rest; its best bid implies less than its mark, and nobody offers it."""
        if self.listed[view.market].kind not in ("call", "put"):
            return view
        return replace(
            view, mark_e8=123_450_000_000, forward_e8=INDEX_E8, mark_vol_ppb=600_000_000, bid_vol_ppb=595_000_000,
            greeks_e8=(52_000_000, 1_000, 2_000_000_000, -3_000_000_000, 40_000_000),
        )  # fmt: skip

    def underlyings(self) -> Sequence[UnderlyingView]:
        names = dict.fromkeys(market.underlying_name for market in self.listed)
        return [UnderlyingView(number, name, INDEX_E8, 1, True, 3) for number, name in enumerate(names)]

    def expiries(self) -> Sequence[ExpiryView]:
        flat = (2_000_000, 1_000_000, 0, 0, 10_000_000)
        return [ExpiryView(0, 0, EXPIRY_MS, INDEX_E8, flat, 1, INDEX_E8, 0)]

    def surface_vols_ppb(self, number: int, strikes_e8: Sequence[int]) -> Sequence[int]:
        return [600_000_000 for _ in strikes_e8]

    def trades_between(
        self, markets: Collection[int] | None, span_ms: tuple[int, int], span_ids: tuple[int, int], count: int,
        is_oldest_first: bool,
    ) -> tuple[Sequence[TradeView], bool]:  # fmt: skip
        found = [
            trade for trade in self._backend.past_trades
            if (markets is None or trade.market in markets) and span_ms[0] <= trade.time_ms <= span_ms[1]
            and span_ids[0] <= trade.trade_id <= span_ids[1]
        ]  # fmt: skip
        ordered = found[::-1] if is_oldest_first else found
        return ordered[:count], len(ordered) > count

    def candles(self, market: int, span_ms: tuple[int, int], resolution_ms: int) -> Sequence[CandleView]:
        first_ms = span_ms[0] // resolution_ms * resolution_ms
        return [
            CandleView(first_ms, 640_000, 640_020, 639_990, 640_010, 5, 3_200_000),
            CandleView(first_ms + 2 * resolution_ms, 640_010, 640_010, 640_010, 640_010, 1, 640_010),
        ]

    def marks(self, market: int, span_ms: tuple[int, int], count: int) -> Sequence[tuple[int, int]]:
        return [(span_ms[0], INDEX_E8)]

    def indexes(self, underlying: int, span_ms: tuple[int, int], count: int) -> Sequence[tuple[int, int]]:
        """An hour ahead of every hour one per cent more or less."""
        hours = range(span_ms[0] // HOUR_MS + 1, span_ms[1] // HOUR_MS + 1)
        return [(hour * HOUR_MS, INDEX_E8 + INDEX_E8 // 100 * (hour % 2)) for hour in hours][-count:]

    def fundings(self, market: int, span_ms: tuple[int, int], count: int) -> Sequence[FundingView]:
        return [FundingView(market, span_ms[1] // HOUR_MS * HOUR_MS, 5, 80_000, 640, INDEX_E8, INDEX_E8 - 10**8)]

    def settlements(self, markets: Collection[int] | None, before_ms: int, count: int) -> Sequence[SettlementView]:
        return [view for view in self.ended if markets is None or view.market in markets][:count]

    def history_begins_ms(self) -> int:
        return 0
