"""Bytes, rates and prices as text, the same in every answer."""

from engine.params import MarketParams
from engine.units import format_price

CURRENCY = "USDC"
DIRECTIONS = ("buy", "sell")


def hexed(data: bytes) -> str:
    return "0x" + data.hex()


def bps_text(rate_bps: int) -> str:
    """Basis points as a fraction."""
    return f"{rate_bps // 10_000}.{rate_bps % 10_000:04d}"


def price_or_none(market: MarketParams, price_ticks: int) -> str | None:
    return format_price(price_ticks, market) if price_ticks else None


def ppb_text(rate_ppb: int) -> str:
    sign = "-" if rate_ppb < 0 else ""
    return f"{sign}{abs(rate_ppb) // 10**9}.{abs(rate_ppb) % 10**9:09d}"
