"""The async SDK is one for trio and asyncio, and outlives the node that it talks to, on both."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
import trio
from test_client import KEY_HEX, MARKET, funded
from test_gateway_inputs import running

from engine.results import Code
from net.client import AsyncClient, Buy, Cancel, Client, HansaError, OutcomeUnknown

BACKENDS = ("trio", "asyncio")
NOBODY = "http://127.0.0.1:9"


async def elsewhere(backend: str, work: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
    """In an event loop of its own in another thread, while this one serves."""
    return await trio.to_thread.run_sync(lambda: anyio.run(work, *arguments, backend=backend))


async def trade(url: str) -> None:
    async with AsyncClient(url, KEY_HEX) as client, client.subscribe(f"book.{MARKET}.raw") as messages:
        assert (await anext(messages)).data["type"] == "snapshot"
        placed = await client.buy(MARKET, "0.010", "64000", label="bid-1")
        assert placed.order.state == "open" and placed.progress.is_final
        assert (await anext(messages)).data["bids"] == [["new", "64000.0", "0.010"]]
        with pytest.raises(HansaError) as refused:
            await client.sell(MARKET, "0.010", "63000", time_in_force="post_only")
        assert refused.value.code == Code.WOULD_CROSS
        assert (await client.cancel_by_label(MARKET, "bid-1")).count == 1
        async with client.order_stream() as stream:
            await stream.send([Buy(MARKET, "0.001", "1000"), Cancel(f"{MARKET}-99")])
            outcome = await anext(stream)
            assert [action.error is None for action in outcome.actions] == [True, False]


@pytest.mark.parametrize("backend", BACKENDS)
async def test_a_traders_day_on_both_event_loops(backend: str) -> None:
    async with running(funded()) as url:
        await elsewhere(backend, trade, url)


async def give_up(url: str) -> None:
    with anyio.move_on_after(0.2) as scope:
        async with AsyncClient(url) as client:
            await client.status()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    with pytest.raises(HansaError, match="unknown"):
        async with AsyncClient(url, KEY_HEX) as client:
            await client.buy("DOGE", "1", "1")
    with pytest.raises(OutcomeUnknown):
        async with AsyncClient(NOBODY, timeout_s=0.1) as client:
            await client.status()


@pytest.mark.parametrize("backend", BACKENDS)
async def test_errors_and_cancellation_pass_through_as_they_are(backend: str) -> None:
    async with running(funded()) as url:
        await elsewhere(backend, give_up, url)


async def outlive(urls: list[str], end_first: Callable[[], None]) -> None:
    async with (
        AsyncClient([NOBODY, *urls], KEY_HEX, timeout_s=10) as client,
        client.subscribe(f"book.{MARKET}.raw") as messages,
        client.order_stream() as stream,
    ):
        assert (await anext(messages)).data["type"] == "snapshot" and client.url == urls[0]
        await stream.send([Buy(MARKET, "0.001", "1000")])
        assert (await anext(stream)).error is None
        end_first()
        await stream.send([Buy(MARKET, "0.002", "1001")])
        with anyio.fail_after(10):
            assert (await anext(stream)).error is None
            assert (await client.buy(MARKET, "0.003", "1002")).order.state == "open"
            while (await anext(messages)).data["type"] != "snapshot":
                pass
        # From now on every call goes to the second one.
        assert (await client.status())["height"] > 0 and client.url == urls[1]


@pytest.mark.parametrize("backend", BACKENDS)
async def test_when_a_node_ends_the_next_one_takes_over_with_all_that_was_under_way(backend: str) -> None:
    exchange = funded()  # both nodes serve one exchange
    token, is_over = trio.lowlevel.current_trio_token(), trio.Event()

    async def serve_first(task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        async with running(exchange) as url:
            task_status.started(url)
            await is_over.wait()

    async with running(exchange) as second, trio.open_nursery() as nursery:
        first = await nursery.start(serve_first)
        await elsewhere(backend, outlive, [first, second], lambda: token.run_sync_soon(is_over.set))
    assert sorted(item.action.size_lots for item in exchange.submitted) == [1, 2, 3], "nothing twice"


async def test_the_blocking_client_goes_to_the_next_node() -> None:
    def work(url: str) -> None:
        with Client([NOBODY, url], KEY_HEX) as client:
            assert client.buy(MARKET, "0.010", "64000").order.state == "open"
            assert client.url == url
            for message in client.subscribe(f"book.{MARKET}.raw"):
                assert message.data["type"] == "snapshot"
                break

    async with running(funded()) as url:
        await trio.to_thread.run_sync(work, url)


async def test_a_slow_reader_of_the_blocking_client_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("net.client.client._BUFFER_MESSAGES", 1)
    exchange = funded()

    def work(url: str) -> None:
        with Client(url, KEY_HEX) as client:
            messages = client.subscribe(f"book.{MARKET}.raw")
            next(messages)
            for label in range(5):
                client.buy(MARKET, "0.001", str(1000 + label))
            with pytest.raises(HansaError, match="behind"):
                for _ in range(5):
                    next(messages)

    async with running(exchange) as url:
        await trio.to_thread.run_sync(work, url)
