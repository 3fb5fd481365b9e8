"""Keccak-256 (Ethereum's hash) for kernels: account leaves and tree nodes. Outside kernels `sha3` does the same.

Source: The Keccak reference 3.0, section 1.2; rate 136 bytes, padding 0x01 .. 0x80, 24 rounds. Little-endian hosts
only, as every platform that numba compiles for is.
"""

import numpy as np
from numba import njit

from engine.layout import Number

RATE_BYTES = 136
HASH_BYTES = 32
_ROUND_CONSTANTS = np.array(
    [
        0x0000000000000001, 0x0000000000008082, 0x800000000000808A, 0x8000000080008000,
        0x000000000000808B, 0x0000000080000001, 0x8000000080008081, 0x8000000000008009,
        0x000000000000008A, 0x0000000000000088, 0x0000000080008009, 0x000000008000000A,
        0x000000008000808B, 0x800000000000008B, 0x8000000000008089, 0x8000000000008003,
        0x8000000000008002, 0x8000000000000080, 0x000000000000800A, 0x800000008000000A,
        0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
    ],
    dtype=np.uint64,
)  # fmt: skip


# Typed constants: a plain literal argument would make numba compile its callee once per value.
BITS = tuple(np.uint64(count) for count in range(65))


@njit(cache=True)
def _turn(lane: np.uint64, bits: np.uint64) -> np.uint64:
    """Rotate left by 1 to 63 bits."""
    return (lane << bits) | (lane >> (BITS[64] - bits))


@njit(cache=True)
def _permute(state: np.ndarray) -> None:
    """Keccak-f[1600] in place; `state` is (25,) uint64, lane (x, y) at x + 5 y."""
    a0, a1, a2, a3, a4 = state[0], state[1], state[2], state[3], state[4]
    a5, a6, a7, a8, a9 = state[5], state[6], state[7], state[8], state[9]
    a10, a11, a12, a13, a14 = state[10], state[11], state[12], state[13], state[14]
    a15, a16, a17, a18, a19 = state[15], state[16], state[17], state[18], state[19]
    a20, a21, a22, a23, a24 = state[20], state[21], state[22], state[23], state[24]
    for index in range(24):
        c0 = a0 ^ a5 ^ a10 ^ a15 ^ a20
        c1 = a1 ^ a6 ^ a11 ^ a16 ^ a21
        c2 = a2 ^ a7 ^ a12 ^ a17 ^ a22
        c3 = a3 ^ a8 ^ a13 ^ a18 ^ a23
        c4 = a4 ^ a9 ^ a14 ^ a19 ^ a24
        d0 = c4 ^ _turn(c1, BITS[1])
        d1 = c0 ^ _turn(c2, BITS[1])
        d2 = c1 ^ _turn(c3, BITS[1])
        d3 = c2 ^ _turn(c4, BITS[1])
        d4 = c3 ^ _turn(c0, BITS[1])
        b0, b1, b2 = a0 ^ d0, _turn(a6 ^ d1, BITS[44]), _turn(a12 ^ d2, BITS[43])
        b3, b4 = _turn(a18 ^ d3, BITS[21]), _turn(a24 ^ d4, BITS[14])
        b5, b6, b7 = _turn(a3 ^ d3, BITS[28]), _turn(a9 ^ d4, BITS[20]), _turn(a10 ^ d0, BITS[3])
        b8, b9 = _turn(a16 ^ d1, BITS[45]), _turn(a22 ^ d2, BITS[61])
        b10, b11, b12 = _turn(a1 ^ d1, BITS[1]), _turn(a7 ^ d2, BITS[6]), _turn(a13 ^ d3, BITS[25])
        b13, b14 = _turn(a19 ^ d4, BITS[8]), _turn(a20 ^ d0, BITS[18])
        b15, b16, b17 = _turn(a4 ^ d4, BITS[27]), _turn(a5 ^ d0, BITS[36]), _turn(a11 ^ d1, BITS[10])
        b18, b19 = _turn(a17 ^ d2, BITS[15]), _turn(a23 ^ d3, BITS[56])
        b20, b21, b22 = _turn(a2 ^ d2, BITS[62]), _turn(a8 ^ d3, BITS[55]), _turn(a14 ^ d4, BITS[39])
        b23, b24 = _turn(a15 ^ d0, BITS[41]), _turn(a21 ^ d1, BITS[2])
        a0, a1, a2 = b0 ^ (~b1 & b2), b1 ^ (~b2 & b3), b2 ^ (~b3 & b4)
        a3, a4 = b3 ^ (~b4 & b0), b4 ^ (~b0 & b1)
        a5, a6, a7 = b5 ^ (~b6 & b7), b6 ^ (~b7 & b8), b7 ^ (~b8 & b9)
        a8, a9 = b8 ^ (~b9 & b5), b9 ^ (~b5 & b6)
        a10, a11, a12 = b10 ^ (~b11 & b12), b11 ^ (~b12 & b13), b12 ^ (~b13 & b14)
        a13, a14 = b13 ^ (~b14 & b10), b14 ^ (~b10 & b11)
        a15, a16, a17 = b15 ^ (~b16 & b17), b16 ^ (~b17 & b18), b17 ^ (~b18 & b19)
        a18, a19 = b18 ^ (~b19 & b15), b19 ^ (~b15 & b16)
        a20, a21, a22 = b20 ^ (~b21 & b22), b21 ^ (~b22 & b23), b22 ^ (~b23 & b24)
        a23, a24 = b23 ^ (~b24 & b20), b24 ^ (~b20 & b21)
        a0 ^= _ROUND_CONSTANTS[index]
    state[0], state[1], state[2], state[3], state[4] = a0, a1, a2, a3, a4
    state[5], state[6], state[7], state[8], state[9] = a5, a6, a7, a8, a9
    state[10], state[11], state[12], state[13], state[14] = a10, a11, a12, a13, a14
    state[15], state[16], state[17], state[18], state[19] = a15, a16, a17, a18, a19
    state[20], state[21], state[22], state[23], state[24] = a20, a21, a22, a23, a24


