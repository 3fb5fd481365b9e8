"""Every result code by a command that breaks exactly that rule; of two broken rules the first one answers."""

import numpy as np
import pytest

from engine.apply import PayloadInvalid, execute
from engine.commands import (
    ACTION,
    ALL_MARKETS,
    BUY,
    CANCEL,
    CANCEL_ALL,
    HEADER_BYTES,
    IMMEDIATE_OR_CANCEL,
    POST_ONLY,
    SELL,
    WITHDRAW,
    Command,
)
from engine.results import Code, OrderState
from engine.state import encode_snapshot, genesis
from engine.views import account_summary, book_depth, find_account, market_view, open_orders, totals
from tests.engine.blocks import (
    BTC,
    ETH,
    FOREVER_MS,
    START_MS,
    USD,
    batch,
    block,
    deposit,
    make_params,
    place,
    reports,
    trader,
)

ALICE, BOB, POOR, NOBODY = (trader(number) for number in range(1, 5))
MARK = 500_000  # 50,000.0 USD


def funded(params=None, price_ticks: int = MARK):
    """Alice and Bob with 100,000 USD each, Poor with 1 USD; fresh prices when given one."""
    state = genesis(params or make_params(), START_MS)
    money = ((ALICE, 100_000 * USD), (BOB, 100_000 * USD), (POOR, USD))
    inbox = [deposit(at, owner, amount_quote) for at, (owner, amount_quote) in enumerate(money)]
    made = block(state, inbox=inbox)
    if price_ticks:
        made = made._replace(price_reports=reports(made.time_ms, price_ticks, 300_000))
    return execute(state, made)[0]


def answers(state, *commands, **rest) -> tuple:
    """Codes of commands executed in one block, one author."""
    state, result = execute(state, block(state, batches=list(commands), **rest))
    return state, [Code(code) for code in result.receipts["code"]]


def cancel(owner, nonce, order_id=0, market=BTC, client_id=0) -> Command:
    return Command.of(CANCEL, owner, nonce, FOREVER_MS, market=market, order_id=order_id, client_id=client_id)


def withdraw(owner, nonce, amount_quote) -> Command:
    return Command.of(WITHDRAW, owner, nonce, FOREVER_MS, size_lots=amount_quote)


GOOD = place(ALICE, 1, BUY, MARK, 1).encode()
BAD_PAD = GOOD[: HEADER_BYTES - 1] + b"\1" + GOOD[HEADER_BYTES:]
ROWS = [
    ("a good order", place(ALICE, 1, BUY, MARK, 1), Code.OK),
    ("an unknown kind", Command.of(31, ALICE, 1, FOREVER_MS), Code.MALFORMED),
    ("padding that is not zero", BAD_PAD, Code.MALFORMED),
    ("an unused field that is not zero", place(ALICE, 1, BUY, MARK, 1, order_id=5), Code.MALFORMED),
    ("a nonce below one", place(ALICE, 0, BUY, MARK, 1), Code.MALFORMED),
    ("a negative client id", place(ALICE, 1, BUY, MARK, 1, client_id=-1), Code.MALFORMED),
    ("an expired order", place(ALICE, 1, BUY, MARK, 1, expiry_ms=START_MS), Code.EXPIRED),
    ("nobody's account", place(NOBODY, 1, BUY, MARK, 1), Code.UNKNOWN_ACCOUNT),
    ("another subaccount", place(ALICE, 1, BUY, MARK, 1, subaccount=1), Code.UNKNOWN_ACCOUNT),
    ("expired, before the account is looked at", place(NOBODY, 1, BUY, MARK, 1, expiry_ms=START_MS), Code.EXPIRED),
    ("no such market", place(ALICE, 1, BUY, MARK, 0, market=2), Code.UNKNOWN_MARKET),
    ("no size", place(ALICE, 1, BUY, 0, 0), Code.SIZE_NOT_POSITIVE),
    ("a negative size", place(ALICE, 1, BUY, MARK, -1), Code.SIZE_NOT_POSITIVE),
    ("too large, before its price", place(ALICE, 1, BUY, 0, 500_001), Code.SIZE_TOO_LARGE),
    ("no price", place(ALICE, 1, BUY, 0, 1), Code.PRICE_OUT_OF_RANGE),
    ("a price beyond all", place(ALICE, 1, SELL, 1 << 62, 1), Code.PRICE_OUT_OF_RANGE),
    ("a buy above the band", place(ALICE, 1, BUY, 550_001, 1), Code.PRICE_OUTSIDE_BAND),
    ("a buy at the band", place(ALICE, 1, BUY, 550_000, 1), Code.OK),
    ("a buy far below", place(ALICE, 1, BUY, 1, 1), Code.OK),
    ("a sell below the band", place(ALICE, 1, SELL, 449_999, 1), Code.PRICE_OUTSIDE_BAND),
    ("a sell at the band", place(ALICE, 1, SELL, 450_000, 1), Code.OK),
    ("an unknown side", place(ALICE, 1, 2, MARK, 1), Code.UNKNOWN_ENUM),
    ("an unknown time in force", place(ALICE, 1, BUY, MARK, 1, time_in_force=9), Code.UNKNOWN_ENUM),
    ("an unknown flag", place(ALICE, 1, BUY, MARK, 1, flags=1), Code.UNKNOWN_ENUM),
    ("an order beyond its means", place(POOR, 1, BUY, MARK, 1), Code.INSUFFICIENT_MARGIN),
    ("an unknown order", cancel(ALICE, 1, order_id=77), Code.UNKNOWN_ORDER),
    ("an order without a name", cancel(ALICE, 1), Code.UNKNOWN_ORDER),
    ("a cancel in no market", cancel(ALICE, 1, order_id=77, market=9), Code.UNKNOWN_MARKET),
    ("cancel all of nothing", Command.of(CANCEL_ALL, ALICE, 1, FOREVER_MS, market=ALL_MARKETS), Code.OK),
    ("cancel all in no market", Command.of(CANCEL_ALL, ALICE, 1, FOREVER_MS, market=2), Code.UNKNOWN_MARKET),
    ("a withdrawal", withdraw(POOR, 1, USD), Code.OK),
    ("a withdrawal of more", withdraw(POOR, 1, USD + 1), Code.INSUFFICIENT_BALANCE),
    ("a withdrawal of nothing", withdraw(POOR, 1, 0), Code.AMOUNT_NOT_POSITIVE),
    ("a withdrawal of less than nothing", withdraw(POOR, 1, -(1 << 63)), Code.AMOUNT_NOT_POSITIVE),
]


