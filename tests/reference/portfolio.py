"""Where the rules of portfolio accounts come in: their demand is the model's of section 7 (MAR-6, PMR-12).

The model sees the world as the last reprice left it; what a lot is worth in its scenarios is computed when first asked.
"""

from engine.black76 import price_option
from engine.elementary import compute_sqrt_years, exp_minus_q62, exp_plus_q56, log_ratio_q57
from engine.svi import svi_vol_q56
from engine.tables import PHASE_SETTLED
from tests.reference import portfolio_model as model


class EngineNumbers(model.Numbers):
    """The elementary functions whose last bits consensus fixes."""

    def roots(self, time_left_ms):
        root_q60, inverse_q40 = compute_sqrt_years(time_left_ms)
        return int(root_q60), int(inverse_q40)

    def log_q57(self, numerator, denominator):
        return int(log_ratio_q57(numerator, denominator))

    def exp_minus_q62(self, x_q57):
        return int(exp_minus_q62(x_q57))

    def exp_plus_q56(self, x_q57):
        return int(exp_plus_q56(x_q57))

    def svi_vol_q56(self, surface_e8, strike_e8, forward_e8, inverse_root_q40):
        return int(svi_vol_q56(*surface_e8, strike_e8, forward_e8, inverse_root_q40))

    def price_e8(self, is_put, forward_e8, strike_e8, vol_q56, root_q60):
        return int(price_option(forward_e8, strike_e8, vol_q56, root_q60)[1 if is_put else 0])


NUMBERS = EngineNumbers()


def photograph(x):
    """The world of the model as of now; `x.model_rows` is filled when a market is first asked about."""
    instruments = {
        market: model.Instrument(
            row.kind, row.underlying, row.mark_e8, row.lot_e8, row.expiry, row.strike_e8, row.initial_bps,
            row.maintenance_bps, row.position_lots_max,
        )
        for market, row in enumerate(x.markets)
        if row.mark_ms and row.phase != PHASE_SETTLED
    }  # fmt: skip
    underlyings = {
        number: model.Underlying(row.index_e8, row.dispersion_bps, row.multiplier_bps)
        for number, row in enumerate(x.underlyings)
    }
    expiries = {
        number: model.Expiry(
            row.expiry_ms - x.time_ms, row.forward_e8 or x.underlyings[row.underlying].index_e8,
            (row.a_e8, row.b_e8, row.rho_e8, row.m_e8, row.sigma_e8), row.twap_sum_e8, row.twap_count,
        )
        for number, row in enumerate(x.expiries)
    }  # fmt: skip
    x.model_world = model.World(instruments, underlyings, expiries, x.stable_e8)
    x.model_rows = {}


def demand_of(x, positions):
    held = {market: lots for market, lots in positions.items() if market in x.model_world.instruments}
    for market in held:
        if market not in x.model_rows:
            x.model_rows[market] = model.make_row(x.model_world, market, NUMBERS)
    return model.compute_demand(x.model_world, x.model_rows, held, NUMBERS)


def requirement(x, positions, is_initial):
    """Quote demand of positions `{market: lots}`."""
    demand = demand_of(x, positions)
    return demand.initial_quote if is_initial else demand.maintenance_quote


def worst_scenario(x, positions):
    return demand_of(x, positions).worst
