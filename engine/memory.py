"""Zeroed memory that begins where a line of the cache does, so that a record of 64 bytes lies in one, of 128 in a pair.

Large tables are asked of the system, which gives them back whole. The allocator would serve them from holes between
smaller blocks when it has some: zeroed by hand, so that pages that nobody uses are resident as well, and the holes that
they leave are filled with what stays. A node that makes and drops states grew by megabytes with each.
"""

import mmap
from math import prod

import numpy as np

PAIR_BYTES = 128
MAPPED_BYTES_MIN = 1 << 17


def make_zeros(shape: int | tuple[int, ...], record: np.dtype | type) -> np.ndarray:
    """Zeros of that shape; pages of a large array are taken when they are first written."""
    sizes = shape if isinstance(shape, tuple) else (shape,)
    wanted = prod(sizes) * np.dtype(record).itemsize
    if wanted >= MAPPED_BYTES_MIN:
        mapped = mmap.mmap(-1, wanted, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        return np.frombuffer(mapped, np.uint8).view(record).reshape(sizes)
    memory = np.zeros(wanted + PAIR_BYTES, np.uint8)
    start = -memory.ctypes.data % PAIR_BYTES
    return memory[start : start + wanted].view(record).reshape(sizes)
