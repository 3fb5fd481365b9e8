"""Deleveraging: what neither book nor insurance can bear falls on the other side of the same market (ADL).

A bankrupt account's holdings are closed at the mark against all holders of the other side, each in proportion to what
he holds; closing at the mark changes nobody's equity. Then the shortfall that insurance could not pay is taken from
these holders in proportion to the value that each gave up, never more than what one has. Nobody without such a position
bears any of it, and haircuts, insurance and the debt that stays add up to the shortfall to the last unit.

The rows of `Outputs.deleverages` are the working list: one for each holder in each market, in order of markets and
accounts. They are all that a holder needs to check his part.
"""

import numpy as np

from engine.accounts import move_balance, move_position
from engine.compiling import kernel
from engine.execution import cut_reduce_only
from engine.exposure import compute_equity
from engine.fixed import mul_div_floor
from engine.marks import unit_of
from engine.tables import ADL_COUNT, KIND_SPOT, POSITIONS_USED, Number, Outputs, Tables, Truth

ZERO, ONE, NOWHERE = np.int64(0), np.int64(1), np.int64(-1)


@kernel
def _swap(rows: np.ndarray, left: Number, right: Number) -> None:
    """Exchange account and size of two rows; the other fields are equal while this is used."""
    account, size_lots = rows[left]["account"], rows[left]["size_lots"]
    rows[left]["account"], rows[left]["size_lots"] = rows[right]["account"], rows[right]["size_lots"]
    rows[right]["account"], rows[right]["size_lots"] = account, size_lots


@kernel
def _sift(rows: np.ndarray, first: Number, root: Number, count: Number) -> None:
    """Let a row of a heap, largest account on top, sink to its place."""
    parent = root
    while 2 * parent + 1 < count:
        child = 2 * parent + 1
        if child + 1 < count and rows[first + child]["account"] < rows[first + child + 1]["account"]:
            child += 1
        if rows[first + parent]["account"] >= rows[first + child]["account"]:
            return
        _swap(rows, first + parent, first + child)
        parent = child


