"""What an account does with its money, keys and settings: ACC-3 to ACC-7, MAR-9, ORD-7, ORD-8."""

from engine.results import Code
from engine.tables import KIND_SPOT, MODE_ISOLATED, MODE_PORTFOLIO, NOTICE_TRANSFER
from tests.reference import margin
from tests.reference.book import cut_reduce_only, move_position, pay
from tests.reference.state import BUY, FIRST_USER, SELL, Protection, Session

KEYS_MAX = 8
DAY_MS = 86_400_000
PPM_MAX = 65_535


def set_session(x, index, action):
    account, key = x.accounts[index], action.data[:20]
    if action.flags & ~7:
        return Code.UNKNOWN_ENUM
    is_late = action.flags != 0 and action.good_till_ms <= x.time_ms
    if action.size_lots < 0 or not any(key) or is_late:
        return Code.CONTRADICTORY
    return put_key(account, Session(key, action.flags, action.good_till_ms, action.size_lots), action.flags != 0)


def put_key(account, session, is_kept):
    """Replace, add or remove a key or an approval."""
    for at, known in enumerate(account.sessions):
        if (known.key, known.is_builder) == (session.key, session.is_builder):
            account.sessions[at : at + 1] = [session] if is_kept else []
            return Code.OK
    if not is_kept:
        return Code.OK
    if len(account.sessions) >= KEYS_MAX:
        return Code.TABLE_FULL
    account.sessions.append(session)
    return Code.OK


def set_fees(x, index, action):
    account, receiver = x.accounts[index], action.data[:20]
    if action.link == 0 and (account.referrer or receiver == account.owner or action.size_lots):
        return Code.CONTRADICTORY
    if action.link > 1 or not 0 <= action.size_lots <= PPM_MAX:
        return Code.CONTRADICTORY
    found = x.find_account(receiver, 0)
    if found is None or found < FIRST_USER:
        return Code.COUNTERPARTY_FAILED
    if action.link == 0:
        account.referrer = found
        return Code.OK
    approval = Session(receiver, 0, 0, action.size_lots, is_builder=True)
    return put_key(account, approval, action.size_lots != 0)


def cancel_all_after(x, index, action):
    if action.good_till_ms and action.good_till_ms < x.time_ms + 1_000:
        return Code.CONTRADICTORY
    x.accounts[index].cancel_at_ms = action.good_till_ms
    return Code.OK


def set_protection(x, index, action):
    window_ms, freeze_ms = action.good_till_ms, action.display_lots
    maxima = (action.size_lots, action.price_ticks, action.trigger_ticks)
    if min(*maxima, freeze_ms) < 0 or max(window_ms, freeze_ms) > DAY_MS:
        return Code.CONTRADICTORY
    # Whoever never had one needs none to switch it off; a record that is there stays, and does nothing.
    if window_ms or x.accounts[index].protection is not None:
        x.accounts[index].protection = Protection(window_ms, freeze_ms, *maxima)
    return Code.OK


def set_margin_mode(x, index, action):
    """ACC-7."""
    account, busy = x.accounts[index], x.busy_markets(index)
    if not x.are_fresh(index):
        return Code.NO_PRICE
    if action.side > MODE_PORTFOLIO:
        return Code.UNKNOWN_ENUM
    old, account.mode = account.mode, action.side
    code = Code.OK
    if margin.equity(x, index) < margin.demand(x, index, True):
        code = Code.INSUFFICIENT_MARGIN
    elif action.side == MODE_ISOLATED and len(busy) > 1:
        code = Code.WRONG_MARGIN_MODE
    elif action.side == MODE_PORTFOLIO and len(busy) > 128:
        code = Code.POSITIONS_FULL
    if code != Code.OK:
        account.mode = old
    return code


# -- money ------------------------------------------------------------------------------------------------------------


def can_take(x, index, asset, amount):
    """MAR-9: quote units, or lots of a collateral asset."""
    if asset == 0:
        return amount <= margin.withdrawable(x, index)
    account, market = x.accounts[index], x.assets[asset].market
    if amount > account.lots(market) - x.open_lots(index, market, SELL):
        return False
    move_position(x, index, market, -amount)
    is_enough = margin.equity(x, index) >= margin.demand(x, index, True)
    move_position(x, index, market, amount)
    return is_enough


