"""Memory of a state: empty tables of the greatest capacity, filled with the instruments of the parameters.

Pages are handed out when they are first written, so a capacity costs address space, not memory. Row 0 of every
pool means "none".
"""

import numpy as np

from engine.accounts import index_account
from engine.limits import NONCES_REMEMBERED
from engine.memory import make_zeros
from engine.orderbook import list_market, make_orderbook
from engine.params import KINDS, CollateralParams, ExchangeParams, MarketParams
from engine.rows import count_words
from engine.sumtree import make_nodes
from engine.tables import (
    ACCOUNT,
    ACCOUNT_COUNT,
    ACCOUNT_ORDERS_MAX,
    ADL_COUNT,
    ASSET,
    ASSET_COUNT,
    AUCTION_FILL_COUNT,
    BOOK_ORDERS_MAX,
    CANCELLATION,
    CANCELLATION_COUNT,
    CLIENT_IDS_REMEMBERED,
    COUNTER_COUNT,
    DELEVERAGE,
    DELEVERAGES_MAX,
    DETAIL,
    DIRTY_AUX,
    DIRTY_COUNT,
    DIRTY_LEAF,
    EXPIRY,
    EXPIRY_COUNT,
    FEE_TIERS,
    FILL,
    FILL_COUNT,
    FILLS_MAX,
    HALT_GAP_MS,
    INSURANCE_COVER,
    LIQUIDATION,
    LIQUIDATION_COUNT,
    MARKET,
    MARKET_COUNT,
    MUST_REPRICE,
    NEXT_RANK,
    NEXT_SEQUENCE,
    NOTICE,
    NOTICE_COUNT,
    OFFER,
    OFFERS_LIVE,
    ORDERS_LIVE,
    PHASE_AUCTION,
    PORTFOLIO_WORDS,
    POSITION,
    POSITIONS_USED,
    PROTECTION,
    PROTECTIONS_USED,
    RECEIPT,
    REFERRAL_BPS,
    RESUME_MS,
    SCENARIOS,
    SESSION,
    STABLE_E8,
    SYSTEM_ACCOUNTS,
    TIME_MS,
    TRIGGER,
    TRIGGERS_LIVE,
    UNDERLYING,
    UNDERLYING_COUNT,
    USER_ACCOUNT_FIRST,
    WITHDRAWAL,
    WITHDRAWAL_COUNT,
    Outputs,
    Tables,
)

E8 = 100_000_000


def _power_of_two(at_least: int) -> int:
    return 1 << max(at_least - 1, 1).bit_length()


