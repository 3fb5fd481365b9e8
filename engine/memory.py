"""Zeroed memory that begins where a line of the cache does, so that a record of 64 bytes lies in one, of 128 in a pair.

`np.zeros` leaves the pages to the system until they are written, but begins 16 bytes behind a page's start.
"""

import numpy as np

PAIR_BYTES = 128


def make_zeros(rows: int, record: np.dtype) -> np.ndarray:
    """(rows,) zeroed records."""
    wanted = rows * record.itemsize
    memory = np.zeros(wanted + PAIR_BYTES, np.uint8)
    start = -memory.ctypes.data % PAIR_BYTES
    return memory[start : start + wanted].view(record)
