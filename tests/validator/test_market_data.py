"""What a node tells of its markets, on a real chain with a perpetual, a future and options: they trade, pay funding,
expire, and the governor lists another.
"""

from collections.abc import Iterator

import pytest

from engine.commands import BUY, LIST, SELL
from tests.validator.chainlet import MEMBERS, OWNERS
from tests.validator.dated_markets import (
    CALL,
    E8,
    EXPIRY_MS,
    FEEDS_E8,
    FORWARD_E8,
    FUTURE,
    HOUR_MS,
    INDEX_E8,
    MINUTE_MS,
    PERPETUAL,
    PUT,
    SIGMA,
    START_MS,
    A,
    B,
    Exchange,
)
from validator.ledger import Ledger
from validator.stats import Stats


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """The call traded at 900.0 and then at 905.0; then two hours passed, and everything dated has ended."""
    made = Exchange(tmp_path_factory.mktemp("market"))
    made.add((0, CALL, SELL, 9_000, 3), (1, CALL, BUY, 9_000, 2))
    made.add((0, PERPETUAL, SELL, 500_500, 50), (1, PERPETUAL, BUY, 500_000, 50))
    yield made
    made.store.close()


def test_an_option_shows_its_surface_its_greeks_and_what_its_prices_imply(exchange: Exchange) -> None:
    exchange.add((1, CALL, BUY, 2_000, 4))
    call, put, future = (exchange.ticker(number) for number in (CALL, PUT, FUTURE))
    assert call.forward_e8 == put.forward_e8 == future.forward_e8 == FORWARD_E8
    assert call.delivery_e8 == call.index_e8 == INDEX_E8 and call.last_price_ticks == 9_000
    # Near the money a surface of total variance w has the volatility sqrt(w / years).
    years = (EXPIRY_MS - call.time_ms) / (365 * 86_400_000)
    wanted = ((A + B * SIGMA / E8) / E8 / years) ** 0.5
    assert call.mark_vol_ppb / 1e9 == pytest.approx(wanted, rel=1e-2)
    assert call.mark_vol_ppb == put.mark_vol_ppb == exchange.data.surface_vols_ppb(0, [50_000 * E8])[0]
    assert call.greeks_e8 is not None and put.greeks_e8 is not None
    assert 0.5 < call.greeks_e8[0] / E8 < 1 and call.greeks_e8[0] - put.greeks_e8[0] == pytest.approx(E8, abs=2_000)
    assert call.mark_e8 - put.mark_e8 == FORWARD_E8 - 50_000 * E8
    assert 0 < call.bid_vol_ppb < call.mark_vol_ppb < call.ask_vol_ppb
    assert put.bid_vol_ppb == put.ask_vol_ppb == 0 and future.greeks_e8 is None
    assert 0 < call.sell_limit_ticks < call.buy_limit_ticks


def test_implied_volatility_of_the_mark_is_that_of_the_surface(exchange: Exchange) -> None:
    """The engine's pricing turned round: to what a tick of the price allows."""
    ticks = exchange.ticker(CALL).mark_e8 // 10_000_000
    exchange.add((1, CALL, BUY, ticks, 4))
    call = exchange.ticker(CALL)
    assert call.bid_vol_ppb == pytest.approx(call.mark_vol_ppb, rel=5e-3)


