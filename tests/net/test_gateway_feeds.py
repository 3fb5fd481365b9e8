"""Subscriptions: snapshots and changes that chain, batching, private channels, slow readers, heartbeats."""

import json
import socket
from dataclasses import replace

import pytest
import trio
from test_gateway_backend import DictBackend
from test_gateway_inputs import KEY, OWNER, ask, buy, running, websocket
from trio_websocket import ConnectionClosed, WebSocketConnection

from engine.commands import BUY, PLACE, SELL, Command
from net.gateway.backend import BlockEvent, BookView, LevelChange
from net.gateway.book import BookMirror
from net.gateway.limits import Backlog, Limits
from net.gateway.server import BoundedServer

NONCES = iter(range(1, 1 << 30))


async def place(backend: DictBackend, side: int, price_ticks: int, size_lots: int) -> None:
    command = Command.of(
        PLACE, owner=OWNER, nonce=next(NONCES), expiry_ms=1 << 50, side=side, price_ticks=price_ticks,
        size_lots=size_lots,
    ).signed(KEY, backend.domain.domain_separator)  # fmt: skip
    backend.take(command)


async def subscribe(connection: WebSocketConnection, *channels: str) -> None:
    request = {"id": 1, "method": "public/subscribe", "params": {"channels": list(channels)}}
    assert (await ask(connection, json.dumps(request)))["result"] == list(channels)


async def next_message(connection: WebSocketConnection) -> tuple[str, dict]:
    with trio.fail_after(5):
        item = json.loads(await connection.get_message())
    return item["params"]["channel"], item["params"]["data"]


async def test_book_snapshot_and_changes_chain() -> None:
    backend = DictBackend()
    async with running(backend) as url, websocket(url) as early, websocket(url) as late:
        await place(backend, BUY, 640_000, 10)
        await subscribe(early, "book.BTC-PERPETUAL.raw")
        _, snapshot = await next_message(early)
        assert snapshot["type"] == "snapshot" and snapshot["bids"] == [["new", "64000.0", "0.010"]]
        await place(backend, BUY, 640_000, 5)
        _, change = await next_message(early)
        assert change["bids"] == [["change", "64000.0", "0.015"]]
        assert change["prev_change_id"] == snapshot["change_id"] < change["change_id"]
        await subscribe(late, "book.BTC-PERPETUAL.raw")
        _, second = await next_message(late)
        assert second["change_id"] == change["change_id"]
        await place(backend, SELL, 640_000, 15)
        for connection in (early, late):
            _, gone = await next_message(connection)
            assert gone["bids"] == [["delete", "64000.0", "0.000"]] and gone["prev_change_id"] == change["change_id"]


async def test_what_a_block_tells_a_client_leaves_in_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    backend, writes, send_now = DictBackend(), [], BoundedServer.send_now

    def counted(self: BoundedServer, frames: list[bytes]) -> bool:
        writes.append(b"".join(frames).count(b'"subscription"'))
        return send_now(self, frames)

    async with running(backend) as url, websocket(url) as connection:
        await subscribe(connection, "book.BTC-PERPETUAL.raw", "ticker.BTC-PERPETUAL.raw", "x.blocks")
        for _ in range(2):  # the states that book and ticker begin with
            await next_message(connection)
        monkeypatch.setattr(BoundedServer, "send_now", counted)
        for price_ticks in (640_000, 640_001):
            await place(backend, BUY, price_ticks, 10)
            assert {(await next_message(connection))[0].split(".")[0] for _ in range(3)} == {"book", "ticker", "x"}
    assert [count for count in writes if count] == [3, 3]


async def test_batched_book_sends_only_the_net_change() -> None:
    backend = DictBackend()
    async with running(backend) as url, websocket(url) as connection:
        await subscribe(connection, "book.BTC-PERPETUAL.100ms")
        await next_message(connection)
        for price_ticks in (1000, 1001, 1002):
            await place(backend, BUY, price_ticks, 3)
        _, change = await next_message(connection)
        assert [level[0] for level in change["bids"]] == ["new", "new", "new"]


async def test_trades_orders_ticker_and_blocks() -> None:
    backend = DictBackend()
    owner = "0x" + OWNER.hex()
    async with running(backend) as url, websocket(url) as connection:
        names = ("trades.BTC-PERPETUAL.raw", f"user.orders.{owner}", f"user.trades.{owner}", "x.blocks")
        await subscribe(connection, *names)
        await place(backend, BUY, 640_000, 10)
        await place(backend, SELL, 640_000, 4)
        seen = [await next_message(connection) for _ in range(6)]
        by_channel: dict[str, list] = {}
        for channel, data in seen:
            by_channel.setdefault(channel, []).append(data)
        assert by_channel[names[0]][0][0]["amount"] == "0.004"
        assert [[o["order_state"] for o in orders] for orders in by_channel[names[1]]] == [["open"], ["open", "filled"]]
        assert sorted(fill["liquidity"] for fill in by_channel[names[2]][0]) == ["M", "T"]
        assert [block["height"] for block in by_channel["x.blocks"]] == [1, 2]
        await subscribe(connection, "ticker.BTC-PERPETUAL.raw")
        assert (await next_message(connection))[1]["last_price"] == "64000.0"
        request = {"id": 2, "method": "public/unsubscribe", "params": {"channels": [*names, "x.other"]}}
        assert (await ask(connection, json.dumps(request)))["result"] == list(names)


