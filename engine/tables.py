"""The state as tables: every record a kernel reads or writes, and the bundle of them that kernels take.

Numbers are int64 unless they are row numbers (uint32, 0 = none: row 0 of every pool is reserved). Memory is allocated
at its maximum and committed by the system when it is touched, so growth never pauses; `counters` say how far each pool
is used, and a copy copies no more than that. Row numbers, free lists and hash tables are a function of the history and
the same on every node, but no root depends on them. docs/spec.md, section 2, says what each field means.
"""

from typing import NamedTuple

import numpy as np

from engine.handles import Handle
from engine.orderbook import Orderbook

# What kernels take and return: Python's values when the shell calls, numpy's between kernels.
Number = int | np.int64
Truth = bool | np.bool_


def _record(longs: str, words: str = "") -> np.dtype:
    """int64 fields, then uint32 fields (an even number of them keeps rows aligned)."""
    fields = [(name, "<i8") for name in longs.split()] + [(name, "<u4") for name in words.split()]
    return np.dtype(fields)


def _lines(*parts: tuple[str, str]) -> np.dtype:
    """Records of both kinds one behind the other."""
    fields = [field for longs, words in parts for field in _record(longs, words).descr]
    return np.dtype(fields)


# 128 bytes, two lines of the cache; an order that rests or goes touches the first only. balance_quote excludes accrued
# funding (FND-1). free_bound_quote is E - D at initial units while bound_epoch is counters[MARK_EPOCH] + 1, else
# unknown (MAR-7). position_count counts what is not empty.
ACCOUNT = _lines(
    (
        "balance_quote free_bound_quote order_charge_quote cancel_at_ms",
        "order_first order_last order_count bound_epoch dirty mode position_first position_count",
    ),
    (
        "volume_quote volume_before_quote key_a key_b key_c",
        "nonce_count session_first referrer protection trigger_first volume_epoch",
    ),
)
DIRTY_LEAF, DIRTY_AUX = 1, 2
MODE_CROSS, MODE_ISOLATED, MODE_PORTFOLIO = 0, 1, 2

# 64 bytes: one (account, market). Open orders are counted with their hidden part. A row may be empty: it goes when rows
# are needed.
POSITION = _record(
    "lots buy_lots sell_lots order_charge_quote",
    "account market next previous reduce_only_count is_tried is_live spare",
)

# 128 bytes beside each order of the book (same row number); a fill or a cancel needs the first line of the cache only.
# `position` is the row of the order's (account, market); the list of an account's orders is in the order of their ids.
DETAIL = _lines(
    (
        "unit_charge_quote hidden_lots filled_lots good_till_ms client_id",
        "own_next own_previous flags position builder market",
    ),
    ("original_lots placed_ms price_ticks display_lots builder_ppm rank", "side time_in_force account spare"),
)

# 128 bytes: a stop or take-profit order that waits. `trigger_first` and `next` list an account's by ascending id;
# `parent_id` is set while it is dormant, `is_live` is above 1 when the clock must look at it; `spare` is scratch.
TRIGGER = _record(
    "order_id client_id trigger_ticks price_ticks size_lots placed_ms good_till_ms link_id parent_id sibling_id",
    "account market side flags time_in_force is_live next spare",
)

# 96 bytes: a quote for one account or for all, off the book (RFQ and block trades).
OFFER = _record(
    "order_id client_id price_ticks size_lots good_till_ms unit_charge_quote placed_ms spare",
    "account market side counterparty is_live next spare_a spare_b",
)

# 64 bytes: a key that may sign for an account.
SESSION = _record("key_a key_b key_c expiry_ms order_quote_max", "account next scopes is_live spare_a spare_b")
SCOPE_TRADE, SCOPE_CANCEL, SCOPE_TRANSFER = 1, 2, 4

# 96 bytes: market-maker protection of one account.
PROTECTION = _record(
    "window_ms freeze_ms quote_max delta_quote_max vega_quote_max window_start_ms quote_sum delta_quote_sum"
    " vega_quote_sum frozen_until_ms",
    "account is_live due_fill spare",
)

