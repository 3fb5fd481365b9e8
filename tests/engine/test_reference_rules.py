"""The reference exchange by itself: the worked numbers of docs/spec.md, done by hand."""

import pytest

from engine.commands import (
    AMEND,
    AT_MARKET,
    BUY,
    CANCEL_BOTH,
    CANCEL_MAKER,
    CANCEL_TAKER,
    DECREMENT,
    FILL_OR_KILL,
    GOOD_TILL_CANCELLED,
    IMMEDIATE_OR_CANCEL,
    PLACE,
    POST_ONLY,
    POST_ONLY_SLIDE,
    REDUCE_ONLY,
    SELF_TRADE_SHIFT,
    SELL,
    TRIGGER,
    TRIGGER_BELOW,
    Action,
)
from engine.results import Code, OrderState
from engine.tables import PHASE_AUCTION, PHASE_SETTLED
from tests.engine.blocks import START_MS, USD
from tests.engine.worlds import make_market, make_world_params
from tests.reference import account_actions, book, clock, exchange, liquidation, margin, orders, prices, triggers

E8 = 10**8
BTC, ETH, SPOT, FUTURE, CALL, PUT = range(6)


class Floor:
    """An exchange of the reference with marks, and accounts 64, 65, ... that act without signing."""

    def __init__(self, btc_usd: int = 50_000, **changes) -> None:
        markets = tuple(make_market("BTC-PERPETUAL", "0.1", "0.001", 100, **changes) for _ in range(1))
        self.x = exchange.genesis(make_world_params(markets=markets, collaterals=(), fee_tiers=()), START_MS)
        self.set_index(btc_usd)

    def set_index(self, btc_usd: int, step_ms: int = 1_000) -> None:
        x = self.x
        x.time_ms += step_ms
        x.underlyings[0].index_e8, x.underlyings[0].index_ms, x.must_reprice = btc_usd * E8, x.time_ms, True
        prices.reprice(x)

    def open(self, usd: int) -> int:
        account = self.x.open_account(bytes([0xA0, len(self.x.accounts)]) * 10, 0)
        self.x.accounts[account].balance = usd * USD
        self.x.deposited += usd * USD
        return account

    def place(
        self, account: int, side: int, ticks: int, lots: int, tif: int = GOOD_TILL_CANCELLED, flags: int = 0, **rest
    ):
        """`(code, receipt)`."""
        action = Action(
            PLACE, side=side, time_in_force=tif, flags=flags, price_ticks=ticks, size_lots=lots, market=BTC, **rest
        )
        receipt = [0] * 11
        return orders.place(self.x, account, action, receipt, 0), receipt

    def lots(self, account: int) -> int:
        return self.x.accounts[account].lots(BTC)

    def resting(self, account: int) -> list[tuple[int, int, int]]:
        """`(price, shown, hidden)` of an account's orders by id."""
        return [(o.price, o.shown, o.hidden) for o in self.x.own_orders(account)]


@pytest.fixture
def floor() -> Floor:
    return Floor()


def test_num_2_two_lots_at_500_000_ticks_are_worth_100_usd(floor) -> None:
    assert 2 * floor.x.tick_value(BTC, 500_000) == 100 * USD


def test_ord_1_the_band_is_ten_percent_around_the_mark(floor) -> None:
    assert floor.x.band(BTC) == (550_000, 450_000)
    account = floor.open(100_000)
    assert floor.place(account, BUY, 550_001, 1)[0] == Code.PRICE_OUTSIDE_BAND
    assert floor.place(account, SELL, 449_999, 1)[0] == Code.PRICE_OUTSIDE_BAND
    assert floor.place(account, BUY, 550_000, 1)[0] == Code.OK


def test_mat_1_best_price_first_then_the_older_order(floor) -> None:
    makers = [floor.open(10_000) for _ in range(3)]
    for maker, ticks in zip(makers, (500_100, 500_050, 500_050)):
        assert floor.place(maker, SELL, ticks, 5)[0] == Code.OK
    taker = floor.open(10_000)
    code, receipt = floor.place(taker, BUY, 500_100, 12)
    assert (code, receipt[3], receipt[5]) == (Code.OK, OrderState.FILLED, 12)
    assert [(row[3], row[1], row[2]) for row in floor.x.fills] == [
        (makers[1], 500_050, 5), (makers[2], 500_050, 5), (makers[0], 500_100, 2),
    ]  # fmt: skip


def test_fee_1_maker_pays_two_and_taker_five_basis_points_rounded_up(floor) -> None:
    maker, taker = floor.open(10_000), floor.open(10_000)
    floor.place(maker, SELL, 500_001, 1)
    floor.place(taker, BUY, 500_001, 1)
    # One lot at 500,001 ticks is worth 50,000,100 quote: 10,000.02 and 25,000.05.
    assert floor.x.fills[0][8:10] == (10_001, 25_001)
    assert floor.x.accounts[0].balance == 35_002