@pytest.mark.parametrize(
    "bounds",
    [{"outgoing_messages_max": 1}, {"outgoing_bytes_max": 1_000}, {"outgoing_bytes_all_max": 200, "fair_bytes": 500}],
    ids=["messages", "bytes", "bytes of all"],
)
async def test_slow_reader_is_dropped_with_a_reason(bounds: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    backend, run = DictBackend(), BoundedServer.run

    async def run_with_little_buffer(self: BoundedServer) -> None:
        self.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        await run(self)

    monkeypatch.setattr(BoundedServer, "run", run_with_little_buffer)
    limits = replace(Limits(shutdown_s=0.1), **bounds)
    async with running(backend, limits) as url, websocket(url) as slow, websocket(url) as quick:
        await subscribe(slow, "x.blocks")
        for index in range(40):
            async with trio.open_nursery() as nursery:
                for _ in range(50):
                    nursery.start_soon(place, backend, BUY, 1000 + index, 1)
            if slow.closed is not None:
                break
        with pytest.raises(ConnectionClosed) as closed, trio.fail_after(5):
            while True:
                await slow.get_message()
        assert closed.value.reason.code == 1013 and "slow_consumer" in closed.value.reason.reason
        assert (await ask(quick, buy()))["result"]["x_is_final"]


async def test_who_asks_without_reading_is_not_read_and_loses_nothing() -> None:
    """Far more bytes of answers than may wait; all of them come when they are asked for."""
    backend, count = DictBackend(), 200
    limits = replace(Limits(shutdown_s=0.1), answer_bytes_max=2_000, requests_burst=10_000)
    async with running(backend, limits) as url, websocket(url) as connection:
        async with trio.open_nursery() as nursery:

            async def ask_all() -> None:
                for number in range(count):
                    await connection.send_message(json.dumps({"id": number, "method": "public/get_instruments"}))

            nursery.start_soon(ask_all)
            await trio.sleep(0.2)
            with trio.fail_after(20):
                answers = [json.loads(await connection.get_message()) for _ in range(count)]
        assert [answer["id"] for answer in answers] == list(range(count))
        assert all(answer["result"] for answer in answers)


def test_all_clients_together_have_one_share_of_the_memory() -> None:
    limits = Limits()
    backlog = Backlog(limits)
    assert backlog.has_room(limits.outgoing_bytes_max, limits.outgoing_bytes_max)
    assert not backlog.has_room(limits.outgoing_bytes_max + 1, limits.outgoing_bytes_max)
    backlog.waiting_bytes = limits.outgoing_bytes_all_max + 1
    assert backlog.has_room(limits.fair_bytes, limits.outgoing_bytes_max)
    assert not backlog.has_room(limits.fair_bytes + 1, limits.outgoing_bytes_max)


async def test_heartbeat_asks_and_ends_a_silent_connection() -> None:
    limits = replace(Limits(shutdown_s=0.1), heartbeat_s_min=1)
    async with running(DictBackend(), limits) as url, websocket(url) as connection:
        request = {"id": 1, "method": "public/set_heartbeat", "params": {"interval": 1}}
        assert (await ask(connection, json.dumps(request)))["result"] == "ok"
        with trio.fail_after(6), pytest.raises(ConnectionClosed) as closed:
            while True:
                assert json.loads(await connection.get_message())["params"]["type"] == "test_request"
        assert closed.value.reason.code == 1008 and "heartbeat" in closed.value.reason.reason


async def test_too_many_channels() -> None:
    limits = replace(Limits(shutdown_s=0.1), channels_per_connection_max=2)
    async with running(DictBackend(), limits) as url, websocket(url) as connection:
        await subscribe(connection, "x.blocks", "trades.BTC-PERPETUAL.raw")
        request = {"id": 1, "method": "public/subscribe", "params": {"channels": ["trades.ETH-PERPETUAL.raw"]}}
        assert (await ask(connection, json.dumps(request)))["error"]["data"]["code"] == 607


def test_mirror_skips_what_the_snapshot_has() -> None:
    mirror = BookMirror(BookView(0, 7, 0, ((100, 5),), ()))
    mirror.add(BlockEvent(7, b"", b"", 0), (LevelChange(BUY, 100, 9),))
    assert mirror.flush() is None
    mirror.add(BlockEvent(8, b"", b"", 0), (LevelChange(BUY, 100, 5), LevelChange(SELL, 101, 0)))
    assert mirror.flush() is None, "nothing differs from what is known"
    mirror.add(BlockEvent(9, b"", b"", 0), (LevelChange(BUY, 100, 0), LevelChange(SELL, 101, 2)))
    assert mirror.flush() == (7, [("delete", BUY, 100, 0), ("new", SELL, 101, 2)])
    assert mirror.levels() == [("new", SELL, 101, 2)] and mirror.change_id == 9
