"""Markets as the API knows them: those of genesis by their names, those that the governor listed by names that follow
from their terms.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from engine import views
from engine.params import KINDS, MarketParams
from engine.state import EngineState
from net.gateway.present_text import e8_text

# Names of expiries say the time of day unless it is this one.
USUAL_HOUR = 8
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
# Parameters of a market and their names in its row.
_CHANGING = {
    "initial_margin_bps": "initial_bps", "maintenance_margin_bps": "maintenance_bps", "price_band_bps": "band_bps",
    "size_lots_max": "order_lots_max", "position_lots_max": "position_lots_max",
} | {
    name: name for name in (
        "maker_fee_bps", "taker_fee_bps", "liquidation_fee_bps", "oi_low_quote", "oi_high_quote", "auction_move_bps",
        "auction_ms", "funding_cap_bps", "interest_bps", "impact_quote",
    )
}  # fmt: skip


def list_markets(state: EngineState) -> tuple[MarketParams, ...]:
    """Every market ever listed, with its parameters of now."""
    return tuple(_read_markets(state))


def _read_markets(state: EngineState) -> Iterator[MarketParams]:
    taken: set[str] = set()
    for number in range(views.market_count(state)):
        row = state.tables.markets[number]
        if number < len(state.params.markets):
            market = replace(state.params.markets[number], **_read_changing(state, row))
        else:
            market = _read_listed(state, row)
        if market.symbol in taken:
            # Listed again after it had ended: the old name stays with the old market.
            market = replace(market, symbol=f"{market.symbol}.{number}")
        taken.add(market.symbol)
        yield market


def make_symbol(underlying: str, kind: str, expiry_ms: int, strike_e8: int) -> str:
    """As Deribit names instruments: `BTC-PERPETUAL`, `BTC-25DEC26`, `BTC-25DEC26-100000-C`; `d` is a strike's decimal
    point, `T1430` the time of day (UTC) of an expiry that is not at 08:00.
    """
    if kind == "perpetual":
        return f"{underlying}-PERPETUAL"
    at = datetime.fromtimestamp(expiry_ms // 1000, UTC)
    day = f"{at.day}{_MONTHS[at.month - 1]}{at.year % 100:02d}"
    if (at.hour, at.minute) != (USUAL_HOUR, 0):
        day += f"T{at.hour:02d}{at.minute:02d}"
    if kind == "future":
        return f"{underlying}-{day}"
    return f"{underlying}-{day}-{e8_text(strike_e8).replace('.', 'd')}-{kind[0].upper()}"


def _expiry_ms(state: EngineState, row: np.void) -> int:
    """0 for what never expires."""
    return int(state.tables.expiries[int(row["expiry"])]["expiry_ms"]) if int(row["expiry"]) >= 0 else 0


def _read_listed(state: EngineState, row: np.void) -> MarketParams:
    """A market that genesis does not know."""
    kind, expiry_ms, strike_e8 = KINDS[int(row["kind"])], _expiry_ms(state, row), int(row["strike_e8"])
    underlying = state.params.underlyings[int(row["underlying"])]
    return MarketParams(
        symbol=make_symbol(underlying, kind, expiry_ms, strike_e8), tick_size=e8_text(int(row["tick_e8"])),
        lot_size=e8_text(int(row["lot_e8"])), quote_per_tick_lot=int(row["quote_per_tick_lot"]), kind=kind,
        underlying=underlying, expiry_ms=expiry_ms, strike=e8_text(strike_e8), **_read_changing(state, row),
    )  # fmt: skip


def _read_changing(state: EngineState, row: np.void) -> dict[str, Any]:
    """What the governor may change."""
    underlying = state.tables.underlyings[int(row["underlying"])]
    return {ours: int(row[theirs]) for ours, theirs in _CHANGING.items()} | {
        name: int(underlying[name]) for name in ("oracle_step_bps_max", "oracle_stale_ms", "reference_move_bps")
    }
