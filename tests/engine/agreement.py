"""The compiled engine and the reference exchange side by side: what happened, then the whole state, row by row."""

from typing import Any

import numpy as np

try:
    from engine import apply
    from engine import state as state_of
except ImportError:  # the next engine has taken its place
    from engine import apply
    from engine import state as state_of

from engine.tables import (
    ACCOUNT_COUNT,
    ACCOUNT_SWEEP,
    EXPIRY_COUNT,
    INSURANCE_COVER,
    MARKET,
    MARKET_COUNT,
    MARKET_ROOT_FIELDS,
    NEXT_RANK,
    NEXT_SEQUENCE,
    ORDER_SWEEP,
    ORDERS_LIVE,
    PHASE,
    PHASE_UNTIL_MS,
    UNDERLYING_COUNT,
    WITHDRAWALS,
)
from tests.engine.worlds import Script, Step, build_block, make_world_params
from tests.reference import exchange
from tests.reference.state import FIRST_USER

BatchInput, BlockInput, genesis, execute = apply.BatchInput, apply.BlockInput, state_of.genesis, apply.execute
EVENTS = ("notices", "liquidations", "deleverages", "cancellations", "fills", "receipts")
UNIT_FIELDS = ("im_long_unit", "im_short_unit", "mm_long_unit", "mm_short_unit", "delta_unit", "vega_unit")
UNDERLYING_FIELDS = (
    "index_e8", "index_ms", "dispersion_bps", "variance_bps2", "variance_at_ms", "variance_index_e8", "multiplier_bps",
    "fresh_rounds", "oracle_step_bps_max", "oracle_stale_ms", "reference_move_bps",
)  # fmt: skip
EXPIRY_FIELDS = (
    "underlying", "expiry_ms", "forward_e8", "forward_ms", "a_e8", "b_e8", "rho_e8", "m_e8", "sigma_e8", "surface_ms",
    "twap_sum_e8", "twap_count", "twap_slot", "settle_e8", "is_settled",
)  # fmt: skip
PROTECTION_FIELDS = (
    "window_ms", "freeze_ms", "quote_max", "delta_quote_max", "vega_quote_max", "window_start_ms", "quote_sum",
    "delta_quote_sum", "vega_quote_sum", "frozen_until_ms",
)  # fmt: skip
COUNTERS = {
    NEXT_SEQUENCE: "next_sequence", NEXT_RANK: "next_rank", PHASE: "phase", PHASE_UNTIL_MS: "phase_until_ms",
    ACCOUNT_COUNT: "next_account", ORDER_SWEEP: "order_sweep", ACCOUNT_SWEEP: "account_sweep",
    INSURANCE_COVER: "insurance_cover", WITHDRAWALS: "withdrawal_count",
}  # fmt: skip


def rows(table: np.ndarray) -> list[tuple]:
    return [tuple(row) for row in table.tolist()]


def walk(table: np.ndarray, first: Any, link: str) -> list[int]:
    """Row numbers of a linked list; 0 ends it."""
    found, at = [], int(first)
    while at and len(found) < len(table):
        found.append(at)
        at = int(table[at][link])
    return found


def read_orders(t: Any, account: int) -> list[tuple]:
    """Open orders of an account in the order of its list."""
    first = len(t.orderbook.book) - len(t.details)
    found = []
    for row in walk(t.details, t.accounts[account]["order_first"], "own_next"):
        detail, order = t.details[row], t.orderbook.book[first + row]
        names = ("hidden_lots", "display_lots", "client_id", "filled_lots", "placed_ms", "good_till_ms", "flags")
        names += ("time_in_force", "unit_charge_quote", "builder", "builder_ppm", "rank", "original_lots")
        where = (int(order["order_id"]), int(detail["market"]), int(detail["side"]), int(detail["price_ticks"]))
        found.append((*where, int(order["lots"]), *(int(detail[name]) for name in names)))
    return found


