"""Implied volatility: the edge is an edge, and what was priced is found again."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.black76 import VOL_Q56_MAX, price_option
from engine.elementary import YEAR_MS, compute_sqrt_years
from engine.implied import GRID_Q56, implied_vol_q56, implied_vols
from tests.engine.test_black76 import INT64, VECTORS, far, forwards, near, place_strike, times, vols


def price_of(forward_e8: int, strike_e8: int, vol_q56: int, root_q60: int) -> tuple[int, int]:
    call_e8, _, _, _, vega_q60, _, _ = price_option(forward_e8, strike_e8, vol_q56, root_q60)
    return int(call_e8), int(vega_q60)


def find(call_e8: int, forward_e8: int, strike_e8: int, time_ms: int) -> int:
    return int(implied_vol_q56(call_e8, forward_e8, strike_e8, *map(int, compute_sqrt_years(time_ms))))


@settings(deadline=None, max_examples=300)
@given(forwards, vols, times, far | near)
def test_what_was_priced_is_found_again(forward_e8, vol_q56, time_ms, place) -> None:
    root_q60 = int(compute_sqrt_years(time_ms)[0])
    strike_e8 = place_strike(forward_e8, vol_q56, root_q60, place)
    call_e8, vega_q60 = price_of(forward_e8, strike_e8, vol_q56, root_q60)
    found = find(call_e8, forward_e8, strike_e8, time_ms)
    assert 0 <= found <= VOL_Q56_MAX
    # Where a price tells its volatility at all, the two are as near as one unit of price.
    vega_e8 = vega_q60 * forward_e8 >> 60
    if vega_e8 > 10**6:
        assert abs(found - vol_q56) <= 2**56 // vega_e8 + 2 * GRID_Q56


@settings(deadline=None, max_examples=300)
@given(forwards, times, far | near, st.integers(0, 2**20))
def test_the_answer_is_the_edge_of_the_grid(forward_e8, time_ms, place, share) -> None:
    root_q60 = int(compute_sqrt_years(time_ms)[0])
    strike_e8 = place_strike(forward_e8, 2**56, root_q60, place)
    intrinsic_e8 = max(forward_e8 - strike_e8, 0)
    call_e8 = intrinsic_e8 + (forward_e8 - intrinsic_e8) * share // 2**20
    found = find(call_e8, forward_e8, strike_e8, time_ms)
    if call_e8 == intrinsic_e8:
        assert found == 0
        return
    scale = 62 - max(forward_e8, strike_e8).bit_length()
    assert found % GRID_Q56 == 0
    assert price_of(forward_e8 << scale, strike_e8 << scale, found, root_q60)[0] <= call_e8 << scale
    if found < VOL_Q56_MAX:
        assert price_of(forward_e8 << scale, strike_e8 << scale, found + GRID_Q56, root_q60)[0] > call_e8 << scale


@settings(deadline=None)
@given(INT64, INT64, INT64, INT64, INT64)
def test_any_numbers_give_a_volatility(call_e8, forward_e8, strike_e8, root_q60, inverse_q40) -> None:
    assert 0 <= implied_vol_q56(call_e8, forward_e8, strike_e8, root_q60, inverse_q40) <= VOL_Q56_MAX


@pytest.mark.parametrize(
    ("case", "call_e8", "expected"),
    [
        ("a price below intrinsic has none", 99, 0),
        ("intrinsic value alone tells of none", 100, 0),
        ("a price of the forward is reached by every volatility", 300, VOL_Q56_MAX),
        ("a price above the forward, too", 301, VOL_Q56_MAX),
        ("a negative price has none", -1, 0),
    ],
)
def test_ends(case, call_e8, expected) -> None:
    assert find(call_e8, 300, 200, YEAR_MS) == expected, case


def test_golden_implied_volatilities() -> None:
    for *arguments, expected in json.loads(VECTORS.read_text())["implied_vols"]:
        assert implied_vol_q56(*arguments) == expected, arguments


def test_a_put_enters_by_parity() -> None:
    root_q60 = int(compute_sqrt_years(YEAR_MS // 12)[0])
    _, put_e8, *_ = price_option(5 * 10**12, 4 * 10**12, 80 * 2**56 // 100, root_q60)
    found = find(int(put_e8) + 10**12, 5 * 10**12, 4 * 10**12, YEAR_MS // 12)
    assert math.isclose(found / 2**56, 0.8, abs_tol=1e-10)


def test_the_batch_finds_each_row_as_one() -> None:
    calls = np.array([0, 10**9, 10**11, 10**12], dtype=np.int64)
    money = np.full(4, 3 * 10**12, dtype=np.int64)
    root_q60, inverse_q40 = (np.full(4, number, dtype=np.int64) for number in compute_sqrt_years(YEAR_MS // 4))
    found = np.zeros(4, dtype=np.int64)
    implied_vols(calls, money, money, root_q60, inverse_q40, found)
    assert found.tolist() == [find(call_e8, 3 * 10**12, 3 * 10**12, YEAR_MS // 4) for call_e8 in calls.tolist()]
