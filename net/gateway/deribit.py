"""Every method and channel of Deribit's public API reference, and what a node does with it. docs/deribit.md is made
from here and from the method table: what is served is read there, so that this page cannot promise more.

The names are those of Deribit's OpenAPI and AsyncAPI descriptions (version 2.1.1 of November 2025, and what its
changelog added by March 2026), and those that ccxt 4.5.90 still knows. A name under `ABSENT` has the reason why.
"""

import re

from net.gateway.methods import METHODS
from net.gateway.tables.channels import CHANNELS

_KEYS = "a node knows no API keys, passwords or logins: keys of an account are session keys with scopes "
_KEYS += "(`private/x_register_session_key`), and `hansa gateway` makes key pairs for clients on your own machine"
_TOKENS = "a node has no sessions with tokens; `hansa gateway` logs clients in"
_PEOPLE = "a node keeps no names, mail addresses, languages or notifications of people"
_NOBODY = "there is no operator who could offer it"
_RFQ = "offers are made to a named account, or to anybody, and are signed: `private/x_make_offer`, "
_RFQ += "`private/x_accept_offer`; there is no auction of quotes"
_BLOCK = "a block trade is an offer that the other side accepts: `private/x_make_offer`, `private/x_accept_offer`"
_BROKER = "there are no brokers who trade for others; a session key may"
_COMBO = "combinations have no book of their own: `private/x_place_combo` places all legs or none"
_ADDRESS = "a withdrawal goes to the owner's own address and nowhere else, so there is no address book"
_FINAL = "nothing waits for approval: a transfer or withdrawal is final with its block, in under a second"
_YIELD = "there are no tokens that pay interest"
_GONE = "Deribit has withdrawn it"

