"""Orders: signed commands, and what became of them."""

from net.gateway import order_reads as reads
from net.gateway.api import Method, Param
from net.gateway.shapes.account import UserTrade, UserTrades
from net.gateway.shapes.orders import (
    AcceptedOffer,
    CancelCount,
    CancelledOrder,
    CancelSummary,
    Certainty,
    ComboAnswer,
    LinkedAnswer,
    OfferAnswer,
    Order,
    OrderAnswer,
    QuoteAnswer,
    SubmitAnswer,
)
from net.gateway.tables.terms import ACCOUNT, COMMAND, COUNT, CURRENCY, INSTRUMENT, SIGNED
from net.gateway.writes import submit_raw, write

_AMOUNT = Param("amount", "decimal", "a multiple of `min_trade_amount`")
_PRICE = Param("price", "decimal", "a multiple of `tick_size`; not for market orders", False)
_LABEL = Param("label", "integer", "your own number for the order, signed as `clientId`", False)
_ORDER = (
    INSTRUMENT,
    Param("amount", "decimal", "a multiple of `min_trade_amount`; a reduce-only trigger may leave it out: all", False),
    _PRICE,
    Param(
        "type", "text", "`limit` (default), `market`, `stop_limit`, `stop_market`, `take_limit`, `take_market`", False
    ),
    Param(
        "time_in_force", "text",
        "`good_til_cancelled` (default), `good_til_day`, `immediate_or_cancel`, `fill_or_kill`, `x_good_til_time`",
        False,
    ),
    Param("x_good_till_ms", "integer",
          "when the order ends: with `good_til_day` the next 08:00 UTC, with `x_good_til_time` any time", False),
    Param("post_only", "true or false", "never takes: refused if it would trade", False),
    Param("reject_post_only", "true or false", "default true; false moves the price off the other side instead", False),
    Param("reduce_only", "true or false", "only ever closes a position", False),
    Param("mmp", "true or false", "under market-maker protection", False),
    Param("display_amount", "decimal", "what of the order is shown at a time", False),
    Param("max_show", "decimal", "the same under its older name", False),
    Param("trigger_price", "decimal", "of `stop_` and `take_` orders", False),
    Param("trigger", "text", "`mark_price` (default) or `last_price`", False),
    Param("x_link", "integer", "of a trigger: what it is linked with (docs/spec.md, ORD-9)", False),
    Param("x_self_trade", "text", "`cancel_maker` (default), `cancel_taker`, `cancel_both`, `decrement`", False),
    Param("x_builder", "integer", "`account << 16 | fee`: who takes how much of it (docs/spec.md, FEE-3)", False),
    _LABEL,
    Param("linked_order_type", "text",
          "`one_triggers_other`: a limit order and a stop or take that waits for its first fill; "
          "`one_cancels_other`: two stop or take orders; `one_triggers_one_cancels_other`: a limit order and two",
          False),
    Param("trigger_fill_condition", "text", "`first_hit` (default)", False),
    Param("otoco_config", "list of objects",
          "the linked orders, of the same instrument: `direction` and the parameters of an order", False),
    *SIGNED,
)  # fmt: skip
_NAMED = (
    Param("order_id", "text", "such as `BTC-PERPETUAL-17`", False),
    Param("instrument_name", "text", "with `label`", False), Param("label", "integer", "", False),
)  # fmt: skip
_BY_LABEL = (INSTRUMENT, Param("label", "integer", "the number that the order carries"))
_SCOPE = (
    Param("currency", "text", "`any` or `USDC` (default): all; the name of an underlying: its markets", False),
    Param("kind", "text", "`any` (default), `future`, `option`, `spot`", False),
    Param("type", "text", "`all`", False),
)
_NEW_TERMS = (
    Param("amount", "decimal", "the new total size, what is filled included"),
    Param("price", "decimal", "as before without it", False),
)

_FILTER = (
    Param("kind", "text", "`any` (default), `future`, `option`, `spot`", False),
    Param("type", "text", "`all` (default), `limit`, `trigger_all`, `stop_all`, `take_all`, or a type", False),
    Param("label", "integer", "only the one that carries it", False),
)
_SORTING = Param("sorting", "text", "`desc` (default), `asc`", False)
_HISTORY = (
    _FILTER[0], Param("count", "integer", "1 to 1000, default 20", False),
    Param("offset", "integer", "how many to leave out, at most 10000", False),
    Param("include_unfilled", "true or false", "also those without a trade; default false", False),
)  # fmt: skip
_TRADES = (
    _FILTER[0], COUNT, Param("start_timestamp", "integer", "the earliest that counts", False),
    Param("end_timestamp", "integer", "the last that counts", False), _SORTING,
)  # fmt: skip

