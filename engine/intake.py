"""From batches of 160-byte records to one table of int64 rows, and the order in which the rows execute."""

from typing import TYPE_CHECKING

import numpy as np

from engine.commands import CANCEL, CANCEL_ALL, PLACE, POST_ONLY, WITHDRAW
from engine.layout import (
    IN_BATCH,
    IN_CLIENT_ID,
    IN_COLUMNS,
    IN_COMMAND,
    IN_EXPIRY_MS,
    IN_FLAGS,
    IN_KEY_A,
    IN_KEY_C,
    IN_KIND,
    IN_LOTS,
    IN_MARKET,
    IN_NONCE,
    IN_ORDER_ID,
    IN_PRECHECK,
    IN_SIDE,
    IN_TICKS,
    IN_TIME_IN_FORCE,
)
from engine.payload import keccak
from engine.results import Code

if TYPE_CHECKING:
    from engine.apply import BatchInput, BlockInput

_COPIED = {
    IN_KIND: "kind", IN_SIDE: "side", IN_TIME_IN_FORCE: "time_in_force", IN_FLAGS: "flags", IN_MARKET: "market",
    IN_TICKS: "price_ticks", IN_LOTS: "size_lots", IN_CLIENT_ID: "client_id", IN_ORDER_ID: "order_id",
    IN_NONCE: "nonce", IN_EXPIRY_MS: "expiry_ms",
}  # fmt: skip
# Columns that a kind leaves zero, besides `reserved` and `pad`.
_UNUSED = {
    PLACE: (IN_ORDER_ID,),
    CANCEL: (IN_SIDE, IN_TIME_IN_FORCE, IN_FLAGS, IN_TICKS, IN_LOTS),
    CANCEL_ALL: (IN_SIDE, IN_TIME_IN_FORCE, IN_FLAGS, IN_TICKS, IN_LOTS, IN_CLIENT_ID, IN_ORDER_ID),
    WITHDRAW: (IN_SIDE, IN_TIME_IN_FORCE, IN_FLAGS, IN_MARKET, IN_TICKS, IN_CLIENT_ID, IN_ORDER_ID),
}
CLASS_WITHDRAW, CLASS_CANCEL, CLASS_POST_ONLY, CLASS_OTHER = range(4)


def _find_malformed(rows: np.ndarray, raw: np.ndarray) -> np.ndarray:
    """Where rule 101 is broken: unknown kind, an unused field set, or a number that no signed command can carry."""
    is_malformed: np.ndarray = (raw["reserved"] != 0) | (raw["pad"] != 0).any(axis=1)
    is_malformed |= (rows[:, (IN_CLIENT_ID, IN_ORDER_ID, IN_EXPIRY_MS)] < 0).any(axis=1) | (rows[:, IN_NONCE] < 1)
    is_known = np.zeros(len(rows), dtype=np.bool_)
    for kind, unused in _UNUSED.items():
        is_kind = rows[:, IN_KIND] == kind
        is_known |= is_kind
        is_malformed |= is_kind & (rows[:, unused] != 0).any(axis=1)
    return is_malformed | ~is_known


def encode_commands(batches: tuple["BatchInput", ...]) -> np.ndarray:
    """All commands of a block as (count, 17) int64 in input order, rules 101 and 102 judged into IN_PRECHECK."""
    if not batches:
        return np.empty((0, IN_COLUMNS), dtype=np.int64)
    raw = np.concatenate([batch.commands for batch in batches])
    signers = np.concatenate([batch.signers for batch in batches])
    rows = np.empty((len(raw), IN_COLUMNS), dtype=np.int64)
    for column, name in _COPIED.items():
        rows[:, column] = raw[name]
    counts = [len(batch.commands) for batch in batches]
    rows[:, IN_BATCH] = np.repeat(np.arange(len(batches)), counts)
    rows[:, IN_COMMAND] = np.concatenate([np.arange(count) for count in counts])
    keys = np.zeros((len(raw), 24), dtype=np.uint8)
    keys[:, :20] = raw["owner"]
    keys[:, 20:] = np.ascontiguousarray(raw["subaccount"].astype(">u4")).view(np.uint8).reshape(-1, 4)
    rows[:, IN_KEY_A : IN_KEY_C + 1] = keys.view(">i8")
    is_unsigned = (signers != raw["owner"]).any(axis=1) | ~signers.any(axis=1)
    rows[:, IN_PRECHECK] = np.where(is_unsigned, int(Code.BAD_SIGNATURE), 0)
    rows[_find_malformed(rows, raw), IN_PRECHECK] = int(Code.MALFORMED)
    return rows


def classify(rows: np.ndarray) -> np.ndarray:
    """Class of each command; what is malformed comes last, where it can do nothing either."""
    classes = np.full(len(rows), CLASS_OTHER, dtype=np.int64)
    kinds = rows[:, IN_KIND]
    classes[kinds == WITHDRAW] = CLASS_WITHDRAW
    classes[(kinds == CANCEL) | (kinds == CANCEL_ALL)] = CLASS_CANCEL
    classes[(kinds == PLACE) & (rows[:, IN_TIME_IN_FORCE] == POST_ONLY)] = CLASS_POST_ONLY
    return classes


def order_commands(block: "BlockInput", rows: np.ndarray) -> np.ndarray:
    """Row numbers in the order of execution (docs/protocol.md, section 6)."""
    authors = sorted({batch.author for batch in block.batches}, key=lambda author: (_draw(block.seed, author), author))
    rank_of_author = {author: rank for rank, author in enumerate(authors)}
    rank_of_batch = np.array([rank_of_author[batch.author] for batch in block.batches], dtype=np.int64)
    ranks = rank_of_batch[rows[:, IN_BATCH]]
    classes = classify(rows)
    grouped = np.lexsort((ranks, classes))
    groups = (classes * len(authors) + ranks)[grouped]
    turns = np.empty(len(rows), dtype=np.int64)
    turns[grouped] = np.arange(len(rows)) - np.searchsorted(groups, groups)
    return np.lexsort((ranks, turns, classes))


def _draw(seed: bytes, author: int) -> bytes:
    """What decides the order of authors in one block: nobody knows it before the parent is certified."""
    return keccak(seed + author.to_bytes(4, "big"))