def _directory_entries(params: ExchangeParams) -> int:
    """Room for the genesis markets and as many more of half their width as `markets_max` allows."""
    widths = [2 * (item.price_ticks_max // 64 + 1) for item in params.markets]
    return sum(widths) + (params.markets_max - len(widths)) * 2048


def make_tables(params: ExchangeParams, time_ms: int) -> Tables:
    """The tables of an exchange without users: genesis instruments listed, system accounts in their places."""
    accounts, positions = params.accounts_max, params.positions_max
    node_hashes, node_sums = make_nodes(_power_of_two(accounts))
    tables = Tables(
        accounts=make_zeros(accounts, ACCOUNT),
        account_index=make_zeros(_power_of_two(2 * accounts), np.uint32),
        nonces=make_zeros((accounts, NONCES_REMEMBERED), np.int64),
        client_ids=make_zeros((accounts, CLIENT_IDS_REMEMBERED), np.int64),
        positions=make_zeros(positions, POSITION),
        position_index=make_zeros(_power_of_two(2 * positions), np.uint32),
        orderbook=make_orderbook(params.markets_max, params.orders_max, params.blocks_max, _directory_entries(params)),
        details=make_zeros(params.orders_max, DETAIL),
        trigger_rows=make_zeros(count_words(params.triggers_max), np.int64),
        offer_rows=make_zeros(count_words(params.offers_max), np.int64),
        session_rows=make_zeros(count_words(params.sessions_max), np.int64),
        triggers=make_zeros(params.triggers_max, TRIGGER),
        offers=make_zeros(params.offers_max, OFFER),
        sessions=make_zeros(params.sessions_max, SESSION),
        protections=make_zeros(params.sessions_max, PROTECTION),
        markets=make_zeros(params.markets_max, MARKET),
        underlyings=make_zeros(params.markets_max, UNDERLYING),
        expiries=make_zeros(params.markets_max, EXPIRY),
        assets=make_zeros(1 + len(params.collaterals), ASSET),
        fee_tiers=make_zeros((FEE_TIERS, 3), np.int64),
        counters=make_zeros(COUNTER_COUNT, np.int64),
        scenarios=make_zeros((params.markets_max, SCENARIOS), np.int64),
        node_hashes=node_hashes,
        node_sums=node_sums,
        aux_digests=make_zeros((accounts, 32), np.uint8),
        portfolio=make_zeros(PORTFOLIO_WORDS, np.int64),
    )
    _fill_counters(tables, params, time_ms)
    for market in params.markets:
        list_instrument(tables, params, market)
    _fill_assets(tables, params)
    for row, tier in enumerate(params.fee_tiers):
        tables.fee_tiers[row] = (tier.volume_quote, tier.taker_discount_bps, tier.maker_discount_bps)
    for account in range(SYSTEM_ACCOUNTS):
        open_system_account(tables, account, system_owner(params, account))
    return tables


def _fill_counters(tables: Tables, params: ExchangeParams, time_ms: int) -> None:
    counters = tables.counters
    counters[TIME_MS] = time_ms
    counters[ACCOUNT_COUNT] = USER_ACCOUNT_FIRST
    counters[[NEXT_SEQUENCE, NEXT_RANK, POSITIONS_USED, PROTECTIONS_USED, MUST_REPRICE]] = 1
    counters[ACCOUNT_ORDERS_MAX] = params.account_orders_max
    counters[BOOK_ORDERS_MAX] = params.book_orders_max
    counters[HALT_GAP_MS] = params.halt_gap_ms
    counters[RESUME_MS] = params.resume_ms
    counters[STABLE_E8] = E8
    counters[INSURANCE_COVER] = params.insurance_cover
    counters[REFERRAL_BPS] = params.referral_bps


def system_owner(params: ExchangeParams, account: int) -> bytes:
    """Owner of a system account: the governor for account 2, else its number + 1, whose key nobody has."""
    return params.governor if account == 2 else (account + 1).to_bytes(20, "big")


def open_system_account(tables: Tables, account: int, owner: bytes) -> None:
    """Give a system account its key (subaccount 0) and put it into the index; without a governor there is none."""
    key = owner + bytes(4)
    row = tables.accounts[account]
    for name, at in (("key_a", 0), ("key_b", 8), ("key_c", 16)):
        row[name] = int.from_bytes(key[at : at + 8], "big", signed=True)
    row["dirty"] = DIRTY_LEAF | DIRTY_AUX
    if any(owner):
        index_account(tables, account)


def _fill_assets(tables: Tables, params: ExchangeParams) -> None:
    quote = CollateralParams(params.token, "", 1, 0)
    symbols = [market.symbol for market in params.markets]
    for row, item in enumerate((quote, *params.collaterals)):
        asset = tables.assets[row]
        asset["token_a"], asset["token_b"], asset["token_c"] = split_address(item.token)
        asset["market"] = symbols.index(item.symbol) if item.symbol else -1
        asset["units_per_lot"], asset["cap_lots"] = item.units_per_lot, item.lots_max
    tables.counters[ASSET_COUNT] = 1 + len(params.collaterals)


def split_address(address: bytes) -> tuple[int, int, int]:
    """20 bytes as two int64 and the last four bytes, big-endian, as kernels compare them."""
    head, middle = (int.from_bytes(address[at : at + 8], "big", signed=True) for at in (0, 8))
    return head, middle, int.from_bytes(address[16:], "big")


def _find_underlying(tables: Tables, params: ExchangeParams, market: MarketParams) -> int:
    """Row of the market's underlying; made from this market's feed rules if it is the first."""
    row = params.underlyings.index(market.underlying_name)
    if row >= tables.counters[UNDERLYING_COUNT]:
        underlying = tables.underlyings[row]
        underlying["feed_tick_e8"] = market.tick_e8
        underlying["oracle_step_bps_max"] = market.oracle_step_bps_max
        underlying["oracle_stale_ms"] = market.oracle_stale_ms
        underlying["reference_move_bps"] = market.reference_move_bps
        underlying["multiplier_bps"] = 10_000
        tables.counters[UNDERLYING_COUNT] = row + 1
    return row


def _find_expiry(tables: Tables, market: MarketParams, underlying: int) -> int:
    """Row of the market's expiry, made if it is new; -1 for what never expires."""
    if not market.expiry_ms:
        return -1
    count = int(tables.counters[EXPIRY_COUNT])
    for row in range(count):
        known = tables.expiries[row]
        if (int(known["underlying"]), int(known["expiry_ms"])) == (underlying, market.expiry_ms):
            return row
    tables.expiries[count]["underlying"] = underlying
    tables.expiries[count]["expiry_ms"] = market.expiry_ms
    tables.expiries[count]["twap_slot"] = -1
    tables.counters[EXPIRY_COUNT] = count + 1
    return count


def list_instrument(tables: Tables, params: ExchangeParams, market: MarketParams) -> int:
    """Add a genesis instrument with an empty book; returns its number."""
    price_ticks_max = market.price_ticks_max
    number = list_market(tables.orderbook, price_ticks_max)
    underlying = _find_underlying(tables, params, market)
    values = {
        "kind": KINDS.index(market.kind), "underlying": underlying,
        "expiry": _find_expiry(tables, market, underlying), "strike_e8": market.strike_e8,
        "tick_e8": market.tick_e8, "lot_e8": market.lot_e8, "quote_per_tick_lot": market.quote_per_tick_lot,
        "price_ticks_max": price_ticks_max, "order_lots_max": market.size_lots_max,
        "position_lots_max": market.position_lots_max, "initial_bps": market.initial_margin_bps,
        "maintenance_bps": market.maintenance_margin_bps, "maker_fee_bps": market.maker_fee_bps,
        "taker_fee_bps": market.taker_fee_bps, "liquidation_fee_bps": market.liquidation_fee_bps,
        "band_bps": market.price_band_bps, "oi_low_quote": market.oi_low_quote, "oi_high_quote": market.oi_high_quote,
        "auction_move_bps": market.auction_move_bps, "auction_ms": market.auction_ms,
        "funding_cap_bps": market.funding_cap_bps, "interest_bps": market.interest_bps,
        "impact_quote": market.impact_quote, "is_listed": 1, "listed_ms": int(tables.counters[TIME_MS]),
    }  # fmt: skip
    row = tables.markets[number]
    for name, value in values.items():
        row[name] = value
    if market.auction_ms:
        row["phase"] = PHASE_AUCTION
        row["phase_until_ms"] = int(tables.counters[TIME_MS]) + market.auction_ms
    tables.counters[MARKET_COUNT] = number + 1
    return number


def _take_room(room: dict[str, np.ndarray], name: str, count: int, record: np.dtype) -> np.ndarray:
    held = room.get(name)
    if held is None or len(held) < count:
        held = room[name] = np.empty(count + count // 8, record)  # a little more each block
    return held[:count]


def make_outputs(tables: Tables, actions: int, room: dict[str, np.ndarray] | None = None) -> Outputs:
    """Room for everything that one block of so many actions can write; counts of events start at zero.

    `room` keeps the memory for the next block, which overwrites all but the receipts: to ask the system for it again
    and give it back costs more than a small block.
    """
    counters = tables.counters
    accounts = int(counters[ACCOUNT_COUNT]) + actions
    orders = int(counters[ORDERS_LIVE]) + int(counters[TRIGGERS_LIVE]) + int(counters[OFFERS_LIVE]) + actions
    positions = int(counters[POSITIONS_USED]) + actions
    rows = (
        ("fills", FILLS_MAX + 2 * orders, FILL), ("cancellations", orders, CANCELLATION),
        ("liquidations", accounts, LIQUIDATION), ("withdrawals", actions, WITHDRAWAL),
        ("deleverages", DELEVERAGES_MAX + positions, DELEVERAGE),
        ("notices", orders + accounts + 8 * len(tables.markets), NOTICE), ("dirty", accounts, np.dtype(np.int64)),
    )  # fmt: skip
    for counter in (
        FILL_COUNT, AUCTION_FILL_COUNT, CANCELLATION_COUNT, LIQUIDATION_COUNT, WITHDRAWAL_COUNT, ADL_COUNT,
        NOTICE_COUNT, DIRTY_COUNT,
    ):  # fmt: skip
        tables.counters[counter] = 0
    receipts = np.empty(max(actions, 1), RECEIPT)  # they go out as they are
    kept = {} if room is None else room
    return Outputs(receipts, *(_take_room(kept, name, max(count, 1), record) for name, count, record in rows))
