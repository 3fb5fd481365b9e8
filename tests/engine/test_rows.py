"""Pools give their lowest free row (ORD-2), against a plain set, at sizes around the words' and groups' ends."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.rows import count_words, is_row_taken, peek_lowest_row, release_row, take_lowest_row

SIZES = (1, 2, 3, 64, 65, 66, 129, 4096, 4097, 4098, 4162)


@pytest.mark.parametrize("capacity", SIZES)
def test_a_pool_gives_every_row_once_and_row_zero_never(capacity: int) -> None:
    words = np.zeros(count_words(capacity), np.int64)
    given_rows = [int(take_lowest_row(words, np.int64(capacity))) for _ in range(capacity)]
    assert given_rows == [*range(1, capacity), 0]
    assert all(is_row_taken(words, np.int64(row)) for row in range(1, capacity))


def test_a_pool_of_many_clusters_starts_over_where_a_row_came_back() -> None:
    capacity = (1 << 18) + 70
    words = np.zeros(count_words(capacity), np.int64)
    for row in range(1, capacity):
        assert take_lowest_row(words, np.int64(capacity)) == row
    assert take_lowest_row(words, np.int64(capacity)) == 0
    for row in (capacity - 1, 1 << 18, 5000, 1):
        release_row(words, np.int64(row))
        assert peek_lowest_row(words, np.int64(capacity)) == row
    assert [int(take_lowest_row(words, np.int64(capacity))) for _ in range(5)] == [1, 5000, 1 << 18, capacity - 1, 0]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(SIZES), st.lists(st.integers(0, 5000), max_size=300))
def test_the_row_given_is_the_lowest_free_one(capacity: int, choices: list[int]) -> None:
    words, taken = np.zeros(count_words(capacity), np.int64), set()
    for choice in choices:
        if choice % 3 and taken:
            row = sorted(taken)[choice % len(taken)]
            release_row(words, np.int64(row))
            taken.remove(row)
        else:
            lowest = next((row for row in range(1, capacity) if row not in taken), 0)
            assert take_lowest_row(words, np.int64(capacity)) == lowest
            taken |= {lowest} - {0}
        assert not taken or is_row_taken(words, np.int64(max(taken)))
