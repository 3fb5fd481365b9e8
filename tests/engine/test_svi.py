"""SVI slices against fifty digits, and the checks of soundness against the formulas they check."""

import json

import numba
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf
from numba import njit

from engine.black76 import VOL_Q56_MAX
from engine.elementary import YEAR_MS, compute_sqrt_years
from engine.svi import (
    A_E8_MAX,
    B_E8_MAX,
    M_E8_MAX,
    SIGMA_E8_MAX,
    SIGMA_E8_MIN,
    UNIT_E8,
    is_slice_sound,
    is_surface_sound,
    svi_vol_q56,
    svi_vols,
    variance_q55,
)
from tests.engine.test_black76 import VECTORS

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
# A month of a market with a skew: 60 % at the money.
MONTH = (800_000, 6_000_000, -30_000_000, 1_000_000, 20_000_000)
HALF_YEAR = (4_000_000, 15_000_000, -25_000_000, 2_000_000, 40_000_000)
# The example of Gatheral and Jacquier (section 3.1, due to Vogt): non-negative everywhere, and arbitrage inside.
VOGT = (-4_100_000, 13_310_000, 30_600_000, 35_860_000, 41_530_000)

slices = st.tuples(
    st.integers(-UNIT_E8, 4 * UNIT_E8),
    st.integers(0, B_E8_MAX),
    st.integers(-UNIT_E8 + 1, UNIT_E8 - 1),
    st.integers(-2 * UNIT_E8, 2 * UNIT_E8),
    st.integers(SIGMA_E8_MIN, 2 * UNIT_E8),
)
small = st.tuples(
    st.integers(0, 10_000_000),
    st.integers(0, 40_000_000),
    st.integers(-90_000_000, 90_000_000),
    st.integers(-30_000_000, 30_000_000),
    st.integers(1_000_000, 60_000_000),
)


@pytest.fixture(autouse=True)
def fifty_digits():
    with mp.workdps(50):
        yield


def exact_variance(slice_e8: tuple[int, ...], k: mpf) -> mpf:
    a, b, rho, m, sigma = (mpf(number) / UNIT_E8 for number in slice_e8)
    return a + b * (rho * (k - m) + mp.sqrt((k - m) ** 2 + sigma**2))


def exact_butterfly(slice_e8: tuple[int, ...], k: mpf) -> mpf:
    """Durrleman's g(k), from the derivatives in closed form."""
    _, b, rho, m, sigma = (mpf(number) / UNIT_E8 for number in slice_e8)
    root = mp.sqrt((k - m) ** 2 + sigma**2)
    variance, slope, bend = exact_variance(slice_e8, k), b * (rho + (k - m) / root), b * sigma**2 / root**3
    return (1 - k * slope / (2 * variance)) ** 2 - slope**2 / 4 * (1 / variance + mpf(1) / 4) + bend / 2


@settings(deadline=None, max_examples=300)
@given(slices | small, st.integers(-(5 << 57), 5 << 57))
def test_variance_is_the_formulas(slice_e8, k_q57) -> None:
    expected = min(max(exact_variance(slice_e8, mpf(k_q57) / 2**57), mpf(2) ** -55), 144)
    assert abs(mpf(variance_q55(*slice_e8, k_q57)) / 2**55 - expected) < mpf(2) ** -51


@settings(deadline=None, max_examples=300)
@given(small, st.floats(-2, 2), st.integers(60_000, 2 * YEAR_MS))
def test_vol_is_the_root_of_variance_over_time(slice_e8, power, time_ms) -> None:
    forward_e8 = 5 * 10**12
    strike_e8 = round(forward_e8 * mp.exp(power))
    k = mp.log(mpf(strike_e8) / forward_e8)
    limit = 4 * mp.sqrt((slice_e8[0] + mpf(slice_e8[1]) * slice_e8[4] / UNIT_E8) / UNIT_E8)
    variance = exact_variance(slice_e8, min(max(k, -limit), limit))
    assume(variance > mpf("1e-7"))
    vol = min(mp.sqrt(variance * YEAR_MS / time_ms), 8)
    found = svi_vol_q56(*slice_e8, strike_e8, forward_e8, compute_sqrt_years(time_ms)[1])
    assert abs(mpf(int(found)) / 2**56 / vol - 1) < mpf("1e-8")


def test_far_strikes_keep_the_volatility_of_the_last_one() -> None:
    inverse_q40 = compute_sqrt_years(YEAR_MS)[1]
    far, farther = (svi_vol_q56(*MONTH, 10**12 * factor, 10**12, inverse_q40) for factor in (30, 3000))
    assert far == farther


@settings(deadline=None, max_examples=300)
@given(INT64, INT64, INT64, INT64, INT64, INT64, INT64, INT64)
def test_any_numbers_give_a_volatility(a, b, rho, m, sigma, strike_e8, forward_e8, inverse_q40) -> None:
    assert 1 <= svi_vol_q56(a, b, rho, m, sigma, strike_e8, forward_e8, inverse_q40) <= VOL_Q56_MAX
    assert is_slice_sound(a, b, rho, m, sigma) in (True, False)


