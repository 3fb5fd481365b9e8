"""The SDK's order stream on both event loops, where frames come twice, in another order, or not at all."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import anyio
import numpy as np
import pytest
from test_client import KEY_HEX, MARKET
from test_client_backends import BACKENDS, elsewhere
from test_gateway_backend import RECEIPT_KEY, DictBackend, DictOrderStream
from test_gateway_inputs import OWNER, running

from engine.commands import Command, command_id, split_messages
from engine.results import Code
from net.client import AsyncClient, Buy, Cancel, MessageOutcome
from net.gateway.errors import NO_QUORUM, SYNCING
from net.gateway.limits import Limits
from net.order_frames import (
    RECEIPT_ROW,
    Orders,
    Outcomes,
    Receipts,
    decode_answer,
    receipts_signing_bytes,
    refuse,
)

Push = Callable[[bytes], None]
# Answers to what was sent before that say nothing about it.
OPEN_ANSWERS = (Code.NONCE_REUSED, Code.NONCE_TOO_OLD, Code.EXPIRED, SYNCING.number, -NO_QUORUM.number)


class FaultyBackend(DictBackend):
    """`meddle` stands between each connection's stream and its socket. `answers`: row codes for the next frames of
    messages that are known already, below 0 the code of the whole frame.
    """

    def __init__(self, meddle: Callable[[Push], Push]) -> None:
        super().__init__()
        self.meddle, self.answers = meddle, list[int]()
        self.balances[OWNER, 0] = 1_000_000_000

    @contextmanager
    def open_order_stream(self, push: Push) -> Iterator[DictOrderStream]:
        yield FaultyStream(self, self.meddle(push))


class FaultyStream(DictOrderStream):
    async def submit(self, orders: Orders) -> None:
        commands = [Command.decode(data) for data in split_messages(orders.messages)]
        names = [command_id(command, self._backend.domain.domain_separator) for command in commands]
        if not self._backend.answers or not commands or commands[0] not in self._backend.submitted:
            return await super().submit(orders)
        code = self._backend.answers.pop(0)
        if code < 0:
            return self._push(refuse(orders.tag, -code))
        rows = np.zeros(len(names), RECEIPT_ROW)
        rows["message_id"], rows["code"] = np.frombuffer(b"".join(names), np.uint8).reshape(-1, 32), code
        signature = RECEIPT_KEY.sign(receipts_signing_bytes(self._backend.domain.network_id, 0, rows)).signature
        return self._push(Receipts(orders.tag, 0, rows, signature).encode())


def tell_twice_and_late(push: Push) -> Push:
    """Every frame twice, and receipts behind the outcomes of their messages."""
    held = list[bytes]()

    def meddled(frame: bytes) -> None:
        answer = decode_answer(frame)
        if isinstance(answer, Receipts) and len(answer.rows):
            held.append(frame)
            return
        for each in (frame, frame, *held, *held):
            push(each)
        held.clear()

    return meddled


class Losing:
    """The outcomes of the first connection never arrive; on the second only half of each."""

    def __init__(self) -> None:
        self.connections = 0

    def __call__(self, push: Push) -> Push:
        self.connections += 1
        number, seen = self.connections, list[bytes]()

        def meddled(frame: bytes) -> None:
            answer = decode_answer(frame)
            if isinstance(answer, Receipts) or number > 2:
                push(frame)
            elif number == 2:
                seen.append(frame)
                half = Outcomes(answer.height, answer.time_ms, answer.message_ids, answer.rows[:1])
                push(half.encode() if len(seen) == 1 else frame)

        return meddled


async def trade(url: str, count: int) -> None:
    async with AsyncClient(url, KEY_HEX) as client, client.order_stream() as stream:
        with anyio.fail_after(20):
            sent, outcomes = list[str](), list[MessageOutcome]()
            for at in range(count):
                sent.append(await stream.send([Buy(MARKET, "0.001", str(1000 + at)), Cancel(f"{MARKET}-99999")]))
                await anyio.sleep(0.005)  # a frame of its own
            for _ in range(count):
                outcomes.append(await anext(stream))
            last = await stream.send([Buy(MARKET, "0.001", "900")])
            assert (await anext(stream)).message_id == last, "no message has two outcomes"
    assert sorted(outcome.message_id for outcome in outcomes) == sorted(sent)
    for outcome in outcomes:
        assert outcome.error is None and outcome.height is not None
        assert [None if action.error is None else action.error.code for action in outcome.actions] == [
            None, Code.UNKNOWN_ORDER
        ]  # fmt: skip
    assert stream.pending_count == 0


@pytest.mark.parametrize("loop", BACKENDS)
async def test_frames_that_come_twice_and_in_another_order_give_one_outcome_each(loop: str) -> None:
    backend = FaultyBackend(tell_twice_and_late)
    async with running(backend) as url:
        await elsewhere(loop, trade, url, 10)
    assert len(backend.submitted) == 11


@pytest.mark.parametrize("loop", BACKENDS)
async def test_what_comes_too_fast_for_the_node_is_sent_again_together(loop: str) -> None:
    backend = FaultyBackend(lambda push: push)
    async with running(backend, Limits(shutdown_s=0.1, requests_per_s=4, requests_burst=10)) as url:
        await elsewhere(loop, trade, url, 150)  # one refused frame after the other would take minutes
    assert len(backend.submitted) == 151


@pytest.mark.parametrize("loop", BACKENDS)
async def test_what_was_lost_is_asked_for_until_a_block_tells_whatever_nodes_say_meanwhile(
    loop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("net.client.order_stream.SILENCE_S", 0.2)
    monkeypatch.setattr("net.client.order_stream._LOOK_AGAIN_S", 0.02)
    losing = Losing()
    backend = FaultyBackend(losing)
    backend.answers = list(OPEN_ANSWERS)
    async with running(backend) as url:
        await elsewhere(loop, trade, url, 5)
    assert not backend.answers, "every answer that leaves it open was given"
    assert len(backend.submitted) == 6 and losing.connections >= 2, "nothing was executed twice"


async def refuse_first(url: str) -> None:
    async with AsyncClient(url, KEY_HEX) as client, client.order_stream() as stream:
        await stream.send([Buy(MARKET, "0.001", "1000")])
        with anyio.fail_after(10):
            assert (await anext(stream)).error.code == SYNCING.number


async def test_what_was_never_sent_before_is_refused_at_once() -> None:
    class SyncingStream(FaultyStream):
        async def submit(self, orders: Orders) -> None:
            self._push(refuse(orders.tag, SYNCING.number if orders.messages else 0))

    class SyncingBackend(FaultyBackend):
        @contextmanager
        def open_order_stream(self, push: Push) -> Iterator[DictOrderStream]:
            yield SyncingStream(self, push)

    work: Callable[[str], Awaitable[None]] = refuse_first
    async with running(SyncingBackend(lambda push: push)) as url:
        await elsewhere("trio", work, url)
