"""The SDK against a real server: both clients, reconnects, proofs, and what it may import."""

import json
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import trio
from test_gateway_backend import DictBackend
from test_gateway_inputs import KEY, OWNER, running

from engine.commands import COUNT_OFFSET
from engine.results import Code
from engine.units import UnitError
from net.client import (
    AsyncClient,
    Buy,
    Cancel,
    CancelAll,
    CancelLabel,
    Client,
    HansaError,
    OutcomeUnknown,
    ProofError,
    Sell,
)
from net.client.proof import verify_account
from net.client.protocol import Network, Signer, decode_message
from net.gateway.app import GatewayConfig, serve
from net.gateway.limits import Limits

KEY_HEX = "0x" + KEY.secret.hex()
MARKET = "BTC-PERPETUAL"


def funded() -> DictBackend:
    backend = DictBackend()
    backend.balances[b"\x05" * 20, 0] = 7
    backend.balances[OWNER, 0] = 1_000_000_000
    backend.balances[b"\x06" * 20, 3] = 9
    return backend


def quote_once(client: Client) -> None:
    """Several requests under one signature, one of them refused."""
    quotes = [
        Buy(MARKET, "0.010", "60000", label=1), Sell(MARKET, "0.010", "65000", "post_only", 2),
        Buy(MARKET, "0.010", "66000", "post_only"), CancelLabel(MARKET, 1), Cancel(f"{MARKET}-1"), CancelAll(),
    ]  # fmt: skip
    batched = client.batch(quotes)
    bid, ask, refused, *cancels = batched.outcomes
    assert batched.progress.is_final and bid.order.state == "open" == ask.order.state and ask.order.is_post_only
    assert refused.error.code == Code.WOULD_CROSS and refused.order is None
    assert [item.cancelled_count for item in cancels] == [1, None, 1]
    assert cancels[1].error.code == Code.UNKNOWN_ORDER
    single = client.batch([CancelAll(MARKET)]).outcomes
    assert [item.cancelled_count for item in single] == [0]
    with pytest.raises(HansaError, match="1 to 128"):
        client.batch([])


def trade_once(client: Client) -> None:
    """One trader's day, with the blocking client."""
    placed = client.buy(MARKET, "0.010", Decimal("64000"), label=7)
    assert placed.order.state == "open" and placed.progress.is_final and placed.order.label == 7
    assert client.order(placed.order.order_id).price_usd == Decimal("64000.0")
    assert [order.order_id for order in client.open_orders(MARKET)] == [placed.order.order_id]
    sold = client.sell(MARKET, "0.004", "63000", time_in_force="immediate_or_cancel")
    assert sold.order.state == "filled" and sold.trades[0].price_usd == 64000 and not sold.trades[0].is_maker
    assert sold.order.average_price_usd == 64000
    with pytest.raises(HansaError) as refused:
        client.sell(MARKET, "0.004", "63000", time_in_force="post_only")
    assert (refused.value.code, refused.value.rpc_code) == (Code.WOULD_CROSS, 11054)
    assert client.cancel_by_label(MARKET, 7).count == 1
    with pytest.raises(HansaError) as gone:
        client.cancel(placed.order.order_id)
    assert gone.value.code == Code.UNKNOWN_ORDER
    client.buy(MARKET, "0.001", "1000")
    assert client.cancel_all().count == 1
    assert client.cancel_all(MARKET).count == 0
    assert [fill.is_maker for fill in client.user_trades(MARKET)] == [False, True]
    assert client.trades(MARKET)[0].amount_base == Decimal("0.004")
    assert client.positions()[0].size_base == 0
    account = client.account()
    assert account.balance == 1000 and account.open_orders == 0
    assert client.order_book(MARKET).bids == () and client.ticker(MARKET).mark_price_usd == 64000
    assert client.status()["peer_count"] == 3 and len(client.instruments()) == 2
    withdrawing = client.withdraw("12.5")
    assert withdrawing.index == 0 and client.withdrawals()[0]["amount"] == "12.500000"
    assert [(entry["index"], entry["state"], entry["x_code"]) for entry in client.inbox()] == [
        (8, "waiting", None), (7, "refused", Code.INSUFFICIENT_BALANCE),
    ]  # fmt: skip
    assert client.withdrawal_proof(0)["index"] == 0
    assert client.command_status(withdrawing.progress.command_id)["is_final"] is True
    assert client.certificate()["height"] == account.height + 1
    assert (
        client.call("public/x_decode_action", command="00" * COUNT_OFFSET + "01" + "00" * 102)["is_well_formed"]
        is False
    )


