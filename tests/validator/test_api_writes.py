"""Every method that changes something, over a real engine: once executed, once refused with its number; and what is
told of it afterwards.
"""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from net.gateway.writes import WRITES
from tests.validator.chainlet import EXPIRY_MS, OWNERS
from tests.validator.small_exchange import small_exchange
from validator.ledger import Ledger
from validator.stats import Stats

MAKER, TAKER, THIRD = 0, 1, 2
BTC, ETH = {"instrument_name": "BTC-PERPETUAL"}, {"instrument_name": "ETH-PERPETUAL"}
OWNED = {"owner": "0x" + OWNERS[MAKER].hex()}
BID = BTC | {"amount": "0.010", "price": "59000"}
ASK = BTC | {"amount": "0.010", "price": "61000"}
LATER_MS = 1 << 40
STOP = {"direction": "sell", "type": "stop_market", "amount": "0.010", "trigger_price": "50000", "reduce_only": True}
HIGHER = {"direction": "sell", "type": "take_limit", "amount": "0.010", "price": "70000", "trigger_price": "70000"}


async def test_orders_rest_change_and_go(tmp_path: Path) -> None:
    async with small_exchange(tmp_path) as exchange:
        write = exchange.write
        placed = await write("private/buy", MAKER, BID | {"label": 7, "post_only": True})
        order = placed["order"]
        assert order["order_state"] == "open" and placed["x_status"] == "certified" and placed["x_height"] == 2
        edited = await write("private/edit", MAKER, {"order_id": order["order_id"], "amount": "0.020"})
        assert edited["order"]["amount"] == "0.020" and edited["order"]["order_id"] == order["order_id"]
        edited = await write("private/edit_by_label", MAKER, BTC | {"label": 7, "amount": "0.020", "price": "59100"})
        assert edited["order"]["price"] == "59100.0"
        assert (await exchange.read("private/get_order_state_by_label", label=7, **OWNED))[0]["price"] == "59100.0"
        gone = await write("private/cancel_by_label", MAKER, BTC | {"label": 7})
        assert gone["cancelled"] == 1
        state = await exchange.read("private/get_order_state", order_id=order["order_id"])
        assert (state["order_state"], state["cancel_reason"]) == ("cancelled", "user_request")
        again = await write("private/cancel", MAKER, {"order_id": order["order_id"]})
        assert again["error"]["data"]["code"] == 308 and again["error"]["data"]["stage"] == "final"


async def test_cancels_take_what_they_name(tmp_path: Path) -> None:
    async with small_exchange(tmp_path) as exchange:

        async def fill_books() -> None:
            for params in (BID, ASK, ETH | {"amount": "0.10", "price": "2950"}):
                side = "sell" if params is ASK else "buy"
                assert (await exchange.write(f"private/{side}", MAKER, params))["order"]["order_state"] == "open"

        cancels = [
            ("cancel_all", {}, 3), ("cancel_all_by_instrument", BTC, 2),
            ("cancel_all_by_currency", {"currency": "ETH"}, 2), ("cancel_all_by_kind_or_type", {"kind": "future"}, 5),
            ("cancel_quotes", {"cancel_type": "instrument"} | BTC, 2),
        ]  # fmt: skip
        for name, params, count in cancels:
            await fill_books()
            answer = await exchange.write(f"private/{name}", MAKER, params)
            assert answer["cancelled"] == count, (name, answer)
        refused = await exchange.write("private/cancel_all_by_instrument", MAKER, BTC, nonce=1)
        assert refused["error"]["data"]["code"] == 203