SECTIONS: dict[str, tuple[str, ...]] = {
    "Authentication": (
        "public/auth", "public/exchange_token", "public/fork_token", "private/logout", "private/get_jwt",
    ),
    "Session": (
        "public/set_heartbeat", "public/disable_heartbeat", "private/enable_cancel_on_disconnect",
        "private/disable_cancel_on_disconnect", "private/get_cancel_on_disconnect",
    ),
    "Subscriptions": (
        "public/subscribe", "public/unsubscribe", "public/unsubscribe_all", "private/subscribe",
        "private/unsubscribe", "private/unsubscribe_all",
    ),
    "Supporting": ("public/hello", "public/status", "public/test", "public/get_time"),
    "Market data": (
        "public/get_apr_history", "public/get_book_summary_by_currency", "public/get_book_summary_by_instrument",
        "public/get_contract_size", "public/get_currencies", "public/get_delivery_prices", "public/get_expirations",
        "public/get_funding_chart_data", "public/get_funding_rate_history", "public/get_funding_rate_value",
        "public/get_historical_volatility", "public/get_index", "public/get_index_chart_data",
        "public/get_index_price", "public/get_index_price_names", "public/get_instrument", "public/get_instruments",
        "public/get_last_settlements_by_currency", "public/get_last_settlements_by_instrument",
        "public/get_last_trades_by_currency", "public/get_last_trades_by_currency_and_time",
        "public/get_last_trades_by_instrument", "public/get_last_trades_by_instrument_and_time",
        "public/get_mark_price_history", "public/get_order_book", "public/get_order_book_by_instrument_id",
        "public/get_supported_index_names", "public/get_trade_volumes", "public/get_tradingview_chart_data",
        "public/get_volatility_index_data", "public/ticker",
    ),
    "Trading": (
        "private/buy", "private/sell", "private/edit", "private/edit_by_label", "private/cancel",
        "private/cancel_all", "private/cancel_all_by_currency", "private/cancel_all_by_currency_pair",
        "private/cancel_all_by_instrument", "private/cancel_all_by_kind_or_type", "private/cancel_by_label",
        "private/cancel_quotes", "private/close_position", "private/get_margins", "private/get_mmp_config",
        "private/get_mmp_status", "private/get_open_orders", "private/get_open_orders_by_currency",
        "private/get_open_orders_by_instrument", "private/get_open_orders_by_label",
        "private/get_order_history_by_currency", "private/get_order_history_by_instrument",
        "private/get_order_margin_by_ids", "private/get_order_state", "private/get_order_state_by_label",
        "private/get_settlement_history_by_currency", "private/get_settlement_history_by_instrument",
        "private/get_stop_order_history", "private/get_trigger_order_history",
        "private/get_user_trades_by_currency", "private/get_user_trades_by_currency_and_time",
        "private/get_user_trades_by_instrument", "private/get_user_trades_by_instrument_and_time",
        "private/get_user_trades_by_order", "private/mass_quote", "private/move_positions", "private/reset_mmp",
        "private/set_mmp_config",
    ),
    "Account": (
        "private/change_api_key_name", "private/change_margin_model", "private/change_scope_in_api_key",
        "private/change_subaccount_name", "private/create_api_key", "private/create_subaccount",
        "private/disable_api_key", "private/disable_tfa_for_subaccount", "private/edit_api_key",
        "private/enable_affiliate_program", "private/enable_api_key", "private/get_access_log",
        "private/get_account_summaries", "private/get_account_summary", "private/get_affiliate_program_info",
        "private/get_currencies", "private/get_email_language", "private/get_new_announcements",
        "private/get_portfolio_margins", "private/get_position", "private/get_positions",
        "private/get_subaccounts", "private/get_subaccounts_details", "private/get_transaction_log",
        "private/get_user_locks", "private/list_api_keys", "private/list_custody_accounts", "private/pme/simulate",
        "private/remove_api_key", "private/remove_subaccount", "private/reset_api_key",
        "private/set_announcement_as_read", "private/set_api_key_as_default",
        "private/set_disabled_trading_products", "private/set_email_for_subaccount", "private/set_email_language",
        "private/set_password_for_subaccount", "private/set_self_trading_config", "private/simulate_portfolio",
        "private/toggle_notifications_from_subaccount", "private/toggle_subaccount_login",
        "public/get_announcements",
    ),
    "Wallet": (
        "private/add_to_address_book", "private/cancel_transfer_by_id", "private/cancel_withdrawal",
        "private/create_deposit_address", "private/delete_address_beneficiary", "private/get_address_beneficiary",
        "private/get_address_book", "private/get_current_deposit_address", "private/get_deposits",
        "private/get_reward_eligibility", "private/get_transfers", "private/get_withdrawals",
        "private/list_address_beneficiaries", "private/remove_from_address_book",
        "private/save_address_beneficiary", "private/set_clearance_originator",
        "private/submit_transfer_between_subaccounts", "private/submit_transfer_to_subaccount",
        "private/submit_transfer_to_user", "private/update_in_address_book", "private/withdraw",
    ),
    "Combinations": (
        "public/get_combo_details", "public/get_combo_ids", "public/get_combos", "private/create_combo",
        "private/get_leg_prices",
    ),
    "Block trades": (
        "private/approve_block_trade", "private/execute_block_trade", "private/get_block_trade",
        "private/get_block_trade_requests", "private/get_block_trades", "private/get_broker_trade_requests",
        "private/get_broker_trades", "private/get_last_block_trades_by_currency",
        "private/get_pending_block_trades", "private/invalidate_block_trade_signature",
        "private/reject_block_trade", "private/simulate_block_trade", "private/verify_block_trade",
    ),
    "Block RFQ": (
        "public/get_block_rfq_trades", "private/accept_block_rfq", "private/add_block_rfq_quote",
        "private/cancel_all_block_rfq_quotes", "private/cancel_block_rfq", "private/cancel_block_rfq_quote",
        "private/cancel_block_rfq_trigger", "private/create_block_rfq", "private/edit_block_rfq_quote",
        "private/get_block_rfq_makers", "private/get_block_rfq_quotes", "private/get_block_rfq_user_info",
        "private/get_block_rfqs", "private/trade_block_rfq",
    ),
}  # fmt: skip