async def test_blocking_client() -> None:
    def work(url: str) -> None:
        with Client(url, KEY_HEX) as client:
            trade_once(client)
            quote_once(client)

    async with running(funded()) as url:
        await trio.to_thread.run_sync(work, url)


async def test_async_client_is_the_same_api() -> None:
    async with running(funded()) as url, AsyncClient(url, KEY_HEX) as client:
        placed = await client.buy(MARKET, "0.010", "64000")
        assert placed.order.state == "open"
        received = await client.sell(MARKET, "0.010", "64001", wait="received")
        assert received.progress.receipt is not None
        with pytest.raises(HansaError) as refused:
            await client.withdraw("99999999")
        assert refused.value.code == Code.INSUFFICIENT_BALANCE
        assert refused.value.data["stage"] == "final"


async def test_subscriptions_of_both_clients() -> None:
    backend = funded()

    def first(url: str) -> str:
        with Client(url) as client:
            for message in client.subscribe("x.blocks"):
                return message.channel
        return ""

    def unknown(url: str) -> int:
        with Client(url) as client, pytest.raises(HansaError) as refused:
            next(client.subscribe("x.nothing"))
        return refused.value.code

    async with running(backend) as url, AsyncClient(url, KEY_HEX) as client:
        async with client.subscribe(f"book.{MARKET}.raw") as messages:
            assert (await anext(messages)).data["type"] == "snapshot"
            await client.buy(MARKET, "0.010", "64000")
            assert (await anext(messages)).data["bids"] == [["new", "64000.0", "0.010"]]
        assert await trio.to_thread.run_sync(unknown, url) == 608

        async def keep_trading() -> None:
            while True:
                await client.buy(MARKET, "0.001", "10")
                await trio.sleep(0.02)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_trading)
            assert await trio.to_thread.run_sync(first, url) == "x.blocks"
            nursery.cancel_scope.cancel()


