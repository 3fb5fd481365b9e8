"""Questions of the process that serves the API about commands that no final block holds yet, and the node's answers, on
the orders socket (`net/feed/orders.py`): only the node knows what it was proposed and what is notarised.

Decoding is total: any bytes give a frame or `FeedError`.
"""

import struct
from dataclasses import dataclass

import cbor2

from engine.results import Code, OrderState
from net.feed.protocol import FeedError
from net.gateway.backend import CommandResult, Status

QUESTIONS_VERSION = 1
QUESTION, TOLD = 3, 4  # beside the kinds of `net/feed/orders.py`
BY_ID, BY_NONCE, BY_LABEL = 1, 2, 3
RESULTS_MAX = 256
_LENGTH = struct.Struct(">I")
_HEAD = struct.Struct("<BBBxQ")
_ACCOUNT = struct.Struct("<20sIq")
_STATES = tuple(Status)
_ID_BYTES = 32


@dataclass(frozen=True, slots=True)
class Question:
    """Which commands are meant: one by the id of an action, or those of an account by nonce or by label (`number`)."""

    token: int
    kind: int
    action_id: bytes = bytes(_ID_BYTES)
    owner: bytes = bytes(20)
    subaccount: int = 0
    number: int = 0

    def encode(self) -> bytes:
        named = self.action_id if self.kind == BY_ID else _ACCOUNT.pack(self.owner, self.subaccount, self.number)
        body = _HEAD.pack(QUESTION, QUESTIONS_VERSION, self.kind, self.token) + named
        return _LENGTH.pack(len(body)) + body

    @classmethod
    def decode(cls, body: bytes) -> "Question":
        """Of a frame without its length. Raises `FeedError`."""
        kind, token, named = _split(body, QUESTION)
        if kind not in (BY_ID, BY_NONCE, BY_LABEL) or len(named) != (_ID_BYTES if kind == BY_ID else _ACCOUNT.size):
            raise FeedError("no question about commands")
        return cls(token, kind, named) if kind == BY_ID else cls(token, kind, bytes(_ID_BYTES), *_ACCOUNT.unpack(named))


@dataclass(frozen=True, slots=True)
class Told:
    """What the node knows, without fills: those of a final block the other process has itself."""

    token: int
    results: tuple[CommandResult, ...]

    def encode(self) -> bytes:
        rows = [
            [
                item.command_id, _STATES.index(item.status), int(item.code), int(item.order_state), item.order_id,
                item.filled_lots, item.remaining_lots, item.filled_value_quote, item.height, item.time_ms,
                item.cancelled_count, -1 if item.withdrawal_index is None else item.withdrawal_index,
            ]
            for item in self.results[:RESULTS_MAX]
        ]  # fmt: skip
        body = _HEAD.pack(TOLD, QUESTIONS_VERSION, 0, self.token) + cbor2.dumps(rows)
        return _LENGTH.pack(len(body)) + body

    @classmethod
    def decode(cls, body: bytes) -> "Told":
        """Of a frame without its length. Raises `FeedError`."""
        _, token, data = _split(body, TOLD)
        try:
            rows = cbor2.loads(data)
            if type(rows) is not list or len(rows) > RESULTS_MAX:
                raise ValueError("no list of results")
            return cls(token, tuple(_read_result(row) for row in rows))
        except Exception as error:  # whatever a stranger's bytes make of a list of numbers
            raise FeedError(f"no results: {error!r}") from error


def _read_result(row: list[int | bytes]) -> CommandResult:
    name, *numbers = row
    if type(name) is not bytes or len(name) != _ID_BYTES or any(type(number) is not int for number in numbers):
        raise ValueError("a result is an id and numbers")
    (
        status, code, order_state, order_id, filled_lots, remaining_lots, value_quote, height, time_ms, cancelled,
        withdrawal_index,
    ) = (int(number) for number in numbers)  # fmt: skip
    return CommandResult(
        name, _STATES[status], Code(code), OrderState(order_state), order_id, filled_lots, remaining_lots, value_quote,
        height, time_ms, (), cancelled, None if withdrawal_index < 0 else withdrawal_index,
    )  # fmt: skip


def _split(body: bytes, wanted: int) -> tuple[int, int, bytes]:
    """What kind of question, its token, and the rest."""
    if len(body) < _HEAD.size:
        raise FeedError("shorter than a question")
    kind, version, what, token = _HEAD.unpack_from(body)
    if (kind, version) != (wanted, QUESTIONS_VERSION):
        raise FeedError(f"no question of version {QUESTIONS_VERSION}")
    return what, token, body[_HEAD.size :]
