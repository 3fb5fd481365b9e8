"""Markets as the API names them: genesis as it was written, later ones by their terms."""

import pytest
from chainlet import GENESIS_STATE, PARAMS

from net.gateway.present_text import e8_text
from validator.listings import list_markets, make_symbol

CHRISTMAS_MS = 1_798_185_600_000  # 2026-12-25 08:00 UTC


def test_markets_of_genesis_are_read_back_as_they_were_written() -> None:
    assert list_markets(GENESIS_STATE) == PARAMS.markets


@pytest.mark.parametrize(
    ("kind", "expiry_ms", "strike_e8", "symbol"),
    [
        ("perpetual", 0, 0, "BTC-PERPETUAL"),
        ("future", CHRISTMAS_MS, 0, "BTC-25DEC26"),
        ("call", CHRISTMAS_MS, 100_000 * 10**8, "BTC-25DEC26-100000-C"),
        ("put", CHRISTMAS_MS, 62_500_000, "BTC-25DEC26-0d625-P"),
        ("future", CHRISTMAS_MS + 23_400_000, 0, "BTC-25DEC26T1430"),
    ],
)
def test_a_listed_market_is_named_by_its_terms(kind: str, expiry_ms: int, strike_e8: int, symbol: str) -> None:
    assert make_symbol("BTC", kind, expiry_ms, strike_e8) == symbol


def test_a_number_in_e8_is_shown_with_as_few_places_as_it_needs() -> None:
    assert [e8_text(number) for number in (10**8, 10_000_000, 1, 0, -250_000_000)] == [
        "1",
        "0.1",
        "0.00000001",
        "0",
        "-2.5",
    ]