@kernel
def sort_by_account(rows: np.ndarray, first: Number, count: Number) -> None:
    """Order `count` rows from `first` on by account, in place (heapsort: no memory, no worst case)."""
    for root in range(count // 2 - 1, -1, -1):
        _sift(rows, first, np.int64(root), count)
    for last in range(count - 1, 0, -1):
        _swap(rows, first, first + last)
        _sift(rows, first, ZERO, np.int64(last))


@kernel
def _list_holders(t: Tables, out: Outputs, market: Number, sign: Number) -> Number:
    """Append a row with account and holding for each holder whose lots have this sign; returns how many."""
    first = t.counters[ADL_COUNT]
    count: Number = ZERO
    for row in range(1, t.counters[POSITIONS_USED]):
        position = t.positions[row]
        if np.int64(position["market"]) == market and position["lots"] * sign > 0:
            record = out.deleverages[first + count]
            record["account"], record["size_lots"] = position["account"], position["lots"] * sign
            count += 1
    sort_by_account(out.deleverages, first, count)
    return count


@kernel
def _share_lots(out: Outputs, first: Number, count: Number, lots: Number) -> None:
    """Turn holdings into what each gives: its part rounded down, missing lots one each in order (ADL-1)."""
    held_lots: Number = ZERO
    for at in range(first, first + count):
        held_lots += out.deleverages[at]["size_lots"]
    missing_lots = lots
    for at in range(first, first + count):
        given_lots = mul_div_floor(lots, out.deleverages[at]["size_lots"], held_lots)
        # Lots are missing only if all parts lie below the holdings, so one more never exceeds a holding.
        out.deleverages[at]["size_lots"] = given_lots
        missing_lots -= given_lots
    for at in range(first, first + count):
        if missing_lots == 0:
            return
        out.deleverages[at]["size_lots"] += 1
        missing_lots -= 1


@kernel
def _close_market(t: Tables, out: Outputs, account: Number, row: Number, shortfall_quote: Number) -> Number:
    """Close a bankrupt holding at the mark against the other side; returns its lots. Rows of nothing are dropped."""
    market, lots = np.int64(t.positions[row]["market"]), t.positions[row]["lots"]
    sign = ONE if lots > 0 else NOWHERE
    first = t.counters[ADL_COUNT]
    count = _list_holders(t, out, market, -sign)
    _share_lots(out, first, count, abs(lots))
    worth_unit, mark_e8 = t.markets[market]["value_unit"], t.markets[market]["mark_e8"]
    kept = first
    for at in range(first, first + count):
        holder, given_lots = out.deleverages[at]["account"], out.deleverages[at]["size_lots"]
        if given_lots == 0:
            continue
        record = out.deleverages[kept]
        record["bankrupt_account"], record["account"], record["market"] = account, holder, market
        record["size_lots"], record["price_e8"] = given_lots, mark_e8
        record["haircut_quote"], record["shortfall_quote"] = 0, shortfall_quote
        kept += 1
        move_position(t, out, holder, market, sign * given_lots)
        move_balance(t, out, holder, -sign * given_lots * worth_unit)
        cut_reduce_only(t, out, holder, market)
    t.counters[ADL_COUNT] = kept
    move_position(t, out, account, market, -lots)
    move_balance(t, out, account, lots * worth_unit)
    return abs(lots)


@kernel
def _find_next(t: Tables, account: Number, after: Number) -> Number:
    """Row of the account's derivative holding in the lowest market above `after`, 0 if there is none."""
    found: Number = ZERO
    row = np.int64(t.accounts[account]["position_first"])
    while row != 0:
        position = t.positions[row]
        market = np.int64(position["market"])
        is_next = found == 0 or market < np.int64(t.positions[found]["market"])
        if is_next and position["lots"] != 0 and market > after and t.markets[market]["kind"] != KIND_SPOT:
            found = row
        row = np.int64(position["next"])
    return found


@kernel
def has_derivatives(t: Tables, account: Number) -> Truth:
    """Whether an account holds anything that can be deleveraged: all but collateral lots."""
    return _find_next(t, account, NOWHERE) != 0


@kernel
def _given_quote(t: Tables, out: Outputs, at: Number) -> Number:
    """Value at the mark of what a row gives."""
    record = out.deleverages[at]
    return record["size_lots"] * unit_of(record["price_e8"], t.markets[record["market"]]["lot_e8"])


@kernel
def _cut_holders(t: Tables, out: Outputs, account: Number, first: Number, rest_quote: Number) -> Number:
    """Take the rest of a shortfall from those who gave, by value, none below zero; returns what they paid."""
    end = t.counters[ADL_COUNT]
    given_quote: Number = ZERO
    for at in range(first, end):
        given_quote += _given_quote(t, out, np.int64(at))
    if given_quote == 0 or rest_quote == 0:
        return ZERO
    missing_quote = rest_quote
    for at in range(first, end):
        haircut_quote = mul_div_floor(rest_quote, _given_quote(t, out, np.int64(at)), given_quote)
        out.deleverages[at]["haircut_quote"] = haircut_quote
        missing_quote -= haircut_quote
    paid_quote: Number = ZERO
    for at in range(first, end):
        record = out.deleverages[at]
        if missing_quote != 0 and _given_quote(t, out, np.int64(at)) != 0:
            record["haircut_quote"] += 1
            missing_quote -= 1
        holder = record["account"]
        cut_quote = min(record["haircut_quote"], max(compute_equity(t, holder), ZERO))
        record["haircut_quote"] = cut_quote
        move_balance(t, out, holder, -cut_quote)
        paid_quote += cut_quote
    move_balance(t, out, account, paid_quote)
    return paid_quote


@kernel
def deleverage(
    t: Tables, out: Outputs, account: Number, shortfall_quote: Number, rest_quote: Number
) -> tuple[Number, Number]:
    """Close a bankrupt account's derivatives and spread `rest_quote`, what insurance left of `shortfall_quote`.

    Returns closed lots and what the holders paid, quote.
    """
    first = t.counters[ADL_COUNT]
    closed_lots: Number = ZERO
    row = _find_next(t, account, NOWHERE)
    while row != 0:
        market = np.int64(t.positions[row]["market"])
        closed_lots += _close_market(t, out, account, row, shortfall_quote)
        row = _find_next(t, account, market)
    return closed_lots, _cut_holders(t, out, account, first, rest_quote)