async def test_linked_orders_wait_for_the_first_fill(tmp_path: Path) -> None:
    async with small_exchange(tmp_path) as exchange:
        linked = {"linked_order_type": "one_triggers_one_cancels_other", "otoco_config": [STOP, HIGHER]}
        placed = await exchange.write("private/buy", MAKER, BID | linked)
        assert placed["order"]["order_state"] == "open" and len(placed["order"]["oto_order_ids"]) == 2
        waiting = await exchange.read("private/get_open_orders", type="trigger_all", **OWNED)
        assert [order["order_state"] for order in waiting] == ["untriggered", "untriggered"]
        # Two triggers that cancel each other go together.
        pair = {"linked_order_type": "one_cancels_other", "otoco_config": [HIGHER]}
        first = BTC | STOP | {"amount": "0.010"}
        first.pop("direction")
        both = await exchange.write("private/sell", MAKER, first | pair)
        assert len(await exchange.read("private/get_open_orders", type="trigger_all", **OWNED)) == 4
        await exchange.write("private/cancel", MAKER, {"order_id": both["order"]["order_id"]})
        assert len(await exchange.read("private/get_open_orders", type="trigger_all", **OWNED)) == 2 + 1
        refused = await exchange.write("private/sell", MAKER, first | {"x_link": 1 << 30})
        assert refused["error"]["data"]["code"] == 315


async def test_a_position_is_told_with_its_cost_and_closed(tmp_path: Path) -> None:
    async with small_exchange(tmp_path) as exchange:
        await exchange.write("private/sell", MAKER, BTC | {"amount": "0.030", "price": "60100"})
        bought = await exchange.write("private/buy", TAKER, BTC | {"type": "market", "amount": "0.020"})
        assert bought["order"]["order_state"] == "filled" and len(bought["trades"]) == 1
        owned = {"owner": "0x" + OWNERS[TAKER].hex()}
        position = await exchange.read("private/get_position", **BTC, **owned)
        assert (position["size"], position["average_price"], position["direction"]) == ("0.020", "60100.0", "buy")
        # 0.02 x (60000 - 60100)
        assert position["floating_profit_loss"] == "-2.000000" and position["realized_profit_loss"] == "0.000000"
        assert position["delta"] == "0.02000000"
        summary = await exchange.read("private/get_account_summary", **owned)
        assert float(summary["balance"]) - float(summary["equity"]) == pytest.approx(2.0)
        assert summary["total_pl"] == "-2.000000"
        margins = await exchange.read("private/get_margins", **BTC, amount="0.010", price="60000", **owned)
        assert float(margins["buy"]) > 0 > float(margins["sell"]) - float(margins["buy"])
        await exchange.write("private/buy", MAKER, BTC | {"amount": "0.030", "price": "59900"})
        closed = await exchange.write("private/close_position", TAKER, BTC | {"type": "market", "x_direction": "sell"})
        assert (closed["order"]["filled_amount"], closed["order"]["amount"]) == ("0.020", "0.020")
        assert await exchange.read("private/get_positions", **owned) == []
        flat = await exchange.write("private/close_position", TAKER, BTC | {"type": "market", "x_direction": "sell"})
        assert flat["error"]["data"]["code"] == 313
        log = await exchange.read("private/get_transaction_log", **owned, query="trade")
        assert [entry["side"] for entry in log["logs"]] == ["sell", "buy"]
        history = await exchange.read("private/get_order_history_by_currency", currency="USDC", **owned)
        assert [order["filled_amount"] for order in history] == ["0.020", "0.020"]
        trades = await exchange.read("private/get_user_trades_by_order", order_id=bought["order"]["order_id"], **owned)
        assert trades[0]["trade_id"] == bought["trades"][0]["trade_id"]