# How a served method differs, beyond what is said of all of them.
DIFFERENT: dict[str, str] = {
    "public/auth": "`grant_type` `x_owner` names the account that the connection reads; keys and secrets belong into "
    "`hansa gateway`, which takes Deribit's grants",
    "public/get_time": "the node's clock",
    "public/status": "also height, peers, finality and the settlement chain",
    "public/get_currencies": "USDC is the only money; others are listed for the markets on them",
    "public/get_instruments": "markets are linear and settle in USDC",
    "public/get_order_book": "`change_id` is the height of the block; any depth up to 10000",
    "public/get_order_book_by_instrument_id": "as `public/get_order_book`",
    "public/ticker": "prices are decimal text; options show what the committee's surface and the best prices imply",
    "public/get_combos": "always empty: combinations have no book of their own",
    "public/get_funding_chart_data": "hourly, as funding is paid",
    "public/get_funding_rate_history": "hourly, as funding is paid, at most the newest 1000",
    "public/get_historical_volatility": "of the hourly moves of the index over 24 hours, from what the node has seen",
    "public/get_index_chart_data": "once a minute, at most a month back",
    "public/get_last_settlements_by_currency": "ends of markets only: nothing else is ever settled",
    "public/get_last_settlements_by_instrument": "as `public/get_last_settlements_by_currency`",
    "public/get_last_trades_by_currency": "`trade_seq` is unique but has gaps; no mark or tick beside it",
    "public/get_last_trades_by_currency_and_time": "as `public/get_last_trades_by_currency`",
    "public/get_last_trades_by_instrument": "as `public/get_last_trades_by_currency`",
    "public/get_last_trades_by_instrument_and_time": "as `public/get_last_trades_by_currency`",
    "public/get_mark_price_history": "once a minute, 32 days back",
    "public/get_contract_size": "always 1 unit of the base",
    "public/get_trade_volumes": "24 hours only",
    "public/set_heartbeat": "a connection that stays silent for a whole interval after a `test_request` is closed",
    "public/subscribe": "channels of an account name its owner, or that of `public/auth`",
    "private/enable_cancel_on_disconnect": "a signed deadline, which works even when the node is gone: renew it",
    "private/disable_cancel_on_disconnect": "takes the signed deadline away",
    "private/buy": "`label` is the signed number `clientId`; through `hansa gateway` it is text",
    "private/sell": "as `private/buy`",
    "private/edit": "the order keeps its id, and its place in the queue only if just its size shrinks",
    "private/withdraw": "to the owner's own address, claimed on chain with a proof",
    "private/mass_quote": "one signature for all quotes",
    "private/close_position": "signs the reduce-only order that closes it",
    "private/submit_transfer_to_user": "to an owner's address",
    "private/submit_transfer_to_subaccount": "a subaccount is a number, and is made by the first transfer to it",
    "private/get_position": "zero included",
    "private/change_margin_model": "signed, per subaccount",
    "private/logout": "the connection means no account any more, and stays open",
    "private/edit_by_label": "with `instrument_name`; `label` is a number",
    "private/cancel_by_label": "with `instrument_name`; the answer is an object with `cancelled`",
    "private/cancel_all": "the answer is an object with `cancelled`, and how final it is",
    "private/cancel_all_by_instrument": "as `private/cancel_all`; orders of every type",
    "private/cancel_all_by_currency": "as `private/cancel_all`; `currency` may name an underlying",
    "private/cancel_all_by_kind_or_type": "as `private/cancel_all`; `type` is `all`",
    "private/cancel_quotes": "all orders of the account or a market, or those that are named: quotes are orders",
    "private/set_mmp_config": "one protection for all markets of an account, its limits in USDC",
    "private/reset_mmp": "the same message as `private/set_mmp_config`: setting it ends a freeze",
    "private/get_mmp_config": "limits in USDC", "private/get_mmp_status": "also what the window has used",
    "private/get_cancel_on_disconnect": "the signed deadline",
    "private/get_order_state_by_label": "open orders first, then those that left lately",
    "private/get_order_history_by_currency": "without a trade only those that left lately",
    "private/get_order_history_by_instrument": "as by currency",
    "private/simulate_portfolio": "by the engine's own functions, with its scenarios; prices can be moved, too",
    "private/get_transaction_log": "`change` of a linear trade is its fee; balances after entries are not kept",
    "private/get_settlement_history_by_currency": "hourly funding, and deliveries",
    "private/get_settlement_history_by_instrument": "as by currency",
    "private/get_current_deposit_address": "the settlement contract, for everybody",
}  # fmt: skip

