"""From batches of signed messages to arrays of actions, judged for rule 101, and the order in which they execute.

A batch is a concatenation of messages (docs/protocol.md, section 5). Rows of messages and actions are whole 8-byte
words, so the kernels here read them as int64 and never as fields.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

from engine.commands import (
    ACCEPT,
    ACTION,
    ACTIONS_MAX,
    ADDRESS_KINDS,
    AMEND,
    BODY_FIELDS,
    CANCEL,
    CANCEL_ALL,
    COMBO,
    MESSAGE,
    PLACE,
    POST_ONLY,
    POST_ONLY_SLIDE,
    TRIGGER,
    USED_FIELDS,
)
from engine.compiling import allocating
from engine.payload import keccak
from engine.results import Code
from engine.tables import Number, Truth

if TYPE_CHECKING:
    from engine.apply import BatchInput, BlockInput

CLASS_ACCOUNT, CLASS_CANCEL, CLASS_POST_ONLY, CLASS_OTHER, CLASS_LEG = range(5)
CLASSES = 5
MALFORMED, BAD_SIGNATURE = int(Code.MALFORMED), int(Code.BAD_SIGNATURE)

# Words of a header: owner and subaccount (0 to 2), nonce, expiry, signature (5 to 13), count and padding (13). Words of
# an action: kind, side, time in force, flags, market (0), eight numbers, data (9 to 11).
HEADER_WORDS, ACTION_WORDS = MESSAGE.itemsize // 8, ACTION.itemsize // 8
NONCE_WORD, EXPIRY_WORD, COUNT_WORD = 3, 4, 13
_CLIENT_ID, _ORDER_ID, _GOOD_TILL, _LINK, _DATA, _DATA_END = 3, 4, 7, 8, 9, 11
_FIELD_BITS = {name: 1 << bit for bit, name in enumerate(BODY_FIELDS)}
_DATA_BIT, _ADDRESS_BIT = _FIELD_BITS["data"], 1 << len(BODY_FIELDS)


def _table_by_kind(values: dict[int, int], other: int) -> np.ndarray:
    table = np.full(256, other, dtype=np.int64)
    for kind, value in values.items():
        table[kind] = value
    return table


# By kind: the bits of the fields it uses, -1 for no kind at all; and its class, post-only orders aside.
_USED_BITS = _table_by_kind(
    {
        kind: sum(_FIELD_BITS[name] for name in set(names)) | (_ADDRESS_BIT if kind in ADDRESS_KINDS else 0)
        for kind, names in USED_FIELDS.items()
    },
    -1,
)
_CLASS_OF_KIND = _table_by_kind(
    dict.fromkeys(USED_FIELDS, CLASS_ACCOUNT)
    | dict.fromkeys((CANCEL, CANCEL_ALL), CLASS_CANCEL)
    | dict.fromkeys((PLACE, AMEND, TRIGGER, COMBO, ACCEPT), CLASS_OTHER),
    CLASS_OTHER,
)


class Intake(NamedTuple):
    """All messages (m) and actions (n) of a block in input order.

    `codes` (n,) is 0 or 101. `classes` (n,): see docs/protocol.md, section 6; the legs of a combination, the PLACE
    actions that follow it, have the class `CLASS_LEG` and execute with it. `signers` (m, 20) is zero for nobody.
    """

    messages: np.ndarray
    actions: np.ndarray
    signers: np.ndarray
    batch_of_message: np.ndarray
    message_of_action: np.ndarray
    codes: np.ndarray
    classes: np.ndarray


@njit(cache=True, nogil=True)
def _decode_words(words: np.ndarray, headers: np.ndarray, actions: np.ndarray) -> tuple[Number, Number]:
    """Split a batch; returns the numbers of messages and actions, or (-1, -1) when it does not parse to the end."""
    at: Number = 0
    message_count: Number = 0
    action_count: Number = 0
    while at < words.shape[0]:
        if at + HEADER_WORDS > words.shape[0]:
            return -1, -1
        count = words[at + COUNT_WORD] >> 8 & 255
        end = at + HEADER_WORDS + count * ACTION_WORDS
        if count < 1 or count > ACTIONS_MAX or end > words.shape[0]:
            return -1, -1
        for word in range(HEADER_WORDS):
            headers[message_count, word] = words[at + word]
        at += HEADER_WORDS
        message_count += 1
        while at < end:
            for word in range(ACTION_WORDS):
                actions[action_count, word] = words[at + word]
            at += ACTION_WORDS
            action_count += 1
    return message_count, action_count


def decode_batch(blob: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Messages (m,) and actions (n,) of a batch. Raises `ValueError` when the bytes are no whole messages."""
    if len(blob) % 8:
        raise ValueError("a batch is made of whole words")
    words = np.frombuffer(blob, dtype="<i8").copy()
    headers = np.empty((len(words) // (HEADER_WORDS + ACTION_WORDS) + 1, HEADER_WORDS), dtype=np.int64)
    actions = np.empty((len(words) // ACTION_WORDS + 1, ACTION_WORDS), dtype=np.int64)
    message_count, action_count = _decode_words(words, headers, actions)
    if message_count < 0:
        raise ValueError("a batch is made of whole messages")
    return headers[:message_count].view(MESSAGE)[:, 0], actions[:action_count].view(ACTION)[:, 0]


@allocating
def is_action_malformed(action: np.ndarray) -> Truth:
    """Unknown kind, an unused field that is not zero, or a number that no signed struct can carry."""
    head = action[0]
    used_bits = _USED_BITS[head & 255]
    found_bits = (head >> 8 & 255 != 0) | (head >> 16 & 255 != 0) << 1 | (head >> 24 & 255 != 0) << 2
    found_bits |= (head >> 32 != 0) << 3
    for word in range(1, _DATA):
        found_bits |= (action[word] != 0) << (word + 3)
    if action[_DATA] != 0 or action[_DATA + 1] != 0 or action[_DATA_END] != 0:
        found_bits |= _DATA_BIT
    if used_bits < 0 or found_bits & ~used_bits != 0:
        return True
    if used_bits & _ADDRESS_BIT != 0 and action[_DATA_END] >> 32 != 0:
        return True
    is_negative: Truth = action[_CLIENT_ID] < 0 or action[_ORDER_ID] < 0 or action[_GOOD_TILL] < 0 or action[_LINK] < 0
    return is_negative


@allocating
def _classify(head: Number) -> Number:
    """Class of an action by its first word."""
    kind = head & 255
    time_in_force = head >> 16 & 255
    if kind == PLACE and time_in_force in (POST_ONLY, POST_ONLY_SLIDE):
        return CLASS_POST_ONLY
    class_of_kind: Number = _CLASS_OF_KIND[kind]
    return class_of_kind


@njit(cache=True)
def judge_actions(headers: np.ndarray, actions: np.ndarray, codes: np.ndarray, classes: np.ndarray) -> None:
    """Rule 101 and the class of every action: words (m, 14) and (n, 12) in, `codes` and `classes` (n,) out.

    A combination and its legs, the next actions of its message, are well-formed together or not at all.
    """
    first: Number = 0
    for message in range(headers.shape[0]):
        header = headers[message]
        end = first + (header[COUNT_WORD] >> 8 & 255)
        is_bad = header[COUNT_WORD] >> 16 != 0 or header[NONCE_WORD] < 1 or header[EXPIRY_WORD] < 0
        combination: Number = -1
        legs_end: Number = first
        for at in range(first, end):
            codes[at] = MALFORMED if is_bad or is_action_malformed(actions[at]) else 0
            if at < legs_end:
                classes[at] = CLASS_LEG
                if actions[at, 0] & 255 != PLACE or codes[at] != 0:
                    codes[combination] = MALFORMED
                if at == legs_end - 1 and codes[combination] != 0:
                    codes[combination + 1 : legs_end] = MALFORMED
                continue
            classes[at] = _classify(actions[at, 0])
            if actions[at, 0] & 255 == COMBO:
                combination = at
                legs_end = at + 1 + (actions[at, 0] >> 8 & 255)
                if legs_end == at + 1 or legs_end > end:
                    codes[at] = MALFORMED
                    legs_end = min(legs_end, end)
        first = end


@njit(cache=True)
def interleave(classes: np.ndarray, ranks: np.ndarray, author_count: Number, sequence: np.ndarray) -> None:
    """Fill `sequence` (n,) with row numbers: by class, inside a class one row of each author (`ranks`) in turn.

    Counting sorts only: O(n + classes x authors).
    """
    starts = np.zeros(CLASSES * author_count + 1, dtype=np.int64)
    for at in range(classes.shape[0]):
        starts[classes[at] * author_count + ranks[at] + 1] += 1
    for group in range(CLASSES * author_count):
        starts[group + 1] += starts[group]
    nexts = starts.copy()
    grouped = np.empty(classes.shape[0], dtype=np.int64)
    for at in range(classes.shape[0]):
        group = classes[at] * author_count + ranks[at]
        grouped[nexts[group]] = at
        nexts[group] += 1
    for group in range(CLASSES * author_count):
        nexts[group] = starts[group]
    waiting = np.empty(author_count, dtype=np.int64)
    count = 0
    for first in range(0, CLASSES * author_count, author_count):
        waiting_count = 0
        for group in range(first, first + author_count):
            if starts[group] < starts[group + 1]:
                waiting[waiting_count] = group
                waiting_count += 1
        while waiting_count > 0:
            kept = 0
            for turn in range(waiting_count):
                group = waiting[turn]
                sequence[count] = grouped[nexts[group]]
                count += 1
                nexts[group] += 1
                if nexts[group] < starts[group + 1]:
                    waiting[kept] = group
                    kept += 1
            waiting_count = kept


def _words(rows: np.ndarray, width: int) -> np.ndarray:
    """Records as (count, width) int64 without a copy."""
    return np.ascontiguousarray(rows).view("<i8").reshape(len(rows), width)


def gather(batches: tuple["BatchInput", ...]) -> Intake:
    """All messages of a block, rule 101 judged."""
    # Copied as words: numpy copies records field by field.
    header_words = [_words(batch.messages, HEADER_WORDS) for batch in batches]
    action_words = [_words(batch.actions, ACTION_WORDS) for batch in batches]
    headers = np.concatenate([np.empty((0, HEADER_WORDS), dtype=np.int64), *header_words])
    words = np.concatenate([np.empty((0, ACTION_WORDS), dtype=np.int64), *action_words])
    signers = np.concatenate([np.empty((0, 20), dtype=np.uint8), *(batch.signers for batch in batches)])
    messages, actions = headers.view(MESSAGE)[:, 0], words.view(ACTION)[:, 0]
    batch_of_message = np.repeat(np.arange(len(batches)), [len(batch.messages) for batch in batches])
    message_of_action = np.repeat(np.arange(len(messages)), messages["count"])
    codes, classes = np.empty((2, len(actions)), dtype=np.int64)
    judge_actions(headers, words, codes, classes)
    return Intake(messages, actions, signers, batch_of_message, message_of_action, codes, classes)


def order_actions(block: "BlockInput", intake: Intake) -> np.ndarray:
    """Row numbers of the actions in the order of execution (docs/protocol.md, section 6)."""
    authors = sorted({batch.author for batch in block.batches}, key=lambda author: (_draw(block.seed, author), author))
    rank_of_author = {author: rank for rank, author in enumerate(authors)}
    rank_of_batch = np.array([rank_of_author[batch.author] for batch in block.batches], dtype=np.int64)
    ranks = rank_of_batch[intake.batch_of_message[intake.message_of_action]]
    sequence = np.empty(len(ranks), dtype=np.int64)
    interleave(intake.classes, ranks, len(authors), sequence)
    return sequence


def _draw(seed: bytes, author: int) -> bytes:
    """What decides the order of authors in one block: nobody knows it before the parent is certified."""
    return keccak(seed + author.to_bytes(4, "big"))