async def test_quotes_replace_each_other_under_protection(tmp_path: Path) -> None:
    async with small_exchange(tmp_path) as exchange:
        limits = {"interval": 5, "frozen_time": 2, "quantity_limit": "600"}
        assert (await exchange.write("private/set_mmp_config", MAKER, limits))["x_is_final"]
        assert (await exchange.read("private/get_mmp_config", **OWNED))[0]["quantity_limit"] == "600.000000"
        quote = {"price": "61000", "amount": "0.020", "label": 1}
        first = await exchange.write("private/mass_quote", MAKER, {"quotes": [BTC | {"ask": quote}]})
        assert first["errors_count"] == 0 and first["orders"][0]["mmp"] is True
        moved = quote | {"price": "60500", "label": 2, "x_replaces_label": 1}
        second = await exchange.write("private/mass_quote", MAKER, {"quotes": [BTC | {"ask": moved}]})
        assert [order["price"] for order in second["orders"]] == ["60500.0"]
        assert [order["label"] for order in await exchange.read("private/get_open_orders", **OWNED)] == ["2"]
        # 0.02 at 60500 is worth 1210, more than the 600 of the window.
        await exchange.write("private/buy", TAKER, BTC | {"amount": "0.015", "price": "60500"})
        status = (await exchange.read("private/get_mmp_status", **OWNED))[0]
        assert status["x_is_frozen"] and status["frozen_until"] > 0
        assert await exchange.read("private/get_open_orders", **OWNED) == []
        frozen = await exchange.write("private/mass_quote", MAKER, {"quotes": [BTC | {"ask": quote | {"label": 3}}]})
        assert frozen["x_actions"][0]["error"]["data"]["code"] == 316
        assert (await exchange.write("private/reset_mmp", MAKER, limits))["x_is_final"]
        again = await exchange.write("private/mass_quote", MAKER, {"quotes": [BTC | {"ask": quote | {"label": 4}}]})
        assert again["errors_count"] == 0


async def test_a_combination_is_done_whole_or_not_at_all(tmp_path: Path) -> None:
    async with small_exchange(tmp_path) as exchange:
        await exchange.write("private/sell", MAKER, BTC | {"amount": "0.010", "price": "60100"})
        await exchange.write("private/buy", MAKER, ETH | {"amount": "0.10", "price": "2990"})
        legs = [
            BTC | {"direction": "buy", "amount": "0.010", "price": "60100", "time_in_force": "fill_or_kill"},
            ETH | {"direction": "sell", "amount": "0.10", "price": "2990", "time_in_force": "fill_or_kill"},
        ]
        combo = {"legs": legs, "x_net_cost_max": "302"}  # 601 less 299
        done = await exchange.write("private/x_place_combo", TAKER, combo)
        assert [order["order_state"] for order in done["orders"]] == ["filled", "filled"] and len(done["trades"]) == 2
        refused = await exchange.write("private/x_place_combo", TAKER, combo)
        assert refused["error"]["data"]["code"] == 321 and len(refused["error"]["data"]["x_actions"]) == 3


async def test_block_trades_are_offers_that_somebody_takes(tmp_path: Path) -> None:
    async with small_exchange(tmp_path) as exchange:
        offer = BTC | {"direction": "sell", "amount": "0.100", "price": "60050", "x_good_till_ms": LATER_MS, "label": 9}
        made = (await exchange.write("private/x_make_offer", MAKER, offer))["offer"]
        live = await exchange.read("public/x_get_offers")
        assert [item["offer_id"] for item in live] == [made["offer_id"]] and live[0]["x_counterparty"] is None
        wrong = await exchange.write(
            "private/x_accept_offer", TAKER, {"offer_id": made["offer_id"], "direction": "sell"}
        )
        assert wrong["error"]["data"]["code"] == 314
        taken = await exchange.write(
            "private/x_accept_offer", TAKER, {"offer_id": made["offer_id"], "direction": "buy"}
        )
        assert taken["trades"][0]["price"] == "60050.0" and await exchange.read("public/x_get_offers") == []
        late = await exchange.write("private/x_make_offer", MAKER, offer | {"x_good_till_ms": 5, "label": 10})
        assert late["error"]["data"]["code"] == 314
        third = await exchange.read("private/get_account_summary", owner="0x" + OWNERS[THIRD].hex())
        to_third = offer | {"x_counterparty": third["x_account_index"], "label": 11}
        assert (await exchange.write("private/x_make_offer", MAKER, to_third))["offer"]["state"] == "open"
        assert await exchange.read("public/x_get_offers") == []
        assert len(await exchange.read("public/x_get_offers", owner="0x" + OWNERS[THIRD].hex())) == 1


