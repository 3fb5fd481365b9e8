"""Binary order entry over a real WebSocket: receipts for every frame, outcomes on request, an end to misuse."""

from contextlib import asynccontextmanager

import pytest
import trio
from test_gateway_backend import RECEIPT_KEY, DictBackend
from test_gateway_inputs import KEY, OWNER, running
from trio_websocket import ConnectionClosed, open_websocket_url

from engine.commands import BUY, CANCEL_ALL, PLACE, Action, Command, command_id
from engine.results import Code
from net.gateway.errors import INVALID_REQUEST, RATE_LIMITED, TOO_LARGE
from net.gateway.limits import Limits
from net.order_frames import (
    FLAG_OUTCOMES,
    FRAME_BYTES_MAX,
    FRAME_MESSAGES_MAX,
    Orders,
    Outcomes,
    Receipts,
    decode_answer,
)

EXPIRY_MS = 2_000_000_000_000


def funded() -> DictBackend:
    backend = DictBackend()
    backend.balances[OWNER, 0] = 1_000_000_000
    return backend


def order(backend: DictBackend, nonce: int, *more: Action) -> Command:
    place = Action(PLACE, side=BUY, market=0, price_ticks=640_000 + nonce, size_lots=10, client_id=nonce)
    return Command(OWNER, nonce, EXPIRY_MS, (place, *more)).signed(KEY, backend.domain.domain_separator)


@asynccontextmanager
async def connected(backend: DictBackend, limits: Limits | None = None):
    async with running(backend, limits) as url:
        address = url.replace("http", "ws") + "/ws/orders"
        async with open_websocket_url(address, disconnect_timeout=1, max_message_size=1 << 24) as connection:
            yield connection


async def hear(connection):
    with trio.fail_after(5):
        return decode_answer(await connection.get_message())


async def test_a_frame_of_messages_has_one_signed_answer_and_then_its_outcomes() -> None:
    backend = funded()
    commands = [order(backend, 1), order(backend, 2, Action(CANCEL_ALL, market=0)), order(backend, 3)]
    stranger = Command.of(CANCEL_ALL, b"\5" * 20, 4, EXPIRY_MS, market=0).signed(KEY, backend.domain.domain_separator)
    data = b"".join(item.encode() for item in (*commands, stranger))
    async with connected(backend) as connection:
        await connection.send_message(Orders(77, FLAG_OUTCOMES, data).encode())
        receipts = await hear(connection)
        assert isinstance(receipts, Receipts) and (receipts.tag, receipts.code) == (77, 0)
        assert receipts.rows["code"].tolist() == [0, 0, 0, Code.BAD_SIGNATURE]
        assert receipts.is_signed_by(bytes(RECEIPT_KEY.verify_key), backend.domain.network_id, 0)
        names = [command_id(item, backend.domain.domain_separator) for item in commands]
        assert [name.tobytes() for name in receipts.rows["message_id"]][:3] == names
        told = [await hear(connection) for _ in commands]
        assert all(isinstance(item, Outcomes) for item in told)
        assert [item.message_ids.tobytes() for item in told] == names
        assert told[1].rows["action"].tolist() == [0, 1] and told[1].rows["code"].tolist() == [0, 0]


async def test_who_does_not_ask_for_outcomes_hears_receipts_only() -> None:
    backend = funded()
    async with connected(backend) as connection:
        for tag in (1, 2):
            await connection.send_message(Orders(tag, 0, order(backend, tag).encode()).encode())
        assert [(await hear(connection)).tag for _ in range(2)] == [1, 2]
        await connection.send_message(Orders(3, FLAG_OUTCOMES, b"").encode())
        assert len((await hear(connection)).rows) == 0, "a frame without messages is answered without rows"


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\1\0\0\0\0\0\0\0", INVALID_REQUEST),
        (b"", INVALID_REQUEST),
        (Orders(1, 2, b"").encode(), INVALID_REQUEST),
        (Orders(1, 0, bytes(FRAME_BYTES_MAX)).encode(), TOO_LARGE),
        (Orders(1, 0, bytes(112) * (FRAME_MESSAGES_MAX + 1)).encode(), TOO_LARGE),
    ],
)
async def test_a_frame_beyond_the_rules_is_answered_with_why(frame: bytes, code) -> None:
    backend = funded()
    async with connected(backend) as connection:
        await connection.send_message(frame)
        assert (await hear(connection)).code == code.number
        await connection.send_message(Orders(5, 0, order(backend, 1).encode()).encode())
        assert (await hear(connection)).rows["code"].tolist() == [0], "and the next one as if nothing had been"


async def test_text_ends_the_connection() -> None:
    async with connected(funded()) as connection:
        await connection.send_message("{}")
        with trio.fail_after(5), pytest.raises(ConnectionClosed) as closed:
            await connection.get_message()
        assert closed.value.reason.code == 1008


async def test_messages_are_counted_against_the_connections_rate() -> None:
    backend = funded()
    async with connected(backend, Limits(shutdown_s=0.1, order_messages_per_s=0, order_messages_burst=3)) as connection:
        for tag, nonces in ((1, (1, 2)), (2, (3, 4)), (3, (5,))):
            data = b"".join(order(backend, nonce).encode() for nonce in nonces)
            await connection.send_message(Orders(tag, 0, data).encode())
        answers = [await hear(connection) for _ in range(3)]
        assert [answer.code for answer in answers] == [0, RATE_LIMITED.number, 0]


async def test_who_falls_behind_is_closed_with_a_hint() -> None:
    backend = funded()
    async with connected(backend, Limits(shutdown_s=0.1, order_outgoing_bytes_max=100)) as connection:
        await connection.send_message(Orders(1, FLAG_OUTCOMES, order(backend, 1).encode()).encode())
        with trio.fail_after(5), pytest.raises(ConnectionClosed) as closed:
            while True:
                await connection.get_message()
        assert closed.value.reason.code == 1013 and "611" in closed.value.reason.reason
