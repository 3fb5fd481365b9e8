"""Market channels: names that exist and names that do not, books in steps, differences of tickers, and going on after a
lost connection.
"""

import json
from typing import Any

import pytest
import trio
import trio.testing
from dict_market_data import CALL, CALL_NAME, FUTURE
from test_gateway_backend import DictBackend
from test_gateway_feeds import place
from test_gateway_inputs import ask, running, websocket
from trio_websocket import WebSocketConnection

from engine.commands import BUY, SELL
from net.gateway.backend import BlockEvent, TradeView
from net.gateway.channel import Channel
from net.gateway.errors import ApiError
from net.gateway.feeds import IDLE_S, Hub
from net.gateway.instruments import Instruments
from net.gateway.market_sources import InstrumentStates
from net.gateway.sources import Difference, Value
from net.gateway.stream import KEPT_MESSAGES, Stream


class Reader:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.has_unsent = False

    def push(self, text: str) -> None:
        self.messages.append(json.loads(text)["params"])

    @property
    def data(self) -> list[Any]:
        return [message["data"] for message in self.messages]


def make_hub() -> tuple[DictBackend, Hub]:
    backend = DictBackend()
    backend.market_data.listed += (FUTURE, CALL)
    return backend, Hub(backend, Instruments(backend.market_data))


BAD = [
    "book.BTC-PERPETUAL", "book.BTC-PERPETUAL.10ms", "book.BTC-PERPETUAL.none.20", "book.BTC-PERPETUAL.none.7.raw",
    "book.BTC-PERPETUAL.x.10.raw", "book.BTC-PERPETUAL.0.10.raw", "book.BTC-PERPETUAL.9999999.10.raw",
    "book.BTC-PERPETUAL.none.10.5.raw", "ticker.BTC-PERPETUAL", "trades.cake.BTC",
    "chart.trades.BTC-PERPETUAL.7", "chart.BTC-PERPETUAL.1", "perpetual.BTC-25DEC26.raw", "price_index.doge_usdc",
    "price_index.btc", "markprice.btc_usdc", "markprice.options.btc", "instrument.state.cake.any",
    "instrument.state.any", "platform_state.x", "x.nothing", "x", "", "deribit_volatility_index.btc_usd",
]  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_channels_that_do_not_exist_have_their_number(name: str) -> None:
    _, hub = make_hub()
    with pytest.raises(ApiError) as refused:
        hub.parse(name, None)
    assert refused.value.fault.number == 608


@pytest.mark.parametrize("name", ["quote.DOGE", "ticker.DOGE.raw", "trades.any..raw", "incremental_ticker.DOGE"])
def test_channels_of_markets_that_do_not_exist_have_their_number(name: str) -> None:
    _, hub = make_hub()
    with pytest.raises(ApiError) as refused:
        hub.parse(name, None)
    assert refused.value.fault.number == 707


async def listen(hub: Hub, name: str) -> Reader:
    reader = Reader()
    hub.subscribe(reader, hub.parse(name, None))
    return reader


async def test_a_book_in_steps_never_shows_a_better_price_than_there_is() -> None:
    backend, hub = make_hub()
    for side, price_ticks, lots in ((BUY, 639_999, 1), (BUY, 639_995, 2), (BUY, 639_985, 4), (SELL, 640_001, 8)):
        await place(backend, side, price_ticks, lots)
    reader = await listen(hub, "book.BTC-PERPETUAL.1.10.raw")
    (first,) = reader.data
    assert first["bids"] == [["63999.0", "0.003"], ["63998.0", "0.004"]] and first["asks"] == [["64001.0", "0.008"]]
    one = await listen(hub, "book.BTC-PERPETUAL.1.1.raw")
    assert one.data[0]["bids"] == [["63999.0", "0.003"]]


