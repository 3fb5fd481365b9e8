"""Channels of an account: whose they are, what they tell, and to whom."""

import json
from typing import Any

import pytest
import trio
from coincurve import PrivateKey
from test_gateway_backend import DictBackend
from test_gateway_inputs import KEY, OWNER, ask, running, websocket
from trio_websocket import WebSocketConnection

from engine.commands import BUY, PLACE, SELL, Command, address_of
from net.gateway.errors import ApiError
from net.gateway.instruments import Instruments
from net.gateway.user_channels import parse_user_channel

OTHER_KEY = PrivateKey(b"\x08" * 32)
OTHER = address_of(OTHER_KEY.public_key)
NONCES = iter(range(1, 1 << 30))
INSTRUMENTS = Instruments(DictBackend().market_data)
ACCOUNT = OWNER, 3


def place(
    backend: DictBackend, key: PrivateKey, side: int, size_lots: int, subaccount: int = 0, market: int = 0
) -> None:
    command = Command.of(
        PLACE, owner=address_of(key.public_key), nonce=next(NONCES), expiry_ms=1 << 50, subaccount=subaccount,
        market=market, side=side, price_ticks=640_000, size_lots=size_lots,
    ).signed(key, backend.domain.domain_separator)  # fmt: skip
    backend.take(command)


async def call(connection: WebSocketConnection, method: str, **params: object) -> Any:
    answer = await ask(connection, json.dumps({"id": 1, "method": method, "params": params}))
    return answer.get("result", answer)


async def hear(connection: WebSocketConnection) -> tuple[str, Any]:
    with trio.fail_after(5):
        message = json.loads(await connection.get_message())
    return message["params"]["channel"], message["params"]["data"]


NAMES = [
    ("user.orders.BTC-PERPETUAL.raw", ("user.orders", 0, "any", "any", True)),
    ("user.orders.BTC-PERPETUAL.100ms", ("user.orders", 0, "any", "any", False)),
    ("user.orders.any.any.raw", ("user.orders", -1, "any", "any", True)),
    ("user.trades.future.USDC.raw", ("user.trades", -1, "future", "USDC", False)),
    ("user.changes.option.btc.agg2", ("user.changes", -1, "option", "btc", False)),
    ("user.portfolio.usdc", ("user.portfolio", -1, "any", "usdc", False)),
    ("user.mmp_trigger.btc_usdc", ("user.mmp_trigger", -1, "any", "btc_usdc", False)),
]


@pytest.mark.parametrize(("name", "parts"), NAMES)
def test_names_of_deribit_mean_the_account_of_the_connection(name: str, parts: tuple) -> None:
    channel = parse_user_channel(name, INSTRUMENTS, ACCOUNT)
    assert (channel.kind, channel.market, channel.only_kind, channel.currency, channel.is_single) == parts
    assert (channel.owner, channel.subaccount) == ACCOUNT
    with pytest.raises(ApiError) as refused:
        parse_user_channel(name, INSTRUMENTS, None)
    assert refused.value.fault.number == 714


def test_names_with_an_owner_mean_all_his_subaccounts() -> None:
    for topic in ("user.orders", "user.trades", "x.commands"):
        channel = parse_user_channel(f"{topic}.0x{OWNER.hex()}", INSTRUMENTS, None)
        assert (channel.kind, channel.owner, channel.subaccount) == (topic, OWNER, None)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("user.lock", 608), ("user.orders", 608), ("user.orders.BTC-PERPETUAL", 608),
        ("user.orders.BTC-PERPETUAL.500ms", 608), ("user.trades.DOGE-PERPETUAL.raw", 707),
        ("user.changes.swap.any.raw", 707), ("user.portfolio", 608), ("x.commands.0x12", 608),
        ("user.orders.0x" + "zz" * 20, 608),
    ],
)  # fmt: skip
def test_channels_that_do_not_exist_have_their_number(name: str, number: int) -> None:
    with pytest.raises(ApiError) as refused:
        parse_user_channel(name, INSTRUMENTS, ACCOUNT)
    assert refused.value.fault.number == number