ABSENT: dict[str, str] = { "public/exchange_token": _TOKENS, "public/fork_token": _TOKENS, "private/get_jwt": _TOKENS,
    "public/get_apr_history": _YIELD,
    "public/get_volatility_index_data": "there is no index of volatility; the surface itself is served",
    "private/cancel_all_by_currency_pair": "by instrument, by kind, or all",
    "private/get_order_margin_by_ids": "an order's margin depends on all others: `private/get_account_summary`",
    "private/get_stop_order_history": f"{_GONE}: triggers are orders and stand in the order history",
    "private/get_trigger_order_history": "triggers are orders and stand in the order history",
    "private/move_positions": "positions move by trades: an offer to oneself at a price that both sides sign",
    "private/change_api_key_name": _KEYS, "private/change_scope_in_api_key": _KEYS, "private/create_api_key": _KEYS,
    "private/disable_api_key": _KEYS, "private/edit_api_key": _KEYS, "private/enable_api_key": _KEYS,
    "private/list_api_keys": _KEYS, "private/remove_api_key": _KEYS, "private/reset_api_key": _KEYS,
    "private/set_api_key_as_default": _KEYS, "private/disable_tfa_for_subaccount": _KEYS,
    "private/set_password_for_subaccount": _KEYS, "private/toggle_subaccount_login": _KEYS,
    "private/get_access_log": "whoever asks is not recorded",
    "private/change_subaccount_name": "a subaccount is a number", "private/create_subaccount":
    "the first transfer or deposit to its number makes it", "private/remove_subaccount": "an empty one costs nothing",
    "private/get_subaccounts_details": "read each subaccount; reads need no login",
    "private/enable_affiliate_program": "`private/x_set_referrer`, signed by who was referred",
    "private/get_affiliate_program_info": "fees to referrers are part of the account's state",
    "private/get_currencies": f"{_GONE}: `public/get_currencies`",
    "private/get_email_language": _PEOPLE, "private/set_email_language": _PEOPLE,
    "private/set_email_for_subaccount": _PEOPLE, "private/toggle_notifications_from_subaccount": _PEOPLE,
    "private/get_new_announcements": _PEOPLE, "private/set_announcement_as_read": _PEOPLE,
    "public/get_announcements": "nobody announces; what governance changes is in blocks and on chain",
    "private/get_portfolio_margins": f"{_GONE}: `private/simulate_portfolio`",
    "private/pme/simulate": "`private/simulate_portfolio`",
    "private/get_user_locks": "nobody can lock an account", "private/list_custody_accounts": _NOBODY,
    "private/set_disabled_trading_products": "a session key's scopes say what it may trade",
    "private/set_self_trading_config": "each order says it: `x_self_trade`",
    "private/add_to_address_book": _ADDRESS, "private/update_in_address_book": _ADDRESS,
    "private/remove_from_address_book": _ADDRESS, "private/get_address_book": _ADDRESS,
    "private/save_address_beneficiary": _ADDRESS, "private/delete_address_beneficiary": _ADDRESS,
    "private/get_address_beneficiary": _ADDRESS, "private/list_address_beneficiaries": _ADDRESS,
    "private/set_clearance_originator": _ADDRESS, "private/create_deposit_address":
    "deposits go to the settlement contract, which names the owner: `public/x_get_domain`",
    "private/cancel_transfer_by_id": _FINAL, "private/cancel_withdrawal": _FINAL,
    "private/get_reward_eligibility": _YIELD,
    "private/submit_transfer_between_subaccounts": "the sending subaccount signs `submit_transfer_to_subaccount`",
    "public/get_combo_details": _COMBO, "public/get_combo_ids": _COMBO,
    "private/create_combo": _COMBO, "private/get_leg_prices": _COMBO,
    "private/approve_block_trade": _BLOCK, "private/execute_block_trade": _BLOCK, "private/get_block_trade": _BLOCK,
    "private/get_block_trade_requests": _BLOCK, "private/get_block_trades": _BLOCK,
    "private/get_last_block_trades_by_currency": f"{_GONE}: {_BLOCK}", "private/get_pending_block_trades": _BLOCK,
    "private/invalidate_block_trade_signature": _BLOCK, "private/reject_block_trade": _BLOCK,
    "private/simulate_block_trade": _BLOCK, "private/verify_block_trade": _BLOCK,
    "private/get_broker_trade_requests": _BROKER, "private/get_broker_trades": _BROKER,
    "public/get_block_rfq_trades": _RFQ, "private/accept_block_rfq": _RFQ, "private/add_block_rfq_quote": _RFQ,
    "private/cancel_all_block_rfq_quotes": _RFQ, "private/cancel_block_rfq": _RFQ,
    "private/cancel_block_rfq_quote": _RFQ, "private/cancel_block_rfq_trigger": _RFQ, "private/create_block_rfq": _RFQ,
    "private/edit_block_rfq_quote": _RFQ, "private/get_block_rfq_makers": _RFQ, "private/get_block_rfq_quotes": _RFQ,
    "private/get_block_rfq_user_info": _RFQ, "private/get_block_rfqs": _RFQ, "private/trade_block_rfq": _RFQ,
}  # fmt: skip

