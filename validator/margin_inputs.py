"""The rows of the engine's tables from which an account's margin is computed (`engine.simulate`), for who computes it
elsewhere: `local_margin.py` puts them together again.
"""

from collections.abc import Iterable

from engine.simulate import read_holdings
from engine.state import EngineState
from engine.tables import EXPIRY, EXPIRY_COUNT, MARKET, MARKET_COUNT, UNDERLYING, UNDERLYING_COUNT
from net.gateway.account_data import MarginInputs

COLUMNS = {
    name: tuple(record.names or ())
    for name, record in (("markets", MARKET), ("underlyings", UNDERLYING), ("expiries", EXPIRY))
}


def read_inputs(state: EngineState, account: int, markets: Iterable[int]) -> MarginInputs:
    """Of an account and of these markets beside its own."""
    tables, holdings = state.tables, read_holdings(state.tables, account)
    listed = range(int(tables.counters[MARKET_COUNT]))
    wanted = [market for market in sorted({*holdings.lots, *holdings.open_lots, *markets}) if market in listed]
    return MarginInputs(
        height=state.height, mode=holdings.mode, balance_quote=holdings.balance_quote,
        order_charge_quote=holdings.order_charge_quote, lots=holdings.lots, open_lots=holdings.open_lots,
        names=tuple(state.params.underlyings), columns=COLUMNS,
        markets={market: tables.markets[market].item() for market in wanted},
        scenarios={market: tuple(tables.scenarios[market].tolist()) for market in wanted},
        underlyings=tuple(tables.underlyings[: int(tables.counters[UNDERLYING_COUNT])].tolist()),
        expiries=tuple(tables.expiries[: int(tables.counters[EXPIRY_COUNT])].tolist()),
        counters=tuple(tables.counters.tolist()),
    )  # fmt: skip
