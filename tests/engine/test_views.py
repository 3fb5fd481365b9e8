"""What the API reads from a state: worked numbers of an account, the book, a market, proofs and totals."""

import pytest

from engine.apply import execute
from engine.commands import BUY, SELL
from engine.tables import ACCOUNT_COUNT, USER_ACCOUNT_FIRST
from engine.tree import account_proof, verify_account_proof
from engine.views import (
    account_summary,
    book_depth,
    find_account,
    is_spot,
    market_count,
    market_view,
    open_orders,
    totals,
)
from tests.engine.blocks import ALICE, BOB, BTC, ETH, MARK, NOBODY, POOR, USD, answers, block, funded, place, withdraw
from tests.engine.days import live, write_day


@pytest.fixture(scope="module")
def traded():
    """Alice is 100 lots (0.1 BTC) long at 50,000 against Bob; of each some orders rest."""
    state, _ = answers(funded(), place(ALICE, 1, BUY, MARK, 130), place(BOB, 1, SELL, MARK, 100))
    return answers(state, place(BOB, 2, SELL, MARK + 7, 5), place(BOB, 3, SELL, MARK + 7, 6, client_id=8))[0]


def test_an_account_in_numbers(traded) -> None:
    """0.1 BTC at 50,000 USD are worth 5,000 USD: 5 % of it to open, 2.5 % to keep; the maker's fee is 0.02 %."""
    alice = account_summary(traded, find_account(traded, ALICE))
    assert (alice.index, alice.owner, alice.subaccount, alice.mode) == (64, ALICE, 0, 0)
    assert alice.equity_quote == alice.claim_quote == 100_000 * USD - USD
    (position,) = alice.positions
    assert (position.market, position.size_lots, position.mark_ticks) == (BTC, 100, MARK)
    assert position.value_quote == position.delta_quote == 5_000 * USD and position.vega_quote == 0
    assert position.initial_margin_quote == 250 * USD and position.maintenance_margin_quote == 125 * USD
    assert alice.maintenance_margin_quote == 125 * USD
    # What rests demands 5 % of 1,500 USD, and the taker's fee of 0.05 % in case it is one.
    assert alice.initial_margin_quote == 325 * USD + 750_000
    assert alice.free_quote == alice.equity_quote - max(alice.initial_margin_quote, 500 * USD)
    assert (alice.open_order_count, alice.nonce_count, alice.nonce_lowest, alice.nonce_highest) == (1, 1, 1, 1)


def test_the_liquidation_price_is_where_equity_meets_maintenance(traded) -> None:
    """After a withdrawal of all but a little: E - M falls to zero there, and a tick further on it is negative."""
    alice = account_summary(traded, find_account(traded, ALICE))
    state, codes = answers(traded, withdraw(ALICE, 2, alice.free_quote))
    assert codes == [0]
    after = account_summary(state, alice.index)
    (position,) = after.positions
    # E = 500 USD at 50,000; E(p) = 500 - 0.1 (50,000 - p) = 0.025 x 0.1 p, so p = 4,500 / 0.0975.
    assert after.equity_quote == 500 * USD
    assert abs(position.liquidation_price_ticks - 461_538) <= 1
    short = account_summary(traded, find_account(traded, BOB)).positions[0]
    assert short.size_lots == -100 and short.liquidation_price_ticks > MARK


def test_depth_and_orders(traded) -> None:
    assert book_depth(traded, BTC, 5) == ([(MARK, 30, 1)], [(MARK + 7, 11, 2)])
    assert book_depth(traded, ETH, 5) == ([], [])
    orders = open_orders(traded, find_account(traded, BOB))
    assert [(item.price_ticks, item.remaining_lots, item.side, item.client_id) for item in orders] == [
        (MARK + 7, 5, SELL, 0), (MARK + 7, 6, SELL, 8),
    ]  # fmt: skip
    assert orders[0].order_id < orders[1].order_id and orders[0].size_lots == 5


def test_a_market_in_numbers(traded) -> None:
    view = market_view(traded, BTC)
    assert (view.best_bid_ticks, view.best_ask_ticks, view.last_price_ticks) == (MARK, MARK + 7, MARK)
    assert (view.open_interest_lots, view.volume_lots, view.is_fresh, view.phase) == (100, 100, True, 0)
    assert view.index_e8 == 50_000 * 10**8 and view.mark_ticks == MARK and view.funding_quote == 0
    assert market_count(traded) == 2 and not is_spot(traded, BTC)


def test_every_account_has_a_proof(traded) -> None:
    for index in (0, 1, 2, 64, 65, 66):
        proof = account_proof(traded, index)
        assert verify_account_proof(proof, traded.account_root, traded.account_sums)
        assert not verify_account_proof(proof, bytes(32), traded.account_sums)
    assert account_proof(traded, 64).claim_quote == account_summary(traded, 64).claim_quote


def test_money_adds_up(traded) -> None:
    sums = totals(traded)
    assert sums.balances_quote == sums.deposits_quote - sums.withdrawals_quote == 200_001 * USD
    assert sums.claims_quote - sums.debts_quote == sums.balances_quote
    assert sums.fees_quote == 5_000 * USD * 7 // 10_000 and sums.insurance_quote == 0


def test_who_is_not_there(traded) -> None:
    assert find_account(traded, NOBODY) is None and find_account(traded, ALICE, 1) is None
    assert find_account(traded, ALICE[:19]) is None and find_account(traded, ALICE, -1) is None
    for index in (-1, 3, 63, 67, 1 << 30):
        for ask in (account_summary, open_orders, account_proof):
            with pytest.raises(IndexError):
                ask(traded, index)


def test_after_a_day_summaries_and_totals_agree() -> None:
    """Claims are equity without collateral lots, so their sum is the tree's; nobody is asked in vain."""
    state = list(live(write_day(4, 33, 14)))[-1][0]
    indexes = [0, 1, 2, *range(USER_ACCOUNT_FIRST, int(state.tables.counters[ACCOUNT_COUNT]))]
    accounts = [account_summary(state, index) for index in indexes]
    sums = totals(state)
    assert sum(account.claim_quote for account in accounts) == sums.claims_quote - sums.debts_quote
    assert sum(item.size_lots for account in accounts for item in account.positions if item.market == BTC) == 0
    assert any(account.vega_quote for account in accounts)
    for account in accounts:
        assert len(open_orders(state, account.index)) == account.open_order_count
        assert verify_account_proof(account_proof(state, account.index), state.account_root, state.account_sums)


def test_views_change_nothing(traded) -> None:
    before = traded.state_root
    account_summary(traded, find_account(traded, POOR))
    assert execute(traded, block(traded))[0].state_root != before and traded.state_root == before