def test_the_batch_evaluates_each_strike_as_one() -> None:
    strikes_e8 = np.array([1, 10**11, 10**12, 3 * 10**12, 10**18], dtype=np.int64)
    inverse_q40, vols = int(compute_sqrt_years(YEAR_MS // 12)[1]), np.zeros(5, dtype=np.int64)
    svi_vols(np.array(MONTH, dtype=np.int64), strikes_e8, 10**12, inverse_q40, vols)
    assert vols.tolist() == [svi_vol_q56(*MONTH, strike_e8, 10**12, inverse_q40) for strike_e8 in strikes_e8.tolist()]


@pytest.mark.parametrize(
    ("case", "slice_e8", "sound"),
    [
        ("a market's month", MONTH, True),
        ("a market's half year", HALF_YEAR, True),
        ("no smile at all", (4_000_000, 0, 0, 0, UNIT_E8), True),
        ("nothing at all has no volatility but no arbitrage", (0, 0, 0, 0, UNIT_E8), True),
        ("butterflies in Vogt's example", VOGT, False),
        ("a negative lowest variance", (-4_000_000, 10_000_000, 0, 0, 30_000_000), False),
        ("a slope of the left wing above Lee's bound", (UNIT_E8, 150_000_000, -50_000_000, 0, UNIT_E8), False),
        ("a negative slope", (UNIT_E8, -1, 0, 0, UNIT_E8), False),
        ("a correlation of one", (UNIT_E8, 1_000_000, UNIT_E8, 0, UNIT_E8), False),
        ("a correlation below minus one", (UNIT_E8, 1_000_000, -UNIT_E8 - 1, 0, UNIT_E8), False),
        ("a corner instead of a smile", (4_000_000, 10_000_000, 0, 0, SIGMA_E8_MIN - 1), False),
        ("too wide", (4_000_000, 10_000_000, 0, 0, SIGMA_E8_MAX + 1), False),
        ("shifted too far", (4_000_000, 10_000_000, 0, M_E8_MAX + 1, UNIT_E8), False),
        ("too much variance", (A_E8_MAX + 1, 10_000_000, 0, 0, UNIT_E8), False),
    ],
)
def test_sound_slices(case, slice_e8, sound) -> None:
    assert is_slice_sound(*slice_e8) == sound, case


@settings(deadline=None, max_examples=60)
@given(small | slices)
def test_a_sound_slice_has_no_butterfly_where_one_looks(slice_e8) -> None:
    a, b, _, m, sigma = slice_e8
    limit = 4 * mp.sqrt(max(mpf(a) + mpf(b) * sigma / UNIT_E8, 0) / UNIT_E8)
    grid = [limit * step / 32 for step in range(-32, 33)]
    grid += [mpf(step) / 16 for step in range(-32, 33)]
    grid += [(mpf(m) + mpf(sigma) * step / 4) / UNIT_E8 for step in range(-16, 17)]
    inside = [k for k in grid if 1e-9 < exact_variance(slice_e8, k) < 144]
    if is_slice_sound(*slice_e8):
        assert all(exact_variance(slice_e8, k) > -1e-12 for k in grid)
        assert all(exact_butterfly(slice_e8, k) > -mpf("1e-5") for k in inside)
    elif b * (UNIT_E8 + abs(slice_e8[2])) <= 2 * UNIT_E8**2 and all(exact_variance(slice_e8, k) > 1e-3 for k in grid):
        root = mp.sqrt(UNIT_E8**2 - mpf(slice_e8[2]) ** 2)
        lowest_e8 = a + mpf(b) * sigma * root / UNIT_E8**2
        assert lowest_e8 < 1 or any(exact_butterfly(slice_e8, k) < mpf("1e-5") for k in inside)


@pytest.mark.parametrize(
    ("case", "surface", "sound"),
    [
        ("no expiry", [], True),
        ("one expiry", [MONTH], True),
        ("variance grows with time", [MONTH, HALF_YEAR], True),
        ("equal slices", [MONTH, MONTH], True),
        ("variance falls with time", [HALF_YEAR, MONTH], False),
        ("slices that cross in a wing", [MONTH, (1_200_000, 6_000_000, 30_000_000, 1_000_000, 20_000_000)], False),
        ("an unsound one among sound ones", [MONTH, VOGT, HALF_YEAR], False),
    ],
)
def test_sound_surfaces(case, surface, sound) -> None:
    assert is_surface_sound(np.array(surface, dtype=np.int64).reshape(-1, 5)) == sound, case


def test_golden_volatilities() -> None:
    for *arguments, expected in json.loads(VECTORS.read_text())["svi_vols"]:
        assert svi_vol_q56(*arguments) == expected, arguments


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
def test_compiled_surfaces_have_no_float() -> None:
    uncached = njit(is_surface_sound.py_func)
    uncached(np.array([MONTH, HALF_YEAR], dtype=np.int64))
    (code,) = uncached.inspect_llvm().values()
    assert " double" not in code and " float" not in code