def test_a_difference_holds_what_changed_and_whose_it_is() -> None:
    now = {"instrument_name": "A", "timestamp": 1, "mark": "5", "last": "4"}
    source = Difference(lambda: dict(now), ("instrument_name", "timestamp"))
    event = BlockEvent(1, b"", b"", 0)
    assert source.again() == [{"type": "snapshot"} | now]
    now["timestamp"] = 2
    assert source.on_block(event) == []
    now["mark"] = "6"
    assert source.on_block(event) == [{"type": "change", "instrument_name": "A", "timestamp": 2, "mark": "6"}]
    now["last"] = "3"
    newcomer = source.again()[0]
    assert newcomer["last"] == "3"
    assert source.on_block(event) == [{"type": "change", "instrument_name": "A", "timestamp": 2, "last": "3"}]
    source.reset()
    assert source.on_block(event) == [{"type": "snapshot"} | now]


def test_a_value_waits_for_its_time_and_tells_only_news() -> None:
    now: dict[str, Any] = {"price": "1", "timestamp": 1}
    source, event = Value(lambda: now, 100), BlockEvent(1, b"", b"", 0)
    assert source.flush() == [] and source.on_block(event) == [] and source.flush() == [now]
    now["timestamp"] = 2
    source.on_block(event)
    assert source.flush() == []
    now["price"] = "2"
    assert source.flush() == [], "no block has come"
    source.on_block(event)
    assert source.flush() == [now]


def make_trading_event(height: int) -> BlockEvent:
    trade = TradeView(height, 0, 0, 640_000, 5, height, 1)
    return BlockEvent(height, b"", b"", 1, 1, 1, (0,), trades_of=lambda market: [trade] if market == 0 else [])


async def test_readers_who_are_behind_are_told_of_several_blocks_in_one_message(nursery: trio.Nursery) -> None:
    _, hub = make_hub()
    nursery.start_soon(hub.run)
    await trio.testing.wait_all_tasks_blocked()
    readers = [Reader() for _ in range(3)]
    for reader in readers:
        hub.subscribe(reader, hub.parse("trades.BTC-PERPETUAL.raw", None))
    readers[2].has_unsent = True  # one who never reads makes nobody wait
    hub.publish(make_trading_event(1))
    assert [len(reader.data) for reader in readers] == [1, 1, 1]
    readers[1].has_unsent = True
    hub.publish(make_trading_event(2))
    hub.publish(make_trading_event(3))
    assert [len(reader.data) for reader in readers] == [1, 1, 1]
    readers[1].has_unsent = False
    with trio.fail_after(5):
        while len(readers[0].data) == 1:
            await trio.sleep(0.01)
    assert [[trade["trade_id"] for trade in data] for data in readers[0].data] == [["1"], ["2", "3"]]
    hub.publish(make_trading_event(4))
    assert [trade["trade_id"] for trade in readers[1].data[-1]] == ["4"]


async def test_who_comes_back_is_told_in_one_message_of_the_blocks_that_nobody_listened_to(
    nursery: trio.Nursery,
) -> None:
    _, hub = make_hub()
    nursery.start_soon(hub.run)
    await trio.testing.wait_all_tasks_blocked()
    name = "trades.BTC-PERPETUAL.raw"
    channel, first, again, newcomer = hub.parse(name, None), Reader(), Reader(), Reader()
    hub.subscribe(first, channel)
    hub.publish(make_trading_event(1))
    seen = first.messages[-1]["x_seq"]
    hub.unsubscribe(first, channel)
    hub.publish(make_trading_event(2))
    hub.publish(make_trading_event(3))
    await trio.sleep(0.25)  # longer than held news waits for readers who are behind
    hub.subscribe(again, channel, seen)
    assert [[trade["trade_id"] for trade in data] for data in again.data] == [["2", "3"]]
    assert again.messages[-1]["x_seq"] == seen + 1
    hub.subscribe(newcomer, channel)
    hub.publish(make_trading_event(4))
    assert [[trade["trade_id"] for trade in reader.data[-1]] for reader in (again, newcomer)] == [["4"], ["4"]]
    assert len(newcomer.data) == 1 and len(first.data) == 1


