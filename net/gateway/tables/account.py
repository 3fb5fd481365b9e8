"""Accounts: money, positions, own trades."""

from net.gateway import private_methods as private
from net.gateway.api import Method, Param
from net.gateway.shapes.account import AccountSummary, Position, UserTrades
from net.gateway.shapes.orders import Certainty, TransferAnswer, WithdrawAnswer
from net.gateway.tables.terms import ACCOUNT, COUNT, CURRENCY, INSTRUMENT, SIGNED
from net.gateway.writes import write

_USDC = (
    Param("amount", "decimal", "USDC, at most six decimals"), Param("currency", "text", "`USDC`", False),
)  # fmt: skip

_LIMITS = (
    Param("interval", "integer", "seconds that a window lasts, at most a day; 0 ends protection"),
    Param("frozen_time", "integer", "seconds that new quotes are refused afterwards; 0: until it is set again", False),
    Param("quantity_limit", "decimal", "USDC that quotes may trade in a window; 0 or without it: no limit", False),
    Param("delta_limit", "decimal", "USDC of delta that they may gather", False),
    Param("vega_limit", "decimal", "USDC of vega that they may gather", False),
    Param("index_name", "text", "accepted and not used: all markets of an account share its protection", False),
    Param("mmp_group", "text", "accepted and not used", False),
)
_KEY = Param("key", "address", "of the session key")
_MARGIN_MODEL = Param("margin_model", "text", "`cross_sm`, `isolated`, `cross_pm` (portfolio)")

ACCOUNT_ROWS = (
    Method("private/set_mmp_config", write, "Sets market-maker protection and ends a freeze.", (*_LIMITS, *SIGNED),
           result=Certainty),
    Method("private/reset_mmp", write, "The same message again: what ends a freeze is setting it.",
           (*_LIMITS, *SIGNED), result=Certainty),
    Method("private/change_margin_model", write, "How the account's margin is computed.", (_MARGIN_MODEL, *SIGNED),
           result=Certainty),
    Method("private/x_set_margin_mode", write, "The same under a neutral name.", (_MARGIN_MODEL, *SIGNED),
           result=Certainty),
    Method("private/x_register_session_key", write,
           "Lets a key sign for the account. No key can withdraw, nor admit other keys; a known one gets new terms.",
           (_KEY, Param("scopes", "list of text", "of `trade`, `cancel`, `transfer` (between own subaccounts)"),
            Param("x_valid_until_ms", "integer", "when it ends"),
            Param("x_order_cap", "decimal", "USDC that one order may be worth; without it there is no cap", False),
            *SIGNED), result=Certainty),
    Method("private/x_revoke_session_key", write, "From the next block on the key signs nothing any more.",
           (_KEY, *SIGNED), result=Certainty),
    Method("private/x_set_referrer", write, "Who gets a share of the account's fees; once.",
           (Param("referrer", "address", "owner of an account"), *SIGNED), result=Certainty),
    Method("private/x_approve_builder", write, "Lets somebody take a fee of orders that name him.",
           (Param("builder", "address", "owner of an account"),
            Param("x_fee_ppm_max", "integer", "parts per million at most; 0 takes it back"), *SIGNED),
           result=Certainty),
    Method("private/submit_transfer_to_subaccount", write,
           "Moves USDC to another subaccount of the owner, which is made if it is new.",
           (*_USDC, Param("destination", "integer", "number of the subaccount"), *SIGNED), result=TransferAnswer),
    Method("private/submit_transfer_to_user", write, "Moves USDC to another owner's account.",
           (*_USDC, Param("destination", "address", "whose account"),
            Param("x_destination_subaccount", "integer", "default 0", False), *SIGNED), result=TransferAnswer),
    Method("private/withdraw", write, "Starts a withdrawal to the owner's own address.",
           (*_USDC, Param("address", "address", "the owner's: there is no other way out", False), *SIGNED),
           result=WithdrawAnswer),
    Method("private/x_withdraw", write, "The same under a neutral name.",
           (Param("amount", "decimal", "USDC, at most six decimals"), *SIGNED), result=WithdrawAnswer),
    Method("private/get_positions", private.get_positions, "Positions at mark.", (*ACCOUNT, CURRENCY), "owner=0x…",
           result=list[Position]),
    Method("private/get_position", private.get_position, "One position, zero included.", (INSTRUMENT, *ACCOUNT),
           "instrument_name=BTC-PERPETUAL&owner=0x…", result=Position),
    Method("private/get_account_summary", private.get_account_summary, "Balance, equity, margins.",
           (*ACCOUNT, CURRENCY), "owner=0x…", result=AccountSummary),
    Method("private/get_user_trades_by_instrument", private.get_user_trades, "Own trades, newest first.",
           (INSTRUMENT, *ACCOUNT, COUNT), "instrument_name=BTC-PERPETUAL&owner=0x…", result=UserTrades),
)  # fmt: skip
