"""Margin and liquidation numbers worked by hand. BTC: 0.1 USD ticks, 0.001 BTC lots, so tick x lot = 100 quote units.

At 50,000 USD one lot is worth 50 USD. Initial margin 5 %, maintenance 2.5 %, taker 5 bps, maker 2 bps.
"""

import pytest

from engine.apply import execute
from engine.commands import BUY, IMMEDIATE_OR_CANCEL, SELL, WITHDRAW, Command
from engine.limits import FEE_ACCOUNT, INSURANCE_ACCOUNT
from engine.results import Code
from engine.state import genesis
from engine.views import account_summary, find_account, totals
from tests.engine.blocks import BTC, FOREVER_MS, START_MS, USD, block, deposit, make_params, place, reports, trader

LONG, SHORT, MAKER = trader(1), trader(2), trader(3)
MARK = 500_000


def funded(*amounts_usd: int, insurance_usd: int = 0):
    state = genesis(make_params(), START_MS)
    owners = [LONG, SHORT, MAKER][: len(amounts_usd)]
    inbox = [deposit(at, owner, usd * USD) for at, (owner, usd) in enumerate(zip(owners, amounts_usd))]
    if insurance_usd:
        inbox.append(deposit(len(inbox), (INSURANCE_ACCOUNT + 1).to_bytes(20, "big"), insurance_usd * USD))
    return run(state, price_ticks=MARK, inbox=inbox)[0]


def run(state, *commands, price_ticks: int = 0, inbox=()):
    made = block(state, batches=list(commands), inbox=inbox)
    if price_ticks:
        made = made._replace(price_reports=reports(made.time_ms, price_ticks, 300_000))
    return execute(state, made)


def summary(state, owner: bytes):
    return account_summary(state, find_account(state, owner))


def codes(result) -> list[int]:
    return result.receipts["code"].tolist()


def test_initial_margin_is_exact_to_the_last_unit() -> None:
    """20 lots at mark: 1,000 USD notional, 50 USD margin, 0.50 USD taker fee."""
    need_quote = 50 * USD + USD // 2
    for short_by, code in ((0, Code.OK), (1, Code.INSUFFICIENT_MARGIN)):
        state = genesis(make_params(), START_MS)
        state, _ = run(state, price_ticks=MARK, inbox=[deposit(0, LONG, need_quote - short_by)])
        assert codes(run(state, place(LONG, 1, BUY, MARK, 20))[1]) == [code]


def test_a_bad_price_counts_as_a_loss_at_once() -> None:
    """20 lots at 1 % above the mark: 10 USD lost, 50 USD margin at mark, fee 5 bps of 1,010 USD = 0.505 USD."""
    need_quote = 60_505_000
    for short_by, code in ((0, Code.OK), (1, Code.INSUFFICIENT_MARGIN)):
        state = genesis(make_params(), START_MS)
        state, _ = run(state, price_ticks=MARK, inbox=[deposit(0, LONG, need_quote - short_by)])
        assert codes(run(state, place(LONG, 1, BUY, 505_000, 20))[1]) == [code]


def test_open_orders_count_at_the_riskiest_side() -> None:
    """20 bid and 30 asked: the riskiest position is 30 short, 75 USD; fees 0.5 + 0.75 USD (at their prices)."""
    state, _ = run(funded(1000), place(LONG, 1, BUY, 499_000, 20), place(LONG, 2, SELL, 501_000, 30))
    fee_quote = (499_000 * 20 + 501_000 * 30) * 100 * 5 // 10_000
    assert summary(state, LONG).initial_margin_quote == 75 * USD + fee_quote


def test_a_trade_moves_exactly_its_value_and_fees() -> None:
    state, _ = run(funded(1000, 1000), place(SHORT, 1, SELL, 500_100, 20))
    state, result = run(state, place(LONG, 1, BUY, 500_200, 20))
    value_quote = 500_100 * 20 * 100  # 1,000.20 USD
    long, short = summary(state, LONG), summary(state, SHORT)
    assert long.balance_quote == 1000 * USD - value_quote - 500_100
    assert short.balance_quote == 1000 * USD + value_quote - 200_040
    assert account_summary(state, FEE_ACCOUNT).balance_quote == 700_140
    assert long.equity_quote == 1000 * USD - 200_000 - 500_100  # bought 0.01 USD per 0.001 BTC above the mark
    assert result.fills[0]["taker_fee_quote"] == 500_100
    assert (long.maintenance_margin_quote, long.initial_margin_quote) == (25 * USD, 50 * USD)
    assert [tuple(p.size_lots for p in one.positions) for one in (long, short)] == [(20,), (-20,)]


def test_fees_round_up_against_the_trader() -> None:
    """One lot at tick 1: 100 quote units, both fees become one whole unit."""
    state = genesis(make_params(), START_MS)
    inbox = [deposit(0, LONG, USD), deposit(1, SHORT, USD)]
    state, _ = run(state, price_ticks=1, inbox=inbox)
    state, _ = run(state, place(SHORT, 1, SELL, 1, 1))
    _, result = run(state, place(LONG, 1, BUY, 1, 1))
    assert (result.fills[0]["maker_fee_quote"], result.fills[0]["taker_fee_quote"]) == (1, 1)


