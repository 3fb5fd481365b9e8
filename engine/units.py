"""Exact conversions between decimal text and the engine's integers. Text that has no exact integer is refused, never
rounded.

Prices are ticks, sizes are lots, money is quote units of 1e-6. Importing this starts no compiler.
"""

from engine.errors import ParamsError
from engine.params import QUOTE_DECIMALS, MarketParams, parse_decimal

_DECIMALS = QUOTE_DECIMALS * 2


class UnitError(ValueError):
    """Text that is no exact multiple of the unit; the message names the nearest one that is."""


def parse_price_ticks(text: str, market: MarketParams) -> int:
    """Ticks of a price such as `"50000.1"`. Raises `UnitError`."""
    return _parse_steps(text, market.tick_size, "price")


def parse_size_lots(text: str, market: MarketParams) -> int:
    """Lots of a size such as `"0.025"`. Raises `UnitError`."""
    return _parse_steps(text, market.lot_size, "size")


def parse_quote(text: str) -> int:
    """Quote units of an amount such as `"-12.345678"`. Raises `UnitError`."""
    return _parse_steps(text, "0.000001", "amount")


def format_price(price_ticks: int, market: MarketParams) -> str:
    """A price as text with exactly the decimals of the tick size."""
    return _format_steps(price_ticks, market.tick_size)


def format_size(size_lots: int, market: MarketParams) -> str:
    """A size as text with exactly the decimals of the lot size."""
    return _format_steps(size_lots, market.lot_size)


def format_quote(amount_quote: int) -> str:
    """Money as text with six decimals."""
    return _format_steps(amount_quote, "0.000001")


def _parse_steps(text: str, step_text: str, what: str) -> int:
    digits = text.removeprefix("-")
    places = len(digits.partition(".")[2])
    try:
        magnitude = parse_decimal(digits, max(_DECIMALS, places))
    except ParamsError:
        raise UnitError(f"{text!r} is no decimal number") from None
    step = parse_decimal(step_text, max(_DECIMALS, places))
    steps, rest = divmod(magnitude, step)
    sign = -1 if text.startswith("-") else 1
    if rest:
        nearest = steps + (2 * rest >= step)
        raise UnitError(
            f"{what} {text} is no multiple of {step_text}; the nearest is {_format_steps(sign * nearest, step_text)}"
        )
    return sign * steps


def _format_steps(steps: int, step_text: str) -> str:
    places = len(step_text.partition(".")[2])
    digits = str(abs(steps) * parse_decimal(step_text, places)).rjust(places + 1, "0")
    sign = "-" if steps < 0 else ""
    return sign + (f"{digits[:-places]}.{digits[-places:]}" if places else digits)
