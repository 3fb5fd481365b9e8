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

from engine.compiling import allocating, inlined
from engine.fixed import IS_COMPILED

Number = int | np.int64

LANES = 8
RATE_WORDS = 17
STATE_WORDS = 25
DIGEST_WORDS = 4
RATE_BYTES = 8 * RATE_WORDS
STAGE_WORDS = 24  # a block, rounded up to whole vectors
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


def emit_shuffle(builder: Any, one: Any, two: Any, order: list[int]) -> Any:
    """A vector of words picked from two, numbered through."""
    return builder.shuffle_vector(one, two, ir.Constant(ir.VectorType(ir.IntType(32), len(order)), order))


def emit_transpose(builder: Any, rows: list[Any]) -> list[Any]:
    """Turn 4 or 8 vectors of 8 words: bit k of a vector's number and bit k of a word's place change roles."""
    rows = list(rows)
    step = len(rows) // 2
    while step:
        upper = [place if not place & step else LANES + place - step for place in range(LANES)]
        lower = [place + step if not place & step else LANES + place for place in range(LANES)]
        for at in range(len(rows)):
            if not at & step:
                one, two = rows[at], rows[at + step]
                rows[at], rows[at + step] = (
                    emit_shuffle(builder, one, two, upper),
                    emit_shuffle(builder, one, two, lower),
                )
        step //= 2
    return rows


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