def expect_orders(x: Any, account: int) -> list[tuple]:
    return [
        (
            o.order_id, o.market, o.side, o.price, o.shown, o.hidden, o.display, o.client_id, o.filled, o.placed_ms,
            o.good_till_ms, o.flags, o.time_in_force, o.unit_charge, o.builder, o.builder_ppm, o.rank, o.original,
        )
        for o in x.own_orders(account)
    ]  # fmt: skip


def read_triggers(t: Any, account: int) -> list[tuple]:
    names = ("order_id", "market", "side", "time_in_force", "flags", "price_ticks", "size_lots", "client_id")
    names += ("trigger_ticks", "placed_ms", "parent_id", "sibling_id")
    found = walk(t.triggers, t.accounts[account]["trigger_first"], "next")
    return [tuple(int(t.triggers[row][name]) for name in names) for row in found]


def expect_triggers(x: Any, account: int) -> list[tuple]:
    return [
        (
            o.order_id, o.market, o.side, o.time_in_force, o.flags, o.price, o.lots, o.client_id, o.trigger_ticks,
            o.placed_ms, o.parent_id, o.sibling_id,
        )
        for o in x.own_triggers(account)
    ]  # fmt: skip


def read_sessions(t: Any, account: int) -> list[tuple]:
    """Keys and approvals of builders (scopes 8) in the order of the account's list."""
    found = []
    for at in walk(t.sessions, t.accounts[account]["session_first"], "next"):
        row = t.sessions[at]
        key = b"".join(int(row[name]).to_bytes(8, "big", signed=True) for name in ("key_a", "key_b", "key_c"))
        found.append((key[:20], int(row["scopes"]), int(row["expiry_ms"]), int(row["order_quote_max"])))
    return found


def expect_sessions(x: Any, account: int) -> list[tuple]:
    return [
        (item.key, 8 if item.is_builder else item.scopes, item.expiry_ms, item.order_quote_max)
        for item in x.accounts[account].sessions
    ]


def read_protection(t: Any, account: int) -> tuple | None:
    row = int(t.accounts[account]["protection"])
    return tuple(int(t.protections[row][name]) for name in PROTECTION_FIELDS) if row else None


def expect_protection(x: Any, account: int) -> tuple | None:
    own = x.accounts[account].protection
    return tuple(getattr(own, name) for name in PROTECTION_FIELDS) if own else None


def read_offers(t: Any) -> list[tuple]:
    names = ("order_id", "account", "market", "side", "price_ticks", "size_lots", "client_id", "good_till_ms")
    names += ("counterparty", "placed_ms")
    live = t.offers[t.offers["is_live"] != 0]
    return sorted(tuple(int(row[name]) for name in names) for row in live)


def expect_offers(x: Any) -> list[tuple]:
    return sorted(
        (o.order_id, o.account, o.market, o.side, o.price, o.lots, o.client_id, o.good_till_ms, o.counterparty,
         o.placed_ms)
        for o in x.offers.values()
    )  # fmt: skip


def read_account(t: Any, account: int) -> dict[str, Any]:
    row = t.accounts[account]
    names = ("balance_quote", "mode", "cancel_at_ms", "volume_quote", "volume_before_quote", "volume_epoch", "referrer")
    held = walk(t.positions, row["position_first"], "next")
    found: dict[str, Any] = {name: int(row[name]) for name in names}
    found["positions"] = sorted(
        (int(t.positions[at]["market"]), int(t.positions[at]["lots"])) for at in held if t.positions[at]["lots"]
    )
    found["nonces"] = t.nonces[account, : int(row["nonce_count"])].tolist()
    found["client_ids"] = [number for number in t.client_ids[account].tolist() if number]
    found["orders"], found["triggers"] = read_orders(t, account), read_triggers(t, account)
    found["sessions"], found["protection"] = read_sessions(t, account), read_protection(t, account)
    return found


def expect_account(x: Any, account: int) -> dict[str, Any]:
    a = x.accounts[account]
    return {
        "balance_quote": a.balance, "mode": a.mode, "cancel_at_ms": a.cancel_at_ms, "volume_quote": a.volume,
        "volume_before_quote": a.volume_before, "volume_epoch": a.volume_epoch, "referrer": a.referrer,
        "positions": sorted(a.positions.items()), "nonces": a.nonces, "client_ids": a.client_ids,
        "orders": expect_orders(x, account), "triggers": expect_triggers(x, account),
        "sessions": expect_sessions(x, account), "protection": expect_protection(x, account),
    }  # fmt: skip