async def test_money_moves_and_is_told(tmp_path: Path) -> None:
    async with small_exchange(tmp_path) as exchange:
        own = await exchange.write("private/submit_transfer_to_subaccount", MAKER, {"amount": "5", "destination": 3})
        assert own["state"] == "confirmed"
        given = {"amount": "7", "destination": "0x" + OWNERS[TAKER].hex()}
        assert (await exchange.write("private/submit_transfer_to_user", MAKER, given))["state"] == "confirmed"
        nobody = await exchange.write("private/submit_transfer_to_user", MAKER, given | {"destination": "77" * 20})
        assert nobody["error"]["data"]["code"] == 320
        left = await exchange.write("private/withdraw", MAKER, {"amount": "11", "currency": "USDC"})
        assert left["id"] == 0 and left["address"] == OWNED["owner"]
        too_much = await exchange.write("private/x_withdraw", MAKER, {"amount": "1000000"})
        assert too_much["error"]["data"]["code"] == 403
        assert (await exchange.write("private/x_withdraw", MAKER, {"amount": "1"}))["id"] == 1
        exchange.deposit(OWNERS[MAKER], 0, 13_000_000)
        log = (await exchange.read("private/get_transaction_log", **OWNED))["logs"]
        moved = [(entry["type"], entry["change"]) for entry in log]
        assert moved == [
            ("deposit", "13.000000"), ("withdrawal", "-1.000000"), ("withdrawal", "-11.000000"),
            ("transfer", "-7.000000"), ("transfer", "-5.000000"), ("deposit", "10000.000000"),
        ]  # fmt: skip
        page = await exchange.read("private/get_transaction_log", count=4, **OWNED)
        rest = await exchange.read("private/get_transaction_log", count=4, continuation=page["continuation"], **OWNED)
        assert [*page["logs"], *rest["logs"]] == log and rest["continuation"] is None
        transfers = (await exchange.read("private/get_transfers", **OWNED))["data"]
        assert [(item["direction"], item["type"]) for item in transfers] == [
            ("payment", "user"),
            ("payment", "subaccount"),
        ]
        income = (await exchange.read("private/get_transfers", owner=OWNED["owner"], subaccount=3))["data"]
        assert [(item["direction"], item["amount"]) for item in income] == [("income", "5.000000")]
        assert [item["x_subaccount"] for item in await exchange.read("private/get_subaccounts", **OWNED)] == [0, 3]
        assert (await exchange.read("private/get_deposits", **OWNED))["count"] == 2
        assert [item["id"] for item in (await exchange.read("private/get_withdrawals", **OWNED))["data"]] == [1, 0]


