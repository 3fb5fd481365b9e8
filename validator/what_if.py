"""An account's margin in another case, asked of the engine's own functions (`engine.simulate`): by a node of its state,
and by a trader's machine of the rows that a node gave it (`local_margin.py`).
"""

from collections.abc import Sequence

from engine import simulate
from engine.results import Code
from engine.state import EngineState
from engine.tables import MARKET_COUNT, MODE_PORTFOLIO, Tables
from net.gateway.account_data import Simulated, UnderlyingRisk, WhatIf

POSITIONS_MAX = 128


def simulate_account(state: EngineState, account: int, what_if: WhatIf) -> Simulated | Code:
    """A code where the case has no answer: a market without a price, a size or a shift out of range."""
    holdings = simulate.read_holdings(state.tables, account)
    return simulate_holdings(state.tables, state.params.underlyings, state.height, holdings, what_if)


def simulate_holdings(
    tables: Tables, names: Sequence[str], height: int, holdings: simulate.Holdings, what_if: WhatIf
) -> Simulated | Code:
    """`names` of the underlyings. Of the tables only markets, what they hang on, and their counts are looked at."""
    trades = {
        market: lots if what_if.is_added else lots - holdings.lots.get(market, 0)
        for market, lots in what_if.lots.items()
    }  # fmt: skip
    if not what_if.is_added:  # what is not named is not held
        trades |= {market: -lots for market, lots in holdings.lots.items() if market not in what_if.lots}
    code = _check(tables, holdings, trades, what_if)
    if code != Code.OK:
        return code
    orders = tuple(
        simulate.Order(order.market, order.side, order.size_lots, order.price_ticks) for order in what_if.orders
    )
    shifts = dict.fromkeys(range(len(names)), what_if.price_shift_ppm)
    found = simulate.simulate(
        tables, holdings, trades, orders, shifts if what_if.price_shift_ppm else None, what_if.vol_shift_ppm
    )
    risks = tuple(
        UnderlyingRisk(
            name=names[at], delta_quote=greeks.delta_quote, gamma_quote=greeks.gamma_quote,
            vega_quote=greeks.vega_quote, theta_quote=greeks.theta_quote, rho_quote=greeks.rho_quote,
            scenarios=found.scenarios.get(at, ()), liquidation_below_e8=found.liquidations[at][0],
            liquidation_above_e8=found.liquidations[at][1],
        )
        for at, greeks in found.greeks.items()
    )  # fmt: skip
    return Simulated(
        height=height, mode=holdings.mode, equity_quote=found.equity_quote, initial_quote=found.initial_quote,
        maintenance_quote=found.maintenance_quote, worst_scenario=found.worst_scenario, risks=risks,
    )  # fmt: skip


def _check(tables: Tables, holdings: simulate.Holdings, trades: dict[int, int], what_if: WhatIf) -> Code:
    """Limits within which the engine's integers are exact: those that an account is held to."""
    if not simulate.PRICE_SHIFT_PPM_MIN <= what_if.price_shift_ppm <= simulate.PRICE_SHIFT_PPM_MAX:
        return Code.PARAMETER_OUT_OF_BOUNDS
    if not simulate.VOL_SHIFT_PPM_MIN <= what_if.vol_shift_ppm <= simulate.VOL_SHIFT_PPM_MAX:
        return Code.PARAMETER_OUT_OF_BOUNDS
    ordered: dict[int, int] = {}
    for order in what_if.orders:
        ordered[order.market] = ordered.get(order.market, 0) + order.size_lots
    wanted = {*holdings.lots, *holdings.open_lots, *trades, *ordered}
    if len(wanted) > POSITIONS_MAX and holdings.mode == MODE_PORTFOLIO:
        return Code.POSITIONS_FULL
    for market in wanted:
        if not 0 <= market < int(tables.counters[MARKET_COUNT]):
            return Code.UNKNOWN_MARKET
        row = tables.markets[market]
        if not row["mark_ms"]:
            return Code.NO_PRICE
        held = holdings.lots.get(market, 0) + trades.get(market, 0)
        if abs(held) + ordered.get(market, 0) + sum(holdings.open_lots.get(market, ())) > int(row["position_lots_max"]):
            return Code.POSITION_TOO_LARGE
    return Code.OK