def differ(what: str, fast: Any, slow: Any) -> list[str]:
    """Nothing when equal; else one line that names the first difference of two lists or the two values."""
    if fast == slow:
        return []
    if isinstance(fast, list) and isinstance(slow, list):
        at = next((at for at, pair in enumerate(zip(fast, slow)) if pair[0] != pair[1]), min(len(fast), len(slow)))
        one = fast[at] if at < len(fast) else "nothing"
        other = slow[at] if at < len(slow) else "nothing"
        return [f"{what}[{at}]: engine {one}, reference {other} (of {len(fast)} and {len(slow)})"]
    return [f"{what}: engine {fast}, reference {slow}"]


def compare_events(result: Any, x: Any) -> list[str]:
    found = []
    for name in EVENTS:
        found += differ(name, rows(getattr(result, name)), getattr(x, name))
    found += differ("credits", [tuple(credit) for credit in result.credits], x.credits)
    return found + differ("withdrawals", [tuple(item) for item in result.withdrawals], x.withdrawals)


def compare_state(state: Any, x: Any) -> list[str]:
    t, found = state.tables, []
    for counter, name in COUNTERS.items():
        found += differ(name, int(t.counters[counter]), int(getattr(x, name)))
    found += differ("open orders", int(t.counters[ORDERS_LIVE]), len(x.orders))
    found += differ("markets", int(t.counters[MARKET_COUNT]), len(x.markets))
    found += differ("underlyings", int(t.counters[UNDERLYING_COUNT]), len(x.underlyings))
    found += differ("expiries", int(t.counters[EXPIRY_COUNT]), len(x.expiries))
    if found:
        return found
    found += differ("offers", read_offers(t), expect_offers(x))
    for number, row in enumerate(x.markets):
        row.open_interest_lots = x.open_interest(number)
        row.short_lots = sum(-lots for _, lots in x.holdings(number) if lots < 0)
        for name in (*MARKET.names[:MARKET_ROOT_FIELDS], *UNIT_FIELDS):
            found += differ(f"market {number} {name}", int(t.markets[number][name]), int(getattr(row, name)))
    for number, row in enumerate(x.underlyings):
        for name in UNDERLYING_FIELDS:
            found += differ(f"underlying {number} {name}", int(t.underlyings[number][name]), int(getattr(row, name)))
    for number, row in enumerate(x.expiries):
        for name in EXPIRY_FIELDS:
            found += differ(f"expiry {number} {name}", int(t.expiries[number][name]), int(getattr(row, name)))
    for account in (0, 1, 2, *range(FIRST_USER, x.next_account)):
        fast, slow = read_account(t, account), expect_account(x, account)
        for name in slow:
            found += differ(f"account {account} {name}", fast[name], slow[name])
    return found


class Both:
    """A run of both engines; `step` returns the differences after a block."""

    def __init__(self, changes: dict | None = None) -> None:
        params = make_world_params(**(changes or {}))
        from tests.engine.blocks import START_MS

        self.state, self.x = genesis(params, START_MS), exchange.genesis(params, START_MS)
        self.script = Script(changes or {})

    def step(self, step: Step) -> list[str]:
        self.script.steps.append(step)
        block = build_block(self.x, step)
        self.x = exchange.execute(self.x, block)
        try:
            self.state, result = execute(self.state, block)
        except Exception as error:  # whatever the engine raises on a block that the reference executes is a finding
            return [f"engine raised {type(error).__name__}: {error}"]
        return compare_events(result, self.x) or compare_state(self.state, self.x)


def replay(script: Script) -> tuple[int, list[str]]:
    """`(block, differences)` of the first block of a script at which the engines differ; (-1, []) when they agree."""
    both = Both(script.changes)
    for at, step in enumerate(script.steps):
        found = both.step(step)
        if found:
            return at, found
    return -1, []
