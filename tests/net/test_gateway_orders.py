"""Every method that changes something means the actions that its parameters say, and refuses what it would not do."""

import json
from typing import Any

import pytest
from test_gateway_backend import DictBackend
from test_gateway_inputs import KEY, OWNER

from engine.commands import (
    ACCEPT,
    ALL_MARKETS,
    AMEND,
    BUY,
    CANCEL,
    CANCEL_ALL,
    CANCEL_ALL_AFTER,
    COMBO,
    OFFER,
    PLACE,
    SELL,
    SET_FEES,
    SET_MARGIN_MODE,
    SET_PROTECTION,
    SET_SESSION,
    TRANSFER,
    TRIGGER,
    WITHDRAW,
    Action,
    Command,
)
from engine.params import DEFAULT_MARKETS
from net.gateway.api import Api, Call, answer_now
from net.gateway.limits import Limits
from net.gateway.methods import METHODS
from net.gateway.order_actions import find_session_end_ms
from net.gateway.params import Params
from net.gateway.wire import Request
from net.gateway.writes import WRITES

BTC, ETH = 0, 1
LARGEST_LOTS = DEFAULT_MARKETS[BTC].size_lots_max
PERPETUAL = {"instrument_name": "BTC-PERPETUAL"}
LIMIT = PERPETUAL | {"amount": "0.010", "price": "64000"}
STOP = {"direction": "sell", "type": "stop_market", "amount": "0.010", "trigger_price": "60000", "reduce_only": True}
TAKE = {"direction": "sell", "type": "take_limit", "amount": "0.010", "price": "70000", "trigger_price": "70000"}
KEY_BYTES = b"\x33" * 20
DATA = KEY_BYTES + bytes(4)
DAY_END_MS = 1_800_000_000_000 - 1_800_000_000_000 % 86_400_000 + 8 * 3_600_000
_STOPPED = Action(
    TRIGGER, side=SELL, time_in_force=1, flags=1 | 16 | 64, market=BTC, size_lots=10, trigger_ticks=600_000, link=1
)
_TAKEN = Action(TRIGGER, side=SELL, market=BTC, price_ticks=700_000, size_lots=10, trigger_ticks=700_000, link=2)
_BOUGHT = Action(PLACE, side=BUY, market=BTC, price_ticks=640_000, size_lots=10)


def linked(kind: str, *entries: dict[str, Any]) -> dict[str, Any]:
    return {"linked_order_type": kind, "otoco_config": list(entries)}


