"""Keccak-256 of many messages at once: eight lanes of one permutation, for leaves and nodes of the account tree.

A permutation of eight independent states costs little more than one of a single state where the processor has wide
vectors, and falls back to plain instructions where it has none: the same integers everywhere. LLVM does not find this
form in a loop over lanes by itself, so the permutation is written in its vector type.

Rules. Words are int64 and hold bits, never numbers. Word w of lane l stands at `words[w, l]` of a (25, 8) array, so
that one word of all lanes is one vector. Little-endian hosts only, as every platform that numba compiles for is.
Without a compiler (`NUMBA_DISABLE_JIT=1`) every intrinsic is replaced by a twin in plain Python.

Source: The Keccak reference 3.0, sections 1.2 and 2.3; rate 136 bytes, padding 0x01 .. 0x80, 24 rounds.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from engine.compiling import inlined
from engine.fixed import IS_COMPILED

Number = int | np.int64

LANES = 8
RATE_WORDS = 17
STATE_WORDS = 25
DIGEST_WORDS = 4
RATE_BYTES = 8 * RATE_WORDS
ROUNDS = 24
CHUNK_BYTES = 1024
# What follows the last byte of a message, and the bit that closes its last block.
PAD_FIRST = np.int64(1)
PAD_LAST = np.int64(-1 << 63)


def _derive_round_constants() -> tuple[int, ...]:
    """Bit 2**j - 1 of round r is output j + 7 r of the shift register x^8 + x^6 + x^5 + x^4 + 1."""
    constants = []
    register = 1
    for _ in range(ROUNDS):
        constant = 0
        for power in range(7):
            constant |= (register & 1) << ((1 << power) - 1)
            register = register << 1 ^ (0x171 if register & 0x80 else 0)
        constants.append(constant)
    return tuple(constants)


def _derive_moves() -> tuple[tuple[int, int, int], ...]:
    """(from, to, bits) of every word except the first: rho turns it left by `bits`, pi moves it."""
    moves = []
    x, y = 1, 0
    for step in range(24):
        to_x, to_y = y, (2 * x + 3 * y) % 5
        moves.append((x + 5 * y, to_x + 5 * to_y, (step + 1) * (step + 2) // 2 % 64))
        x, y = to_x, to_y
    return tuple(moves)


ROUND_CONSTANTS = _derive_round_constants()
MOVES = _derive_moves()
VECTOR = ir.VectorType(ir.IntType(64), LANES)
WORD = ir.IntType(64)


def _splat(builder: Any, word: Any) -> Any:
    first = builder.insert_element(ir.Constant(VECTOR, ir.Undefined), word, ir.Constant(ir.IntType(32), 0))
    order = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(first, ir.Constant(VECTOR, ir.Undefined), order)


def _emit_round(builder: Any, state: list[Any], constant: Any) -> list[Any]:
    """One round on 25 vectors: theta, rho, pi, chi, iota."""
    turn_type = ir.FunctionType(VECTOR, (VECTOR, VECTOR, VECTOR))
    turn_function = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
        builder.module, turn_type, "llvm.fshl.v8i64"
    )

    def turn(vector: Any, bits: int) -> Any:
        return builder.call(turn_function, (vector, vector, ir.Constant(VECTOR, [bits] * LANES)))

    def xor(*vectors: Any) -> Any:
        result = vectors[0]
        for vector in vectors[1:]:
            result = builder.xor(result, vector)
        return result

    columns = [xor(*(state[x + 5 * y] for y in range(5))) for x in range(5)]
    turned = [turn(column, 1) for column in columns]
    mixed = [xor(state[at], columns[(at + 4) % 5], turned[(at + 1) % 5]) for at in range(STATE_WORDS)]
    moved = list(mixed)
    for source, target, bits in MOVES:
        moved[target] = turn(mixed[source], bits)
    after = []
    for at in range(STATE_WORDS):
        row, x = at // 5 * 5, at % 5
        next_one, next_two = moved[row + (x + 1) % 5], moved[row + (x + 2) % 5]
        after.append(builder.xor(moved[at], builder.and_(builder.not_(next_one), next_two)))
    after[0] = builder.xor(after[0], constant)
    return after


def emit_rounds(builder: Any, state: list[Any]) -> list[Any]:
    """Keccak-f[1600] of eight lanes on 25 vectors, all rounds in one loop."""
    slots = [cgutils.alloca_once(builder, VECTOR) for _ in state]  # type: ignore[no-untyped-call]
    for vector, slot in zip(state, slots, strict=True):
        builder.store(vector, slot)
    constants = ir.Constant(ir.ArrayType(WORD, ROUNDS), list(ROUND_CONSTANTS))
    table = cgutils.global_constant(builder, "keccak_rounds", constants)  # type: ignore[no-untyped-call]
    with cgutils.for_range(builder, WORD(ROUNDS)) as loop:
        word = builder.load(builder.gep(table, [WORD(0), loop.index]))
        after = _emit_round(builder, [builder.load(slot) for slot in slots], _splat(builder, word))
        for vector, slot in zip(after, slots, strict=True):
            builder.store(vector, slot)
    return [builder.load(slot) for slot in slots]


def _emit_permute(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
    base = builder.bitcast(data, VECTOR.as_pointer())
    places = [builder.gep(base, [WORD(at)]) for at in range(STATE_WORDS)]
    after = emit_rounds(builder, [builder.load(place, align=8) for place in places])
    for place, vector in zip(places, after, strict=True):
        builder.store(vector, place, align=8)
    return context.get_dummy_value()


@intrinsic
def _permute_vector(_typing: Any, words: Any) -> Any:
    return types.void(words), _emit_permute


@intrinsic
def _load_vector(_typing: Any, data: Any, at: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        base = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        place = builder.bitcast(builder.gep(base, [arguments[1]]), WORD.as_pointer())
        return builder.load(place, align=1)

    return types.int64(data, types.int64), emit


@intrinsic
def _store_vector(_typing: Any, data: Any, at: Any, word: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        base = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        place = builder.bitcast(builder.gep(base, [arguments[1]]), WORD.as_pointer())
        builder.store(arguments[2], place, align=1)
        return context.get_dummy_value()

    return types.void(data, types.int64, types.int64), emit


@intrinsic
def _swap_vector(_typing: Any, word: Any) -> Any:
    def emit(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bswap(arguments[0])

    return types.int64(types.int64), emit


_TWIN_TURNS = np.array([[0]] + [[bits] for _, _, bits in sorted(MOVES, key=lambda move: move[1])], dtype=np.uint64)
_TWIN_SOURCES = np.array([0] + [source for source, _, _ in sorted(MOVES, key=lambda move: move[1])])


def _permute_twin(words: np.ndarray) -> None:
    """Keccak-f[1600] of every column of `words` (25, lanes) int64, in place."""
    one, word_bits = np.uint64(1), np.uint64(64)
    state = words.view(np.uint64)
    for constant in ROUND_CONSTANTS:
        columns = np.bitwise_xor.reduce(state.reshape(5, 5, -1), axis=0)
        turned = columns << one | columns >> word_bits - one
        mixed = state ^ np.tile(np.roll(columns, 1, axis=0) ^ np.roll(turned, -1, axis=0), (5, 1))
        moved = mixed[_TWIN_SOURCES]
        moved = (moved << _TWIN_TURNS | moved >> (word_bits - _TWIN_TURNS) % word_bits).reshape(5, 5, -1)
        after = moved ^ ~np.roll(moved, -1, axis=1) & np.roll(moved, -2, axis=1)
        state[:] = after.reshape(STATE_WORDS, -1)
        state[0] ^= np.uint64(constant)


def _load_twin(data: np.ndarray, at: Number) -> np.int64:
    """Eight bytes of contiguous uint8 `data` from `at` on, aligned or not, as a little-endian word."""
    return np.int64(int.from_bytes(data[at : at + 8].tobytes(), "little", signed=True))


def _store_twin(data: np.ndarray, at: Number, word: Number) -> None:
    """The inverse of `load_word`."""
    data[at : at + 8] = np.frombuffer(int(word).to_bytes(8, "little", signed=True), dtype=np.uint8)


def _swap_twin(word: Number) -> np.int64:
    """A word with its bytes in the opposite order: big-endian for the hash, whose words are little-endian."""
    return np.int64(int.from_bytes(int(word).to_bytes(8, "little", signed=True), "big", signed=True))


permute_lanes: Callable[..., Any] = _permute_vector if IS_COMPILED else _permute_twin
load_word: Callable[..., Any] = _load_vector if IS_COMPILED else _load_twin
store_word: Callable[..., Any] = _store_vector if IS_COMPILED else _store_twin
swap_bytes: Callable[..., Any] = _swap_vector if IS_COMPILED else _swap_twin


@inlined
def _absorb(data: np.ndarray, at: Number, length: Number, words: np.ndarray, lane: Number) -> bool:
    """Xor the block at `data[at:]` into a lane; `length` bytes of its message remain. True when it was the last one."""
    if length >= RATE_BYTES:
        for word in range(RATE_WORDS):
            words[word, lane] ^= load_word(data, at + 8 * word)
        return False
    full = length // 8
    for word in range(full):
        words[word, lane] ^= load_word(data, at + 8 * word)
    tail = PAD_FIRST
    for index in range(length - 1, 8 * full - 1, -1):
        tail = tail << 8 | np.int64(data[at + index])
    words[full, lane] ^= tail
    words[RATE_WORDS - 1, lane] ^= PAD_LAST
    return True


@inlined
def _squeeze(words: np.ndarray, lane: Number, digests: np.ndarray, at: Number) -> None:
    for word in range(DIGEST_WORDS):
        store_word(digests, at + 8 * word, words[word, lane])


@inlined
def _clear(words: np.ndarray, lane: Number) -> None:
    for word in range(STATE_WORDS):
        words[word, lane] = 0


@njit
def hash_spans(
    data: np.ndarray, starts: np.ndarray, lengths: np.ndarray, count: Number, out: np.ndarray, rows: np.ndarray
) -> None:
    """Keccak-256 of `data[starts[i] : starts[i] + lengths[i]]` into `out[rows[i]]` for each i below `count`.

    `data` is (bytes,) uint8, `out` (rows, 32) uint8, both C-contiguous; `starts`, `lengths`, `rows` are int64. Nothing
    is checked. A lane that ends its message takes the next one, so lengths need not be similar.
    """
    digests = out.reshape(-1)
    words = np.zeros((STATE_WORDS, LANES), dtype=np.int64)
    owners = np.full(LANES, -1, dtype=np.int64)
    positions = np.zeros(LANES, dtype=np.int64)
    is_last = np.zeros(LANES, dtype=np.bool_)
    following = min(count, LANES)
    busy = following
    for lane in range(busy):
        owners[lane] = lane
    while busy > 0:
        for lane in range(LANES):
            owner = owners[lane]
            if owner >= 0:
                at = positions[lane]
                is_last[lane] = _absorb(data, starts[owner] + at, lengths[owner] - at, words, lane)
                positions[lane] = at + RATE_BYTES
        permute_lanes(words)
        for lane in range(LANES):
            if owners[lane] >= 0 and is_last[lane]:
                _squeeze(words, lane, digests, rows[owners[lane]] * DIGEST_WORDS * 8)
                _clear(words, lane)
                positions[lane] = 0
                owners[lane] = following if following < count else -1
                busy -= following >= count
                following += following < count


@njit(cache=True)
def hash_ragged(messages: np.ndarray, lengths: np.ndarray, out: np.ndarray) -> None:
    """Keccak-256 of `messages[i, :lengths[i]]` into `out[i]`.

    `messages` is (n, stride) uint8, `lengths` (n,) int64 with 0 <= length <= stride, `out` (n, 32) uint8; all
    C-contiguous, none checked.
    """
    count, stride = messages.shape
    rows = np.arange(count)
    hash_spans(messages.reshape(-1), rows * stride, lengths, count, out, rows)


@njit(cache=True)
def hash_fixed(messages: np.ndarray, length: Number, out: np.ndarray) -> None:
    """Keccak-256 of `messages[i, :length]` into `out[i]`.

    `messages` is (n, stride) uint8 with length <= stride, `out` (n, 32) uint8; both C-contiguous, none checked.
    """
    count, stride = messages.shape
    data, digests = messages.reshape(-1), out.reshape(-1)
    words = np.zeros((STATE_WORDS, LANES), dtype=np.int64)
    for first in range(0, count, LANES):
        words[:] = 0
        lanes = min(LANES, count - first)
        for at in range(0, length + 1, RATE_BYTES):
            for lane in range(lanes):
                _absorb(data, (first + lane) * stride + at, length - at, words, lane)
            permute_lanes(words)
        for lane in range(lanes):
            _squeeze(words, lane, digests, (first + lane) * DIGEST_WORDS * 8)


@njit(cache=True)
def _hash_chunks(data: np.ndarray, out: np.ndarray) -> None:
    """Keccak-256 of each 1,024 bytes of `data` (n,) into `out` (chunks, 32); the last chunk may be shorter."""
    rows = np.arange(out.shape[0])
    starts = rows * CHUNK_BYTES
    lengths = np.minimum(CHUNK_BYTES, data.shape[0] - starts)
    hash_spans(data, starts, lengths, out.shape[0], out, rows)


def count_chunks(length_bytes: int) -> int:
    """How many parts of 1,024 bytes a message has; an empty one has one."""
    return max(1, -(-length_bytes // CHUNK_BYTES))


def hash_long(message: bytes | np.ndarray) -> bytes:
    """`H(x) = keccak(keccak(x[0:1024]) ‖ keccak(x[1024:2048]) ‖ ...)`, for what is too long to hash in one lane.

    `message` is bytes, or a C-contiguous array whose memory is meant.
    """
    data = np.frombuffer(message, dtype=np.uint8)
    chunks = np.empty((count_chunks(len(data)), 8 * DIGEST_WORDS), dtype=np.uint8)
    _hash_chunks(data, chunks)
    digest = np.empty((1, 8 * DIGEST_WORDS), dtype=np.uint8)
    hash_fixed(chunks.reshape(1, -1), chunks.size, digest)
    return digest.tobytes()
