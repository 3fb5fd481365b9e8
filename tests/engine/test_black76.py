"""Integer Black-76 and its elementary functions against fifty digits, in the corners and where they clamp."""

import hashlib
import json
import math
from pathlib import Path

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf
from numba import njit

from engine import pricing_tables
from engine.black76 import OPTION_COLUMNS, price_option, price_option_at, price_options
from engine.elementary import (
    INT64_MAX,
    TIME_LEFT_MS_MAX,
    YEAR_MS,
    compute_sqrt_years,
    exp_minus_q62,
    exp_plus_q56,
    ln_q57,
    log_ratio,
    log_ratio_q57,
    sqrt_q60,
)
from tests.engine import make_pricing_tables

VECTORS = Path(__file__).resolve().parent.parent / "vectors" / "pricing.json"
MINUTE_MS = 60_000
PERCENT_Q56 = 2**56 // 100
CENT_E8, MILLION_E8 = 10**6, 10**14
# What the module promises beyond the half unit of the rounding, for each unit of forward plus strike.
TABLE_ERROR = mpf(6) / 10**18

forwards = st.floats(math.log(CENT_E8), math.log(MILLION_E8)).map(lambda power: round(math.exp(power)))
vols = st.floats(math.log(0.01), math.log(5)).map(lambda power: round(math.exp(power) * 2**56))
times = st.floats(math.log(MINUTE_MS), math.log(3 * YEAR_MS)).map(lambda power: round(math.exp(power)))
# Anywhere between a tenth and ten times the forward, or within some deviations of it.
far = st.floats(math.log(0.1), math.log(10)).map(lambda power: (power, 0.0))
near = st.floats(-6, 6).map(lambda deviations: (0.0, deviations))


@pytest.fixture(autouse=True)
def fifty_digits():
    with mp.workdps(50):
        yield


def place_strike(forward_e8: int, vol_q56: int, root_q60: int, place: tuple[float, float]) -> int:
    log_moneyness = place[0] + place[1] * (vol_q56 / 2**56) * (root_q60 / 2**60)
    log_moneyness = min(max(log_moneyness, math.log(0.1)), math.log(10))
    return max(round(forward_e8 * math.exp(log_moneyness)), 1)


def check_against_fifty_digits(forward_e8: int, strike_e8: int, vol_q56: int, root_q60: int) -> None:
    vol, root = mpf(vol_q56) / 2**56, mpf(root_q60) / 2**60
    deviation, years = vol * root, root * root
    d1 = mp.log(mpf(forward_e8) / strike_e8) / deviation + deviation / 2
    density = mp.npdf(d1)
    call = forward_e8 * mp.ncdf(d1) - strike_e8 * mp.ncdf(d1 - deviation)

    priced = [int(number) for number in price_option(forward_e8, strike_e8, vol_q56, root_q60)]
    call_e8, put_e8, delta_q62, gamma_q48, vega_q60, theta_q60, rho_e8 = priced
    assert call_e8 - put_e8 == forward_e8 - strike_e8
    assert abs(call_e8 - call) <= mpf("0.5") + TABLE_ERROR * (forward_e8 + strike_e8)
    assert abs(mpf(delta_q62) / 2**62 - mp.ncdf(d1)) < mpf("1e-15")
    assert abs(mpf(gamma_q48) / 2**48 - density / deviation) < mpf("1e-13") / deviation
    assert abs(mpf(vega_q60) / 2**60 - density * root) < mpf("1e-14") * root
    assert abs(mpf(theta_q60) / 2**60 + density * vol / (2 * root) / 365) < mpf("1e-12") * vol / (2 * root) / 365
    call_in_rho = min(call, mpf(2) ** 57 - 1)
    rho_error = (1 + years) / 2 + years * TABLE_ERROR * (forward_e8 + strike_e8) + call_in_rho / 2**56
    assert abs(rho_e8 + years * call_in_rho) <= rho_error


@settings(deadline=None, max_examples=600)
@given(forwards, vols, times, far | near)
def test_prices_are_correctly_rounded_and_greeks_have_twelve_digits(forward_e8, vol_q56, time_ms, place) -> None:
    root_q60 = int(compute_sqrt_years(time_ms)[0])
    check_against_fifty_digits(forward_e8, place_strike(forward_e8, vol_q56, root_q60, place), vol_q56, root_q60)