# Deribit's channels, each with an example of a name.
DERIBIT_CHANNELS: dict[str, str] = {
    "announcements": "announcements",
    "block_rfq.maker.{currency}": "block_rfq.maker.BTC",
    "block_rfq.maker.quotes.{currency}": "block_rfq.maker.quotes.BTC",
    "block_rfq.taker.{currency}": "block_rfq.taker.BTC",
    "block_rfq.trades.{currency}": "block_rfq.trades.BTC",
    "block_trade_confirmations": "block_trade_confirmations",
    "block_trade_confirmations.{currency}": "block_trade_confirmations.BTC",
    "book.{instrument_name}.{interval}": "book.BTC-PERPETUAL.100ms",
    "book.{instrument_name}.{group}.{depth}.{interval}": "book.BTC-PERPETUAL.none.10.100ms",
    "chart.trades.{instrument_name}.{resolution}": "chart.trades.BTC-PERPETUAL.1",
    "deribit_price_index.{index_name}": "deribit_price_index.btc_usdc",
    "deribit_price_ranking.{index_name}": "deribit_price_ranking.btc_usdc",
    "deribit_price_statistics.{index_name}": "deribit_price_statistics.btc_usdc",
    "deribit_volatility_index.{index_name}": "deribit_volatility_index.btc_usdc",
    "estimated_expiration_price.{index_name}": "estimated_expiration_price.btc_usdc",
    "incremental_ticker.{instrument_name}": "incremental_ticker.BTC-PERPETUAL",
    "instrument.state.{kind}.{currency}": "instrument.state.any.any",
    "markprice.options.{index_name}": "markprice.options.btc_usdc",
    "perpetual.{instrument_name}.{interval}": "perpetual.BTC-PERPETUAL.100ms",
    "platform_state": "platform_state",
    "platform_state.public_methods_state": "platform_state.public_methods_state",
    "quote.{instrument_name}": "quote.BTC-PERPETUAL",
    "ticker.{instrument_name}.{interval}": "ticker.BTC-PERPETUAL.100ms",
    "trades.{instrument_name}.{interval}": "trades.BTC-PERPETUAL.100ms",
    "trades.{kind}.{currency}.{interval}": "trades.any.any.100ms",
    "user.access_log": "user.access_log",
    "user.changes.{instrument_name}.{interval}": "user.changes.BTC-PERPETUAL.raw",
    "user.changes.{kind}.{currency}.{interval}": "user.changes.any.any.raw",
    "user.combo_trades.{instrument_name}.{interval}": "user.combo_trades.BTC-PERPETUAL.raw",
    "user.combo_trades.{kind}.{currency}.{interval}": "user.combo_trades.any.any.raw",
    "user.lock": "user.lock",
    "user.mmp_trigger.{index_name}": "user.mmp_trigger.btc_usdc",
    "user.orders.{instrument_name}.{interval}": "user.orders.BTC-PERPETUAL.raw",
    "user.orders.{kind}.{currency}.{interval}": "user.orders.any.any.raw",
    "user.portfolio.{currency}": "user.portfolio.usdc",
    "user.trades.{instrument_name}.{interval}": "user.trades.BTC-PERPETUAL.raw",
    "user.trades.{kind}.{currency}.{interval}": "user.trades.any.any.raw",
}