def _emit_absorb(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    bases = [
        builder.bitcast(context.make_array(kind)(context, builder, value).data, VECTOR.as_pointer())
        for kind, value in zip(signature.args, arguments, strict=True)
    ]
    stage, kept, words = bases
    places = [builder.gep(words, [WORD(at)]) for at in range(STATE_WORDS)]
    mask = builder.load(kept, align=8)
    state = [builder.and_(builder.load(place, align=8), mask) for place in places]
    for part in range(STAGE_WORDS // LANES):
        rows = [builder.gep(stage, [WORD(lane * STAGE_WORDS // LANES + part)]) for lane in range(LANES)]
        block = emit_transpose(builder, [builder.load(row, align=8) for row in rows])
        for at in range(part * LANES, min((part + 1) * LANES, RATE_WORDS)):
            state[at] = builder.xor(state[at], block[at - part * LANES])
    for place, vector in zip(places, emit_rounds(builder, state), strict=True):
        builder.store(vector, place, align=8)
    return context.get_dummy_value()


@intrinsic
def _absorb_vector(_typing: Any, stage: Any, kept: Any, words: Any) -> Any:
    return types.void(stage, kept, words), _emit_absorb


@intrinsic
def _copy_vector(_typing: Any, data: Any, at: Any, stage: Any, lane: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        target = context.make_array(signature.args[2])(context, builder, arguments[2]).data
        source = builder.gep(source, [arguments[1]])
        target = builder.gep(target, [builder.mul(arguments[3], WORD(STAGE_WORDS))])
        for first, kind in ((0, VECTOR), (LANES, VECTOR), (2 * LANES, WORD)):
            place = builder.bitcast(builder.gep(source, [WORD(8 * first)]), kind.as_pointer())
            word = builder.load(place, align=1)
            builder.store(word, builder.bitcast(builder.gep(target, [WORD(first)]), kind.as_pointer()), align=8)
        return context.get_dummy_value()

    return types.void(data, types.int64, stage, types.int64), emit


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


def permute_twin(words: np.ndarray) -> None:
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


def _absorb_twin(stage: np.ndarray, kept: np.ndarray, words: np.ndarray) -> None:
    """Xor a block into each lane and permute all lanes.

    `stage` is (8, 24) int64, 17 words of block l in row l; `kept` (8,) int64 is -1 where the lane goes on with its
    message and 0 where a new one begins; `words` is the (25, 8) state.
    """
    words &= kept
    words[:RATE_WORDS] ^= stage[:, :RATE_WORDS].T
    permute_twin(words)


def _copy_twin(data: np.ndarray, at: Number, stage: np.ndarray, lane: Number) -> None:
    """Copy the 136 bytes of `data` from `at` on to row `lane` of the stage."""
    stage[lane, :RATE_WORDS] = np.frombuffer(data[at : at + RATE_BYTES].tobytes(), dtype=np.int64)


def _load_twin(data: np.ndarray, at: Number) -> np.int64:
    """Eight bytes of contiguous uint8 `data` from `at` on, aligned or not, as a little-endian word."""
    return np.int64(int.from_bytes(data[at : at + 8].tobytes(), "little", signed=True))


def _store_twin(data: np.ndarray, at: Number, word: Number) -> None:
    """The inverse of `load_word`."""
    data[at : at + 8] = np.frombuffer(int(word).to_bytes(8, "little", signed=True), dtype=np.uint8)


def _swap_twin(word: Number) -> np.int64:
    """A word with its bytes in the opposite order: big-endian for the hash, whose words are little-endian."""
    return np.int64(int.from_bytes(int(word).to_bytes(8, "little", signed=True), "big", signed=True))


absorb_lanes: Callable[..., Any] = _absorb_vector if IS_COMPILED else _absorb_twin
copy_block: Callable[..., Any] = _copy_vector if IS_COMPILED else _copy_twin
load_word: Callable[..., Any] = _load_vector if IS_COMPILED else _load_twin
store_word: Callable[..., Any] = _store_vector if IS_COMPILED else _store_twin
swap_bytes: Callable[..., Any] = _swap_vector if IS_COMPILED else _swap_twin


@inlined
def _stage(data: np.ndarray, at: Number, length: Number, stage: np.ndarray, lane: Number) -> bool:
    """Make the block at `data[at:]` a lane's next one; `length` bytes of its message remain. True if it is the last."""
    if length >= RATE_BYTES:
        copy_block(data, at, stage, lane)
        return False
    full = length // 8
    for word in range(full):
        stage[lane, word] = load_word(data, at + 8 * word)
    tail = PAD_FIRST
    for index in range(length - 1, 8 * full - 1, -1):
        tail = tail << 8 | np.int64(data[at + index])
    stage[lane, full] = tail
    for word in range(full + 1, RATE_WORDS):
        stage[lane, word] = 0
    stage[lane, RATE_WORDS - 1] |= PAD_LAST
    return True


@inlined
def _squeeze(words: np.ndarray, lane: Number, digests: np.ndarray, at: Number) -> None:
    for word in range(DIGEST_WORDS):
        store_word(digests, at + 8 * word, words[word, lane])


@allocating
def hash_spans(
    data: np.ndarray, starts: np.ndarray, lengths: np.ndarray, count: Number, out: np.ndarray, rows: np.ndarray
) -> None:
    """Keccak-256 of `data[starts[i] : starts[i] + lengths[i]]` into `out[rows[i]]` for each i below `count`.

    `data` is (bytes,) uint8, `out` (rows, 32) uint8, both C-contiguous; `starts`, `lengths`, `rows` are int64. Nothing
    is checked. A lane that ends its message takes the next one, so lengths need not be similar.
    """
    digests = out.reshape(-1)
    words = np.zeros((STATE_WORDS, LANES), dtype=np.int64)
    stage = np.zeros((LANES, STAGE_WORDS), dtype=np.int64)
    kept = np.zeros(LANES, dtype=np.int64)
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
                is_last[lane] = _stage(data, starts[owner] + at, lengths[owner] - at, stage, lane)
                positions[lane] = at + RATE_BYTES
        absorb_lanes(stage, kept, words)
        for lane in range(LANES):
            kept[lane] = -1
            if owners[lane] >= 0 and is_last[lane]:
                _squeeze(words, lane, digests, rows[owners[lane]] * DIGEST_WORDS * 8)
                kept[lane] = 0
                positions[lane] = 0
                owners[lane] = following if following < count else -1
                busy -= following >= count
                following += following < count


@njit(cache=True)
def hash_fixed(messages: np.ndarray, length: Number, out: np.ndarray) -> None:
    """Keccak-256 of `messages[i, :length]` into `out[i]`.

    `messages` is (n, stride) uint8 with length <= stride, `out` (n, 32) uint8; both C-contiguous, none checked.
    """
    count, stride = messages.shape
    data, digests = messages.reshape(-1), out.reshape(-1)
    words = np.zeros((STATE_WORDS, LANES), dtype=np.int64)
    stage = np.zeros((LANES, STAGE_WORDS), dtype=np.int64)
    kept = np.zeros(LANES, dtype=np.int64)
    for first in range(0, count, LANES):
        lanes = min(LANES, count - first)
        kept[:] = 0
        for at in range(0, length + 1, RATE_BYTES):
            for lane in range(lanes):
                _stage(data, (first + lane) * stride + at, length - at, stage, lane)
            absorb_lanes(stage, kept, words)
            kept[:] = -1
        for lane in range(lanes):
            _squeeze(words, lane, digests, (first + lane) * DIGEST_WORDS * 8)


@njit(cache=True)
def _hash_chunks(data: np.ndarray, out: np.ndarray) -> None:
    """Keccak-256 of each 1,024 bytes of `data` (n,) into `out` (chunks, 32); the last chunk may be shorter."""
    rows = np.empty(out.shape[0], dtype=np.int64)
    starts, lengths = np.empty_like(rows), np.empty_like(rows)
    for row in range(out.shape[0]):
        rows[row], starts[row] = row, row * CHUNK_BYTES
        lengths[row] = min(CHUNK_BYTES, data.shape[0] - row * CHUNK_BYTES)
    hash_spans(data, starts, lengths, out.shape[0], out, rows)


def count_chunks(length_bytes: int) -> int:
    """How many parts of 1,024 bytes a message has."""
    return -(-length_bytes // CHUNK_BYTES)


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