@pytest.mark.parametrize("forward_e8", [CENT_E8, 50_000 * 10**8, MILLION_E8])
@pytest.mark.parametrize("vol_q56", [PERCENT_Q56, 60 * PERCENT_Q56, 5 << 56])
@pytest.mark.parametrize("time_ms", [MINUTE_MS, YEAR_MS // 365, 3 * YEAR_MS])
def test_corners_of_the_domain(forward_e8, vol_q56, time_ms) -> None:
    root_q60 = int(compute_sqrt_years(time_ms)[0])
    for strike_e8 in (forward_e8 // 10, forward_e8 - 1, forward_e8, forward_e8 + 1, forward_e8 * 10):
        check_against_fifty_digits(forward_e8, strike_e8, vol_q56, root_q60)
    for deviations in (-8.99, -3, -0.5, 0.03125, 2, 7, 9.01):
        strike_e8 = place_strike(forward_e8, vol_q56, root_q60, (0.0, deviations))
        check_against_fifty_digits(forward_e8, strike_e8, vol_q56, root_q60)


@settings(deadline=None, max_examples=300)
@given(st.integers(1 << 57, 1 << 59), vols, times, far | near)
def test_what_is_left_before_the_rounding_is_small(forward_e8, vol_q56, time_ms, place) -> None:
    """With money near the end of int64 the half unit vanishes and the error of tables and arguments is seen alone."""
    root_q60 = int(compute_sqrt_years(time_ms)[0])
    strike_e8 = min(place_strike(forward_e8, vol_q56, root_q60, place), (1 << 62) - 1)
    check_against_fifty_digits(forward_e8, strike_e8, vol_q56, root_q60)


INT64 = st.integers(-(1 << 63), INT64_MAX)


@settings(deadline=None, max_examples=600)
@given(INT64, INT64, INT64, INT64)
def test_any_numbers_give_a_price_between_intrinsic_and_everything(forward_e8, strike_e8, vol_q56, root_q60) -> None:
    call_e8, put_e8, delta_q62, gamma_q48, vega_q60, theta_q60, rho_e8 = (
        int(number) for number in price_option(forward_e8, strike_e8, vol_q56, root_q60)
    )
    forward_e8, strike_e8 = (min(max(money_e8, 1), (1 << 62) - 1) for money_e8 in (forward_e8, strike_e8))
    assert max(forward_e8 - strike_e8, 0) <= call_e8 <= forward_e8
    assert max(strike_e8 - forward_e8, 0) <= put_e8 <= strike_e8
    assert call_e8 - put_e8 == forward_e8 - strike_e8
    assert 0 <= delta_q62 <= 1 << 62
    assert 0 <= gamma_q48 <= INT64_MAX and 0 <= vega_q60 <= INT64_MAX
    assert -INT64_MAX <= theta_q60 <= 0 and -INT64_MAX <= rho_e8 <= 0


@pytest.mark.parametrize(
    ("case", "forward_e8", "strike_e8", "vol_q56", "root_q60", "call_e8"),
    [
        ("an expired call in the money", 300, 200, 1 << 56, 0, 100),
        ("an expired call out of the money", 200, 300, 1 << 56, 0, 0),
        ("an expired call at the money", MILLION_E8, MILLION_E8, 5 << 56, 0, 0),
        ("no volatility", MILLION_E8, MILLION_E8 - 7, 0, 1 << 60, 7),
        ("a total deviation above 24 is worth the forward", MILLION_E8, MILLION_E8, 8 << 56, 7 << 60, MILLION_E8),
        ("a strike far below is worth the difference", MILLION_E8, 1, 1 << 56, 1 << 60, MILLION_E8 - 1),
        ("a strike far above is worth nothing", 1, MILLION_E8, 1 << 56, 1 << 60, 0),
    ],
)
def test_ends(case, forward_e8, strike_e8, vol_q56, root_q60, call_e8) -> None:
    assert price_option(forward_e8, strike_e8, vol_q56, root_q60)[0] == call_e8, case


@settings(deadline=None)
@given(forwards, vols, times, near, st.integers(1, 2**56))
def test_a_call_never_loses_by_more_volatility_or_time(forward_e8, vol_q56, time_ms, place, more) -> None:
    root_q60 = int(compute_sqrt_years(time_ms)[0])
    strike_e8 = place_strike(forward_e8, vol_q56, root_q60, place)
    call_e8 = price_option(forward_e8, strike_e8, vol_q56, root_q60)[0]
    assert price_option(forward_e8, strike_e8, min(vol_q56 + more, 8 << 56), root_q60)[0] >= call_e8
    assert price_option(forward_e8, strike_e8, vol_q56, root_q60 + more)[0] >= call_e8


def test_the_batch_prices_each_row_as_one() -> None:
    rows = np.array(golden()["options"], dtype=np.int64)
    priced = np.zeros((len(rows), OPTION_COLUMNS), dtype=np.int64)
    price_options(rows[:, 0].copy(), rows[:, 1].copy(), rows[:, 2].copy(), rows[:, 3].copy(), priced)
    assert priced.tolist() == [list(map(int, price_option(*row[:4]))) for row in rows.tolist()]


def test_a_known_logarithm_gives_the_same_option() -> None:
    for forward_e8, strike_e8, vol_q56, root_q60, *expected in golden()["options"]:
        if 1 <= forward_e8 < 1 << 62 and 1 <= strike_e8 < 1 << 62:
            x, x_bits = log_ratio(forward_e8, strike_e8)
            assert list(map(int, price_option_at(forward_e8, strike_e8, x, x_bits, vol_q56, root_q60))) == expected


def golden() -> dict:
    return json.loads(VECTORS.read_text())


def test_golden_options() -> None:
    for *arguments, expected in [(*row[:4], row[4:]) for row in golden()["options"]]:
        assert [int(number) for number in price_option(*arguments)] == expected, arguments


def test_golden_square_roots_of_time() -> None:
    for time_ms, *expected in golden()["sqrt_years"]:
        assert [int(number) for number in compute_sqrt_years(time_ms)] == expected


def test_the_tables_are_the_constants_of_consensus() -> None:
    names = ("LOGARITHM", "RECIPROCAL", "EXPONENTIAL", "ROOT", "DISTRIBUTION", "DENSITY")
    tables = b"".join(getattr(pricing_tables, name).astype("<i8").tobytes() for name in names)
    assert hashlib.sha256(tables).hexdigest() == golden()["tables_sha256"]


def test_the_tables_are_what_their_maker_makes() -> None:
    made = make_pricing_tables.make_tables()
    assert {name: getattr(pricing_tables, name).tolist() for name in made} == made


@settings(deadline=None, max_examples=300)
@given(st.integers(1, 63).flatmap(lambda bits: st.integers(1, (1 << bits) - 1)), st.integers(1, INT64_MAX))
def test_logarithms(value, other) -> None:
    assert abs(ln_q57(value) - mp.log(value) * 2**57) <= 2
    assert abs(log_ratio_q57(value, other) - mp.log(mpf(value) / other) * 2**57) <= 2


@settings(deadline=None, max_examples=300)
@given(st.integers(0, 44 << 57) | st.integers(0, 1 << 40))
def test_exponentials(x_q57) -> None:
    x = mpf(x_q57) / 2**57
    assert abs(exp_minus_q62(x_q57) - mp.exp(-x) * 2**62) <= 16
    if x < 7 * mp.log(2):
        assert abs(exp_plus_q56(x_q57) / (mp.exp(x) * 2**56) - 1) < mpf(2) ** -54
    else:
        assert exp_plus_q56(x_q57) == INT64_MAX


@settings(deadline=None, max_examples=300)
@given(st.integers(1, 63).flatmap(lambda bits: st.integers(0, (1 << bits) - 1)))
def test_square_roots(value_q60) -> None:
    root = mp.sqrt(mpf(value_q60) * 2**60)
    assert -1 - root / 2**59 <= sqrt_q60(value_q60) - root <= root / 2**59


@settings(deadline=None, max_examples=300)
@given(st.floats(0, math.log(TIME_LEFT_MS_MAX)).map(lambda power: round(math.exp(power))))
def test_roots_of_time(time_ms) -> None:
    root = mp.sqrt(mpf(min(time_ms, TIME_LEFT_MS_MAX)) / YEAR_MS)
    sqrt_years_q60, inverse_q40 = compute_sqrt_years(time_ms)
    assert abs(sqrt_years_q60 - root * 2**60) <= 2 + root * 2**2
    assert abs(inverse_q40 - 2**40 / root) <= 2


@pytest.mark.parametrize("time_ms", [-(1 << 63), -1, 0])
def test_no_time_left_has_no_root_and_a_finite_inverse(time_ms) -> None:
    assert compute_sqrt_years(time_ms) == (0, compute_sqrt_years(1)[1])


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
def test_compiled_pricing_has_no_float() -> None:
    column = np.ones(2, dtype=np.int64)
    uncached = njit(price_options.py_func)
    uncached(column, column, column, column, np.zeros((2, OPTION_COLUMNS), dtype=np.int64))
    (code,) = uncached.inspect_llvm().values()
    assert " double" not in code and " float" not in code