@pytest.mark.parametrize(
    ("mode", "resting", "filled", "state"),
    [
        (CANCEL_MAKER, [], 4, OrderState.OPEN),
        (CANCEL_TAKER, [(500_000, 6, 0)], 0, OrderState.CANCELLED),
        (CANCEL_BOTH, [], 0, OrderState.CANCELLED),
        (DECREMENT, [], 4, OrderState.FILLED),
    ],
)
def test_ord_5_self_trade_modes(floor, mode, resting, filled, state) -> None:
    own, other = floor.open(10_000), floor.open(10_000)
    floor.place(own, SELL, 500_000, 6)
    floor.place(other, SELL, 500_010, 4)
    _, receipt = floor.place(own, BUY, 500_010, 10, flags=mode << SELF_TRADE_SHIFT)
    sells = [(o.price, o.shown, o.hidden) for o in floor.x.own_orders(own) if o.side == SELL]
    assert (sells, receipt[5], receipt[3]) == (resting, filled, state)


def test_ord_3_an_iceberg_shows_its_next_part_behind_the_others(floor) -> None:
    hider, other, taker = (floor.open(10_000) for _ in range(3))
    floor.place(hider, SELL, 500_000, 10, display_lots=4)
    floor.place(other, SELL, 500_000, 3)
    floor.place(taker, BUY, 500_000, 6)
    assert floor.resting(hider) == [(500_000, 4, 2)]
    assert floor.resting(other) == [(500_000, 1, 0)]


def test_ord_4_a_smaller_order_keeps_its_place_a_larger_one_does_not(floor) -> None:
    first, second = floor.open(10_000), floor.open(10_000)
    floor.place(first, BUY, 499_000, 5)
    floor.place(second, BUY, 499_000, 5)
    queue = [o.account for o in floor.x.book(BTC, BUY)]
    order_id = floor.x.own_orders(first)[0].order_id
    for total, expected in ((3, queue), (4, queue[::-1])):
        receipt = [0] * 11
        amend = Action(AMEND, market=BTC, order_id=order_id, size_lots=total)
        assert orders.amend(floor.x, first, amend, receipt, 0) == Code.OK
        assert (receipt[4], receipt[6]) == (order_id, total)
        assert [o.account for o in floor.x.book(BTC, BUY)] == expected


def test_ord_6_reduce_only_orders_are_cut_with_the_position(floor) -> None:
    holder, other = floor.open(10_000), floor.open(10_000)
    floor.place(other, SELL, 500_000, 8)
    floor.place(holder, BUY, 500_000, 8)
    floor.place(holder, SELL, 510_000, 20, flags=REDUCE_ONLY)
    assert floor.resting(holder) == [(510_000, 8, 0)]
    floor.place(other, BUY, 499_000, 5)
    floor.place(holder, SELL, 499_000, 5, IMMEDIATE_OR_CANCEL)
    assert floor.resting(holder) == [(510_000, 3, 0)]
    floor.place(other, BUY, 499_000, 3)
    floor.place(holder, SELL, 499_000, 3, IMMEDIATE_OR_CANCEL)
    assert (floor.lots(holder), floor.resting(holder)) == (0, [])
    assert floor.place(holder, SELL, 510_000, 1, flags=REDUCE_ONLY)[0] == Code.NOT_REDUCING


@pytest.mark.parametrize(
    ("tif", "ticks", "flags", "code", "state", "rests_at"),
    [
        (POST_ONLY, 500_000, 0, Code.WOULD_CROSS, OrderState.NONE, []),
        (POST_ONLY_SLIDE, 500_005, 0, Code.OK, OrderState.OPEN, [499_999]),
        (FILL_OR_KILL, 500_000, 0, Code.NOT_FILLABLE, OrderState.NONE, []),
        (IMMEDIATE_OR_CANCEL, 0, AT_MARKET, Code.OK, OrderState.CANCELLED, []),
        (GOOD_TILL_CANCELLED, 0, AT_MARKET, Code.CONTRADICTORY, OrderState.NONE, []),
        (6, 500_000, 0, Code.UNKNOWN_ENUM, OrderState.NONE, []),
    ],
)
def test_times_in_force(floor, tif, ticks, flags, code, state, rests_at) -> None:
    maker, taker = floor.open(10_000), floor.open(10_000)
    floor.place(maker, SELL, 500_000, 3)
    answer, receipt = floor.place(taker, BUY, ticks, 5, tif, flags)
    assert (answer, receipt[3], [o.price for o in floor.x.own_orders(taker)]) == (code, state, rests_at)


