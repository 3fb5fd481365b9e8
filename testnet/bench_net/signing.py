"""Turns drawn actions into signed messages, as rows of bytes ready to be sent."""

from dataclasses import dataclass

import numpy as np
from coincurve import PrivateKey

from engine.commands import ACTION, ACTION_BYTES, HEADER_BYTES, MESSAGE
from engine.intake import ACTION_WORDS, HEADER_WORDS
from engine.signatures import HASH_BYTES, name_messages
from testnet.bench_net.traffic import Trader, schedule

EXPIRES_AFTER_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Signed:
    """Messages in the order in which they are to be sent: bytes (m, b), the trader of each (m,) and its id (m, 32)."""

    records: np.ndarray
    traders: np.ndarray
    ids: np.ndarray
    actions_per_message: int


def sign_messages(
    traders: list[Trader], count: int, actions_per_message: int, separator: bytes, now_ms: int, first: int = 0
) -> Signed:
    """The next `count` messages of all traders together. `first`: how many were scheduled before."""
    turns = schedule(traders, count, first)
    headers = np.zeros(count, dtype=MESSAGE)
    actions = np.zeros((count, actions_per_message), dtype=ACTION)
    headers["count"] = actions_per_message
    headers["expiry_ms"] = now_ms + EXPIRES_AFTER_MS
    for at, trader in enumerate(traders):
        mine = np.flatnonzero(turns == at)
        actions[mine] = trader.draw(len(mine) * actions_per_message, actions_per_message).reshape(
            len(mine), actions_per_message
        )
        headers["owner"][mine] = np.frombuffer(trader.owner, dtype=np.uint8)
        headers["subaccount"][mine] = trader.subaccount
        headers["nonce"][mine] = trader.nonce + np.arange(len(mine))
        trader.nonce += len(mine)
    digests = _name(headers, actions, separator)
    keys = [PrivateKey(trader.key) for trader in traders]
    for at, (turn, digest) in enumerate(zip(turns.tolist(), digests, strict=True)):
        signature = keys[turn].sign_recoverable(digest.tobytes(), hasher=None)
        headers["signature"][at] = np.frombuffer(signature, dtype=np.uint8)
    records = np.empty((count, HEADER_BYTES + actions_per_message * ACTION_BYTES), dtype=np.uint8)
    records[:, :HEADER_BYTES] = headers.view(np.uint8).reshape(count, HEADER_BYTES)
    records[:, HEADER_BYTES:] = actions.view(np.uint8).reshape(count, -1)
    return Signed(records, turns, digests, actions_per_message)


def _name(headers: np.ndarray, actions: np.ndarray, separator: bytes) -> np.ndarray:
    """EIP-712 digests, which are also the messages' ids."""
    digests = np.empty((len(headers), HASH_BYTES), dtype=np.uint8)
    is_signable = np.empty(len(headers), dtype=np.bool_)
    name_messages(
        headers.view("<i8").reshape(len(headers), HEADER_WORDS), actions.view("<i8").reshape(-1, ACTION_WORDS),
        np.frombuffer(separator, dtype=np.uint8).copy(), digests, is_signable,
    )  # fmt: skip
    if not is_signable.all():
        raise ValueError("the load has malformed actions")
    return digests
