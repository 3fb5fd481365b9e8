"""Kernels' arithmetic against Python's unbounded integers and the C library's hash; units against text."""

import numpy as np
import pytest
import sha3
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.checked import is_product_at_least, mul_div_ceil, mul_div_floor
from engine.keccak import keccak_into
from engine.params import DEFAULT_MARKETS, MarketParams, ParamsError
from engine.units import (
    UnitError,
    format_price,
    format_quote,
    format_size,
    parse_price_ticks,
    parse_quote,
    parse_size_lots,
)

BTC = DEFAULT_MARKETS[0]
WIDE = st.integers(0, (1 << 62) - 1)
SIGNED = st.integers(-(1 << 62) + 1, (1 << 62) - 1)


@settings(deadline=None)
@given(WIDE, st.integers(0, 10_000))
def test_bps_of_money(amount_quote, bps) -> None:
    assert mul_div_floor(amount_quote, bps, 10_000) == amount_quote * bps // 10_000
    assert mul_div_ceil(amount_quote, bps, 10_000) == -(-amount_quote * bps // 10_000)


@settings(deadline=None)
@given(SIGNED, WIDE, SIGNED, WIDE)
def test_products_compare_exactly(left, left_factor, right, right_factor) -> None:
    assert is_product_at_least(left, left_factor, right, right_factor) == (left * left_factor >= right * right_factor)


@pytest.mark.parametrize("left", [-2, -1, 0, 1, 2])
@pytest.mark.parametrize("right", [-2, -1, 0, 1, 2])
def test_small_products_compare_exactly(left, right) -> None:
    for left_factor in range(3):
        for right_factor in range(3):
            expected = left * left_factor >= right * right_factor
            assert is_product_at_least(left, left_factor, right, right_factor) == expected


@settings(deadline=None)
@given(st.binary(max_size=600))
def test_keccak_is_the_librarys(data) -> None:
    buffer, digest = np.zeros(816, dtype=np.uint8), np.zeros(32, dtype=np.uint8)
    buffer[: len(data)] = np.frombuffer(data, dtype=np.uint8)
    keccak_into(buffer, len(data), digest)
    assert digest.tobytes() == sha3.keccak_256(data).digest()


def test_text_and_units_are_one_to_one() -> None:
    assert parse_price_ticks("50000.1", BTC) == 500_001 and format_price(500_001, BTC) == "50000.1"
    assert parse_size_lots("0.025", BTC) == 25 and format_size(-25, BTC) == "-0.025"
    assert parse_quote("-12.345678") == -12_345_678 and format_quote(-12_345_678) == "-12.345678"
    assert parse_price_ticks("7.000", BTC) == 70 and format_quote(5) == "0.000005"


@given(st.integers(-(1 << 62), 1 << 62))
def test_formatting_and_parsing_are_inverse(number) -> None:
    assert parse_quote(format_quote(number)) == number
    assert parse_price_ticks(format_price(number, BTC), BTC) == number


@pytest.mark.parametrize(
    ("text", "nearest"),
    [("50000.17", "50000.2"), ("50000.14", "50000.1"), ("-0.05", "-0.1"), ("0.000000000001", "0.0")],
)
def test_what_is_no_multiple_names_the_nearest(text, nearest) -> None:
    with pytest.raises(UnitError, match=f"nearest is {nearest}$"):
        parse_price_ticks(text, BTC)


@pytest.mark.parametrize("text", ["", "-", ".", "1.", "1e3", " 1", "+1", "0x1", "1,000", "--1", "١", "nan", "1" * 50])
def test_other_text_is_refused(text) -> None:
    if text == "1.":
        assert parse_price_ticks(text, BTC) == 10
        return
    with pytest.raises(UnitError, match="no decimal number"):
        parse_price_ticks(text, BTC)


@pytest.mark.parametrize(
    "change",
    [
        {"quote_per_tick_lot": 99}, {"tick_size": "0.2"}, {"initial_margin_bps": 250}, {"maker_fee_bps": -1},
        {"taker_fee_bps": 250}, {"size_lots_max": 1_000_001}, {"price_band_bps": 10_000}, {"oracle_stale_ms": 0},
        {"oracle_step_bps_max": 0}, {"position_lots_max": "1"}, {"tick_size": "1e-1"}, {"liquidation_fee_bps": 250},
    ],
)  # fmt: skip
def test_markets_that_contradict_themselves_are_refused(change) -> None:
    values = {name: getattr(BTC, name) for name in MarketParams.__dataclass_fields__}
    with pytest.raises(ParamsError):
        MarketParams(**(values | change))
