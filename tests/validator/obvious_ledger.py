"""What became of commands, who traded and how orders stand, in dictionaries and lists: the slow twin of
`validator.history` and `validator.orders`.

Orders are views that are replaced, one event after the other; after every block each open one is compared with how it
rests in the engine's tables.
"""

from dataclasses import replace

from engine import views
from engine.commands import AMEND, PLACE, TRIGGER
from engine.orderbook import LEVELS_PER_BLOCK
from engine.results import Code, OrderState
from engine.tables import NOTICE_TRIGGER, ORDER_ROW_BITS, ORDER_ROW_MASK, TRIGGERS_USED
from net.gateway.backend import WHOLE_POSITION_LOTS, OrderView
from validator.prechecks import account_key, user_accounts

FILL_NAMES = (
    "price_ticks", "size_lots", "maker_fee_quote", "taker_fee_quote", "market", "maker_account", "taker_account",
    "taker_side", "is_liquidation",
)  # fmt: skip
RECEIPT_NAMES = (
    "order_id", "filled_lots", "remaining_lots", "filled_value", "withdrawal_index", "account_index",
    "cancelled_count", "code", "order_state",
)  # fmt: skip
NEVER_SPENT = (Code.UNKNOWN_ACCOUNT, Code.BAD_SIGNATURE)


def sequence_of(order_id):
    return order_id >> ORDER_ROW_BITS