FORMS: list[tuple[str, dict[str, Any], tuple[Action, ...]]] = [
    ("buy", LIMIT, (_BOUGHT,)),
    ("buy", LIMIT | {"max_show": "0.002", "x_builder": 9}, (
        Action(PLACE, market=BTC, price_ticks=640_000, size_lots=10, display_lots=2, link=9),)),
    ("sell", LIMIT | {"time_in_force": "good_til_day", "x_good_till_ms": DAY_END_MS}, (
        Action(PLACE, side=SELL, time_in_force=4, market=BTC, price_ticks=640_000, size_lots=10,
               good_till_ms=DAY_END_MS),)),
    ("buy", LIMIT | linked("one_triggers_other", STOP), (_BOUGHT, _STOPPED)),
    ("buy", LIMIT | linked("one_triggers_one_cancels_other", STOP, TAKE), (_BOUGHT, _STOPPED, _TAKEN)),
    ("sell", PERPETUAL | {"type": "stop_market", "amount": "0.010", "trigger_price": "60000", "reduce_only": True}
     | linked("one_cancels_other", TAKE), (
        Action(TRIGGER, side=SELL, time_in_force=1, flags=1 | 16 | 64, market=BTC, size_lots=10,
               trigger_ticks=600_000), _TAKEN)),
    ("close_position", PERPETUAL | {"type": "market", "x_direction": "sell"}, (
        Action(PLACE, side=SELL, time_in_force=1, flags=1 | 16, market=BTC, size_lots=LARGEST_LOTS),)),
    ("close_position", PERPETUAL | {"type": "limit", "price": "65000", "x_direction": "buy"}, (
        Action(PLACE, side=BUY, flags=1, market=BTC, size_lots=LARGEST_LOTS, price_ticks=650_000),)),
    ("edit", {"order_id": "BTC-PERPETUAL-17", "amount": "0.020"}, (
        Action(AMEND, market=BTC, order_id=17, size_lots=20),)),
    ("edit_by_label", LIMIT | {"label": 5}, (
        Action(AMEND, market=BTC, client_id=5, size_lots=10, price_ticks=640_000),)),
    ("cancel", {"order_id": "ETH-PERPETUAL-9"}, (Action(CANCEL, market=ETH, order_id=9),)),
    ("cancel_by_label", PERPETUAL | {"label": "77"}, (Action(CANCEL, market=BTC, client_id=77),)),
    ("cancel_all", {}, (Action(CANCEL_ALL, market=ALL_MARKETS),)),
    ("cancel_all_by_instrument", PERPETUAL, (Action(CANCEL_ALL, market=BTC),)),
    ("cancel_all_by_currency", {"currency": "USDC"}, (Action(CANCEL_ALL, market=ALL_MARKETS),)),
    ("cancel_all_by_currency", {"currency": "ETH"}, (Action(CANCEL_ALL, market=ETH),)),
    ("cancel_all_by_kind_or_type", {"currency": "any", "kind": "future", "type": "all"}, (
        Action(CANCEL_ALL, market=BTC), Action(CANCEL_ALL, market=ETH))),
    ("mass_quote", {"mmp_group": "g", "quotes": [
        PERPETUAL | {"quote_set_id": "1", "bid": {"price": "63000", "amount": "0.010", "label": 2},
                     "ask": {"price": "65000", "amount": "0.010", "post_only": True, "x_replaces_label": 1}},
        {"instrument_name": "ETH-PERPETUAL", "ask": {"x_replaces_order_id": "ETH-PERPETUAL-5"}},
    ]}, (
        Action(PLACE, side=BUY, flags=2, market=BTC, price_ticks=630_000, size_lots=10, client_id=2),
        Action(CANCEL, market=BTC, client_id=1),
        Action(PLACE, side=SELL, flags=2, time_in_force=2, market=BTC, price_ticks=650_000, size_lots=10),
        Action(CANCEL, market=ETH, order_id=5))),
    ("cancel_quotes", {"cancel_type": "instrument"} | PERPETUAL, (Action(CANCEL_ALL, market=BTC),)),
    ("cancel_quotes", {"cancel_type": "x_orders", "x_orders": ["BTC-PERPETUAL-3", "ETH-PERPETUAL-4"]}, (
        Action(CANCEL, market=BTC, order_id=3), Action(CANCEL, market=ETH, order_id=4))),
    ("x_place_combo", {"x_net_cost_max": "-1.5", "legs": [
        LIMIT | {"direction": "buy", "time_in_force": "fill_or_kill"},
        {"instrument_name": "ETH-PERPETUAL", "direction": "sell", "type": "market", "amount": "0.10"}]}, (
        Action(COMBO, side=2, price_ticks=-1_500_000),
        Action(PLACE, side=BUY, time_in_force=3, market=BTC, price_ticks=640_000, size_lots=10),
        Action(PLACE, side=SELL, time_in_force=1, flags=16, market=ETH, size_lots=10))),
    ("set_mmp_config", {"interval": 1, "frozen_time": 2, "quantity_limit": "10", "delta_limit": "5"}, (
        Action(SET_PROTECTION, good_till_ms=1_000, display_lots=2_000, size_lots=10_000_000, price_ticks=5_000_000),)),
    ("reset_mmp", {"interval": 0}, (Action(SET_PROTECTION),)),
    ("x_cancel_all_after", {"x_deadline_ms": 1 << 41}, (Action(CANCEL_ALL_AFTER, good_till_ms=1 << 41),)),
    ("enable_cancel_on_disconnect", {"x_deadline_ms": 1 << 41, "scope": "account"}, (
        Action(CANCEL_ALL_AFTER, good_till_ms=1 << 41),)),
    ("disable_cancel_on_disconnect", {}, (Action(CANCEL_ALL_AFTER),)),
    ("submit_transfer_to_subaccount", {"amount": "1", "destination": 3}, (
        Action(TRANSFER, size_lots=1_000_000, link=3),)),
    ("submit_transfer_to_user", {"amount": "1", "destination": KEY_BYTES.hex(), "x_destination_subaccount": 2}, (
        Action(TRANSFER, size_lots=1_000_000, link=2, data=DATA),)),
    ("withdraw", {"amount": "1", "currency": "USDC", "address": "0x" + OWNER.hex()}, (
        Action(WITHDRAW, size_lots=1_000_000),)),
    ("x_withdraw", {"amount": "0.000001"}, (Action(WITHDRAW, size_lots=1),)),
    ("change_margin_model", {"margin_model": "cross_pm"}, (Action(SET_MARGIN_MODE, side=2),)),
    ("x_set_margin_mode", {"margin_model": "isolated"}, (Action(SET_MARGIN_MODE, side=1),)),
    ("x_register_session_key", {"key": KEY_BYTES.hex(), "scopes": ["trade", "transfer"], "x_valid_until_ms": 5,
                                "x_order_cap": "100"}, (
        Action(SET_SESSION, data=DATA, flags=5, good_till_ms=5, size_lots=100_000_000),)),
    ("x_revoke_session_key", {"key": "0x" + KEY_BYTES.hex()}, (Action(SET_SESSION, data=DATA),)),
    ("x_set_referrer", {"referrer": KEY_BYTES.hex()}, (Action(SET_FEES, data=DATA),)),
    ("x_approve_builder", {"builder": KEY_BYTES.hex(), "x_fee_ppm_max": 50}, (
        Action(SET_FEES, data=DATA, link=1, size_lots=50),)),
    ("x_make_offer", LIMIT | {"direction": "sell", "x_good_till_ms": 1 << 41, "x_counterparty": 65, "label": 3}, (
        Action(OFFER, side=SELL, market=BTC, price_ticks=640_000, size_lots=10, client_id=3, good_till_ms=1 << 41,
               link=65),)),
    ("x_accept_offer", {"offer_id": "BTC-PERPETUAL-99", "direction": "buy"}, (
        Action(ACCEPT, side=BUY, market=BTC, order_id=99),)),
]  # fmt: skip


