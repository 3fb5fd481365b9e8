"""The SDK's order stream against a real server: one outcome for every message, over lost connections, too."""

from decimal import Decimal
from typing import Any

import pytest
import trio
from test_client import KEY_HEX, MARKET
from test_gateway_backend import DictBackend
from test_gateway_inputs import OWNER, running

from engine.commands import ACTIONS_MAX
from engine.results import Code
from net.client import AsyncClient, Buy, Cancel, CancelAll, HansaError, OutcomeUnknown, Sell
from net.client.order_stream import OrderStream
from net.gateway.app import GatewayConfig, serve
from net.gateway.limits import Limits


def funded() -> DictBackend:
    backend = DictBackend()
    backend.balances[b"\x05" * 20, 0] = 7
    backend.balances[OWNER, 0] = 1_000_000_000
    return backend


async def next_of(stream: OrderStream):
    with trio.fail_after(10):
        return await anext(stream)


async def test_every_message_has_one_outcome_with_what_became_of_its_requests() -> None:
    async with running(funded()) as url, AsyncClient(url, KEY_HEX) as client, client.order_stream() as stream:
        placed = await stream.send([Buy(MARKET, "0.010", "64000"), Buy(MARKET, "0.010", "66000", "post_only")])
        first = await next_of(stream)
        assert first.message_id == placed and first.error is None and first.height > 0
        bid, other = first.actions
        assert bid.error is None and bid.state == "open" and other.error is None
        assert (await client.order(bid.order_id)).price_usd == 64000
        sent = [await stream.send([Cancel(bid.order_id), Cancel(f"{MARKET}-99")]), await stream.send([CancelAll()])]
        cancelled, rest = await next_of(stream), await next_of(stream)
        assert [cancelled.message_id, rest.message_id] == sent and stream.pending_count == 0
        assert cancelled.actions[0].error is None and cancelled.actions[1].error.code == Code.UNKNOWN_ORDER


async def test_what_is_sent_together_shares_a_frame() -> None:
    backend = funded()
    async with running(backend) as url, AsyncClient(url, KEY_HEX) as client, trio.open_nursery() as nursery:
        stream = OrderStream([url], await client.network(), client.operations.signer)
        for label in range(50):
            await stream.send([Buy(MARKET, "0.001", "1000", label=label + 1)])
        nursery.start_soon(stream.run)
        outcomes = [await next_of(stream) for _ in range(50)]
        assert all(outcome.error is None for outcome in outcomes) and backend.order_frames == 1
        assert [item.action.client_id for item in backend.submitted] == list(range(1, 51)), "in the order of sending"
        nursery.cancel_scope.cancel()


async def test_a_refused_message_ends_with_the_nodes_number() -> None:
    backend = funded()
    backend.precheck = Code.EXPIRED
    async with running(backend) as url, AsyncClient(url, KEY_HEX) as client, client.order_stream() as stream:
        await stream.send([Sell(MARKET, "0.001", "64000")])
        outcome = await next_of(stream)
        assert (outcome.error.code, outcome.error.message, outcome.actions) == (Code.EXPIRED, "expired", ())
        for bad in ([], [CancelAll()] * (ACTIONS_MAX + 1)):
            with pytest.raises(HansaError, match="1 to 128"):
                await stream.send(bad)


async def test_a_lost_connection_loses_no_outcome_and_executes_nothing_twice() -> None:
    backend, limits, scope = funded(), Limits(shutdown_s=0.1), trio.CancelScope()
    backend.is_held = True

    async def serve_for_a_while(config: GatewayConfig, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        with scope:
            await serve(backend, config, task_status=task_status)

    async with trio.open_nursery() as nursery:
        (url,) = await nursery.start(serve_for_a_while, GatewayConfig("127.0.0.1", 0, limits))
        async with AsyncClient(url, KEY_HEX) as client, client.order_stream() as stream:
            sent = await stream.send([Buy(MARKET, "0.010", "64000")])
            with trio.fail_after(20):
                while not backend.submitted:
                    await trio.sleep(0.01)
                scope.cancel()
                backend.finalise(backend.submitted[0])
                scope = trio.CancelScope()
                await trio.sleep(0.3)
                config = GatewayConfig("127.0.0.1", int(url.rpartition(":")[2]), limits)
                await nursery.start(serve_for_a_while, config)
                outcome = await anext(stream)
            assert outcome.message_id == sent and outcome.actions[0].state == "open"
            assert len(backend.submitted) == 1 and stream.connection_count == 2
        nursery.cancel_scope.cancel()


async def test_receipts_of_another_key_end_the_stream() -> None:
    backend = funded()
    backend.domain = type(backend.domain)(*(getattr(backend.domain, name) for name in (
        "chain_id", "contract", "network_id", "node_index", "token", "markets")), node_key=bytes(32))  # fmt: skip
    async with running(backend) as url, AsyncClient(url, KEY_HEX) as client, client.order_stream() as stream:
        await stream.send([Buy(MARKET, "0.010", "64000")])
        with pytest.raises(HansaError, match="signature"):
            await next_of(stream)
        with pytest.raises(HansaError, match="does not hold"):
            await stream.send([Buy(MARKET, "0.010", "64000")])


async def test_what_nobody_answers_for_ends_long_after_its_expiry() -> None:
    backend = funded()
    backend.is_held = True
    async with running(backend) as url, AsyncClient(url, KEY_HEX) as client, client.order_stream() as stream:
        client.operations.signer.expiry_s = -40  # so that "long after" is now
        await stream.send([Buy(MARKET, "0.010", "64000")])
        outcome = await next_of(stream)
        assert isinstance(outcome.error, OutcomeUnknown) and stream.pending_count == 0


async def test_fills_are_told_in_decimals() -> None:
    async with running(funded()) as url, AsyncClient(url, KEY_HEX) as client, client.order_stream() as stream:
        await stream.send([Buy(MARKET, "0.010", "64000"), Sell(MARKET, "0.004", "63000", "immediate_or_cancel")])
        outcome = await next_of(stream)
        buy, sell = outcome.actions
        assert buy.remaining_base == Decimal("0.010") and sell.filled_base == Decimal("0.004")
        assert sell.filled_usdc == Decimal("256") and outcome.time_ms > 0
