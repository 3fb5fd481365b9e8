"""What a node gives its API about markets: plain records and the protocol `MarketData`.

As in `net.gateway.backend` all numbers are integers in the engine's own units, and what does not exist is `None` or
empty. Everything is of the last final block unless it says otherwise. Times are milliseconds; a span includes both of
its ends. `_ppb` is parts in 1e9: of a volatility of 1.00, or of a position's value.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from engine.params import MarketParams


@dataclass(frozen=True, slots=True)
class TradeView:
    """One trade, as everybody sees it. `side` is the taker's."""

    trade_id: int
    market: int
    side: int
    price_ticks: int
    size_lots: int
    height: int
    time_ms: int
    is_liquidation: bool = False


@dataclass(frozen=True, slots=True)
class TickerView:
    """Prices of a market; 0 where there is none yet."""

    market: int
    height: int
    time_ms: int
    mark_price_ticks: int
    index_price_ticks: int
    last_price_ticks: int
    best_bid_ticks: int
    best_bid_lots: int
    best_ask_ticks: int
    best_ask_lots: int
    open_interest_lots: int
    volume_24h_lots: int
    volume_24h_quote: int
    high_24h_ticks: int
    low_24h_ticks: int
    funding_8h_ppb: int  # of the position's value that longs paid to shorts, by the last hour's rate
    current_funding_ppb: int = 0  # the same by the samples of this hour so far
    phase: int = 0  # PHASE_... of `engine.tables`
    is_fresh: bool = True
    greeks_e8: tuple[int, int, int, int, int] | None = None  # options: delta, gamma, vega, theta, rho
    mark_e8: int = 0  # exact, in 1e-8 USD
    index_e8: int = 0
    forward_e8: int = 0  # of a dated market's expiry
    delivery_e8: int = 0  # what its expiry would settle at now
    settle_e8: int = 0  # what the market settled at
    mark_vol_ppb: int = 0  # options: of the surface at the strike
    bid_vol_ppb: int = 0  # implied by the best prices; 0 for a price that no volatility gives
    ask_vol_ppb: int = 0
    buy_limit_ticks: int = 0  # the highest price that a buy may have now
    sell_limit_ticks: int = 0
    first_24h_ticks: int = 0  # of the first trade of the last 24 hours


@dataclass(frozen=True, slots=True)
class ListingView:
    """What of an instrument changes in its life."""

    market: int
    listed_ms: int  # 0: from the beginning
    phase: int
    delist_ms: int  # 0: not announced
    settle_e8: int  # 0 until it is settled


@dataclass(frozen=True, slots=True)
class CandleView:
    """The trades of a market within one span."""

    begin_ms: int
    open_ticks: int
    high_ticks: int
    low_ticks: int
    close_ticks: int
    volume_lots: int
    turnover: int  # sum of price_ticks x size_lots


@dataclass(frozen=True, slots=True)
class FundingView:
    """One hour's payment of a perpetual."""

    market: int
    time_ms: int
    height: int
    rate_8h_ppb: int  # an eighth of it was paid
    change_quote: int  # what one lot long paid
    index_e8: int
    index_before_e8: int  # at the payment before, its own without one


@dataclass(frozen=True, slots=True)
class SettlementView:
    """The end of a market."""

    market: int
    time_ms: int
    height: int
    settle_e8: int  # what a unit of the base came to
    index_e8: int  # of its expiry, or of the moment
    lot_quote: int
    open_interest_lots: int


@dataclass(frozen=True, slots=True)
class UnderlyingView:
    """What a family of markets is about, and its price as the committee agrees on it."""

    number: int
    name: str
    index_e8: int
    index_ms: int
    is_fresh: bool
    dispersion_bps: int  # how far the last round's reports lay apart


@dataclass(frozen=True, slots=True)
class ExpiryView:
    """One expiry of one underlying. `surface_e8` has a, b, rho, m and sigma of its SVI slice (docs/spec.md, SVI-1)."""

    number: int
    underlying: int
    expiry_ms: int
    forward_e8: int
    surface_e8: tuple[int, int, int, int, int]
    surface_ms: int  # 0: there is none yet
    delivery_e8: int  # what it would settle at now
    settle_e8: int  # 0 until it is settled


class MarketData(Protocol):
    """Markets and their history, seen from the API."""

    def markets(self) -> tuple[MarketParams, ...]:
        """Every market ever listed, its number is its position. The same object as long as none is listed and no
        parameter changes; a market's symbol never changes and no two have the same.
        """

    def listing(self, market: int) -> ListingView: ...

    def listing_marks(self) -> bytes:
        """The same bytes as long as `listing` and `phases` answer the same of every market."""

    def phases(self) -> Sequence[int]:
        """PHASE_... of `engine.tables` of every market."""

    def ticker(self, market: int) -> TickerView: ...

    def underlyings(self) -> Sequence[UnderlyingView]:
        """By number."""

    def expiries(self) -> Sequence[ExpiryView]:
        """By number, settled ones included."""

    def surface_vols_ppb(self, number: int, strikes_e8: Sequence[int]) -> Sequence[int]:
        """The volatility of each strike of an expiry, by its number; zeros without a surface."""

    def trades_between(
        self, markets: Collection[int] | None, span_ms: tuple[int, int], span_ids: tuple[int, int], count: int,
        is_oldest_first: bool,
    ) -> tuple[Sequence[TradeView], bool]:  # fmt: skip
        """Trades of these markets (None: all) within a span of time and of trade ids, and whether there may be more."""

    def candles(self, market: int, span_ms: tuple[int, int], resolution_ms: int) -> Sequence[CandleView]:
        """Ascending, without those that have no trade. Spans begin at multiples of the resolution, a multiple of a
        minute.
        """

    def marks(self, market: int, span_ms: tuple[int, int], count: int) -> Sequence[tuple[int, int]]:
        """(time_ms, mark_e8) once a minute, the newest `count`, ascending."""

    def indexes(self, underlying: int, span_ms: tuple[int, int], count: int) -> Sequence[tuple[int, int]]:
        """(time_ms, index_e8) once a minute, the newest `count`, ascending."""

    def fundings(self, market: int, span_ms: tuple[int, int], count: int) -> Sequence[FundingView]:
        """The newest `count`, ascending."""

    def settlements(self, markets: Collection[int] | None, before_ms: int, count: int) -> Sequence[SettlementView]:
        """Newest first; None: of all markets."""

    def history_begins_ms(self) -> int:
        """Nothing that happened before is known here, because the node began with a later state; 0: all is known."""
