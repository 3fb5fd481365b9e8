"""Eight lanes give what `sha3` gives, whatever the lengths and wherever a message lies."""

import numpy as np
import pytest
import sha3
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from engine import lanes
from engine.lanes import LANES, hash_fixed, hash_long, hash_spans


def keccak(message: bytes) -> bytes:
    return sha3.keccak_256(message).digest()


def random_bytes(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def ragged(messages: np.ndarray, lengths: np.ndarray) -> list[bytes]:
    count, stride = messages.shape
    out, rows = np.full((count, 32), 0xEE, dtype=np.uint8), np.arange(count)
    hash_spans(messages.reshape(-1), rows * stride, lengths, count, out, rows)
    return [digest.tobytes() for digest in out]


def fixed(messages: np.ndarray, length: int) -> list[bytes]:
    out = np.full((len(messages), 32), 0xEE, dtype=np.uint8)
    hash_fixed(messages, length, out)
    return [digest.tobytes() for digest in out]


def expected(messages: np.ndarray, lengths) -> list[bytes]:
    return [keccak(message[:length].tobytes()) for message, length in zip(messages, lengths, strict=True)]


@pytest.mark.parametrize("order", ["ascending", "descending", "shuffled"])
def test_every_length_up_to_600_in_one_call(order) -> None:
    messages, lengths = random_bytes(1, 601, 603), np.arange(601)
    if order == "descending":
        lengths = lengths[::-1].copy()
    elif order == "shuffled":
        np.random.default_rng(2).shuffle(lengths)
    assert ragged(messages, lengths) == expected(messages, lengths)


@pytest.mark.parametrize("count", range(20))
def test_lanes_without_a_message_do_no_harm(count) -> None:
    messages = random_bytes(count, count, 300)
    lengths = np.array([(17 * row) % 300 for row in range(count)], dtype=np.int64)
    assert ragged(messages, lengths) == expected(messages, lengths)
    assert fixed(messages, 128) == expected(messages, [128] * count)


@pytest.mark.parametrize(
    "length", [0, 1, 7, 8, 63, 64, 127, 128, 134, 135, 136, 137, 143, 144, 192, 271, 272, 273, 600]
)
def test_equal_lengths_around_every_edge_of_a_block(length) -> None:
    for stride in (length, length + 1, length + 8):
        messages = random_bytes(length, 11, stride)
        assert fixed(messages, length) == expected(messages, [length] * 11)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=30), st.integers(0, 9))
def test_any_messages(texts, slack) -> None:
    stride = max(map(len, texts), default=0) + slack
    messages = np.full((len(texts), stride), 0xAB, dtype=np.uint8)
    for row, text in enumerate(texts):
        messages[row, : len(text)] = np.frombuffer(text, dtype=np.uint8)
    before = messages.copy()
    assert ragged(messages, np.array([len(text) for text in texts], dtype=np.int64)) == [keccak(t) for t in texts]
    assert (messages == before).all()


@pytest.mark.parametrize("length", [0, 1, 135, 136, 1023, 1024, 1025, 2048, 8191, 8192, 8193, 20_000])
def test_long_messages_are_hashed_by_their_chunks(length) -> None:
    message = random_bytes(length, length).tobytes()
    chunks = [message[at : at + 1024] for at in range(0, length, 1024)]
    assert hash_long(message) == keccak(b"".join(map(keccak, chunks)))


def test_records_are_hashed_as_they_lie_in_memory() -> None:
    records = random_bytes(9, 4800).view(np.dtype([("price_ticks", "<i8"), ("row", "<u4"), ("side", "<u4")]))
    assert hash_long(records) == hash_long(records.tobytes())


def test_spans_may_lie_anywhere_and_overlap() -> None:
    data, out = random_bytes(4, 500), np.zeros((9, 32), np.uint8)
    starts, lengths, rows = np.array([3, 100, 0, 99]), np.array([400, 0, 500, 137]), np.array([8, 2, 5, 0])
    hash_spans(data, starts, lengths, 4, out, rows)
    for start, length, row in zip(starts, lengths, rows, strict=True):
        assert out[row].tobytes() == keccak(data[start : start + length].tobytes())
    assert not out[[1, 3, 4, 6, 7]].any()


@njit
def _absorb(stage, kept, words):
    lanes.absorb_lanes(stage, kept, words)


@njit
def _words(data, at, word):
    read = lanes.load_word(data, at)
    lanes.store_word(data, at, lanes.swap_bytes(word))
    return read


def test_the_twins_do_what_the_intrinsics_do() -> None:
    words, stage = random_bytes(3, 25, LANES * 8).view(np.int64), random_bytes(4, LANES, 24 * 8).view(np.int64)
    twin, kept = words.copy(), np.array([-1, 0, -1, -1, 0, 0, -1, 0])
    _absorb(stage, kept, words)
    lanes._absorb_twin(stage, kept, twin)
    assert (words == twin).all()
    for at in range(17):
        data = random_bytes(at, 24)
        twin_data, word = data.copy(), int(random_bytes(at + 50, 8).view(np.int64)[0])
        assert _words(data, at, word) == lanes._load_twin(twin_data, at)
        lanes._store_twin(twin_data, at, lanes._swap_twin(word))
        assert data.tobytes() == twin_data.tobytes()


def test_round_constants_are_the_published_ones() -> None:
    first_and_last = lanes.ROUND_CONSTANTS[:4] + lanes.ROUND_CONSTANTS[-1:]
    assert first_and_last == (0x1, 0x8082, 0x800000000000808A, 0x8000000080008000, 0x8000000080008008)
