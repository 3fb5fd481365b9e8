"""Markets beside those of campaigns: one expiry of the first underlying, with a future, a call and a put."""

from engine.params import DEFAULT_MARKETS, MarketParams

DATED = (("future", "0"), ("call", "50000"), ("put", "50000"))


def make_dated(kind: str, expiry_ms: int, strike: str) -> MarketParams:
    """Named without a date: there is one expiry."""
    is_option = kind != "future"
    return MarketParams(
        symbol=f"BTC-{kind.upper()}", kind=kind, expiry_ms=expiry_ms, strike=strike,
        tick_size="1" if is_option else "0.1", lot_size="0.01" if is_option else "0.001",
        quote_per_tick_lot=10_000 if is_option else 100,
        initial_margin_bps=1_500 if is_option else 500, maintenance_margin_bps=900 if is_option else 250,
        maker_fee_bps=2, taker_fee_bps=5, price_band_bps=1_000, size_lots_max=20_000, position_lots_max=100_000,
        oracle_step_bps_max=500, oracle_stale_ms=15_000,
    )  # fmt: skip


def list_markets(expiry_ms: int | None) -> tuple[MarketParams, ...]:
    """Two perpetuals, and what expires then if anything does."""
    dated = () if expiry_ms is None else tuple(make_dated(kind, expiry_ms, strike) for kind, strike in DATED)
    return (*DEFAULT_MARKETS, *dated)
