"""Zeroed memory that begins where a line of the cache does, so that a record of up to 64 bytes lies in one line.

`np.zeros` leaves the pages to the system until they are written, but begins 16 bytes behind a page's start.
"""

import numpy as np

LINE_BYTES = 64


def make_zeros(rows: int, record: np.dtype) -> np.ndarray:
    """(rows,) zeroed records."""
    wanted = rows * record.itemsize
    memory = np.zeros(wanted + LINE_BYTES, np.uint8)
    start = -memory.ctypes.data % LINE_BYTES
    return memory[start : start + wanted].view(record)
