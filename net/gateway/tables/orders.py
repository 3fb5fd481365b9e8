"""Orders: signed commands, and what became of them."""

from net.gateway import private_methods as private
from net.gateway.api import Method, Param
from net.gateway.shapes.orders import CancelCount, CancelledOrder, Certainty, Order, OrderAnswer, SubmitAnswer
from net.gateway.tables.terms import ACCOUNT, COMMAND, INSTRUMENT, SIGNED

_ORDER = (
    INSTRUMENT,
    Param("amount", "decimal", "a multiple of `min_trade_amount`; a reduce-only trigger may leave it out: all", False),
    Param("price", "decimal", "a multiple of `tick_size`; not for market orders", False),
    Param(
        "type", "text", "`limit` (default), `market`, `stop_limit`, `stop_market`, `take_limit`, `take_market`", False
    ),
    Param(
        "time_in_force",
        "text",
        "`good_til_cancelled` (default), `immediate_or_cancel`, `fill_or_kill`, `x_good_til_time`",
        False,
    ),
    Param("x_good_till_ms", "integer", "with `x_good_til_time`: when the order ends", False),
    Param("post_only", "true or false", "never takes: refused if it would trade", False),
    Param("reject_post_only", "true or false", "default true; false moves the price off the other side instead", False),
    Param("reduce_only", "true or false", "only ever closes a position", False),
    Param("mmp", "true or false", "under market-maker protection", False),
    Param("display_amount", "decimal", "what of the order is shown at a time", False),
    Param("trigger_price", "decimal", "of `stop_` and `take_` orders", False),
    Param("trigger", "text", "`mark_price` (default) or `last_price`", False),
    Param("x_link", "integer", "of a trigger: what it is linked with (docs/spec.md, ORD-9)", False),
    Param("x_self_trade", "text", "`cancel_maker` (default), `cancel_taker`, `cancel_both`, `decrement`", False),
    Param("label", "integer", "your own number for the order, signed as `clientId`", False),
    *SIGNED,
)
_NAMED = (
    Param("order_id", "text", "such as `BTC-PERPETUAL-17`", False),
    Param("instrument_name", "text", "with `label`", False), Param("label", "integer", "", False),
)  # fmt: skip

ORDER_ROWS = (
    Method("public/x_submit", private.submit_raw,
           "Any signed message. With several actions the answer has one entry each in `x_actions`.",
           (COMMAND, *SIGNED[-2:]), result=SubmitAnswer),
    Method("private/buy", private.buy, "Places a buy order. `x_status` tells how final the answer is.", _ORDER,
           result=OrderAnswer),
    Method("private/sell", private.sell, "Places a sell order.", _ORDER, result=OrderAnswer),
    Method("private/cancel", private.cancel, "Cancels one order, by `order_id` or by `instrument_name` and `label`.",
           (*_NAMED, *SIGNED), result=CancelledOrder | CancelCount),
    Method("private/edit", private.edit, "Changes total size and price of an open order, which keeps its id.",
           (*_NAMED, Param("amount", "decimal", "the new total size, what is filled included"),
            Param("price", "decimal", "as before without it", False), *SIGNED), result=OrderAnswer),
    Method("private/x_cancel_all_after", private.cancel_all_after,
           "Cancels all orders and triggers of the subaccount at a time, unless it is called again before.",
           (Param("x_deadline_ms", "integer", "at least a second ahead; 0 disarms"), *SIGNED), result=Certainty),
    Method("private/cancel_all", private.cancel_all, "Cancels every order of the subaccount.", SIGNED,
           result=CancelCount),
    Method("private/cancel_all_by_instrument", private.cancel_all_by_instrument, "Cancels its orders in one market.",
           (INSTRUMENT, *SIGNED), result=CancelCount),
    Method("private/get_open_orders", private.get_open_orders, "Open orders of a subaccount.", ACCOUNT, "owner=0x…",
           result=list[Order]),
    Method("private/get_open_orders_by_instrument", private.get_open_orders_by_instrument, "Those of one market.",
           (INSTRUMENT, *ACCOUNT), "instrument_name=BTC-PERPETUAL&owner=0x…", result=list[Order]),
    Method("private/get_order_state", private.get_order_state, "One order, open or lately gone.",
           (Param("order_id", "text", "such as `BTC-PERPETUAL-17`"),), "order_id=BTC-PERPETUAL-17", result=Order),
)  # fmt: skip