async def test_keys_modes_and_switches_are_set_and_told(tmp_path: Path) -> None:
    async with small_exchange(tmp_path) as exchange:
        key = {"key": "0x" + OWNERS[THIRD].hex()}
        terms = key | {"scopes": ["trade"], "x_valid_until_ms": LATER_MS, "x_order_cap": "600"}
        assert (await exchange.write("private/x_register_session_key", MAKER, terms))["x_is_final"]
        keys = (await exchange.read("private/x_list_session_keys", **OWNED))["keys"]
        assert (keys[0]["scopes"], keys[0]["x_order_cap"], keys[0]["is_expired"]) == (["trade"], "600.000000", False)
        signed = await exchange.write("private/buy", MAKER, BID, signer=THIRD)
        assert signed["order"]["order_state"] == "open"
        capped = await exchange.write("private/buy", MAKER, BID | {"amount": "0.020"}, signer=THIRD)
        assert capped["error"]["data"]["code"] == 317
        forbidden = await exchange.write("private/withdraw", MAKER, {"amount": "1"}, signer=THIRD)
        assert forbidden["error"]["data"]["code"] == 205
        assert (await exchange.write("private/x_revoke_session_key", MAKER, key))["x_is_final"]
        revoked = await exchange.write("private/buy", MAKER, BID, signer=THIRD)
        assert revoked["error"]["data"]["code"] == 102
        past = await exchange.write("private/x_register_session_key", MAKER, terms | {"x_valid_until_ms": 1})
        assert past["error"]["data"]["code"] == 314
        for method in ("change_margin_model", "x_set_margin_mode"):
            assert (await exchange.write(f"private/{method}", MAKER, {"margin_model": "cross_pm"}))["x_is_final"]
        assert (await exchange.read("private/get_account_summary", **OWNED))["margin_model"] == "cross_pm"
        explained = await exchange.read("private/x_margin_explain", **OWNED)
        assert explained["margin_model"] == "cross_pm" and explained["x_worst_scenario"] is not None
        switch = {"x_deadline_ms": exchange.chain.head.timestamp_ms + 60_000}
        assert (await exchange.write("private/x_cancel_all_after", MAKER, switch))["x_is_final"]
        assert (await exchange.read("private/get_cancel_on_disconnect", **OWNED))["enabled"]
        assert (await exchange.write("private/disable_cancel_on_disconnect", MAKER, {}))["x_is_final"]
        assert not (await exchange.read("private/get_cancel_on_disconnect", **OWNED))["enabled"]
        soon = {"x_deadline_ms": exchange.chain.head.timestamp_ms + 1}
        assert (await exchange.write("private/enable_cancel_on_disconnect", MAKER, soon))["error"]["data"][
            "code"
        ] == 314
        friend = "0x" + OWNERS[TAKER].hex()
        assert (await exchange.write("private/x_set_referrer", MAKER, {"referrer": friend}))["x_is_final"]
        twice = await exchange.write("private/x_set_referrer", MAKER, {"referrer": friend})
        assert twice["error"]["data"]["code"] == 314
        builder = {"builder": friend, "x_fee_ppm_max": 100}
        assert (await exchange.write("private/x_approve_builder", MAKER, builder))["x_is_final"]
        shown = await exchange.read("private/x_list_session_keys", **OWNED)
        assert shown["builders"][0]["x_fee_ppm_max"] == 100 and shown["referrer"] == friend


async def test_a_command_is_found_by_id_nonce_and_label_and_a_retry_says_the_same(tmp_path: Path) -> None:
    async with small_exchange(tmp_path) as exchange:
        params = exchange.sign("private/buy", MAKER, BID | {"label": 5}, nonce=1_000)
        exchange.is_held = True
        early = await exchange.read("private/buy", x_wait="received", **params)
        assert early["x_status"] == "received" and not early["x_is_final"]
        name = early["x_command_id"]
        assert (await exchange.read("public/x_get_command_status", command_id=name))["status"] == "received"
        receipt = await exchange.read("public/x_get_receipt", command_id=name)
        assert receipt == early["x_receipt"]
        exchange.release()
        exchange.is_held = False
        known = await exchange.read("public/x_get_command_status", command_id=name)
        assert known["is_final"] and known["status"] == "certified" and known["order_state"] == "open"
        assert known["x_certificate"]["height"] == known["height"]
        for by in ({"nonce": 1_000}, {"label": 5}):
            assert await exchange.read("public/x_get_command_status", **OWNED, **by) == known
        again = await exchange.read("private/buy", **params)
        assert (again["x_command_id"], again["order"]) == (name, early["order"] | again["order"])
        assert (
            again["x_height"] == known["height"] and len(await exchange.read("private/get_open_orders", **OWNED)) == 1
        )
        other = await exchange.write("private/buy", MAKER, BID, nonce=1_000)
        assert other["error"]["data"]["code"] == 203
        assert await exchange.read("public/x_get_command_status", **OWNED, nonce=1_000) == known
        missing = await exchange.read("public/x_get_command_status", **OWNED, nonce=4)
        assert missing["error"]["data"]["code"] == 712


