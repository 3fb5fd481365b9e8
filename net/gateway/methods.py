"""The method table: every name the API answers, what it takes, what it means. docs/api.md is generated from it."""

from net.gateway import private_methods as private
from net.gateway import public_methods as public
from net.gateway.api import Method, Param

_INSTRUMENT = Param("instrument_name", "text", "such as `BTC-PERPETUAL`")
_COUNT = Param("count", "integer", "1 to 1000, default 10", False)
_ACCOUNT = (
    Param("owner", "address", "whose account"),
    Param("subaccount", "integer", "default 0", False),
)
_CURRENCY = Param("currency", "text", "accepted and not used: there is one currency, USDC", False)
_CHANNELS = Param("channels", "list of text", "names from the table of channels")
_COMMAND = Param("command", "hex", "a signed message with 1 to 128 actions: docs/protocol.md, section 5")
_SIGNED = (
    *_ACCOUNT,
    Param("nonce", "integer", "above every nonce used before, usually the time in microseconds"),
    Param("expiry_ms", "integer", "the command is valid in blocks up to this time"),
    Param("signature", "hex", "65 bytes `r ‖ s ‖ v` over the EIP-712 digest, see `public/x_get_domain`"),
    Param("x_wait", "text", "`final` (default): answer when nothing can undo it; `received`: at once", False),
    Param("x_timeout_s", "integer", "longest wait for `final`; afterwards the answer tells the status so far", False),
)
_ORDER = (
    _INSTRUMENT,
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
    *_SIGNED,
)
_NAMED = (
    Param("order_id", "text", "such as `BTC-PERPETUAL-17`", False),
    Param("instrument_name", "text", "with `label`", False), Param("label", "integer", "", False),
)  # fmt: skip
_USDC = (
    Param("amount", "decimal", "USDC, at most six decimals"), Param("currency", "text", "`USDC`", False),
)  # fmt: skip
_HEIGHT = Param("height", "integer", "default: the last finalised block", False)

