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


def e8_text(number_e8: int) -> str:
    """1e-8 units as the shortest decimal text."""
    whole, fraction = divmod(abs(number_e8), 10**8)
    sign = "-" if number_e8 < 0 else ""
    return sign + f"{whole}.{fraction:08d}".rstrip("0").rstrip(".")
