"""Zeroed memory of both kinds: where it begins, what it holds, and that large arrays are given back."""

import gc
from pathlib import Path

import numpy as np
import pytest

from engine.memory import MAPPED_BYTES_MIN, PAIR_BYTES, make_zeros
from engine.tables import ACCOUNT


@pytest.mark.parametrize(
    ("shape", "record"),
    [
        (3, np.uint8),
        ((5, 3), np.int64),
        (7, ACCOUNT),
        (MAPPED_BYTES_MIN, np.uint8),
        ((40_000, 8), np.int64),
    ],
)
def test_zeros_begin_where_a_pair_of_lines_does(shape: int | tuple[int, ...], record: np.dtype) -> None:
    made = make_zeros(shape, record)
    assert made.shape == (shape if isinstance(shape, tuple) else (shape,)) and made.dtype == record
    assert made.flags.c_contiguous and made.flags.writeable and not made.view(np.uint8).any()
    assert made.ctypes.data % PAIR_BYTES == 0


def read_mapped_pages() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0])


def test_large_arrays_go_back_to_the_system_whole() -> None:
    wanted = 64 * 1024 * 1024
    gc.collect()
    before = read_mapped_pages()
    made = make_zeros(wanted, np.uint8)
    made[:] = 1
    assert (read_mapped_pages() - before) * 4096 >= wanted
    del made
    assert (read_mapped_pages() - before) * 4096 < wanted // 2