_TABLE = (
    Method("public/test", public.test, "Answers. Also what a heartbeat's `test_request` wants to see."),
    Method("public/get_time", public.get_time, "The node's clock in milliseconds."),
    Method("public/status", public.status, "Height, peers, finality and other numbers of the node."),
    Method("public/get_currencies", public.get_currencies, "The one currency, USDC."),
    Method("public/get_instruments", public.get_instruments, "Every market.", (_CURRENCY,)),
    Method("public/get_instrument", public.get_instrument, "One market.", (_INSTRUMENT,),
           "instrument_name=BTC-PERPETUAL"),
    Method("public/get_order_book", public.get_order_book, "Levels of both sides, best first, with the ticker.",
           (_INSTRUMENT, Param("depth", "integer", "levels per side, 1 to 10000, default 5", False)),
           "instrument_name=BTC-PERPETUAL&depth=5"),
    Method("public/ticker", public.ticker, "Mark, index, last and best prices.", (_INSTRUMENT,),
           "instrument_name=BTC-PERPETUAL"),
    Method("public/get_last_trades_by_instrument", public.get_last_trades, "Newest trades first.",
           (_INSTRUMENT, _COUNT), "instrument_name=BTC-PERPETUAL&count=10"),
    Method("public/subscribe", public.subscribe, "WebSocket only. Answers with the channels now subscribed.",
           (_CHANNELS,)),
    Method("public/unsubscribe", public.unsubscribe, "WebSocket only. Answers with the channels that were subscribed.",
           (_CHANNELS,)),
    Method("public/unsubscribe_all", public.unsubscribe_all, "WebSocket only."),
    Method("public/set_heartbeat", public.set_heartbeat,
           "WebSocket only. A `test_request` every interval; the connection ends after an interval of silence.",
           (Param("interval", "integer", "seconds, at least 10"),)),
    Method("public/disable_heartbeat", public.disable_heartbeat, "WebSocket only."),
    Method("public/x_get_domain", public.get_domain, "What to sign with: EIP-712 domain and types, and every market."),
    Method("public/x_get_proof", public.get_proof, "Merkle-sum proof of an account against a certified header.",
           (*_ACCOUNT, _HEIGHT), "owner=0x…"),
    Method("public/x_get_withdrawal_proof", public.get_withdrawal_proof, "Merkle proof to claim a withdrawal on chain.",
           (Param("index", "integer", "the withdrawal's `index`"),
            Param("height", "integer", "of a checkpoint; default: the last one", False)), "index=0"),
    Method("public/x_get_withdrawals", public.get_withdrawals, "Withdrawals of an owner.", _ACCOUNT[:1], "owner=0x…"),
    Method("public/x_get_inbox", public.get_inbox,
           "Deposits and forced actions of an owner: which wait to be consumed, and what became of the others.",
           (*_ACCOUNT[:1], Param("count", "integer", "how many that were answered, 1 to 100, default 20", False)),
           "owner=0x…"),
    Method("public/x_get_certificate", public.get_certificate, "A finalised header and its certificate.", (_HEIGHT,)),
    Method("public/x_get_evidence", public.get_evidence, "Proven faults of committee members, for the court on chain."),
    Method("public/x_get_uptime", public.get_uptime,
           "How many of the last thousand finalisation certificates each validator signed."),
    Method("public/x_get_counters", public.get_counters,
           "Totals since the node started: processor time, actions by result code, blocks by time to finality and by "
           "its steps, frames by link. Read them twice to measure what is between."),
    Method("public/x_get_command_status", public.get_command_status, "How far a command has come.",
           (Param("command_id", "hex", "32 bytes: the EIP-712 digest, or the id of one of several actions"),),
           "command_id=0x…"),
    Method("public/x_decode_action", public.decode_action,
           "What a command says, its digest and who signed it. Nothing is executed.", (_COMMAND,), "command=0x…"),
    Method("public/x_submit", private.submit_raw,
           "Any signed message. With several actions the answer has one entry each in `x_actions`.",
           (_COMMAND, *_SIGNED[-2:])),
    Method("private/buy", private.buy, "Places a buy order. `x_status` tells how final the answer is.", _ORDER),
    Method("private/sell", private.sell, "Places a sell order.", _ORDER),
    Method("private/cancel", private.cancel, "Cancels one order, by `order_id` or by `instrument_name` and `label`.",
           (*_NAMED, *_SIGNED)),
    Method("private/edit", private.edit, "Changes total size and price of an open order, which keeps its id.",
           (*_NAMED, Param("amount", "decimal", "the new total size, what is filled included"),
            Param("price", "decimal", "as before without it", False), *_SIGNED)),
    Method("private/x_cancel_all_after", private.cancel_all_after,
           "Cancels all orders and triggers of the subaccount at a time, unless it is called again before.",
           (Param("x_deadline_ms", "integer", "at least a second ahead; 0 disarms"), *_SIGNED)),
    Method("private/submit_transfer_to_subaccount", private.transfer_to_subaccount,
           "Moves USDC to another subaccount of the owner, which is made if it is new.",
           (*_USDC, Param("destination", "integer", "number of the subaccount"), *_SIGNED)),
    Method("private/submit_transfer_to_user", private.transfer_to_user, "Moves USDC to another owner's account.",
           (*_USDC, Param("destination", "address", "whose account"),
            Param("x_destination_subaccount", "integer", "default 0", False), *_SIGNED)),
    Method("private/cancel_all", private.cancel_all, "Cancels every order of the subaccount.", _SIGNED),
    Method("private/cancel_all_by_instrument", private.cancel_all_by_instrument, "Cancels its orders in one market.",
           (_INSTRUMENT, *_SIGNED)),
    Method("private/withdraw", private.withdraw, "Starts a withdrawal to the owner's own address.",
           (*_USDC, *_SIGNED)),
    Method("private/x_withdraw", private.withdraw, "The same under a neutral name.",
           (Param("amount", "decimal", "USDC, at most six decimals"), *_SIGNED)),
    Method("private/get_open_orders", private.get_open_orders, "Open orders of a subaccount.", _ACCOUNT, "owner=0x…"),
    Method("private/get_open_orders_by_instrument", private.get_open_orders_by_instrument, "Those of one market.",
           (_INSTRUMENT, *_ACCOUNT), "instrument_name=BTC-PERPETUAL&owner=0x…"),
    Method("private/get_positions", private.get_positions, "Positions at mark.", (*_ACCOUNT, _CURRENCY), "owner=0x…"),
    Method("private/get_position", private.get_position, "One position, zero included.", (_INSTRUMENT, *_ACCOUNT),
           "instrument_name=BTC-PERPETUAL&owner=0x…"),
    Method("private/get_account_summary", private.get_account_summary, "Balance, equity, margins.",
           (*_ACCOUNT, _CURRENCY), "owner=0x…"),
    Method("private/get_user_trades_by_instrument", private.get_user_trades, "Own trades, newest first.",
           (_INSTRUMENT, *_ACCOUNT, _COUNT), "instrument_name=BTC-PERPETUAL&owner=0x…"),
    Method("private/get_order_state", private.get_order_state, "One order, open or lately gone.",
           (Param("order_id", "text", "such as `BTC-PERPETUAL-17`"),), "order_id=BTC-PERPETUAL-17"),
)  # fmt: skip

METHODS: dict[str, Method] = {method.name: method for method in _TABLE}

CHANNELS: tuple[tuple[str, str], ...] = (
    ("book.{instrument}.raw", "the whole book, then its changes after each block that changed it"),
    ("book.{instrument}.100ms", "the same, at most every 100 ms"),
    ("trades.{instrument}.raw", "the trades of each block"),
    ("ticker.{instrument}.raw", "the ticker after each block that changed it (`100ms`: at most every 100 ms)"),
    ("user.orders.{owner}", "orders of all subaccounts of an address that opened, changed or left the book"),
    ("user.trades.{owner}", "its trades"),
    ("x.blocks", "every finalised block: height, hash, state root"),
)