def test_mar_3_demand_is_the_riskier_side_and_the_charges(floor) -> None:
    account = floor.open(1_000)
    floor.place(account, BUY, 499_000, 10)
    floor.place(account, SELL, 501_000, 4)
    # Buys are riskier: 10 lots of 50 USD at 5 %. Charges: fees of 5 basis points; neither loses against the mark.
    fees = 10 * 24_950 + 4 * 25_050
    assert margin.demand(floor.x, account, True) == 25 * USD + fees


def test_mar_5_an_unhealthy_account_may_reduce_but_not_grow(floor) -> None:
    holder, other = floor.open(300), floor.open(100_000)
    floor.place(other, SELL, 500_000, 100)
    floor.place(holder, BUY, 500_000, 100)
    floor.set_index(48_700)
    assert margin.equity(floor.x, holder) < margin.demand(floor.x, holder, True)
    assert floor.place(holder, BUY, 487_000, 1)[0] == Code.INSUFFICIENT_MARGIN
    assert floor.place(holder, SELL, 487_000, 101)[0] == Code.INSUFFICIENT_MARGIN
    assert floor.place(holder, SELL, 487_000, 100)[0] == Code.OK


def test_mat_3_the_uncross_trades_the_most_at_one_price(floor) -> None:
    floor.x.markets[BTC].phase = PHASE_AUCTION
    buyers = [floor.open(10_000) for _ in range(3)]
    sellers = [floor.open(10_000) for _ in range(2)]
    for buyer, ticks, lots in zip(buyers, (500_300, 500_200, 500_000), (4, 4, 4)):
        floor.place(buyer, BUY, ticks, lots)
    for seller, ticks, lots in zip(sellers, (499_900, 500_100), (5, 5)):
        floor.place(seller, SELL, ticks, lots)
    assert floor.x.fills == []
    # At 500,100 and 500,200 eight lots trade, with the same imbalance; 500,100 is nearer to the mark of 500,000.
    assert book.choose_uncross_price(floor.x, BTC) == (500_100, 8)
    book.uncross(floor.x, BTC)
    assert {row[1] for row in floor.x.fills} == {500_100}
    assert [floor.lots(account) for account in buyers + sellers] == [4, 4, 0, -5, -3]


def test_mul_1_dispersion_and_cover_raise_the_multiplier(floor) -> None:
    underlying = floor.x.underlyings[0]
    underlying.dispersion_bps = 90
    assert prices.compute_multiplier(floor.x, 0) == 11_000
    floor.x.insurance_cover = 2
    holder, other = floor.open(1_000), floor.open(1_000)
    floor.x.accounts[1].balance = 100 * USD
    floor.place(other, SELL, 500_000, 16)
    floor.place(holder, BUY, 500_000, 16)
    # 800 USD open, 200 covered: floor(2500 x 600 / 800) on top.
    assert prices.compute_multiplier(floor.x, 0) == 12_875


def test_mar_2_initial_margin_grows_with_open_interest() -> None:
    floor = Floor(oi_low_quote=500 * USD, oi_high_quote=1_500 * USD)
    holder, other = floor.open(10_000), floor.open(10_000)
    floor.place(other, SELL, 500_000, 20)
    floor.place(holder, BUY, 500_000, 20)
    # 1,000 USD open: half of the way from 5 % to 100 %.
    assert prices.initial_bps(floor.x, BTC) == 5_250


@pytest.mark.parametrize(
    ("premium_e9", "interest_bps", "rate_e9"),
    [(100_000, 1, 100_000), (0, 1, 100_000), (1_000_000, 1, 500_000), (-1_000_000, 1, -500_000)],
)
def test_fnd_3_the_rate_of_a_premium(floor, premium_e9, interest_bps, rate_e9) -> None:
    row = floor.x.markets[BTC]
    row.premium_sum, row.premium_count, row.interest_bps = premium_e9, 1, interest_bps
    assert prices.compute_rate(floor.x, BTC) == rate_e9


def test_fnd_1_funding_moves_equity_and_no_balance(floor) -> None:
    holder, other = floor.open(1_000), floor.open(1_000)
    floor.place(other, SELL, 500_000, 10)
    floor.place(holder, BUY, 500_000, 10)
    before = [margin.equity(floor.x, account) for account in (holder, other)]
    row = floor.x.markets[BTC]
    row.premium_sum, row.premium_count, row.interest_bps = 800_000, 1, 1
    prices.pay_funding(floor.x, BTC)
    # 800,000 - 500,000 = 0.03 % per 8 hours of 50,000,000 quote a lot: 1,875 an hour.
    assert row.funding_quote == 1_875
    after = [margin.equity(floor.x, account) for account in (holder, other)]
    assert [now - then for now, then in zip(after, before)] == [-18_750, 18_750]
    assert sum(account.balance for account in floor.x.accounts.values()) == floor.x.deposited