async def send(backend: DictBackend, method: str, params: dict[str, Any], actions: tuple[Action, ...]) -> dict:
    """The call with a signature over these actions."""
    command = Command(OWNER, 77, 2_000_000_000_000, actions).signed(KEY, backend.domain.domain_separator)
    signed = {
        "owner": "0x" + OWNER.hex(), "nonce": 77, "expiry_ms": command.expiry_ms, "signature": command.signature.hex(),
        "valid_until": command.expiry_ms,
    }  # fmt: skip
    call = Call(Api(backend, Limits(), METHODS), Request(1, f"private/{method}", params | signed), 0)
    answer: dict = json.loads((await answer_now(call)).text)
    return answer


@pytest.mark.parametrize(("method", "params", "actions"), FORMS, ids=[f"{at}-{row[0]}" for at, row in enumerate(FORMS)])
async def test_parameters_mean_the_actions_that_are_signed(
    method: str, params: dict[str, Any], actions: tuple[Action, ...]
) -> None:
    backend = DictBackend()
    answer = await send(backend, method, params, actions)
    assert [command.actions for command in backend.submitted] == [actions], answer
    text = {name: value if type(value) in (str, int) else json.dumps(value) for name, value in params.items()}
    assert (
        WRITES[f"private/{method}"].build(
            Params({"owner": OWNER.hex()} | text), Api(backend, Limits(), METHODS).instruments
        )
        == actions
    ), "over HTTP GET everything is text"


def test_every_write_has_a_form() -> None:
    assert {f"private/{method}" for method, _, _ in FORMS} == set(WRITES)


REFUSED = [
    ("buy", LIMIT | linked("one_triggers_other", LIMIT | {"direction": "sell"}), 710),
    ("buy", LIMIT | linked("one_triggers_other", {"direction": "sell"} | {"amount": "1", "price": "1"}), 710),
    ("buy", LIMIT | linked("one_cancels_other", STOP), 710),
    ("buy", PERPETUAL | TAKE | linked("one_triggers_other", STOP), 710),
    ("buy", LIMIT | linked("one_triggers_one_cancels_other", STOP), 704),
    ("buy", LIMIT | linked("one_triggers_other", STOP, TAKE), 704),
    ("buy", LIMIT | linked("one_triggers_other", STOP | {"x_link": 4}), 710),
    ("buy", LIMIT | linked("one_triggers_other", STOP | {"trigger_offset": "4"}), 710),
    ("buy", LIMIT | linked("one_triggers_other", STOP) | {"trigger_fill_condition": "complete_fill"}, 708),
    ("buy", LIMIT | {"otoco_config": [STOP]}, 710),
    ("buy", LIMIT | {"linked_order_type": "one_triggers_other", "otoco_config": "["}, 702),
    ("buy", LIMIT | {"linked_order_type": "one_triggers_other", "otoco_config": [7]}, 702),
    ("buy", LIMIT | {"max_show": "0.002", "display_amount": "0.002"}, 708),
    ("buy", LIMIT | {"x_good_till_ms": 1 << 41}, 710),
    ("buy", LIMIT | {"type": "stop_limit", "trigger_price": "1", "mmp": True}, 710),
    ("buy", LIMIT | {"type": "stop_limit", "trigger_price": "1", "trigger": "index_price"}, 708),
    ("close_position", PERPETUAL | {"type": "market", "price": "1", "x_direction": "sell"}, 710),
    ("close_position", PERPETUAL | {"type": "market"}, 701),
    ("cancel_by_label", PERPETUAL, 701),
    ("cancel_all_by_currency", {"currency": "DOGE"}, 708),
    ("cancel_all_by_kind_or_type", {"kind": "option"}, 708),
    ("cancel_all_by_kind_or_type", {"kind": "future", "type": "limit"}, 708),
    ("mass_quote", {"quotes": []}, 704),
    ("mass_quote", {"quotes": [PERPETUAL]}, 704),
    ("mass_quote", {"quotes": [PERPETUAL | {"bid": 1}]}, 702),
    ("mass_quote", {"quotes": [PERPETUAL | {"bid": {"price": "1", "amount": "1", "type": "market"}}]}, 710),
    ("mass_quote", {"quotes": [PERPETUAL | {"side": "buy"}]}, 710),
    ("cancel_quotes", {"cancel_type": "delta"}, 708),
    ("cancel_quotes", {"cancel_type": "x_orders", "x_orders": ["nine"]}, 707),
    ("x_place_combo", {"x_net_cost_max": "0", "legs": [LIMIT | {"direction": "buy"}]}, 704),
    ("x_place_combo", {"x_net_cost_max": "0", "legs": [LIMIT | {"direction": "buy"}, PERPETUAL | STOP]}, 710),
    ("x_place_combo", {"x_net_cost_max": "0.0000001", "legs": [LIMIT | {"direction": "buy"}] * 2}, 713),
    ("set_mmp_config", {"interval": 86_401}, 704),
    ("set_mmp_config", {"interval": 1, "vega_limit": "-1"}, 314),
    ("withdraw", {"amount": "1", "address": "0x" + KEY_BYTES.hex()}, 710),
    ("withdraw", {"amount": "1", "currency": "BTC"}, 708),
    ("withdraw", {"amount": "0"}, 404),
    ("change_margin_model", {"margin_model": "segregated_pm"}, 708),
    ("x_register_session_key", {"key": KEY_BYTES.hex(), "scopes": ["withdraw"], "x_valid_until_ms": 5}, 708),
    ("x_register_session_key", {"key": "0x12", "scopes": ["trade"], "x_valid_until_ms": 5}, 709),
    ("x_approve_builder", {"builder": KEY_BYTES.hex(), "x_fee_ppm_max": 1 << 16}, 704),
    ("x_accept_offer", {"offer_id": "BTC-PERPETUAL-99", "direction": "long"}, 708),
    ("cancel_all", {"detailed": True}, 710),
    ("cancel_all", {"valid_until": 1_999_999_999_999}, 708),
]  # fmt: skip