ORDER_ROWS = (
    Method("public/x_submit", submit_raw,
           "Any signed message. With several actions the answer has one entry each in `x_actions`.",
           (COMMAND, *SIGNED[-2:]), result=SubmitAnswer),
    Method("private/buy", write, "Places a buy order. `x_status` tells how final the answer is.", _ORDER,
           result=LinkedAnswer | OrderAnswer),
    Method("private/sell", write, "Places a sell order.", _ORDER, result=LinkedAnswer | OrderAnswer),
    Method("private/close_position", write,
           "A reduce-only order on the side that closes, of the largest size: the engine cuts it to the position.",
           (INSTRUMENT, Param("type", "text", "`limit` or `market`"), _PRICE,
            Param("x_direction", "text", "`sell` closes a long position, `buy` a short one"), _LABEL, *SIGNED),
           result=OrderAnswer),
    Method("private/edit", write, "Changes total size and price of an open order, which keeps its id.",
           (*_NAMED, *_NEW_TERMS, *SIGNED), result=OrderAnswer),
    Method("private/edit_by_label", write, "The same by label.", (*_BY_LABEL, *_NEW_TERMS, *SIGNED),
           result=OrderAnswer),
    Method("private/cancel", write,
           "Cancels one order, trigger or offer, by `order_id` or by `instrument_name` and `label`.",
           (*_NAMED, *SIGNED), result=CancelledOrder | CancelCount),
    Method("private/cancel_by_label", write, "Cancels the open order that carries a label.",
           (*_BY_LABEL, *SIGNED), result=CancelledOrder | CancelCount),
    Method("private/cancel_all", write, "Cancels every order, trigger and offer of the subaccount.", SIGNED,
           result=CancelCount),
    Method("private/cancel_all_by_instrument", write, "Those in one market.", (INSTRUMENT, *SIGNED),
           result=CancelCount),
    Method("private/cancel_all_by_currency", write, "Those in the markets of a currency, or of a kind.",
           (*_SCOPE, *SIGNED), result=CancelSummary),
    Method("private/cancel_all_by_kind_or_type", write, "Those in the markets of a kind, or of a currency.",
           (*_SCOPE, *SIGNED), result=CancelSummary),
    Method("private/mass_quote", write,
           "Up to 128 quotes and cancels of earlier ones under one signature; refused ones leave the others alone.",
           (Param("quotes", "list of objects",
                  "`instrument_name`, and in `bid` and `ask` the `price`, `amount` and other terms of a limit order; "
                  "`x_replaces_order_id` or `x_replaces_label` names the quote that it takes the place of"),
            Param("mmp_group", "text", "accepted and not used: an account has one protection", False),
            Param("quote_id", "text", "accepted and not used: see `label`", False),
            Param("detailed", "true or false", "accepted and not used: `x_actions` has it all", False),
            *SIGNED), result=QuoteAnswer),
    Method("private/cancel_quotes", write,
           "Cancels everything, quotes and other orders alike, of the account or of a market, or the orders named.",
           (Param("cancel_type", "text", "`all`, `instrument`, `x_orders`"),
            Param("instrument_name", "text", "with `instrument`", False),
            Param("x_orders", "list of text", "order ids, with `x_orders`", False), *SIGNED), result=CancelSummary),
    Method("private/x_cancel_all_after", write,
           "Cancels all orders and triggers of the subaccount at a time, unless it is called again before.",
           (Param("x_deadline_ms", "integer", "at least a second ahead; 0 disarms"), *SIGNED), result=Certainty),
    Method("private/enable_cancel_on_disconnect", write,
           "The same: a node's connection decides nothing, so what cancels is a time that the exchange itself keeps. "
           "Send it again, with a later time, as long as you are there.",
           (Param("x_deadline_ms", "integer", "at least a second ahead"), Param("scope", "text", "not used", False),
            *SIGNED), result=Certainty),
    Method("private/disable_cancel_on_disconnect", write, "Disarms it.",
           (Param("scope", "text", "not used", False), *SIGNED), result=Certainty),
    Method("private/x_place_combo", write,
           "Two to four orders in different markets that execute together, as fill or kill, or not at all.",
           (Param("legs", "list of objects",
                  "`instrument_name`, `direction` and the parameters of an immediate or fill-or-kill order"),
            Param("x_net_cost_max", "decimal", "USDC: cost of what is bought less what is sold for; may be below zero"),
            Param("x_good_till_ms", "integer", "valid in blocks before that time", False), *SIGNED),
           result=ComboAnswer),
    Method("private/x_make_offer", write,
           "Offers a block trade off the book to one account or to all (docs/spec.md, ORD-11).",
           (INSTRUMENT, Param("direction", "text", "`buy` or `sell`: your side"), _AMOUNT,
            Param("price", "decimal", "a multiple of `tick_size`"),
            Param("x_good_till_ms", "integer", "when it ends"),
            Param("x_counterparty", "integer", "`x_account_index` of who may accept; without it everybody", False),
            _LABEL, *SIGNED), result=OfferAnswer),
    Method("private/x_accept_offer", write, "Trades all of an offer with whoever made it.",
           (Param("offer_id", "text", "such as `BTC-PERPETUAL-17`"),
            Param("direction", "text", "your side: not the offer's"), *SIGNED), result=AcceptedOffer),
    Method("private/get_open_orders", reads.get_open_orders, "Open orders of a subaccount.",
           (*ACCOUNT, *_FILTER), "owner=0x…", result=list[Order]),
    Method("private/get_open_orders_by_currency", reads.get_open_orders, "The same.",
           (*ACCOUNT, CURRENCY, *_FILTER), "owner=0x…&currency=USDC", result=list[Order]),
    Method("private/get_open_orders_by_instrument", reads.get_open_orders, "Those of one market.",
           (INSTRUMENT, *ACCOUNT, *_FILTER[1:]), "instrument_name=BTC-PERPETUAL&owner=0x…", result=list[Order]),
    Method("private/get_open_orders_by_label", reads.get_open_orders, "The one with a label.",
           (Param("label", "integer", "the number that the order carries"), *ACCOUNT, CURRENCY), "owner=0x…&label=5",
           result=list[Order]),
    Method("private/get_order_state", reads.get_order_state, "One order, open or lately gone.",
           (Param("order_id", "text", "such as `BTC-PERPETUAL-17`"),), "order_id=BTC-PERPETUAL-17", result=Order),
    Method("private/get_order_state_by_label", reads.get_order_state_by_label,
           "Orders that carry a label, the open one first.",
           (Param("label", "integer", "the number"), *ACCOUNT, CURRENCY), "owner=0x…&label=5", result=list[Order]),
    Method("private/get_order_history_by_currency", reads.get_order_history,
           "Orders that left the book, newest first: of those that traded the account's last 20,000, of others those "
           "among the last 20,000 of the exchange since the node started.",
           (*ACCOUNT, CURRENCY, *_HISTORY), "owner=0x…&currency=USDC&include_unfilled=true", result=list[Order]),
    Method("private/get_order_history_by_instrument", reads.get_order_history, "Those of one market.",
           (INSTRUMENT, *ACCOUNT, *_HISTORY[1:]), "instrument_name=BTC-PERPETUAL&owner=0x…", result=list[Order]),
    Method("private/get_user_trades_by_currency", reads.get_user_trades, "Own trades, newest first.",
           (*ACCOUNT, CURRENCY, *_TRADES), "owner=0x…&currency=USDC", result=UserTrades),
    Method("private/get_user_trades_by_currency_and_time", reads.get_user_trades, "Those of a span of time.",
           (*ACCOUNT, CURRENCY, *_TRADES), "owner=0x…&start_timestamp=0&end_timestamp=2000000000000",
           result=UserTrades),
    Method("private/get_user_trades_by_instrument", reads.get_user_trades, "Those of one market.",
           (INSTRUMENT, *ACCOUNT, *_TRADES[1:]), "instrument_name=BTC-PERPETUAL&owner=0x…", result=UserTrades),
    Method("private/get_user_trades_by_instrument_and_time", reads.get_user_trades, "Those of a span of time.",
           (INSTRUMENT, *ACCOUNT, *_TRADES[1:]), "instrument_name=BTC-PERPETUAL&owner=0x…&start_timestamp=0",
           result=UserTrades),
    Method("private/get_user_trades_by_order", reads.get_user_trades_by_order, "Those of one order.",
           (Param("order_id", "text", "such as `BTC-PERPETUAL-17`"), *ACCOUNT, _SORTING),
           "order_id=BTC-PERPETUAL-17&owner=0x…", result=list[UserTrade]),
)  # fmt: skip