def test_liq_2_positions_are_closed_in_eighths_until_the_account_is_healthy(floor) -> None:
    holder, other, bidder = floor.open(300), floor.open(100_000), floor.open(100_000)
    floor.place(other, SELL, 500_000, 100)
    floor.place(holder, BUY, 500_000, 100)
    floor.place(bidder, BUY, 482_000, 200)
    floor.set_index(48_200)
    assert not liquidation.is_healthy(floor.x, holder)
    liquidation.judge_accounts(floor.x)
    row = floor.x.liquidations[0]
    assert row[0] == holder and row[1] < row[2] and row[3] % 13 == 0
    assert floor.lots(holder) == 100 - row[3] > 0


def test_adl_1_holders_give_in_proportion_and_the_loss_is_shared_to_the_unit(floor) -> None:
    bankrupt, small, large = floor.open(260), floor.open(10_000), floor.open(10_000)
    floor.place(small, SELL, 500_000, 31)
    floor.place(large, SELL, 500_000, 69)
    floor.place(bankrupt, BUY, 500_000, 100)
    floor.x.accounts[1].balance, floor.x.deposited = 7, floor.x.deposited + 7
    floor.set_index(46_000)
    liquidation.judge_accounts(floor.x)
    rows = floor.x.deleverages
    assert [(row[1], row[3]) for row in rows] == [(small, 31), (large, 69)]
    assert sum(row[5] for row in rows) + 7 == rows[0][6]
    assert (floor.x.accounts[bankrupt].balance, floor.lots(bankrupt)) == (0, 0)


def test_ord_9_a_stop_fires_at_its_price_and_takes_its_sibling_away(floor) -> None:
    holder, other = floor.open(10_000), floor.open(100_000)
    floor.place(other, SELL, 500_000, 10)
    floor.place(holder, BUY, 500_000, 10)
    floor.place(other, BUY, 480_000, 10)
    common = {"market": BTC, "side": SELL, "time_in_force": IMMEDIATE_OR_CANCEL, "flags": REDUCE_ONLY | AT_MARKET}
    stop = Action(TRIGGER, **common | {"flags": common["flags"] | TRIGGER_BELOW}, trigger_ticks=490_000)
    receipt = [0] * 11
    assert triggers.place_trigger(floor.x, holder, stop, receipt, 0, {}) == Code.OK
    target = Action(TRIGGER, **common, trigger_ticks=520_000, link=receipt[4])
    assert triggers.place_trigger(floor.x, holder, target, [0] * 11, 0, {}) == Code.OK
    triggers.fire_triggers(floor.x)
    assert len(floor.x.triggers) == 2
    floor.set_index(48_900)
    triggers.fire_triggers(floor.x)
    assert (floor.lots(holder), floor.x.triggers) == (0, {})


def test_exp_2_an_option_pays_its_intrinsic_value() -> None:
    x = exchange.genesis(make_world_params(), START_MS)
    for account, lots in ((64, 3), (65, -3)):
        x.open_account(bytes([account]) * 20, 0)
        x.accounts[account].positions[CALL] = lots
    clock.close_market(x, CALL, clock.payoff_e8(x.markets[CALL], 51_234 * E8))
    assert x.markets[CALL].phase == PHASE_SETTLED
    # (51,234 - 50,000) USD x 0.01 a lot.
    assert [x.accounts[account].balance for account in (64, 65)] == [37_020_000, -37_020_000]


def test_acc_2_an_account_remembers_64_nonces() -> None:
    x = exchange.genesis(make_world_params(), START_MS)
    account = x.accounts[x.open_account(bytes(19) + b"\7", 0)]
    account.nonces = list(range(10, 74))
    message = exchange.Message.__new__(exchange.Message)
    message.owner = message.signer = account.owner
    message.actions, message.index, message.cap, message.expiry_ms = [], 64, 0, 1 << 60
    message.header = {"pad": b""}
    for nonce, code in ((9, Code.NONCE_TOO_OLD), (10, Code.NONCE_REUSED), (74, Code.OK), (10, Code.NONCE_TOO_OLD)):
        message.nonce = nonce
        assert exchange.judge_message(x, message) == code
    assert account.nonces == list(range(11, 75))


def test_mar_9_a_tenth_of_the_notional_stays(floor) -> None:
    holder, other = floor.open(1_000), floor.open(1_000)
    floor.place(other, SELL, 500_000, 100)
    floor.place(holder, BUY, 500_000, 100)
    free = margin.withdrawable(floor.x, holder)
    assert free == margin.equity(floor.x, holder) - 500 * USD
    assert not account_actions.can_take(floor.x, holder, 0, free + 1)