async def test_a_login_needs_a_name_and_takes_no_secret() -> None:
    backend = DictBackend()
    backend.balances[OWNER, 3] = 1_000
    async with running(backend) as url, websocket(url) as connection:
        for grant in ("client_credentials", "client_signature", "refresh_token"):
            error = (await call(connection, "public/auth", grant_type=grant, client_id="a", client_secret="b"))["error"]
            assert (error["code"], error["data"]["code"]) == (13009, 714) and "hansa gateway" in error["data"]["hint"]
        assert (await call(connection, "private/get_account_summary"))["error"]["data"]["code"] == 701
        known = await call(connection, "public/auth", grant_type="x_owner", owner=OWNER.hex(), subaccount=3)
        assert known["x_is_known"] and known["x_subaccount"] == 3
        summary = await call(connection, "private/get_account_summary")
        assert (summary["x_owner"], summary["x_subaccount"]) == ("0x" + OWNER.hex(), 3)
        assert (await call(connection, "private/get_positions", owner=OTHER.hex())) == []
        assert (await call(connection, "private/logout")) == "ok"
        assert (await call(connection, "private/get_account_summary"))["error"]["data"]["code"] == 701


async def test_one_name_tells_each_connection_of_its_own_account() -> None:
    backend = DictBackend()
    names = ["user.orders.any.any.raw", "user.trades.any.any.100ms"]
    async with running(backend) as url, websocket(url) as mine, websocket(url) as others:
        for connection, owner in ((mine, OWNER), (others, OTHER)):
            await call(connection, "public/auth", grant_type="x_owner", owner=owner.hex())
            assert await call(connection, "private/subscribe", channels=names) == names
        place(backend, KEY, BUY, 10)
        name, order = await hear(mine)
        assert name == names[0] and order["order_state"] == "open" and order["x_height"] == 1
        place(backend, KEY, SELL, 4, subaccount=1)  # another account of the same owner is not meant
        assert (await hear(mine))[1]["filled_amount"] == "0.004"
        assert (await hear(mine))[1][0]["amount"] == "0.004"
        place(backend, OTHER_KEY, SELL, 6)
        name, order = await hear(others)
        assert order["x_owner"] == "0x" + OTHER.hex() and order["order_state"] == "filled"
        assert (await hear(others))[1][0]["liquidity"] == "T"
        assert (await hear(mine))[1]["order_state"] == "filled"
        # A connection that means another account from now on is told of that one.
        await call(others, "public/auth", grant_type="x_owner", owner=OWNER.hex(), subaccount=1)
        await call(others, "private/subscribe", channels=names)
        place(backend, OTHER_KEY, BUY, 3)
        place(backend, KEY, SELL, 3, subaccount=1)
        assert (await hear(others))[1]["x_subaccount"] == 1


async def test_changes_come_by_instrument_and_summaries_when_they_change() -> None:
    backend = DictBackend()
    backend.balances[OWNER, 0] = 5_000_000
    names = ["user.portfolio.usdc", "user.portfolio.btc", "user.changes.any.any.raw", "x.commands.0x" + OWNER.hex()]
    async with running(backend) as url, websocket(url) as connection:
        await call(connection, "public/auth", grant_type="x_owner", owner=OWNER.hex())
        await call(connection, "public/subscribe", channels=names)
        name, summary = await hear(connection)
        assert name == "user.portfolio.usdc" and summary["x_open_orders"] == 0
        place(backend, KEY, BUY, 10, market=1)
        told = dict([await hear(connection) for _ in range(3)])
        assert told["user.portfolio.usdc"]["x_open_orders"] == 1
        changes = told["user.changes.any.any.raw"]
        assert changes["instrument_name"] == "ETH-PERPETUAL" and len(changes["orders"]) == 1
        assert changes["trades"] == changes["positions"] == []
        assert told[names[3]][0]["is_final"] and told[names[3]][0]["order_state"] == "open"
        place(backend, OTHER_KEY, SELL, 4, market=1)
        told = dict([await hear(connection) for _ in range(2)])
        assert told["user.changes.any.any.raw"]["positions"][0]["size"] == "0.04"
        place(backend, OTHER_KEY, BUY, 1)  # of nobody's concern here
        place(backend, KEY, SELL, 2)
        assert (await hear(connection))[0] in names