# One instrument. Prices in ticks, `_e8` in 1e-8 USD, `unit` fields in quote per lot as of the last reprice (MAR-1). The
# first MARKET_ROOT_FIELDS fields are the market's own, those up to MARKET_HASHED_FIELDS its units; the root has both.
# The rest follows from the orders and triggers.
MARKET = _record(
    "kind underlying expiry strike_e8 tick_e8 lot_e8 quote_per_tick_lot price_ticks_max order_lots_max"
    " position_lots_max initial_bps maintenance_bps maker_fee_bps taker_fee_bps liquidation_fee_bps band_bps"
    " oi_low_quote oi_high_quote auction_move_bps auction_ms funding_cap_bps interest_bps impact_quote"
    " phase phase_until_ms delist_ms is_listed"
    " mark_e8 mark_ms last_ticks open_interest_lots short_lots volume_lots basis_ema_e8"
    " funding_quote funding_rest premium_sum premium_count premium_at_ms funding_at_ms settle_e8 reference_ticks"
    " reference_ms listed_ms"
    " is_fresh value_unit notional_unit im_long_unit im_short_unit mm_long_unit mm_short_unit delta_unit vega_unit"
    " gamma_unit theta_unit rho_unit"
    " buy_limit_ticks sell_limit_ticks mark_ticks initial_effective_bps book_orders"
    " above_mark_ticks below_mark_ticks above_last_ticks below_last_ticks"
)
# The last four bound the trigger prices that wait for a rise or a fall of the mark or the last price; 0: none waits.
MARKET_ROOT_FIELDS = (MARKET.names or ()).index("is_fresh")
MARKET_HASHED_FIELDS = (MARKET.names or ()).index("book_orders")
KIND_PERPETUAL, KIND_FUTURE, KIND_CALL, KIND_PUT, KIND_SPOT = range(5)
PHASE_CONTINUOUS, PHASE_AUCTION, PHASE_CANCEL_ONLY, PHASE_POST_ONLY, PHASE_SETTLED = range(5)

# What options and futures hang on. Feeds are the numbers of the validators' price reports.
UNDERLYING = _record(
    "feed_tick_e8 index_e8 index_ms is_fresh oracle_step_bps_max oracle_stale_ms dispersion_bps variance_bps2"
    " variance_at_ms variance_index_e8 reference_move_bps multiplier_bps funding_index_e8 fresh_rounds"
    " open_interest_quote spare_a spare_b spare_c"
)
EXPIRY = _record(
    "underlying expiry_ms forward_e8 a_e8 b_e8 rho_e8 m_e8 sigma_e8 surface_ms forward_ms twap_sum_e8 twap_count"
    " twap_slot settle_e8 is_settled sqrt_years_q60 inverse_sqrt_years_q40 spare"
)
# Collateral. Asset 0 is the quote currency; the others are held as positions of their spot market.
ASSET = _record("token_a token_b token_c market units_per_lot deposited_units withdrawn_units cap_lots")

# counters: one int64 each.
(
    ACCOUNT_COUNT, NEXT_SEQUENCE, NEXT_RANK, MARK_EPOCH, TIME_MS, PHASE, PHASE_UNTIL_MS, WITHDRAWALS,
    MARKET_COUNT, UNDERLYING_COUNT, EXPIRY_COUNT, ASSET_COUNT,
    ORDERS_LIVE,
    POSITION_FREE, POSITIONS_USED, POSITIONS_LIVE, POSITIONS_OPEN,
    TRIGGERS_USED, TRIGGERS_LIVE, OFFERS_USED, OFFERS_LIVE, SESSIONS_USED, SESSIONS_LIVE, PROTECTIONS_USED,
    REPRICED_MS, MUST_REPRICE, HALT_GAP_MS, RESUME_MS,
    ORDER_SWEEP, POSITION_SWEEP, ACCOUNT_SWEEP,
    ACCOUNT_ORDERS_MAX, BOOK_ORDERS_MAX, LIQUIDATION_COUNT_TOTAL, STABLE_E8, INSURANCE_COVER, REFERRAL_BPS,
    FILL_COUNT, CANCELLATION_COUNT, LIQUIDATION_COUNT, WITHDRAWAL_COUNT, ADL_COUNT, NOTICE_COUNT, DIRTY_COUNT,
    ERROR, BALANCE_SUM, AUCTION_FILL_COUNT, TRIGGERS_MARKED,
) = range(48)  # fmt: skip
COUNTER_COUNT = 64

# fee_tiers (FEE_TIERS, 3): volume_quote from which the tier holds, taker discount bps, maker discount bps (a maker
# discount above 10_000 is a rebate).
FEE_TIERS = 6