def test_profit_on_paper_cannot_be_withdrawn() -> None:
    """Free is min(balance, equity) less initial margin: a short's sale proceeds are not free either."""
    state, _ = run(funded(1000, 1000), place(SHORT, 1, SELL, MARK, 10))
    state, _ = run(state, place(LONG, 1, BUY, MARK, 10))
    state, _ = run(state, price_ticks=510_000)
    long, short = summary(state, LONG), summary(state, SHORT)
    assert long.equity_quote == 1000 * USD + 10 * USD - 250_000
    assert long.free_quote == 500 * USD - 250_000 - 25_500_000  # the balance after paying 500 USD, less 5 % of 510
    assert short.free_quote == 1000 * USD - 10 * USD - 100_000 - 25_500_000
    take = Command.of(WITHDRAW, LONG, 2, FOREVER_MS, size_lots=long.free_quote)
    state, result = run(state, take)
    assert codes(result) == [Code.OK] and summary(state, LONG).free_quote == 0


def leveraged(insurance_usd: int = 0):
    """LONG holds 20 lots (1,000 USD) on 60 USD; SHORT and MAKER are rich."""
    state = funded(60, 100_000, 100_000, insurance_usd=insurance_usd)
    state, _ = run(state, place(SHORT, 1, SELL, MARK, 20))
    return run(state, place(LONG, 1, BUY, MARK, 20))[0]


def test_liquidation_closes_no_more_than_needed() -> None:
    """At 48,200 (two steps): equity 59.5 - 36 = 23.5 < 24.1 maintenance. Parts of 3 lots at the mark, fee 50 bps."""
    state, _ = run(leveraged(), place(MAKER, 1, BUY, 482_000, 100))
    state, _ = run(state, price_ticks=482_000)
    after = summary(state, LONG)
    assert after.positions[0].size_lots == 17  # one part is enough: 22.777 USD equity covers 20.485 USD
    assert after.equity_quote == 23_500_000 - 3 * 482_000 * 100 * 50 // 10_000
    assert account_summary(state, INSURANCE_ACCOUNT).balance_quote == 723_000
    assert after.equity_quote >= after.maintenance_margin_quote


def test_an_empty_book_waits_and_a_gap_is_paid_by_insurance() -> None:
    """Parts of 3 lots at 46,800: 2.1 USD lost and 0.702 USD fee each; the fourth leaves nothing for a fee."""
    state, result = run(leveraged(insurance_usd=4), price_ticks=475_000)
    assert len(result.fills) == 0 and summary(state, LONG).positions[0].size_lots == 20
    state, _ = run(state, place(MAKER, 1, BUY, 468_000, 100))
    state, result = run(state, price_ticks=475_000)
    assert summary(state, LONG).positions == ()
    record = result.liquidations[0]
    assert record["closed_lots"] == 20 and record["equity_quote"] == 59_500_000 - 50 * USD
    assert record["insurance_quote"] == 4 * USD + 3 * 702_000  # all it had, its fees of a moment ago included
    assert record["equity_after_quote"] == 59_500_000 - 64 * USD - 3 * 702_000 + record["insurance_quote"]
    sums = totals(state)
    assert sums.insurance_quote == 0 and sums.debts_quote == -summary(state, LONG).balance_quote > 0
    assert sums.claims_quote - sums.debts_quote == sums.balances_quote


def test_debt_is_paid_when_insurance_is_filled_again() -> None:
    state, _ = run(leveraged(), place(MAKER, 1, BUY, 468_000, 100))
    state, _ = run(state, price_ticks=475_000)
    debt_quote = totals(state).debts_quote
    assert debt_quote > 0
    top_up = deposit(3, (INSURANCE_ACCOUNT + 1).to_bytes(20, "big"), 100 * USD)
    state, result = run(state, inbox=[top_up])
    assert totals(state).debts_quote == 0 and result.liquidations[0]["insurance_quote"] == debt_quote


def test_orders_that_could_bankrupt_are_cancelled() -> None:
    """Bids for 1,000 USD on 60 USD: a fall of 5 % would cost 50 USD and leave less than maintenance if they filled."""
    state, _ = run(funded(60, 100_000), place(LONG, 1, BUY, MARK, 20))
    state, result = run(state, price_ticks=485_000)
    assert len(result.cancellations) == 0  # 60 - 30 - 0.5 covers 24.25
    state, result = run(state, price_ticks=475_000)
    assert result.cancellations["reason"].tolist() == [4] and len(result.liquidations) == 0


@pytest.mark.parametrize(
    ("side", "price_ticks", "size_lots", "code"),
    [
        (SELL, 484_000, 20, Code.OK),  # closes all at the mark
        (SELL, 484_000, 5, Code.OK),
        (SELL, 484_000, 21, Code.INSUFFICIENT_MARGIN),  # would turn the position
        (SELL, 460_000, 20, Code.INSUFFICIENT_MARGIN),  # so cheap that health falls
        (BUY, 484_000, 1, Code.INSUFFICIENT_MARGIN),
    ],
)
def test_an_unhealthy_account_may_only_reduce(side, price_ticks, size_lots, code) -> None:
    """At 48,400: equity 27.5, maintenance 24.2, initial 48.4."""
    state, _ = run(leveraged(), price_ticks=484_000)
    command = place(LONG, 2, side, price_ticks, size_lots, time_in_force=IMMEDIATE_OR_CANCEL, market=BTC)
    assert codes(run(state, command)[1]) == [code]
