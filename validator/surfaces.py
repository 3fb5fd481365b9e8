"""Volatilities of options as the API shows them, by the engine's own kernels: of the surface at each strike, and those
that the best prices imply.
"""

from collections.abc import Sequence

import numpy as np

from engine.implied import implied_vols
from engine.marks import TWAP_SLOTS
from engine.state import EngineState
from engine.svi import svi_vols
from engine.tables import KIND_PUT

PPB = 10**9
_Q56 = 1 << 56


def read_forward_e8(row: np.void) -> int:
    """Forward of an expiry; what is sampled already is fixed (docs/spec.md, MRK-3)."""
    forward_e8, count = int(row["forward_e8"]), int(row["twap_count"])
    if not count or not forward_e8:
        return forward_e8
    return (int(row["twap_sum_e8"]) + forward_e8 * (TWAP_SLOTS - count)) // TWAP_SLOTS


def read_surface_e8(row: np.void) -> tuple[int, int, int, int, int]:
    return int(row["a_e8"]), int(row["b_e8"]), int(row["rho_e8"]), int(row["m_e8"]), int(row["sigma_e8"])


def surface_vols_ppb(state: EngineState, number: int, strikes_e8: Sequence[int]) -> list[int]:
    """The volatility of each strike of an expiry; zeros without forward or surface."""
    row = state.tables.expiries[number]
    forward_e8 = read_forward_e8(row)
    if not forward_e8 or not int(row["surface_ms"]):
        return [0] * len(strikes_e8)
    return _surface_vols_ppb(read_surface_e8(row), strikes_e8, forward_e8, int(row["inverse_sqrt_years_q40"]))


def _surface_vols_ppb(
    surface_e8: Sequence[int], strikes_e8: Sequence[int], forward_e8: int, inverse_sqrt_years_q40: int
) -> list[int]:
    vols_q56 = np.zeros(len(strikes_e8), np.int64)
    svi_vols(
        np.array(surface_e8, np.int64), np.array(strikes_e8, np.int64), np.int64(forward_e8),
        np.int64(inverse_sqrt_years_q40), vols_q56,
    )  # fmt: skip
    return [int(vol_q56) * PPB // _Q56 for vol_q56 in vols_q56]


def implied_vols_ppb(state: EngineState, market: int, prices_e8: Sequence[int]) -> list[int]:
    """What an option's prices say; 0 for a price that is none or that no volatility gives."""
    option = state.tables.markets[market]
    row = state.tables.expiries[int(option["expiry"])]
    forward_e8, strike_e8 = read_forward_e8(row), int(option["strike_e8"])
    if not forward_e8:
        return [0] * len(prices_e8)
    parity_e8 = forward_e8 - strike_e8 if int(option["kind"]) == KIND_PUT else 0
    calls_e8 = [price_e8 + parity_e8 if price_e8 else 0 for price_e8 in prices_e8]
    return _implied_vols_ppb(
        calls_e8, forward_e8, strike_e8, int(row["sqrt_years_q60"]), int(row["inverse_sqrt_years_q40"])
    )


def _implied_vols_ppb(
    calls_e8: Sequence[int], forward_e8: int, strike_e8: int, sqrt_years_q60: int, inverse_sqrt_years_q40: int
) -> list[int]:
    count = len(calls_e8)
    vols_q56 = np.zeros(count, np.int64)
    implied_vols(
        np.array(calls_e8, np.int64), np.full(count, forward_e8, np.int64), np.full(count, strike_e8, np.int64),
        np.full(count, sqrt_years_q60, np.int64), np.full(count, inverse_sqrt_years_q40, np.int64), vols_q56,
    )  # fmt: skip
    # Only a price above all that options can be worth has the largest volatility.
    return [
        0 if call_e8 <= 0 or call_e8 >= forward_e8 else int(vol_q56) * PPB // _Q56
        for call_e8, vol_q56 in zip(calls_e8, vols_q56, strict=True)
    ]


def warm_surfaces() -> None:
    """Compiles the kernels, or reads them from the cache, so that no question waits for a compiler."""
    price_e8 = 10**10
    _surface_vols_ppb((1_000_000, 1_000_000, 0, 0, 10_000_000), [price_e8], price_e8, 1 << 41)
    _implied_vols_ppb([price_e8 // 50], price_e8, price_e8, 1 << 59, 1 << 41)