def judge_target(x, target, asset, amount):
    """Whether an account can hold more lots: 402, 405, 505."""
    account, market = x.accounts[target], x.assets[asset].market
    rules, busy = x.markets[market], x.busy_markets(target)
    if account.lots(market) + x.open_lots(target, market, BUY) + amount > rules.position_lots_max:
        return Code.POSITION_TOO_LARGE
    if account.mode == MODE_ISOLATED and any(other != market for other in busy):
        return Code.WRONG_MARGIN_MODE
    if account.mode == MODE_PORTFOLIO and len(busy) >= 128 and market not in busy:
        return Code.POSITIONS_FULL
    return Code.OK


def take_from(x, index, asset, amount):
    if asset == 0:
        x.accounts[index].balance -= amount
    else:
        move_position(x, index, x.assets[asset].market, -amount)
        cut_reduce_only(x, index, x.assets[asset].market)


def withdraw(x, index, action, receipt):
    if not x.are_fresh(index):
        return Code.NO_PRICE
    if action.market >= len(x.assets):
        return Code.UNKNOWN_ASSET
    if action.size_lots > 0 and not can_take(x, index, action.market, action.size_lots):
        return Code.INSUFFICIENT_BALANCE
    if action.size_lots <= 0:
        return Code.AMOUNT_NOT_POSITIVE
    take_from(x, index, action.market, action.size_lots)
    asset = x.assets[action.market]
    units = action.size_lots * (asset.units_per_lot if action.market else 1)
    receipt[10] = x.withdrawal_count
    record_withdrawal(x, index, x.accounts[index].owner, units, action.market)
    return Code.OK


def record_withdrawal(x, index, owner, units, asset):
    """A leaf of the withdrawal tree; `index` is -1 for a deposit paid straight back."""
    x.withdrawals.append((x.withdrawal_count, index, owner, units, asset))
    x.withdrawal_count += 1
    if asset == 0:
        x.withdrawn += units
    if index >= 0 or asset == 0:
        x.assets[asset].withdrawn_units += units


def transfer(x, index, action):
    """ACC-6."""
    account, asset, amount = x.accounts[index], action.market, action.size_lots
    owner = action.data[:20] if any(action.data[:20]) else account.owner
    target = x.find_account(owner, action.link) if action.link < 1 << 32 else None
    if not x.are_fresh(index):
        return Code.NO_PRICE
    if target == index:
        return Code.CONTRADICTORY
    if asset >= len(x.assets):
        return Code.UNKNOWN_ASSET
    if target is None and (owner != account.owner or action.link >= 1 << 32):
        return Code.COUNTERPARTY_FAILED
    code = Code.OK
    if asset and amount > 0:
        code = judge_new_holder(x, target, asset, amount)
    if code == Code.POSITION_TOO_LARGE:
        return code
    if amount > 0 and not can_take(x, index, asset, amount):
        return Code.INSUFFICIENT_BALANCE
    if amount <= 0:
        return Code.AMOUNT_NOT_POSITIVE
    if code != Code.OK:
        return code
    if target is None:
        target = x.open_account(owner, action.link)
    if target is None:
        return Code.TABLE_FULL
    move_money(x, index, target, asset, amount)
    return Code.OK


def judge_new_holder(x, target, asset, amount):
    if target is not None:
        return judge_target(x, target, asset, amount)
    too_many = amount > x.markets[x.assets[asset].market].position_lots_max
    return Code.POSITION_TOO_LARGE if too_many else Code.OK


def move_money(x, index, target, asset, amount):
    if asset == 0:
        pay(x, index, target, amount)
    else:
        market = x.assets[asset].market
        assert x.markets[market].kind == KIND_SPOT
        take_from(x, index, asset, amount)
        move_position(x, target, market, amount)
        cut_reduce_only(x, target, market)
    x.notify(NOTICE_TRANSFER, index, target, asset, amount)
