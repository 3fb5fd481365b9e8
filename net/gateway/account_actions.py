"""What an account decides beside its orders, as the actions that its owner signs: money, keys, protection, offers.

See `order_actions` for what these functions are.
"""

from engine.commands import (
    ACCEPT,
    CANCEL_ALL_AFTER,
    OFFER,
    SET_FEES,
    SET_MARGIN_MODE,
    SET_PROTECTION,
    SET_SESSION,
    TRANSFER,
    WITHDRAW,
    Action,
)
from engine.results import Code
from net.gateway.errors import NOT_SUPPORTED, UNKNOWN_VALUE, ApiError, engine_error
from net.gateway.instruments import Instruments, read_amount_quote, read_quote
from net.gateway.order_actions import SIDES, Actions, read_client_id
from net.gateway.params import I64_MAX, U32_MAX, Params
from net.gateway.present_text import CURRENCY

SCOPES = {"trade": 1, "cancel": 2, "transfer": 4}
MARGIN_MODELS = {"cross_sm": 0, "isolated": 1, "cross_pm": 2}
ADDRESS_PAD = bytes(4)
MS_PER_S = 1_000
PROTECTION_S_MAX = 86_400
BUILDER_PPM_MAX = (1 << 16) - 1


def _read_usdc(params: Params) -> int:
    if params.text("currency", CURRENCY) != CURRENCY:
        raise ApiError(UNKNOWN_VALUE, "currency", f"only {CURRENCY}")
    return read_amount_quote(params)


def _read_address(params: Params, name: str) -> bytes:
    return params.hex_bytes(name, 20) + ADDRESS_PAD


def withdraw(params: Params, instruments: Instruments) -> Actions:
    """To the owner's own address; there is no other."""
    address = params.values.get("address")
    if address is not None and params.hex_bytes("address", 20) != params.hex_bytes("owner", 20):
        raise ApiError(NOT_SUPPORTED, "address", f"money leaves to the owner's address only: {NOT_SUPPORTED.hint}")
    return (Action(WITHDRAW, size_lots=_read_usdc(params)),)


def transfer_to_subaccount(params: Params, instruments: Instruments) -> Actions:
    """USDC to another subaccount of the same owner."""
    return (Action(TRANSFER, size_lots=_read_usdc(params), link=params.integer("destination", 0, U32_MAX)),)


def transfer_to_user(params: Params, instruments: Instruments) -> Actions:
    """USDC to another owner's account, which must exist."""
    subaccount = params.integer("x_destination_subaccount", 0, U32_MAX, 0)
    return (Action(TRANSFER, size_lots=_read_usdc(params), data=_read_address(params, "destination"), link=subaccount),)


def cancel_all_after(params: Params, instruments: Instruments) -> Actions:
    """At `x_deadline_ms`; 0 disarms."""
    return (Action(CANCEL_ALL_AFTER, good_till_ms=params.integer("x_deadline_ms", 0, I64_MAX)),)


def disable_cancel(params: Params, instruments: Instruments) -> Actions:
    """Disarms the switch of `cancel_all_after`."""
    return (Action(CANCEL_ALL_AFTER),)


def set_margin_mode(params: Params, instruments: Instruments) -> Actions:
    """How the margin of the account is computed."""
    return (Action(SET_MARGIN_MODE, side=params.choice("margin_model", MARGIN_MODELS)),)


def register_session_key(params: Params, instruments: Instruments) -> Actions:
    """A key that may sign for the account until a time, within scopes."""
    flags = 0
    for name in params.text_list("scopes", len(SCOPES)):
        if name not in SCOPES:
            raise ApiError(UNKNOWN_VALUE, "scopes", "of " + ", ".join(SCOPES))
        flags |= SCOPES[name]
    cap_quote = read_quote(params, "x_order_cap") if params.values.get("x_order_cap") is not None else 0
    if cap_quote < 0:
        raise engine_error(Code.AMOUNT_NOT_POSITIVE, "x_order_cap")
    return (
        Action(
            SET_SESSION, data=_read_address(params, "key"), flags=flags, size_lots=cap_quote,
            good_till_ms=params.integer("x_valid_until_ms", 1, I64_MAX),
        ),
    )  # fmt: skip


def revoke_session_key(params: Params, instruments: Instruments) -> Actions:
    """Scopes of none."""
    return (Action(SET_SESSION, data=_read_address(params, "key")),)


def set_referrer(params: Params, instruments: Instruments) -> Actions:
    """Whose fees are shared with: once."""
    return (Action(SET_FEES, data=_read_address(params, "referrer")),)


def approve_builder(params: Params, instruments: Instruments) -> Actions:
    """Who may take a fee of the account's orders, up to parts per million; 0 takes it back."""
    return (
        Action(
            SET_FEES, data=_read_address(params, "builder"), link=1,
            size_lots=params.integer("x_fee_ppm_max", 0, BUILDER_PPM_MAX),
        ),
    )  # fmt: skip


def _read_limit(params: Params, name: str) -> int:
    if params.values.get(name) is None:
        return 0
    limit_quote = read_quote(params, name)
    if limit_quote < 0:
        raise engine_error(Code.CONTRADICTORY, name, "not below zero; 0 is no limit")
    return limit_quote


def set_mmp_config(params: Params, instruments: Instruments) -> Actions:
    """Market-maker protection (docs/spec.md, ORD-8): limits within an interval, in USDC."""
    return (
        Action(
            SET_PROTECTION, good_till_ms=params.integer("interval", 0, PROTECTION_S_MAX) * MS_PER_S,
            display_lots=params.integer("frozen_time", 0, PROTECTION_S_MAX, 0) * MS_PER_S,
            size_lots=_read_limit(params, "quantity_limit"), price_ticks=_read_limit(params, "delta_limit"),
            trigger_ticks=_read_limit(params, "vega_limit"),
        ),
    )  # fmt: skip


def make_offer(params: Params, instruments: Instruments) -> Actions:
    """A block trade off the book, for one account or for all (docs/spec.md, ORD-11)."""
    market = instruments.read_market(params)
    return (
        Action(
            OFFER, side=params.choice("direction", SIDES), market=market,
            price_ticks=instruments.read_price_ticks(params, market),
            size_lots=instruments.read_size_lots(params, market), client_id=read_client_id(params),
            good_till_ms=params.integer("x_good_till_ms", 1, I64_MAX),
            link=params.integer("x_counterparty", 0, I64_MAX, 0),
        ),
    )  # fmt: skip


def accept_offer(params: Params, instruments: Instruments) -> Actions:
    """Trades all of an offer with whoever made it; `direction` is the own one."""
    market, order_id = instruments.read_order_id(params, "offer_id")
    return (Action(ACCEPT, market=market, side=params.choice("direction", SIDES), order_id=order_id),)