class ObviousLedger:
    def __init__(self, state):
        self.state = state
        self.results = {}  # id -> (height, time_ms, fields)
        self.fills = []  # (number, time_ms, maker id, taker id, maker client id, taker client id, fields)
        self.minutes = {}
        self.open, self.closed, self.changed = {}, {}, {}
        for order in list_open(state):
            self.put(order)

    def apply(self, state, result, batches):
        self.state, self.changed = state, {}
        height, time_ms = state.height, state.time_ms
        told = {}
        for notice in result.notices:
            if notice["kind"] == NOTICE_TRIGGER:
                self.fire(notice, told, time_ms)
        actions = [action for checked in batches for action in checked.actions]
        ids = [name.tobytes() for checked in batches for name in checked.ids]
        for kinds in ((PLACE, TRIGGER), (AMEND,)):
            for receipt, action in zip(result.receipts, actions, strict=True):
                if receipt["code"] == Code.OK and action["kind"] in kinds:
                    self.take(receipt, action, told, time_ms)
        for receipt, command_id in zip(result.receipts, ids, strict=True):
            self.note(command_id, height, time_ms, receipt)
        for at, fill in enumerate(result.fills):
            self.trade((height << 20) + at, time_ms, fill)
        for row in result.cancellations:
            order = self.open.get(sequence_of(int(row["order_id"])))
            if order is not None:
                self.put(replace(order, state=OrderState.CANCELLED, updated_ms=time_ms,
                                 cancel_reason=int(row["reason"])))  # fmt: skip
        for order in [order for order in self.open.values() if not order.is_waiting]:
            self.compare(order, told.get(sequence_of(order.order_id)), time_ms)

    def put(self, order):
        sequence = sequence_of(order.order_id)
        self.changed[sequence] = order
        self.open.pop(sequence, None)
        (self.open if order.state == OrderState.OPEN else self.closed)[sequence] = order

    def fire(self, notice, told, time_ms):
        trigger = self.open[sequence_of(int(notice["subject"]))]
        is_taken, order_id = notice["value_b"] == Code.OK, int(notice["value_c"])
        self.put(replace(trigger, state=OrderState.FILLED if is_taken else OrderState.NONE, updated_ms=time_ms))
        if is_taken:
            told[sequence_of(order_id)] = OrderState.CANCELLED
            self.put(replace(trigger, order_id=order_id, is_waiting=False, created_ms=time_ms, updated_ms=time_ms))

    def take(self, receipt, action, told, time_ms):
        order_id, size_lots = int(receipt["order_id"]), int(action["size_lots"])
        told[sequence_of(order_id)] = receipt["order_state"]
        if action["kind"] == AMEND:
            order = self.open[sequence_of(order_id)]
            self.put(replace(
                order, price_ticks=int(action["price_ticks"]) or order.price_ticks, size_lots=size_lots,
                remaining_lots=size_lots - (order.size_lots - order.remaining_lots), updated_ms=time_ms,
            ))  # fmt: skip
            return
        owner, subaccount = account_key(self.state, int(receipt["account_index"]))
        size_lots = size_lots or WHOLE_POSITION_LOTS
        self.put(OrderView(
            order_id=order_id, client_id=int(action["client_id"]), owner=owner, subaccount=subaccount,
            market=int(action["market"]), side=int(action["side"]), time_in_force=int(action["time_in_force"]),
            state=OrderState.OPEN, price_ticks=int(action["price_ticks"]), size_lots=size_lots,
            remaining_lots=size_lots, filled_value_quote=0, created_ms=time_ms, updated_ms=time_ms,
            flags=int(action["flags"]), display_lots=int(action["display_lots"]),
            good_till_ms=int(action["good_till_ms"]), trigger_ticks=int(action["trigger_ticks"]),
            is_waiting=bool(action["kind"] == TRIGGER),
        ))  # fmt: skip

    def note(self, command_id, height, time_ms, receipt):
        known = self.results.get(command_id)
        if receipt["code"] not in NEVER_SPENT and (known is None or 100 <= known[2][7] <= 299):
            self.results[command_id] = (height, time_ms, tuple(int(receipt[name]) for name in RECEIPT_NAMES))

    def trade(self, number, time_ms, fill):
        market, price_ticks, lots = (int(fill[name]) for name in ("market", "price_ticks", "size_lots"))
        names, clients = [], []
        for side in ("maker_order_id", "taker_order_id"):
            raw_id = int(fill[side])
            order = self.open.get(sequence_of(raw_id)) or self.closed.get(sequence_of(raw_id))
            names.append(order.order_id if order else raw_id)
            clients.append(order.client_id if order else 0)
            if order is not None and order.state == OrderState.OPEN:
                left = order.remaining_lots - lots
                unit = int(self.state.tables.markets[market]["quote_per_tick_lot"])
                self.put(replace(
                    order, remaining_lots=left, filled_value_quote=order.filled_value_quote + price_ticks * lots * unit,
                    state=OrderState.OPEN if left else OrderState.FILLED, updated_ms=time_ms,
                ))  # fmt: skip
        self.fills.append((number, time_ms, *names, *clients, tuple(int(fill[name]) for name in FILL_NAMES)))
        key = (market, time_ms // 60_000)
        volume, high, low, turnover = self.minutes.get(key, (0, 0, 1 << 62, 0))
        self.minutes[key] = (
            volume + lots, max(high, price_ticks), min(low, price_ticks), turnover + price_ticks * lots,
        )  # fmt: skip

    def compare(self, order, told, time_ms):
        resting = read_resting(self.state, order.order_id)
        if resting is not None:
            price_ticks, filled_lots, remaining_lots = resting
            seen = replace(
                order, price_ticks=price_ticks, size_lots=filled_lots + remaining_lots, remaining_lots=remaining_lots
            )
            if seen != order:
                self.put(replace(seen, updated_ms=time_ms))
            return
        # Told of nothing, it traded, and what is missing was cut from it before.
        filled_lots, is_filled = order.size_lots - order.remaining_lots, told in (OrderState.FILLED, None)
        if order.size_lots >= WHOLE_POSITION_LOTS or is_filled:
            order = replace(order, size_lots=filled_lots, remaining_lots=0)
        is_done = is_filled or (order.remaining_lots == 0 and filled_lots > 0)
        self.put(replace(order, state=OrderState.FILLED if is_done else OrderState.CANCELLED, updated_ms=time_ms))


def read_resting(state, order_id):
    """(price_ticks, filled_lots, remaining_lots) of an order on the book, hidden lots included; None without it."""
    book, row = state.tables.orderbook, order_id & ORDER_ROW_MASK
    if not row or row >= len(state.tables.details):
        return None
    order, detail = book.book[len(book.blocks) * LEVELS_PER_BLOCK + row], state.tables.details[row]
    if int(order["order_id"]) != order_id:
        return None
    remaining_lots = int(order["lots"]) + int(detail["hidden_lots"])
    return int(detail["price_ticks"]), int(detail["filled_lots"]), remaining_lots


def list_open(state):
    """All open orders and waiting triggers of a state that was loaded."""
    tables, book = state.tables, state.tables.orderbook
    for account in user_accounts(state):
        owner, subaccount = account_key(state, account)
        for row in views.list_orders(tables, account):
            detail = tables.details[row]
            order_id = int(book.book[len(book.blocks) * LEVELS_PER_BLOCK + row]["order_id"])
            price_ticks, filled_lots, remaining_lots = read_resting(state, order_id)
            unit = int(tables.markets[int(detail["market"])]["quote_per_tick_lot"])
            placed_ms = int(detail["placed_ms"])
            yield OrderView(
                order_id=order_id, client_id=int(detail["client_id"]), owner=owner, subaccount=subaccount,
                market=int(detail["market"]), side=int(detail["side"]), time_in_force=int(detail["time_in_force"]),
                state=OrderState.OPEN, price_ticks=price_ticks, size_lots=filled_lots + remaining_lots,
                remaining_lots=remaining_lots, filled_value_quote=filled_lots * price_ticks * unit,
                created_ms=placed_ms, updated_ms=placed_ms, flags=int(detail["flags"]),
                display_lots=int(detail["display_lots"]), good_till_ms=int(detail["good_till_ms"]),
            )  # fmt: skip
    for row in tables.triggers[: int(tables.counters[TRIGGERS_USED]) + 1]:
        if row["is_live"]:
            owner, subaccount = account_key(state, int(row["account"]))
            size_lots, placed_ms = int(row["size_lots"]) or WHOLE_POSITION_LOTS, int(row["placed_ms"])
            yield OrderView(
                order_id=int(row["order_id"]), client_id=int(row["client_id"]), owner=owner, subaccount=subaccount,
                market=int(row["market"]), side=int(row["side"]), time_in_force=int(row["time_in_force"]),
                state=OrderState.OPEN, price_ticks=int(row["price_ticks"]), size_lots=size_lots,
                remaining_lots=size_lots, filled_value_quote=0, created_ms=placed_ms, updated_ms=placed_ms,
                flags=int(row["flags"]), good_till_ms=int(row["good_till_ms"]),
                trigger_ticks=int(row["trigger_ticks"]), is_waiting=True,
            )  # fmt: skip