ABSENT_CHANNELS: dict[str, str] = {
    "announcements": "nobody announces", "user.access_log": "whoever asks is not recorded",
    "user.lock": "nobody can lock an account",
    "platform_state.public_methods_state": "a node that answers serves all methods",
    "block_rfq.maker.{currency}": _RFQ, "block_rfq.maker.quotes.{currency}": _RFQ, "block_rfq.taker.{currency}": _RFQ,
    "block_rfq.trades.{currency}": _RFQ, "block_trade_confirmations": _BLOCK,
    "block_trade_confirmations.{currency}": _BLOCK,
    "deribit_price_ranking.{index_name}": "the index is the committee's median: `public/x_get_oracle_round` has "
    "every validator's report",
    "deribit_price_statistics.{index_name}": "the day's range of the index is not kept",
    "deribit_volatility_index.{index_name}": "there is no index of volatility; the surface itself is served",
    "user.combo_trades.{instrument_name}.{interval}": _COMBO, "user.combo_trades.{kind}.{currency}.{interval}": _COMBO,
}  # fmt: skip


def find_row(example: str) -> str | None:
    """The name of our row that serves a channel."""
    for row in CHANNELS:
        parts = re.split(r"{\w+}", row.name)
        if re.fullmatch(".+".join(map(re.escape, parts)), example) and example.count(".") == row.name.count("."):
            return row.name
    return None


_INTRO = """# What a Deribit client finds here

Every method and channel of Deribit's public reference. *Supported* means: the same name, parameters and fields. Of all
of them it holds that

- prices, amounts and money in answers are decimal text; `hansa gateway` turns them into numbers for clients that expect
  these, and text labels into the signed number and back;
- nobody logs in at a node: private reads name `owner` and `subaccount`, and private writes carry a signature.
  `hansa gateway` adds both for clients that log in with a key and a secret;
- every currency parameter is accepted, and the answer is that of the one money, USDC; markets are linear;
- what a write does not know is refused, never ignored; fields of our own begin with `x_`.

Generated by `python -m net.gateway.reference deribit`; what is served is read from the method table.
"""


def deribit_text() -> str:
    """docs/deribit.md."""
    names = [name for section in SECTIONS.values() for name in section]
    served = [name for name in names if name in METHODS]
    channels = [name for name, example in DERIBIT_CHANNELS.items() if find_row(example)]
    lines = [_INTRO, f"{len(served)} of {len(names)} methods and {len(channels)} of {len(DERIBIT_CHANNELS)} channels "
             "are supported; of each of the others it says why not.\n"]  # fmt: skip
    for title, section in SECTIONS.items():
        lines += [f"## {title}\n", "| method | | |", "|---|---|---|", *map(_method_line, section), ""]
    lines += ["## Channels\n", "| channel | | |", "|---|---|---|"]
    lines += [_channel_line(name, example) for name, example in DERIBIT_CHANNELS.items()]
    lines += ["", "## Beyond Deribit\n", "| name | what |", "|---|---|"]
    ours = [method for name, method in METHODS.items() if name not in names]
    lines += [f"| `{method.name}` | {method.summary} |" for method in ours]
    return "\n".join(lines) + "\n"


def _method_line(name: str) -> str:
    if name not in METHODS:
        return f"| `{name}` | absent | {ABSENT[name]} |"
    how = DIFFERENT.get(name, "")
    return f"| [`{name}`](api.md#{name.replace('/', '')}) | {'different' if how else 'supported'} | {how} |"


def _channel_line(name: str, example: str) -> str:
    row = find_row(example)
    if row is None:
        return f"| `{name}` | absent | {ABSENT_CHANNELS[name]} |"
    return f"| `{name}` | supported | `{row}` |"