@pytest.fixture(scope="module")
def world():
    return funded()


@pytest.mark.parametrize(("command", "code"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_one_command_one_code(world, command, code) -> None:
    after, codes = answers(world, command)
    assert codes == [code]
    nonces = [account_summary(after, find_account(after, owner)).nonce_count for owner in (ALICE, BOB, POOR)]
    assert sum(nonces) == (1 if code == Code.OK or code >= 300 else 0), "from 3xx on, and only then, the nonce is spent"


def test_only_the_owner_signs(world) -> None:
    for signer in (bytes(20), BOB):
        made = block(world, batches=(batch(0, 1, [place(ALICE, 1, BUY, MARK, 1)], [signer]),))
        assert execute(world, made)[1].receipts["code"].tolist() == [Code.BAD_SIGNATURE]


def test_nonces_are_a_set_of_the_64_highest(world) -> None:
    order = [cancel(ALICE, nonce, order_id=1) for nonce in (5, 3, 5, *range(100, 163), 3, 2, 4, 300)]
    _, codes = answers(world, *order)
    assert codes[:3] == [Code.UNKNOWN_ORDER, Code.UNKNOWN_ORDER, Code.NONCE_REUSED]
    assert codes[-4:] == [Code.NONCE_TOO_OLD, Code.NONCE_TOO_OLD, Code.NONCE_TOO_OLD, Code.UNKNOWN_ORDER]


def test_limits_of_orders_and_positions() -> None:
    state = funded(make_params(account_orders_max=2, book_orders_max=3))
    _, codes = answers(
        state, place(ALICE, 1, BUY, MARK, 1), place(ALICE, 2, BUY, MARK, 1), place(ALICE, 3, BUY, MARK, 1),
        place(ALICE, 4, BUY, MARK, 1, time_in_force=IMMEDIATE_OR_CANCEL), place(BOB, 1, BUY, MARK, 1),
        place(BOB, 2, BUY, MARK, 1),
    )  # fmt: skip
    assert codes == [Code.OK, Code.OK, Code.TOO_MANY_OPEN_ORDERS, Code.OK, Code.OK, Code.BOOK_FULL]
    rich = execute(state, block(state, inbox=[deposit(3, ALICE, 10**9 * USD)]))[0]
    _, codes = answers(rich, *(place(ALICE, nonce, BUY, 1000, 500_000) for nonce in (1, 2)))
    assert codes == [Code.OK, Code.OK]
    wide = execute(funded(), block(funded(), inbox=[deposit(3, ALICE, 10**9 * USD)]))[0]
    _, codes = answers(wide, *(place(ALICE, nonce, BUY, 1000, 500_000) for nonce in (1, 2, 3)))
    assert codes == [Code.OK, Code.OK, Code.POSITION_TOO_LARGE]


def test_client_ids_name_open_orders(world) -> None:
    named = [place(ALICE, nonce, BUY, MARK - nonce, 1, client_id=9) for nonce in (1, 2)]
    state, codes = answers(world, *named, place(BOB, 1, BUY, MARK - 9, 1, client_id=9))
    assert codes == [Code.OK, Code.DUPLICATE_CLIENT_ID, Code.OK]
    state, codes = answers(state, cancel(ALICE, 3, client_id=9), cancel(ALICE, 4, client_id=9), cancel(BOB, 2, 1))
    assert codes == [Code.OK, Code.UNKNOWN_ORDER, Code.UNKNOWN_ORDER]
    assert open_orders(state, find_account(state, ALICE)) == []


def test_post_only_never_takes(world) -> None:
    state, _ = answers(world, place(ALICE, 1, SELL, MARK, 5))
    orders = [place(BOB, nonce, BUY, MARK - 2 + nonce, 1, time_in_force=POST_ONLY) for nonce in (1, 2)]
    state, codes = answers(state, *orders)
    assert codes == [Code.OK, Code.WOULD_CROSS]
    assert book_depth(state, BTC, 5) == ([(MARK - 1, 1, 1)], [(MARK, 5, 1)])


def test_without_a_price_nothing_can_be_risked() -> None:
    state = funded(price_ticks=0)
    _, codes = answers(state, place(ALICE, 1, BUY, MARK, 1), withdraw(ALICE, 2, USD))
    assert codes == [Code.NO_PRICE, Code.OK]


def test_stale_prices_allow_reducing_and_cancels_only(world) -> None:
    state, _ = answers(world, place(ALICE, 1, SELL, MARK, 10), place(BOB, 1, BUY, MARK, 10))
    state, _ = answers(state, place(ALICE, 2, SELL, MARK + 100, 1))
    state, codes = answers(
        state, place(BOB, 2, BUY, MARK, 1), place(BOB, 3, SELL, MARK, 11), place(BOB, 4, SELL, MARK, 10),
        cancel(ALICE, 3, order_id=3), withdraw(ALICE, 4, USD), withdraw(POOR, 1, USD), step_ms=60_000,
    )  # fmt: skip
    assert codes == [Code.NO_PRICE, Code.NO_PRICE, Code.OK, Code.OK, Code.NO_PRICE, Code.OK]
    assert not market_view(state, BTC).is_fresh


def test_price_time_priority_and_partial_fills(world) -> None:
    state, _ = answers(world, *(place(ALICE, n, SELL, ticks, 10) for n, ticks in ((1, MARK + 1), (2, MARK), (3, MARK))))
    made = block(state, batches=[place(BOB, 1, BUY, MARK + 5, 25)])
    state, result = execute(state, made)
    fills = [(fill["price_ticks"], fill["size_lots"], fill["maker_order_id"]) for fill in result.fills]
    assert fills == [(MARK, 10, 2), (MARK, 10, 3), (MARK + 1, 5, 1)]
    receipt = result.receipts[0]
    assert (receipt["order_state"], receipt["filled_lots"], receipt["remaining_lots"]) == (OrderState.FILLED, 25, 0)
    assert receipt["filled_value"] == 20 * MARK + 5 * (MARK + 1)
    assert market_view(state, BTC).open_interest_lots == 25


def test_self_trade_cancels_the_resting_order(world) -> None:
    state, _ = answers(world, place(ALICE, 1, SELL, MARK, 10), place(BOB, 1, SELL, MARK + 1, 10))
    state, result = execute(state, block(state, batches=[place(ALICE, 2, BUY, MARK + 1, 5)]))
    assert result.cancellations["order_id"].tolist() == [1]
    assert result.fills["maker_order_id"].tolist() == [2]


def test_classes_and_turns_order_a_block(world) -> None:
    """Cancels before post-only before takers, whoever sent them; authors take turns in the order the seed draws."""
    state, _ = answers(world, place(ALICE, 1, SELL, MARK, 10))
    late_cancel = batch(0, 9, [place(BOB, 1, BUY, MARK, 10), cancel(ALICE, 2, order_id=1)])
    _, result = execute(state, block(state, batches=(late_cancel,)))
    assert len(result.fills) == 0
    firsts = set()
    for number in range(8):
        seed = bytes([number]) * 32
        mixed = tuple(batch(author, 9, [place(BOB, 10 + author, BUY, MARK, 10)]) for author in (1, 2))
        _, result = execute(state, block(state, batches=mixed, seed=seed))
        assert result.fills["size_lots"].tolist() == [10]
        firsts.add(int(np.flatnonzero(result.receipts["filled_lots"])[0]))
    assert firsts == {0, 1}


def test_a_bad_payload_is_refused_and_changes_nothing(world) -> None:
    before = encode_snapshot(world)
    good = block(world, batches=[place(ALICE, 1, BUY, MARK, 1)])
    twice = (batch(0, 5, [place(ALICE, 1, BUY, MARK, 1)]),) * 2
    bad = [
        good._replace(height=good.height + 1),
        good._replace(time_ms=world.time_ms),
        good._replace(l1_block=-1),
        good._replace(seed=b""),
        good._replace(inbox=(deposit(4, ALICE, 1),)),
        good._replace(inbox=(deposit(3, ALICE, 1), deposit(3, ALICE, 1))),
        good._replace(batches=twice),
        good._replace(batches=(batch(4, 1, [place(ALICE, 1, BUY, MARK, 1)]),)),
        good._replace(batches=(batch(0, 0, [place(ALICE, 1, BUY, MARK, 1)]),)),
        good._replace(batches=(batch(0, 1, [place(ALICE, 1, BUY, MARK, 1)])._replace(signers=np.zeros((1, 20))),)),
        good._replace(batches=(batch(0, 1, [place(ALICE, 1, BUY, MARK, 1)])._replace(actions=np.empty(0, ACTION)),)),
    ]
    for made in bad:
        with pytest.raises(PayloadInvalid):
            execute(world, made)
    assert encode_snapshot(world) == before


def test_deposits_never_lose_money() -> None:
    state = genesis(make_params(accounts_max=66), START_MS)
    entries = [
        deposit(0, ALICE, 5 * USD), deposit(1, ALICE, 7 * USD, subaccount=1), deposit(2, BOB, 9 * USD),
        deposit(3, (2).to_bytes(20, "big"), 3 * USD), deposit(4, ALICE, 1 << 62), deposit(5, ALICE, USD, kind=2),
        deposit(6, ALICE, USD, token=bytes(20)), deposit(7, ALICE, 0), deposit(8, (2).to_bytes(20, "big"), 1 << 62),
    ]  # fmt: skip
    state, result = execute(state, block(state, inbox=entries))
    assert [credit.account for credit in result.credits] == [64, 65, -1, 1, -1, -1]
    paid_back = [(withdrawal.owner, withdrawal.amount_quote) for withdrawal in result.withdrawals]
    assert paid_back[:2] == [(BOB, 9 * USD), (ALICE, 1 << 62)]
    assert paid_back[2] == (entries[8].sender, 1 << 62)
    sums = totals(state)
    assert sums.balances_quote == 15 * USD == sums.deposits_quote - sums.withdrawals_quote
    assert (sums.insurance_quote, sums.inbox_ignored_count, state.inbox_cursor) == (3 * USD, 3, 9)


def test_the_oracle_needs_a_quorum_and_caps_its_steps(world) -> None:
    def mark_after(state, *price_reports) -> int:
        made = block(state)
        made = made._replace(price_reports=price_reports)
        return market_view(execute(state, made)[0], BTC).mark_ticks

    now_ms = world.time_ms + 1000
    assert mark_after(world, *reports(now_ms, 510_000, 300_000, validators=(0, 1))) == MARK
    assert mark_after(world, *reports(now_ms, 510_000, 300_000, validators=(0, 1, 1))) == MARK
    assert mark_after(world, *reports(now_ms, 510_000, 300_000, validators=(0, 1, 9))) == MARK
    assert mark_after(world, *reports(now_ms, 510_000, 300_000)) == 510_000
    assert mark_after(world, *reports(now_ms, 900_000, 300_000)) == 525_000
    assert mark_after(world, *reports(now_ms, 1, 300_000)) == 475_000
    assert mark_after(world, *reports(now_ms + 1001, 510_000, 300_000)) == MARK
    spread = [reports(now_ms, MARK + v, 300_000, validators=(v,))[0] for v in (3, 1, 2, 0)]
    assert mark_after(world, *spread) == MARK + 1
    fresh = market_view(world, ETH)
    assert fresh.is_fresh and fresh.mark_ticks == 300_000
