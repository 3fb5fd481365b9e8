"""What a local network lists: names, expiries and strikes follow from the genesis time and the index at it."""

from datetime import UTC, datetime

import pytest

from engine.params import DEFAULT_MARKETS, ExchangeParams
from testnet.__main__ import parse_duration_ms
from testnet.listing import Listing, choose_expiries, choose_strikes, list_markets, round_down, to_ms
from testnet.terms import DEFAULT_TERMS, Terms, choose_markets
from validator.pricefeed import parse_price_source

DAY_MS = 86_400_000
E8 = 10**8
INDEXES_E8 = (60_123 * E8, 3_011 * E8)


def at(text: str) -> int:
    return to_ms(datetime.fromisoformat(text).replace(tzinfo=UTC))


GENESIS_MS = at("2026-11-26 07:20")


@pytest.mark.parametrize(("genesis", "near", "far"), [
    ("2026-11-26 07:20", "2026-12-04 08:00", "2026-12-25 08:00"),
    ("2026-12-02 08:00", "2026-12-04 08:00", "2026-12-25 08:00"),
    ("2026-12-02 08:01", "2026-12-11 08:00", "2026-12-25 08:00"),
    ("2026-12-10 00:00", "2026-12-18 08:00", "2027-01-29 08:00"),
    ("2027-02-01 12:00", "2027-02-05 08:00", "2027-02-26 08:00"),
])  # fmt: skip
def test_the_near_expiry_is_a_friday_and_the_far_one_the_last_of_its_month(genesis: str, near: str, far: str) -> None:
    assert choose_expiries(Listing(), at(genesis)) == (at(near), at(far))


def test_a_near_expiry_may_be_minutes_ahead() -> None:
    near_ms, far_ms = choose_expiries(Listing(600_000), GENESIS_MS + 1)
    assert near_ms == GENESIS_MS + 660_000
    assert far_ms == at("2026-12-25 08:00")


@pytest.mark.parametrize(("index_usd", "ahead_ms", "first", "step"), [
    (60_123, 600_000, 58_000, 500), (60_123, 8 * DAY_MS, 56_000, 1_000), (60_123, 29 * DAY_MS, 52_000, 2_000),
    (3_011, 600_000, 2_940, 20), (3_011, 8 * DAY_MS, 2_800, 50), (3_011, 29 * DAY_MS, 2_600, 100),
    (101_900, 29 * DAY_MS, 94_000, 2_000), (1, DAY_MS, 1, 1),
])  # fmt: skip
def test_nine_round_strikes_lie_around_the_index(index_usd: int, ahead_ms: int, first: int, step: int) -> None:
    assert choose_strikes(index_usd * E8, ahead_ms) == [first + step * number for number in range(9)]


def test_round_numbers_are_one_two_and_five() -> None:
    assert [round_down(number) for number in (1, 2, 4, 5, 9, 10, 19, 99, 100, 1_202)] == [
        1, 2, 2, 5, 5, 10, 10, 50, 100, 1_000,
    ]  # fmt: skip


def test_the_listing_is_an_exchange_with_the_perpetuals_in_their_places() -> None:
    markets = list_markets(Listing(), GENESIS_MS, INDEXES_E8)
    params = ExchangeParams(markets, bytes(20), 4, 1, bytes(20))
    assert markets[:2] == DEFAULT_MARKETS
    assert params.underlyings == ("BTC", "ETH")
    near_ms, far_ms = at("2026-12-04 08:00"), at("2026-12-25 08:00")
    assert params.expiries == (("BTC", near_ms), ("BTC", far_ms), ("ETH", near_ms), ("ETH", far_ms))
    kinds = [market.kind for market in markets]
    assert [kinds.count(kind) for kind in ("perpetual", "future", "call", "put")] == [2, 4, 36, 36]
    symbols = {market.symbol: market for market in markets}
    assert len(symbols) == len(markets)
    option = symbols["BTC-25DEC26-60000-P"]
    assert (option.kind, option.strike, option.expiry_ms) == ("put", "60000", at("2026-12-25 08:00"))
    assert {market.price_ticks_max for market in markets if market.kind == "put"} == {100_000}
    assert {market.price_ticks_max for market in markets if market.kind == "future"} == {400_000}
    assert {"BTC-4DEC26", "ETH-25DEC26", "ETH-4DEC26-3050-C", "BTC-4DEC26-64000-P"} <= set(symbols)


def test_the_same_genesis_lists_the_same_markets() -> None:
    assert list_markets(Listing(), GENESIS_MS, INDEXES_E8) == list_markets(Listing(), GENESIS_MS, INDEXES_E8)


def test_strikes_lie_around_the_price_that_validators_report() -> None:
    prices = parse_price_source("path:seed=7", DEFAULT_MARKETS).feeds(GENESIS_MS)
    markets = choose_markets(Terms(listing=Listing()), GENESIS_MS, 7)
    strikes = [int(market.strike) for market in markets if market.symbol.startswith("BTC-4DEC26-")]
    assert abs(strikes[len(strikes) // 2] * E8 - prices[0]) <= 1_000 * E8
    assert choose_markets(DEFAULT_TERMS, GENESIS_MS, 7) == DEFAULT_MARKETS


@pytest.mark.parametrize(
    ("text", "duration_ms"), [("90s", 90_000), ("10m", 600_000), ("2h", 7_200_000), ("3d", 3 * DAY_MS)]
)
def test_durations_are_a_number_and_a_unit(text: str, duration_ms: int) -> None:
    assert parse_duration_ms(text) == duration_ms


@pytest.mark.parametrize("text", ["", "m", "10", "0m", "-1m", "1.5h", "10 m", "10w", "²m"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="such as 10m"):
        parse_duration_ms(text)
