"""Fees of fills (docs/spec.md, FEE): what maker and taker pay of the value, and the tier that an account has reached.

Every fee is rounded up once, from the exact value; a rebate is a negative fee, so rounding up makes it smaller.
"""

import numpy as np

from engine.accounts import ONE, ZERO
from engine.compiling import inlined, kernel
from engine.fixed import mul_div_ceil
from engine.tables import FEE_TIERS, KIND_CALL, KIND_PUT, Number, Tables

TRADE, BLOCK_TRADE, UNCROSS, LIQUIDATION = (np.int64(kind) for kind in range(4))  # what a fill belongs to
BPS, BPS_SQUARED = np.int64(10_000), np.int64(100_000_000)
OPTION_FEE_PARTS = np.int64(8)  # an option's fee is at most this part of its value (FEE-1)
TAKER_DISCOUNT, MAKER_DISCOUNT = np.int64(1), np.int64(2)  # columns of `fee_tiers`
EPOCH_MS = np.int64(2_592_000_000)


@kernel
def _begin_epoch(t: Tables, account: Number, epoch: Number) -> None:
    """Move an account's traded value into the epoch of now: what is older than the last one is forgotten."""
    owner = t.accounts[account]
    is_next = np.int64(owner["volume_epoch"]) + ONE == epoch
    owner["volume_before_quote"] = owner["volume_quote"] if is_next else ZERO
    owner["volume_quote"] = ZERO
    owner["volume_epoch"] = epoch


@inlined
def find_tier(t: Tables, account: Number, epoch: Number) -> Number:
    """Row of `fee_tiers` that holds for an account (FEE-2), -1 below the first; rows without a volume end the table."""
    owner = t.accounts[account]
    if np.int64(owner["volume_epoch"]) != epoch:
        _begin_epoch(t, account, epoch)
    volume_quote = max(owner["volume_quote"], owner["volume_before_quote"])
    if t.fee_tiers[0, 0] > volume_quote:
        return -ONE
    tier = ZERO
    while tier + ONE < FEE_TIERS and 0 < t.fee_tiers[tier + ONE, 0] <= volume_quote:
        tier += ONE
    return tier


@inlined
def _read_discount(t: Tables, tier: Number, column: Number) -> Number:
    return t.fee_tiers[tier, column] if tier >= 0 else ZERO


@inlined
def compute_fee(
    t: Tables, market: Number, value_quote: Number, lots: Number, fee_bps: Number, discount_bps: Number
) -> Number:
    """FEE-1: `ceil(base x fee x (1 - discount))`, negative (a rebate, rounded toward zero) for a discount above 10,000.

    An option's is at most an eighth of its value less the discount; both bounds are rounded, and rounding keeps order.
    """
    row = t.markets[market]
    left_bps = BPS - discount_bps
    kind = row["kind"]
    if kind != KIND_CALL and kind != KIND_PUT:
        return mul_div_ceil(value_quote, fee_bps * left_bps, BPS_SQUARED)
    by_index = mul_div_ceil(row["notional_unit"] * lots, fee_bps * left_bps, BPS_SQUARED)
    by_value = mul_div_ceil(value_quote, left_bps, OPTION_FEE_PARTS * BPS)
    return min(by_index, by_value) if left_bps >= 0 else max(by_index, by_value)


@inlined
def compute_maker_fee(
    t: Tables, market: Number, value_quote: Number, lots: Number, tier: Number, limit_quote: Number
) -> Number:
    """The maker's fee; a rebate is at most `limit_quote`."""
    fee_bps, discount_bps = t.markets[market]["maker_fee_bps"], _read_discount(t, tier, MAKER_DISCOUNT)
    return max(compute_fee(t, market, value_quote, lots, fee_bps, discount_bps), -limit_quote)


@inlined
def compute_taker_fee(
    t: Tables, market: Number, value_quote: Number, lots: Number, tier: Number, kind: Number
) -> Number:
    """The taker's fee; in an uncross it is a maker's without a rebate, in a liquidation it is charged afterwards."""
    if kind <= BLOCK_TRADE:
        taker_fee_bps, discount_bps = t.markets[market]["taker_fee_bps"], _read_discount(t, tier, TAKER_DISCOUNT)
        return compute_fee(t, market, value_quote, lots, taker_fee_bps, discount_bps)
    return compute_maker_fee(t, market, value_quote, lots, tier, ZERO) if kind == UNCROSS else ZERO