async def test_reconnect_renews_subscriptions_and_sends_calls_again() -> None:
    backend = funded()
    limits = Limits(shutdown_s=0.1)
    async with trio.open_nursery() as nursery:
        scope = trio.CancelScope()

        async def serve_for_a_while(config: GatewayConfig, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
            with scope:
                await serve(backend, config, task_status=task_status)

        urls = await nursery.start(serve_for_a_while, GatewayConfig("127.0.0.1", 0, limits))
        port = int(urls[0].rsplit(":", 1)[1])
        async with AsyncClient(urls[0], KEY_HEX, timeout_s=10) as client:
            async with client.subscribe(f"book.{MARKET}.raw") as messages:
                await anext(messages)
                scope.cancel()
                await trio.sleep(0.3)
                scope = trio.CancelScope()
                nursery.start_soon(client.buy, MARKET, "0.010", "64000")
                await trio.sleep(0.1)
                await nursery.start(serve_for_a_while, GatewayConfig("127.0.0.1", port, limits))
                with trio.fail_after(8):
                    seen = [(await anext(messages)).data["type"] for _ in range(2)]
                assert seen == ["snapshot", "change"]
            assert client.connection_count == 2 and len(backend.submitted) == 1
        nursery.cancel_scope.cancel()


async def test_what_came_while_a_connection_was_lost_is_told_on_the_next() -> None:
    backend = funded()
    channel = f"book.{MARKET}.raw"
    async with (
        running(backend) as url,
        AsyncClient(url, KEY_HEX) as other,
        AsyncClient(url) as client,
        client.subscribe(channel) as messages,
    ):
        assert (await anext(messages)).data["type"] == "snapshot"
        await other.buy(MARKET, "0.010", "64000")
        seen = await anext(messages)
        link = client._link._socket
        assert link is not None
        with trio.CancelScope(shield=True):
            await link.close()
        await other.buy(MARKET, "0.020", "63999")
        with trio.fail_after(10):
            missed = await anext(messages)
        assert missed.data["type"] == "change" and missed.data["bids"] == [["new", "63999.0", "0.020"]]
        assert missed.number == seen.number + 1 and client.connection_count == 2


async def test_errors_leave_the_client_in_no_group() -> None:
    async with running(funded()) as url:
        with pytest.raises(HansaError) as refused:
            async with AsyncClient(url, KEY_HEX) as client:
                await client.cancel(f"{MARKET}-99")
        assert refused.value.code == Code.UNKNOWN_ORDER
        with trio.move_on_after(0.1) as scope:
            async with AsyncClient(url) as client:
                await trio.sleep_forever()
        assert scope.cancelled_caught


async def test_two_listeners_share_one_channel() -> None:
    channel = f"book.{MARKET}.raw"
    async with (
        running(funded()) as url,
        AsyncClient(url, KEY_HEX) as client,
        client.subscribe(channel) as first,
    ):
        assert (await anext(first)).data["type"] == "snapshot"
        async with client.subscribe(channel) as second:
            assert (await anext(first)).data["type"] == (await anext(second)).data["type"] == "snapshot"
        await client.buy(MARKET, "0.010", "64000")
        assert (await anext(first)).data["type"] == "change"


async def test_no_node_means_unknown_not_refused() -> None:
    async with AsyncClient("http://127.0.0.1:9", KEY_HEX, timeout_s=0.2) as client:
        with pytest.raises(OutcomeUnknown):
            await client.status()
    with Client("http://127.0.0.1:9") as client, pytest.raises(OutcomeUnknown):
        client.status()


async def test_proof_is_checked() -> None:
    async with running(funded()) as url, AsyncClient(url, KEY_HEX) as client:
        proven = await client.proof()
        assert proven.claims == 1000 and proven.debt == 0
        raw = proven.raw

    def spoil(change: Callable[[dict], None]) -> None:
        copy = json.loads(json.dumps(raw))
        change(copy)
        with pytest.raises(ProofError):
            verify_account(copy, OWNER, 0)

    verify_account(raw, OWNER, 0)
    spoil(lambda p: p.update(claims="1000.000001"))
    spoil(lambda p: p.update(index=p["index"] + 1))
    spoil(lambda p: p.update(index=p["index"] + (1 << 20)))
    spoil(lambda p: p["siblings"].pop())
    spoil(lambda p: p["siblings"][1].update(claims="-1"))
    spoil(lambda p: p["siblings"][0].update(claims="9"))
    spoil(lambda p: p.update(holdings="0x00"))
    spoil(lambda p: p["certificate"].update(header="0x00"))
    spoil(lambda p: p.pop("debt"))
    with pytest.raises(ProofError):
        verify_account(raw, b"\x09" * 20, 0)


async def test_wrong_units_never_leave_the_client() -> None:
    backend = funded()
    async with running(backend) as url, AsyncClient(url, KEY_HEX) as client:
        with pytest.raises(UnitError, match="nearest"):
            await client.buy(MARKET, "0.010", "64000.05")
        with pytest.raises(TypeError):
            await client.buy(MARKET, 0.01, "64000")
        with pytest.raises(HansaError):
            await client.buy("DOGE", "1", "1")
        assert backend.submitted == []


async def test_another_network_is_refused() -> None:
    async with running(funded()) as url, AsyncClient(url, KEY_HEX, network_id="0x" + "00" * 32) as client:
        with pytest.raises(HansaError, match="another network"):
            await client.buy(MARKET, "0.010", "64000")
        domain = await client.call("public/x_get_domain")
    with pytest.raises(HansaError, match="does not follow"):
        Network.parse(domain | {"domain_separator": "0x" + "00" * 32})


def test_nonces_grow_even_when_the_clock_does_not() -> None:
    signer = Signer.parse(KEY_HEX, 0)
    assert [signer.next_nonce(now_us) for now_us in (5, 5, 3, 9)] == [5, 6, 7, 9]


@pytest.mark.parametrize("text", [b"\xff", "", "[]", "NaN{"])
def test_a_node_that_talks_nonsense(text: str | bytes) -> None:
    with pytest.raises(HansaError):
        decode_message(text)


def test_the_sdk_is_light() -> None:
    heavy = ("numba", "llvmlite", "web3", "blspy", "libp2p", "starlette")
    code = f"import sys, net.client; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
