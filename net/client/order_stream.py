"""Orders by the hundred: a stream of signed messages to a node and of outcomes back (docs/protocol.md, section 8).

What is sent within a few milliseconds shares a frame. Every message that was sent is answered with one outcome: what a
final block made of it, or why the node did not take it. A lost connection is made again, and what has no outcome yet is
sent again, to the byte: it executes once, however often it is sent. Receipts that the node did not sign end the stream.

What was sent before may be in a block that the node asked now has not heard of. That its nonce is spent, that it has
expired, or that this node is behind, says nothing about such a message: it is asked for again until a block tells.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import anyio
import numpy as np

from engine.commands import ACTIONS_MAX, Action, Command, command_id
from engine.results import Code, OrderState
from net.client.link import PATH as CALLS_PATH
from net.client.protocol import Answer, Call, HansaError, Network, OutcomeUnknown, Signer, decode_message, encode_call
from net.client.requests import Request
from net.client.socket import Socket, open_socket
from net.order_frames import (
    FLAG_OUTCOMES,
    FRAME_BYTES_MAX,
    FRAME_MESSAGES_MAX,
    ORDERS_HEADER_BYTES,
    FrameError,
    Orders,
    Outcomes,
    Receipts,
    decode_answer,
)

logger = logging.getLogger(__name__)
PATH = "/ws/orders"
GATHER_S = 0.002
UNREAD_MAX = 4096
SILENCE_S = 15.0
_BACKOFF_S_MIN, _BACKOFF_S_MAX = 0.05, 5.0
_TRY_AGAIN_S = 0.25
# After a message's expiry and this, no block can carry it that we would not have heard of.
_LATE_MS = 30_000
_REASONS = {int(code): code.name.lower() for code in Code}
_TRANSIENT_FRAME_CODES = (605, 610, 803)  # nothing of the frame was looked at, but might be later
# What a node also says of a message that a block carries already, or that another node has taken; above 800 it says
# nothing of the message.
_UNSETTLED_CODES = (Code.EXPIRED, Code.NONCE_REUSED, Code.NONCE_TOO_OLD)
_NODE_CODES_MIN = 800
_LOOK_AGAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class ActionOutcome:
    """What one request of a message came to. `error` is why it was refused. `order_id`: of a new or changed order."""

    error: HansaError | None
    order_id: str | None
    state: str
    filled_base: Decimal
    remaining_base: Decimal
    filled_usdc: Decimal
    cancelled_count: int


@dataclass(frozen=True, slots=True)
class MessageOutcome:
    """What one message came to, for good: in block `height`, or `error` and no actions where no block has it.

    `OutcomeUnknown` as the error: nobody said until long after the message's expiry.
    """

    message_id: str
    height: int | None
    time_ms: int | None
    error: HansaError | None
    actions: tuple[ActionOutcome, ...]


@dataclass(slots=True, eq=False)
class _Pending:
    record: bytes
    command: Command
    is_sent: bool = False
    may_be_taken: bool = False  # it was sent on a connection that ended before its outcome came


class OrderStream:
    """Made by `AsyncClient.order_stream`. Iterate over it for the outcomes: who does not read them cannot send for
    ever (`UNREAD_MAX`).
    """

    def __init__(self, urls: Sequence[str], network: Network, signer: Signer) -> None:
        self._urls = tuple(urls)
        self._at = 0
        self._node: tuple[int, bytes] | None = None  # who is talked to: number and key of its receipts
        self._network = network
        self._signer = signer
        self._pending: dict[bytes, _Pending] = {}
        self._unsent: dict[bytes, None] = {}
        self._unsettled: dict[bytes, None] = {}  # to be asked for again
        self._in_frame: dict[int, list[bytes]] = {}
        self._next_tag = 1
        self._room = anyio.Semaphore(UNREAD_MAX)
        self._has_unsent = anyio.Event()
        self._paused_until_s = 0.0  # a node that takes nothing now is not asked before
        self._outcomes_in, self._outcomes = anyio.create_memory_object_stream[MessageOutcome](UNREAD_MAX)
        self._failure: HansaError | None = None
        self.connection_count = 0

    async def send(self, requests: Sequence[Request]) -> str:
        """One signed message with 1 to 128 requests; its id. Waits while too many outcomes are unread. Raises
        `HansaError` for what is no message, `engine.units.UnitError` for a price or amount off its step.
        """
        if not 1 <= len(requests) <= ACTIONS_MAX:
            raise HansaError(0, f"{len(requests)} requests", f"a message has 1 to {ACTIONS_MAX}")
        actions = [request.to_action(self._network) for request in requests]
        await self._room.acquire()
        if self._failure is not None:
            raise self._failure
        command = self._signer.sign(self._network, *actions)
        name = command_id(command, self._network.domain_separator)
        self._pending[name] = _Pending(command.encode(), command)
        self._unsent[name] = None
        self._has_unsent.set()
        return "0x" + name.hex()

    def __aiter__(self) -> "OrderStream":
        return self

    async def __anext__(self) -> MessageOutcome:
        """The next outcome. Raises `HansaError` once the node has answered what it did not sign."""
        try:
            outcome = await self._outcomes.receive()
        except anyio.EndOfStream:
            raise self._failure or StopAsyncIteration from None
        self._room.release()
        return outcome

    @property
    def pending_count(self) -> int:
        """Messages without an outcome."""
        return len(self._pending)

    async def run(self) -> None:
        """Keeps a connection up, to the next node when one is lost, until cancelled or until a node's answers do not
        hold.
        """
        backoff_s = _BACKOFF_S_MIN
        with self._outcomes_in:
            while self._failure is None:
                url = self._urls[self._at]
                try:
                    self._node = await self._ask_node(url)
                    async with open_socket(url, PATH) as socket:
                        backoff_s = _BACKOFF_S_MIN
                        await self._serve(socket)
                except OSError as error:
                    logger.info("sdk.order_stream_lost url=%s error=%r", url, error)
                except HansaError as error:
                    self._failure = error
                self._at = (self._at + 1) % len(self._urls)
                await anyio.sleep(backoff_s)
                backoff_s = min(backoff_s * 2, _BACKOFF_S_MAX)

    async def _ask_node(self, url: str) -> tuple[int, bytes]:
        """Which node this is. Raises `HansaError` when it is one of another network."""
        if len(self._urls) == 1:
            return self._network.node, self._network.node_key
        async with open_socket(url, CALLS_PATH) as socket:
            await socket.send(encode_call(1, Call("public/x_get_domain", {})))
            answer = decode_message(await socket.receive() or "{}")
        if not isinstance(answer, Answer) or answer.error is not None:
            raise ConnectionError(f"{url} does not say who it is")
        network = Network.parse(answer.result)
        if network.network_id != self._network.network_id:
            raise HansaError(0, "another network", f"{url} serves 0x{network.network_id.hex()}")
        return network.node, network.node_key

    async def _serve(self, socket: Socket) -> None:
        self.connection_count += 1
        self._in_frame.clear()
        self._unsettled.clear()
        for pending in self._pending.values():
            pending.may_be_taken = pending.is_sent
        self._unsent = dict.fromkeys(self._pending)
        self._has_unsent.set()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._write, socket)
            tasks.start_soon(self._look_again)
            try:
                await self._read(socket)
            except (FrameError, HansaError) as error:
                self._failure = HansaError(0, "the node's answer does not hold", str(error))
            tasks.cancel_scope.cancel()

    async def _write(self, socket: Socket) -> None:
        await socket.send(Orders(0, FLAG_OUTCOMES, b"").encode())
        while True:
            await self._has_unsent.wait()
            await anyio.sleep(max(GATHER_S, self._paused_until_s - anyio.current_time()))
            names = self._take_frame()
            if not self._unsent:
                self._has_unsent = anyio.Event()
            if names:
                tag, self._next_tag = self._next_tag, self._next_tag + 1
                self._in_frame[tag] = names
                records = b"".join(self._pending[name].record for name in names)
                await socket.send(Orders(tag, FLAG_OUTCOMES, records).encode())

    def _take_frame(self) -> list[bytes]:
        """What the next frame holds, out of what waits for one."""
        names, size_bytes = list[bytes](), ORDERS_HEADER_BYTES
        for name in self._unsent:
            size_bytes += len(self._pending[name].record)
            if size_bytes > FRAME_BYTES_MAX or len(names) == FRAME_MESSAGES_MAX:
                break
            names.append(name)
        for name in names:
            del self._unsent[name]
            self._pending[name].is_sent = True
        return names

    async def _read(self, socket: Socket) -> None:
        """Until the connection ends, or says nothing while we wait for outcomes."""
        while True:
            data = None
            with anyio.move_on_after(SILENCE_S) as silence:
                data = await socket.receive()
            if silence.cancelled_caught and not self._pending:
                continue
            if not isinstance(data, bytes):
                return
            answer = decode_answer(data)
            if isinstance(answer, Receipts):
                self._on_receipts(answer)
            else:
                self._on_outcomes(answer)

    def _on_receipts(self, receipts: Receipts) -> None:
        names = self._in_frame.pop(receipts.tag, [])
        if receipts.code in _TRANSIENT_FRAME_CODES:
            self._paused_until_s = anyio.current_time() + _TRY_AGAIN_S
            self._unsent |= dict.fromkeys(name for name in names if name in self._pending)
            self._has_unsent.set()
        elif receipts.code:
            for name in names:
                self._refuse(name, receipts.code, is_settled=False)
        elif names:
            assert self._node is not None
            number, key = self._node
            if not receipts.is_signed_by(key, self._network.network_id, number):
                raise HansaError(0, "receipts without the node's signature")
            if receipts.rows["message_id"].tobytes() != b"".join(names):
                raise HansaError(0, "receipts of other messages")
            for at in np.flatnonzero(receipts.rows["code"]).tolist():
                code = int(receipts.rows["code"][at])
                is_settled = code < _NODE_CODES_MIN and code not in _UNSETTLED_CODES
                self._refuse(names[at], code, is_settled)

    def _refuse(self, name: bytes, code: int, is_settled: bool) -> None:
        """The end of a message, unless it was sent before and the refusal leaves open what became of it then."""
        pending = self._pending.get(name)
        if pending is not None and pending.may_be_taken and not is_settled:
            self._unsettled[name] = None
        else:
            self._end(name, None, _refusal(code))

    def _on_outcomes(self, outcomes: Outcomes) -> None:
        ends = np.searchsorted(outcomes.rows["message"], np.arange(len(outcomes.message_ids)), side="right").tolist()
        first = 0
        for message_id, end in zip(outcomes.message_ids, ends):
            name, rows, first = message_id.tobytes(), outcomes.rows[first:end], end
            pending = self._pending.get(name)
            if pending is None:
                continue
            requests = pending.command.actions
            if rows["action"].tolist() == list(range(len(requests))):
                actions = tuple(_show_action(self._network, action, row) for action, row in zip(requests, rows))
                self._end(name, outcomes, None, actions)
            else:  # half an outcome is none
                self._unsettled[name] = None

    async def _look_again(self) -> None:
        """Asks for what a refusal left open, and gives up what nobody answers for."""
        while True:
            await anyio.sleep(_LOOK_AGAIN_S)
            if self._unsettled:
                self._unsent |= self._unsettled
                self._unsettled.clear()
                self._has_unsent.set()
            latest_ms = time.time_ns() // 1_000_000 - _LATE_MS
            for name in [name for name, item in self._pending.items() if item.command.expiry_ms < latest_ms]:
                self._end(name, None, OutcomeUnknown(0, "no outcome until long after the expiry"))

    def _end(
        self, name: bytes, block: Outcomes | None, error: HansaError | None, actions: tuple[ActionOutcome, ...] = ()
    ) -> None:
        """The one outcome of a message; there is room for those of all that were sent."""
        if self._pending.pop(name, None) is not None:
            self._unsent.pop(name, None)
            self._unsettled.pop(name, None)
            height, time_ms = (None, None) if block is None else (block.height, block.time_ms)
            self._outcomes_in.send_nowait(MessageOutcome("0x" + name.hex(), height, time_ms, error, actions))


def _refusal(code: int) -> HansaError:
    return HansaError(code, _REASONS.get(code, "refused"), "docs/errors.md")


def _show_action(network: Network, action: Action, row: np.void) -> ActionOutcome:
    """A row in decimals. What has no market, such as a withdrawal, has no lots either."""
    code, order_id = int(row["code"]), int(row["order_id"])
    market = network.markets[action.market] if action.market < len(network.markets) else None
    lot_base = Decimal(0) if market is None else Decimal(market.lot_size)
    named = None if market is None or not order_id else f"{market.symbol}-{order_id}"
    return ActionOutcome(
        _refusal(code) if code else None, named, OrderState(int(row["order_state"])).name.lower(),
        int(row["filled_lots"]) * lot_base, int(row["remaining_lots"]) * lot_base,
        Decimal(int(row["filled_quote"])).scaleb(-6), int(row["cancelled_count"]),
    )  # fmt: skip