def test_trades_are_found_by_time_and_number_from_both_ends(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange.add((1, CALL, BUY, 9_000, 1))
    everything = (0, 1 << 62)
    newest, has_more = exchange.data.trades_between(None, everything, everything, 10, False)
    oldest, _ = exchange.data.trades_between(None, everything, everything, 10, True)
    assert not has_more and list(newest) == list(oldest)[::-1] and len(newest) >= 2
    first = oldest[0]
    assert exchange.data.trades_between([CALL], (first.time_ms, first.time_ms), everything, 5, True) == ([first], False)
    assert exchange.data.trades_between([CALL], everything, (first.trade_id, first.trade_id), 5, False)[0] == [first]
    assert exchange.data.trades_between([PUT], everything, everything, 5, True) == ([], False)
    assert exchange.data.trades_between([PUT], everything, everything, 5, False) == ([], False)
    own = [trade for trade in newest if trade.market == CALL]
    assert exchange.data.trades_between([CALL], everything, everything, 1, False) == (own[:1], True)
    before = (0, own[0].time_ms - 1), (0, own[0].trade_id - 1)
    assert exchange.data.trades_between([CALL], before[0], everything, 9, False) == (own[1:], False)
    assert exchange.data.trades_between([CALL], everything, before[1], 9, False) == (own[1:], False)
    monkeypatch.setattr("validator.market_data.NEWER_TRADES_MAX", 0)
    assert exchange.data.trades_between([CALL], before[0], everything, 9, False) == (own[1:], False)
    assert exchange.data.trades_between(None, everything, everything, 1, True) == ([first], True)


def test_a_command_is_found_in_its_block(exchange: Exchange) -> None:
    block = exchange.explorer.block(2)
    assert block is not None and block.action_count == 2 and block.trade_count == 1 and block.report_count == MEMBERS
    actions = exchange.explorer.actions(2, 0, 10)
    assert [(item.number, item.command.owner, item.action.size_lots) for item in actions] == [
        (0, OWNERS[0], 3), (1, OWNERS[1], 2),
    ]  # fmt: skip
    assert actions[1].result.filled_lots == 2 and exchange.explorer.find_action(actions[1].action_id) == actions[1]
    assert list(exchange.explorer.actions(2, 1, 1)) == [actions[1]] and exchange.explorer.block(9_999) is None
    newest = exchange.explorer.blocks(1 << 62, 3)
    assert [view.finalised.header.height for view in newest] == sorted(
        (view.finalised.header.height for view in newest), reverse=True
    )
    found = exchange.explorer.oracle_round(None)
    assert found is not None and [report.feeds_e8 for report in found.reports] == [FEEDS_E8] * MEMBERS
    assert [member.number for member in exchange.explorer.committee(1)] == list(range(MEMBERS))


def test_trades_and_prices_change_nothing_of_what_is_listed(exchange: Exchange) -> None:
    """So the text that the API keeps of all instruments lasts."""
    before = exchange.data.markets(), exchange.data.listing_marks()
    exchange.add((0, PERPETUAL, SELL, 500_000, 7), (1, PERPETUAL, BUY, 500_000, 7))
    exchange.add(feeds_e8=tuple(price_e8 + E8 for price_e8 in FEEDS_E8))
    assert exchange.data.markets() is before[0] and exchange.data.listing_marks() == before[1]


def test_the_governor_lists_a_market_and_it_is_there_at_once(exchange: Exchange) -> None:
    before, marks = exchange.data.markets(), exchange.data.listing_marks()
    assert before is exchange.data.markets()
    expiry_ms = EXPIRY_MS + 25 * HOUR_MS
    exchange.add_records(
        [exchange.sign(2, LIST, market=CALL, side=2, link=1, good_till_ms=expiry_ms, price_ticks=62_500 * E8)]
    )
    (listed,) = exchange.data.markets()[len(before) :]
    assert exchange.data.markets()[: len(before)] == before
    assert (listed.symbol, listed.kind, listed.strike) == ("BTC-16JAN27T1000-62500-C", "call", "62500")
    assert (listed.tick_size, listed.lot_size, listed.expiry_ms) == ("0.1", "0.001", expiry_ms)
    view = exchange.data.listing(len(before))
    assert view.listed_ms == exchange.chain.head.timestamp_ms and view.settle_e8 == 0
    assert exchange.data.listing_marks() != marks
    assert [item.expiry_ms for item in exchange.data.expiries()] == [EXPIRY_MS, expiry_ms]


def test_hours_pass_and_markets_end(exchange: Exchange) -> None:
    """The last test: it moves the clock."""
    feeds_e8, marks = FEEDS_E8 + (0,) * 6, exchange.data.listing_marks()
    for _ in range(120):
        exchange.add(step_ms=MINUTE_MS, feeds_e8=feeds_e8)
    data, now_ms = exchange.data, exchange.chain.head.timestamp_ms
    fundings = data.fundings(PERPETUAL, (0, now_ms), 10)
    assert len(fundings) == 2 and data.fundings(PERPETUAL, (0, now_ms), 1) == [fundings[1]]
    assert fundings[1].rate_8h_ppb == exchange.ticker(PERPETUAL).funding_8h_ppb != 0
    assert fundings[1].index_before_e8 == fundings[0].index_e8 == INDEX_E8
    ended = data.settlements(None, now_ms + 1, 10)
    assert {view.market for view in ended} == {FUTURE, CALL, PUT} and data.listing_marks() != marks
    assert {view.market: view.settle_e8 for view in ended} == {FUTURE: INDEX_E8, CALL: 0, PUT: 0}
    assert all(view.index_e8 == INDEX_E8 for view in ended)
    assert data.settlements([CALL], now_ms + 1, 10) == [view for view in ended if view.market == CALL]
    assert data.expiries()[0].settle_e8 == INDEX_E8 and exchange.ticker(CALL).phase == 4
    (candle,) = data.candles(CALL, (START_MS, now_ms), HOUR_MS)
    assert (candle.begin_ms, candle.open_ticks, candle.close_ticks) == (START_MS, 9_000, 9_000)
    assert candle.volume_lots == 3 and candle.turnover == 27_000
    marks = data.marks(PERPETUAL, (START_MS, now_ms), 1_000)
    assert len(marks) == 121 and marks[-1][1] == exchange.ticker(PERPETUAL).mark_e8
    assert data.indexes(0, (now_ms - 5 * MINUTE_MS, now_ms), 1_000)[0][1] == INDEX_E8
    assert data.history_begins_ms() == 0


def test_a_ledger_that_starts_again_knows_the_last_funding(exchange: Exchange) -> None:
    again = Ledger(exchange.store, Stats(lambda: 0), exchange.chain.executor.final.state)
    assert again.funding_rates_ppb == exchange.ledger.funding_rates_ppb
