"""What makers of options quote: messages that fit, quotes around the mark, leaning against their position."""

import pytest

from engine.commands import ACTIONS_MAX
from engine.params import MarketParams
from testnet.listing import Listing, list_markets
from testnet.option_makers import (
    ACTIONS_PER_MARKET,
    TURNS_MAX,
    Mark,
    Quotes,
    compute_distance_ticks,
    compute_lean_ticks,
    group_by_expiry,
)

NOW_MS = 1_795_000_000_000
MARKETS = list_markets(Listing(), NOW_MS, (60_000 * 10**8, 3_000 * 10**8))
FUTURE = next(market for market in MARKETS if market.kind == "future")
CALL = next(market for market in MARKETS if market.kind == "call")


def test_each_message_renews_one_expiry_and_no_market_is_left_out() -> None:
    groups = group_by_expiry(MARKETS, NOW_MS)
    assert [len({(item.underlying_name, item.expiry_ms) for item in group}) for group in groups] == [1] * 4
    assert all(len(group) * ACTIONS_PER_MARKET <= ACTIONS_MAX for group in groups)
    assert {item.symbol for group in groups for item in group} == {item.symbol for item in MARKETS if item.expiry_ms}


def test_a_chain_that_is_too_long_for_a_message_is_cut() -> None:
    groups = group_by_expiry((CALL,) * 100, NOW_MS)
    assert [len(group) for group in groups] == [42, 42, 16]


def test_what_has_expired_is_quoted_no_more() -> None:
    first_ms = min(market.expiry_ms for market in MARKETS if market.expiry_ms)
    groups = group_by_expiry(MARKETS, first_ms)
    assert len(groups) == 2
    assert all(market.expiry_ms > first_ms for group in groups for market in group)


@pytest.mark.parametrize(("mark_ticks", "position_lots", "turn", "is_stale"), [
    (1_000, 5, 0, False), (1_020, 5, 0, False), (1_021, 5, 0, True), (979, 5, 0, True), (1_000, 4, 0, True),
    (1_000, 5, TURNS_MAX - 1, False), (1_000, 5, TURNS_MAX, True),
])  # fmt: skip
def test_quotes_stay_until_the_mark_has_left_them(
    mark_ticks: int, position_lots: int, turn: int, is_stale: bool
) -> None:
    assert Quotes(1_000, 40, 5, 0).is_stale(mark_ticks, position_lots, turn) is is_stale


@pytest.mark.parametrize(("market", "mark_ticks", "index_ticks", "distance_ticks"), [
    (FUTURE, 600_000, 600_000, 480), (FUTURE, 1, 1, 1), (CALL, 2_000, 60_000, 54), (CALL, 0, 60_000, 24),
    (CALL, 1, 1, 1),
])  # fmt: skip
def test_quotes_lie_off_the_mark(market: MarketParams, mark_ticks: int, index_ticks: int, distance_ticks: int) -> None:
    assert compute_distance_ticks(market, Mark(mark_ticks, index_ticks)) == distance_ticks


@pytest.mark.parametrize(("position_lots", "lean_ticks"), [(0, 0), (200, 20), (-200, -20), (9_000, 40), (-9_000, -40)])
def test_a_long_position_quotes_lower_by_at_most_the_distance(position_lots: int, lean_ticks: int) -> None:
    assert compute_lean_ticks(CALL, 40, position_lots) == lean_ticks