def test_markets_that_come_are_told_to_those_they_concern() -> None:
    backend = DictBackend()
    instruments = Instruments(backend.market_data)
    sources = [
        InstrumentStates(instruments, lambda number: True), InstrumentStates(instruments, lambda number: number == 0),
    ]  # fmt: skip
    event = BlockEvent(1, b"", b"", 7)
    assert [source.on_block(event) for source in sources] == [[], []]
    backend.market_data.listed += (CALL,)
    wanted = {"instrument_name": CALL_NAME, "state": "created", "timestamp": 7}
    assert [source.on_block(event) for source in sources] == [[wanted], []]
    assert sources[0].on_block(event) == []


def test_a_stream_keeps_its_last_messages_for_who_comes_back() -> None:
    now = {"price": "0"}
    stream, reader = Stream(Channel("a", "a"), Value(lambda: now)), Reader()
    stream.greet(reader)
    first = reader.messages[0]["x_seq"]
    stream.subscribers[reader] = None
    for number in range(KEPT_MESSAGES + 5):
        stream.push({"price": str(number)})
    numbers = [message["x_seq"] for message in reader.messages]
    assert numbers == list(range(first, first + KEPT_MESSAGES + 6))
    back = Reader()
    assert stream.resume(back, numbers[-4]) and back.messages == reader.messages[-3:]
    assert stream.resume(back, numbers[-1]) and len(back.messages) == 3
    for seen in (first, numbers[-1] + 1, 0, -1):
        assert not stream.resume(back, seen)
    assert len(back.messages) == 3


async def next_message(connection: WebSocketConnection) -> dict[str, Any]:
    with trio.fail_after(5):
        params: dict[str, Any] = json.loads(await connection.get_message())["params"]
        return params


async def test_who_lost_the_connection_goes_on_where_it_broke_off() -> None:
    backend, name = DictBackend(), "book.BTC-PERPETUAL.raw"
    async with running(backend) as url:
        async with websocket(url) as first:
            request = {"id": 1, "method": "public/subscribe", "params": {"channels": [name]}}
            await ask(first, json.dumps(request))
            assert (await next_message(first))["data"]["type"] == "snapshot"
            await place(backend, BUY, 640_000, 10)
            seen = await next_message(first)
        await place(backend, BUY, 640_001, 10)
        await place(backend, BUY, 640_002, 10)
        await trio.sleep(0.05)
        async with websocket(url) as second:
            request["params"]["x_resume"] = {name: seen["x_seq"]}  # type: ignore[index]
            await ask(second, json.dumps(request))
            last, missed = seen, []
            while len(missed) < 2:  # in one message, or in two if the server noticed late that nobody listened
                item = await next_message(second)
                assert item["data"]["type"] == "change" and item["x_seq"] == last["x_seq"] + 1
                assert item["data"]["prev_change_id"] == last["data"]["change_id"]
                last, missed = item, missed + [price for _, price, _ in item["data"]["bids"]]
            assert sorted(missed) == ["64000.1", "64000.2"]
            request["params"]["x_resume"] = {name: 5}  # type: ignore[index]
            await ask(second, json.dumps(request))
            assert (await next_message(second))["data"]["type"] == "snapshot"
            for bad, code in (([name], 702), ({name: "x"}, 702), ({name: -1}, 704)):
                request["params"]["x_resume"] = bad  # type: ignore[index]
                assert (await ask(second, json.dumps(request)))["error"]["data"]["code"] == code


async def test_a_channel_that_nobody_comes_back_to_is_forgotten(autojump_clock: trio.testing.MockClock) -> None:
    backend, hub = make_hub()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hub.run)
        reader, channel = Reader(), hub.parse("book.BTC-PERPETUAL.raw", None)
        hub.subscribe(reader, channel)
        assert backend.watched == [0]
        hub.unsubscribe(reader, channel)
        await trio.sleep(IDLE_S / 2)
        assert backend.watched == [0]
        await trio.sleep(IDLE_S)
        assert backend.watched == []
        nursery.cancel_scope.cancel()