async def test_a_signature_is_explained_without_being_used(tmp_path: Path) -> None:
    async with small_exchange(tmp_path) as exchange:

        async def debug(**changes: Any) -> Any:
            params = exchange.sign("private/buy", MAKER, BID, **changes)
            return await exchange.read("private/order_debug", method="private/buy", params=params)

        good = await debug(nonce=50)
        assert (good["signer_role"], good["nonce_state"], good["code"]) == ("owner", "fresh", 0)
        assert good["type"].startswith("Place(address owner,") and good["margin"]["is_enough"]
        assert good["x_height"] == 1
        assert (await debug(nonce=51, signer=TAKER))["signer_role"] == "stranger"
        assert (await debug(nonce=52, expiry_ms=1))["is_expired"]
        unsigned = await exchange.read("private/x_order_debug", method="private/buy", params=BID | {
            "owner": "0x" + OWNERS[MAKER].hex(), "nonce": 50, "expiry_ms": EXPIRY_MS})  # fmt: skip
        assert (unsigned["signer_role"], unsigned["command_id"]) == ("nobody", good["command_id"])
        await exchange.write("private/buy", MAKER, BID, nonce=50)
        assert ((await debug(nonce=50))["nonce_state"], (await debug(nonce=50))["code"]) == ("spent", 203)
        assert exchange.chain.head.height == 2, "only the one that was written made a block"


async def test_funding_is_told_for_what_was_held(tmp_path: Path) -> None:
    async with small_exchange(tmp_path) as exchange:
        await exchange.write("private/sell", MAKER, BTC | {"amount": "0.030", "price": "60100"})
        await exchange.write("private/buy", TAKER, BTC | {"amount": "0.020", "price": "60100"})
        for _ in range(62):
            exchange.wait_ms(60_000)
        owned = {"owner": "0x" + OWNERS[TAKER].hex()}
        before = await exchange.read("private/get_account_summary", **owned)
        paid = (await exchange.read("private/get_settlement_history_by_currency", **owned))["settlements"]
        assert [(entry["type"], entry["position"]) for entry in paid] == [("settlement", "0.020")]
        assert float(paid[0]["funding"]) < 0, "the book asks above the index, so longs pay"
        got = (await exchange.read("private/get_settlement_history_by_instrument", **BTC, **OWNED))["settlements"]
        assert float(got[0]["funding"]) == -float(paid[0]["funding"]) and got[0]["position"] == "-0.020"
        cash = (await exchange.read("private/get_transaction_log", **owned))["logs"]
        assert [entry["type"] for entry in cash] == ["settlement", "trade", "deposit"]
        total = sum(Decimal(entry["change"]) for entry in cash)
        assert total == Decimal(before["balance"]), "what came and went is what is there"


async def test_histories_outlive_the_node(tmp_path: Path) -> None:
    async with small_exchange(tmp_path) as exchange:
        await exchange.write("private/sell", MAKER, BTC | {"amount": "0.030", "price": "60100", "label": 3})
        await exchange.write("private/buy", TAKER, BTC | {"amount": "0.030", "price": "60100"})
        await exchange.write("private/buy", MAKER, BID)
        await exchange.write("private/cancel_all", MAKER, {})
        params = {"currency": "USDC", "include_unfilled": True} | OWNED
        shown = await exchange.read("private/get_order_history_by_currency", **params)
        assert [order["order_state"] for order in shown] == ["cancelled", "filled"]
        # The node starts again on what it has stored.
        again = Ledger(exchange.store, Stats(lambda: 0), exchange.chain.executor.final.state)
        rows = list(again.closed_orders.walk(64, 10))
        assert [int(row["client_id"]) for row in rows] == [3]


def test_every_write_of_the_table_is_tried_here() -> None:
    text = Path(__file__).read_text()
    missing = [name for name in WRITES if name not in text and f'"{name.removeprefix("private/")}"' not in text]
    assert missing == []
