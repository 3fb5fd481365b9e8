"""Accounts: money, positions, own trades."""

from net.gateway import account_reads as reads
from net.gateway.api import Method, Param
from net.gateway.shapes.account import (
    AccountSummaries,
    AccountSummary,
    CancelSwitch,
    ExplainedMargin,
    LiveOffer,
    MarginInputsAnswer,
    Margins,
    MmpConfig,
    MmpStatus,
    Position,
    SessionKeys,
    SimulatedAccount,
    Subaccount,
)
from net.gateway.shapes.orders import Certainty, TransferAnswer, WithdrawAnswer
from net.gateway.tables.terms import ACCOUNT, CURRENCY, INSTRUMENT, SIGNED
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

_KIND = Param("kind", "text", "`any` (default), `future`, `option`, `spot`", False)
_EXTENDED = Param("extended", "true or false", "accepted and not used: the answer is always whole", False)
_MMP_NAMES = _LIMITS[-2:]

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
    Method("private/get_positions", reads.get_positions, "Positions at mark.", (*ACCOUNT, CURRENCY, _KIND), "owner=0x…",
           result=list[Position]),
    Method("private/get_position", reads.get_position, "One position, zero included.", (INSTRUMENT, *ACCOUNT),
           "instrument_name=BTC-PERPETUAL&owner=0x…", result=Position),
    Method("private/get_account_summary", reads.get_account_summary, "Balance, equity, margins.",
           (*ACCOUNT, CURRENCY, _EXTENDED), "owner=0x…", result=AccountSummary),
    Method("private/get_account_summaries", reads.get_account_summaries, "The same as a list of one.",
           (*ACCOUNT, _EXTENDED), "owner=0x…", result=AccountSummaries),
    Method("private/get_subaccounts", reads.get_subaccounts, "Every subaccount of the owner that was ever credited.",
           (*ACCOUNT, Param("with_portfolio", "true or false", "with the summary of each", False)),
           "owner=0x…&with_portfolio=true", result=list[Subaccount]),
    Method("private/get_margins", reads.get_margins,
           "What an order of this size and price adds to the initial margin, by side, as the engine computes it.",
           (INSTRUMENT, Param("amount", "decimal", "of the order"), Param("price", "decimal", "its limit"), *ACCOUNT),
           "instrument_name=BTC-PERPETUAL&amount=0.010&price=64000&owner=0x…", result=Margins),
    Method("private/simulate_portfolio", reads.simulate_portfolio,
           "Margins, Greeks and scenarios with other positions and prices, by the engine's own functions.",
           (*ACCOUNT, CURRENCY, Param("simulated_positions", "object", "signed sizes by `instrument_name`", False),
            Param("add_positions", "true or false", "default true: beside the account's own; false: in their place",
                  False),
            Param("x_price_shift_ppm", "integer", "all prices move by so many millionths", False),
            Param("x_vol_shift_ppm", "integer", "all volatilities move by so many millionths", False)),
           "owner=0x…", result=SimulatedAccount),
    Method("private/x_get_margin_inputs", reads.get_margin_inputs,
           "The engine's own rows behind an account's margin, so that a machine which has the engine computes any case "
           "by itself, to the unit.",
           (*ACCOUNT, Param("instruments", "list of text", "more markets than those that the account is in", False)),
           "owner=0x…", result=MarginInputsAnswer),
    Method("private/x_margin_explain", reads.margin_explain,
           "Every number that the margin is made of: scenario by scenario, with the worst and what it would take to be "
           "liquidated.", ACCOUNT, "owner=0x…", result=ExplainedMargin),
    Method("private/get_mmp_config", reads.get_mmp_config, "Market-maker protection; empty without it.",
           (*ACCOUNT, *_MMP_NAMES), "owner=0x…", result=list[MmpConfig]),
    Method("private/get_mmp_status", reads.get_mmp_status, "What its window has used, and whether quotes are frozen.",
           (*ACCOUNT, *_MMP_NAMES), "owner=0x…", result=list[MmpStatus]),
    Method("private/get_cancel_on_disconnect", reads.get_cancel_on_disconnect,
           "The switch of `private/x_cancel_all_after`.", (*ACCOUNT, Param("scope", "text", "not used", False)),
           "owner=0x…", result=CancelSwitch),
    Method("private/x_list_session_keys", reads.list_session_keys,
           "Keys that may sign for the account, builders that it has approved, and its referrer.", ACCOUNT,
           "owner=0x…", result=SessionKeys),
    Method("public/x_get_offers", reads.get_offers,
           "Live offers off the book that everybody may accept, and with an owner those to it and from it.", ACCOUNT,
           "owner=0x…", result=list[LiveOffer]),
)  # fmt: skip