@pytest.mark.parametrize(("method", "params", "number"), REFUSED)
async def test_what_a_method_would_not_do_has_its_number(method: str, params: dict[str, Any], number: int) -> None:
    backend = DictBackend()
    signed = {"nonce": 77, "expiry_ms": 2_000_000_000_000, "signature": "00" * 65, "owner": OWNER.hex()}
    call = Call(Api(backend, Limits(), METHODS), Request(1, f"private/{method}", signed | params), 0)
    answer = json.loads((await answer_now(call)).text)
    assert answer["error"]["data"]["code"] == number, answer
    assert backend.submitted == []


async def test_a_message_of_several_actions_answers_for_each() -> None:
    backend = DictBackend()
    resting = {"price": "63000", "amount": "0.010"}
    params = {"quotes": [PERPETUAL | {"bid": resting, "ask": {"x_replaces_label": 1}}]}
    actions = WRITES["private/mass_quote"].build(Params(params), Api(backend, Limits(), METHODS).instruments)
    result = (await send(backend, "mass_quote", params, actions))["result"]
    assert [order["order_state"] for order in result["orders"]] == ["open"]
    assert result["errors_count"] == 1 and result["x_actions"][1]["error"]["data"]["code"] == 308
    assert result["x_is_final"] and result["x_receipt"]["command_id"] == result["x_command_id"]


async def test_a_first_order_that_is_refused_is_the_answer() -> None:
    backend = DictBackend()
    params = LIMIT | linked("one_triggers_other", STOP)
    actions = WRITES["private/buy"].build(Params(params), Api(backend, Limits(), METHODS).instruments)
    result = (await send(backend, "buy", params, actions))["result"]
    assert result["order"]["order_state"] == "open" and "oto_order_ids" not in result["order"]
    assert "error" in result["x_actions"][1], "this exchange knows no triggers"
    crossing = LIMIT | {"post_only": True} | linked("one_triggers_other", STOP)
    await send(
        backend,
        "sell",
        LIMIT | {"amount": "0.030"},
        (Action(PLACE, side=SELL, market=BTC, price_ticks=640_000, size_lots=30),),
    )
    backend.known.clear()
    actions = WRITES["private/buy"].build(Params(crossing), Api(backend, Limits(), METHODS).instruments)
    error = (await send(backend, "buy", crossing, actions))["error"]
    assert error["data"]["code"] == 307 and len(error["data"]["x_actions"]) == 2
    assert error["data"]["stage"] == "final" and error["data"]["x_is_final"]


def test_a_day_of_the_exchange_ends_at_eight() -> None:
    for now_ms, end_ms in ((0, 28_800_000), (28_799_999, 28_800_000), (28_800_000, 115_200_000)):
        assert find_session_end_ms(now_ms) == end_ms