class _TablesFields(NamedTuple):
    accounts: np.ndarray  # ACCOUNT
    account_index: np.ndarray  # (power of two,) uint32: account + 1 by hashed key, open addressing
    nonces: np.ndarray  # (accounts, 64) int64 ascending, `nonce_count` of them
    client_ids: np.ndarray  # (accounts, 16) int64: ring of accepted client ids, newest first
    positions: np.ndarray  # POSITION
    position_index: np.ndarray  # (power of two,) uint32: position row by hashed (account, market)
    orderbook: Orderbook  # all books; side_index = market * 2 + side
    details: np.ndarray  # DETAIL, by order row (order_id & ORDER_ROW_MASK)
    trigger_rows: np.ndarray  # int64 words, engine.rows: which rows of the pool are used
    offer_rows: np.ndarray
    session_rows: np.ndarray
    triggers: np.ndarray
    offers: np.ndarray
    sessions: np.ndarray
    protections: np.ndarray
    markets: np.ndarray
    underlyings: np.ndarray
    expiries: np.ndarray
    assets: np.ndarray
    fee_tiers: np.ndarray
    counters: np.ndarray
    scenarios: np.ndarray  # (markets, SCENARIOS) int64: quote per lot of each market in each scenario (PMR-5)
    node_hashes: np.ndarray
    node_sums: np.ndarray
    aux_digests: np.ndarray  # (accounts, 32) uint8
    portfolio: np.ndarray  # (PORTFOLIO_WORDS,) int64: scratch memory of engine.portfolio, in no root


class Tables(Handle, _TablesFields):
    """Everything a kernel touches of one state. Shapes: (capacity,) records unless said otherwise."""


class _OutputsFields(NamedTuple):
    receipts: np.ndarray
    fills: np.ndarray
    cancellations: np.ndarray
    liquidations: np.ndarray
    withdrawals: np.ndarray
    deleverages: np.ndarray
    notices: np.ndarray
    dirty: np.ndarray  # accounts whose leaf changed, each once (flag `dirty` of the account)


class Outputs(Handle, _OutputsFields):
    """What the kernels of one block write: records in the layouts below."""


# `filled_value` is the sum of price_ticks x size_lots of the action's fills.
RECEIPT = _record(
    "batch_index command_index code order_state order_id filled_lots remaining_lots filled_value account_index"
    " cancelled_count withdrawal_index"
)
FILL = _record(
    "market price_ticks size_lots maker_account taker_account maker_order_id taker_order_id taker_side maker_fee_quote"
    " taker_fee_quote is_liquidation"
)
CANCELLATION = _record("order_id account market side price_ticks remaining_lots client_id reason")
LIQUIDATION = _record(
    "account equity_quote maintenance_quote closed_lots equity_after_quote insurance_quote worst_scenario balance_quote"
    " deleveraged_lots shortfall_quote haircut_quote"
)
WITHDRAWAL = _record("account amount_units asset owner_account")
DELEVERAGE = _record("bankrupt_account account market size_lots price_e8 haircut_quote shortfall_quote")
# What happened that is nobody's order: kind, then up to five numbers (spec section 12).
NOTICE = _record("kind subject value_a value_b value_c value_d")
(
    NOTICE_MARK, NOTICE_FUNDING, NOTICE_PHASE, NOTICE_AUCTION, NOTICE_SETTLEMENT, NOTICE_TRIGGER, NOTICE_LISTED,
    NOTICE_PARAMETER, NOTICE_PROTECTION, NOTICE_MULTIPLIER, NOTICE_TRANSFER, NOTICE_OFFER, NOTICE_FORCED,
) = range(1, 14)  # fmt: skip

# Why an order left the book without being filled.
(
    BY_OWNER, BY_OWNER_ALL, BY_SELF_TRADE, BY_LIQUIDATION, BY_MARGIN, BY_EXPIRY, BY_REDUCE_ONLY, BY_PROTECTION,
    BY_SWITCH, BY_SETTLEMENT, BY_SIBLING, BY_PHASE,
) = range(12)  # fmt: skip

SYSTEM_ACCOUNTS = 3  # fees, insurance, governor
FEE_ACCOUNT, INSURANCE_ACCOUNT, GOVERNOR_ACCOUNT = range(3)
USER_ACCOUNT_FIRST = 64
CLIENT_IDS_REMEMBERED = 16
FILLS_MAX = 1 << 17  # of one block, auctions apart (MAT-4)
DELEVERAGES_MAX = 1 << 17  # after that many rows no other account is deleveraged in the same block (ADL-2)
FOREVER_MS = 1 << 62  # end of a phase that only the governor ends
ORDER_ROW_BITS = 24  # order_id = sequence << 24 | row; triggers have bit 23 set, offers bits 23 and 22
ORDER_ROW_MASK = (1 << 24) - 1
TRIGGER_ROW = 1 << 23
OFFER_ROW = 1 << 22
SCENARIOS = 48  # words of a row: 33 scenarios, two of the basis, and what engine.scenarios says
PORTFOLIO_WORDS = 512