@njit(cache=True)
def keccak_into(buffer: np.ndarray, length: Number, digest: np.ndarray) -> None:
    """Keccak-256 of `buffer[:length]` into `digest` (32,) uint8.

    `buffer` is contiguous uint8 with room for the padding: at least `length // 136 * 136 + 136` bytes. It is
    overwritten behind `length`.
    """
    padded = length // RATE_BYTES * RATE_BYTES + RATE_BYTES
    for index in range(length, padded):
        buffer[index] = 0
    buffer[length] = 1
    buffer[padded - 1] |= 0x80
    lanes = buffer[:padded].view(np.uint64)
    state = np.zeros(25, dtype=np.uint64)
    for start in range(0, padded // 8, RATE_BYTES // 8):
        for lane in range(RATE_BYTES // 8):
            state[lane] ^= lanes[start + lane]
        _permute(state)
    words = digest.view(np.uint64)
    for lane in range(HASH_BYTES // 8):
        words[lane] = state[lane]


@njit(cache=True)
def put_number(buffer: np.ndarray, at: Number, number: Number, width: Number) -> Number:
    """Write an int64 as `width` big-endian bytes (two's complement) at `buffer[at:]`; returns where it ends."""
    for byte in range(width):
        shift = 8 * (width - 1 - byte)
        buffer[at + byte] = (number >> min(shift, 63)) & 0xFF
    return at + width


@njit(cache=True)
def put_bytes(buffer: np.ndarray, at: Number, data: np.ndarray) -> Number:
    """Copy `data` to `buffer[at:]`; returns the position behind it."""
    for index in range(data.shape[0]):
        buffer[at + index] = data[index]
    return at + data.shape[0]
